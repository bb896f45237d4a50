/// The kernel vocabulary on the host: each word of device.hpp, done by the emulated machine. Lanes meet at the words CUDA calls `.sync`.
#pragma once

#include "machine.hpp"

#define LAMINA_SIMT emulated
#define LAMINA_DEVICE inline
#define LAMINA_UNROLL
#define LAMINA_NO_UNROLL

namespace lamina::simt::inline emulated {

struct alignas(8) Vec2 { unsigned x, y; };
struct alignas(16) Vec4 { unsigned x, y, z, w; };

inline int thread_index() { return Machine::running().current; }
inline Place block_index() { return Machine::running().block; }
inline Place grid_size() { return Machine::running().grid; }
inline unsigned char* shared_memory() { return Machine::running().shared.base(); }

inline void touch(const void* p, std::size_t bytes, bool writes, unsigned line) {
  Machine& m = Machine::running();
  const bool shared = m.shared.holds(p);
  if (!shared) m.global.touch(p, bytes, writes);
  else if (writes) m.shared.write(p, bytes, m.current, m.met);
  else m.shared.read(p, bytes, m.current, m.met);
  m.lane().accesses.push_back({p, std::uint16_t(bytes), writes, shared, line});
}
template <class T> T load(const T* p, unsigned line = __builtin_LINE()) {
  touch(p, sizeof(T), false, line);
  T value;
  std::memcpy(&value, p, sizeof(T));
  return value;
}
template <class T> void store(T* p, std::type_identity_t<T> value, unsigned line = __builtin_LINE()) {
  touch(p, sizeof(T), true, line);
  std::memcpy(p, &value, sizeof(T));
}
inline int atomic_add(int* p, int value) {
  Machine& m = Machine::running();
  if (!m.shared.holds(p)) m.global.touch(p, sizeof(int), true, true);
  return std::exchange(*p, *p + value);
}

inline void sync_block(unsigned line = __builtin_LINE()) { Machine::running().wait({"sync_block", line}); }
inline void sync_warp(unsigned line = __builtin_LINE()) {
  Machine::running().wait({"sync_warp", line, [](void* const (&)[32]) {
    Machine& m = Machine::running();
    m.met.warp[m.current / 32] = ++m.met.now;
  }});
}

struct Exchange { std::uint32_t gives, gets; int from; };  // from: the lane of the warp whose word this one gets
inline std::uint32_t exchange(std::uint32_t gives, int from, const char* name, unsigned line) {
  Exchange hand{gives, gives, from};
  Machine::running().wait({name, line, [](void* const (&hands)[32]) {
    for (void* h : hands) {
      auto* mine = static_cast<Exchange*>(h);
      if (mine->from >= 0 && mine->from < 32) mine->gets = static_cast<Exchange*>(hands[mine->from])->gives;
    }
  }, &hand});
  return hand.gets;
}
template <class T> T exchange_as(T v, int from, const char* name, unsigned line) {
  static_assert(sizeof(T) == 4);
  std::uint32_t bits;
  std::memcpy(&bits, &v, 4);
  bits = exchange(bits, from, name, line);
  std::memcpy(&v, &bits, 4);
  return v;
}
template <class T> T shuffle_xor(T v, int mask, unsigned line = __builtin_LINE()) { return exchange_as(v, (thread_index() % 32) ^ mask, "shuffle_xor", line); }
template <class T> T shuffle_down(T v, int delta, unsigned line = __builtin_LINE()) { return exchange_as(v, thread_index() % 32 + delta, "shuffle_down", line); }
template <class T> T shuffle(T v, int lane, unsigned line = __builtin_LINE()) { return exchange_as(v, lane % 32, "shuffle", line); }
inline unsigned ballot(bool v, unsigned line = __builtin_LINE()) {
  std::uint32_t hand = v;
  Machine::running().wait({"ballot", line, [](void* const (&hands)[32]) {
    std::uint32_t votes = 0;
    for (int i = 0; i < 32; ++i) votes |= *static_cast<std::uint32_t*>(hands[i]) << i;
    for (void* h : hands) *static_cast<std::uint32_t*>(h) = votes;
  }, &hand});
  return hand;
}

// The copy is carried out as late as the program allows, when it is waited for, and its target is poisoned until then:
// a kernel that waits too little, or reads too early, reads NaN or is refused.
inline void copy_async(void* to, const void* from, bool inside, unsigned line = __builtin_LINE()) {
  Machine& m = Machine::running();
  m.shared.write(to, 16, m.current, m.met, true);
  std::memset(to, SharedMemory::poison, 16);
  if (inside) m.global.touch(from, 16, false);
  m.lane().accesses.push_back({to, 16, true, true, line});
  m.lane().accesses.push_back({from, std::uint16_t(inside ? 16 : 0), false, false, line});
  m.lane().copies.push_back({to, from, inside});
}
inline void copy_commit() {
  Lane& lane = Machine::running().lane();
  lane.groups.push_back(std::move(lane.copies));
  lane.copies.clear();
}
template <int Pending> void copy_wait() {
  Machine& m = Machine::running();
  for (Lane& lane = m.lane(); lane.groups.size() > Pending; lane.groups.pop_front())
    for (const AsyncCopy& c : lane.groups.front()) {
      if (c.inside) std::memcpy(c.to, c.from, 16);
      else std::memset(c.to, 0, 16);
      m.shared.arrive(c.to, 16, m.current, m.met);
    }
}

struct Matrices { const void* row; unsigned (*m)[4]; };
template <bool Transposed> void meet_matrices(void* const (&hands)[32]) {
  Machine& machine = Machine::running();
  Access rows[32];
  const Access* pointers[32];
  for (int i = 0; i < 32; ++i) {
    const void* row = static_cast<Matrices*>(hands[i])->row;
    machine.shared.read(row, 16, machine.current / 32 * 32 + i, machine.met);
    rows[i] = {row, 16, false, true, 0};
    pointers[i] = &rows[i];
  }
  count_wavefronts(pointers, 32, machine.counters);
  for (int q = 0; q < 4; ++q)
    for (int i = 0; i < 32; ++i) {
      std::uint16_t pair[2];
      for (int e = 0; e < 2; ++e) {
        const int row = Transposed ? i % 4 * 2 + e : i / 4, column = Transposed ? i / 4 : i % 4 * 2 + e;
        std::memcpy(&pair[e], static_cast<const std::uint16_t*>(rows[q * 8 + row].address) + column, 2);
      }
      (*static_cast<Matrices*>(hands[i])->m)[q] = pair[0] | unsigned(pair[1]) << 16;
    }
}
inline void load_matrices(unsigned (&m)[4], const void* row, unsigned line = __builtin_LINE()) {
  Matrices hand{row, &m};
  Machine::running().wait({"load_matrices", line, &meet_matrices<false>, &hand});
}
inline void load_matrices_transposed(unsigned (&m)[4], const void* row, unsigned line = __builtin_LINE()) {
  Matrices hand{row, &m};
  Machine::running().wait({"load_matrices_transposed", line, &meet_matrices<true>, &hand});
}

inline float from_bf16(std::uint16_t bits) {
  const std::uint32_t word = std::uint32_t(bits) << 16;
  float v;
  std::memcpy(&v, &word, 4);
  return v;
}
inline std::uint16_t to_bf16(float v) {
  if (v != v) return 0x7FFF;  // what the device's rounding makes of every NaN
  std::uint32_t word;
  std::memcpy(&word, &v, 4);
  return std::uint16_t((word + 0x7FFF + ((word >> 16) & 1)) >> 16);
}
inline unsigned pack_bf16(float low, float high) { return to_bf16(low) | unsigned(to_bf16(high)) << 16; }

// PTX ISA, "Matrix fragments for mma.m16n8k16": lane 4g + t holds a(g + 8(r%2), 2t + e + 8(r/2)), b(2t + e + 8r, g), d(g + 8(r/2), 2t + r%2).
struct Multiply { float (*d)[4]; const unsigned (*a)[4]; unsigned b[2]; };
inline void multiply_add(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, unsigned line = __builtin_LINE()) {
  Multiply hand{&d, &a, {b0, b1}};
  Machine::running().wait({"multiply_add", line, [](void* const (&hands)[32]) {
    ++Machine::running().counters.tensor_multiplies;
    float left[16][16], right[16][8], sum[16][8];
    for (int i = 0; i < 32; ++i) {
      const auto& h = *static_cast<Multiply*>(hands[i]);
      const int g = i / 4, t = i % 4;
      for (int r = 0; r < 4; ++r) {
        for (int e = 0; e < 2; ++e) left[g + 8 * (r % 2)][2 * t + e + 8 * (r / 2)] = from_bf16(std::uint16_t((*h.a)[r] >> 16 * e));
        sum[g + 8 * (r / 2)][2 * t + r % 2] = (*h.d)[r];
      }
      for (int r = 0; r < 2; ++r)
        for (int e = 0; e < 2; ++e) right[2 * t + e + 8 * r][g] = from_bf16(std::uint16_t(h.b[r] >> 16 * e));
    }
    for (int row = 0; row < 16; ++row)
      for (int k = 0; k < 16; ++k)
        for (int column = 0; column < 8; ++column) sum[row][column] += left[row][k] * right[k][column];
    for (int i = 0; i < 32; ++i)
      for (int r = 0; r < 4; ++r) (*static_cast<Multiply*>(hands[i])->d)[r] = sum[i / 4 + 8 * (r / 2)][2 * (i % 4) + r % 2];
  }, &hand});
}

}  // namespace lamina::simt::inline emulated
