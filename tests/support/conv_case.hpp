/// A convolution to be tried, and what comes of it by definition.
#pragma once
#include <lamina/core/device.hpp>

#include <algorithm>
#include <utility>
#include <vector>

namespace lamina_test {

using namespace lamina;

struct ConvCase {
  Shape in;
  int filters, k, stride, pad, groups = 1;
  bool bias = true;
  Index n = 2;
  Clamp clamp = {};
  constexpr ConvSpec spec() const { return {{k, stride, pad}, groups}; }
  constexpr Shape out() const { return spec().window.over(in, filters); }
  constexpr Index weights() const { return Index(k) * k * in.c / groups * filters; }
};

/// A convolution and its gradients: y and dx stored as T, dw and db as M.
template <class T, class M = T> struct ConvResult {
  std::vector<T> y, dx;
  std::vector<M> dw, db;
  bool operator==(const ConvResult&) const = default;
};

/// y[p, q, o] = b[o] + the sum over i, j, k of x[s p + i - before, s q + j - before, k] w[i, j, k, o], o and k of one group. dw and db begin with what they are.
template <class T> ConvResult<T> plain_conv(const ConvCase& c, const std::vector<T>& x, const std::vector<T>& w, const std::vector<T>& b, const std::vector<T>& dy, std::vector<T> dw, std::vector<T> db) {
  ConvResult<T> r{std::vector<T>(dy.size()), std::vector<T>(x.size()), std::move(dw), std::move(db)};
  const Shape in = c.in, out = c.out();
  const int per_group = in.c / c.groups, filters = c.filters / c.groups, above = c.spec().window.before(in.h), before = c.spec().window.before(in.w);
  for (Index n = 0; n < c.n; ++n)
    for (int p = 0; p < out.h; ++p)
      for (int q = 0; q < out.w; ++q)
        for (int o = 0; o < out.c; ++o) {
          const std::size_t at = std::size_t(((n * out.h + p) * out.w + q) * out.c + o);
          if (c.bias) r.y[at] = b[std::size_t(o)], r.db[std::size_t(o)] += dy[at];
          for (int i = 0; i < c.k; ++i)
            for (int j = 0; j < c.k; ++j)
              for (int k = 0; k < per_group; ++k) {
                const int row = p * c.stride + i - above, column = q * c.stride + j - before;
                if (row < 0 || row >= in.h || column < 0 || column >= in.w) continue;
                const std::size_t from = std::size_t(((n * in.h + row) * in.w + column) * in.c + o / filters * per_group + k);
                const std::size_t tap = std::size_t(((i * c.k + j) * per_group + k) * out.c + o);
                r.y[at] += x[from] * w[tap], r.dx[from] += dy[at] * w[tap], r.dw[tap] += dy[at] * x[from];
              }
          r.y[at] = std::clamp(r.y[at], T(c.clamp.low), T(c.clamp.high));
        }
  return r;
}

}  // namespace lamina_test
