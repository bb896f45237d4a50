#include <lamina/nn/dropout.hpp>

#include "../support/check_layer.hpp"

using namespace lamina;
using lamina_test::check_layer;

TEST_CASE("dropout: the gradient goes where the numbers went") {
  check_layer<Dropout<20>>({5, 4, 7}, {.training_differs = true});
  check_layer<Dropout<50>>({33}, {.training_differs = true});
  check_layer<Dropout<0>>({9});
}

namespace {
constexpr Shape shape{100};

/// What Dropout<Percent> makes of ones, samples first ... first + n - 1.
template <int Percent> std::vector<float> drop(Index first, Index n, std::uint32_t step, std::uint32_t layer = 0, bool training = true, std::uint64_t seed = 7, Shape each = shape) {
  Cpu dev;
  const std::vector<float> x(std::size_t(n * size(each)), 1.f);
  std::vector<float> y(x.size());
  Step<float> s = {};
  s.in = s.out = each, s.n = n, s.first = first, s.training = training, s.random = {seed, Stream::dropout, layer}, s.clock = &step, s.x = x.data(), s.y = y.data();
  Dropout<Percent>::forward(dev, s);
  return y;
}
}  // namespace

TEST_CASE("dropout: the share of zeros, the scale of the rest, nothing in inference") {
  const auto y = drop<20>(0, 200, 3);
  Index zeros = 0;
  for (float v : y) {
    zeros += v == 0;
    if (v != 0) REQUIRE(v == doctest::Approx(1.25).epsilon(1e-6));
  }
  CHECK(std::abs(double(zeros) / 20'000 - 0.2) < 4 * std::sqrt(0.2 * 0.8 / 20'000));   // four deviations of a binomial
  for (float v : drop<20>(0, 2, 3, 0, false)) REQUIRE(v == 1);
}

TEST_CASE("dropout: the mask belongs to the seed, the layer, the step and the place in the global batch") {
  const auto whole = drop<50>(0, 8, 3), tail = drop<50>(5, 3, 3);
  CHECK(std::equal(tail.begin(), tail.end(), whole.begin() + 5 * size(shape)));
  const auto odd = drop<50>(0, 8, 3, 0, true, 7, {5}), odd_part = drop<50>(3, 3, 3, 0, true, 7, {5});     // a block of random words belongs to two samples
  CHECK(std::equal(odd_part.begin(), odd_part.end(), odd.begin() + 15));
  CHECK(std::equal(odd.begin(), odd.end(), whole.begin()));
  CHECK(drop<50>(0, 8, 3) == whole);
  CHECK(drop<50>(0, 8, 4) != whole);
  CHECK(drop<50>(0, 8, 3, 1) != whole);
  CHECK(drop<50>(0, 8, 3, 0, true, 8) != whole);
  CHECK(!std::equal(whole.begin(), whole.begin() + size(shape), whole.begin() + size(shape)));
}
