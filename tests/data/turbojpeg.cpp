#include <lamina/data/decode.hpp>

#include <doctest/doctest.h>

#include <array>

#include "pictures.hpp"

using namespace lamina;
using lamina_test::Bytes, lamina_test::from_hex, lamina_test::jpeg, lamina_test::noise, lamina_test::progressive, lamina_test::says, lamina_test::sentence, lamina_test::slope;

#if defined(LAMINA_LINK_TURBOJPEG)
namespace {
std::string complaint(const Bytes& bytes) { return sentence([&] { decode(bytes, "some/leaf.jpg"); }); }

/// 18x9 pixels with colours at half resolution, and 18x9 of four inks, as Pillow 13 writes them.
const Bytes colours = from_hex(
    "ffd8ffe000104a46494600010100000100010000ffdb0043000d090a0b0a080d0b0a0b0e0e0d0f13201513121213271c1e17202e2931302e292d2c333a4a3e333646372c2d405741"
    "464c4e525352323e5a615a50604a51524fffdb0043010e0e0e131113261515264f352d354f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f"
    "4f4f4f4f4f4f4f4f4f4f4f4f4f4fffc00011080009001203012200021101031101ffc400160001010100000000000000000000000000050006ffc400231000010105090000000000"
    "0000000000000004010205223103062132354174a1b2ffc400160101010100000000000000000000000000040506ffc4002111000102040700000000000000000000000300040111"
    "a1e102051213145253ffda000c03010002110311003f0039340a920ba681524154db19cbdfacd8f1ddf4f0976e8c724704e483921cae0901ea9275902c3274463d942236d1bbd2eb"
    "6dc32fa52ebfffd9");
const Bytes inks = from_hex(
    "ffd8ffee000e41646f626500640000000000ffdb0043000d090a0b0a080d0b0a0b0e0e0d0f13201513121213271c1e17202e2931302e292d2c333a4a3e333646372c2d405741464c"
    "4e525352323e5a615a50604a51524fffc000140800090012044311004d11005911004b1100ffc400190000020301000000000000000000000000050600040703ffc4002410000101"
    "05090100000000000000000000000401030531420216213241626371a115ffda000e0443004d0059004b00003f00728d5412be7cbe8e8a96cf11d9e443719fc6aa25f3e5f40ea96c"
    "f12b3c886e152d666f64be7cbe839ab7199c3e86e36b8d546621655a95de19fc6aa201956a55782a5accdec80f6cce07ffd9");
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
