#include "../support/gpu.hpp"
#include <lamina/cuda/verbs.hpp>
#include <lamina/lamina.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "../support/check_model.hpp"
#include "../support/integers.hpp"
#include "../support/nets.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
struct Leaf : Network<Input<16, 12, 3>, Block<16>, Block<32>, Flatten, Dense<32>, ReLU, Dropout<20>, Dense<5>> {};

constexpr Index n = 6, most_steps = 9;
/// Batches of n samples, the last of an epoch of three shorter.
struct Data {
  std::vector<float> x = std::vector<float>(3 * n * size(Leaf::input));
  std::int32_t label[3 * n];
  Data() {
    const Random random(4, Stream::test);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = float(random.uniform(Index(i), -1, 1));
    for (Index i = 0; i < 3 * n; ++i) label[i] = std::int32_t(random.at(1).below(i, 5));
  }
  Batch batch(Index i) const { return {.n = i % 3 < 2 ? n : n - 2, .first = i % 3 * n, .x = x.data() + i % 3 * n * size(Leaf::input), .label = label + i % 3 * n}; }
};

/// What a training leaves: its weights, and the loss of each step.
struct Trace { std::vector<float> w; std::vector<double> loss; };
template <class T, class D> Trace train(D dev, bool at_once = true, Index steps = most_steps) {
  const Data data;
  Model<Leaf, D, T> model({.batch = n, .seed = 3}, dev);
  OptimizerState<Adam, D, float> adam(model.device(), {.rate = 2e-3}, model.parameter_count);
  Trace t;
  for (Index i = 0; i < steps; ++i) {
    model.set_clock(std::uint32_t(i));
    model.reset_totals();
    model.forward_training(data.batch(i));
    if (at_once) model.learn(adam, 2e-3);
    else {
      model.backward();
      adam.step(model.parameters(), model.gradients(), 2e-3);
      model.zero_gradients();
    }
    const Totals totals = model.totals();
    CHECK(totals.samples == data.batch(i).n);
    t.loss.push_back(totals.loss() / double(totals.samples));
  }
  t.w.resize(std::size_t(model.parameter_count));
  model.device().download(t.w.data(), model.parameters(), t.w.size() * sizeof(float));
  return t;
}
double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {       // as far as both go
  double most = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}
}  // namespace

TEST_CASE("gradients of whole networks") {
  check_model<SmallLeaf, Gpu>();
  check_model<SmallRes, Gpu>();
  check_model<Branchy, Gpu>();
  check_model<Overlap, Gpu>();
}

TEST_CASE("the CPU and the GPU leave the same numbers") {
  check_same<SmallLeaf, Cpu, Gpu>(1e-12);
  check_same<SmallRes, Cpu, Gpu>(1e-10);
  check_same<Branchy, Cpu, Gpu>(1e-10);
  check_same<Overlap, Cpu, Gpu>(1e-11);
  check_same<Leaf, Cpu, Gpu>(1e-12);
}

TEST_CASE("a training in float follows the CPU's") {
  const Trace cpu = train<float>(Cpu()), gpu = train<float>(Gpu());
  CHECK(cpu.loss.front() > 1.5);
  CHECK(largest_difference(cpu.loss, gpu.loss) < 1e-4);
}

TEST_CASE("in bf16 a training learns alike, in tf32 more closely") {
  const Trace cpu = train<float>(Cpu());
  CHECK(largest_difference(cpu.loss, train<bf16>(Gpu()).loss) < 0.05);
  CHECK(largest_difference(cpu.loss, train<tf32>(Gpu(), true, 4).loss) < 0.01);
}

TEST_CASE("steps at once, one half after the other, and all anew: the same bits") {
  const Trace once = train<bf16>(Gpu()), again = train<bf16>(Gpu()), apart = train<bf16>(Gpu(), false);
  CHECK(once.w == again.w);
  CHECK(once.w == apart.w);
  CHECK(once.loss == apart.loss);
}

TEST_CASE("a Predictor gives the scores of its model, where nothing is folded to the bit") {
  const Data data;
  Model<Leaf, Gpu, bf16> model({.batch = n, .seed = 3}, Gpu());
  Predictor<Leaf, Gpu, bf16> predict(model, {.batch = n});
  std::vector<bf16> expected(std::size_t(n * 5)), found(expected.size());
  for (int times = 0; times < 3; ++times) {
    model.device().download(expected.data(), model.forward(data.x.data(), n), expected.size() * sizeof(bf16));
    predict.device().download(found.data(), predict(data.x.data(), n), found.size() * sizeof(bf16));
    for (std::size_t i = 0; i < found.size(); ++i) CHECK(found[i].bits == expected[i].bits);
  }
}

namespace {
/// Of a model on the CPU, after some steps.
template <class Net, class T> void check_predictor(double allowed) {
  INFO(name<Net>().s << " in " << sizeof(T) << " bytes");
  ModelOnTrial<Net, Cpu> trial;
  auto& model = trial.model();
  for (int t = 0; t < 3; ++t) trial.loss();
  constexpr Index count = trial.n * size(Net::output);
  Predictor<Net, Cpu, double> by_cpu(model, {.batch = trial.n});
  Predictor<Net, Gpu, T> by_gpu(model, {.batch = trial.n}, Gpu());
  const double* const scores = by_cpu(trial.batch().x, trial.n);
  std::vector<T> found(static_cast<std::size_t>(count));
  by_gpu.device().download(found.data(), by_gpu(trial.batch().x, trial.n), found.size() * sizeof(T));
  const std::vector<double> expected(scores, scores + count);
  CHECK(largest_error(found, expected) < allowed);
  const double* const of_model = model.forward(trial.batch().x, trial.n);
  CHECK(largest_error(std::vector<double>(of_model, of_model + count), expected) < 1e-13);
}
}  // namespace

TEST_CASE("predictions are the CPU's") {
  check_predictor<SmallRes, double>(1e-13);
  check_predictor<SmallRes, bf16>(0.02);
  check_predictor<Overlap, double>(1e-13);
}
