#include <lamina/lamina.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "../support/nets.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
struct Net : Network<Input<12, 10, 3>, Block<8>, ConvNorm<12, 3>, ReLU, Equal<12>, Dropout<30>, Flatten, Dense<20>, ReLU, Dense<5>> {};
/// All of it on the ways that run in vectors.
struct Vectors : Network<Input<12, 10, 3>, Block<32>, ConvNorm<32, 3>, ReLU, Block<64>, Flatten, Dense<64>, ReLU, Dense<32, no_bias>, ReLU, Dense<5>> {};
struct Tiny : Network<Input<1, 1, 2>, Dense<3, no_bias>> {};
using M = Model<Net, Cpu>;
using TinyModel = Model<Tiny, Cpu>;

constexpr Index n = 11;
/// A batch that stays.
struct Data {
  std::vector<float> x = std::vector<float>(n * size(Net::input)), target = std::vector<float>(n * 5);
  std::int32_t label[n];
  Data() {
    const Random random(4, Stream::test);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = float(random.uniform(Index(i), -1, 1));
    for (Index i = 0; i < n; ++i) label[i] = std::int32_t(random.at(1).below(i, 5));
    for (std::size_t i = 0; i < target.size(); ++i) target[i] = float(random.at(2)(Index(i)) / 2.5);
  }
  Batch part(Index first, Index count) const { return {.n = count, .first = first, .x = x.data() + first * size(Net::input), .label = label + first}; }
  Batch all() const { return part(0, n); }
};
std::vector<float> copy(const float* from, Index count) { return {from, from + count}; }
/// What a training step leaves: gradients, losses, state.
std::vector<float> step(M& model, const Batch& batch) {
  model.zero_gradients();
  model.backpropagate(batch);
  auto all = copy(model.gradients(), M::parameter_count);
  all.insert(all.end(), model.losses(), model.losses() + batch.n);
  all.insert(all.end(), model.state(), model.state() + M::state_count);
  return all;
}
}  // namespace

TEST_CASE("a training step has the same bits for any number of threads") {
  const Data data;
  M one({.batch = n, .seed = 3}, Cpu(1));
  const auto expected = step(one, data.all());
  const auto scores = copy(one.forward(data.x.data(), n), n * 5);
  for (int threads : {2, 3, 8}) {
    M model({.batch = n, .seed = 3}, Cpu(threads));
    CHECK(step(model, data.all()) == expected);
    CHECK(copy(model.forward(data.x.data(), n), n * 5) == scores);
  }
}

TEST_CASE("a step does not depend on the size a model is made for, nor on what it did before") {
  const Data data;
  M fitting({.batch = 4, .seed = 3}), large({.batch = 50, .seed = 3}), used({.batch = n, .seed = 3});
  const auto expected = step(fitting, data.part(2, 4));
  CHECK(step(large, data.part(2, 4)) == expected);
  const auto state = copy(used.state(), M::state_count);
  step(used, data.all()), used.forward(data.x.data(), n), used.evaluate(data.all());
  std::copy(state.begin(), state.end(), used.state());
  CHECK(step(used, data.part(2, 4)) == expected);
}

TEST_CASE("gradients are added, and the parts of a batch add up to it") {
  struct Plain : Network<Input<12, 10, 3>, Block<8>, Dropout<30>, Flatten, Dense<5>> {};    // without batch norm, which sees its own part only
  const Data data;
  Model<Plain, Cpu, double> whole({.batch = n}), parts({.batch = n});
  whole.backpropagate(data.all());
  parts.backpropagate(data.part(0, 4), n, 0), parts.backpropagate(data.part(4, n - 4), n, 4);
  double worst = 0, largest = 0;
  for (Index i = 0; i < whole.parameter_count; ++i) {
    worst = std::max(worst, std::abs(whole.gradients()[i] - parts.gradients()[i])), largest = std::max(largest, std::abs(whole.gradients()[i]));
  }
  CHECK(largest > 1e-3);
  CHECK(worst < 1e-15 + 1e-13 * largest);
  CHECK(parts.totals().loss() == doctest::Approx(whole.totals().loss()).epsilon(1e-13));
  CHECK(parts.totals().samples == n);
}

TEST_CASE("the seed decides the weights, the clock the masks") {
  const Data data;
  M a({.batch = n, .seed = 3}), b({.batch = n, .seed = 3}), c({.batch = n, .seed = 4});
  const auto weights = [](M& m) { return copy(m.parameters(), M::parameter_count); };
  CHECK(weights(a) == weights(b));
  CHECK(weights(a) != weights(c));
  const auto at_0 = step(a, data.all());
  b.set_clock(1);
  CHECK(step(b, data.all()) != at_0);
  M d({.batch = n, .seed = 3});
  d.set_clock(1), d.set_clock(0);
  CHECK(step(d, data.all()) == at_0);
}

TEST_CASE("weights are the same in float and double, fused or not") {
  M a({.seed = 9});
  Model<Net, Unfused<Cpu>> b({.seed = 9});
  Model<Net, Cpu, double> c({.seed = 9});
  CHECK(M::parameter_count == c.parameter_count);
  CHECK(copy(a.parameters(), M::parameter_count) == copy(b.parameters(), M::parameter_count));
  for (Index i = 0; i < M::parameter_count; ++i) REQUIRE(double(a.parameters()[i]) == c.parameters()[i]);
}

TEST_CASE("by hand: two numbers, three classes") {
  TinyModel model({.batch = 2});
  REQUIRE(model.tensors().size() == 1);
  const float w[6] = {1, 0, 2, 0, 1, 3};                          // (2, 3)
  std::copy(w, w + 6, model.parameters());
  const float x[4] = {1, 2, 0, 0};
  const std::int32_t label[2] = {2, 1};
  const float* y = model.forward(x, 2);
  CHECK(copy(y, 6) == std::vector<float>{1, 2, 8, 0, 0, 0});
  model.backpropagate({.n = 2, .x = x, .label = label});
  const double e1 = std::exp(-7.0), e2 = std::exp(-6.0), sum = 1 + e1 + e2;
  CHECK(model.losses()[0] == doctest::Approx(std::log(sum)).epsilon(1e-5));
  CHECK(model.losses()[1] == doctest::Approx(std::log(3.0)).epsilon(1e-6));
  const double p[3] = {e1 / sum, e2 / sum, 1 / sum - 1};           // softmax minus one-hot; the second picture is black and says nothing
  for (int k = 0; k < 3; ++k) {
    CHECK(double(model.gradients()[k]) == doctest::Approx(0.5 * 1 * p[k]).epsilon(1e-3));
    CHECK(double(model.gradients()[3 + k]) == doctest::Approx(0.5 * 2 * p[k]).epsilon(1e-3));
  }
  CHECK(model.totals().samples == 2);
  CHECK(model.totals().correct == 1);                             // of three equal scores the first wins, which is not class 1
  CHECK(model.totals().loss() == doctest::Approx(std::log(sum) + std::log(3.0)).epsilon(1e-6));
  model.evaluate({.n = 1, .x = x, .label = label});
  CHECK(model.totals().samples == 3);
  CHECK(model.totals().correct == 2);
  model.reset_totals();
  CHECK(model.totals().samples == 0);
  CHECK(model.totals().loss() == 0);
  CHECK(model.totals().correct == 0);
}

TEST_CASE("soft targets, and another loss") {
  const Data data;
  Batch batch = data.all();
  batch.label = nullptr, batch.target = data.target.data();
  Model<Net, Cpu, float, MeanSquaredError> model({.batch = n});
  model.backpropagate(batch);
  double loss = 0;
  Model<Net, Cpu, float, MeanSquaredError> again({.batch = n});
  again.forward_training(batch);
  for (Index i = 0; i < n * 5; ++i) loss += std::pow(double(again.scores()[i]) - double(data.target[std::size_t(i)]), 2) / 5;
  CHECK(model.totals().loss() == doctest::Approx(loss).epsilon(1e-5));
}

TEST_CASE("inference: no dropout, running values, and the batch does not matter") {
  const Data data;
  M model({.batch = n});
  step(model, data.all());
  const auto together = copy(model.forward(data.x.data(), n), n * 5);
  for (Index i = 0; i < n; ++i) {
    const auto alone = copy(model.forward(data.x.data() + i * size(Net::input), 1), 5);
    for (int k = 0; k < 5; ++k) REQUIRE(alone[std::size_t(k)] == doctest::Approx(together[std::size_t(i * 5 + k)]).epsilon(1e-4));
  }
  const auto evaluated = copy(model.evaluate(data.all()), n * 5);
  CHECK(evaluated == together);
}

TEST_CASE("the named tensors lie apart, on cache lines, in the order of the layers") {
  const auto tensors = M({.batch = 1}).tensors();
  CHECK(tensors.front().name == "0.weight");
  CHECK(tensors[1].name == "0.bias");
  std::set<std::string> names;
  Index learned = 0, end = 0, state_end = 0;
  for (const auto& t : tensors) {
    names.insert(t.name);
    Index& last = t.learned ? end : state_end;
    CHECK(t.at >= last);
    CHECK(t.at % 16 == 0);
    last = t.at + t.dims.count();
    if (t.learned) learned += t.dims.count();
  }
  CHECK(names.size() == tensors.size());
  CHECK(learned == Net::parameters);
  CHECK(end <= M::parameter_count);
  CHECK(state_end <= M::state_count);
  CHECK(names.contains("4.running_mean"));       // Conv 0, ReLU 1, MaxPool 2, Conv 3, BatchNorm 4
}

TEST_CASE("what makes no sense is an error") {
  CHECK_THROWS_WITH_AS(M({.batch = 0}), "a model for batches of 0 samples: say Model({.batch = ...}) with at least 1", Error);
  const Data data;
  M model({.batch = 10});
  CHECK_THROWS_WITH_AS(model.forward(data.x.data(), 11), "a batch of 11 samples does not go into a model made for 1 to 10: say Model({.batch = ...})", Error);
  CHECK_THROWS_AS(model.backpropagate(data.all()), Error);
  CHECK_THROWS_AS(model.evaluate(data.all()), Error);
  CHECK_THROWS_AS(model.forward(data.x.data(), 0), Error);
  model.forward(data.x.data(), 10);              // and it goes on
  CHECK_THROWS_AS((Model<Net, Cpu>({.loss = {.class_weights = {1, 2}}})), Error);
}

namespace {
template <class D, class Opt> std::vector<float> trained(bool at_once, const Opt& opt, int threads) {
  const Data data;
  Model<Vectors, D> model({.batch = n, .seed = 3}, D(threads));
  OptimizerState<Opt, D, float> state(model.device(), opt, model.parameter_count);
  for (int t = 0; t < 5; ++t) {
    model.forward_training(data.all());
    if (at_once) {
      model.learn(state, 0.01);
    } else {
      model.backward();
      state.step(model.parameters(), model.gradients(), 0.01);
      model.zero_gradients();
    }
    CHECK(copy(model.gradients(), model.parameter_count) == std::vector<float>(std::size_t(model.parameter_count)));
  }
  return copy(model.parameters(), model.parameter_count);
}
template <class Opt> void check_learn(const Opt& opt) {
  const std::vector<float> apart = trained<Cpu>(false, opt, 2);
  for (int threads : {1, 2, 3, 8}) CHECK(trained<Cpu>(true, opt, threads) == apart);
}
}  // namespace

TEST_CASE("learn() has the bits of backward(), step() and zero_gradients(), for any number of threads") {
  check_learn(Sgd{.momentum = 0.9}), check_learn(AdamW{}), check_learn(RMSprop{.centered = true}), check_learn(Adagrad{});
}

TEST_CASE("in vectors a training ends near where plain loops end") {
  const std::vector<float> found = trained<Cpu>(true, Sgd{.momentum = 0.9}, 2), expected = trained<Unfused<Cpu>>(false, Sgd{.momentum = 0.9}, 2);
  for (std::size_t i = 0; i < found.size(); ++i) REQUIRE(found[i] == doctest::Approx(expected[i]).epsilon(1e-4));
}

TEST_CASE("soft targets of more numbers than a picture has, in double") {
  struct Wide : Network<Input<1, 1, 2>, Dense<64>> {};
  Model<Wide, Cpu, double> model({.batch = 8, .seed = 1});
  std::vector<float> x(16, 0.5f), target(8 * 64);
  for (std::size_t i = 0; i < 8; ++i) target[64 * i + i] = 1;
  model.backpropagate({.n = 8, .x = x.data(), .target = target.data()});
  const double soft = model.totals().loss();
  model.reset_totals();
  const std::int32_t label[] = {0, 1, 2, 3, 4, 5, 6, 7};
  model.backpropagate({.n = 8, .x = x.data(), .label = label});
  CHECK(model.totals().loss() == doctest::Approx(soft));
}
