/// A PNG (ISO/IEC 15948) looked through before a decoder sees it.
#pragma once
#include <array>
#include <cstring>
#include <string_view>

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

inline std::uint32_t crc32(const std::uint8_t* p, std::size_t n) {
  static constexpr auto table = [] {
    std::array<std::uint32_t, 256> t{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t v = i;
      for (int k = 0; k < 8; ++k) v = v & 1 ? 0xEDB88320u ^ v >> 1 : v >> 1;
      t[i] = v;
    }
    return t;
  }();
  std::uint32_t v = ~0u;
  for (std::size_t i = 0; i < n; ++i) v = table[(v ^ p[i]) & 255] ^ v >> 8;
  return ~v;
}

/// Walks over the chunks to IEND and checks the sum of each, which the decoder does not. A stream much longer than its pixels
/// is refused too: unpacked it could fill the memory.
[[gnu::cold]] inline Found look_through_png(const std::uint8_t* b, std::size_t n) {
  Found found;
  Index room = 0, packed = 0;
  for (std::size_t at = 8; at + 12 <= n;) {
    const std::size_t length = big_endian(b + at, 4);
    if (length > n - at - 12) break;
    const std::string_view kind(reinterpret_cast<const char*>(b + at + 4), 4);
    if (crc32(b + at + 4, length + 4) != big_endian(b + at + 8 + length, 4)) {
      found.problem = "it is a PNG with a wrong checksum: the file is damaged, copy it again";
      return found;
    }
    if ((at == 8) != (kind == "IHDR") || (kind == "IHDR" && length != 13)) {
      found.problem = "it is a PNG whose header is not where it belongs: the file is damaged, copy it again";
      return found;
    }
    if (kind == "IHDR") {
      const std::uint32_t w = big_endian(b + at + 8, 4), h = big_endian(b + at + 12, 4);
      if ((found.problem = too_large(h, w))) return found;
      found.size = {int(h), int(w)};
      const Index raw = Index(h) * (Index(w) * 8 + 2);                            // at most four channels of sixteen bits, and two bytes a row
      room = raw + raw / 8 + 65536;
    } else if (kind == "IDAT") {
      packed += Index(length);
      if (packed > room) {
        found.problem = "it is a PNG with more data than its pixels can need: it is damaged or made to harm";
        return found;
      }
    } else if (kind == "IEND") {
      if (packed == 0) found.problem = "it is a PNG without any picture in it";
      return found;
    }
    at += length + 12;
  }
  found.problem = "it is a PNG that ends before its end chunk: the file is cut short, copy it again";
  return found;
}

}  // namespace lamina::detail
