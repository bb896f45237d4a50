#include <lamina/cpu/pool.hpp>
#include <lamina/nn/pool.hpp>

#include "../support/check_layer.hpp"

using namespace lamina;
using lamina_test::check_layer;

TEST_CASE("max pooling") {
  check_layer<MaxPool<2>>({6, 8, 5});
  check_layer<MaxPool<2>>({7, 5, 3});            // a row and a column that no window sees
  check_layer<MaxPool<3, 2, 1>>({9, 7, 4});
  check_layer<MaxPool<3, 1, 1>>({5, 6, 3});
  check_layer<MaxPool<2, 3>>({8, 7, 19});
  check_layer<MaxPool<1>>({3, 2, 2});
  check_layer<MaxPool<2, 1, 1>>({3, 4, 2});
  check_layer<MaxPool<15, 4, 7>>({17, 16, 2});
}

TEST_CASE("max pooling: padding same") {
  check_layer<MaxPool<3, 2, same>>({7, 8, 3});
  check_layer<MaxPool<2, 2, same>>({5, 7, 3});
  check_layer<MaxPool<5, 1, same>>({2, 3, 4});
}

TEST_CASE("average pooling") {
  check_layer<AvgPool<2>>({6, 8, 5});
  check_layer<AvgPool<2>>({7, 5, 3});
  check_layer<AvgPool<3, 2, 1>>({9, 7, 4});
  check_layer<AvgPool<3, 2, 1, false>>({9, 7, 4});
  check_layer<AvgPool<3, 1, 1, true>>({5, 6, 33});
  check_layer<AvgPool<2, 3>>({8, 7, 2});
}

TEST_CASE("average pooling: padding same") {
  check_layer<AvgPool<3, 2, same>>({7, 8, 3});
  check_layer<AvgPool<2, 2, same, true>>({5, 7, 3});
  check_layer<AvgPool<5, 1, same>>({2, 3, 4});
}

TEST_CASE("global average pooling") {
  check_layer<GlobalAvgPool>({5, 4, 7});
  check_layer<GlobalAvgPool>({1, 1, 3});
  check_layer<GlobalAvgPool>({1, 9, 65});
}

TEST_CASE("what pools say about themselves") {
  static_assert(MaxPool<2>::out({7, 5, 3}) == Shape{3, 2, 3} && MaxPool<3, 2, 1>::out({9, 7, 4}) == Shape{5, 4, 4} && MaxPool<3, 2, same>::out({7, 8, 3}) == Shape{4, 4, 3});
  static_assert(MaxPool<2>::needs({7, 5, 3}).codes == 18 && MaxPool<2>::needs({7, 5, 3}).keep == Keep::nothing);
  static_assert(MaxPool<3>::accepts({2, 5, 3}) == Shape{3, 5, 3} && MaxPool<3, 2, 1>::accepts({1, 5, 3}) == Shape{1, 5, 3});
  static_assert(GlobalAvgPool::out({5, 4, 7}) == Shape{7});
}

namespace {
/// What an average pool makes of 3 x 3 ones, at its first place.
template <class L> double corner_of_ones() {
  Cpu dev;
  const std::vector<double> x(9, 1.0);
  std::vector<double> y(9);
  Step<double> s = {};
  s.in = {3, 3, 1}, s.out = L::out(s.in), s.n = 1, s.x = x.data(), s.y = y.data();
  L::forward(dev, s);
  return y[0];
}
}  // namespace

TEST_CASE("average pooling, by hand: what a window in the corner divides by") {   // it sees four pixels of nine
  CHECK(corner_of_ones<AvgPool<3, 1, 1>>() == doctest::Approx(4.0 / 9));          // PyTorch counts padding,
  CHECK(corner_of_ones<AvgPool<3, 1, same>>() == 1);                              // Keras does not
  CHECK(corner_of_ones<AvgPool<3, 1, 1, false>>() == 1);
  CHECK(corner_of_ones<AvgPool<3, 1, same, true>>() == doctest::Approx(4.0 / 9));
}

TEST_CASE("max pooling: the first of equals wins, and a NaN is never lost") {
  Cpu dev;
  const Shape in{2, 2, 1}, out{1, 1, 1};
  const auto pool = [&](std::array<double, 4> x) {
    double y = 0;
    std::uint8_t code = 99;
    max_pool_forward(dev, Window{2, 2, 0}, in, out, 1, x.data(), &y, &code);
    return std::pair{y, int(code)};
  };
  CHECK(pool({1, 3, 3, 3}) == std::pair{3.0, 1});
  CHECK(pool({-4, -4, -4, -4}) == std::pair{-4.0, 0});
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(std::isnan(pool({1, nan, 5, 2}).first));
  CHECK(pool({1, nan, 5, 2}).second == 1);
}
