#include <lamina/cpu/conv_relu_pool.hpp>
#include <lamina/cpu/pool.hpp>

#include <doctest/doctest.h>

#include "../support/integers.hpp"

using namespace lamina;
using lamina_test::fractions, lamina_test::integers, lamina_test::largest_error;

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
  /// The gradients, share by share, an image at a time.
  template <int W> void gather(Cpu& dev, Way<W> way, const T* turned, const std::vector<std::uint8_t>& codes, Result<T>& r) const {
    const ConvReluPool k{c.conv, c.pool};
    const Index numbers = conv_relu_pool_part(dev, way, T(), k, in, out);
    std::vector<T> parts(std::size_t(shares * numbers));
    const std::size_t bytes = dev.arena_bytes() / std::size_t(dev.threads());
    dev.run(shares, [&](Index share, int worker) {
      Cpu alone = dev.alone(dev.arena() + std::size_t(worker) * bytes);
      for (Index i = first_of_share(share, c.n); i < first_of_share(share + 1, c.n); ++i)
        conv_relu_pool_gather(alone, way, k, in, out, 1, x.data() + i * size(in), turned, codes.data() + i * size(out), dy.data() + i * size(out), r.dx.data() + i * size(in),
                              parts.data() + share * numbers);
    });
    conv_relu_pool_finish(dev, way, k, in, out, parts.data(), r.dw.data(), c.bias ? r.db.data() : nullptr);
  }
  template <int W = 0> Result<T> fused(Cpu dev, Way<W> way = {}) const {
    const ConvReluPool k{c.conv, c.pool};
    dev.reserve(std::size_t(conv_relu_pool_arena(dev, way, T(), k, in, mid, c.n)));
    std::memset(dev.arena(), 0xff, dev.arena_bytes());                            // all NaN
    Result<T> r = start();
    std::vector<std::uint8_t> codes(dy.size(), 99);
    T* const db = c.bias ? r.db.data() : nullptr;
    const T* const bias = c.bias ? b.data() : nullptr;
    if constexpr (W == 0) {
      conv_relu_pool_forward(dev, way, k, in, mid, out, c.n, x.data(), w.data(), bias, r.y.data(), codes.data());
      conv_relu_pool_backward(dev, way, k, in, mid, out, c.n, x.data(), w.data(), codes.data(), dy.data(), r.dx.data(), r.dw.data(), db);
    } else {
      const Buffer<Cpu, T> ready(dev, conv_relu_pool_prepared(dev, way, T(), k, in, mid)), turned(dev, weights);
      conv_relu_pool_prepare(dev, way, k, in, mid, w.data(), ready.data());
      conv_relu_pool_forward(dev, way, k, in, mid, out, c.n, x.data(), ready.data(), bias, r.y.data(), codes.data());
      if constexpr (W == 1 || W == 6) conv_relu_pool_turn(dev, way, k, in, out, w.data(), turned.data());
      gather(dev, way, W == 1 || W == 6 ? turned.data() : w.data(), codes, r);
    }
    return r;
  }
  Result<T> apart(Cpu dev) const {
    const ConvSpec spec{c.conv, 1};
    dev.reserve(std::size_t(conv_arena(dev, Way<0>(), T(), spec, in, mid, c.n)));
    Result<T> r = start();
    std::vector<std::uint8_t> codes(dy.size());
    std::vector<T> a(std::size_t(c.n * size(mid))), da(a.size());
    conv_forward(dev, Way<0>(), spec, in, mid, c.n, x.data(), w.data(), c.bias ? b.data() : nullptr, a.data());
    for (T& v : a) v = v > T(0) ? v : T(0);
    max_pool_forward(dev, c.pool, mid, out, c.n, a.data(), r.y.data(), codes.data());
    max_pool_backward(dev, c.pool, mid, out, c.n, codes.data(), dy.data(), da.data());
    for (std::size_t i = 0; i < a.size(); ++i) if (!(a[i] > T(0))) da[i] = 0;
    conv_backward(dev, Way<0>(), spec, in, mid, c.n, x.data(), w.data(), da.data(), r.dx.data(), r.dw.data(), c.bias ? r.db.data() : nullptr);
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

namespace {
/// Cases for the ways that run in vectors.
constexpr Case winograd_cases[] = {{{8, 8, 32}, 32, {3, 1, 1}, {2, 2, 0}},   {{7, 13, 64}, 32, {3, 1, 1}, {2, 2, 0}, false, 5}, {{32, 32, 32}, 64, {3, 1, 1}, {2, 2, 0}, true, 9},
                                   {{5, 6, 32}, 96, {3, 1, 0}, {2, 2, 0}},   {{16, 16, 64}, 128, {3, 1, same}, {2, 2, 0}, true, 3}, {{2, 131, 32}, 160, {3, 1, 1}, {2, 2, 0}, true, 1},
                                   {{37, 3, 96}, 32, {3, 1, 1}, {2, 2, 0}}};
constexpr Case picture_cases[] = {{{8, 8, 3}, 32, {3, 1, 1}, {2, 2, 0}}, {{64, 64, 3}, 32, {3, 1, same}, {2, 2, 0}, true, 9}, {{7, 91, 3}, 64, {3, 1, 1}, {2, 2, 0}, false}, {{9, 6, 3}, 32, {3, 1, 0}, {2, 2, 0}},
                                  {{10, 8, 3}, 16, {3, 1, 1}, {2, 2, 0}, true, 3},  {{8, 13, 3}, 48, {3, 1, 1}, {2, 2, 0}, false, 9}};

template <int W> void check_way(const Case& c) {
  INFO("way " << W << " pad " << c.conv.pad << " on " << text(c.in).s << " to " << c.filters);
  const Data<float> data(c, true);
  Data<double> exact(c, true);
  const auto found = data.fused(Cpu(2), Way<W>());
  const auto expected = exact.fused(Cpu(2));
  CHECK(largest_error(found.y, expected.y) < 5e-6);
  CHECK(largest_error(found.dx, expected.dx) < 5e-6);
  CHECK(largest_error(found.dw, expected.dw) < 5e-6);
  if (c.bias) CHECK(largest_error(found.db, expected.db) < 5e-6);
  for (int threads : {1, 3, 8}) CHECK(data.fused(Cpu(threads), Way<W>()) == found);
}
template <int W> void check_integers(Case c) {
  c.in.c = W - 1;
  INFO(c.in.c << " channels on " << text(c.in).s);
  const Data<float> data(c, false);
  CHECK(data.fused(Cpu(2), Way<W>()) == data.apart(Cpu(2)));
}
}  // namespace

TEST_CASE("3x3 and 2x2 pooling by Winograd is the same within 5e-6 of the largest value") {
  for (const Case& c : winograd_cases) check_way<1>(c);
}
TEST_CASE("pictures: the same bits on integers, and close on all numbers") {
  for (const Case& c : picture_cases) check_integers<2>(c), check_integers<3>(c), check_integers<4>(c), check_integers<5>(c), check_way<4>(c);
}
TEST_CASE("any kernel, stride and pool in vectors: the same bits on integers, and for any number of threads") {
  for (const Case& c : {Case{{8, 8, 16}, 16, {3, 1, 1}, {2, 2, 0}}, {{9, 11, 64}, 48, {3, 1, 1}, {2, 2, 0}, false}, {{13, 12, 3}, 32, {5, 1, 2}, {3, 3, 0}, true, 9}, {{14, 9, 32}, 80, {3, 2, 1}, {2, 3, 0}},
                        {{6, 7, 48}, 16, {1, 1, 0}, {2, 2, 0}, false, 5}, {{40, 90, 16}, 32, {3, 1, same}, {4, 4, 0}, true, 1}, {{7, 5, 32}, 32, {3, 1, 0}, {1, 1, 0}}, {{70, 300, 32}, 16, {7, 1, 3}, {5, 6, 0}, true, 1}}) {
    INFO("conv " << c.conv.k << " stride " << c.conv.stride << " pool " << c.pool.k << " on " << text(c.in).s << " to " << c.filters);
    const Data<float> whole(c, false), data(c, true);
    CHECK(whole.fused(Cpu(2), Way<6>()) == whole.apart(Cpu(2)));
    const Result<float> one = data.fused(Cpu(1), Way<6>());
    for (int threads : {2, 3, 8}) CHECK(data.fused(Cpu(threads), Way<6>()) == one);
  }
}

TEST_CASE("which neighbours are one kernel") {
  constexpr ConvReluPool block{{3, 1, 1}, {2, 2, 0}, 1};
  static_assert(Cpu::way<float>(block, {8, 8, 32}, {8, 8, 64}) == 1 && Cpu::way<float>(block, {8, 8, 3}, {8, 8, 32}) == 4 && Cpu::way<float>(block, {8, 8, 3}, {8, 8, 16}) == 4);
  static_assert(Cpu::way<double>(block, {8, 8, 32}, {8, 8, 64}) == 0 && Cpu::way<float>(block, {8, 8, 5}, {8, 8, 32}) == 0 && Cpu::way<float>(block, {8, 8, 32}, {8, 8, 40}) == 0);
  static_assert(Cpu::fuses<float>(ConvReluPool{{3, 1, 1}, {2, 2, 0}, 1}) && Cpu::fuses<float>(AddRelu{}));
  static_assert(!Cpu::fuses<float>(ConvReluPool{{3, 1, 1}, {3, 2, 0}, 1}));     // overlapping pools
  static_assert(!Cpu::fuses<float>(ConvReluPool{{3, 1, 1}, {2, 2, 1}, 1}));     // padded pools
  static_assert(!Cpu::fuses<float>(ConvReluPool{{3, 1, 1}, {2, 2, 0}, 2}));     // groups
  static_assert(!Cpu::fuses<float>(ConvReluPool{{3, 1, 1}, {3, 3, 0}, 1, 64}) && Cpu::fuses<float>(ConvReluPool{{5, 1, 2}, {3, 3, 0}, 1, 64}));      // Winograd ends in 2x2 pools
  static_assert(!Cpu::fuses<float>(ConvReluPool{{3, 1, 1}, {2, 2, 0}, 1, 256}) && Cpu::fuses<float>(ConvReluPool{{3, 1, 1}, {2, 2, 0}, 1, 128}));    // with many filters it is quicker apart
  static_assert(!Unfused<Cpu>::fuses<float>(ConvReluPool{{3, 1, 1}, {2, 2, 0}, 1}) && !Unfused<Cpu>::fuses<float>(AddRelu{}));
}
