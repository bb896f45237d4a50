#include <lamina/cpu/conv_relu_pool.hpp>
#include <lamina/cpu/pool.hpp>

#include <doctest/doctest.h>

#include "../support/integers.hpp"

using namespace lamina;
using lamina_test::fractions, lamina_test::integers;

namespace {
struct Case { Shape in; int filters; Window conv, pool; bool bias = true; Index n = 2; };
constexpr Case cases[] = {{{6, 8, 3}, 8, {3, 1, 1}, {2, 2, 0}},  {{7, 5, 4}, 5, {3, 1, 1}, {2, 2, 0}, false}, {{13, 16, 2}, 4, {5, 2, 2}, {3, 3, 0}}, {{8, 7, 3}, 4, {3, 1, same}, {2, 3, 0}, true, 9},
                          {{50, 41, 13}, 3, {3, 1, 1}, {3, 3, 0}}, {{64, 64, 3}, 8, {3, 1, 1}, {2, 2, 0}},      {{47, 90, 9}, 5, {3, 1, 1}, {2, 4, 0}, false},
                          {{31, 16, 2}, 2, {3, 1, 1}, {15, 15, 0}, true, 1}};

template <class T> struct Result {
  std::vector<T> y, dx, dw, db;
  bool operator==(const Result&) const = default;
};
template <class T> struct Data {
  Case c;
  Shape in = c.in, mid = c.conv.over(in, c.filters), out = c.pool.over(mid, c.filters);
  Index weights = Index(c.conv.k) * c.conv.k * in.c * c.filters;
  std::vector<T> x, w, b, dy, dw, db;
  Data(Case a, bool fractional) : c(a) {
    const auto draw = [&](Index count, std::uint32_t number) { return fractional ? fractions<T>(count, number) : integers<T>(count, number, 2); };
    x = draw(c.n * size(in), 1), w = draw(weights, 2), b = draw(c.filters, 3), dy = draw(c.n * size(out), 4), dw = draw(weights, 5), db = draw(c.filters, 6);
  }
  Result<T> start() const { return {std::vector<T>(dy.size(), T(NAN)), std::vector<T>(x.size(), T(NAN)), dw, db}; }
  Result<T> fused(Cpu dev) const {
    const ConvReluPool k{c.conv, c.pool};
    dev.reserve(std::size_t(conv_relu_pool_arena(dev, T(), k, in, mid, c.n)));
    Result<T> r = start();
    std::vector<std::uint8_t> codes(dy.size(), 99);
    conv_relu_pool_forward(dev, k, in, mid, out, c.n, x.data(), w.data(), c.bias ? b.data() : nullptr, r.y.data(), codes.data());
    conv_relu_pool_backward(dev, k, in, mid, out, c.n, x.data(), w.data(), codes.data(), dy.data(), r.dx.data(), r.dw.data(), c.bias ? r.db.data() : nullptr);
    return r;
  }
  Result<T> apart(Cpu dev) const {
    const ConvSpec spec{c.conv, 1};
    dev.reserve(std::size_t(conv_arena(dev, T(), spec, in, mid, c.n)));
    Result<T> r = start();
    std::vector<std::uint8_t> codes(dy.size());
    std::vector<T> a(std::size_t(c.n * size(mid))), da(a.size());
    conv_forward(dev, spec, in, mid, c.n, x.data(), w.data(), c.bias ? b.data() : nullptr, a.data());
    for (T& v : a) v = v > T(0) ? v : T(0);
    max_pool_forward(dev, c.pool, mid, out, c.n, a.data(), r.y.data(), codes.data());
    max_pool_backward(dev, c.pool, mid, out, c.n, codes.data(), dy.data(), da.data());
    for (std::size_t i = 0; i < a.size(); ++i) if (!(a[i] > T(0))) da[i] = 0;
    conv_backward(dev, spec, in, mid, c.n, x.data(), w.data(), da.data(), r.dx.data(), r.dw.data(), c.bias ? r.db.data() : nullptr);
    return r;
  }
};
}  // namespace

TEST_CASE_TEMPLATE("fused and apart give the same bits on integers", T, float, double) {   // with many ties
  for (const Case& c : cases) {
    INFO("conv " << c.conv.k << " pool " << c.pool.k << " stride " << c.pool.stride << " on " << text(c.in).s);
    const Data<T> data(c, false);
    CHECK(data.fused(Cpu(2)) == data.apart(Cpu(2)));
  }
}

TEST_CASE("conv, relu and max pool as one: the same bits for any number of threads") {
  for (const Case& c : {cases[3], cases[4], cases[5]}) {
    const Data<float> data(c, true);
    const Result<float> one = data.fused(Cpu(1));
    for (int threads : {2, 3, 8}) CHECK(data.fused(Cpu(threads)) == one);
  }
}

TEST_CASE("which neighbours are one kernel") {
  static_assert(Cpu::fuses<float>(ConvReluPool{{3, 1, 1}, {2, 2, 0}, 1}) && Cpu::fuses<float>(AddRelu{}));
  static_assert(!Cpu::fuses<float>(ConvReluPool{{3, 1, 1}, {3, 2, 0}, 1}));     // overlapping pools
  static_assert(!Cpu::fuses<float>(ConvReluPool{{3, 1, 1}, {2, 2, 1}, 1}));     // padded pools
  static_assert(!Cpu::fuses<float>(ConvReluPool{{3, 1, 1}, {2, 2, 0}, 2}));     // groups
  static_assert(!Unfused<Cpu>::fuses<float>(ConvReluPool{{3, 1, 1}, {2, 2, 0}, 1}) && !Unfused<Cpu>::fuses<float>(AddRelu{}));
}
