/// A block's shared memory: what a lane touches is checked for bounds, alignment, what nobody wrote, and races between two barriers.
#pragma once
#include <cstring>
#include <vector>

#include "counters.hpp"

namespace lamina::simt {

/// When the lanes of a block last met. Times are ticks of one clock that only meetings advance, and a new block.
struct Meetings {
  std::uint32_t now = 0, begin = 0, block = 0, warp[32] = {};
  void next_block() {
    begin = block = ++now;
    std::fill(warp, warp + 32, now);
  }
  void meet_block() { block = ++now; }
  void meet_warp(int w) { warp[w] = ++now; }
  bool ordered_in_warp(std::uint32_t then, int w) const { return then < std::max(warp[w], block); }
};

class SharedMemory {
 public:
  static constexpr unsigned char poison = 0xFF;  // NaN as bf16 and as float

  void begin_launch(std::size_t bytes) {
    bytes_.resize((bytes + 127) / 128 * 128 + 256);
    base_ = bytes_.data() + (128 - reinterpret_cast<std::uintptr_t>(bytes_.data()) % 128);
    size_ = bytes;
    words_.assign((bytes + 3) / 4, Cell{});
    apart_.resize(words_.size() * 4);
  }
  void begin_block() { std::memset(base_, poison, size_); }
  unsigned char* base() const { return base_; }
  bool holds(const void* p) const { return p >= bytes_.data() && p < bytes_.data() + bytes_.size(); }

  void read(const void* p, std::size_t bytes, int lane, const Meetings& met) {
    each(p, bytes, false, [&](Cell& cell) {
      if (cell.write_time < met.begin) fail("lane %d reads shared byte %ld, which nobody wrote", lane, offset(p));
      if (cell.write_time == under_way) fail("lane %d reads shared byte %ld, whose asynchronous copy nobody waited for", lane, offset(p));
      if (!met_since(cell.write_time, cell.writer, lane, met)) fail("race: lane %d reads shared byte %ld, written by %s, with no barrier between", lane, offset(p), who(cell.writer).c_str());
      const bool old_reads_count = cell.readers != none && cell.read_time >= met.block;
      cell.readers = old_reads_count ? joined(cell.readers, lane) : std::uint16_t(lane);
      cell.read_time = met.now;
    });
  }
  /// `copy_begins`: the bytes arrive when the copy is waited for.
  void write(const void* p, std::size_t bytes, int lane, const Meetings& met, bool copy_begins = false) {
    each(p, bytes, true, [&](Cell& cell) {
      if (cell.write_time == under_way) fail("race: lane %d writes shared byte %ld under an asynchronous copy", lane, offset(p));
      if (!met_since(cell.write_time, cell.writer, lane, met)) fail("race: lane %d and %s write shared byte %ld with no barrier between", lane, who(cell.writer).c_str(), offset(p));
      no_reader(cell, p, lane, met);
      cell = {copy_begins ? under_way : met.now, 0, std::uint16_t(lane), none, false};
    });
  }
  /// Lanes may add to one number at the same time, and to nothing else.
  void add(const void* p, std::size_t bytes, int lane, const Meetings& met) {
    each(p, bytes, false, [&](Cell& cell) {
      if (cell.write_time < met.begin) fail("lane %d adds to shared byte %ld, which nobody wrote", lane, offset(p));
      if (cell.write_time == under_way) fail("race: lane %d adds to shared byte %ld under an asynchronous copy", lane, offset(p));
      const bool met_writer = met_since(cell.write_time, cell.writer, lane, met);
      if (!cell.added && !met_writer) fail("race: lane %d adds to shared byte %ld, written by %s, with no barrier between", lane, offset(p), who(cell.writer).c_str());
      no_reader(cell, p, lane, met);
      cell = {met.now, 0, met_writer ? std::uint16_t(lane) : joined(cell.writer, lane), none, true};
    });
  }
  /// The copy `lane` began has arrived.
  void arrive(const void* p, std::size_t bytes, int lane, const Meetings& met) {
    each(p, bytes, false, [&](Cell& cell) {
      if (cell.writer == lane && cell.write_time == under_way) cell.write_time = met.now;
    });
  }

 private:
  // Who wrote and who read, and when: a lane, several lanes of warp w (one_warp + w), or more than that. Words are one cell until somebody touches a part of one.
  struct Cell { std::uint32_t write_time = 0, read_time = 0; std::uint16_t writer = 0, readers = none; bool added = false; };
  static constexpr std::uint32_t under_way = ~0u, apart = ~1u;
  static constexpr std::uint16_t none = 0xFFFF, many_warps = 0xFFFE, one_warp = 0x8000;

  static std::uint16_t joined(std::uint16_t lanes, int lane) {
    if (lanes == lane || lanes == many_warps) return lanes;
    const int warp = lanes & one_warp ? lanes - one_warp : lanes / 32;
    return warp == lane / 32 ? std::uint16_t(one_warp + warp) : many_warps;
  }
  /// Whether `lane` knows that what `lanes` did then is done.
  static bool met_since(std::uint32_t then, std::uint16_t lanes, int lane, const Meetings& met) {
    if (lanes == lane || then < met.block) return true;
    if (lanes == many_warps) return false;
    const int warp = lanes & one_warp ? lanes - one_warp : lanes / 32;
    return warp == lane / 32 && met.ordered_in_warp(then, warp);
  }
  static std::string who(std::uint16_t lanes) {
    return lanes == many_warps ? "lanes of several warps" : lanes & one_warp ? "lanes of warp " + std::to_string(lanes - one_warp) : "lane " + std::to_string(lanes);
  }
  void no_reader(const Cell& cell, const void* p, int lane, const Meetings& met) const {
    if (cell.readers != none && !met_since(cell.read_time, cell.readers, lane, met))
      fail("race: lane %d writes shared byte %ld, read by %s with no barrier between", lane, offset(p), who(cell.readers).c_str());
  }

  long offset(const void* p) const { return static_cast<const unsigned char*>(p) - base_; }
  /// f(cell) for the cells of these bytes. `whole`: f leaves them all alike.
  template <class F> void each(const void* p, std::size_t bytes, bool whole, F f) {
    const long at = offset(p);
    if (at < 0 || std::size_t(at) + bytes > size_) fail("shared byte %ld + %zu is outside the %zu of this launch", at, bytes, size_);
    if (std::size_t(at) % bytes) fail("shared byte %ld is not aligned for %zu bytes", at, bytes);
    for (std::size_t i = std::size_t(at); i < std::size_t(at) + bytes; i = (i + 4) / 4 * 4) {
      Cell& word = words_[i / 4];
      Cell* const parts = &apart_[i / 4 * 4];
      if (bytes >= 4 && word.write_time != apart) {
        f(word);
        continue;
      }
      if (word.write_time != apart) std::fill(parts, parts + 4, word), word.write_time = apart;
      for (std::size_t b = i; b < i / 4 * 4 + 4 && b < std::size_t(at) + bytes; ++b) f(parts[b % 4]);
      if (bytes >= 4 && whole) word = parts[0];
    }
  }

  std::vector<unsigned char> bytes_;
  unsigned char* base_ = nullptr;
  std::size_t size_ = 0;
  std::vector<Cell> words_, apart_;
};

}  // namespace lamina::simt
