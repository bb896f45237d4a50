/// What the command line of the trainer can say.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <lamina/version.hpp>

namespace tomato {

struct TrainSettings {
  std::filesystem::path data, out, tune = {};
  int size = 64, epochs = 15, batch = 32, threads = 0, replicas = 1;
  std::uint64_t seed = 1;
  std::string recipe = "lamina", device = "cpu", precision = "fp32", parallel = "exact", on_bad_image = "stop";
  double deadline = 60;                  // seconds
  double rate = 0, validation = 0;       // 0: not given
  long stop_after = 0;
};
struct EvaluateSettings {
  std::filesystem::path model, data, tune = {};
  int threads = 0;
  std::string device = "cpu", precision = "fp32";
  bool json = false;
};
struct PredictSettings {
  std::filesystem::path model, tune = {};
  std::vector<std::filesystem::path> pictures;
  std::string format = "text";
  int threads = 0;
  std::string device = "cpu", precision = "fp32";
};
struct SummarySettings { int size = 64, batch = 32; };

/// The version of this program.
inline std::string version() { return std::to_string(lamina::version.major) + "." + std::to_string(lamina::version.minor) + "." + std::to_string(lamina::version.patch); }

enum class Command { none, train, evaluate, predict, summary };

struct CommandLine {
  Command command = Command::none;     // none: help or a mistake, which has been printed
  int exit_code = 0;                   // of that
  std::string words;                   // as a shell reads them back
  TrainSettings train;
  EvaluateSettings evaluate;
  PredictSettings predict;
  SummarySettings summary;
};

/// In a source of its own, since the library that reads arguments takes the compiler long.
CommandLine read_command_line(int argc, char** argv);

}  // namespace tomato
