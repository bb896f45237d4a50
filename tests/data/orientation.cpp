/// Pictures turned as their EXIF says, and JPEGs decoded smaller than they are.
#include <doctest/doctest.h>
#include <lamina/data/iterator.hpp>

#include "../support/temporary.hpp"
#include "odd_files.hpp"

using namespace lamina;
using lamina_test::Bytes, lamina_test::colours, lamina_test::exif, lamina_test::exif_segment, lamina_test::inks, lamina_test::jpeg, lamina_test::noise, lamina_test::png, lamina_test::progressive, lamina_test::with_segment;

namespace {

constexpr DecodeOptions turned{.exif_orientation = true};

Bytes with_exif(const Bytes& file, const Bytes& tiff) {
  if (file[0] == 0xFF) return with_segment(file, 0xE1, exif_segment(tiff));
  Bytes made(file.begin(), file.begin() + 33), segment;                            // behind the header
  lamina_test::chunk(segment, "eXIf", tiff);
  made.insert(made.end(), segment.begin(), segment.end());
  made.insert(made.end(), file.begin() + 33, file.end());
  return made;
}
/// Row and column of the stored picture of 2x3 that each pixel of the turned one is from; Pillow 13's exif_transpose() of a picture whose pixels are 0 to 5.
constexpr int pillow[8][6] = {{0, 1, 2, 3, 4, 5}, {2, 1, 0, 5, 4, 3}, {5, 4, 3, 2, 1, 0}, {3, 4, 5, 0, 1, 2}, {0, 3, 1, 4, 2, 5}, {3, 0, 4, 1, 5, 2}, {5, 2, 4, 1, 3, 0}, {2, 5, 1, 4, 0, 3}};
}  // namespace

TEST_CASE("orientation: each of the eight is turned as Pillow does, in both byte orders, in JPEG and PNG") {
  const Picture p = noise(2, 3, 3);
  for (const Bytes& file : {png(p), jpeg(p)}) {
    const Picture stored = decode(file, "x");
    for (int o = 1; o <= 8; ++o)
      for (const Bytes& tiff : {exif(o), exif(o, true), exif(o, false, 4), exif(o, true, 4)}) {
        const Picture t = decode(with_exif(file, tiff), "x", turned);
        REQUIRE(t.shape() == (o > 4 ? Shape{3, 2, 3} : Shape{2, 3, 3}));
        for (int i = 0; i < 6; ++i)
          for (int k = 0; k < 3; ++k) REQUIRE(t.pixels[std::size_t(3 * i + k)] == stored.pixels[std::size_t(3 * pillow[o - 1][i] + k)]);
        CHECK(decode(with_exif(file, tiff), "x").pixels == stored.pixels);         // not by itself
      }
    CHECK(decode(file, "x", turned).pixels == stored.pixels);
  }
}

TEST_CASE("orientation: EXIF that makes no sense is passed over") {
  for (const Bytes& file : {png(noise(5, 3, 3)), jpeg(noise(5, 3, 3))}) {
    const Picture stored = decode(file, "x");
    const auto passed_over = [&](const Bytes& tiff) { return decode(with_exif(file, tiff), "x", turned).pixels == stored.pixels; };
    for (const int o : {0, 9, 255}) CHECK(passed_over(exif(o)));
    CHECK(passed_over(exif(6, false, 2)));                                         // letters
    const Bytes good = exif(6);
    CHECK_FALSE(passed_over(good));
    for (std::size_t n = 0; n < good.size() - 4; ++n) CHECK(passed_over(Bytes(good.begin(), good.begin() + Index(n))));
    for (std::size_t at = 0; at < good.size(); ++at)
      for (const int bits : {0x01, 0x80, 0xFF}) {
        Bytes wrong = good;
        wrong[at] = std::uint8_t(wrong[at] ^ bits);
        CHECK(decode(with_exif(file, wrong), "x", turned).pixels.size() == stored.pixels.size());
      }
  }
  const Bytes j = jpeg(noise(5, 3, 3)), other = with_segment(j, 0xE1, Bytes(40, 'h'));    // a segment of that number that is none of EXIF's, and one that is, behind it
  Bytes both = with_segment(with_exif(j, exif(3)), 0xE1, Bytes(40, 'h'));
  both.insert(both.begin() + 2, 0xFF);                                             // a fill byte
  CHECK(decode(both, "x", turned).pixels == decode(with_exif(j, exif(3)), "x", turned).pixels);
  CHECK(decode(other, "x", turned).pixels == decode(j, "x").pixels);
}

TEST_CASE("orientation, scaled decoding: iterators and stores take them from their options, and only together with each other") {
  const lamina_test::TemporaryFolder t;
  Dataset d{{"a"}, {}, "leaves"};
  lamina_test::write(t.path / "0.jpg", with_exif(jpeg(lamina_test::slope(40, 64)), exif(6)));
  d.samples.push_back({t.path / "0.jpg", 0, nullptr, "0", 0});
  const Size size{16, 10};
  for (const bool exif_orientation : {false, true})
    for (const bool scaled : {false, true}) {
      const DecodeOptions decoding{exif_orientation, scaled ? size : Size{}};
      const Picture expected = resize(decode(t.path / "0.jpg", decoding), size, Interpolation::bilinear);
      const EvaluationOptions options{.size = size, .rescale = 1, .interpolation = Interpolation::bilinear, .exif_orientation = exif_orientation, .scaled_decoding = scaled};
      EvaluationIterator own(d, options), shared(std::make_shared<PictureStore>(d, size, Interpolation::bilinear, 1 << 20, decoding), options);
      EvaluationIterator from_file(std::make_shared<PictureStore>(d, size, Interpolation::bilinear, CacheFile{t.path / "cache"}, decoding), options);    // made anew, as it was decoded otherwise
      for (EvaluationIterator* it : {&own, &shared, &from_file}) {
        it->start(0, 0);
        Batch batch;
        REQUIRE(it->next(batch));
        for (Index i = 0; i < Index(expected.pixels.size()); ++i) REQUIRE(batch.x[i] == float(expected.pixels[std::size_t(i)]));
      }
      const auto plain = std::make_shared<PictureStore>(d, size, Interpolation::bilinear, 1 << 20);
      const std::string said = lamina_test::sentence([&] { EvaluationIterator(plain, options); });
      CHECK(lamina_test::says(said, "another exif_orientation or scaled_decoding") == (exif_orientation || scaled));
    }
}

#if defined(LAMINA_LINK_TURBOJPEG)
TEST_CASE("scaled decoding: sides and pixels are those of Pillow 13's draft()") {
  struct Pixel { int row, column; std::array<int, 3> rgb; };
  const auto check_pixels = [](const Bytes& file, Size at_least, Size expected, std::initializer_list<Pixel> pixels) {
    const Picture p = decode(file, "x", {.at_least = at_least});
    REQUIRE(p.size() == expected);
    for (const Pixel& e : pixels)
      for (int c = 0; c < 3; ++c) CHECK(p.pixels[std::size_t((e.row * p.w + e.column) * 3 + c)] == e.rgb[std::size_t(c)]);
  };
  check_pixels(colours, {4, 9}, {5, 9}, {{0, 0, {0, 26, 236}}, {0, 8, {216, 63, 94}}, {4, 0, {11, 222, 213}}, {2, 4, {93, 161, 146}}, {4, 8, {224, 13, 68}}});
  check_pixels(colours, {2, 4}, {3, 5}, {{0, 0, {10, 51, 237}}, {0, 4, {217, 91, 95}}, {2, 0, {21, 229, 197}}, {1, 2, {116, 188, 142}}, {2, 4, {222, 17, 60}}});
  check_pixels(colours, {1, 2}, {2, 3}, {{0, 0, {41, 109, 206}}, {0, 2, {219, 148, 84}}, {1, 0, {46, 235, 177}}, {1, 1, {150, 97, 115}}, {1, 2, {223, 17, 63}}});
  check_pixels(colours, {4, 10}, {9, 18}, {{0, 0, {0, 17, 227}}, {8, 17, {191, 36, 32}}});       // less than half as wide as that
  check_pixels(inks, {4, 9}, {5, 9}, {{0, 0, {241, 234, 242}}, {0, 8, {35, 205, 145}}, {2, 4, {112, 101, 142}}, {4, 8, {24, 18, 68}}});
  check_pixels(progressive, {2, 1}, {2, 3}, {{0, 0, {78, 78, 78}}, {0, 2, {130, 130, 130}}, {1, 1, {126, 126, 126}}, {1, 2, {118, 118, 118}}});
}

TEST_CASE("scaled decoding: the sides that are wanted are those of the turned picture, and PNGs stay whole") {
  const Bytes lying = with_exif(colours, exif(6));                                 // 9x18 stored, 18x9 turned
  CHECK(decode(lying, "x", {.exif_orientation = true, .at_least = {9, 4}}).size() == Size{9, 5});
  CHECK(decode(lying, "x", {.exif_orientation = true, .at_least = {4, 9}}).size() == Size{18, 9});
  CHECK(decode(lying, "x", {.at_least = {4, 9}}).size() == Size{5, 9});
  CHECK(decode(png(noise(64, 64, 3)), "x", {.at_least = {8, 8}}).size() == Size{64, 64});
  for (int h = 1; h < 40; ++h)
    for (int w = 1; w < 40; w += 3) {
      const Bytes file = jpeg(noise(h, w, 3), 80);
      for (const int to : {1, 2, 3, 5, 16}) {
        const Picture p = decode(file, "x", {.at_least = {to, to}});
        REQUIRE((p.size() == Size{h, w} || (p.h >= to && p.w >= to)));
        REQUIRE(p.pixels.size() == std::size_t(3 * p.h * p.w));
      }
    }
}

TEST_CASE("scaled decoding: data that end before the last pixel are refused all the same") {
  for (const Bytes& whole : {colours, inks, progressive})
    for (std::size_t n = 3; n < whole.size(); ++n)
      REQUIRE(lamina_test::says(lamina_test::sentence([&] { decode(Bytes(whole.begin(), whole.begin() + Index(n)), "some/leaf.jpg", {.at_least = {1, 1}}); }), "some/leaf.jpg"));
}
#endif
