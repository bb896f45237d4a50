#include <lamina/data/affine.hpp>

#include "../support/golden.hpp"
#include "pictures.hpp"

using namespace lamina;

namespace {
std::vector<float> mapped(const Picture& x, const Affine& m, FillMode fill, float outside = 0, bool linear = true) {
  std::vector<float> y(std::size_t(size(x.shape())));
  detail::Scratch scratch;
  if (x.c == 1) detail::map_picture<1>(x.pixels.data(), x.size(), {.map = m}, fill, outside, linear, y.data(), scratch);
  else detail::map_picture<3>(x.pixels.data(), x.size(), {.map = m}, fill, outside, linear, y.data(), scratch);
  return y;
}
constexpr KerasVersion versions[] = {KerasVersion::corrected, KerasVersion::current, KerasVersion::legacy_1_1_2};
}  // namespace

TEST_CASE("affine: the worked example of a shear of 20 degrees with a zoom") {
  const Affine m = affine(0, 0, 0, 20, 0.8, 1.2, {256, 256}, KerasVersion::current);   // A = [[1.1276, 0], [-0.4104, 0.8]], b = [-16.273, 77.829]
  CHECK(m.yy == doctest::Approx(1.1276).epsilon(1e-4));
  CHECK(m.yx == 0);
  CHECK(m.y0 == doctest::Approx(-16.273).epsilon(1e-4));
  CHECK(m.xy == doctest::Approx(-0.4104).epsilon(1e-4));
  CHECK(m.xx == 0.8);
  CHECK(m.x0 == doctest::Approx(77.829).epsilon(1e-4));
}

TEST_CASE("affine: the corrected map leaves the middle where it is, also of a picture that is not square") {
  for (const Size s : {Size{100, 200}, Size{31, 8}}) {
    const Affine m = affine(33, 0, 0, 12, 0.7, 1.4, s);
    const double row = (s.h - 1) / 2.0, column = (s.w - 1) / 2.0;
    CHECK(m.yy * row + m.yx * column + m.y0 == doctest::Approx(row));
    CHECK(m.xy * row + m.xx * column + m.x0 == doctest::Approx(column));
  }
  const Affine keras = affine(0, 0, 0, 0, 0.5, 0.5, {100, 200}, KerasVersion::current);   // its middle is row 99.5, column 49.5 (KERAS.md 3.3)
  CHECK(keras.yy * 99.5 + keras.y0 == doctest::Approx(99.5));
  CHECK(keras.xx * 49.5 + keras.x0 == doctest::Approx(49.5));
}

TEST_CASE("affine: on square pictures the corrected map is Keras's") {
  const Affine a = affine(25, 2, -3, 15, 0.85, 1.15, {48, 48}), b = affine(25, 2, -3, 15, 0.85, 1.15, {48, 48}, KerasVersion::current);
  CHECK((a.yy == b.yy && a.yx == b.yx && a.y0 == b.y0 && a.xy == b.xy && a.xx == b.xx && a.x0 == b.x0));
}

TEST_CASE("affine: nothing given changes nothing") {
  const Picture p = lamina_test::noise(9, 70, 3);
  for (const KerasVersion v : versions) {
    const auto y = mapped(p, affine(0, 0, 0, 0, 1, 1, p.size(), v), FillMode::constant, 7);
    for (std::size_t i = 0; i < y.size(); ++i) REQUIRE(y[i] == float(p.pixels[i]));
  }
}

TEST_CASE("affine: the fill modes, on a line moved by four pixels") {
  const Picture p{1, 4, 1, {10, 20, 30, 40}};
  const auto moved = [&](double by, FillMode fill) { return mapped(p, Affine{1, 0, 0, 0, 1, by}, fill, 5); };
  CHECK(moved(-3, FillMode::nearest) == std::vector<float>{10, 10, 10, 10});
  CHECK(moved(2, FillMode::nearest) == std::vector<float>{30, 40, 40, 40});
  CHECK(moved(-3, FillMode::constant) == std::vector<float>{5, 5, 5, 10});
  CHECK(moved(2.5, FillMode::constant) == std::vector<float>{35, 5, 5, 5});            // 3.5 lies beyond the last pixel: nothing is blended
  CHECK(moved(-3, FillMode::reflect) == std::vector<float>{30, 20, 10, 10});
  CHECK(moved(2, FillMode::reflect) == std::vector<float>{30, 40, 40, 30});
  CHECK(moved(-5, FillMode::reflect) == std::vector<float>{40, 40, 30, 20});
  CHECK(moved(-3, FillMode::wrap) == std::vector<float>{40, 20, 30, 10});              // scipy's period of three pixels: -3 -> 3, -2 -> 1, -1 -> 2
  CHECK(moved(2, FillMode::wrap) == std::vector<float>{30, 40, 20, 30});
}

TEST_CASE("affine: between pixels a blend, or the nearest with half up") {
  const Picture p{1, 3, 1, {0, 100, 200}};
  CHECK(mapped(p, Affine{1, 0, 0, 0, 1, 0.25}, FillMode::nearest) == std::vector<float>{25, 125, 200});
  CHECK(mapped(p, Affine{1, 0, 0, 0, 1, 0.5}, FillMode::nearest, 0, false) == std::vector<float>{100, 200, 200});
}

TEST_CASE("affine: rows that come from one row and the general way agree") {
  const Picture p = lamina_test::noise(37, 71, 3);
  const Affine level{1.07, 0, -2.3, 0.21, 0.9, 1.7};
  Affine tilted = level;
  tilted.yx = 1e-9;
  for (int fill = 0; fill < 4; ++fill) {
    const auto a = mapped(p, level, FillMode(fill), 9), b = mapped(p, tilted, FillMode(fill), 9);
    for (std::size_t i = 0; i < a.size(); ++i) REQUIRE(std::abs(a[i] - b[i]) < 1e-3);
  }
}

TEST_CASE("affine: three colours together have the bits of each by itself") {
  const Picture p = lamina_test::noise(9, 70, 3);
  for (const Affine& m : {Affine{1.07, 0, -2.3, 0.21, 0.9, 1.7}, Affine{0.9, 0.11, -2.3, 0.21, 1.1, 1.7}})
    for (int fill = 0; fill < 4; ++fill)
      for (const bool linear : {true, false}) {
        const auto all = mapped(p, m, FillMode(fill), 9, linear);
        for (std::size_t k = 0; k < 3; ++k) {
          Picture one{9, 70, 1, {}};
          std::vector<float> colour;
          for (std::size_t i = k; i < all.size(); i += 3) one.pixels.push_back(p.pixels[i]), colour.push_back(all[i]);
          CHECK(mapped(one, m, FillMode(fill), 9, linear) == colour);
        }
      }
}

TEST_CASE("affine: places far outside and pictures of one pixel stay inside the memory") {
  for (const Size s : {Size{1, 1}, Size{1, 9}, Size{9, 1}, Size{5, 4}}) {
    const Picture p = lamina_test::noise(s.h, s.w, 3);
    for (int fill = 0; fill < 4; ++fill)
      for (const double far : {-1e6, -97.3, 1e-18, -1e-18, 97.3, 1e6})
        for (const bool linear : {true, false})
          for (const float v : mapped(p, Affine{3.1, 0.4, far, -2.2, 5.7, -far}, FillMode(fill), 128, linear)) REQUIRE((v >= 0 && v <= 255));
  }
}
