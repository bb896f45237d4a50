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
