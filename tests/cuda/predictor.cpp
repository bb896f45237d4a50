/// Predictions on a GPU: with the batch norms of a network folded into its convolutions, with few launches, and those recorded.
#include "../support/gpu.hpp"
#include <lamina/cuda/verbs.hpp>
#include <lamina/nn/network.hpp>
#include <lamina/nn/pointwise.hpp>
#include <lamina/train/predictor.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "../support/integers.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
/// Of each way of a convolution one, with and without norm and bounds, and a norm that has none before it: eleven launches. In bf16 and tf32 a sum is cut into slices, which takes one more, as it does to round the pictures.
struct Folds : Network<Input<8, 8, 3>, BatchNorm, Conv<16, 3, 1, 1, no_bias>, BatchNorm, ReLU, Residual<Conv<16, 3>, KerasBatchNorm, ReLU6, Conv<16, 3, 1, 1, no_bias>, BatchNorm>, ReLU,
                       DepthwiseConv<3, 2, 1, no_bias>, BatchNorm, ReLU6, Conv<64, 1>, ReLU6, Conv<32, 3, 2>, BatchNorm, Conv<1, 3>, BatchNorm, Tanh, Flatten, Dense<4>> {};
/// Two blocks in one launch each, one whose pool overlaps and takes two, one with a pool of 3, a dense layer with ReLU and one without.
template <int C, class Norm, bool Bias> using Normed = Sequential<Conv<C, 3, 1, 1, Bias>, Norm, ReLU, MaxPool<2>>;
struct Pools : Network<Input<13, 16, 3>, Normed<16, BatchNorm, no_bias>, Normed<16, KerasBatchNorm, true>, Conv<5, 3>, BatchNorm, ReLU, MaxPool<3, 2, 1>, Conv<6, 3, 1, 2>, BatchNorm, ReLU, MaxPool<3>,
                       Flatten, Dense<5>, ReLU, Dense<4>> {};

constexpr Index n = 5, classes = 4;

/// A GPU that counts what is launched by itself, and not as part of a graph that is replayed.
struct Counting : Gpu {
  std::shared_ptr<long> alone = std::make_shared<long>(0);
  template <class Kernel, class... Arguments> void launch(Grid grid, Arguments... arguments) { ++*alone, Gpu::launch<Kernel>(grid, arguments...); }
  template <class F> void for_each(Index count, F f) { *alone += count > 0, Gpu::for_each(count, f); }
};

/// Weights and running values that no one begins with, as a model has them.
template <class Net, class T> struct Weights {
  using Network = detail::NetworkOf<Net>;
  using Parameter = Master<T>;
  struct Program { Index parameters = Net::table.block.parameters, state = Net::table.block.state; };
  Gpu gpu;
  Buffer<Gpu, Parameter> w{gpu, Program().parameters}, values{gpu, Program().state};
  Weights() {
    std::vector<Parameter> of_w = fractions<Parameter>(w.count(), 3), of_values = fractions<Parameter>(values.count(), 4);
    for (auto& v : of_w) v /= 2;
    for (auto& v : of_values) v = Parameter(0.7) + v / 2;                // variances too
    gpu.upload(w.data(), of_w.data(), w.bytes());
    gpu.upload(values.data(), of_values.data(), values.bytes());
  }
  Gpu& device() { return gpu; }
  Program program() const { return {}; }
  Parameter* parameters() { return w.data(); }
  Parameter* state() { return values.data(); }
};

template <class P> std::vector<float> predicted(P& predict, const std::vector<float>& x, Index samples) {
  using T = std::remove_cvref_t<decltype(*predict(x.data(), samples))>;
  std::vector<T> scores(static_cast<std::size_t>(samples * classes));
  predict.device().download(scores.data(), predict(x.data(), samples), scores.size() * sizeof(T));
  return {scores.begin(), scores.end()};
}

template <class Net, class T> void check(double allowed, long launches) {
  INFO(name<Net>().s << " in " << sizeof(T) << " bytes");
  const auto x = fractions<float>(n * size(Net::input), 1), y = fractions<float>(n * size(Net::input), 2);
  Weights<Net, T> weights;
  Predictor<Net, Unfused<Gpu>, T> step_by_step(weights, {.batch = n}, Unfused<Gpu>());
  Predictor<Net, Counting, T> predict(weights, {.batch = n}, Counting()), another(weights, {.batch = n}, Counting());
  const auto expected = predicted(step_by_step, x, n), other = predicted(another, y, n);
  long& alone = *predict.device().alone;
  alone = 0;
  const auto found = predicted(predict, x, n);
  CHECK(alone == launches);
  CHECK(largest_error(found, expected) < allowed);
  CHECK(predicted(predict, y, n) == other);                              // recorded
  CHECK(alone == 2 * launches);
  CHECK(predicted(predict, x, n) == found);                              // and replayed
  CHECK(alone == 2 * launches);
  CHECK(predict.device().counters().replays == 2);
  for (int times = 0; times < 3; ++times) CHECK(largest_error(predicted(predict, x, 1), std::vector<float>(expected.begin(), expected.begin() + classes)) < allowed);
  CHECK(predict.device().counters().replays == 4);
}
}  // namespace

TEST_CASE("norms, ReLU and ReLU6 are part of the convolutions before them") {
  check<Folds, float>(5e-6, 11);
  check<Folds, bf16>(0.05, 13);
  check<Folds, tf32>(0.005, 13);
}

TEST_CASE("and so are pools that do not overlap") {
  check<Pools, float>(5e-6, 7);
  check<Pools, bf16>(0.01, 8);
}
