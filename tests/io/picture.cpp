#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop
#include <doctest/doctest.h>
#include <lamina/core/random.hpp>
#include <lamina/io/picture.hpp>

#include <memory>
#include <vector>

using namespace lamina;

TEST_CASE("base64 is that of RFC 4648") {
  // Section 10 of the RFC.
  CHECK(base64("") == "");
  CHECK(base64("f") == "Zg==");
  CHECK(base64("fo") == "Zm8=");
  CHECK(base64("foo") == "Zm9v");
  CHECK(base64("foob") == "Zm9vYg==");
  CHECK(base64("fooba") == "Zm9vYmE=");
  CHECK(base64("foobar") == "Zm9vYmFy");
  CHECK(base64(std::string("\x00\xff\xfe\xfb", 4)) == "AP/++w==");        // by hand
}

TEST_CASE("a PNG decodes to the pixels it was made of") {
  // stb_image reads it back; it does not look at the checksums, zlib's crc32("IEND") is 0xAE426082, and adler32("Wikipedia") is 0x11E60398.
  CHECK(detail::png_chunk("IEND") == std::string("\0\0\0\0IEND\xae\x42\x60\x82", 12));
  CHECK(detail::adler32("Wikipedia") == 0x11E60398);
  for (const Shape shape : {Shape{1, 1, 3}, Shape{5, 7, 3}, Shape{64, 33, 1}, Shape{9, 4, 4}, Shape{3, 3, 2}, Shape{200, 150, 3}})
    for (int kind = 0; kind < 4; ++kind) {                                     // noise; a pattern; one colour; a slope with few levels
      std::vector<std::uint8_t> pixels(static_cast<std::size_t>(size(shape)));
      for (Index i = 0; i < size(shape); ++i)
        pixels[std::size_t(i)] = std::uint8_t(kind == 0 ? Random(1, Stream::test).below(i, 256) : kind == 1 ? i * i * 37 + i / 5 : kind == 2 ? 200 : i % 97 / 20);
      const std::string png = png_bytes(pixels.data(), shape);
      int w = 0, h = 0, c = 0;
      const std::unique_ptr<stbi_uc, void (*)(void*)> back(stbi_load_from_memory(reinterpret_cast<const stbi_uc*>(png.data()), int(png.size()), &w, &h, &c, 0), stbi_image_free);
      const bool decoded = back != nullptr;
      REQUIRE(decoded);
      CHECK(Shape{h, w, c} == shape);
      CHECK(std::equal(pixels.begin(), pixels.end(), back.get()));
      CHECK(data_uri(png).find("data:image/png;base64,iVBORw0KGgo") == 0);
      if (kind == 2 && size(shape) > 10000) CHECK(png.size() < 2000);          // it is packed
    }
}

TEST_CASE("what is no picture is said") {
  const std::uint8_t pixel = 0;
  CHECK_THROWS_WITH_AS(png_bytes(&pixel, Shape{0, 1, 3}), doctest::Contains("a picture of 0x1x3 cannot be a PNG"), Error);
  CHECK_THROWS_WITH_AS(png_bytes(&pixel, Shape{1, 1, 5}), doctest::Contains("1 to 4 channels"), Error);
  CHECK(data_uri("\xff\xd8\xff\xe0").find("data:image/jpeg;base64,/9j/4") == 0);
  CHECK(data_uri("GIF89a") == "");
  CHECK(data_uri("") == "");
}
