#include <lamina/cpu/batch_norm.hpp>
#include <lamina/cpu/conv.hpp>
#include <lamina/cpu/conv_relu_pool.hpp>
#include <lamina/cpu/dense.hpp>
#include <lamina/cpu/pool.hpp>
#include <lamina/nn/network.hpp>
#include <lamina/train/model.hpp>

#include <doctest/doctest.h>

#include "../support/check_model.hpp"

using namespace lamina;
using lamina_test::check_model;

namespace {
template <int C, int K, int S = 1> using ConvNorm = Sequential<Conv<C, K, S, K / 2, no_bias>, BatchNorm>;

struct Identity : Network<Input<5, 4, 3>, Conv<4, 3>, Residual<Conv<4, 3>, SiLU, Conv<4, 1>>, Flatten, Dense<3>> {};
struct Nested : Network<Input<4, 5, 2>, Conv<3, 3>, Residual<SiLU, Residual<Conv<3, 1>, Tanh>, Residual<>>, ReLU, GlobalAvgPool, Dense<4>> {};
struct Projection : Network<Input<6, 5, 2>, Sum<Sequential<ConvNorm<4, 3, 2>, ReLU, ConvNorm<4, 3>>, ConvNorm<4, 1, 2>>, ReLU, Flatten, Dense<3>> {};
struct First : Network<Input<3, 4, 2>, Residual<>, Sum<SiLU, Conv<2, 1>>, Sum<Conv<2, 3>, Sequential<>>, Flatten, Dense<2>> {};
struct Empty : Network<Input<3, 2, 2>, Conv<2, 1>, Sum<Sequential<>, Sequential<>>, Flatten, Residual<Dense<12>>, Dense<2>> {};
}  // namespace

TEST_CASE("x + body(x)") { check_model<Identity, Cpu>(), check_model<Identity, Unfused<Cpu>>(); }
TEST_CASE("sums in sums") { check_model<Nested, Cpu>(), check_model<Nested, Unfused<Cpu>>(); }
TEST_CASE("a shortcut with layers of its own") { check_model<Projection, Cpu>(), check_model<Projection, Unfused<Cpu>>(); }
TEST_CASE("sums before anything learns") { check_model<First, Cpu>(), check_model<First, Unfused<Cpu>>(); }
TEST_CASE("branches with nothing in them") { check_model<Empty, Cpu>(), check_model<Empty, Unfused<Cpu>>(); }

TEST_CASE("sums as tables") {
  static_assert(std::is_same_v<Flat<Residual<ReLU>>, List<Split, ReLU, Add>> && std::is_same_v<Flat<Sum<ReLU, Tanh>>, List<Split, ReLU, Swap, Tanh, Add>>);
  constexpr auto& t = Projection::table;               // Split, Conv, Norm, ReLU, Conv, Norm, (Swap,) Conv, Norm, Add, ReLU, Flatten, Dense
  static_assert(t.count == 12 && t.rows[6].x == t.rows[0].z && t.rows[8].x == t.rows[7].y && t.rows[8].z == t.rows[5].y);
}
