#include <lamina/cpu/dense.hpp>

#include <doctest/doctest.h>

#include "../support/integers.hpp"

using namespace lamina;
using lamina_test::fractions, lamina_test::integers;

namespace {
template <class T> struct Result {
  std::vector<T> y, dx, dw, db;
  bool operator==(const Result&) const = default;
};
template <class T> struct Data {
  Index n, in, out;
  bool bias;
  std::vector<T> x, w, b, dy, dw, db;
  Data(Index samples, Index inputs, Index outputs, bool with_bias, bool fractional) : n(samples), in(inputs), out(outputs), bias(with_bias) {
    const auto draw = [&](Index count, std::uint32_t number) { return fractional ? fractions<T>(count, number) : integers<T>(count, number); };
    x = draw(n * in, 1), w = draw(in * out, 2), b = draw(out, 3), dy = draw(n * out, 4), dw = draw(in * out, 5), db = draw(out, 6);
  }
  template <int W = 0> Result<T> run(Cpu dev, Index room_for = 0, Way<W> way = {}) const {
    dev.reserve(std::size_t(dense_arena(dev, way, T(), std::max(n, room_for), in, out)));
    if (dev.arena_bytes()) std::memset(dev.arena(), 0xff, dev.arena_bytes());     // all NaN
    Result<T> r{std::vector<T>(dy.size(), T(NAN)), std::vector<T>(x.size(), T(NAN)), dw, db};
    dense_forward(dev, way, n, in, out, x.data(), w.data(), bias ? b.data() : nullptr, r.y.data());
    dense_backward(dev, way, n, in, out, x.data(), w.data(), dy.data(), r.dx.data(), r.dw.data(), bias ? r.db.data() : nullptr);
    return r;
  }
  Result<T> plain() const {
    Result<T> r{std::vector<T>(dy.size()), std::vector<T>(x.size()), dw, db};
    const auto at = [](Index i) { return std::size_t(i); };
    for (Index i = 0; i < n; ++i)
      for (Index o = 0; o < out; ++o) {
        if (bias) r.y[at(i * out + o)] = b[at(o)], r.db[at(o)] += dy[at(i * out + o)];
        for (Index k = 0; k < in; ++k) {
          r.y[at(i * out + o)] += x[at(i * in + k)] * w[at(k * out + o)];
          r.dx[at(i * in + k)] += dy[at(i * out + o)] * w[at(k * out + o)];
          r.dw[at(k * out + o)] += dy[at(i * out + o)] * x[at(i * in + k)];
        }
      }
    return r;
  }
};
}  // namespace

TEST_CASE_TEMPLATE("dense on integers is a plain loop, bit for bit", T, float, double) {
  struct Case { Index n, in, out; bool bias; };
  for (Case c : {Case{1, 1, 1, true}, {3, 7, 5, true}, {1, 130, 10, true}, {8, 16, 33, false}, {65, 257, 33, true}, {130, 513, 10, false}, {2, 600, 97, true}}) {
    INFO(c.n << " samples, " << c.in << " -> " << c.out);
    const Data<T> data(c.n, c.in, c.out, c.bias, false);
    CHECK(data.run(Cpu(2)) == data.plain());
    CHECK(data.run(Cpu(2), 2 * c.n) == data.plain());     // in a model made for more samples
  }
}

TEST_CASE("dense in vectors, and with few outputs, is a plain loop too") {
  struct Case { Index n, in, out; bool bias; };
  for (Case c : {Case{1, 16, 32, true}, {3, 48, 64, false}, {33, 1040, 96, true}, {65, 16400, 32, true}, {17, 32, 1024, false}, {9, 2048, 160, true}}) {
    INFO(c.n << " samples, " << c.in << " -> " << c.out);
    const Data<float> data(c.n, c.in, c.out, c.bias, false);
    CHECK(data.run(Cpu(2), 0, Way<1>()) == data.plain());
    CHECK(data.run(Cpu(3), 2 * c.n, Way<1>()) == data.plain());
  }
  for (Case c : {Case{1, 1, 1, true}, {3, 7, 5, true}, {33, 130, 10, false}, {65, 257, 16, true}}) {
    INFO(c.n << " samples, " << c.in << " -> " << c.out);
    const Data<float> data(c.n, c.in, c.out, c.bias, false);
    CHECK(data.run(Cpu(2), 0, Way<2>()) == data.plain());
  }
}

TEST_CASE("one sample through a dense layer: inputs of zero add nothing, whatever their weights are") {
  for (const int zeros : {0, 1, 2, 3}) {                   // none, each second, all but each third, all
    INFO("case " << zeros);
    Data<float> data(1, 16400, 288, true, false);
    for (float& x : data.x) x = x == 0 ? 1.0f : x;
    for (Index k = 0; k < data.in; ++k)
      if (zeros == 3 || (zeros == 1 && k % 2) || (zeros == 2 && k % 3)) data.x[std::size_t(k)] = k % 5 ? 0.0f : -0.0f;
    const Result<float> plain = data.plain();
    for (Index k = 0; k < data.in; ++k)
      if (data.x[std::size_t(k)] == 0) std::fill_n(data.w.begin() + k * data.out, data.out, NAN);
    CHECK(data.run(Cpu(2), 0, Way<1>()).y == plain.y);
    CHECK(data.run(Cpu(8), 0, Way<1>()).y == plain.y);
  }
  Data<float> data(1, 1024, 128, false, false);
  data.x[1000] = NAN;
  for (const float y : data.run(Cpu(2), 0, Way<1>()).y) CHECK(std::isnan(y));
}

TEST_CASE("dense: the same bits for any number of threads") {
  const auto check = [](const Data<float>& data, auto way) {
    const Result<float> one = data.run(Cpu(1), 0, way);
    for (int threads : {2, 3, 8}) CHECK(data.run(Cpu(threads), 0, way) == one);
  };
  for (Index n : {1, 37, 130}) {
    check(Data<float>(n, 700, 70, true, true), Way<0>());
    check(Data<float>(n, 2064, 96, true, true), Way<1>());
    check(Data<float>(n, 700, 10, true, true), Way<2>());
  }
}
