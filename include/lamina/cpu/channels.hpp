/// Vectors along the channels of any number.
#pragma once
#include <cstring>
#include <type_traits>

#include "cpu.hpp"

namespace lamina::detail {

template <class V, class T> V load_as(const T* p) {
  V v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class V, class T> void store_as(T* p, V v) { std::memcpy(p, &v, sizeof v); }

/// What lies beyond the bounds is brought to them; a NaN passes. V is a number or a vector of them.
template <class V> LAMINA_INLINE V bounded(V v, V low, V high) {
  const V above = v < low ? low : v;
  return above > high ? high : above;
}

/// f(channel, V(), how many V) over the channels: 4 vectors of them at a time, then one, then single numbers.
template <class T, class F> void each_channels(int c, const F& f) {
  using V = Cpu::Vector<T>;
  constexpr int lanes = Number<V>::lanes;
  int k = 0;
  for (; k + 4 * lanes <= c; k += 4 * lanes) f(k, V(), std::integral_constant<int, 4>());
  for (; k + lanes <= c; k += lanes) f(k, V(), std::integral_constant<int, 1>());
  if constexpr (lanes > 1)
    for (; k < c; ++k) f(k, T(), std::integral_constant<int, 1>());
}

}  // namespace lamina::detail
