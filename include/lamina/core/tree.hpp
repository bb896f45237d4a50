/// The order in which numbers of several ranks, or of several shares of a batch, are added: a tree that follows from their number alone, and so do the bits of the sum.
#pragma once
#include <algorithm>
#include <type_traits>

#include "shape.hpp"

namespace lamina {

/// at(0)[i] = the sum of at(t)[i] over all terms t, for i in [0, n): ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)) of eight. Of any number, the left side of the last sum is as many terms as
/// the largest power of two below it: (0 + 1) + 2, ((0 + 1) + (2 + 3)) + 4. So N ranks that bring the sum of 2^k terms each end with the bits of one that has all N 2^k.
/// The memory of the other terms holds parts of the sum afterwards.
template <class T, class At> void tree_sum(int terms, Index n, const At& at) {
  constexpr Index together = 2048 / Index(sizeof(T));    // numbers of each term: those of eight terms stay in the first cache while they are added
  for (Index from = 0; from < n; from += together)
    for (int step = 1; step < terms; step *= 2)
      for (int t = 0; t + step < terms; t += 2 * step) {
        T* __restrict sum = at(t) + from;
        const T* __restrict x = at(t + step) + from;
        for (Index i = 0, count = std::min(together, n - from); i < count; ++i) sum[i] += x[i];
      }
}

/// The sum of at(first), ..., at(first + N - 1) in that order; N is a power of two.
template <Index N, class At> auto tree_sum_of(const At& at, Index first = 0) {
  if constexpr (N == 1) return at(first);
  else return tree_sum_of<N / 2>(at, first) + tree_sum_of<N / 2>(at, first + N / 2);
}
/// The same of N numbers in memory, on any device.
template <Index N, class T> LAMINA_HD T tree_sum_at(const T* x) {
  T sum = *x;
  if constexpr (N > 1) sum = tree_sum_at<N / 2>(x), sum += tree_sum_at<N / 2>(x + N / 2);
  return sum;
}
/// f(N) of so many terms, 1, 2, 4 or 8, with N a constant.
template <class F> void with_terms(Index terms, const F& f) {
  if (terms == 8) f(std::integral_constant<Index, 8>());
  else if (terms == 4) f(std::integral_constant<Index, 4>());
  else if (terms == 2) f(std::integral_constant<Index, 2>());
  else f(std::integral_constant<Index, 1>());
}
/// The same sum as that of tree_sum(), one term after another, with four places for eight, bit_width(N) for N: add(i, place) leaves the i-th there, and merge(a, b) adds what is at place b to what is at a. It
/// ends at place 0.
template <class Add, class Merge> void tree_sum_in_turn(Index terms, const Add& add, const Merge& merge) {
  Index open = 0;                                        // branches that are not whole yet, the largest first
  for (Index i = 0; i < terms; ++i) {
    add(i, open++);
    for (Index k = i; k & 1; k >>= 1) --open, merge(open - 1, open);
  }
  for (; open > 1; --open) merge(open - 2, open - 1);
}

}  // namespace lamina
