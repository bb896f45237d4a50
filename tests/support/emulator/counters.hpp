/// What launches cost, counted, and how the emulator complains.
#pragma once
#include <algorithm>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>

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

/// Bytes of device memory are 32-byte sectors: as asked for by warp instructions (what L2 serves), and distinct in a launch (what DRAM must serve at least once).
struct Counters {
  long launches = 0, replays = 0, blocks = 0, switches = 0;  // launches: of kernels and of functors, those that a graph holds at each replay
  long tensor_multiplies = 0, multiply_adds = 0;             // instructions of a warp; of a lane
  long read_bytes = 0, written_bytes = 0, distinct_read_bytes = 0, distinct_written_bytes = 0;
  long shared_wavefronts = 0, bank_conflicts = 0;            // bank_conflicts: wavefronts beyond what the bytes need
};

/// What a lane touched.
struct Access { const void* address; std::uint32_t line; std::uint16_t bytes; bool writes, shared; };

/// Distinct 32-byte pieces that `n` accesses of one warp instruction touch.
inline int distinct_sectors(const Access* const* lanes, int n) {
  std::uintptr_t sectors[32];
  int count = 0;
  bool sorted = true;
  for (int i = 0; i < n; ++i) {
    const std::uintptr_t sector = reinterpret_cast<std::uintptr_t>(lanes[i]->address) / 32;
    if (!lanes[i]->bytes || (count && sectors[count - 1] == sector)) continue;
    sorted &= !count || sectors[count - 1] < sector;
    sectors[count++] = sector;
  }
  if (!sorted) std::sort(sectors, sectors + count), count = int(std::unique(sectors, sectors + count) - sectors);
  return count;
}

/// 32 banks of 4 bytes serve one wavefront of at most 128 bytes: 16-byte accesses go eight lanes at a time, 8-byte ones sixteen.
inline void count_wavefronts(const Access* const* lanes, int n, Counters& counters) {
  const int bytes = lanes[0]->bytes, together = std::min(32, 128 / std::max(bytes, 4));
  for (int first = 0; first < n; first += together) {
    std::uintptr_t in_bank[32][32];
    int load[32] = {}, worst = 0;
    for (int i = first; i < std::min(n, first + together); ++i)
      for (int b = 0; b < bytes; b += 4) {
        const std::uintptr_t word = reinterpret_cast<std::uintptr_t>(lanes[i]->address) / 4 + unsigned(b) / 4;
        std::uintptr_t* const bank = in_bank[word % 32];
        int& full = load[word % 32];
        if (std::find(bank, bank + full, word) == bank + full) bank[full++] = word, worst = std::max(worst, full);
      }
    counters.shared_wavefronts += worst;
    counters.bank_conflicts += worst - 1;
  }
}

}  // namespace lamina::simt
