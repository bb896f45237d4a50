/// What maps numbers one by one is a formula; a device may take several neighbours of them at once.
#pragma once
#include <utility>

#include "precision.hpp"
#include "shape.hpp"

namespace lamina {

/// Neighbours that lie in memory as one word.
template <class T, int V> struct alignas(V * sizeof(T)) Pack { T v[V]; };
template <int V, class T> LAMINA_HD const Pack<T, V>* packs(const T* p) { return reinterpret_cast<const Pack<T, V>*>(p); }
template <int V, class T> LAMINA_HD Pack<T, V>* packs(T* p) { return reinterpret_cast<Pack<T, V>*>(p); }

namespace detail {
/// y[i] = F::f(x[i]), or of one number of each of N tensors. y may be one of them.
template <class F, class T, int N> struct Elementwise {
  const T* x[N]; T* y;
  LAMINA_HD void operator()(Index i) const {
    if constexpr (N == 1) y[i] = F::f(Master<T>(x[0][i]));
    else y[i] = F::f(Master<T>(x[0][i]), Master<T>(x[1][i]));
  }
  static constexpr int together = sizeof(T) == 8 ? 1 : int(16 / sizeof(T));   // that one load fetches; two doubles in a long formula are more than a lane of a GPU has room for
  /// f(i) ... f(i + together - 1), i a multiple of it, of tensors that begin on 16 bytes.
  LAMINA_HD void several(Index i) const {
    Pack<T, together> from[N], to;
    Elementwise of{{}, to.v};
    for (int k = 0; k < N; ++k) from[k] = *packs<together>(x[k] + i), of.x[k] = from[k].v;
    [&]<int... E>(std::integer_sequence<int, E...>) { (of(E), ...); }(std::make_integer_sequence<int, together>());
    *packs<together>(y + i) = to;
  }
};
}  // namespace detail

}  // namespace lamina
