/// What watches a training: the progress bar, the epoch timer, and what stops it early. Each is an object with some of start, step, epoch, finish.
#pragma once
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <string>

#include "early_stopping.hpp"
#include "fit.hpp"

namespace lamina {

namespace detail {
/// A loss with four digits after the point, or a large one with four that count.
[[gnu::cold]] inline std::string loss_text(double v) {
  char s[32];
  std::snprintf(s, sizeof s, std::abs(v) < 1e5 ? "%.4f" : "%.4g", v);
  return s;
}
}  // namespace detail

/// Seconds per epoch and where they went: one line after each epoch, and the totals afterwards.
class EpochTimer {
 public:
  double seconds = 0, wait = 0, forward = 0, backward = 0, update = 0, validation = 0;   // summed over the epochs
  Index images = 0;                                                                       // trained on
  bool print = true;

  template <class R> [[gnu::cold]] void epoch(R& run) {
    const EpochRow& e = run.now;
    seconds += e.seconds, wait += e.wait, forward += e.forward, backward += e.backward, update += e.update, validation += e.validation;
    images += run.samples;
    if (!print) return;
    std::printf("  %.2f s: waiting for data %.2f, forward %.2f, backward %.2f, update %.2f, validation %.2f; %.0f images/s\n", e.seconds, e.wait, e.forward, e.backward, e.update,
                e.validation, e.images_per_second);
    std::fflush(stdout);
  }
};

/// One line per epoch; on a terminal also a bar that moves, with the time left.
class ProgressBar {
 public:
  template <class R> [[gnu::cold]] void start(R& run) {
    terminal_ = isatty(STDOUT_FILENO);
    if (run.epoch >= run.options.epochs) std::printf("all %td epochs are done\n", run.options.epochs);
    else if (run.step) std::printf("going on after epoch %td, batch %td of %td\n", run.epoch, run.batch, run.batches);
    std::fflush(stdout);
    watch_.lap(), since_ = 0;
  }
  template <class R> void step(R& run) {
    seconds_ += watch_.lap();
    ++since_;
    if (!terminal_ || (seconds_ - drawn_ < 0.1 && run.batch < run.batches)) return;
    drawn_ = seconds_;
    const int width = 30, full = int(width * run.batch / run.batches);
    const Totals t = run.model.totals();
    std::printf("\repoch %td/%td [%.*s%.*s] %td/%td  loss %s  accuracy %5.2f %%  %s left ", run.epoch + 1, run.options.epochs, full, "==============================", width - full,
                "                              ", run.batch, run.batches, detail::loss_text(t.loss() / double(t.samples)).c_str(), 100 * double(t.correct) / double(t.samples), left(run).c_str());
    std::fflush(stdout);
  }
  template <class R> void epoch(R& run) {
    watch_.lap();
    const EpochRow& e = run.now;
    validation_ = e.validation;
    std::printf("%sepoch %td/%td  loss %s  accuracy %.2f %%  val_loss %s  val_accuracy %.2f %%  lr %.3g  %s left\n", terminal_ ? "\r\033[K" : "", e.epoch, run.options.epochs,
                detail::loss_text(e.loss).c_str(), 100 * e.accuracy, detail::loss_text(e.val_loss).c_str(), 100 * e.val_accuracy, e.rate, left(run).c_str());
    std::fflush(stdout);
  }

 private:
  /// The steps to come at the pace of those so far, and a validation after each epoch.
  template <class R> [[gnu::cold]] std::string left(const R& run) const {
    const Index epochs = run.options.epochs - run.epoch;
    return clock(seconds_ / double(since_ ? since_ : 1) * double(epochs * run.batches - run.batch) + double(epochs) * validation_);
  }
  [[gnu::cold]] static std::string clock(double seconds) {
    char s[32];
    const long t = std::lround(seconds);
    if (t >= 3600) std::snprintf(s, sizeof s, "%ld:%02ld:%02ld", t / 3600, t / 60 % 60, t % 60);
    else std::snprintf(s, sizeof s, "%ld:%02ld", t / 60, t % 60);
    return s;
  }
  bool terminal_ = false;
  detail::Stopwatch watch_;
  double seconds_ = 0, drawn_ = 0, validation_ = 0;      // of the steps of this call, when it was drawn last, of the last validation
  Index since_ = 0;                                      // steps
};

namespace detail {
inline volatile std::sig_atomic_t caught_signal = 0;
inline void catch_signal(int signal) { caught_signal = signal; }
}  // namespace detail

/// SIGINT, SIGTERM and SIGHUP end the training after the step under way; what comes after it in the list of callbacks still saves. `caught` says which it was.
/// A signal from before this was made does not count. A SIGHUP that is ignored when this is made, as nohup has it, stays ignored.
class StopOnSignal {
 public:
  [[gnu::cold]] StopOnSignal() {
    detail::caught_signal = 0;
    hang_up_ = std::signal(SIGHUP, detail::catch_signal);
    if (hang_up_ == SIG_IGN) std::signal(SIGHUP, SIG_IGN);
    std::signal(SIGINT, detail::catch_signal), std::signal(SIGTERM, detail::catch_signal);
  }
  [[gnu::cold]] ~StopOnSignal() { std::signal(SIGINT, SIG_DFL), std::signal(SIGTERM, SIG_DFL), std::signal(SIGHUP, hang_up_); }
  StopOnSignal(const StopOnSignal&) = delete;
  StopOnSignal& operator=(const StopOnSignal&) = delete;
  int caught() const { return detail::caught_signal; }

  template <class R> void start(R& run) { step(run); }
  template <class R> void step(R& run) {
    if (caught()) run.stop(caught() == SIGINT ? "it was interrupted" : caught() == SIGHUP ? "its terminal was closed" : "it was asked to terminate");
  }
  template <class R> void epoch(R& run) { step(run); }

 private:
  void (*hang_up_)(int);       // what SIGHUP did before
};

/// Ends the training at the first loss or weight that is not a number or infinite: throws Error. Before a Checkpoint in the list of callbacks no such weights are saved.
class StopOnNaN {
 public:
  template <class R> void step(R& run) { require("loss", run.model.totals().loss(), run.epoch + 1); }
  template <class R> void epoch(R& run) {
    require("validation loss", run.now.val_loss, run.epoch);
    require_weights(run, run.epoch);
  }
  template <class R> void finish(R& run) { if (run.batch) require_weights(run, run.epoch + 1); }

 private:
  template <class R> [[gnu::cold]] static void require_weights(R& run, Index epoch) {
    std::vector<typename R::Model::Parameter> w(std::size_t(run.model.program().parameters));
    run.model.device().download(w.data(), run.model.parameters(), w.size() * sizeof w[0]);
    double sum = 0;
    for (const auto v : w) sum += double(v);
    require("sum of the weights", sum, epoch);
  }
  [[gnu::cold]] static void require(const char* what, double value, Index epoch) {
    if (!std::isfinite(value))
      throw Error("the ", what, " is no longer a number, in epoch ", epoch, ": begin again with a lower learning rate or with clipping, "
                  "in another folder if this one has a checkpoint, which is from before");
  }
};

}  // namespace lamina
