/// Which way up a picture is: what a camera wrote of how it was held (EXIF 2.3, tag 0x0112), and the picture turned accordingly.
#pragma once
#include <span>

#include "jpeg.hpp"
#include "png.hpp"

namespace lamina::detail {

/// The orientation, 1 to 8, that a TIFF structure tells; 1, which is as stored, if there is none or it makes no sense.
[[gnu::cold]] inline int orientation_of_tiff(std::span<const std::uint8_t> tiff) {
  const std::uint8_t* const b = tiff.data();
  const std::size_t n = tiff.size();
  if (n < 8 || b[0] != b[1] || (b[0] != 'I' && b[0] != 'M')) return 1;
  const auto number = [&](std::size_t at, int bytes) {                             // Intel's order or Motorola's
    std::uint32_t v = 0;
    for (int i = 0; i < bytes; ++i) v = v << 8 | b[at + std::size_t(b[0] == 'I' ? bytes - 1 - i : i)];
    return v;
  };
  std::size_t at = number(4, 4);
  if (number(2, 2) != 42 || at > n - 2) return 1;
  std::uint32_t entries = number(at, 2);
  for (at += 2; entries > 0 && n - at >= 12; --entries, at += 12) {
    if (number(at, 2) != 0x0112) continue;
    const std::uint32_t kind = number(at + 2, 2), v = kind == 3 ? number(at + 8, 2) : kind == 4 ? number(at + 8, 4) : 1;    // short or long
    return v >= 1 && v <= 8 ? int(v) : 1;
  }
  return 1;
}

/// That of the bytes of a JPEG, from its first Exif segment before the first scan, or of a PNG, from its eXIf chunk. It is never an error: what makes no sense is 1.
[[gnu::cold]] inline int orientation(std::span<const std::uint8_t> bytes) {
  const std::uint8_t* const b = bytes.data();
  const std::size_t n = bytes.size();
  if (is_png(b, n)) {
    for (std::size_t at = 8; n - at >= 12;) {
      const std::size_t length = big_endian(b + at, 4);
      if (length > n - at - 12) return 1;
      if (std::memcmp(b + at + 4, "eXIf", 4) == 0) return orientation_of_tiff(bytes.subspan(at + 8, length));
      at += length + 12;
    }
    return 1;
  }
  for (std::size_t at = 2; at + 4 <= n && b[at] == 0xFF && b[at + 1] != 0xDA;) {
    if (const std::uint8_t marker = b[at + 1]; marker == 0xFF || marker == 0x01 || (marker >= 0xD0 && marker <= 0xD9)) {
      at += marker == 0xFF ? 1 : 2;                                                // a fill byte, or a marker that stands alone
      continue;
    }
    const std::size_t length = big_endian(b + at + 2, 2);
    if (length < 2 || length > n - at - 2) return 1;
    if (b[at + 1] == 0xE1 && length >= 8 && std::memcmp(b + at + 4, "Exif\0", 6) == 0) return orientation_of_tiff(bytes.subspan(at + 10, length - 8));
    at += length + 2;
  }
  return 1;
}

/// Whether pictures that are stored so have their rows as columns.
constexpr bool lies_on_its_side(int orientation) { return orientation > 4; }

/// The picture as it is to be looked at: stored with 2 it is mirrored, 3 upside down, 4 both, 5 transposed, 6 turned to the left, 7 transposed and upside down, 8 turned to the right.
[[gnu::cold]] inline Picture upright(const Picture& stored, int orientation) {
  const bool side = lies_on_its_side(orientation);
  const bool from_below = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  Picture made{side ? stored.w : stored.h, side ? stored.h : stored.w, stored.c, std::vector<std::uint8_t>(stored.pixels.size())};
  const std::size_t c = std::size_t(stored.c);
  std::uint8_t* y = made.pixels.data();
  for (int i = 0; i < made.h; ++i)
    for (int j = 0; j < made.w; ++j, y += c) {
      const int row = side ? j : i, column = side ? i : j;
      const int r = from_below ? stored.h - 1 - row : row, k = from_right ? stored.w - 1 - column : column;
      std::memcpy(y, stored.pixels.data() + std::size_t(Index(r) * stored.w + k) * c, c);
    }
  return made;
}

}  // namespace lamina::detail
