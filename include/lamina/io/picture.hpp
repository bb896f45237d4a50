/// Pictures for a page of HTML: PNG bytes of grey levels, and base64 text of bytes.
#pragma once
#include <algorithm>
#include <bit>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "../core/error.hpp"
#include "../core/shape.hpp"

namespace lamina {

namespace detail {
inline std::uint32_t byte_at(std::string_view s, std::size_t i) { return static_cast<unsigned char>(s[i]); }

/// The four bytes of v, the highest first.
inline std::string big_endian(std::uint32_t v) { return {char(v >> 24), char(v >> 16), char(v >> 8), char(v)}; }

/// RFC 1951: one block of deflate with the fixed codes. A string of three bytes and more that was seen at most 32 KB before becomes (length, distance).
class Deflate {
 public:
  explicit Deflate(std::string_view bytes) {
    constexpr std::size_t never = std::size_t(-1), longest = 258, farthest = 32768;
    std::vector<std::size_t> last(1 << 12, never);                     // where three bytes with this hash were seen
    put(0b011, 3);                                                     // the last block, fixed codes
    for (std::size_t i = 0; i < bytes.size();) {
      std::size_t length = 0, distance = 0;
      if (i + 3 <= bytes.size()) {
        std::size_t& seen = last[(byte_at(bytes, i) << 16 | byte_at(bytes, i + 1) << 8 | byte_at(bytes, i + 2)) * 2654435761u >> 20];
        if (seen != never && i - seen <= farthest) {
          distance = i - seen;
          while (length < longest && i + length < bytes.size() && bytes[i + length] == bytes[seen + length]) ++length;
        }
        seen = i;
      }
      if (length >= 3) pair(std::uint32_t(length), std::uint32_t(distance)), i += length;
      else symbol(byte_at(bytes, i++));
    }
    symbol(256);                                                       // the end
    if (filled_) put(0, 8 - filled_);
  }
  const std::string& bytes() const { return out_; }

 private:
  /// The low n bits of v, the lowest first.
  void put(std::uint32_t v, int n) {
    for (int k = 0; k < n; ++k) {
      now_ |= (v >> k & 1) << filled_;
      if (++filled_ == 8) out_ += char(now_), now_ = 0, filled_ = 0;
    }
  }
  /// A code of n bits, the highest first.
  void code(std::uint32_t v, int n) { while (n--) put(v >> n, 1); }
  void symbol(std::uint32_t v) {
    if (v < 144) code(0x30 + v, 8);
    else if (v < 256) code(0x190 + v - 144, 9);
    else if (v < 280) code(v - 256, 7);
    else code(0xC0 + v - 280, 8);
  }
  /// RFC 1951, 3.2.5: lengths and distances share a code with their neighbours and tell in extra bits which they are.
  void pair(std::uint32_t length, std::uint32_t distance) {
    const std::uint32_t l = length - 3, d = distance - 1;
    const int more = l < 8 || l == 255 ? 0 : std::bit_width(l) - 3, far = d < 4 ? 0 : std::bit_width(d) - 2;
    symbol(l == 255 ? 285 : 257 + 4 * std::uint32_t(more) + (l >> more));
    put(l == 255 ? 0 : l, more);
    code(2 * std::uint32_t(far) + (d >> far), 5);
    put(d, far);
  }

  std::string out_;
  std::uint32_t now_ = 0;
  int filled_ = 0;
};

/// RFC 1950, section 8.2.
inline std::uint32_t adler32(std::string_view bytes) {
  std::uint32_t a = 1, b = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) a = (a + byte_at(bytes, i)) % 65521, b = (b + a) % 65521;
  return b << 16 | a;
}

/// A chunk of a PNG: length, name, data, CRC-32 of name and data.
inline std::string png_chunk(const std::string& name_and_data) {
  std::uint32_t crc = 0xFFFFFFFF;
  for (std::size_t i = 0; i < name_and_data.size(); ++i) {
    crc ^= byte_at(name_and_data, i);
    for (int k = 0; k < 8; ++k) crc = crc & 1 ? 0xEDB88320 ^ crc >> 1 : crc >> 1;
  }
  return big_endian(std::uint32_t(name_and_data.size() - 4)) + name_and_data + big_endian(~crc);
}

/// Which of left, above and above left is nearest to left + above - above left (Paeth; PNG specification 9.4).
inline int paeth(int left, int above, int corner) {
  const int l = std::abs(above - corner), a = std::abs(left - corner), c = std::abs(left + above - 2 * corner);
  return l <= a && l <= c ? left : a <= c ? above : corner;
}
}  // namespace detail

/// The bytes of a PNG file of pixels (H, W, C), grey levels 0..255; C is 1 (grey), 3 (colour), or 2 and 4 (the same with opacity). Throws Error on another shape.
/// Good for small pictures: codes and filter (Paeth) are fixed.
inline std::string png_bytes(const std::uint8_t* pixels, Shape shape) {
  if (shape.h < 1 || shape.w < 1 || shape.c < 1 || shape.c > 4) throw Error("a picture of ", shape, " cannot be a PNG: it needs pixels, and 1 to 4 channels");
  const Index row = Index(shape.w) * shape.c;
  std::string filtered;
  for (Index y = 0; y < shape.h; ++y) {
    filtered += '\4';
    for (Index x = 0; x < row; ++x) {
      const std::uint8_t* at = pixels + y * row + x;
      const bool left = x >= shape.c, above = y > 0;
      filtered += char(*at - detail::paeth(left ? at[-shape.c] : 0, above ? at[-row] : 0, left && above ? at[-row - shape.c] : 0));
    }
  }
  constexpr char colour_types[] = {0, 4, 2, 6};
  const std::string header = "IHDR" + detail::big_endian(std::uint32_t(shape.w)) + detail::big_endian(std::uint32_t(shape.h)) + std::string{8, colour_types[shape.c - 1], 0, 0, 0};
  return "\x89PNG\r\n\x1a\n" + detail::png_chunk(header) +
         detail::png_chunk("IDAT\x78\x01" + detail::Deflate(filtered).bytes() + detail::big_endian(detail::adler32(filtered))) + detail::png_chunk("IEND");
}

/// RFC 4648, section 4: three bytes as four letters, filled up with '='.
inline std::string base64(std::string_view bytes) {
  constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string s;
  s.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](std::size_t k) { return i + k < bytes.size() ? detail::byte_at(bytes, i + k) : 0; };
    const std::uint32_t v = byte(0) << 16 | byte(1) << 8 | byte(2);
    for (std::size_t k = 0; k < 4; ++k) s += i + k <= bytes.size() ? letters[v >> (18 - 6 * k) & 63] : '=';
  }
  return s;
}

/// An encoded picture as the address of itself, for <img src>; nothing if the bytes begin neither as a PNG nor as a JPEG.
inline std::string data_uri(std::string_view encoded) {
  if (encoded.starts_with("\x89PNG\r\n\x1a\n")) return "data:image/png;base64," + base64(encoded);
  if (encoded.starts_with("\xff\xd8\xff")) return "data:image/jpeg;base64," + base64(encoded);
  return "";
}

}  // namespace lamina
