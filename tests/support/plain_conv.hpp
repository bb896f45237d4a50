/// Convolutions of whole numbers by plain loops, and by the verbs of a device.
#pragma once
#include <lamina/nn/conv.hpp>

#include <doctest/doctest.h>

#include "conv_case.hpp"
#include "device_data.hpp"
#include "gpu.hpp"

namespace lamina_test {

using namespace lamina;

using Case = ConvCase;
template <class T> using Result = ConvResult<T, Master<T>>;
template <class T> struct Data {
  using M = Master<T>;
  Case c;
  ConvSpec spec = c.spec();
  Shape in = c.in, out = c.out();
  Index weights = c.weights();
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
  Result<T> plain() const {
    const ConvResult<M> r = plain_conv(c, x, w, b, dy, dw, db);
    return {stored<T>(r.y), stored<T>(r.dx), r.dw, r.db};
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
