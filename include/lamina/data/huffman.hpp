/// The Huffman codes of a JPEG (ITU T.81, annexes C and F), as far as it takes to count them.
#pragma once
#include <cstdint>

namespace lamina::detail {

/// The bits between two markers, the highest of a byte first. The byte behind 0xFF says only that this was no marker.
class CodedBits {
 public:
  CodedBits(const std::uint8_t* begin, const std::uint8_t* end) : at_(begin), end_(end) {}

  /// The next 16 bits; behind the last bit there are zeros.
  unsigned next() {
    for (; have_ < 16 && at_ < end_; have_ += 8) {
      bits_ = bits_ << 8 | *at_;
      at_ += *at_ == 0xFF ? 2 : 1;
    }
    return unsigned(have_ < 16 ? bits_ << (16 - have_) : bits_ >> (have_ - 16)) & 0xFFFF;
  }
  /// At most 16 of them.
  void skip(int n) {
    if (have_ < n) next();
    have_ -= n;
  }
  /// Skips n bits as well, and says which number they are (F.2.2.1): those that begin with 0 count up to -1.
  int signed_number(int n) {
    const int v = int(next() >> (16 - n));
    skip(n);
    return n && v < 1 << (n - 1) ? v - (1 << n) + 1 : v;
  }
  /// More bits were skipped than there are.
  bool over() const { return have_ < 0; }

 private:
  const std::uint8_t *at_, *end_;
  std::uint64_t bits_ = 0;             // the last have_ of them are still to come
  int have_ = 0;
};

/// A table of codes of 1 to 16 bits.
class HuffmanTable {
 public:
  bool defined() const { return count_ > 0; }

  /// From how many codes there are of 1 to 16 bits, and the values of all. False if they are more than 256, which is what a decoder has room for, or more than so many
  /// bits can tell apart.
  bool define(const std::uint8_t* of_length, const std::uint8_t* values) {
    count_ = 0;
    unsigned code = 0, count = 0;
    for (int bits = 1; bits <= 16; ++bits) {
      shift_[bits] = int(count) - int(code);
      count += of_length[bits - 1], code += of_length[bits - 1];
      if (code > 1u << bits) return false;
      behind_[bits] = code << (16 - bits);
      code *= 2;
    }
    if (count > 256) return false;
    for (unsigned i = 0; i < count; ++i) value_[i] = values[i];
    count_ = int(count);
    for (unsigned i = 0, bits = 1; i < 256; ++i) {
      while (bits <= 8 && i << 8 >= behind_[bits]) ++bits;
      short_[i] = std::uint16_t(bits > 8 ? 0 : bits << 8 | value_[int(i >> (8 - bits)) + shift_[bits]]);
    }
    return true;
  }

  /// The value of the code that comes next, or -1 if there is none.
  int read(CodedBits& bits) const {
    const unsigned next = bits.next();
    if (const int code = short_[next >> 8]) {
      bits.skip(code >> 8);
      return bits.over() ? -1 : code & 255;
    }
    int length = 9;
    while (length <= 16 && next >= behind_[length]) ++length;
    if (length > 16) return -1;
    bits.skip(length);
    return bits.over() ? -1 : value_[int(next >> (16 - length)) + shift_[length]];
  }

 private:
  int count_ = 0;
  unsigned behind_[17] = {};           // the first number of 16 bits that begins with no code of this length or a shorter one
  int shift_[17] = {};                 // from a code of this length to the place of its value
  std::uint8_t value_[256] = {};
  std::uint16_t short_[256] = {};      // the length and the value of the code that these 8 bits begin with; 0 if it is longer than they are
};

}  // namespace lamina::detail
