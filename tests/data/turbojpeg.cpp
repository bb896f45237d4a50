#include <lamina/data/decode.hpp>

#include <doctest/doctest.h>

#include <array>

#include "pictures.hpp"

using namespace lamina;
using lamina_test::Bytes, lamina_test::colours, lamina_test::inks, lamina_test::jpeg, lamina_test::noise, lamina_test::progressive, lamina_test::says, lamina_test::sentence, lamina_test::slope;

#if defined(LAMINA_LINK_TURBOJPEG)
namespace {
std::string complaint(const Bytes& bytes) { return sentence([&] { decode(bytes, "some/leaf.jpg"); }); }

struct Pixel { int row, column; std::array<int, 3> rgb; };
void check_pixels(const Picture& p, std::initializer_list<Pixel> expected) {
  REQUIRE(p.shape() == Shape{9, 18, 3});
  for (const Pixel& e : expected)
    for (int c = 0; c < 3; ++c) CHECK(p.pixels[std::size_t((e.row * 18 + e.column) * 3 + c)] == e.rgb[std::size_t(c)]);
}
}  // namespace

TEST_CASE("libjpeg-turbo: the pixels are those that Pillow 13 reads") {
  check_pixels(decode(colours, "x"), {{0, 0, {0, 17, 227}}, {0, 17, {207, 54, 85}}, {4, 7, {82, 136, 162}}, {4, 8, {93, 142, 156}}, {8, 0, {13, 216, 222}}, {8, 17, {191, 36, 32}}});
  check_pixels(decode(inks, "x"), {{0, 0, {252, 253, 252}}, {0, 17, {31, 221, 149}}, {4, 7, {133, 115, 155}}, {4, 8, {120, 114, 150}}, {8, 0, {182, 22, 143}}, {8, 17, {21, 18, 68}}});
}

TEST_CASE("libjpeg-turbo: grey is three equal channels") {
  const Picture p = decode(progressive, "x");
  REQUIRE(p.shape() == Shape{16, 24, 3});
  for (std::size_t i = 0; i < p.pixels.size(); i += 3) CHECK((p.pixels[i] == p.pixels[i + 1] && p.pixels[i] == p.pixels[i + 2]));
}

TEST_CASE("libjpeg-turbo: data that end before the last pixel are refused, in every scan") {
  for (const Bytes& whole : {colours, inks, progressive, jpeg(slope(33, 20)), jpeg(noise(20, 33, 3), 50)}) {
    CHECK(complaint(whole) == "");
    for (std::size_t n = 3; n < whole.size(); ++n) REQUIRE(says(complaint(Bytes(whole.begin(), whole.begin() + Index(n))), "some/leaf.jpg"));
    Bytes cut(whole.begin(), whole.end() - 12);
    cut.insert(cut.end(), {0xFF, 0xD9});
    CHECK(complaint(cut) == "the picture some/leaf.jpg cannot be used: it is a JPEG whose data end or are damaged before its last pixels: copy it again");
  }
}

TEST_CASE("libjpeg-turbo: what it has a remark on and no pixel is lost of, stb_image decodes") {
  const Picture p = decode(colours, "x");
  const auto near = [&](const Bytes& bytes) {
    const Picture q = decode(bytes, "x");
    REQUIRE(q.pixels.size() == p.pixels.size());
    for (std::size_t i = 0; i < p.pixels.size(); ++i) REQUIRE(std::abs(p.pixels[i] - q.pixels[i]) <= 8);
  };
  Bytes padded = colours, newer = colours;
  padded.insert(padded.end() - 2, 5, 0);                   // between the data and the end of image
  newer[11] = 2;                                           // the revision of JFIF
  near(padded), near(newer);
}
#else
TEST_CASE("libjpeg-turbo") { MESSAGE("skipped: built without libjpeg-turbo"); }
#endif
