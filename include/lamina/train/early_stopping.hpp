/// Stopping when the validation no longer gets better.
#pragma once
#include <algorithm>
#include <cmath>
#include <string>

#include "metrics.hpp"

namespace lamina {

/// Stops after `patience` epochs in a row that were not better than the best by more than min_delta: Keras's EarlyStopping, PyTorch Lightning's too.
/// As a callback of fit() it watches the validation loss with Mode::min and the validation accuracy with Mode::max; all it needs to
/// know is in the run's history, so that a resumed training stops where an unbroken one would have. A value that is no number is never better.
struct EarlyStopping {
  Index patience = 10;               // epochs; 0 stops at the first that is not better
  double min_delta = 0;
  Mode mode = Mode::min;
  Index first_epoch = 1;             // epochs before this one do not count: Keras's start_from_epoch + 1

  /// What it remembers; saved and written back as it is.
  struct State {
    Index epochs = 0;                // seen
    Index waited = 0;                // since the best
    Index best_epoch = 0;            // from 1; 0: none yet
    double best = 0;
    friend bool operator==(const State&, const State&) = default;
  };
  State state = {};

  /// Takes the value of one more epoch; true if it is time to stop.
  bool observe(double value) {
    if (++state.epochs < first_epoch) return false;
    const bool better = !std::isnan(value) && (!state.best_epoch || (mode == Mode::min ? value < state.best - min_delta : value > state.best + min_delta));
    if (better) {
      state.best = value, state.best_epoch = state.epochs, state.waited = 0;
      return false;
    }
    return ++state.waited >= std::max(patience, Index(1));
  }

  template <class R> void resumed(R& run) { epoch(run); }
  template <class R> void epoch(R& run) {
    state = {};
    bool stop = false;
    for (const auto& row : run.history) stop = observe(mode == Mode::min ? row.val_loss : row.val_accuracy);
    if (stop)
      run.stop("the validation " + std::string(mode == Mode::min ? "loss" : "accuracy") + " has not got better since epoch " + std::to_string(state.best_epoch));
  }
};

}  // namespace lamina
