#include <lamina/cpu/simd.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <initializer_list>
#include <limits>

using namespace lamina;
using namespace lamina::simd;

namespace {
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
/// from, from + 1, from + 2, ...
Floats count_from(float from) {
  Floats v;
  for (int i = 0; i < width; ++i) v[i] = from + float(i);
  return v;
}
constexpr Mask all_lanes = width == 32 ? ~0u : (1u << width) - 1;
}  // namespace

TEST_CASE("vectors are loaded and stored anywhere") {
  float from[width + 3] = {}, to[width + 3] = {};
  for (int i = 0; i < width + 3; ++i) from[i] = float(i);
  store(to + 1, load(from + 2));
  CHECK(to[0] == 0);
  for (int i = 0; i < width; ++i) CHECK(to[1 + i] == float(i + 2));
  CHECK(to[width + 1] == 0);
  alignas(64) float line[width] = {};
  stream(line, count_from(5)), end_stream();
  for (int i = 0; i < width; ++i) CHECK(line[i] == 5 + float(i));
}

TEST_CASE("masks have a bit for each lane, the first being the lowest") {
  const Floats v = count_from(-2);
  const Mask positive = greater(v, all(0));
  for (int i = 0; i < width; ++i) CHECK((positive >> i & 1) == (i > 2));
  CHECK(nonzero(v) == (all_lanes & ~4u));
  const Floats kept = keep(positive, v);
  const Ints chosen = select(positive, 7);
  for (int i = 0; i < width; ++i) {
    CHECK(kept[i] == (i > 2 ? v[i] : 0));
    CHECK(chosen[i] == (i > 2 ? 7 : 0));
  }
}

TEST_CASE("what a mask keeps comes first") {
  for (Mask m : {Mask(0), all_lanes, Mask(0b1010), Mask(0b0110) | 1u << (width - 1)}) {
    const Floats v = compress(m, count_from(1));
    int n = 0;
    for (int i = 0; i < width; ++i)
      if (m >> i & 1) CHECK(float(v[n++]) == float(i + 1));
  }
}

TEST_CASE("a square is transposed") {
  Floats r[width];
  for (int i = 0; i < width; ++i) r[i] = count_from(float(100 * i));
  transpose(r);
  for (int i = 0; i < width; ++i)
    for (int j = 0; j < width; ++j) CHECK(float(r[i][j]) == float(100 * j + i));
}

TEST_CASE("the larger, the root, bounds; a NaN passes where it is the second") {
  const Floats v = count_from(-1), m = simd::max(all(0), v), r = root(simd::max(all(0), v)), c = clamp(all(0), all(2), v);
  for (int i = 0; i < width; ++i) {
    const float x = float(i) - 1;
    CHECK(m[i] == std::fmax(x, 0.0f));
    CHECK(r[i] == std::sqrt(std::fmax(x, 0.0f)));
    CHECK(c[i] == std::fmin(std::fmax(x, 0.0f), 2.0f));
  }
  CHECK(std::isnan(simd::max(all(0), all(not_a_number))[0]));
  CHECK(std::isnan(clamp(all(0), all(6), all(not_a_number))[width - 1]));
}

TEST_CASE("bits of the channels, in planes of a bit each") {
  std::uint8_t plane[8] = {};
  for (int c = 0; c < 64; c += width) store_bits(plane, c, Mask(c == 0 ? 1 : c == 32 ? 0b101 : 0));
  for (int c = 0; c < 64; c += width) CHECK(load_bits(plane, c) == Mask(c == 0 ? 1 : c == 32 ? 0b101 : 0));
  CHECK(plane[0] == 1);
  CHECK(plane[4] == 5);
}
