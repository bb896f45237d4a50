/// Vectors of floats, as wide as the processor the program is compiled for: 16 with AVX-512, 8 with AVX2, 4 elsewhere (SSE2, NEON, whatever the compiler makes of it).
/// The CPU's kernels are written once, for any of them.
#pragma once
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "../core/number.hpp"

#if defined(__CUDACC__)
#pragma nv_diag_suppress 1675              // nvcc does not know "GCC unroll", but hands it on to the compiler that does
#endif

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#include <immintrin.h>
#define LAMINA_AVX512 1
#elif defined(__AVX2__) && defined(__FMA__) && defined(__BMI2__)
#include <immintrin.h>
#define LAMINA_AVX2 1
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace lamina::simd {

#define LAMINA_INLINE [[gnu::always_inline]] inline
#define LAMINA_INLINE_LAMBDA __attribute__((always_inline))

#if defined(LAMINA_AVX512)
inline constexpr int width = 16, registers = 32;
#elif defined(LAMINA_AVX2)
inline constexpr int width = 8, registers = 16;
#else
inline constexpr int width = 4, registers = 16;
#endif

/// Bytes of the first cache: 48 KB where there is AVX512-FP16, in all processors since 2006 at least 32.
#if defined(__AVX512FP16__)
inline constexpr int first_cache = 48 << 10;
#else
inline constexpr int first_cache = 32 << 10;
#endif

typedef float Floats __attribute__((vector_size(width * 4)));
typedef std::int32_t Ints __attribute__((vector_size(width * 4)));
typedef float FloatsAnywhere __attribute__((vector_size(width * 4), aligned(4), may_alias));
typedef std::int32_t IntsAnywhere __attribute__((vector_size(width * 4), aligned(4), may_alias));
using Mask = std::uint32_t;                // a bit for each lane

LAMINA_INLINE Floats load(const float* p) { return *reinterpret_cast<const FloatsAnywhere*>(p); }
LAMINA_INLINE void store(float* p, Floats v) { *reinterpret_cast<FloatsAnywhere*>(p) = v; }
LAMINA_INLINE void store(std::int32_t* p, Ints v) { *reinterpret_cast<IntsAnywhere*>(p) = v; }

/// The same address, in a register of its own. An FMA that reads from the sum of two registers is two operations on Intel's processors.
LAMINA_INLINE const float* one_register(const float* p) {
  asm("" : "+r"(p));
  return p;
}

/// A vector that is used several times, loaded once: compilers let every FMA load it again, and where a vector is loaded each cycle, as on Zen 4, FMAs wait for that.
LAMINA_INLINE Floats loaded(const float* p) {
  Floats v = load(p);
#if defined(LAMINA_AVX512)
  asm("" : "+v"(v));
#elif defined(LAMINA_AVX2)
  asm("" : "+x"(v));
#endif
  return v;
}

// compress(m, v): the lanes of v in m come first; what follows them is anything.
#if defined(LAMINA_AVX512)
LAMINA_INLINE Floats all(float f) { return Floats(_mm512_set1_ps(f)); }
LAMINA_INLINE Floats max(Floats a, Floats b) { return Floats(_mm512_maskz_max_ps(__mmask16(-1), __m512(a), __m512(b))); }
LAMINA_INLINE Mask greater(Floats a, Floats b) { return _mm512_cmp_ps_mask(__m512(a), __m512(b), _CMP_GT_OQ); }
LAMINA_INLINE Mask nonzero(Floats v) { return _mm512_cmp_ps_mask(__m512(v), _mm512_setzero_ps(), _CMP_NEQ_UQ); }
LAMINA_INLINE Floats keep(Mask m, Floats v) { return Floats(_mm512_maskz_mov_ps(__mmask16(m), __m512(v))); }
LAMINA_INLINE Ints select(Mask m, int v) { return Ints(_mm512_maskz_set1_epi32(__mmask16(m), v)); }
LAMINA_INLINE Floats compress(Mask m, Floats v) { return Floats(_mm512_maskz_compress_ps(__mmask16(m), __m512(v))); }
LAMINA_INLINE Floats pick(Floats a, Ints lanes, Floats b) { return Floats(_mm512_permutex2var_ps(__m512(a), __m512i(lanes), __m512(b))); }
LAMINA_INLINE void stream(float* p, Floats v) { _mm512_stream_ps(p, __m512(v)); }
#elif defined(LAMINA_AVX2)
LAMINA_INLINE Floats all(float f) { return Floats(_mm256_set1_ps(f)); }
LAMINA_INLINE Floats max(Floats a, Floats b) { return Floats(_mm256_max_ps(__m256(a), __m256(b))); }
LAMINA_INLINE Mask greater(Floats a, Floats b) { return Mask(_mm256_movemask_ps(_mm256_cmp_ps(__m256(a), __m256(b), _CMP_GT_OQ))); }
LAMINA_INLINE Mask nonzero(Floats v) { return Mask(_mm256_movemask_ps(_mm256_cmp_ps(__m256(v), _mm256_setzero_ps(), _CMP_NEQ_UQ))); }
LAMINA_INLINE Ints lanes_of(Mask m) {
  const Ints bit = {1, 2, 4, 8, 16, 32, 64, 128};
  return (Ints(_mm256_set1_epi32(int(m))) & bit) == bit;
}
LAMINA_INLINE Floats keep(Mask m, Floats v) { return Floats(Ints(v) & lanes_of(m)); }
LAMINA_INLINE Ints select(Mask m, int v) { return Ints(_mm256_set1_epi32(v)) & lanes_of(m); }
LAMINA_INLINE Floats compress(Mask m, Floats v) {
  const std::uint64_t order = _pext_u64(0x0706050403020100, _pdep_u64(m, 0x0101010101010101) * 0xFF);
  return Floats(_mm256_permutevar8x32_ps(__m256(v), _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<long long>(order)))));
}
LAMINA_INLINE Floats pick(Floats a, Ints lanes, Floats b) {
  const __m256 from_a = _mm256_permutevar8x32_ps(__m256(a), __m256i(lanes)), from_b = _mm256_permutevar8x32_ps(__m256(b), __m256i(lanes));
  return Floats(_mm256_blendv_ps(from_a, from_b, __m256(lanes > 7)));
}
LAMINA_INLINE void stream(float* p, Floats v) { _mm256_stream_ps(p, __m256(v)); }
#else
LAMINA_INLINE Floats all(float f) { return Floats{f, f, f, f}; }
/// b where one of them is a NaN, as the instructions above have it.
LAMINA_INLINE Floats max(Floats a, Floats b) { return a > b ? a : b; }
LAMINA_INLINE Mask mask_of(Ints m) { return Mask((m[0] & 1) | (m[1] & 2) | (m[2] & 4) | (m[3] & 8)); }
LAMINA_INLINE Mask greater(Floats a, Floats b) { return mask_of(Ints(a > b)); }
LAMINA_INLINE Mask nonzero(Floats v) { return mask_of(Ints(v != all(0))); }
LAMINA_INLINE Ints lanes_of(Mask m) {
  const Ints bit = {1, 2, 4, 8}, wide = {int(m), int(m), int(m), int(m)};
  return (wide & bit) == bit;
}
LAMINA_INLINE Floats keep(Mask m, Floats v) { return Floats(Ints(v) & lanes_of(m)); }
LAMINA_INLINE Ints select(Mask m, int v) { return Ints{v, v, v, v} & lanes_of(m); }
LAMINA_INLINE Floats compress(Mask m, Floats v) {
  Floats r{};
  for (int i = 0, n = 0; i < width; ++i)
    if (m >> i & 1) r[n++] = v[i];
  return r;
}
LAMINA_INLINE Floats pick(Floats a, Ints lanes, Floats b) {
  Floats r{};
  for (int i = 0; i < width; ++i) r[i] = lanes[i] < width ? a[lanes[i]] : b[lanes[i] - width];
  return r;
}
LAMINA_INLINE void stream(float* p, Floats v) { store(p, v); }
#endif

/// max and then min; a NaN passes.
LAMINA_INLINE Floats clamp(Floats low, Floats high, Floats v) {
  const Floats above = max(low, v);
  return above > high ? high : above;
}

LAMINA_INLINE Floats root(Floats v) {
#if defined(LAMINA_AVX512)
  return Floats(_mm512_maskz_sqrt_ps(__mmask16(-1), __m512(v)));
#elif defined(LAMINA_AVX2)
  return Floats(_mm256_sqrt_ps(__m256(v)));
#elif defined(__SSE2__)
  return Floats(_mm_sqrt_ps(__m128(v)));
#else
  for (int i = 0; i < width; ++i) v[i] = std::sqrt(v[i]);
  return v;
#endif
}

/// What stream() wrote is seen by other threads after this.
LAMINA_INLINE void end_stream() {
#if defined(LAMINA_AVX512) || defined(LAMINA_AVX2)
  _mm_sfence();
#endif
}

namespace detail {
struct Swaps { std::int32_t low[4][width], high[4][width]; };
constexpr Swaps swaps() {
  Swaps s{};
  for (int k = 0; 1 << k < width; ++k)
    for (int j = 0, bit = 1 << k; j < width; ++j) s.low[k][j] = j & bit ? width + j - bit : j, s.high[k][j] = j & bit ? width + j : j + bit;
  return s;
}
alignas(64) inline constexpr Swaps swap_lanes = swaps();
}  // namespace detail

/// r[i][j] <-> r[j][i]: one bit of the row's and the column's number is exchanged at a time.
LAMINA_INLINE void transpose(Floats (&r)[width]) {
  constexpr int bits = width == 16 ? 4 : width == 8 ? 3 : 2;
#pragma GCC unroll 4
  for (int k = 0; k < bits; ++k) {
    const Ints low = *reinterpret_cast<const IntsAnywhere*>(detail::swap_lanes.low[k]), high = *reinterpret_cast<const IntsAnywhere*>(detail::swap_lanes.high[k]);
#pragma GCC unroll 16
    for (int i = 0; i < width; ++i)
      if (!(i >> k & 1)) {
        const Floats a = r[i], b = r[i + (1 << k)];
        r[i] = pick(a, low, b);
        r[i + (1 << k)] = pick(a, high, b);
      }
  }
}

/// Bits of the channels c, c + 1, ... c + width - 1 of a plane that has a bit for each channel. They are written in the order of the channels.
LAMINA_INLINE Mask load_bits(const std::uint8_t* plane, int c) {
  if constexpr (width == 4) return plane[c / 8] >> (c & 4) & 15;
  else {
    std::conditional_t<width == 16, std::uint16_t, std::uint8_t> m;
    std::memcpy(&m, plane + c / 8, sizeof m);
    return m;
  }
}
LAMINA_INLINE void store_bits(std::uint8_t* plane, int c, Mask m) {
  if constexpr (width == 4) plane[c / 8] = std::uint8_t(c & 4 ? plane[c / 8] | m << 4 : m);
  else {
    const auto bits = static_cast<std::conditional_t<width == 16, std::uint16_t, std::uint8_t>>(m);
    std::memcpy(plane + c / 8, &bits, sizeof bits);
  }
}

/// As many bytes as a vector has lanes.
LAMINA_INLINE Ints load_bytes(const std::uint8_t* p) {
  typedef std::uint8_t Bytes __attribute__((vector_size(width)));
  Bytes b;
  std::memcpy(&b, p, sizeof b);
  return __builtin_convertvector(b, Ints);
}
LAMINA_INLINE void store_bytes(std::uint8_t* p, Ints v) {
  typedef std::uint8_t Bytes __attribute__((vector_size(width)));
  const Bytes b = __builtin_convertvector(v, Bytes);
  std::memcpy(p, &b, sizeof b);
}

}  // namespace lamina::simd

namespace lamina {
template <> struct Number<simd::Floats> {
  using Scalar = float;
  static constexpr int lanes = simd::width;
  static simd::Floats root(simd::Floats v) { return simd::root(v); }
};
}  // namespace lamina
