/// What every C++ side of bench/compare shares: the command line, the clock of the steps, and the line that says how fast they were. Only the standard library.
#pragma once
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

namespace bench {

constexpr int classes = 10;
constexpr double rate = 1e-5, momentum = 0.9;   // so small that no run learns its batch by heart: then ReLU lets less through, and sparse gradients cost less

/// The number that follows an option. Ends the program if it is none, or not from `least` to `most`.
template <class N> N number(const char* option, const char* text, N least, N most) {
  N n{};
  const char* const end = text + std::strlen(text);
  const auto [at, error] = std::from_chars(text, end, n);
  if (error == std::errc() && at == end && n >= least && n <= most) return n;
  std::fprintf(stderr, "%s takes a number from %.10g to %.10g, not \"%s\"\n", option, double(least), double(most), text);
  std::exit(2);
}
inline int size_of(const char* text) { return number("--size", text, 1, 16384); }
inline int batch_of(const char* text) { return number("--batch", text, 1, 1 << 20); }
inline int threads_of(const char* text) { return number("--threads", text, 0, 4096); }
inline double seconds_of(const char* text) { return number("--seconds", text, 0.0, 86400.0); }

/// `threads` 0 is one for each core.
struct Work {
  std::string net = "leaf", mode;
  int size = 64, batch = 32, threads = 0;
  double seconds = 3;
  bool listed = false;            // in the form that programs read

  /// --mode is read only where `mode` does not say it, and `form` is the option for `listed`. Ends the program if the command line is not understood.
  static Work of(const char* program, const char* mode, int argc, char** argv, const char* form = "--json") {
    Work work{.mode = mode};
    for (int i = 1; i < argc; ++i) {
      const auto is = [&](const char* option) { return !std::strcmp(argv[i], option) && i + 1 < argc; };
      if (is("--net")) work.net = argv[++i];
      else if (!*mode && is("--mode")) work.mode = argv[++i];
      else if (is("--size")) work.size = size_of(argv[++i]);
      else if (is("--batch")) work.batch = batch_of(argv[++i]);
      else if (is("--threads")) work.threads = threads_of(argv[++i]);
      else if (is("--seconds")) work.seconds = seconds_of(argv[++i]);
      else if (!std::strcmp(argv[i], form)) work.listed = true;
      else work.mode = "?";
    }
    if (work.mode != "train" && work.mode != "predict") {
      std::fprintf(stderr, "%s %s[--net leaf|vgg11|resnet18|mobilenetv2] [--size 64] [--batch 32] [--threads 0] [--seconds 3] [%s]\n", program,
                   *mode ? "" : "--mode train|predict ", form);
      std::exit(2);
    }
    return work;
  }
};

/// Seconds, from some moment on.
inline double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// The times of steps. The first do not count: five of them, and half a second.
class Steps {
 public:
  explicit Steps(double seconds) : seconds_(seconds), begin_(now()), last_(begin_) { times_.reserve(1 << 16); }

  /// A step is over; false if it was the last.
  bool next() {
    const double t = now(), step = t - last_;
    last_ = t;
    if (warm_) {
      times_.push_back(step);
      return t - begin_ < seconds_ || times_.size() < 3;
    }
    if (++cold_ >= 5 && t - begin_ >= 0.5) warm_ = true, begin_ = t;
    return true;
  }
  std::size_t count() const { return times_.size(); }
  /// In seconds.
  double median() {
    std::sort(times_.begin(), times_.end());
    return times_[times_.size() / 2];
  }

 private:
  double seconds_, begin_, last_;
  bool warm_ = false;
  int cold_ = 0;
  std::vector<double> times_;
};

/// Memory of this process as the kernel has it, in MiB.
inline double status_mb(const char* field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind(field, 0) == 0) return std::atof(line.c_str() + std::strlen(field)) / 1024;   // the kernel counts in KiB
  return 0;
}
inline double rss_mb() { return status_mb("VmRSS:"); }
/// The most it has had: VmHWM, since getrusage would tell the parent's if that was larger.
inline double peak_rss_mb() { return status_mb("VmHWM:"); }

/// Who did the work. `parameters` are the numbers it learns, and `loss` is the mean of the last training step, below 0 if there was none.
struct Peer {
  std::string name, settings, version;
  int threads;
  long long parameters;
  double loss = -1;
};

/// The work of a step in floating-point operations by the direct formulas, and how many multiply-adds in registers these threads do in a second, each counting as two.
struct Direct { double flops = 0, roof = 0; };

/// One line. A way that does fewer operations than the direct formula, such as Winograd's, may be at more than 100 % of the roof.
inline void report(const Work& work, const Peer& peer, Steps& steps, const Direct& direct = {}) {
  const double ms = 1e3 * steps.median(), images_per_s = 1e3 * work.batch / ms;
  char loss[40] = "";
  if (peer.loss >= 0) std::snprintf(loss, sizeof loss, work.listed ? ", \"loss\": %.4f" : ", loss %.4f", peer.loss);
  if (work.listed)
    std::printf("{\"peer\": \"%s\", \"settings\": \"%s\", \"version\": \"%s\", \"mode\": \"%s\", \"net\": \"%s\", \"size\": %d, \"batch\": %d, \"threads\": %d, "
                "\"parameters\": %lld, \"images_per_s\": %.2f, \"step_ms_median\": %.4f, \"peak_rss_mb\": %.1f, \"steps\": %zu%s}\n",
                peer.name.c_str(), peer.settings.c_str(), peer.version.c_str(), work.mode.c_str(), work.net.c_str(), work.size, work.batch, peer.threads, peer.parameters,
                images_per_s, ms, peak_rss_mb(), steps.count(), loss);
  else {
    std::printf("%s %s %d x %d, batch %d, threads %d: %.1f images/s, %.3f ms a step (median of %zu), peak %.0f MB%s", work.mode.c_str(), work.net.c_str(),
                work.size, work.size, work.batch, peer.threads, images_per_s, ms, steps.count(), peak_rss_mb(), loss);
    if (const double rate = 1e3 * direct.flops / ms; direct.roof > 0)
      std::printf(", %.1f GFLOP/s of direct work, %.0f %% of the FMA roof of %.1f", rate / 1e9, 100 * rate / direct.roof, direct.roof / 1e9);
    std::printf("\n");
  }
}

}  // namespace bench
