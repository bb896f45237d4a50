/// fit() learns, stops, accumulates gradients and refuses what does not fit.
#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <limits>
#include <thread>

#include <lamina/lamina.hpp>

#include "../support/halves.hpp"

using namespace lamina;
using lamina_test::Halves;

namespace {
struct Net : Network<Input<8, 8, 1>, Conv<4, 3>, ReLU, MaxPool<2>, Flatten, Dense<8>, ReLU, Dropout<20>, Dense<2>> {};
using M = Model<Net, Cpu>;

std::vector<float> weights(M& m) { return {m.parameters(), m.parameters() + M::parameter_count}; }

struct Count {
  int started = 0, steps = 0, epochs = 0, finished = 0;
  template <class R> void start(R&) { ++started; }
  template <class R> void step(R&) { ++steps; }
  template <class R> void epoch(R&) { ++epochs; }
  template <class R> void finish(R&) { ++finished; }
};
/// Batches that come late.
struct Late : Halves {
  using Halves::Halves;
  static constexpr double seconds = 0.02;
  bool next(Batch& b) {
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    return Halves::next(b);
  }
};
struct Interrupt {
  template <class R> void step(R&) { std::raise(SIGINT); }
};
/// A weight becomes infinite.
struct Spoil {
  template <class R> void step(R& run) { run.model.parameters()[0] = std::numeric_limits<float>::infinity(); }
};
}  // namespace

TEST_CASE("fit learns which half is brighter, and calls its callbacks") {
  M model({.batch = 64, .seed = 1});
  Halves train(500, 32, 1), val(200, 64, 2);
  Count count;
  const FitResult r = fit(model, train, val, Adam{.rate = 3e-3}, Constant{}, {.epochs = 6}, count);
  REQUIRE(r.history.size() == 6);
  CHECK(r.steps == 6 * 16);
  CHECK(count.started == 1);
  CHECK(count.steps == 6 * 16);
  CHECK(count.epochs == 6);
  CHECK(count.finished == 1);
  CHECK(r.history.back().val_accuracy > 0.97);
  CHECK(r.history.back().loss < 0.5 * r.history.front().loss);
  CHECK(r.validation.samples() == 200);
  CHECK(r.validation.confusion.accuracy() == doctest::Approx(r.history.back().val_accuracy));
  CHECK(r.stopped.empty());
}

TEST_CASE("the timer tells what a training waited for its batches, and all parts of its time") {
  M model({.batch = 32, .seed = 1});
  Late train(128, 32, 1);
  Halves val(32, 32, 2);
  EpochTimer timer;
  timer.print = false;
  fit(model, train, val, Sgd{.rate = 0.01}, Constant{}, {.epochs = 3}, timer);
  CHECK(timer.images == 3 * 128);
  CHECK(timer.wait >= 3 * 4 * Late::seconds);
  CHECK(timer.wait + timer.forward + timer.backward + timer.update <= timer.seconds);
  CHECK(timer.forward + timer.backward + timer.update > 0);
  CHECK(timer.validation > 0);
}

TEST_CASE("the same seed gives the same bits, another seed others") {
  const auto run = [](std::uint64_t seed, int threads) {
    M model({.batch = 64, .seed = seed}, Cpu(threads));
    Halves train(300, 32, 1), val(64, 64, 2);
    fit(model, train, val, Sgd{.rate = 0.05, .momentum = 0.9}, Constant{}, {.epochs = 2});
    return weights(model);
  };
  CHECK(run(1, 1) == run(1, 3));
  CHECK(run(1, 1) != run(2, 1));
}

TEST_CASE("gradients accumulated over batches make the step of the batch they add up to") {
  const auto run = [](Index batch, Index accumulate) {
    Model<Net, Cpu, double> model({.batch = 64, .seed = 1});
    Halves train(150, batch, 1), val(64, 64, 2);            // 150 = 2 * 64 + 22: the last group is a smaller one
    const FitResult r = fit(model, train, val, Sgd{.rate = 0.05}, Constant{}, {.epochs = 2, .accumulate = accumulate});
    CHECK(r.steps == 6);
    return std::vector<double>(model.parameters(), model.parameters() + model.parameter_count);
  };
  const auto whole = run(64, 1), parts = run(16, 4);
  for (std::size_t i = 0; i < whole.size(); ++i) CHECK(whole[i] == doctest::Approx(parts[i]).epsilon(1e-9));
}

TEST_CASE("stop_after stops in the middle of an epoch") {
  M model({.batch = 64, .seed = 1});
  Halves train(500, 32, 1), val(64, 64, 2);
  Count count;
  const FitResult r = fit(model, train, val, Sgd{.rate = 0.05}, Constant{}, {.epochs = 5, .stop_after = 20}, count);
  CHECK(r.steps == 20);
  CHECK(r.history.size() == 1);
  CHECK(r.stopped == "it was told to stop after 20 steps");
  CHECK(count.finished == 1);
}

TEST_CASE("a signal stops the training under way and not the next") {
  M model({.batch = 64, .seed = 1});
  Halves train(64, 32, 1), val(64, 64, 2);
  CHECK(fit(model, train, val, Sgd{}, Constant{}, {.epochs = 2}, Interrupt{}, StopOnSignal{}).stopped == "it was interrupted");
  CHECK(fit(model, train, val, Sgd{}, Constant{}, {.epochs = 2}, StopOnSignal{}).stopped == "");
}

TEST_CASE("clipping bounds the step") {
  M model({.batch = 64, .seed = 1});
  const auto before = weights(model);
  Halves train(32, 32, 1), val(64, 64, 2);
  fit(model, train, val, Sgd{.rate = 1}, Constant{}, {.epochs = 1, .clip = Clip::global_norm(0.01)});
  const auto after = weights(model);
  double square = 0;
  for (std::size_t i = 0; i < before.size(); ++i) square += (double(after[i]) - double(before[i])) * (double(after[i]) - double(before[i]));
  CHECK(std::sqrt(square) == doctest::Approx(0.01).epsilon(1e-3));
}

TEST_CASE("early stopping and a loss that is no number end a training") {
  M model({.batch = 64, .seed = 1});
  Halves train(64, 32, 1), val(64, 64, 2);
  const FitResult r = fit(model, train, val, Sgd{.rate = 0}, Constant{}, {.epochs = 50}, EarlyStopping{.patience = 2});
  CHECK(r.history.size() == 3);
  CHECK(r.stopped == "the validation loss has not got better since epoch 1");
  CHECK_THROWS_WITH_AS(fit(model, train, val, Sgd{.rate = 1e20}, Constant{}, {.epochs = 5}, StopOnNaN{}),
                       doctest::Contains("the loss is no longer a number"), Error);
}

TEST_CASE("a validation loss or weights that are no numbers end a training before they are saved") {
  M model({.batch = 64, .seed = 1});
  Halves train(64, 32, 1), val(64, 64, 2);
  Count after;
  const auto last_step = [](double rate, const Moment& m) { return m.step == 1 ? rate : 0; };    // so that the loss of every training batch is a number
  CHECK_THROWS_WITH_AS(fit(model, train, val, Sgd{.rate = 1e29}, last_step, {.epochs = 5}, StopOnNaN{}, after),
                       doctest::Contains("the validation loss is no longer a number, in epoch 1: begin again with a lower learning rate"), Error);
  M other({.batch = 64, .seed = 1});
  CHECK_THROWS_WITH_AS(fit(other, train, val, Sgd{}, Constant{}, {.epochs = 5, .stop_after = 1}, Spoil{}, StopOnNaN{}, after),
                       doctest::Contains("the sum of the weights is no longer a number, in epoch 1"), Error);
  CHECK(after.epochs + after.finished == 0);
}

TEST_CASE("what does not fit is refused in a sentence") {
  M model({.batch = 16, .seed = 1});
  Halves train(64, 32, 1), val(64, 16, 2);
  CHECK_THROWS_WITH_AS(fit(model, train, val, Sgd{}, Constant{}, {}), "batches of 32 samples do not go into a model made for 16: say Model({.batch = ...})", Error);
  CHECK_THROWS_WITH_AS(fit(model, val, val, Sgd{}, Constant{}, {.stop_after = -1}), "FitOptions{.epochs = 1, .accumulate = 1, .stop_after = -1}: they are at least 0, 1 and 0", Error);
  struct Wide : Network<Input<8, 9, 1>, Flatten, Dense<2>> {};
  Model<Wide, Cpu> wide({.batch = 32});
  CHECK_THROWS_WITH_AS(fit(wide, train, val, Sgd{}, Constant{}, {}), "the pictures are 8x8x1 and the network takes 8x9x1: give the iterator that size", Error);
}
