/// A pool to be tried, and what its windows see.
#pragma once
#include <lamina/core/shape.hpp>

#include <cstddef>

namespace lamina_test {

using namespace lamina;

struct PoolCase { Shape in; Window v; Index n = 2; };

/// f(output number, input number, tap) over all taps of all windows that lie inside the image.
template <class F> void each_seen(const PoolCase& c, Shape out, F f) {
  for (Index n = 0; n < c.n; ++n)
    for (int p = 0; p < out.h; ++p)
      for (int q = 0; q < out.w; ++q)
        for (int k = 0; k < out.c; ++k)
          for (int tap = 0; tap < c.v.k * c.v.k; ++tap) {
            const int row = p * c.v.stride + tap / c.v.k - c.v.before(c.in.h), column = q * c.v.stride + tap % c.v.k - c.v.before(c.in.w);
            if (row < 0 || row >= c.in.h || column < 0 || column >= c.in.w) continue;
            f(std::size_t(((n * out.h + p) * out.w + q) * out.c + k), std::size_t(((n * c.in.h + row) * c.in.w + column) * c.in.c + k), tap);
          }
}

}  // namespace lamina_test
