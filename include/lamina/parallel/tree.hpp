/// The order in which numbers of several ranks are added: a tree that follows from their number alone, and so do the bits of the sum.
#pragma once
#include <algorithm>

#include "../core/shape.hpp"

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

}  // namespace lamina
