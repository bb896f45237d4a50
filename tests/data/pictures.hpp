/// Small pictures for tests, and files made of them.
#pragma once
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <lamina/core/random.hpp>
#include <lamina/data/picture.hpp>

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace lamina_test {

using Bytes = std::vector<std::uint8_t>;

/// Noise: every pixel another.
inline lamina::Picture noise(int h, int w, int c, std::uint64_t seed = 1) {
  lamina::Picture p{h, w, c, Bytes(std::size_t(h * w * c))};
  const lamina::Random random(seed, lamina::Stream::test);
  for (std::size_t i = 0; i < p.pixels.size(); ++i) p.pixels[i] = std::uint8_t(random.below(lamina::Index(i), 256));
  return p;
}

/// A picture of one channel that a word describes to other programs: (37 i + 101 j + 13 i j) mod 256.
inline lamina::Picture numbered(int h, int w) {
  lamina::Picture p{h, w, 1, {}};
  for (int i = 0; i < h; ++i)
    for (int j = 0; j < w; ++j) p.pixels.push_back(std::uint8_t((37 * i + 101 * j + 13 * i * j) % 256));
  return p;
}

/// A slope: what JPEG keeps to within a few levels.
inline lamina::Picture slope(int h, int w, int first = 20) {
  lamina::Picture p{h, w, 3, Bytes(std::size_t(h * w * 3))};
  for (int i = 0; i < h; ++i)
    for (int j = 0; j < w; ++j)
      for (int k = 0; k < 3; ++k) p.pixels[std::size_t((i * w + j) * 3 + k)] = std::uint8_t(std::min(255, first + 2 * i + 3 * j + 10 * k));
  return p;
}

inline void collect(void* to, void* data, int n) {
  auto& bytes = *static_cast<Bytes*>(to);
  bytes.insert(bytes.end(), static_cast<std::uint8_t*>(data), static_cast<std::uint8_t*>(data) + n);
}
inline Bytes png(const lamina::Picture& p) {
  Bytes bytes;
  stbi_write_png_to_func(collect, &bytes, p.w, p.h, p.c, p.pixels.data(), p.w * p.c);
  return bytes;
}
inline Bytes jpeg(const lamina::Picture& p, int quality = 95) {
  Bytes bytes;
  stbi_write_jpg_to_func(collect, &bytes, p.w, p.h, p.c, p.pixels.data(), quality);
  return bytes;
}

inline Bytes from_hex(std::string_view digits) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  Bytes bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) bytes.push_back(std::uint8_t(16 * digit(digits[i]) + digit(digits[i + 1])));
  return bytes;
}
/// A grey picture of libjpeg, 24x16 pixels, progressive.
inline const Bytes progressive = from_hex(
    "ffd8ffdb004300100b0c0e0c0a100e0d0e1211101318281a181616183123251d283a333d3c3933383740485c4e404457453738506d51575f626768673e4d71797064785c6567"
    "63ffc2000b080010001801011100ffc40017000003010000000000000000000000000001030402ffda00080101000000018ac2a667ffc4001b10000104030000000000000000"
    "000000000100020311042331ffda0008010100010502c78839a2a85a88691d5fffc40020100001020505000000000000000000000001000211122131815161a1b1f0ffda0008"
    "010100063f0298d82983006eae403a35c1e1301b1a9c2378f5b047c17fffc4001f10010001030403000000000000000000000111002141316181a151c1f1ffda000801010001"
    "3f2141a24ad20346e195e0a501421e3a0b52ce1336df5d509660f57231b94c2092f787db37cbc57fffda0008010100000010ff00ffc4001b1001010101010101010000000000"
    "0000000111312100517191ffda0008010100013f10e4036658055e78e444a096404fdfbcef23e88135137b840e6d3e7e80a4035c8510dc3e46710d15dc561de4ebb515c0b69e"
    "aa03fd18d186cf7fffd9");

/// A grey picture of libjpeg, 24x8 pixels with a restart behind each block.
inline const Bytes restarts = from_hex(
    "ffd8ffdb004300100b0c0e0c0a100e0d0e1211101318281a181616183123251d283a333d3c3933383740485c4e404457453738506d51575f626768673e4d71797064785c6567"
    "63ffc0000b080008001801011100ffc4001500010100000000000000000000000000000105ffc400211000020202010403000000000000000000010203110421310005517106"
    "1213ffdd00040001ffda0008010100003f008df1eed71e463b644da8a342eed44d002c9d75ffd022789634c887062871410bfa652966726a80553efceb7aa3d7ffd163793eb1"
    "c390b2849429a21229793c08d59ab5cd8f1eff00ffd9");
/// 18x9 pixels with colours at half resolution, and 18x9 of four inks, as Pillow 13 writes them.
inline const Bytes colours = from_hex(
    "ffd8ffe000104a46494600010100000100010000ffdb0043000d090a0b0a080d0b0a0b0e0e0d0f13201513121213271c1e17202e2931302e292d2c333a4a3e333646372c2d405741"
    "464c4e525352323e5a615a50604a51524fffdb0043010e0e0e131113261515264f352d354f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f"
    "4f4f4f4f4f4f4f4f4f4f4f4f4f4fffc00011080009001203012200021101031101ffc400160001010100000000000000000000000000050006ffc400231000010105090000000000"
    "0000000000000004010205223103062132354174a1b2ffc400160101010100000000000000000000000000040506ffc4002111000102040700000000000000000000000300040111"
    "a1e102051213145253ffda000c03010002110311003f0039340a920ba681524154db19cbdfacd8f1ddf4f0976e8c724704e483921cae0901ea9275902c3274463d942236d1bbd2eb"
    "6dc32fa52ebfffd9");
inline const Bytes inks = from_hex(
    "ffd8ffee000e41646f626500640000000000ffdb0043000d090a0b0a080d0b0a0b0e0e0d0f13201513121213271c1e17202e2931302e292d2c333a4a3e333646372c2d405741464c"
    "4e525352323e5a615a50604a51524fffc000140800090012044311004d11005911004b1100ffc400190000020301000000000000000000000000050600040703ffc4002410000101"
    "05090100000000000000000000000401030531420216213241626371a115ffda000e0443004d0059004b00003f00728d5412be7cbe8e8a96cf11d9e443719fc6aa25f3e5f40ea96c"
    "f12b3c886e152d666f64be7cbe839ab7199c3e86e36b8d546621655a95de19fc6aa201956a55782a5accdec80f6cce07ffd9");

inline void write(const std::filesystem::path& path, const Bytes& bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (!bytes.empty()) std::fwrite(bytes.data(), 1, bytes.size(), file);
  std::fclose(file);
}

/// The sentence that f throws, or nothing.
template <class F> std::string sentence(const F& f) {
  try {
    f();
  } catch (const lamina::Error& e) {
    return e.what();
  }
  return "";
}
inline bool says(const std::string& sentence, const std::string& words) { return sentence.find(words) != std::string::npos; }

}  // namespace lamina_test
