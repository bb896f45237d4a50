#include <lamina/lamina.hpp>

#include <doctest/doctest.h>

#include "../support/integers.hpp"
#include "../support/nets.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
template <class Norm, class Act> using Body = Sequential<Conv<32, 3, 1, 1, no_bias>, Norm, Act, Conv<32, 3>, Norm>;
struct Leaf : Network<Input<12, 10, 3>, Block<32>, Block<64>, Flatten, Dense<64>, ReLU, Dropout<20>, Dense<10>> {};
struct Folds : Network<Input<9, 7, 3>, Conv<32, 3>, BatchNorm, ReLU, Residual<Body<KerasBatchNorm, ReLU6>>, ReLU, DepthwiseConv<3, 2>, BatchNorm, ReLU6, Conv<7, 1>, ReLU, Conv<5, 5, 2, 1, no_bias>,
                       BatchNorm, Tanh, Conv<6, 3, 1, 1, true, 1>, SiLU, GlobalAvgPool, Dense<4>> {};
template <int C, class Norm, bool Bias> using Normed = Sequential<Conv<C, 3, 1, 1, Bias>, Norm, ReLU, MaxPool<2>>;
struct Pools : Network<Input<14, 18, 3>, Normed<32, BatchNorm, no_bias>, Normed<64, KerasBatchNorm, true>, Conv<5, 3>, BatchNorm, ReLU, MaxPool<3, 2, 1>, Conv<6, 1>, BatchNorm, ReLU, MaxPool<2>,
                       GlobalAvgPool, Dense<4>> {};
struct Plain : Network<Input<1, 1, 6>, Dense<7>, Sigmoid, Dense<3>> {};

/// A model after some steps, so that its running values are no longer those it began with.
template <class Net, class T> void check_predictor(double allowed) {
  INFO(name<Net>().s << " in " << sizeof(T) << " bytes");
  constexpr Index n = 5;
  Model<Net, Cpu, T> model({.batch = n, .seed = 2}, Cpu(2));
  OptimizerState<Sgd, Cpu, T> sgd(model.device(), {}, model.parameter_count);
  const auto x = fractions<float>(n * size(Net::input), 1);
  const std::int32_t label[n] = {0, 1, 2, 1, 0};
  for (int t = 0; t < 4; ++t) model.forward_training({.n = n, .x = x.data(), .label = label}), model.learn(sgd, 0.05);
  const T* scores = model.forward(x.data(), n);
  const std::vector<T> expected(scores, scores + n * size(Net::output));
  std::vector<T> all;
  for (int threads : {1, 3}) {
    Predictor<Net, Cpu, T> predict(model, {.batch = n}, Cpu(threads));
    scores = predict(x.data(), n);
    const std::vector<T> found(scores, scores + n * size(Net::output));
    CHECK(largest_error(found, expected) < allowed);
    if (all.empty()) all = found;
    CHECK(found == all);
    for (Index i = 0; i < n; ++i) {                       // one by one
      scores = predict(x.data() + i * size(Net::input), 1);
      const std::vector<T> alone(scores, scores + size(Net::output)), among(found.begin() + i * size(Net::output), found.begin() + (i + 1) * size(Net::output));
      CHECK(largest_error(alone, among) < allowed);
    }
  }
}
}  // namespace

TEST_CASE("a predictor gives the scores of its model") {
  check_predictor<Leaf, float>(1e-6), check_predictor<Leaf, double>(1e-14);
  check_predictor<Folds, float>(2e-5), check_predictor<Folds, double>(1e-13);
  check_predictor<Pools, float>(2e-5), check_predictor<Pools, double>(1e-13);
  check_predictor<Plain, float>(1e-6), check_predictor<Plain, double>(1e-14);
}

TEST_CASE("a batch norm, ReLU and ReLU6 disappear in the convolution before them, and a pool that does not overlap") {
  static_assert(Inference<Leaf, Cpu, float>::table.count == 7);
  static_assert(Inference<Folds, Cpu, float>::table.count == 13);
  static_assert(Inference<Pools, Cpu, float>::table.count == 7);       // two blocks, convolution and overlapping pool, a block, average, dense
  static_assert(Inference<Folds, Unfused<Cpu>, float>::table.block.parameters == Folds::table.block.parameters);
}

TEST_CASE("what a predictor cannot take is an error") {
  Model<Plain, Cpu> model({.batch = 4});
  CHECK_THROWS_WITH_AS((Predictor<Plain, Cpu>(model, {.batch = 0})), doctest::Contains("at least 1"), Error);
  Predictor<Plain, Cpu> predict(model, {.batch = 2});
  const float x[18] = {};
  CHECK_THROWS_WITH_AS(predict(x, 3), doctest::Contains("1 to 2"), Error);
  CHECK_THROWS_AS(predict(x, 0), Error);
}
