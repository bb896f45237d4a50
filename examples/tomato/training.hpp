/// What every training of the trainer does, by itself or as one of several replicas.
#pragma once
#include "data.hpp"
#include "network.hpp"
#include "printable.hpp"
#include "recipe.hpp"
#include "report.hpp"

namespace tomato {

/// What must be the same when a run is taken up again. How many threads and how many epochs may differ.
inline std::string same_settings(const TrainSettings& s, const Leaves& leaves, int replicas = 1) {
  std::string text = "--size " + std::to_string(s.size) + " --batch " + std::to_string(s.batch) + " --seed " + std::to_string(s.seed) + " --recipe " + s.recipe;
  if (s.rate > 0) text += " --lr " + lamina::detail::number_text(s.rate);
  if (leaves.divided > 0) text += " --validation " + lamina::detail::number_text(leaves.divided);
  text += ", version " + version();
  if (s.parallel != "exact") text += " --parallel " + s.parallel + ", replicas " + std::to_string(replicas);
  if (s.device != "cpu") text += " --device " + s.device + " --precision " + s.precision;
  if (!s.data.empty()) text += std::string(", JPEGs by ") + lamina::jpeg_decoder;
  return text;
}
inline std::string same_pictures(const Leaves& leaves) {
  char text[128];
  std::snprintf(text, sizeof text, "%td training and %td validation pictures, fingerprint %016llx", leaves.train.size(), leaves.validation.size(),
                static_cast<unsigned long long>(leaves.train.fingerprint() ^ 31 * leaves.validation.fingerprint()));
  return text;
}

/// Throws lamina::Error if there is no such folder and none can be made.
inline void make_folder(const std::filesystem::path& folder) {
  std::error_code failed, unknown;
  std::filesystem::create_directories(folder, failed);
  const auto status = std::filesystem::status(folder, unknown);
  if (!std::filesystem::is_directory(status))
    throw lamina::Error("cannot make the folder \"", folder.string(), "\" of --out: ", std::filesystem::exists(status) ? "a file has that name" : failed.message(), "; give another");
}

inline void say_what(const Leaves& leaves) {
  std::printf("%td training and %td validation pictures of %zu classes, %s\n", leaves.train.size(), leaves.validation.size(), leaves.train.classes.size(), printable(leaves.origin).c_str());
}

/// Trains, and tells people. Returns the program's exit code. Throws lamina::Error.
template <class Model> int train_model(Model& model, const TrainSettings& s, const std::string& command, const Leaves& leaves, lamina::AugmentationIterator& train, lamina::EvaluationIterator& validation,
                                       const Recipe& r, lamina::StopOnSignal& signals, int replicas) {
  using namespace lamina;
  Checkpoint checkpoint(s.out, leaves.train.classes, same_settings(s, leaves, replicas), same_pictures(leaves));
  ReportWriter report(s, command, leaves, checkpoint);
  FitResult result;
  try {
    result = fit(model, train, validation, r.optimizer, r.schedule, {.epochs = s.epochs, .stop_after = s.stop_after}, signals, StopOnNaN{}, checkpoint,
                 ProgressBar{}, EpochTimer{}, report);
  } catch (const std::exception& e) {
    report.failed(e.what());
    throw;
  }
  if (!lamina::detail::leads(model)) return 0;
  if (checkpoint.best_epoch()) std::printf("best validation accuracy %.2f %% in epoch %td; ", 100 * checkpoint.best_accuracy(), checkpoint.best_epoch());
  if (const auto page = s.out / "report.html"; std::filesystem::exists(page)) std::printf("report: %s\n", printable(page).c_str());
  if (!result.stopped.empty()) std::printf("stopped because %s; the same command goes on\n", result.stopped.c_str());
  return signals.caught() ? 128 + signals.caught() : 0;
}

}  // namespace tomato
