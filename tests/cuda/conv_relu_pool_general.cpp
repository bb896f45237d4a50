#include "../support/gpu.hpp"

#include <lamina/cuda/conv.hpp>
#include <lamina/cuda/conv_relu_pool_general.hpp>
#include <lamina/cuda/pool.hpp>
#include <lamina/nn/conv.hpp>

#include <doctest/doctest.h>

#include "../support/conv_case.hpp"
#include "../support/device_data.hpp"

using namespace lamina;
using lamina_test::Gpu, lamina_test::Tensor, lamina_test::integers, lamina_test::same_bits, lamina_test::stored;

namespace {
struct Case { Shape in; int filters; Window conv, pool; bool bias = true; Index n = 2; };
constexpr Case cases[] = {{{6, 8, 3}, 8, {3, 1, 1}, {2, 2, 0}},    {{7, 5, 4}, 5, {3, 1, 1}, {2, 2, 0}, false},    {{13, 16, 2}, 4, {5, 2, 2}, {3, 3, 0}}, {{8, 7, 3}, 4, {3, 1, same}, {2, 3, 0}, true, 9},
                          {{20, 14, 5}, 3, {3, 1, 1}, {3, 3, 0}},  {{17, 19, 9}, 5, {3, 1, 1}, {2, 4, 0}, false},  {{31, 16, 2}, 2, {3, 1, 1}, {15, 15, 0}, true, 1}};

template <class T> using Result = lamina_test::ConvResult<T, Master<T>>;
template <class T> struct Data {
  using M = Master<T>;
  Case c;
  Gpu dev{};
  Shape in = c.in, mid = c.conv.over(in, c.filters), out = c.pool.over(mid, c.filters);
  Index weights = Index(c.conv.k) * c.conv.k * in.c * c.filters;
  Tensor<Gpu, T> x{dev, stored<T>(integers<M>(c.n * size(in), 1, 2))}, w{dev, stored<T>(integers<M>(weights, 2, 2))}, dy{dev, stored<T>(integers<M>(c.n * size(out), 4, 2))};
  Tensor<Gpu, M> b{dev, integers<M>(c.filters, 3, 2)};
  const M* bias() const { return c.bias ? b.data() : nullptr; }

  struct Outputs {
    Tensor<Gpu, T> y, dx;
    Tensor<Gpu, M> dw, db;
    Result<T> get() const { return {y.get(), dx.get(), dw.get(), db.get()}; }
  };
  Outputs outputs() { return {{dev, c.n * size(out)}, {dev, c.n * size(in)}, {dev, integers<M>(weights, 5)}, {dev, integers<M>(c.filters, 6)}}; }

  template <int N> Result<T> fused(Way<N> way) {
    const ConvReluPool k{c.conv, c.pool};
    lamina_test::reserve_poisoned(dev, conv_relu_pool_arena(dev, way, T(), k, in, mid, c.n));
    const Outputs r = outputs();
    const Tensor<Gpu, std::uint8_t> codes(dev, c.n * size(out));
    conv_relu_pool_forward(dev, way, k, in, mid, out, c.n, x.data(), w.data(), bias(), r.y.data(), codes.data());
    conv_relu_pool_backward(dev, way, k, in, mid, out, c.n, x.data(), w.data(), codes.data(), dy.data(), r.dx.data(), r.dw.data(), c.bias ? r.db.data() : nullptr);
    return r.get();
  }
  Result<T> apart() {
    const ConvSpec spec{c.conv, 1};
    lamina_test::reserve_poisoned(dev, conv_arena(dev, Way<0>(), T(), spec, in, mid, c.n));
    const Outputs r = outputs();
    const Tensor<Gpu, T> a(dev, c.n * size(mid)), da(dev, c.n * size(mid));
    const Tensor<Gpu, std::uint8_t> codes(dev, c.n * size(out));
    conv_forward(dev, Way<0>(), spec, in, mid, c.n, x.data(), w.data(), bias(), a.data(), Clamp{0});
    max_pool_forward(dev, c.pool, mid, out, c.n, a.data(), r.y.data(), codes.data());
    max_pool_backward(dev, c.pool, mid, out, c.n, codes.data(), dy.data(), da.data());
    std::vector<T> values = a.get(), gradient = da.get();
    for (std::size_t i = 0; i < values.size(); ++i) if (!(M(values[i]) > 0)) gradient[i] = T(0.f);
    dev.upload(da.data(), gradient.data(), gradient.size() * sizeof(T));
    conv_backward(dev, Way<0>(), spec, in, mid, c.n, x.data(), w.data(), da.data(), r.dx.data(), r.dw.data(), c.bias ? r.db.data() : nullptr);
    return r.get();
  }
};
}  // namespace

namespace {
template <class T, int N> void check(const Case& c) {
  INFO("way " << N << ", conv " << c.conv.k << " pool " << c.pool.k << " stride " << c.pool.stride << " on " << text(c.in).s);
  Data<T> data{c};
  const Result<T> fused = data.fused(Way<N>()), apart = data.apart();
  CHECK(same_bits(fused.y, apart.y));
  CHECK(same_bits(fused.dx, apart.dx));
  CHECK(fused.dw == apart.dw);
  CHECK(fused.db == apart.db);
}
}  // namespace

TEST_CASE_TEMPLATE("fused and apart give the same bits on integers", T, float, double, bf16) {   // with many ties
  for (const Case& c : cases) check<T, 0>(c);
}
TEST_CASE_TEMPLATE("in tiles too", T, float, double) {
  for (const Case& c : cases)
    if (c.pool.k == 2) check<T, 1>(c);
}
