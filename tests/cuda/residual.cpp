#include "../support/gpu.hpp"
#include <lamina/cuda/verbs.hpp>
#include <lamina/lamina.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "../support/nets.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
struct Res : Network<Input<6, 5, 3>, ConvNorm<8, 3>, ReLU, Equal<8>, Down<16>, DepthwiseConv<3>, BatchNorm, ReLU6, GlobalAvgPool, Dense<4>> {};

// Conv, Norm-ReLU; Split, Conv, Norm-ReLU, Conv, Norm-Add-ReLU; Split, Conv, Norm-ReLU, Conv, Norm, Conv, Norm-Add-ReLU; Conv, Norm-ReLU6, Pool, Dense
static_assert(Program<Res, Gpu, bf16>::table.count == 18);

/// The loss of each step of a training on the same eight pictures.
template <class T, class D> std::vector<double> losses(D dev, Index steps = 5) {
  constexpr Index n = 8;
  const Random random(8, Stream::test);
  std::vector<float> x(n * size(Res::input));
  std::int32_t label[n];
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = float(random.uniform(Index(i), -1, 1));
  for (Index i = 0; i < n; ++i) label[i] = std::int32_t(i % 4);
  Model<Res, D, T> model({.batch = n, .seed = 3}, dev);
  OptimizerState<Adam, D, float> adam(model.device(), {.rate = 5e-3}, model.parameter_count);
  std::vector<double> all;
  for (Index i = 0; i < steps; ++i) {
    model.set_clock(std::uint32_t(i));
    model.reset_totals();
    model.forward_training({.n = n, .x = x.data(), .label = label});
    model.learn(adam, 5e-3);
    all.push_back(model.totals().loss() / double(n));
  }
  return all;
}
}  // namespace

TEST_CASE("a residual network trains on a GPU as on the CPU, in bf16 nearly so") {
  const std::vector<double> cpu = losses<float>(Cpu(2)), in_float = losses<float>(Gpu()), in_bf16 = losses<bf16>(Gpu());
  CHECK(cpu.back() < cpu.front() - 0.2);                       // it learns
  for (std::size_t i = 0; i < cpu.size(); ++i) {
    CHECK(std::abs(in_float[i] - cpu[i]) < 1e-3 * cpu[i]);
    CHECK(std::abs(in_bf16[i] - cpu[i]) < 0.05 * cpu[i]);
  }
}

TEST_CASE("a residual network leaves the same bits every time") { CHECK(losses<bf16>(Gpu(1), 2) == losses<bf16>(Gpu(2), 2)); }
