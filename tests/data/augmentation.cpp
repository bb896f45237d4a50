#include <lamina/data/augmentation.hpp>

#include <set>

#include "../support/golden.hpp"
#include "pictures.hpp"

using namespace lamina;
using lamina_test::says, lamina_test::sentence;

namespace {
std::vector<float> made(const Picture& p, const Transform& t, AugmentationOptions o = {}) {
  o.rescale = 1;
  std::vector<float> y(std::size_t(size(p.shape())));
  detail::Scratch scratch;
  transform(p.pixels.data(), p.shape(), t, o, y.data(), scratch);
  return y;
}
Random drawing(std::uint64_t seed, std::uint32_t epoch) { return Random(seed, Stream::augmentation, 0, epoch); }
}  // namespace

TEST_CASE("augmentation: what Keras makes of a picture, in both versions") {
  const auto file = lamina_test::golden_file("augmentation_keras.safetensors");
  if (!file) return;
  int seen = 0;
  for (const auto& c : lamina_test::cases(*file)) {
    const std::string name = c["name"], fill = c["fill_mode"];
    CAPTURE(c.dump());
    const SafeTensor& x = file->at("picture/" + c["picture"].get<std::string>());
    AugmentationOptions o;
    o.keras = c["version"] == "current" ? KerasVersion::current : KerasVersion::legacy_1_1_2;
    o.fill_mode = fill == "nearest" ? FillMode::nearest : fill == "constant" ? FillMode::constant : fill == "reflect" ? FillMode::reflect : FillMode::wrap;
    o.cval = c["cval"];
    o.interpolation_order = c["interpolation_order"];
    Transform t;
    t.theta = c.value("theta", 0.0), t.tx = c.value("tx", 0.0), t.ty = c.value("ty", 0.0), t.shear = c.value("shear", 0.0);
    t.zx = c.value("zx", 1.0), t.zy = c.value("zy", 1.0);
    t.flip_horizontal = c.value("flip_horizontal", false), t.flip_vertical = c.value("flip_vertical", false);
    t.channel_shift = c.value("channel_shift_intensity", 0.0), t.brightness = c.value("brightness", 1.0);
    const auto y = made({int(x.shape[0]), int(x.shape[1]), 3, x.as<std::uint8_t>()}, t, o);
    const auto expected = file->at(name).as<float>();
    REQUIRE(y.size() == expected.size());
    float worst = 0;
    for (std::size_t i = 0; i < y.size(); ++i) worst = std::max(worst, std::abs(y[i] - expected[i]));
    CHECK(worst <= 1e-3f);
    ++seen;
  }
  CHECK(seen == 158);
}

TEST_CASE("augmentation: flips reverse, with and without a map") {
  const Picture p{2, 3, 1, {1, 2, 3, 4, 5, 6}};
  Transform t;
  t.flip_horizontal = true;
  CHECK(made(p, t) == std::vector<float>{3, 2, 1, 6, 5, 4});
  t.flip_vertical = true;
  CHECK(made(p, t) == std::vector<float>{6, 5, 4, 3, 2, 1});
  t.tx = 1;                                                                       // one column to the left, then both flips
  CHECK(made(p, t) == std::vector<float>{6, 6, 5, 3, 3, 2});
}

TEST_CASE("augmentation: a crop of the mirrored picture") {
  const Picture p{1, 4, 1, {1, 2, 3, 4}};
  Transform t;
  t.crop_x = -2;
  CHECK(made(p, t) == std::vector<float>{3, 2, 1, 2});                            // 3 2 | 1 2 3 4: the edge is not repeated
  t.crop_x = 3;
  CHECK(made(p, t) == std::vector<float>{4, 3, 2, 1});
}

TEST_CASE("augmentation: channel shift stays within the picture's own range, brightness cuts to whole levels") {
  const Picture p{1, 3, 1, {10, 100, 201}};
  Transform shift;
  shift.channel_shift = 150;
  CHECK(made(p, shift) == std::vector<float>{160, 201, 201});
  Transform bright;
  bright.brightness = 1.3;
  CHECK(made(p, bright) == std::vector<float>{13, 130, 255});
  bright.brightness = 0.33;
  CHECK(made(p, bright) == std::vector<float>{3, 33, 66});                        // 3.3, 33, 66.33
}

TEST_CASE("augmentation: brightness where grey levels leave 0..255, as Keras stretches them and takes it back") {
  // Keras 3.15.1, apply_transform with theta 20, tx 1.5, ty -0.5, shear 5, zx 0.9, zy 1.1, of (37 i + 101 j + 13 i j) mod 256, 9 x 11 pixels: five of the new ones.
  struct Recorded { FillMode fill; double cval; int order; double brightness, shift, pixels[5]; };
  const Recorded recorded[] = {
    {FillMode::nearest, 0, 3, 0.5, 0, {116.053, 81.442, 75.509, 98.253, 37.932}},     {FillMode::reflect, 0, 3, 1.3, 0, {262.741, 172.039, 197.807, 256.557, 259.649}},
    {FillMode::wrap, 0, 5, 0.5, 0, {54.446, 87.046, 73.802, 102.327, 76.858}},        {FillMode::constant, 300, 1, 0.5, 0, {164.255, 164.255, 85.778, 97.444, 164.255}},
    {FillMode::constant, 300, 1, 1.3, 40, {300, 300, 215.058, 247.589, 300}},         {FillMode::constant, -40, 2, 1.3, -25, {-40, -40, 183.410, 222.533, -40}},
  };
  constexpr int at[5][2] = {{0, 0}, {1, 9}, {4, 5}, {6, 2}, {8, 10}};
  const Picture p = lamina_test::numbered(9, 11);
  for (const Recorded& r : recorded) {
    CAPTURE(r.cval);
    AugmentationOptions o{.fill_mode = r.fill, .cval = r.cval, .interpolation_order = r.order, .keras = KerasVersion::current};
    Transform t;
    t.theta = 20, t.tx = 1.5, t.ty = -0.5, t.shear = 5, t.zx = 0.9, t.zy = 1.1, t.brightness = r.brightness, t.channel_shift = r.shift;
    const auto y = made(p, t, o);
    for (int k = 0; k < 5; ++k) CHECK(std::abs(double(y[std::size_t(at[k][0] * p.w + at[k][1])]) - r.pixels[k]) < 2e-3);
  }
}

TEST_CASE("augmentation: contrast and saturation by hand") {
  const Picture p{1, 2, 3, {100, 100, 100, 200, 200, 200}};
  Transform t;
  t.contrast = 0.5;                                                               // the mean grey is 149.985 (weights 0.2989, 0.587, 0.114 sum to 0.9999)
  const auto y = made(p, t);
  CHECK(y[0] == doctest::Approx(124.9925));
  CHECK(y[5] == doctest::Approx(174.9925));
  const auto one = made({1, 2, 1, {100, 200}}, t);                                // one channel is its own grey: the mean is 150
  CHECK((one[0] == 125 && one[1] == 175));
  Transform grey;
  grey.saturation = 0;
  const auto g = made({1, 1, 3, {255, 0, 0}}, grey);
  for (const float v : g) CHECK(v == doctest::Approx(0.2989 * 255));
}

TEST_CASE("augmentation: hues as Python's colorsys turns them") {
  struct Turned { std::vector<std::uint8_t> from; double hue; double to[3]; };
  const Turned cases[] = {{{200, 100, 50}, 0.5, {50, 150, 200}},   {{200, 100, 50}, -0.25, {175, 50, 200}}, {{10, 240, 30}, 0.37, {80.6, 10, 240}},   {{10, 240, 30}, -0.5, {240, 10, 220}},
                          {{0, 0, 255}, -0.25, {0, 255, 127.5}},   {{0, 0, 255}, 0.37, {255, 56.1, 0}},     {{255, 255, 0}, 0.1, {102, 255, 0}},      {{255, 255, 0}, -0.25, {255, 0, 127.5}},
                          {{120, 120, 120}, 0.37, {120, 120, 120}}, {{30, 200, 200}, 0.37, {200, 30, 162.6}}, {{1, 2, 3}, 0.37, {3, 1, 1.56}},          {{0, 0, 0}, 0.2, {0, 0, 0}}};
  for (const Turned& c : cases) {
    Transform t;
    t.hue = c.hue;
    const auto y = made({1, 1, 3, c.from}, t);
    for (std::size_t k = 0; k < 3; ++k) CHECK(double(y[k]) == doctest::Approx(c.to[k]).epsilon(1e-5));
  }
}

TEST_CASE("augmentation: a part of the picture becomes the whole, pixels with their middle at a half") {
  const Picture p{1, 8, 1, {10, 20, 30, 40, 50, 60, 70, 80}};
  Transform t;
  t.window = {0, 2, 1, 4};                                                        // by hand: place j comes from 2 + (j + 0.5) / 2 - 0.5
  CHECK(made(p, t) == std::vector<float>{27.5, 32.5, 37.5, 42.5, 47.5, 52.5, 57.5, 62.5});
  Transform down;
  down.window = {2, 0, 4, 1};
  CHECK(made({8, 1, 1, p.pixels}, down) == made(p, t));
  t.flip_horizontal = true;
  CHECK(made(p, t) == std::vector<float>{62.5, 57.5, 52.5, 47.5, 42.5, 37.5, 32.5, 27.5});
  t.flip_horizontal = false, t.tx = 1;                                            // then everything moves by one new pixel
  CHECK(made(p, t) == std::vector<float>{32.5, 37.5, 42.5, 47.5, 52.5, 57.5, 62.5, 67.5});
  t.tx = 0, t.window.x = 0;
  AugmentationOptions o;
  for (const FillMode fill : {FillMode::nearest, FillMode::constant, FillMode::reflect}) {     // the edge of the picture is no border that shows
    o.fill_mode = fill, o.cval = 200;
    CHECK(made(p, t, o) == std::vector<float>{10, 12.5, 17.5, 22.5, 27.5, 32.5, 37.5, 42.5});
  }
  t.tx = -2;                                                                      // half a pixel from the edge is still within, and one is not
  CHECK(made(p, t, (o.fill_mode = FillMode::constant, o)) == std::vector<float>{200, 200, 10, 12.5, 17.5, 22.5, 27.5, 32.5});
}

TEST_CASE("augmentation: parts are drawn as torchvision's RandomResizedCrop draws them") {
  AugmentationOptions o;
  o.size = {60, 80}, o.crop_area = {0.08, 1};
  validate(o);
  double area = 0, least = 1, flat = 9, wide = 0;
  constexpr int n = 4000;
  int lefts = 0;
  for (Index i = 0; i < n; ++i) {
    const Rectangle r = draw(o, drawing(3, 5), i).window;
    REQUIRE((r.y >= 0 && r.x >= 0 && r.h >= 1 && r.w >= 1 && r.y + r.h <= 60 && r.x + r.w <= 80));
    const double share = r.h * r.w / 4800.0;
    area += share, least = std::min(least, share), flat = std::min(flat, double(r.w) / r.h), wide = std::max(wide, double(r.w) / r.h);
    lefts += r.x * 2 < 80 - r.w;
  }
  CHECK(std::abs(area / n - 0.438) < 0.013);                                     // of 200000 draws of torchvision's get_params in Python
  CHECK((least > 0.075 && least < 0.09));
  CHECK((flat > 0.72 && flat < 0.77 && wide > 1.3 && wide < 1.4));
  CHECK(lefts / double(n) == doctest::Approx(0.5).epsilon(0.06));
  o.horizontal_flip = true, o.rotation = 3;
  const Rectangle a = draw(o, drawing(3, 5), 9).window, b = draw({.size = {60, 80}, .crop_area = {0.08, 1}}, drawing(3, 5), 9).window;
  CHECK((a.y == b.y && a.x == b.x && a.h == b.h && a.w == b.w));
  CHECK(draw({.size = {60, 80}}, drawing(3, 5), 9).window.h == 0);
  const auto middle = [](Size size, Factors ratio) { return draw({.size = size, .crop_area = {0.999, 1}, .crop_ratio = ratio}, drawing(1, 0), 0).window; };
  const Rectangle tall = middle({100, 20}, {1, 2}), low = middle({20, 101}, {1, 2});         // nothing fits ten times: by hand, w / 1 = 20 rows, h * 2 = 40 columns, in the middle
  CHECK((tall.h == 20 && tall.w == 20 && tall.y == 40 && tall.x == 0));
  CHECK((low.h == 20 && low.w == 40 && low.y == 0 && low.x == 30));
}

TEST_CASE("augmentation: the mean and the deviation of a picture, over all its channels, once it is rescaled") {
  AugmentationOptions o;
  Transform t;
  std::vector<float> y(6);
  detail::Scratch scratch;
  const Picture p{1, 2, 3, {0, 51, 102, 153, 204, 255}};                          // mean 127.5, deviation sqrt(17.5 / 6) * 51
  const double deviation = std::sqrt(17.5 / 6) * 0.2;
  const auto become = [&] { transform(p.pixels.data(), p.shape(), t, o, y.data(), scratch); };
  o.samplewise_center = true;
  become();
  for (std::size_t i = 0; i < 6; ++i) CHECK(double(y[i]) == doctest::Approx(0.2 * double(i) - 0.5).epsilon(1e-6));
  o.samplewise_deviation = true, o.mean = {0.1, 0.2, 0.3}, o.deviation = {1, 2, 4};
  become();
  for (std::size_t i = 0; i < 6; ++i) CHECK(double(y[i]) == doctest::Approx(((0.2 * double(i) - 0.5) / (deviation + 1e-6) - o.mean[i % 3]) / o.deviation[i % 3]).epsilon(1e-6));
  o = {}, o.samplewise_deviation = true, o.rescale = -1 / 255e6;                  // a deviation that 1e-6 counts beside, and one is never below 0
  become();
  for (std::size_t i = 0; i < 6; ++i) CHECK(double(y[i]) == doctest::Approx((0.5e-6 - 0.2e-6 * double(i)) / (deviation * 1e-6 + 1e-6)).epsilon(1e-6));   // centred, too
  const Picture flat{1, 2, 3, {9, 9, 9, 9, 9, 9}};
  o = {}, o.samplewise_center = o.samplewise_deviation = true;
  transform(flat.pixels.data(), flat.shape(), t, o, y.data(), scratch);
  for (const float v : y) CHECK(v == 0);
}

TEST_CASE("augmentation: rescale, then mean and deviation of each channel; what is erased is zero after that") {
  AugmentationOptions o;
  o.rescale = 1 / 255.0;
  o.mean = {0.5, 0.25, 0}, o.deviation = {0.5, 0.25, 2};
  Transform t;
  t.erased = {0, 1, 1, 1};
  std::vector<float> y(6);
  detail::Scratch scratch;
  const Picture p{1, 2, 3, {255, 0, 51, 9, 9, 9}};
  transform(p.pixels.data(), p.shape(), t, o, y.data(), scratch);
  const double expected[] = {1, -1, 0.1, 0, 0, 0};
  for (int i = 0; i < 6; ++i) CHECK(y[std::size_t(i)] == doctest::Approx(expected[i]));
}

TEST_CASE("augmentation: draws keep to their ranges, are a function of seed, epoch and sample, and do not disturb each other") {
  AugmentationOptions o;
  o.rotation = 20, o.width_shift = 0.1, o.height_shift = 5, o.shear = 10, o.zoom = 0.2, o.channel_shift = 30, o.horizontal_flip = true;
  o.vertical_flip = true, o.brightness = {0.5, 1.5}, o.hue = 0.25, o.crop_padding = 4, o.erase = 0.5;
  validate(o);
  double flips = 0, erased = 0, sum_zx = 0;
  double least = 9, most = 0;
  std::set<int> crops;
  constexpr int n = 4000;
  for (Index i = 0; i < n; ++i) {
    const Transform t = draw(o, drawing(3, 5), i);
    REQUIRE(std::abs(t.theta) <= 20);
    REQUIRE(std::abs(t.tx) <= 6.4);
    REQUIRE(std::abs(t.ty) <= 5);
    REQUIRE(std::abs(t.shear) <= 10);
    REQUIRE(std::abs(t.channel_shift) <= 30);
    REQUIRE((std::abs(t.hue) <= 0.25 && t.hue != 0));
    REQUIRE((t.zx >= 0.8 && t.zx <= 1.2 && t.zy >= 0.8 && t.zy <= 1.2 && t.zx != t.zy));
    REQUIRE((t.brightness >= 0.5 && t.brightness <= 1.5));
    REQUIRE((t.erased.y >= 0 && t.erased.x >= 0 && t.erased.y + t.erased.h <= 64 && t.erased.x + t.erased.w <= 64));
    least = std::min(least, t.zx), most = std::max(most, t.zx), sum_zx += t.zx;
    flips += t.flip_horizontal, erased += t.erased.h > 0;
    crops.insert(t.crop_y);
  }
  CHECK(least < 0.801);
  CHECK(most > 1.199);
  CHECK(sum_zx / n == doctest::Approx(1).epsilon(0.01));
  CHECK(flips / n == doctest::Approx(0.5).epsilon(0.05));
  CHECK(erased / n == doctest::Approx(0.5).epsilon(0.05));
  CHECK(crops.size() == 9);                                                       // -4 ... 4
  CHECK(draw(o, drawing(3, 5), 17).theta == draw(o, drawing(3, 5), 17).theta);
  CHECK(draw(o, drawing(3, 5), 17).theta != draw(o, drawing(3, 6), 17).theta);
  CHECK(draw(o, drawing(3, 5), 17).theta != draw(o, drawing(4, 5), 17).theta);
  AugmentationOptions fewer = o;
  fewer.rotation = 0, fewer.zoom = {};
  CHECK(draw(fewer, drawing(3, 5), 17).shear == draw(o, drawing(3, 5), 17).shear);
  CHECK(draw(fewer, drawing(3, 5), 17).zx == 1);
  fewer.scale = 0.2;
  double smallest = 1, largest = 1;
  for (Index i = 0; i < 1000; ++i) {
    const Transform t = draw(fewer, drawing(3, 5), i);
    CHECK(t.zx == t.zy);
    smallest = std::min(smallest, 1 / t.zx), largest = std::max(largest, 1 / t.zx);
  }
  CHECK(smallest == doctest::Approx(0.8).epsilon(0.01));
  CHECK(largest == doctest::Approx(1.2).epsilon(0.01));
}

TEST_CASE("augmentation: Keras draws tx from the height, the corrected version from the width") {
  AugmentationOptions o;
  o.size = {64, 64}, o.width_shift = 0.5;
  CHECK(draw(o, drawing(1, 0), 0).tx != 0);
  CHECK(draw(o, drawing(1, 0), 0).ty == 0);
  o.keras = KerasVersion::current;
  CHECK(draw(o, drawing(1, 0), 0).tx == 0);
  CHECK(draw(o, drawing(1, 0), 0).ty != 0);
}

TEST_CASE("augmentation: a shear below one degree gets a hint") {
  AugmentationOptions o;
  CHECK(hint(o) == "");
  o.shear = 0.2;
  CHECK(says(hint(o), "shear = 0.2 is in degrees"));
  CHECK(says(hint(o), "11.5 degrees"));
  o.shear = 12;
  CHECK(hint(o) == "");
}

TEST_CASE("augmentation: options that make no sense are errors that name them") {
  const auto complaint = [](auto change) {
    AugmentationOptions o;
    change(o);
    return sentence([&] { validate(o); });
  };
  CHECK(complaint([](auto&) {}) == "");
  CHECK(says(complaint([](auto& o) { o.size = {0, 64}; }), "size.h = 0"));
  CHECK(says(complaint([](auto& o) { o.batch = 0; }), "batch = 0"));
  CHECK(says(complaint([](auto& o) { o.zoom = 1.0; }), "zoom = 0"));
  CHECK(says(complaint([](auto& o) { o.zoom = {1.2, 0.8}; }), "zoom"));
  CHECK(says(complaint([](auto& o) { o.scale = {0, 1}; }), "scale"));
  CHECK(says(complaint([](auto& o) { o.shear = -1; }), "shear = -1"));
  CHECK(says(complaint([](auto& o) { o.crop_padding = 64; }), "crop_padding = 64"));
  CHECK(says(complaint([](auto& o) { o.deviation = {1, 0, 1}; }), "deviation = 0"));
  CHECK(says(complaint([](auto& o) { o.brightness = {-1, 1}; }), "brightness"));
  CHECK(says(complaint([](auto& o) { o.prefetch = -1; }), "prefetch"));
  CHECK(says(complaint([](auto& o) { o.prefetch = 1'000'000'000; }), "prefetch"));
  CHECK(says(complaint([](auto& o) { o.rescale = NAN; }), "rescale"));
  CHECK(says(complaint([](auto& o) { o.hue = 0.6; }), "hue = 0.6"));
  CHECK(says(complaint([](auto& o) { o.interpolation_order = 6; }), "interpolation_order = 6"));
  CHECK(says(complaint([](auto& o) { o.crop_area = 0.5; }), "crop_area = 0.5"));
  CHECK(says(complaint([](auto& o) { o.crop_area = {0, 1}; }), "crop_area = 0"));
  CHECK(says(complaint([](auto& o) { o.crop_ratio = {2, 1}; }), "crop_ratio = 2"));
  const Picture p = lamina_test::noise(2, 2, 4);
  CHECK(says(sentence([&] { made(p, {}); }), "4 channels"));
}
