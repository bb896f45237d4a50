/// Who won the races of a device's kernels, in a file of text. Its first line says what it is; then there is a line for each race: the device, the work, the runners, who won, the
/// microseconds of each, and a check sum of all that, between tabs.
#pragma once
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "../core/tuning.hpp"
#include "file.hpp"

namespace lamina {

/// device.tune(std::make_shared<TuningFile>("gpu.tuning")): what is in the file is believed, and what is not is timed and put there. Lines that are damaged, or of another device, driver or
/// version, stay as they are and count for nothing. The file is written whole or not at all, after every race; programs that share it take in each other's lines.
/// Throws Error if there is no such file and none can be made, or if it is something else: nothing is lost yet. If it cannot be written later on, all goes on without it, and problem() says why.
class TuningFile : public Tuning {
 public:
  [[gnu::cold]] explicit TuningFile(std::filesystem::path path) : path_(std::move(path)) {
    if (std::error_code unknown; std::filesystem::exists(path_, unknown) && !unknown) lines_ = read();
    else write_file_whole(path_, text());
  }

  [[gnu::cold]] int winner(const Race& race) override {
    const std::lock_guard alone(mutex_);
    int found = -1;
    for (const std::string& line : lines_)
      if (line.starts_with(begin(race)) && whole(line))
        for (std::size_t i = 0; i < race.runners.size(); ++i)
          if (line.substr(begin(race).size()).starts_with(race.runners[i] + "\t")) found = int(i);
    return found;
  }
  [[gnu::cold]] void keep(const Race& race, int winner, const std::vector<double>& seconds) override {
    const std::lock_guard alone(mutex_);
    std::string line = begin(race) + race.runners[std::size_t(winner)] + "\t", us;
    for (const double s : seconds) {
      char number[32];
      std::snprintf(number, sizeof number, "%s%.2f us", us.empty() ? "" : ", ", 1e6 * s);
      us += number;
    }
    line += us;
    found_.push_back({begin(race), line + "\t" + check_sum(line)});
    save();
  }
  /// Why the file could not be written the last time; "" if it was.
  std::string problem() const {
    const std::lock_guard alone(mutex_);
    return problem_;
  }

 private:
  struct Found { std::string begin, line; };
  static constexpr std::string_view head = "# Lamina: who won which race of kernels, format 1";

  static std::string begin(const Race& race) {
    std::string s = race.device + "\t" + race.work + "\t";
    for (std::size_t i = 0; i < race.runners.size(); ++i) s += (i ? " | " : "") + race.runners[i];
    return s + "\t";
  }
  /// Fowler, Noll and Vo's FNV-1a of 64 bits, in hexadecimal.
  static std::string check_sum(std::string_view bytes) {
    std::uint64_t sum = 0xcbf29ce484222325u;
    for (const char c : bytes) sum = (sum ^ std::uint8_t(c)) * 0x100000001b3u;
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(sum));
    return digits;
  }
  static bool whole(std::string_view line) {
    const std::size_t tab = line.rfind('\t');
    return tab != line.npos && line.substr(tab + 1) == check_sum(line.substr(0, tab));
  }

  /// The lines after the first. Throws Error if the file cannot be read, or is none of these.
  std::vector<std::string> read() const {
    const std::string bytes = read_file_whole(path_);
    std::vector<std::string> all;
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t end = std::min(bytes.find('\n', at), bytes.size());
      all.push_back(bytes.substr(at, end - at));
      at = end + 1;
    }
    if (all.empty() || (all.size() == 1 && head.starts_with(all[0]))) return {};                      // cut off in the first line
    if (all[0] != head) throw Error(path_, " is not a file of races, it begins with other words: give another name to tune with");
    all.erase(all.begin());
    return all;
  }
  std::string text() const {
    std::string s(head);
    for (const std::string& line : lines_) s += "\n" + line;
    return s + "\n";
  }
  /// Another program may have written it meanwhile, or be at it.
  void save() {
    for (int tries = problem_.empty() ? 5 : 1; tries > 0; --tries) try {
        std::error_code unknown;
        if (std::filesystem::exists(path_, unknown)) lines_ = read();
        for (const Found& f : found_) {
          std::erase_if(lines_, [&](const std::string& line) { return line.starts_with(f.begin) && whole(line); });
          lines_.push_back(f.line);
        }
        write_file_whole(path_, text());
        problem_.clear();
        return;
      } catch (const Error& e) {
        problem_ = e.what();
        if (tries > 1) std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
  }

  std::filesystem::path path_;
  std::vector<std::string> lines_;
  std::vector<Found> found_;                 // by this program
  std::string problem_;
  mutable std::mutex mutex_;
};

}  // namespace lamina
