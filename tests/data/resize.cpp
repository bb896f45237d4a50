#include <lamina/data/png.hpp>
#include <lamina/data/resize.hpp>

#include "../support/golden.hpp"
#include "pictures.hpp"

using namespace lamina;

namespace {
Interpolation named(const std::string& name) {
  const char* names[] = {"nearest", "bilinear", "bicubic", "box", "hamming", "lanczos"};
  for (int i = 0; i < 6; ++i) if (name == names[i]) return Interpolation(i);
  throw Error("no interpolation is called ", name);
}
}  // namespace

TEST_CASE("resize: Pillow's pictures, to the bit") {
  const auto file = lamina_test::golden_file("resize_pillow.safetensors");
  if (!file) return;
  int seen = 0;
  for (const auto& c : lamina_test::cases(*file)) {
    const std::string name = c["name"];
    CAPTURE(name);
    const SafeTensor& x = file->at("picture/" + c["picture"].get<std::string>());
    const Picture made = resize(Picture{int(x.shape[0]), int(x.shape[1]), 3, x.as<std::uint8_t>()}, {c["height"], c["width"]}, named(c["interpolation"]));
    CHECK(made.pixels == file->at(name).as<std::uint8_t>());
    ++seen;
  }
  CHECK(seen == 72);
}

TEST_CASE("resize: rows or columns go first where they do in Pillow") {
  struct Recorded {
    Interpolation kind;
    Size from, to;
    std::uint32_t sum;                 // CRC-32 of the bytes that Pillow 13.0.0 made of the picture below
  };
  const Recorded all[] = {
    {Interpolation::lanczos, {218, 178}, {128, 128}, 0xe0c18b4d},   // rows
    {Interpolation::lanczos, {178, 218}, {128, 128}, 0x74bb81fc},   // rows
    {Interpolation::bicubic, {90, 40}, {30, 25}, 0x05d176ad},       // columns
    {Interpolation::bilinear, {90, 40}, {30, 5}, 0xf0e59bb4},       // rows
    {Interpolation::box, {61, 50}, {20, 30}, 0x8b0c95d2},           // columns
    {Interpolation::hamming, {61, 50}, {20, 29}, 0x1f3d7268},       // rows
    {Interpolation::bicubic, {33, 70}, {20, 64}, 0xe18f764b},       // columns
    {Interpolation::bicubic, {33, 70}, {20, 63}, 0xa15b0fbd},       // rows
    {Interpolation::lanczos, {60, 50}, {41, 41}, 0xdff7b9ca},       // columns
    {Interpolation::lanczos, {40, 50}, {70, 20}, 0x977c1865},       // rows
    {Interpolation::lanczos, {80, 50}, {70, 60}, 0xfa790107},       // columns
    {Interpolation::bilinear, {300, 400}, {100, 150}, 0x8fda8a89},  // rows
  };
  for (const Recorded& r : all) {
    CAPTURE(r.from.h);
    Picture x{r.from.h, r.from.w, 3, {}};
    for (std::uint64_t i = 0; i < std::uint64_t(r.from.h) * std::uint64_t(r.from.w) * 3; ++i) x.pixels.push_back(std::uint8_t((i * i * 7 + i * 13) >> 3));
    const Picture y = resize(x, r.to, r.kind);
    CHECK(detail::crc32(y.pixels.data(), y.pixels.size()) == r.sum);
  }
}

TEST_CASE("resize: nearest takes floor((i + 1/2) from / to)") {
  const Picture x{1, 5, 1, {0, 10, 20, 30, 40}};
  CHECK(resize(x, {1, 3}, Interpolation::nearest).pixels == std::vector<std::uint8_t>{0, 20, 40});               // by hand: 5/6, 15/6, 25/6
  CHECK(resize(x, {2, 10}, Interpolation::nearest).pixels ==
        std::vector<std::uint8_t>{0, 0, 10, 10, 20, 20, 30, 30, 40, 40, 0, 0, 10, 10, 20, 20, 30, 30, 40, 40});
}

TEST_CASE("resize: a box of two halves is their mean, rounded half up, and the same size is a copy") {
  const Picture x{2, 4, 1, {10, 21, 0, 255, 10, 21, 0, 255}};
  CHECK(resize(x, {1, 2}, Interpolation::box).pixels == std::vector<std::uint8_t>{16, 128});                      // by hand: 15.5 and 127.5
  const Picture p = lamina_test::noise(7, 5, 3);
  for (const auto kind : {Interpolation::nearest, Interpolation::bilinear, Interpolation::lanczos}) CHECK(resize(p, {7, 5}, kind).pixels == p.pixels);
}

TEST_CASE("resize: a flat picture stays flat, whatever the filter") {
  Picture flat = lamina_test::noise(13, 29, 3);
  for (std::uint8_t& v : flat.pixels) v = 201;
  for (int kind = 0; kind < 6; ++kind)
    for (const Size to : {Size{40, 10}, Size{5, 60}, Size{1, 1}, Size{29, 13}})
      for (const std::uint8_t v : resize(flat, to, Interpolation(kind)).pixels) REQUIRE(v == 201);
}

TEST_CASE("resize: channels do not touch each other") {
  const Picture p = lamina_test::noise(17, 23, 3);
  for (int kind = 0; kind < 6; ++kind)
    for (const Size to : {Size{9, 40}, Size{30, 11}}) {
      const Picture all = resize(p, to, Interpolation(kind));
      for (std::size_t k = 0; k < 3; ++k) {
        Picture one{17, 23, 1, {}};
        for (std::size_t i = k; i < p.pixels.size(); i += 3) one.pixels.push_back(p.pixels[i]);
        one = resize(one, to, Interpolation(kind));
        for (std::size_t i = 0; i < one.pixels.size(); ++i) REQUIRE(one.pixels[i] == all.pixels[3 * i + k]);
      }
    }
}

TEST_CASE("resize: a picture without pixels is an error") {
  CHECK(lamina_test::says(lamina_test::sentence([] { resize(lamina_test::noise(3, 3, 3), {0, 4}, Interpolation::box); }), "at least one pixel"));
}
