/// Convolutions of whole numbers by plain loops, and by the verbs of a device.
#pragma once
#include <lamina/nn/conv.hpp>

#include <doctest/doctest.h>

#include "device_data.hpp"
#include "gpu.hpp"

namespace lamina_test {

using namespace lamina;

struct Case { Shape in; int filters, k, stride, pad, groups = 1; bool bias = true; Index n = 2; Clamp clamp = {}; };

/// A convolution and its gradients.
template <class T> struct Result {
  std::vector<T> y, dx;
  std::vector<Master<T>> dw, db;
};
template <class T> struct Data {
  using M = Master<T>;
  Case c;
  ConvSpec spec{{c.k, c.stride, c.pad}, c.groups};
  Shape in = c.in, out = spec.window.over(in, c.filters);
  Index weights = Index(c.k) * c.k * in.c / c.groups * c.filters;
  std::vector<M> x = integers<M>(c.n * size(in), 1), w = integers<M>(weights, 2), b = integers<M>(c.filters, 3), dy = integers<M>(c.n * size(out), 4), dw = integers<M>(weights, 5), db = integers<M>(c.filters, 6);

  enum Gradients { both, of_x, of_w };
  template <class D, int N> Result<T> run(D dev, Way<N> way, Gradients wanted = both) const {
    lamina_test::reserve_poisoned(dev, conv_arena(dev, way, T(), spec, in, out, c.n));
    const Tensor<D, T> dev_x(dev, stored<T>(x)), dev_w(dev, stored<T>(w)), dev_dy(dev, stored<T>(dy)), y(dev, c.n * size(out)), dx(dev, c.n * size(in));
    const Tensor<D, M> dev_b(dev, b), dev_dw(dev, dw), dev_db(dev, db);
    conv_forward(dev, way, spec, in, out, c.n, dev_x.data(), dev_w.data(), c.bias ? dev_b.data() : nullptr, y.data(), c.clamp);
    conv_backward(dev, way, spec, in, out, c.n, dev_x.data(), dev_w.data(), dev_dy.data(), wanted == of_w ? nullptr : dx.data(), wanted == of_x ? nullptr : dev_dw.data(),
                  wanted == of_x || !c.bias ? nullptr : dev_db.data());
    return {y.get(), dx.get(), dev_dw.get(), dev_db.get()};
  }
  /// By definition: y[p, q, o] = b[o] + the sum over i, j, k of x[s p + i - before, s q + j - before, k] w[i, j, k, o], o and k of one group.
  Result<T> plain() const {
    std::vector<M> y(dy.size()), dx(x.size());
    Result<T> r{{}, {}, dw, db};
    const int per_group = in.c / c.groups, filters = c.filters / c.groups;
    for (Index n = 0; n < c.n; ++n)
      for (int p = 0; p < out.h; ++p)
        for (int q = 0; q < out.w; ++q)
          for (int o = 0; o < out.c; ++o) {
            const std::size_t at = std::size_t(((n * out.h + p) * out.w + q) * out.c + o);
            if (c.bias) y[at] = b[std::size_t(o)], r.db[std::size_t(o)] += dy[at];
            for (int i = 0; i < c.k; ++i)
              for (int j = 0; j < c.k; ++j)
                for (int k = 0; k < per_group; ++k) {
                  const int row = p * c.stride + i - spec.window.before(in.h), column = q * c.stride + j - spec.window.before(in.w);
                  if (row < 0 || row >= in.h || column < 0 || column >= in.w) continue;
                  const std::size_t from = std::size_t(((n * in.h + row) * in.w + column) * in.c + o / filters * per_group + k);
                  const std::size_t tap = std::size_t(((i * c.k + j) * per_group + k) * out.c + o);
                  y[at] += x[from] * w[tap], dx[from] += dy[at] * w[tap], r.dw[tap] += dy[at] * x[from];
                }
            y[at] = std::clamp(y[at], M(c.clamp.low), M(c.clamp.high));
          }
    r.y = stored<T>(y), r.dx = stored<T>(dx);
    return r;
  }
};

/// In orders of lanes, warps and blocks that `seed` draws.
template <class T, int N, class D = Gpu> void check(const Case& c, unsigned seed = 1) {
  INFO("way " << N << ", k " << c.k << " stride " << c.stride << " pad " << c.pad << " groups " << c.groups << " on " << text(c.in).s << " to " << c.filters);
  const Data<T> data{c};
  const Result<T> found = data.run(D(seed), Way<N>()), expected = data.plain(), without_dx = data.run(D(seed), Way<N>(), Data<T>::of_w);
  CHECK(same_bits(found.y, expected.y));
  CHECK(same_bits(found.dx, expected.dx));
  CHECK(found.dw == expected.dw);
  CHECK(found.db == expected.db);
  CHECK(without_dx.dw == expected.dw);
  CHECK(without_dx.db == expected.db);
  CHECK(same_bits(data.run(D(seed), Way<N>(), Data<T>::of_x).dx, expected.dx));
}

}  // namespace lamina_test
