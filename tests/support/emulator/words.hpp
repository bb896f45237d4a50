/// The words that kernels are written in, on the host: each word of lamina/cuda/gpu_words.hpp, done by the emulated machine. Lanes meet at the words CUDA calls `.sync`.
#pragma once
#include <cmath>
#include <concepts>
#include <type_traits>

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
  if (!shared) m.global.touch(p, bytes, writes ? DeviceMemory::Use::write : DeviceMemory::Use::read, m.counters);
  else if (writes) m.shared.write(p, bytes, m.current, m.met);
  else m.shared.read(p, bytes, m.current, m.met);
  m.lane().accesses.push_back({p, line, std::uint16_t(bytes), writes, shared});
}
template <class T> concept Loadable = std::is_trivially_copyable_v<T> && sizeof(T) <= 16 && (sizeof(T) & (sizeof(T) - 1)) == 0;
template <Loadable T> T load(const T* p, unsigned line = __builtin_LINE()) {
  touch(p, sizeof(T), false, line);
  std::remove_cv_t<T> value;
  std::memcpy(&value, static_cast<const void*>(p), sizeof(T));
  return value;
}
template <Loadable T> void store(T* p, std::type_identity_t<T> value, unsigned line = __builtin_LINE()) {
  touch(p, sizeof(T), true, line);
  std::memcpy(static_cast<void*>(p), &value, sizeof(T));
}
template <std::integral T> T atomic_add(T* p, std::type_identity_t<T> value) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  Machine& m = Machine::running();
  if (m.shared.holds(p)) m.shared.add(p, sizeof(T), m.current, m.met);
  else m.global.touch(p, sizeof(T), DeviceMemory::Use::add, m.counters);
  using Bits = std::make_unsigned_t<T>;
  return std::exchange(*p, T(Bits(*p) + Bits(value)));
}

inline void sync_block(unsigned line = __builtin_LINE()) { Machine::running().wait({"sync_block", line}); }
inline void sync_warp(unsigned line = __builtin_LINE()) {
  Machine::running().wait({"sync_warp", line, [](void* const (&)[32]) {
    Machine& m = Machine::running();
    m.met.meet_warp(m.current / 32);
  }});
}

struct Exchange { std::uint64_t gives, gets; int from; };  // from: the lane of the warp whose word this one gets
template <class T> T exchange(T v, int from, const char* name, unsigned line) {
  static_assert(std::is_trivially_copyable_v<T> && (sizeof(T) == 4 || sizeof(T) == 8));
  Exchange hand{0, 0, from};
  std::memcpy(&hand.gives, &v, sizeof(T));
  hand.gets = hand.gives;
  Machine::running().wait({name, line, [](void* const (&hands)[32]) {
    for (void* h : hands) {
      auto* mine = static_cast<Exchange*>(h);
      if (mine->from >= 0 && mine->from < 32) mine->gets = static_cast<Exchange*>(hands[mine->from])->gives;
    }
  }, &hand});
  std::memcpy(&v, &hand.gets, sizeof(T));
  return v;
}
template <class T> T shuffle_xor(T v, int mask, unsigned line = __builtin_LINE()) { return exchange(v, (thread_index() % 32) ^ mask, "shuffle_xor", line); }
template <class T> T shuffle_down(T v, int delta, unsigned line = __builtin_LINE()) { return exchange(v, thread_index() % 32 + delta, "shuffle_down", line); }
template <class T> T shuffle_up(T v, int delta, unsigned line = __builtin_LINE()) { return exchange(v, thread_index() % 32 - delta, "shuffle_up", line); }
template <class T> T shuffle(T v, int lane, unsigned line = __builtin_LINE()) { return exchange(v, lane % 32, "shuffle", line); }

inline unsigned vote(bool v, const char* name, unsigned line) {
  std::uint32_t hand = v;
  Machine::running().wait({name, line, [](void* const (&hands)[32]) {
    std::uint32_t votes = 0;
    for (int i = 0; i < 32; ++i) votes |= *static_cast<std::uint32_t*>(hands[i]) << i;
    for (void* h : hands) *static_cast<std::uint32_t*>(h) = votes;
  }, &hand});
  return hand;
}
inline unsigned ballot(bool v, unsigned line = __builtin_LINE()) { return vote(v, "ballot", line); }
inline bool any(bool v, unsigned line = __builtin_LINE()) { return vote(v, "any", line) != 0; }
inline bool all(bool v, unsigned line = __builtin_LINE()) { return vote(v, "all", line) == ~0u; }

// The copy is carried out as late as the program allows, when it is waited for, and its target is poisoned until then:
// a kernel that waits too little, or reads too early, reads NaN or is refused.
inline void copy_async(void* to, const void* from, bool inside, unsigned line = __builtin_LINE()) {
  Machine& m = Machine::running();
  m.shared.write(to, 16, m.current, m.met, true);
  std::memset(to, SharedMemory::poison, 16);
  if (inside) m.global.touch(from, 16, DeviceMemory::Use::read, m.counters);
  m.lane().accesses.push_back({to, line, 16, true, true});
  m.lane().accesses.push_back({from, line, std::uint16_t(inside ? 16 : 0), false, false});
  m.lane().copies.push_back({to, from, inside});
}
inline void copy_async_again(void* to, const void* from, bool inside, unsigned line = __builtin_LINE()) { copy_async(to, from, inside, line); }
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

struct Matrices { const void* row; unsigned* m; };
template <int N, bool Transposed> void meet_matrices(void* const (&hands)[32]) {
  Machine& machine = Machine::running();
  Access rows[8 * N];
  const Access* pointers[8 * N];
  for (int i = 0; i < 8 * N; ++i) {
    const void* row = static_cast<Matrices*>(hands[i])->row;
    machine.shared.read(row, 16, machine.current / 32 * 32 + i, machine.met);
    rows[i] = {row, 0, 16, false, true};
    pointers[i] = &rows[i];
  }
  count_wavefronts(pointers, 8 * N, machine.counters);
  for (int q = 0; q < N; ++q) {
    std::uint16_t matrix[8][8];
    for (int row = 0; row < 8; ++row) std::memcpy(matrix[row], rows[q * 8 + row].address, 16);
    for (int i = 0; i < 32; ++i) {
      const int row = i / 4, column = i % 4 * 2;
      const std::uint16_t low = Transposed ? matrix[column][row] : matrix[row][column], high = Transposed ? matrix[column + 1][row] : matrix[row][column + 1];
      static_cast<Matrices*>(hands[i])->m[q] = low | unsigned(high) << 16;
    }
  }
}
template <int N> void load_matrices(unsigned (&m)[N], const void* row, unsigned line = __builtin_LINE()) {
  static_assert(N == 1 || N == 2 || N == 4);
  Matrices hand{row, m};
  Machine::running().wait({"load_matrices", line, &meet_matrices<N, false>, &hand});
}
template <int N> void load_matrices_transposed(unsigned (&m)[N], const void* row, unsigned line = __builtin_LINE()) {
  static_assert(N == 1 || N == 2 || N == 4);
  Matrices hand{row, m};
  Machine::running().wait({"load_matrices_transposed", line, &meet_matrices<N, true>, &hand});
}

inline float from_bits(std::uint32_t word) {
  float v;
  std::memcpy(&v, &word, 4);
  return v;
}
inline std::uint32_t to_bits(float v) {
  std::uint32_t word;
  std::memcpy(&word, &v, 4);
  return word;
}
inline float from_bf16(std::uint16_t bits) { return from_bits(std::uint32_t(bits) << 16); }
inline std::uint16_t to_bf16(float v) {
  if (v != v) return 0x7FFF;  // what the device's rounding makes of every NaN
  const std::uint32_t word = to_bits(v);
  return std::uint16_t((word + 0x7FFF + ((word >> 16) & 1)) >> 16);
}
inline unsigned pack_bf16(float low, float high) { return to_bf16(low) | unsigned(to_bf16(high)) << 16; }
inline unsigned to_tf32(float v) {
  if (v != v) return 0x7FFFFFFF;
  const std::uint32_t word = to_bits(v);
  return std::abs(v) <= 3.4028234e38f ? (word + 0x1000) & ~0x1FFFu : word;
}

template <std::floating_point T> T fma(T a, std::type_identity_t<T> b, std::type_identity_t<T> c) {
  ++Machine::running().counters.multiply_adds;
  return std::fma(a, b, c);
}

// Lane 4g + t of a warp holds of d(16x8), for r = 0..3, d(g + 8(r/2), 2t + r%2).
typedef float Row __attribute__((vector_size(32)));  // eight columns
struct Multiply { float* d; const unsigned* a; unsigned b[2]; };
template <int Depth> void multiply_rows(void* const (&hands)[32], const float (&left)[16][Depth], const Row (&right)[Depth]) {
  ++Machine::running().counters.tensor_multiplies;
  Row sum[16];
  for (int i = 0; i < 32; ++i)
    for (int r = 0; r < 4; ++r) sum[i / 4 + 8 * (r / 2)][i % 4 * 2 + r % 2] = static_cast<Multiply*>(hands[i])->d[r];
  for (int row = 0; row < 16; row += 4) {  // four chains of additions side by side
    Row a = sum[row], b = sum[row + 1], c = sum[row + 2], d = sum[row + 3];
    for (int k = 0; k < Depth; ++k) a += left[row][k] * right[k], b += left[row + 1][k] * right[k], c += left[row + 2][k] * right[k], d += left[row + 3][k] * right[k];
    sum[row] = a, sum[row + 1] = b, sum[row + 2] = c, sum[row + 3] = d;
  }
  for (int i = 0; i < 32; ++i)
    for (int r = 0; r < 4; ++r) static_cast<Multiply*>(hands[i])->d[r] = sum[i / 4 + 8 * (r / 2)][i % 4 * 2 + r % 2];
}
// PTX ISA, "Matrix fragments for mma.m16n8k16": a(g + 8(r%2), 2t + e + 8(r/2)), b(2t + e + 8r, g).
inline void multiply_add(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, unsigned line = __builtin_LINE()) {
  Multiply hand{d, a, {b0, b1}};
  Machine::running().wait({"multiply_add", line, [](void* const (&hands)[32]) {
    float left[16][16];
    Row right[16];
    for (int i = 0; i < 32; ++i) {
      const auto& h = *static_cast<Multiply*>(hands[i]);
      const int g = i / 4, t = i % 4;
      for (int r = 0; r < 4; ++r)
        for (int e = 0; e < 2; ++e) left[g + 8 * (r % 2)][2 * t + e + 8 * (r / 2)] = from_bf16(std::uint16_t(h.a[r] >> 16 * e));
      for (int r = 0; r < 2; ++r)
        for (int e = 0; e < 2; ++e) right[2 * t + e + 8 * r][g] = from_bf16(std::uint16_t(h.b[r] >> 16 * e));
    }
    multiply_rows(hands, left, right);
  }, &hand});
}
// "Matrix fragments for mma.m16n8k8", tf32: a(g + 8(r%2), t + 4(r/2)), b(t + 4r, g); of each word the lower 13 bits are not looked at.
inline void multiply_add_tf32(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, unsigned line = __builtin_LINE()) {
  Multiply hand{d, a, {b0, b1}};
  Machine::running().wait({"multiply_add_tf32", line, [](void* const (&hands)[32]) {
    float left[16][8];
    Row right[8];
    for (int i = 0; i < 32; ++i) {
      const auto& h = *static_cast<Multiply*>(hands[i]);
      const int g = i / 4, t = i % 4;
      for (int r = 0; r < 4; ++r) left[g + 8 * (r % 2)][t + 4 * (r / 2)] = from_bits(h.a[r] & ~0x1FFFu);
      for (int r = 0; r < 2; ++r) right[t + 4 * r][g] = from_bits(h.b[r] & ~0x1FFFu);
    }
    multiply_rows(hands, left, right);
  }, &hand});
}

}  // namespace lamina::simt::inline emulated
