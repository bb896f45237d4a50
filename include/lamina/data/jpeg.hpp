/// A JPEG (ITU T.81) looked through before a decoder sees it: a decoder believes what the tables say, and fills what is missing with grey or zeros.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "huffman.hpp"
#include "picture.hpp"

namespace lamina::detail {

inline constexpr const char* jpeg_ends = "it is a JPEG that ends before its end-of-image marker: the file is cut short, copy it again";
inline constexpr const char* pixels_lost = "it is a JPEG whose data end or are damaged before its last pixels: copy it again";

/// Walks over the segments (annex B) to the end of image. What follows that (thumbnails, a phone's second picture) is of no concern. If asked to, it counts the codes of a
/// sequential picture to its last block, and those of a progressive one in its first, coarse scans: where they end too soon, or no table has one, pixels are lost. A change
/// that turns codes into others, and what is lost of the finer scans, is not found.
class Jpeg {
 public:
  [[gnu::cold]] Jpeg(const std::uint8_t* bytes, std::size_t n, bool count_codes) : b_(bytes), n_(n), count_codes_(count_codes) { problem_ = look(); }

  /// Why the bytes are refused, or null.
  const char* problem() const { return problem_; }
  /// Read from the header, if it got that far.
  Size size() const { return size_; }

 private:
  struct Component {
    int id = 0, h = 1, v = 1, quantizer = 0;
    bool seen = false;
    int dc_table = 0, ac_table = 0;      // in the scan
    int dc = 0;                          // of the block before
  };

  std::size_t number(std::size_t at) const { return std::size_t(b_[at]) << 8 | b_[at + 1]; }

  const char* look() {
    constexpr const char* alien = "it is a JPEG with bytes between its segments that belong to none: the file is damaged, copy it again";
    for (std::size_t at = 2; at + 2 <= n_;) {
      if (b_[at] != 0xFF) return alien;
      const std::uint8_t marker = b_[at + 1];
      if (marker == 0xFF) { ++at; continue; }                                       // fill byte
      if (marker == 0) return alien;                                                // that is data, and decoders go on with it
      at += 2;
      if (marker == 0xD9) return end();
      if (marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8)) continue;           // markers that stand alone
      if (at + 2 > n_ || number(at) < 2 || at + number(at) > n_) return jpeg_ends;
      const std::size_t behind = at + number(at);
      if (const char* wrong = segment(marker, at + 2, behind)) return wrong;
      at = behind;
      if (marker == 0xDA && !coded(at)) return at + 2 > n_ ? jpeg_ends : pixels_lost;
    }
    return jpeg_ends;
  }

  const char* segment(int marker, std::size_t at, std::size_t end) {
    switch (marker) {
      case 0xC4: return codes(at, end) ? nullptr : "it is a JPEG whose Huffman tables make no sense: the file is damaged, copy it again";
      case 0xDB: return quantizers(at, end) ? nullptr : "it is a JPEG whose quantization tables make no sense: the file is damaged, copy it again";
      case 0xDD:
        if (end - at != 2) return "it is a JPEG whose restart interval makes no sense: the file is damaged, copy it again";
        restart_ = Index(number(at));
        return nullptr;
      case 0xDA:
        if (++scans_ > most_scans) return "it is a JPEG of more than 500 scans: it is made to harm, take it away";
        return scan(at, end) ? nullptr : "it is a JPEG with a scan of colours or tables it does not have: the file is damaged, copy it again";
      case 0xC0: case 0xC1: case 0xC2: return frame(marker, at, end);
      case 0xC3: case 0xC5: case 0xC6: case 0xC7: case 0xC9: case 0xCA: case 0xCB: case 0xCD: case 0xCE: case 0xCF:
        return "it is a JPEG of a rare kind (lossless, arithmetic or hierarchical): convert it to PNG";
      default: return nullptr;
    }
  }

  /// B.2.2: the picture's size, and of each colour its sampling and its quantizer.
  const char* frame(int marker, std::size_t at, std::size_t end) {
    constexpr const char* senseless = "it is a JPEG whose frame header makes no sense: the file is damaged, copy it again";
    if (colours_ || end - at < 6) return senseless;
    size_ = {int(number(at + 1)), int(number(at + 3))};
    if (const char* large = too_large(size_.h, size_.w)) return large;
    if (b_[at] != 8) return "it is a JPEG with more than 8 bits a colour: convert it to PNG";
    const int n = b_[at + 5];
    if ((n != 1 && n != 3 && n != 4) || end - at != 6 + 3 * std::size_t(n)) return senseless;
    for (int i = 0; i < n; ++i) {
      const std::uint8_t* p = b_ + at + 6 + 3 * i;
      component_[i] = {p[0], p[1] >> 4, p[1] & 15, p[2]};
      const Component& c = component_[i];
      if (c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.quantizer > 3) return senseless;
    }
    colours_ = n;
    progressive_ = marker == 0xC2;
    return nullptr;
  }

  /// B.2.4.1
  bool quantizers(std::size_t at, std::size_t end) {
    while (at < end) {
      const int bits = b_[at] >> 4, id = b_[at] & 15;
      if (bits > 1 || id > 3 || end - at < std::size_t(bits ? 129 : 65)) return false;
      has_quantizer_[id] = true;
      at += bits ? 129 : 65;
    }
    return true;
  }

  /// B.2.4.2: how many codes there are of 1 to 16 bits, and their values.
  bool codes(std::size_t at, std::size_t end) {
    while (at < end) {
      const int kind = b_[at] >> 4, id = b_[at] & 15;
      if (kind > 1 || id > 3 || end - at < 17) return false;
      const std::uint8_t* of_length = b_ + at + 1;
      std::size_t count = 0;
      for (int i = 0; i < 16; ++i) count += of_length[i];
      if (end - at < 17 + count || !huffman_[kind][id].define(of_length, of_length + 16)) return false;
      at += 17 + count;
    }
    return true;
  }

  /// B.2.3, G.1.1.1: which colours with which tables. A progressive picture has the first of a block's 64 numbers (DC) in scans of their own, before the others (AC).
  bool scan(std::size_t at, std::size_t end) {
    scan_n_ = 0;
    const int n = at < end ? b_[at] : 0;
    if (n < 1 || n > colours_ || end - at != 4 + 2 * std::size_t(n)) return false;
    const std::uint8_t* of = b_ + at + 1 + 2 * n;
    const int first = of[0], last = of[1], refined = of[2] >> 4, low = of[2] & 15;
    if (progressive_ ? last > 63 || refined > 13 || low > 13 || (first == 0 ? last != 0 : n != 1 || last < first) : first || refined || low) return false;
    for (int i = 0; i < n; ++i) {
      const std::uint8_t* p = b_ + at + 1 + 2 * i;
      Component* c = component_;
      while (c < component_ + colours_ && c->id != p[0]) ++c;
      if (c == component_ + colours_ || !has_quantizer_[c->quantizer]) return false;
      const int dc = p[1] >> 4, ac = p[1] & 15;
      const bool needs_dc = first == 0 && !refined, needs_ac = !progressive_ || first > 0;
      if (dc > 3 || ac > 3 || (needs_dc && !huffman_[0][dc].defined()) || (needs_ac && !huffman_[1][ac].defined()) || (!needs_dc && !c->seen)) return false;
      c->seen = true, c->dc_table = dc, c->ac_table = ac;
      scan_[i] = c;
    }
    counted_ = count_codes_ && first == 0 && !refined;
    scan_n_ = n, low_ = low;
    return true;
  }

  /// Goes on to where the coded data end: at the next marker that is no restart and no stuffing. False if there is less of them than the scan takes.
  bool coded(std::size_t& at) {
    Index units = units_of_scan();
    for (std::size_t begin = at; at + 2 <= n_;) {
      const void* next = std::memchr(b_ + at, 0xFF, n_ - at - 1);
      if (!next) return at = n_, false;
      at = std::size_t(static_cast<const std::uint8_t*>(next) - b_);
      if (b_[at + 1] == 0) { at += 2; continue; }
      if (counted_) {
        const Index here = restart_ ? std::min(units, restart_) : units;
        if (!count(here, {b_ + begin, b_ + at})) return false;
        units -= here;
      }
      if (b_[at + 1] < 0xD0 || b_[at + 1] > 0xD7) break;
      begin = at += 2;
    }
    return !counted_ || units == 0;
  }

  /// A.2: one colour goes block by block, several take turns with a rectangle of blocks each.
  Index units_of_scan() const {
    int h = 1, v = 1;
    for (int i = 0; i < colours_; ++i) h = std::max(h, component_[i].h), v = std::max(v, component_[i].v);
    const auto over = [](Index a, Index b) { return (a + b - 1) / b; };
    if (scan_n_ > 1) return over(size_.w, 8 * h) * over(size_.h, 8 * v);
    return over(over(Index(size_.w) * scan_[0]->h, h), 8) * over(over(Index(size_.h) * scan_[0]->v, v), 8);
  }

  bool count(Index units, CodedBits bits) {
    for (int i = 0; i < scan_n_; ++i) scan_[i]->dc = 0;
    for (; units > 0; --units)
      for (int i = 0; i < scan_n_; ++i)
        for (int blocks = scan_n_ > 1 ? scan_[i]->h * scan_[i]->v : 1; blocks > 0; --blocks)
          if (!block(*scan_[i], bits)) return false;
    return true;
  }

  /// F.2.2: the first number as a difference, the others as (how many zeros come before it, its length) up to a code that says that the rest is zero.
  bool block(Component& c, CodedBits& bits) const {
    const int length = huffman_[0][c.dc_table].read(bits);
    if (length < 0 || length > 15) return false;
    c.dc += bits.signed_number(length);
    if (std::abs(c.dc) << low_ > 0x7FFF) return false;                              // it would not stay in 16 bits
    for (int k = 1; k < 64 && !progressive_; ++k) {
      const int code = huffman_[1][c.ac_table].read(bits);
      if (code < 0) return false;
      if ((code & 15) == 0 && code != 0xF0) break;
      bits.skip(code & 15);
      if ((k += code >> 4) > 63) return false;
    }
    return !bits.over();
  }

  const char* end() const {
    bool any = false, all = true;
    for (int i = 0; i < colours_; ++i) any |= component_[i].seen, all &= component_[i].seen;
    return !any ? "it is a JPEG without any picture in it" : !all ? "it is a JPEG without the data of one of its colours: the file is damaged, copy it again" : nullptr;
  }

  const std::uint8_t* b_;
  std::size_t n_;
  bool count_codes_;
  const char* problem_ = nullptr;
  Size size_;
  int colours_ = 0;                      // of the frame; 0: none was there yet
  bool progressive_ = false;
  Component component_[4];
  bool has_quantizer_[4] = {};
  HuffmanTable huffman_[2][4];           // DC and AC
  static constexpr int most_scans = 500; // as libjpeg-turbo's own limit; each goes over the whole picture
  int scans_ = 0;
  Index restart_ = 0;                    // so many units lie between two restarts; 0: there are none
  Component* scan_[4] = {};              // the colours of the scan
  int scan_n_ = 0, low_ = 0;             // how many they are, and how many low bits come in later scans
  bool counted_ = false;                 // its codes are
};

inline bool is_jpeg(const std::uint8_t* b, std::size_t n) { return n >= 3 && b[0] == 0xFF && b[1] == 0xD8 && b[2] == 0xFF; }

inline Found look_through_jpeg(const std::uint8_t* b, std::size_t n, bool count_codes) {
  const Jpeg jpeg(b, n, count_codes);
  return {jpeg.problem(), jpeg.size()};
}

}  // namespace lamina::detail
