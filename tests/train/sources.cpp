// What fit() and evaluate() are given: the library's own iterators, soft targets, batches that make no sense, pictures that are no numbers.
#include <doctest/doctest.h>
#include <lamina/lamina.hpp>

#include <cmath>
#include <limits>

#include "../support/temporary.hpp"

using namespace lamina;

namespace {
struct Net : Network<Input<8, 8, 3>, Conv<4, 3>, ReLU, MaxPool<2>, Flatten, Dense<3>> {};
using M = Model<Net, Cpu>;

/// One batch of four samples.
struct One {
  std::vector<float> x = std::vector<float>(4 * 8 * 8 * 3);
  std::vector<std::int32_t> label{0, 1, 2, 1};
  std::vector<float> target;
  bool labelled = true, done = false;
  Index count = 4, promised = 1;
  One() {
    const Random random(1, Stream::initialize);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = float(random.uniform(Index(i), 0, 1));
  }
  Shape shape() const { return {8, 8, 3}; }
  Index samples() const { return count; }
  Index batches() const { return promised; }
  Index batch_size() const { return 4; }
  void start(Index, Index first) { done = first > 0; }
  bool next(Batch& b) {
    if (done) return false;
    b = {.n = 4, .x = x.data(), .label = labelled ? label.data() : nullptr, .target = target.empty() ? nullptr : target.data()};
    return done = true;
  }
};

Dataset pictures(int classes) {
  Dataset d;
  for (int c = 0; c < classes; ++c) d.classes.push_back(std::string(1, char('a' + c)));
  for (int i = 0; i < 4 * classes; ++i) d.add({8, 8, 3, std::vector<std::uint8_t>(8 * 8 * 3, std::uint8_t(40 * (i % classes)))}, i % classes);
  return d;
}
}  // namespace

TEST_CASE("fit and evaluate are found beside the iterators, without lamina::") {
  AugmentationIterator train(pictures(3), {.size = {8, 8}, .batch = 4});
  EvaluationIterator val(pictures(3), {.size = {8, 8}, .batch = 4});
  M model({.batch = 4});
  CHECK(fit(model, train, val, Adam{}, Constant{}, {.epochs = 1}).steps == 3);
  CHECK(evaluate(model, val).samples() == 12);
}

TEST_CASE("a source that hands out fewer batches than it has is refused, and one that hands out more") {
  for (const Index promised : {2, 0}) {
    One train, val;
    train.promised = promised;
    M model({.batch = 4});
    CHECK_THROWS_WITH_AS(fit(model, train, val, Adam{}, Constant{}, {.epochs = 1}), doctest::Contains("handed out 1: its batches() and its next() have to agree"), Error);
  }
}

TEST_CASE("data of another number of classes is refused before the first step") {
  AugmentationIterator train(pictures(5), {.size = {8, 8}, .batch = 4});
  EvaluationIterator other(pictures(5), {.size = {8, 8}, .batch = 4});
  One val;
  M model({.batch = 4});
  CHECK_THROWS_WITH_AS(fit(model, train, val, Adam{}, Constant{}, {.epochs = 1}), doctest::Contains("of 5 classes and the network tells 3 apart"), Error);
  CHECK_THROWS_WITH_AS(evaluate(model, other), doctest::Contains("end it with Dense<5>"), Error);
}

TEST_CASE("soft targets can be validated, too") {
  One train, val;
  val.target = {0.1f, 0.7f, 0.2f, 0, 0, 1, 1, 0, 0, 0.2f, 0.2f, 0.6f};
  val.labelled = false;
  M model({.batch = 4});
  const auto result = fit(model, train, val, Adam{}, Constant{}, {.epochs = 1});
  CHECK(result.validation.truth == std::vector<std::int32_t>{1, 2, 0, 2});
}

TEST_CASE("where a batch has labels and targets, the targets count") {
  One alone, both, labels;
  alone.target = both.target = {0.1f, 0.7f, 0.2f, 0, 0, 1, 0, 0, 1, 0.2f, 0.2f, 0.6f};      // of each class another number than of labels
  alone.labelled = false;
  M model({.batch = 4, .loss = {.smoothing = 0.1, .class_weights = {1, 2, 3}}});
  const Evaluation a = evaluate(model, alone), b = evaluate(model, both), c = evaluate(model, labels);
  CHECK((a.loss == b.loss && a.accuracy == b.accuracy && a.truth == b.truth));
  CHECK((a.loss > 0 && a.loss != c.loss && a.truth != c.truth));
  Index right = 0;
  for (Index i = 0; i < 4; ++i) right += a.predicted(i) == a.truth[std::size_t(i)];
  CHECK(b.accuracy == double(right) / 4);
}

TEST_CASE("a batch without labels, or with labels that are no classes, gets a sentence") {
  One good, bad;
  M model({.batch = 4, .loss = {.class_weights = {1, 2, 3}}});
  bad.label[2] = 7;
  CHECK_THROWS_WITH_AS(fit(model, bad, good, Adam{}, Constant{}, {.epochs = 1}), doctest::Contains("label 7 and the network tells 3 classes apart, 0 to 2"), Error);
  bad.label[2] = -1;
  CHECK_THROWS_WITH_AS(evaluate(model, bad), doctest::Contains("label -1"), Error);
  bad.labelled = false;
  CHECK_THROWS_WITH_AS(evaluate(model, bad), doctest::Contains("neither labels nor targets"), Error);
  bad.count = 0;
  CHECK_THROWS_WITH_AS(fit(model, bad, good, Adam{}, Constant{}, {.epochs = 1}), doctest::Contains("no samples"), Error);
}

TEST_CASE("bytes for a device that takes numbers get a sentence") {
  AugmentationIterator train(pictures(3), {.size = {8, 8}, .batch = 4});
  M model({.batch = 4});
  train.hand_out_pictures(&model);
  train.start(0, 0);
  Batch b;
  REQUIRE(train.next(b));
  CHECK_THROWS_WITH_AS(model.forward_training(b), doctest::Contains("say hand_out_pictures(nullptr) to its source"), Error);
}

TEST_CASE_TEMPLATE("a NaN in a picture reaches the loss, fused or not", D, Cpu, Unfused<Cpu>) {
  One train, val;
  train.x[100] = std::numeric_limits<float>::quiet_NaN();
  const lamina_test::TemporaryFolder folder;
  Model<Net, D> model({.batch = 4});
  CHECK_THROWS_WITH_AS(fit(model, train, val, Adam{}, Constant{}, {.epochs = 3}, StopOnNaN{}, Checkpoint{folder.path}), doctest::Contains("no longer a number"), Error);
  CHECK_FALSE(std::filesystem::exists(folder.path / "last.safetensors"));
}

TEST_CASE("a training that stopped early has stopped: its command does nothing more") {
  const lamina_test::TemporaryFolder folder;
  const auto run = [&] {
    One train, val;
    M model({.batch = 4});
    const auto result = fit(model, train, val, Adam{.rate = 0.1}, Constant{}, {.epochs = 50}, EarlyStopping{.patience = 2, .min_delta = 100}, Checkpoint{folder.path});
    CHECK(result.stopped.find("has not got better") != std::string::npos);
    return read_file_whole(folder.path / "last.safetensors");
  };
  const std::string first = run();
  CHECK(run() == first);
}

TEST_CASE("a checkpoint of another optimizer is refused") {
  const lamina_test::TemporaryFolder folder;
  One train, val;
  M model({.batch = 4});
  fit(model, train, val, Adam{}, Constant{}, {.epochs = 1}, Checkpoint{folder.path});
  CHECK_THROWS_WITH_AS(fit(model, train, val, RMSprop{.momentum = 0.9}, Constant{}, {.epochs = 2}, Checkpoint{folder.path}),
                       doctest::Contains("with the optimizer Adam and this one has RMSprop"), Error);
}

TEST_CASE("options that make no sense") {
  CHECK_THROWS_WITH_AS(M({.loss = {.class_weights = {0, 0, 0}}}), doctest::Contains("not all of them 0"), Error);
  CHECK_THROWS_WITH_AS(M({.loss = {.class_weights = {1, -1, 1}}}), doctest::Contains("from 0 up"), Error);
  One train, val;
  M model({.batch = 4});
  CHECK_THROWS_WITH_AS(fit(model, train, val, Adam{.epsilon = -5}, Constant{}, {.epochs = 1}), doctest::Contains("epsilon"), Error);
  CHECK_THROWS_WITH_AS(fit(model, train, val, RMSprop{.epsilon = std::nan("")}, Constant{}, {.epochs = 1}), doctest::Contains("epsilon"), Error);
}
