#include <lamina/core/precision.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>

using namespace lamina;

namespace {
float from_bits(std::uint32_t bits) {
  float v;
  std::memcpy(&v, &bits, sizeof v);
  return v;
}
template <class T> auto bits_of(float v) { return T(v).bits; }
}  // namespace

TEST_CASE("bf16 is a float rounded to eight bits, ties to even") {       // by hand
  CHECK(bits_of<bf16>(1.f) == 0x3F80);
  CHECK(bits_of<bf16>(1 + 0x1p-8f) == 0x3F80);
  CHECK(bits_of<bf16>(1 + 0x3p-8f) == 0x3F82);
  CHECK(bits_of<bf16>(-NAN) == 0x7FFF);
  CHECK(float(bf16(-2.5f)) == -2.5f);
}

TEST_CASE("tf32 is a float rounded to eleven bits, ties away from zero") {   // by hand
  CHECK(bits_of<tf32>(0.f) == 0);
  CHECK(bits_of<tf32>(-0.f) == 0x80000000u);
  CHECK(bits_of<tf32>(1.f) == 0x3F800000u);
  CHECK(bits_of<tf32>(1 + 0x1p-10f) == 0x3F802000u);                     // the last bit that is kept
  CHECK(bits_of<tf32>(1 + 0x1p-11f) == 0x3F802000u);                     // half way
  CHECK(bits_of<tf32>(1 + 0x3p-11f) == 0x3F804000u);
  CHECK(bits_of<tf32>(-1 - 0x1p-11f) == 0xBF802000u);
  CHECK(bits_of<tf32>(from_bits(0x3F800FFF)) == 0x3F800000u);            // just below half
  CHECK(bits_of<tf32>(2 - 0x1p-23f) == 0x40000000u);                     // a carry into the exponent
  CHECK(bits_of<tf32>(3.14159274f) == 0x40490000u);
  CHECK(bits_of<tf32>(from_bits(1)) == 0);                               // below all normal numbers the same bits are kept
  CHECK(bits_of<tf32>(from_bits(0x1000)) == 0x2000u);
  CHECK(bits_of<tf32>(from_bits(0x807FF000)) == 0x80800000u);
}

TEST_CASE("tf32 keeps infinities and NaN; what is larger than all others becomes infinite") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  CHECK(float(tf32(infinity)) == infinity);
  CHECK(float(tf32(-infinity)) == -infinity);
  CHECK(bits_of<tf32>(from_bits(0x7F7FEFFF)) == 0x7F7FE000u);
  CHECK(bits_of<tf32>(from_bits(0x7F7FF000)) == 0x7F800000u);
  CHECK(bits_of<tf32>(std::numeric_limits<float>::max()) == 0x7F800000u);
  for (const std::uint32_t nan : {0x7FC00000u, 0xFFC00000u, 0x7F800001u, 0x7FFFFFFFu, 0xFFFFFFFFu}) CHECK(bits_of<tf32>(from_bits(nan)) == 0x7FFFE000u);
  CHECK(std::isnan(float(tf32(from_bits(0xFFFFFFFF)))));
}

TEST_CASE("whole numbers up to 2048 are exact in tf32, and what was rounded once stays") {
  for (int i = -2048; i <= 2048; ++i) CHECK(float(tf32(float(i))) == float(i));
  CHECK(float(tf32(2049)) == 2050);
  for (std::uint32_t bits = 0x00400123; bits < 0x7F000000; bits += 0x00312345) {
    const tf32 once(from_bits(bits));
    CHECK(tf32(float(once)).bits == once.bits);
    CHECK((once.bits & 0x1FFF) == 0);
  }
}

TEST_CASE("parameters and sums of the narrow types are floats") {
  static_assert(std::is_same_v<Master<float>, float> && std::is_same_v<Master<double>, double> && std::is_same_v<Master<bf16>, float> && std::is_same_v<Master<tf32>, float>);
  static_assert(is_number<tf32> && is_number<bf16> && is_number<float> && !is_number<int>);
  static_assert(sizeof(bf16) == 2 && sizeof(tf32) == 4 && std::is_trivially_copyable_v<tf32>);
}
