/// zlib's form of packed data (RFC 1950) around deflate's (RFC 1951), looked through without unpacking: whether it is sound, and how much it unpacks to.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

#include "../core/shape.hpp"

namespace lamina::detail {

/// The bits of a stream that lies in several parts, the lowest of a byte first. `next` gives the bytes of the next part, none behind the last.
template <class Next> class PackedBits {
 public:
  explicit PackedBits(Next& next) : next_(next) {}

  /// Makes 56 bits ready to be taken, or all that there are: zeros seem to follow, and taking them is told by over().
  void fill() {
    if (end_ - at_ >= 8) {
      std::uint64_t more;
      std::memcpy(&more, at_, 8);
      if constexpr (std::endian::native == std::endian::big) more = __builtin_bswap64(more);
      bits_ |= more << have_;                                                      // what does not count yet will be there again, the same
      at_ += (63 - have_) / 8;
      have_ |= 56;
      return;
    }
    for (; have_ < 56; have_ += 8) {
      if (at_ == end_ && !another_part()) return;
      bits_ |= std::uint64_t(*at_++) << have_;
    }
  }
  unsigned look(int n) const { return unsigned(bits_ & ((std::uint64_t(1) << n) - 1)); }
  unsigned take(int n) {
    const unsigned v = look(n);
    bits_ >>= n, have_ -= n;
    return v;
  }
  bool over() const { return have_ < 0; }
  void end_byte() { take(have_ & 7); }
  /// Skips bytes, from the begin of one on. False if there are not so many.
  bool skip(std::ptrdiff_t bytes) {
    const std::ptrdiff_t ready = std::min(bytes, std::ptrdiff_t(have_ / 8));
    take(int(8 * ready));
    bytes -= ready;
    if (bytes) bits_ = 0;
    while (bytes) {
      if (at_ == end_ && !another_part()) return false;
      const std::ptrdiff_t here = std::min(bytes, end_ - at_);
      at_ += here, bytes -= here;
    }
    return true;
  }

 private:
  bool another_part() {
    const std::span<const std::uint8_t> part = next_();
    at_ = part.data(), end_ = at_ + part.size();
    return !part.empty();
  }

  Next& next_;                         // not within: its address would keep the bits out of registers
  const std::uint8_t *at_ = nullptr, *end_ = nullptr;
  std::uint64_t bits_ = 0;             // the first have_ of them are still to come
  int have_ = 0;
};

/// What a code stands for: a number that begins at `base` and has `extra` bits more in the stream.
struct PackedCode {
  std::uint16_t base = 0;
  std::uint8_t extra = 0, bits = 0;    // the length of the code itself; 0 if there is none
};
inline constexpr std::uint16_t no_code = 0xFFFF;

/// The bytes that a code makes (3.2.5): 1 is a byte by itself, 0 ends the block, from 3 on they are copies, from the distance that follows.
inline constexpr auto packed_lengths = [] {
  std::array<PackedCode, 288> y{};
  for (std::size_t i = 0; i < 256; ++i) y[i].base = 1;
  for (unsigned i = 0, base = 3; i < 28; ++i) {
    const unsigned extra = i < 8 ? 0 : i / 4 - 1;
    y[257 + i] = {std::uint16_t(base), std::uint8_t(extra)};
    base += 1u << extra;
  }
  y[285].base = 258, y[286].base = y[287].base = no_code;
  return y;
}();
inline constexpr auto packed_distances = [] {
  std::array<PackedCode, 32> y{};
  for (unsigned i = 0, base = 1; i < 30; ++i) {
    const unsigned extra = i < 4 ? 0 : i / 2 - 1;
    y[i] = {std::uint16_t(base), std::uint8_t(extra)};
    base += 1u << extra;
  }
  y[30].base = y[31].base = no_code;
  return y;
}();
/// The lengths of codes (3.2.7): 16 repeats the one before, 17 and 18 are many zeros.
inline constexpr auto packed_code_lengths = [] {
  std::array<PackedCode, 19> y{};
  for (std::size_t i = 0; i < 19; ++i) y[i] = {std::uint16_t(i), std::uint8_t(i < 16 ? 0 : i == 16 ? 2 : i == 17 ? 3 : 7)};
  return y;
}();

/// A table of codes of 1 to 15 bits. Of those that the next `short_bits` begin with nothing has to be searched.
template <int short_bits> class PackedCodes {
 public:
  /// From the length of the code of each meaning, 0 for none. False if there are more codes than bits can tell apart; or fewer, but for the one of one bit or none that zlib lets pass if `few`.
  bool define(std::span<const std::uint8_t> lengths, std::span<const PackedCode> meanings, bool few) {
    int count[16] = {}, code[16], place[16], longest = 0, left = 1;
    for (const std::uint8_t bits : lengths) ++count[bits];
    for (int bits = 1, next = 0, sum = 0; bits <= 15; ++bits) {
      left = 2 * left - count[bits];
      if (left < 0) return false;
      if (count[bits]) longest = bits;
      code[bits] = next, place[bits] = sum, shift_[bits] = sum - next;
      sum += count[bits], next += count[bits];
      behind_[bits] = unsigned(next) << (15 - bits);
      next *= 2;
    }
    if (left && (!few || longest > 1)) return false;
    short_ = {};
    for (std::size_t i = 0; i < lengths.size(); ++i)
      if (const int bits = lengths[i]) {
        const PackedCode meaning{meanings[i].base, meanings[i].extra, std::uint8_t(bits)};
        sorted_[std::size_t(place[bits]++)] = meaning;
        for (std::size_t at = reversed(unsigned(code[bits]++)) >> (15 - bits); bits <= short_bits && at < short_.size(); at += std::size_t(1) << bits) short_[at] = meaning;
      }
    return true;
  }

  /// What comes next, no_code if that is nothing. The stream has 15 bits ready.
  template <class Bits> PackedCode read(Bits& bits) const {
    PackedCode code = short_[bits.look(short_bits)];
    if (!code.bits) [[unlikely]] code = longer(bits.look(15));
    bits.take(code.bits);
    return code;
  }

 private:
  /// 15 bits the other way round: codes alone begin with their highest bit.
  static unsigned reversed(unsigned v) {
    v = (v & 0x5555) << 1 | (v >> 1 & 0x5555), v = (v & 0x3333) << 2 | (v >> 2 & 0x3333), v = (v & 0x0F0F) << 4 | (v >> 4 & 0x0F0F);
    return ((v & 0xFF) << 8 | v >> 8) >> 1;
  }
  PackedCode longer(unsigned next) const {
    next = reversed(next);
    for (int bits = short_bits + 1; bits <= 15; ++bits)
      if (next < behind_[bits]) return sorted_[std::size_t(int(next >> (15 - bits)) + shift_[bits])];
    return {no_code};
  }

  unsigned behind_[16] = {};           // the first number of 15 bits that begins with no code of this length or a shorter one
  int shift_[16] = {};                 // from a code of this length to its place among all
  std::array<PackedCode, 288> sorted_{};
  std::array<PackedCode, 1 << short_bits> short_{};    // the code that these bits, the lowest first, begin with
};

using PackedLengthCodes = PackedCodes<10>;
using PackedDistanceCodes = PackedCodes<8>;

/// Reads the tables of a block that has its own (3.2.7). False if they make no sense.
template <class Bits> bool read_codes(Bits& bits, PackedLengthCodes& lengths, PackedDistanceCodes& distances) {
  static constexpr std::uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
  bits.fill();
  const std::size_t n = bits.take(5) + 257, all = n + bits.take(5) + 1, given = bits.take(4) + 4;
  if (n > 286 || all - n > 30) return false;
  std::uint8_t of_lengths[19] = {}, of[286 + 30] = {};
  for (std::size_t i = 0; i < given; ++i) bits.fill(), of_lengths[order[i]] = std::uint8_t(bits.take(3));
  PackedCodes<7> codes;
  if (!codes.define(of_lengths, packed_code_lengths, false)) return false;
  for (std::size_t i = 0; i < all;) {
    bits.fill();
    const PackedCode code = codes.read(bits);
    const std::size_t times = code.base < 16 ? 1 : (code.base == 18 ? 11 : 3) + bits.take(code.extra);
    if (bits.over() || (code.base == 16 && i == 0) || times > all - i) return false;
    std::fill_n(of + i, times, std::uint8_t(code.base < 16 ? code.base : code.base == 16 ? of[i - 1] : 0));
    i += times;
  }
  return of[256] && lengths.define({of, n}, packed_lengths, true) && distances.define({of + n, all - n}, packed_distances, true);
}

/// How many bytes a stream unpacks to, or something above `most` if they are more; -1 if it is damaged or cut off, by zlib's own rules. Its Adler-32 is not compared: that takes the bytes.
template <class Next> [[gnu::hot, gnu::noinline]] Index unpacked_bytes(Next next, Index most) {
  static const auto fixed = [] {                                                   // 3.2.6
    std::pair<PackedLengthCodes, PackedDistanceCodes> y;
    std::uint8_t of[288 + 32];
    std::fill(of, of + 144, std::uint8_t(8)), std::fill(of + 144, of + 256, std::uint8_t(9)), std::fill(of + 256, of + 280, std::uint8_t(7));
    std::fill(of + 280, of + 288, std::uint8_t(8)), std::fill(of + 288, of + 320, std::uint8_t(5));
    y.first.define({of, 288}, packed_lengths, false), y.second.define({of + 288, 32}, packed_distances, false);
    return y;
  }();
  PackedLengthCodes own_lengths;
  PackedDistanceCodes own_distances;
  PackedBits<Next> bits(next);
  bits.fill();
  const unsigned method = bits.take(8), flags = bits.take(8);
  if ((method & 15) != 8 || method >> 4 > 7 || flags & 32 || (method << 8 | flags) % 31) return -1;    // 32: a dictionary, which a PNG cannot have
  Index n = 0;
  for (bool last = false; !last;) {
    bits.fill();
    last = bits.take(1) == 1;
    const unsigned kind = bits.take(2);
    if (kind == 0) {
      bits.end_byte();
      const unsigned size = bits.take(16), inverse = bits.take(16);
      if (bits.over() || (size ^ inverse) != 0xFFFF || !bits.skip(size)) return -1;
      n += size;
      continue;
    }
    if (kind == 3 || (kind == 2 && !read_codes(bits, own_lengths, own_distances))) return -1;
    const PackedLengthCodes& lengths = kind == 1 ? fixed.first : own_lengths;
    const PackedDistanceCodes& distances = kind == 1 ? fixed.second : own_distances;
    for (;;) {
      bits.fill();
      PackedCode length = lengths.read(bits);
      for (int more = 2; more && length.base == 1; --more) n += 1, length = lengths.read(bits);    // of at most 15 bits each
      if (length.base == no_code) return -1;
      if (length.base == 0) break;
      if (length.base == 1) {
        n += 1;
      } else {
        bits.fill();
        const Index copied = length.base + Index(bits.take(length.extra));
        const PackedCode distance = distances.read(bits);
        if (distance.base == no_code || distance.base + Index(bits.take(distance.extra)) > n) return -1;
        n += copied;
      }
      if (bits.over()) return -1;
      if (n > most) return n;
    }
    if (bits.over()) return -1;
  }
  bits.end_byte();
  bits.fill();
  bits.take(32);
  return bits.over() ? -1 : n;
}

}  // namespace lamina::detail
