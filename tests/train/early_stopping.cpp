#include <doctest/doctest.h>
#include <lamina/train/early_stopping.hpp>

#include <limits>
#include <string>
#include <vector>

using namespace lamina;

namespace {
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// The epoch after which it stops, from 1; 0 if it does not.
Index stops_after(EarlyStopping stopping, const std::vector<double>& values) {
  for (std::size_t i = 0; i < values.size(); ++i) if (stopping.observe(values[i])) return Index(i + 1);
  return 0;
}

/// As much of a Run as a callback looks at.
struct Row { double val_loss, val_accuracy; };
struct FakeRun {
  std::vector<Row> history;
  std::string stopped = {};
  void stop(std::string why) { if (stopped.empty()) stopped = why; }
};
}  // namespace

TEST_CASE("stops after patience epochs that were not better") {
  CHECK(stops_after({.patience = 2}, {5, 4, 4, 4, 4}) == 4);
  CHECK(stops_after({.patience = 2}, {5, 4, 4, 3, 3, 2, 2}) == 0);
  CHECK(stops_after({.patience = 1}, {5, 4, 6}) == 3);
  CHECK(stops_after({.patience = 0}, {5, 4, 6}) == 3);
  CHECK(stops_after({.patience = 3}, {5, 6, 7, 4, 5, 6, 4.5, 3}) == 7);
}

TEST_CASE("better means by more than min_delta, in the direction of the mode") {
  CHECK(stops_after({.patience = 1, .min_delta = 0.5}, {5, 4.6}) == 2);
  CHECK(stops_after({.patience = 1, .min_delta = 0.5}, {5, 4.4}) == 0);
  CHECK(stops_after({.patience = 2, .min_delta = 0.5}, {5, 4.6, 4.4}) == 0);           // measured from the best, not from the last
  CHECK(stops_after({.patience = 1, .mode = Mode::max}, {0.5, 0.6, 0.6}) == 3);
  CHECK(stops_after({.patience = 1, .min_delta = 0.2, .mode = Mode::max}, {0.5, 0.6}) == 2);
}

TEST_CASE("a value that is no number is never better, not even the first") {
  CHECK(stops_after({.patience = 2}, {5, not_a_number, not_a_number}) == 3);
  CHECK(stops_after({.patience = 2}, {not_a_number, 5, 4}) == 0);
  CHECK(stops_after({.patience = 2}, {not_a_number, not_a_number}) == 2);
}

TEST_CASE("epochs before first_epoch do not count") {
  CHECK(stops_after({.patience = 1, .first_epoch = 4}, {1, 2, 2, 5, 5}) == 5);
  EarlyStopping stopping{.patience = 1, .first_epoch = 3};
  for (double v : {1.0, 1.0, 4.0, 3.0}) CHECK(!stopping.observe(v));
  CHECK(stopping.state.best == 3);
  CHECK(stopping.state.best_epoch == 4);
}

TEST_CASE("a saved state goes on") {
  EarlyStopping first{.patience = 3}, second{.patience = 3};
  for (double v : {5.0, 4.0, 4.0, 4.0}) first.observe(v);
  second.state = first.state;
  CHECK(second.observe(4));
  CHECK(first.observe(4));
  CHECK(second.state == first.state);
}

TEST_CASE("as a callback it reads the history, and so survives a resume") {
  FakeRun run{{{5, 0.1}, {4, 0.2}}};
  EarlyStopping loss{.patience = 2}, accuracy{.patience = 2, .mode = Mode::max};
  loss.epoch(run), accuracy.epoch(run);
  run.history.push_back({4, 0.3});
  loss.epoch(run);
  CHECK(run.stopped.empty());
  run.history.push_back({4, 0.4});
  accuracy.epoch(run);
  CHECK(run.stopped.empty());
  EarlyStopping{.patience = 2}.epoch(run);       // the one of a resumed program, which saw none of it
  CHECK(run.stopped == "the validation loss has not got better since epoch 2");
  CHECK(accuracy.state.best_epoch == 4);
}
