#include "../support/gpu.hpp"

#include <lamina/cuda/sum.hpp>
#include <lamina/train/clip.hpp>

#include <doctest/doctest.h>

#include "../support/device_data.hpp"

using namespace lamina;
using lamina_test::Gpu, lamina_test::Tensor;

namespace {
struct Number { LAMINA_HD Index operator()(Index i) const { return i; } };
struct Fraction { LAMINA_HD double operator()(Index i) const { return 1 / double(i + 1); } };
}  // namespace

TEST_CASE("sums of whole numbers are exact") {
  Gpu dev;
  for (Index n : {0, 1, 2, 255, 257, 1024, 1025, 70'001}) CHECK(sum(dev, n, Number()) == double(n) * double(n - 1) / 2);
}

TEST_CASE("sums have the same bits whatever runs first, and need no model") {
  Gpu one(1), other(2);
  const double first = sum(one, 50'000, Fraction());
  CHECK(sum(other, 50'000, Fraction()) == first);
  CHECK(first == doctest::Approx(std::log(50'000) + 0.5772156649 + 1e-5).epsilon(1e-10));   // the harmonic numbers: ln n + gamma + 1 / 2n
}

TEST_CASE("an arena that is there stays where it is") {
  Gpu dev;
  dev.reserve(1);
  const std::byte* const arena = dev.arena();
  sum(dev, 1'000'000, Number());
  CHECK(dev.arena() == arena);
}

TEST_CASE("clipping by the norm of all gradients") {
  Gpu dev;
  const Tensor<Gpu, float> g(dev, std::vector<float>{3, -4, 0, 0, 0, 12});
  CHECK(clip(dev, Clip::global_norm(6.5), g.data(), 6) == 13);
  CHECK(g.get() == std::vector<float>{1.5, -2, 0, 0, 0, 6});
}
