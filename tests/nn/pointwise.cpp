#include <lamina/nn/pointwise.hpp>

#include "../support/check_layer.hpp"

using namespace lamina;
using lamina_test::check_layer;

TEST_CASE("activations") {
  check_layer<ReLU>({5, 4, 7});
  check_layer<ReLU6>({5, 4, 7}, {.scale = 9});
  check_layer<LeakyReLU<1>>({5, 4, 7});
  check_layer<LeakyReLU<30>>({3, 7, 2});
  check_layer<ELU>({5, 4, 7}, {.scale = 4});
  check_layer<SiLU>({5, 4, 7}, {.scale = 6});
  check_layer<GELU>({5, 4, 7}, {.scale = 4});
  check_layer<GELUTanh>({5, 4, 7}, {.scale = 4});
  check_layer<HardSwish>({5, 4, 7}, {.scale = 5});
  check_layer<Tanh>({5, 4, 7}, {.scale = 3});
  check_layer<Sigmoid>({5, 4, 7}, {.scale = 6});
}

TEST_CASE("more numbers than one task takes") { check_layer<SiLU>({60, 50, 7}); }

TEST_CASE("activations far out are finite") {   // exp(1000) is not
  const auto at = []<class L>(L, float x) { return std::pair{L::f(x), L::df(x)}; };
  const auto out_at = []<class L>(L, float x) { return std::pair{L::f(x), L::df(L::f(x))}; };
  using Pair = std::pair<float, float>;
  CHECK(at(SiLU{}, 1000.f) == Pair{1000, 1});
  CHECK(std::abs(SiLU::f(-1000.f)) == 0);
  CHECK(SiLU::df(-1000.f) == 0);
  CHECK(at(GELU{}, 1000.f) == Pair{1000, 1});
  CHECK(at(GELUTanh{}, 1000.f) == Pair{1000, 1});
  CHECK(GELUTanh::df(-1000.f) == 0);
  CHECK(out_at(Sigmoid{}, 1000.f) == Pair{1, 0});
  CHECK(out_at(Sigmoid{}, -1000.f) == Pair{0, 0});
  CHECK(out_at(Tanh{}, -1000.f) == Pair{-1, 0});
  CHECK(out_at(ELU{}, -1000.f) == Pair{-1, 0});
  CHECK(at(HardSwish{}, 1000.f) == Pair{1000, 1});
}

TEST_CASE("activations at their kinks, as PyTorch has them") {
  CHECK(ReLU::df(ReLU::f(0.0)) == 0);
  CHECK(ReLU6::df(ReLU6::f(0.0)) == 0);
  CHECK(ReLU6::df(ReLU6::f(6.0)) == 0);
  CHECK(LeakyReLU<20>::df(LeakyReLU<20>::f(0.0)) == 0.2);
  CHECK(ELU::df(ELU::f(0.0)) == 1);
}

struct Square : Pointwise<Square, Keep::input> {   // a layer of one's own is this
  template <class T> LAMINA_HD static T f(T x) { return x * x; }
  template <class T> LAMINA_HD static T df(T x) { return 2 * x; }
};
TEST_CASE("a layer of one's own") { check_layer<Square>({3, 4, 5}); }
