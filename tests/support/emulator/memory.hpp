/// The emulator's memory: what a lane touches is checked (bounds, alignment, never written, races) and counted (sectors, banks).
#pragma once
#include <algorithm>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace lamina::simt {

struct Error : std::logic_error { using std::logic_error::logic_error; };

[[noreturn, gnu::format(printf, 1, 2)]] inline void fail(const char* format, ...) {
  char text[256];
  va_list values;
  va_start(values, format);
  std::vsnprintf(text, sizeof text, format, values);
  va_end(values);
  throw Error(text);
}

/// What a launch cost. Bytes of device memory are 32-byte sectors: as asked for by warp instructions (what L2 serves),
/// and distinct in a launch (what DRAM must serve at least once).
struct Counters {
  long launches = 0, blocks = 0, switches = 0, tensor_multiplies = 0;
  long read_bytes = 0, written_bytes = 0, distinct_read_bytes = 0, distinct_written_bytes = 0;
  long shared_wavefronts = 0, bank_conflicts = 0;  // bank_conflicts: wavefronts beyond what the bytes need
};

/// When the lanes of a block last met. Times are ticks of one clock that only meetings advance.
struct Meetings {
  std::uint32_t now = 1, block = 1;
  std::vector<std::uint32_t> warp;
  bool ordered(std::uint32_t then, int before, int lane) const {
    return before == lane || then < (before / 32 == lane / 32 ? std::max(warp[lane / 32], block) : block);
  }
};

class SharedMemory {
 public:
  void reset(std::size_t bytes) {
    bytes_.assign((bytes + 127) / 128 * 128 + 128, poison);
    base_ = bytes_.data() + (128 - reinterpret_cast<std::uintptr_t>(bytes_.data()) % 128);
    size_ = bytes;
    cells_.assign((bytes + cell_bytes - 1) / cell_bytes, Cell{});
  }
  unsigned char* base() const { return base_; }
  bool holds(const void* p) const { return p >= bytes_.data() && p < bytes_.data() + bytes_.size(); }

  void read(const void* p, std::size_t bytes, int lane, const Meetings& met) {
    for (Cell& cell : cells(p, bytes)) {
      if (cell.write_time == never) fail("lane %d reads shared byte %ld, which nobody wrote", lane, offset(p));
      if (cell.write_time == under_way) fail("lane %d reads shared byte %ld, whose asynchronous copy nobody waited for", lane, offset(p));
      if (!met.ordered(cell.write_time, cell.writer, lane)) fail("race: lane %d reads shared byte %ld, written by lane %d, with no barrier between", lane, offset(p), cell.writer);
      note_reader(cell, lane, met);
    }
  }
  void write(const void* p, std::size_t bytes, int lane, const Meetings& met, bool copy_begins = false) {
    for (Cell& cell : cells(p, bytes)) {
      if (cell.write_time == under_way && cell.writer != lane) fail("race: lane %d writes shared byte %ld under an asynchronous copy", lane, offset(p));
      if (cell.write_time != under_way && !met.ordered(cell.write_time, cell.writer, lane)) fail("race: lanes %d and %d write shared byte %ld with no barrier between", lane, cell.writer, offset(p));
      if (cell.readers != none && !reads_ended(cell, lane, met)) fail("race: lane %d writes shared byte %ld, read by another lane with no barrier between", lane, offset(p));
      cell.write_time = copy_begins ? under_way : met.now;
      cell.writer = std::uint16_t(lane);
      cell.readers = none;
    }
  }
  /// The copy `lane` began has arrived.
  void arrive(const void* p, std::size_t bytes, int lane, const Meetings& met) {
    for (Cell& cell : cells(p, bytes))
      if (cell.writer == lane && cell.write_time == under_way) cell.write_time = met.now;
  }

  static constexpr unsigned char poison = 0xFF;  // NaN as bf16 and as float

 private:
  static constexpr std::size_t cell_bytes = 2;  // one bf16: neighbours may belong to different lanes
  static constexpr std::uint32_t never = 0, under_way = ~0u;
  static constexpr std::uint16_t none = 0xFFFF, many_warps = 0xFFFE, one_warp = 0x8000;  // one_warp + w: several lanes of warp w
  struct Cell { std::uint32_t write_time = never, read_time = 0; std::uint16_t writer = 0, readers = none; };

  long offset(const void* p) const { return static_cast<const unsigned char*>(p) - base_; }
  std::span<Cell> cells(const void* p, std::size_t bytes) {
    const long at = offset(p);
    if (at < 0 || at + bytes > size_) fail("shared byte %ld + %zu is outside the %zu of this launch", at, bytes, size_);
    if (at % long(bytes)) fail("shared byte %ld is not aligned for %zu bytes", at, bytes);
    return {&cells_[at / cell_bytes], (bytes + cell_bytes - 1) / cell_bytes};
  }
  static void note_reader(Cell& cell, int lane, const Meetings& met) {
    const bool old_reads_count = cell.readers != none && cell.read_time >= met.block;
    if (!old_reads_count || cell.readers == lane) cell.readers = std::uint16_t(lane);
    else if (cell.readers != many_warps) {
      const int warp = cell.readers & one_warp ? cell.readers - one_warp : cell.readers / 32;
      cell.readers = warp == lane / 32 ? std::uint16_t(one_warp + warp) : many_warps;
    }
    cell.read_time = met.now;
  }
  static bool reads_ended(const Cell& cell, int lane, const Meetings& met) {
    if (cell.read_time < met.block) return true;
    if (cell.readers == many_warps) return false;
    if (cell.readers & one_warp) return cell.readers - one_warp == lane / 32 && cell.read_time < met.warp[lane / 32];
    return met.ordered(cell.read_time, cell.readers, lane);
  }

  std::vector<unsigned char> bytes_;
  unsigned char* base_ = nullptr;
  std::size_t size_ = 0;
  std::vector<Cell> cells_;
};

/// Buffers made known to the emulator: nothing else may be touched, and no block may touch what another block wrote in the same launch.
class GlobalMemory {
 public:
  void add(void* p, std::size_t bytes, bool writable, const char* name) {
    auto* begin = static_cast<unsigned char*>(p);
    buffers_.push_back({begin, begin + bytes, writable, name, std::vector<std::uint8_t>(bytes / 32 + 2), std::vector<std::uint32_t>(bytes)});
  }
  void remove(const void* p) { std::erase_if(buffers_, [p](const Buffer& b) { return b.begin == p; }); }

  void begin_launch() {
    for (Buffer& b : buffers_) std::fill(b.touched.begin(), b.touched.end(), 0);
    first_block_ = block_ + 1;
  }
  void begin_block() { ++block_; }
  void end_launch(Counters& counters) const {
    for (const Buffer& b : buffers_)
      for (std::uint8_t t : b.touched) counters.distinct_read_bytes += 32 * (t & 1), counters.distinct_written_bytes += 32 * (t >> 1);
  }
  void touch(const void* p, std::size_t bytes, bool writes, bool atomic = false) {
    Buffer& b = find(p, bytes);
    if (writes && !b.writable) fail("write into %s, which the launch may only read", b.name);
    const std::size_t at = static_cast<const unsigned char*>(p) - b.begin;
    if (reinterpret_cast<std::uintptr_t>(p) % bytes) fail("%s + %zu is not aligned for %zu bytes", b.name, at, bytes);
    for (std::size_t i = at; i < at + bytes; ++i) {
      if (!atomic && b.writer[i] >= first_block_ && b.writer[i] != block_) fail("race: two blocks touch %s + %zu, which one of them writes", b.name, i);
      if (writes) b.writer[i] = atomic ? 0 : block_;
    }
    const std::size_t first = reinterpret_cast<std::uintptr_t>(b.begin) / 32;
    b.touched[reinterpret_cast<std::uintptr_t>(p) / 32 - first] |= writes ? 2 : 1;  // aligned and at most 16 bytes: one sector
  }

 private:
  struct Buffer { unsigned char *begin, *end; bool writable; const char* name; std::vector<std::uint8_t> touched; std::vector<std::uint32_t> writer; };
  Buffer& find(const void* p, std::size_t bytes) {
    auto* q = static_cast<const unsigned char*>(p);
    if (last_ < buffers_.size() && q >= buffers_[last_].begin && q + bytes <= buffers_[last_].end) return buffers_[last_];
    for (last_ = 0; last_ < buffers_.size(); ++last_)
      if (q >= buffers_[last_].begin && q + bytes <= buffers_[last_].end) return buffers_[last_];
    for (const Buffer& b : buffers_)
      if (q >= b.begin - 4096 && q < b.end + 4096) fail("%zu bytes at %s + %td: outside its %td", bytes, b.name, q - b.begin, b.end - b.begin);
    fail("%zu bytes at %p, in no buffer of this launch", bytes, p);
  }
  std::vector<Buffer> buffers_;
  std::size_t last_ = 0;
  std::uint32_t block_ = 0, first_block_ = 0;
};

/// Distinct `unit`-byte pieces that `n` accesses of one warp instruction touch.
struct Access { const void* address; std::uint16_t bytes; bool writes, shared; std::uint32_t line; };

inline int distinct_sectors(const Access* const* lanes, int n) {
  std::uintptr_t sectors[32];
  int count = 0;
  for (int i = 0; i < n; ++i)
    if (lanes[i]->bytes) sectors[count++] = reinterpret_cast<std::uintptr_t>(lanes[i]->address) / 32;
  std::sort(sectors, sectors + count);
  return int(std::unique(sectors, sectors + count) - sectors);
}

/// 32 banks of 4 bytes serve one wavefront of at most 128 bytes: 16-byte accesses go eight lanes at a time, 8-byte ones sixteen.
inline void count_wavefronts(const Access* const* lanes, int n, Counters& counters) {
  const int bytes = lanes[0]->bytes, together = std::min(32, 128 / std::max(bytes, 4));
  for (int first = 0; first < n; first += together) {
    std::uintptr_t words[32];
    int count = 0, load[32] = {}, worst = 0;
    for (int i = first; i < std::min(n, first + together); ++i)
      for (int b = 0; b < bytes; b += 4) words[count++] = reinterpret_cast<std::uintptr_t>(lanes[i]->address) / 4 + b / 4;
    std::sort(words, words + count);
    count = int(std::unique(words, words + count) - words);
    for (int i = 0; i < count; ++i) worst = std::max(worst, ++load[words[i] % 32]);
    counters.shared_wavefronts += worst;
    counters.bank_conflicts += worst - 1;
  }
}

}  // namespace simt
