/// What the numbers between layers are stored as, and what is computed and summed in meanwhile.
#pragma once
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "macros.hpp"

namespace lamina {

/// Brain floating point: a float without its lower 16 bits. It is made of a float by rounding to the nearest, ties to even; every NaN becomes 0x7FFF.
struct bf16 {
  std::uint16_t bits;
  bf16() = default;
  LAMINA_HD bf16(float v) {
    std::uint32_t word;
    std::memcpy(&word, &v, sizeof word);
    bits = v != v ? std::uint16_t(0x7FFF) : std::uint16_t((word + 0x7FFF + (word >> 16 & 1)) >> 16);
  }
  LAMINA_HD operator float() const {
    const std::uint32_t word = std::uint32_t(bits) << 16;
    float v;
    std::memcpy(&v, &word, sizeof v);
    return v;
  }
};

/// TensorFloat-32: a float of which ten bits of the fraction are kept, the lower 13 are zero. It is made of a float by rounding to the nearest, ties away from zero, as cvt.rna.tf32.f32 does;
/// every NaN becomes 0x7FFFE000. Whole numbers up to 2048 are exact.
struct tf32 {
  std::uint32_t bits;
  tf32() = default;
  LAMINA_HD tf32(float v) {
    std::uint32_t word;
    std::memcpy(&word, &v, sizeof word);
    bits = v != v ? 0x7FFFE000u : (word + 0x1000) & ~0x1FFFu;
  }
  LAMINA_HD operator float() const {
    float v;
    std::memcpy(&v, &bits, sizeof v);
    return v;
  }
};

namespace detail {
template <class T> struct MasterOf { using type = T; };
template <> struct MasterOf<bf16> { using type = float; };
template <> struct MasterOf<tf32> { using type = float; };
}  // namespace detail

/// What parameters, their gradients, running values, sums and formulas are in, where the numbers between layers are stored as T: float for bf16 and tf32.
template <class T> using Master = typename detail::MasterOf<T>::type;
template <class T> inline constexpr bool is_number = std::is_floating_point_v<T> || !std::is_same_v<Master<T>, T>;

}  // namespace lamina
