#include <lamina/cpu/batch_norm_pool.hpp>
#include <lamina/cpu/conv_relu_pool.hpp>
#include <lamina/cpu/dense.hpp>
#include <lamina/cpu/pool.hpp>
#include <lamina/nn/network.hpp>

#include "../support/check_layer.hpp"

using namespace lamina;
using lamina_test::check_layer;

TEST_CASE("conv, relu and max pool as one") {
  check_layer<Fused<Conv<8, 3>, ReLU, MaxPool<2>>>({6, 8, 3});
  check_layer<Fused<Conv<5, 3, 1, 1, no_bias>, ReLU, MaxPool<2>>>({7, 5, 4});            // a row and a column that no pool sees
  check_layer<Fused<Conv<4, 5, 2, 2>, ReLU, MaxPool<3>>>({13, 16, 2});
  check_layer<Fused<Conv<4, 3, 1, same>, ReLU, MaxPool<2, 3>>>({8, 7, 3});               // pixels between the pools
  check_layer<Fused<Conv<33, 1>, ReLU, MaxPool<2>>>({4, 4, 17});
  check_layer<Fused<Conv<3, 3>, ReLU, MaxPool<1>>>({3, 4, 2});
  check_layer<Fused<Conv<2, 3>, ReLU, MaxPool<15>>>({16, 31, 2});
}

TEST_CASE("conv, relu and max pool as one, in many tiles") { check_layer<Fused<Conv<3, 3>, ReLU, MaxPool<3>>>({50, 41, 13}); }

TEST_CASE("add and relu as one") {
  check_layer<Fused<Add, ReLU>>({5, 4, 7});
  check_layer<Fused<Add, ReLU>>({33});
}

TEST_CASE("where nothing is positive the pool is 0 and nothing flows back") {
  using L = Fused<Conv<1, 1>, ReLU, MaxPool<2>>;
  Cpu dev;
  dev.reserve(std::size_t(L::arena<Cpu, double>(dev, {2, 2, 1}, 1)));
  const double x[4] = {1, 2, 3, 4}, dy = 1;
  double w[32] = {-1}, dw[32] = {}, dx[4] = {9, 9, 9, 9}, y = 9;
  std::uint8_t code = 0;
  Step<double> s = {};
  s.in = {2, 2, 1}, s.out = {1, 1, 1}, s.n = 1, s.training = true, s.w = w, s.dw = dw, s.x = x, s.y = &y, s.dy = &dy, s.dx = dx, s.codes = &code;
  L::forward(dev, s), L::backward(dev, s);
  CHECK(y == 0);
  CHECK(code == 255);
  CHECK(dw[0] == 0);
  CHECK(dw[16] == 0);
  for (double d : dx) CHECK(d == 0);
}

namespace {
template <int C> using Block = Sequential<Conv<C, 3>, ReLU, MaxPool<2>>;
template <class D, class... Ls> constexpr auto steps(Shape in) { return trace(ops_on<D, float>(fuse<D, float>(Flat<Ls...>{})), in); }
}  // namespace

TEST_CASE("what is fused and what is not") {
  static_assert(steps<Cpu, Block<8>, Block<16>, Flatten, Dense<4>>({16, 16, 3}).count == 4);
  static_assert(steps<Unfused<Cpu>, Block<8>, Block<16>, Flatten, Dense<4>>({16, 16, 3}).count == 8);
  static_assert(steps<Cpu, Conv<8, 3>, ReLU, MaxPool<3, 2, 1>>({16, 16, 3}).count == 3);                    // pools that overlap
  static_assert(steps<Cpu, Conv<8, 3, 1, 1, true, 2>, ReLU, MaxPool<2>>({16, 16, 4}).count == 3);           // groups
  static_assert(steps<Cpu, Conv<8, 3>, ReLU, ReLU, MaxPool<2>>({16, 16, 3}).count == 4);
  static_assert(steps<Cpu, Conv<8, 3>, Residual<Conv<8, 3>>, ReLU, MaxPool<2>>({16, 16, 3}).count == 5);    // Split, Conv, Add with ReLU
}

TEST_CASE("a fused layer has the parameters of its parts, in their places") {
  constexpr auto fused = steps<Cpu, Block<8>, Block<16>, Flatten, Dense<4>>({16, 16, 3});
  constexpr auto apart = steps<Unfused<Cpu>, Block<8>, Block<16>, Flatten, Dense<4>>({16, 16, 3});
  static_assert(fused.block.parameters == apart.block.parameters && fused.flops == apart.flops && fused.out == apart.out);
  static_assert(fused.rows[1].w == apart.rows[3].w && fused.rows[3].w == apart.rows[7].w && fused.rows[1].layer == 3 && fused.rows[3].layer == 7);
}

TEST_CASE("batch norm and relu as one") {
  check_layer<Fused<BatchNorm, ReLU>>({3, 4, 5}, {.training_differs = true});
  check_layer<Fused<BatchNorm, ReLU6>>({3, 4, 5}, {.scale = 9, .training_differs = true});
  check_layer<Fused<KerasBatchNorm, ReLU>>({2, 2, 33}, {.training_differs = true});
  static_assert(steps<Cpu, Conv<8, 3>, BatchNorm, ReLU6, Conv<8, 3>, BatchNorm, LeakyReLU<1>>({16, 16, 3}).count == 5);
}

TEST_CASE("batch norm, relu and max pool as one") {
  check_layer<Fused<BatchNorm, ReLU, MaxPool<2>>>({6, 8, 5}, {.training_differs = true});
  check_layer<Fused<KerasBatchNorm, ReLU, MaxPool<3>>>({7, 10, 33}, {.training_differs = true});      // a row and a column that no pool sees
  check_layer<Fused<BatchNorm, ReLU, MaxPool<2, 3>>>({8, 7, 3}, {.training_differs = true});          // pixels between the pools
  check_layer<Fused<BatchNorm, ReLU, MaxPool<1>>>({3, 4, 2}, {.training_differs = true});
  static_assert(steps<Cpu, Conv<8, 3>, BatchNorm, ReLU, MaxPool<2>>({16, 16, 3}).count == 2);
  static_assert(steps<Cpu, Conv<8, 3>, BatchNorm, ReLU, MaxPool<3, 2, 1>>({16, 16, 3}).count == 3);   // pools that overlap
}
