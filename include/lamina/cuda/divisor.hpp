/// Division by a number that is known where a kernel is launched.
#pragma once
#include <cstdint>

#include "../core/shape.hpp"
#include "words.hpp"

namespace lamina::kernels::inline LAMINA_SIMT {

/// a / by for a below 2^31, by a multiplication.
struct Divisor {
  unsigned factor, by;
  int shift;
  explicit Divisor(int d) : by(unsigned(d)), shift(0) {
    while ((1u << shift) < by) ++shift;
    factor = unsigned(((std::uint64_t(1) << (31 + shift)) + by - 1) / by);
  }
  LAMINA_HD int operator()(int a) const { return int(std::uint64_t(unsigned(a)) * factor >> (31 + shift)); }
  LAMINA_HD int rest(int a, int whole) const { return int(unsigned(a) - unsigned(whole) * by); }
};

}  // namespace lamina::kernels::inline LAMINA_SIMT
