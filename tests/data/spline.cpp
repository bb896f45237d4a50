#include <lamina/data/spline.hpp>

#include <lamina/data/image_folder.hpp>
#include <lamina/data/iterator.hpp>

#include <doctest/doctest.h>

#include "../support/temporary.hpp"
#include "pictures.hpp"

using namespace lamina;

namespace {
constexpr FillMode fills[] = {FillMode::nearest, FillMode::constant, FillMode::reflect, FillMode::wrap};

std::vector<float> mapped(const Picture& x, const Affine& m, FillMode fill, int order, float outside = 7) {
  std::vector<float> y(std::size_t(size(x.shape())));
  detail::Scratch scratch;
  if (x.c == 1) detail::map_spline<1>(x.pixels.data(), x.size(), {.map = m}, fill, outside, order, y.data(), scratch);
  else detail::map_spline<3>(x.pixels.data(), x.size(), {.map = m}, fill, outside, order, y.data(), scratch);
  return y;
}
}  // namespace

TEST_CASE("spline: what scipy.ndimage.affine_transform makes of a picture") {
  // scipy 1.17.1, cval 7, of (37 i + 101 j + 13 i j) mod 256, 9 x 11 pixels: five of the new ones with matrix [[1.1, 0.3], [-0.4, 0.9]] and offset [-2.3, 1.7], and five with
  // [[2.1, 0.3], [-1.4, 2.9]] and [-14.3, -11.7], most of which come from far outside.
  struct Recorded { int order; FillMode fill; double pixels[5], far[5]; };
  const Recorded recorded[] = {
    {2, FillMode::nearest, {198.5915, 106.2893, 155.9852, 75.7803, 162.9455}, {0.0000, 242.0000, 2.0065, 92.3089, 87.8566}},
    {2, FillMode::constant, {7, 102.1962, 155.9451, 75.1226, 7}, {7, 7, 7, 7, 88.1308}},
    {2, FillMode::reflect, {34.4070, 107.0151, 155.9920, 75.8931, 72.0444}, {177.8289, 42.7931, 185.5885, 81.1646, 87.8095}},
    {2, FillMode::wrap, {33.8027, 102.1962, 155.9451, 75.1226, 126.9782}, {99.2692, 114.5793, 164.2381, 131.6204, 88.1308}},
    {3, FillMode::nearest, {200.3176, 106.2684, 161.0272, 71.6751, 156.8932}, {0.0000, 241.9994, 1.8295, 91.7906, 89.9906}},
    {3, FillMode::constant, {7, 98.8450, 160.8025, 70.7598, 7}, {7, 7, 7, 7, 90.6574}},
    {3, FillMode::reflect, {39.4630, 108.4350, 161.0874, 71.9206, 62.5041}, {186.4265, 51.5754, 184.8896, 77.3314, 89.8117}},
    {3, FillMode::wrap, {27.6221, 98.8450, 160.8025, 70.7598, 126.6216}, {106.0259, 117.6863, 161.9457, 131.7756, 90.6574}},
    {4, FillMode::nearest, {204.1037, 107.7476, 164.1904, 69.5629, 149.8097}, {-0.0000, 241.9967, 1.5878, 90.7455, 92.7638}},
    {4, FillMode::constant, {7, 96.3298, 163.4538, 68.6815, 7}, {7, 7, 7, 7, 93.8345}},
    {4, FillMode::reflect, {37.3684, 112.5391, 164.4556, 69.8807, 52.8721}, {190.6419, 50.8080, 186.9522, 73.6060, 92.3747}},
    {4, FillMode::wrap, {21.7550, 96.3298, 163.4538, 68.6815, 126.4796}, {104.8174, 114.3297, 165.7981, 132.0504, 93.8345}},
    {5, FillMode::nearest, {205.0008, 109.0744, 166.0723, 67.8552, 145.2537}, {-0.0003, 241.9954, 1.4708, 89.6570, 94.5340}},
    {5, FillMode::constant, {7, 94.7951, 164.6856, 67.1818, 7}, {7, 7, 7, 7, 95.6845}},
    {5, FillMode::reflect, {38.0662, 116.5768, 166.6637, 68.1357, 47.8670}, {193.9386, 52.8090, 187.0666, 70.7883, 94.0291}},
    {5, FillMode::wrap, {19.8370, 94.7951, 164.6856, 67.1818, 126.9960}, {106.0473, 113.0019, 166.4480, 132.2795, 95.6845}},
  };
  constexpr int at[5][2] = {{0, 0}, {1, 9}, {4, 5}, {6, 2}, {8, 10}}, far_at[5][2] = {{0, 0}, {0, 10}, {6, 6}, {8, 0}, {8, 10}};
  const Picture p = lamina_test::numbered(9, 11);
  for (const Recorded& r : recorded) {
    CAPTURE(r.order);
    const auto near = mapped(p, Affine{1.1, 0.3, -2.3, -0.4, 0.9, 1.7}, r.fill, r.order), far = mapped(p, Affine{2.1, 0.3, -14.3, -1.4, 2.9, -11.7}, r.fill, r.order);
    const auto pixel = [&](const std::vector<float>& y, const int (&place)[2]) { return double(y[std::size_t(place[0] * p.w + place[1])]); };
    for (int k = 0; k < 5; ++k) {
      CHECK(std::abs(pixel(near, at[k]) - r.pixels[k]) < 1e-3);
      CHECK(std::abs(pixel(far, far_at[k]) - r.far[k]) < 1e-3);
    }
  }
}

TEST_CASE("spline: on the pixels it is the pixels, of any size, and three colours are each by itself") {
  for (const Size s : {Size{1, 1}, Size{1, 9}, Size{2, 3}, Size{5, 4}, Size{70, 11}})
    for (const FillMode fill : fills)
      for (int order = 2; order <= highest_interpolation_order; ++order) {
        const Picture p = lamina_test::noise(s.h, s.w, 3);
        const auto same = mapped(p, Affine(), fill, order);
        for (std::size_t i = 0; i < same.size(); ++i) REQUIRE(std::abs(same[i] - float(p.pixels[i])) < 1e-3);
        const Affine m{0.9, 0.11, -2.3, 0.21, 1.1, 1.7};
        const auto all = mapped(p, m, fill, order);
        for (std::size_t k = 0; k < 3; ++k) {
          Picture one{s.h, s.w, 1, {}};
          for (std::size_t i = k; i < all.size(); i += 3) one.pixels.push_back(p.pixels[i]);
          const auto colour = mapped(one, m, fill, order);
          for (std::size_t i = 0; i < colour.size(); ++i) REQUIRE(colour[i] == all[3 * i + k]);
        }
      }
}

TEST_CASE("spline: between pixels a parabola is a parabola, and flips come after the map") {
  Picture p{1, 31, 1, {}};
  for (int j = 0; j < 31; ++j) p.pixels.push_back(std::uint8_t((j - 15) * (j - 15)));
  for (int order = 2; order <= highest_interpolation_order; ++order) {
    CAPTURE(order);
    const auto y = mapped(p, Affine{1, 0, 0, 0, 1, 0.3}, FillMode::reflect, order);
    for (int j = 12; j < 18; ++j) CHECK(y[std::size_t(j)] == doctest::Approx((j - 14.7) * (j - 14.7)).epsilon(0.01));
    std::vector<float> z(31);
    detail::Scratch scratch;
    detail::map_spline<1>(p.pixels.data(), p.size(), {.map = {1, 0, 0, 0, 1, 0.3}, .flip_horizontal = true}, FillMode::reflect, 7, order, z.data(), scratch);
    CHECK(z == std::vector<float>(y.rbegin(), y.rend()));
  }
}

TEST_CASE("spline: places far outside stay inside the memory") {
  for (const Size s : {Size{1, 1}, Size{1, 9}, Size{9, 1}, Size{5, 4}})
    for (const FillMode fill : fills)
      for (const double far : {-1e6, -97.3, 1e-18, -1e-18, 97.3, 1e6})
        for (int order = 2; order <= highest_interpolation_order; ++order)
          for (const float v : mapped(lamina_test::noise(s.h, s.w, 3), Affine{3.1, 0.4, far, -2.2, 5.7, -far}, fill, order, 128)) REQUIRE((v > -1000 && v < 1000));
}

TEST_CASE("spline: an iterator makes them itself, whoever asks for the pictures as bytes") {
  const lamina_test::TemporaryFolder t;
  for (int i = 0; i < 4; ++i) lamina_test::write(t.path / (i % 2 ? "a" : "b") / (std::to_string(i) + ".png"), lamina_test::png(lamina_test::noise(9, 11, 3, std::uint64_t(i))));
  const AugmentationOptions o{.size = {9, 11}, .batch = 4, .seed = 3, .rotation = 30, .rescale = 1, .interpolation_order = 3, .workers = 1};
  AugmentationIterator it(ImageFolder(t.path), o);
  CHECK(it.hand_out_pictures(&o) == nullptr);
  CHECK(it.hand_out_pictures(&o) == nullptr);
  it.start(0, 0);
  Batch b;
  REQUIRE(it.next(b));
  REQUIRE(b.x);
  CHECK(!b.pictures);
  CHECK(std::any_of(b.x, b.x + 4 * 9 * 11 * 3, [](float v) { return v < 0 || v > 255; }));      // what no straight line does
}
