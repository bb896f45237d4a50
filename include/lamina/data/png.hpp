/// A PNG (ISO/IEC 15948) looked through before a decoder sees it.
#pragma once
#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "deflate.hpp"
#include "picture.hpp"

namespace lamina::detail {

inline bool is_png(const std::uint8_t* b, std::size_t n) {
  static constexpr std::uint8_t png[8] = {0x89, 'P', 'N', 'G', 0x0D, 0x0A, 0x1A, 0x0A};
  return n >= 8 && std::memcmp(b, png, 8) == 0;
}

inline std::uint32_t big_endian(const std::uint8_t* p, int bytes) {
  std::uint32_t v = 0;
  for (int i = 0; i < bytes; ++i) v = v << 8 | p[i];
  return v;
}

/// The sum of annex D, eight bytes at a time: table k is of a byte with k more behind it.
inline std::uint32_t crc32(const std::uint8_t* p, std::size_t n) {
  static constexpr auto table = [] {
    std::array<std::array<std::uint32_t, 256>, 8> t{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t v = i;
      for (int k = 0; k < 8; ++k) v = v & 1 ? 0xEDB88320u ^ v >> 1 : v >> 1;
      t[0][i] = v;
    }
    for (std::size_t k = 1; k < 8; ++k)
      for (std::size_t i = 0; i < 256; ++i) t[k][i] = t[0][t[k - 1][i] & 255] ^ t[k - 1][i] >> 8;
    return t;
  }();
  std::uint32_t v = ~0u;
  for (; n >= 8; n -= 8, p += 8)
    v = table[7][(v ^ p[0]) & 255] ^ table[6][(v >> 8 ^ p[1]) & 255] ^ table[5][(v >> 16 ^ p[2]) & 255] ^ table[4][v >> 24 ^ p[3]] ^ table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
  for (; n; --n, ++p) v = table[0][(v ^ *p) & 255] ^ v >> 8;
  return ~v;
}

inline constexpr const char* png_ends = "it is a PNG that ends before its end chunk: the file is cut short, copy it again";
inline constexpr const char* png_has_more = "it is a PNG with more data than its pixels can need: it is damaged or made to harm";

/// What a PNG says of itself before its data.
struct PngHeader {
  Size size;
  int depth = 0, kind = 0;             // bits of a number; 0 grey, 2 colours, 3 a palette, 4 grey and alpha, 6 colours and alpha
  bool interlaced = false;
  int colours = 0;                     // in its palette
  Index packed = 0;                    // bytes of its IDAT chunks

  /// Table 11.1, and no method but the one there is.
  bool allowed(const std::uint8_t* methods) const {
    const bool few = kind == 0 || kind == 3, bits = depth == 8 || (depth == 16 && kind != 3) || (few && (depth == 1 || depth == 2 || depth == 4));
    return bits && (few || kind == 2 || kind == 4 || kind == 6) && methods[0] == 0 && methods[1] == 0 && methods[2] <= 1;
  }
  /// Bytes that its data unpack to: rows of whole bytes with one before them, of the picture or of the seven that an interlaced one consists of (8.2).
  Index unpacked() const {
    const int channels = kind == 2 ? 3 : kind == 4 ? 2 : kind == 6 ? 4 : 1;
    const auto part = [&](int first_row, int rows, int first_column, int columns) -> Index {
      const Index h = (size.h - first_row + rows - 1) / rows, w = (size.w - first_column + columns - 1) / columns;
      return w ? h * (1 + (w * channels * depth + 7) / 8) : 0;
    };
    if (!interlaced) return part(0, 1, 0, 1);
    return part(0, 8, 0, 8) + part(0, 8, 4, 8) + part(4, 8, 0, 4) + part(0, 4, 2, 4) + part(2, 4, 0, 2) + part(0, 2, 1, 2) + part(1, 2, 0, 1);
  }
};

/// A picture may have so many bytes behind its last row, unpacked: there are such files, and libpng and stb_image pass over what is too much.
inline constexpr Index spare_bytes = 1 << 16;

/// How many bytes the IDAT chunks of one unpack to, see unpacked_bytes(). They begin at `at`, and all chunks up to IEND are whole.
inline Index unpacked_png(const std::uint8_t* b, std::size_t at, Index most) {
  return unpacked_bytes([b, at]() mutable -> std::span<const std::uint8_t> {
    for (;;) {
      const std::uint8_t* const chunk = b + at;
      const std::size_t length = big_endian(chunk, 4);
      if (std::memcmp(chunk + 4, "IEND", 4) == 0) return {};
      at += length + 12;
      if (length && std::memcmp(chunk + 4, "IDAT", 4) == 0) return {chunk + 8, length};
    }
  }, most);
}

/// Walks over the chunks to IEND and checks the sum of each, which the decoder does not, and then that the data unpack to what the pixels need: by zlib's rules, of which stb_image
/// knows a part and takes what memory holds for the rest. A stream that would unpack to much more is refused before it can fill the memory.
[[gnu::cold]] inline Found look_through_png(const std::uint8_t* b, std::size_t n, PngHeader& header) {
  Found found;
  const auto refuse = [&](const char* problem) { return found.problem = problem, found; };
  Index room = 0;
  std::size_t data_at = 0;             // the first IDAT chunk
  for (std::size_t at = 8; at + 12 <= n;) {
    const std::size_t length = big_endian(b + at, 4);
    const std::uint8_t* const data = b + at + 8;
    if (length > n - at - 12) break;
    const std::string_view kind(reinterpret_cast<const char*>(b + at + 4), 4);
    if (crc32(b + at + 4, length + 4) != big_endian(data + length, 4)) return refuse("it is a PNG with a wrong checksum: the file is damaged, copy it again");
    if (kind == "CgBI") return refuse("it is a PNG for Apple's own programs (CgBI), which others cannot read: convert it");
    if ((at == 8) != (kind == "IHDR") || (kind == "IHDR" && length != 13)) return refuse("it is a PNG whose header is not where it belongs: the file is damaged, copy it again");
    if (kind == "IHDR") {
      const std::uint32_t w = big_endian(data, 4), h = big_endian(data + 4, 4);
      if (const char* large = too_large(h, w)) return refuse(large);
      found.size = {int(h), int(w)};
      header = {.size = found.size, .depth = data[8], .kind = data[9], .interlaced = data[12] == 1};
      if (!header.allowed(data + 10)) return refuse("it is a PNG whose header makes no sense: the file is damaged, copy it again");
      room = 8 * header.unpacked() + (1 << 20);                                      // a packer that ends a block with every row of one pixel takes as much
    } else if (kind == "PLTE") {
      header.colours = int(std::min<std::size_t>(length / 3, 256));
    } else if (kind == "IDAT") {
      if (!data_at) data_at = at;
      header.packed += Index(length);
      if (header.packed > room) return refuse(png_has_more);
    } else if (kind == "IEND") {
      if (!header.packed) return refuse("it is a PNG without any picture in it");
      const Index needed = header.unpacked(), bytes = unpacked_png(b, data_at, needed + spare_bytes);
      if (bytes > needed + spare_bytes) return refuse(png_has_more);
      return bytes >= needed ? found : refuse(bytes < 0 ? "it is a PNG whose packed data make no sense: it is damaged, copy it again" : "it is a PNG with less data than its pixels need: it is damaged, copy it again");
    } else if (kind[0] >= 'A' && kind[0] <= 'Z') {                                // one that is needed for showing the picture (5.4)
      return refuse("it is a PNG with a part that is needed and that nobody knows: it is damaged or of a rare kind, convert it");
    }
    at += length + 12;
  }
  return refuse(png_ends);
}

/// The bytes of one that was looked through, with 256 colours in each palette: those that it does not have are black, as in Pillow. The decoder takes what it finds.
[[gnu::cold]] inline std::vector<std::uint8_t> with_whole_palette(const std::uint8_t* b, std::size_t n) {
  std::vector<std::uint8_t> whole(b, b + 8);
  for (std::size_t at = 8; at + 12 <= n;) {
    const std::size_t length = big_endian(b + at, 4);
    if (length > n - at - 12) break;
    const bool palette = std::memcmp(b + at + 4, "PLTE", 4) == 0 && length % 3 == 0 && length < 768;
    const std::size_t begin = whole.size();
    whole.insert(whole.end(), b + at, b + at + 8 + length);
    if (palette) whole.resize(begin + 8 + 768), whole[begin + 2] = 3, whole[begin + 3] = 0;          // its length is 0x300
    whole.insert(whole.end(), b + at + 8 + length, b + at + 12 + length);                            // the sum, which the decoder does not read
    at += length + 12;
  }
  return whole;
}

}  // namespace lamina::detail
