#include <lamina/cpu/dense.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

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

/// A sign of zero counts too.
template <class T> bool same_bits(const std::vector<T>& a, const std::vector<T>& b) { return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0); }
template <class T> void check_same(const Result<T>& found, const Result<T>& expected) {
  CHECK(same_bits(found.y, expected.y));
  CHECK(same_bits(found.dx, expected.dx));
  CHECK(same_bits(found.dw, expected.dw));
  CHECK(same_bits(found.db, expected.db));
}

/// What so many replicas end with, each of which has its shares of the samples: their results side by side, and the tree of their gradients.
template <int W, class T> Result<T> replicas(const Data<T>& d, int count, Way<W> way) {
  Result<T> all{std::vector<T>(d.dy.size(), T(NAN)), std::vector<T>(d.x.size(), T(NAN)), {}, {}};
  std::vector<std::vector<T>> dw(std::size_t(count), d.dw), db(std::size_t(count), d.db);
  for (int r = 0; r < count; ++r) {
    Cpu dev(2);
    dev.replica = {.first = r * shares / count, .count = shares / count, .batch = d.n};
    const Index first = first_of_share(dev.replica.first, d.n), n = first_of_share(dev.replica.first + dev.replica.count, d.n) - first;
    dev.reserve(std::size_t(dense_arena(dev, way, T(), n, d.in, d.out)));
    if (dev.arena_bytes()) std::memset(dev.arena(), 0xff, dev.arena_bytes());
    dense_forward(dev, way, n, d.in, d.out, d.x.data() + first * d.in, d.w.data(), d.b.data(), all.y.data() + first * d.out);
    dense_backward(dev, way, n, d.in, d.out, d.x.data() + first * d.in, d.w.data(), d.dy.data() + first * d.out, all.dx.data() + first * d.in, dw[std::size_t(r)].data(), db[std::size_t(r)].data());
  }
  tree_sum<T>(count, Index(d.dw.size()), [&](int r) { return dw[std::size_t(r)].data(); });
  tree_sum<T>(count, Index(d.db.size()), [&](int r) { return db[std::size_t(r)].data(); });
  all.dw = dw[0], all.db = db[0];
  return all;
}

enum class Kind { fractions, zeros, tiny };
/// Gradients are zero before. Zeros: a ReLU has left them of half the inputs, and of all those of the first sample, and a bias is -0. Tiny: products are too small for a number.
template <class T> Data<T> replicated(Index n, Index in, Index out, Kind kind) {
  Data<T> d(n, in, out, true, true);
  std::fill(d.dw.begin(), d.dw.end(), T(0)), std::fill(d.db.begin(), d.db.end(), T(0));
  if (kind == Kind::zeros) {
    for (T& x : d.x) x = std::max(x, T(0));
    std::fill_n(d.x.begin(), in, T(0)), std::fill(d.b.begin(), d.b.end(), -T(0));
  }
  if (kind == Kind::tiny)
    for (auto* v : {&d.x, &d.w, &d.b, &d.dy})
      for (T& x : *v) x *= std::sqrt(std::numeric_limits<T>::min()) / 4;
  return d;
}
template <class T, int W> void check_replicas(Index in, Index out, Way<W> way) {
  for (Index n : {1, 3, 8, 13, 32, 37})
    for (Kind kind : {Kind::fractions, Kind::zeros, Kind::tiny}) {
      const Data<T> data = replicated<T>(n, in, out, kind);
      const Result<T> whole = data.run(Cpu(2), 0, way);
      for (int count : {1, 2, 4, 8}) {
        INFO("way " << W << ": " << n << " samples, " << in << " -> " << out << ", kind " << int(kind) << ", " << count << " replicas");
        check_same(replicas(data, count, way), whole);
      }
    }
}
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

TEST_CASE("dense: replicas that each have a part of a batch end with the bits of one that has it whole") {
  check_replicas<float>(300, 70, Way<0>());
  check_replicas<double>(257, 33, Way<0>());
  check_replicas<double>(5, 3, Way<0>());
  check_replicas<float>(1040, 96, Way<1>());
  check_replicas<float>(32, 544, Way<1>());
  check_replicas<float>(130, 10, Way<2>());
  check_replicas<float>(33, 16, Way<2>());
}

TEST_CASE("dense in vectors, and with few outputs: the bits of a sample are those it has by itself") {
  const auto check = [](const Data<float>& d, auto way) {
    const Result<float> whole = d.run(Cpu(2), 0, way);
    for (Index i = 0; i < d.n; ++i) {
      Cpu dev(2);
      dev.replica.batch = d.n;
      dev.reserve(std::size_t(dense_arena(dev, way, 0.0f, 1, d.in, d.out)));
      std::vector<float> y(std::size_t(d.out)), dx(std::size_t(d.in)), dw(d.dw.size()), db(d.db.size());
      dense_forward(dev, way, 1, d.in, d.out, d.x.data() + i * d.in, d.w.data(), d.b.data(), y.data());
      CHECK(std::memcmp(y.data(), whole.y.data() + i * d.out, y.size() * sizeof(float)) == 0);
      dev.replica.batch = 1;
      dense_backward(dev, way, 1, d.in, d.out, d.x.data() + i * d.in, d.w.data(), d.dy.data() + i * d.out, dx.data(), dw.data(), db.data());
      CHECK(std::memcmp(dx.data(), whole.dx.data() + i * d.in, dx.size() * sizeof(float)) == 0);
    }
  };
  for (Kind kind : {Kind::fractions, Kind::zeros, Kind::tiny}) {
    check(replicated<float>(37, 1040, 96, kind), Way<1>());
    check(replicated<float>(37, 130, 10, kind), Way<2>());
  }
}

TEST_CASE_TEMPLATE("dense: no samples add nothing to the gradients", T, float, double) {
  const auto check = [](auto way) {
    constexpr Index in = 32, out = std::is_same_v<decltype(way), Way<2>> ? 16 : 32;
    Cpu dev(2);
    dev.replica = {.first = 0, .count = 2, .batch = 3};
    dev.reserve(std::size_t(dense_arena(dev, way, T(), 0, in, out)));
    const std::vector<T> w(in * out), b(out), weights(in * out, -T(0)), biases(out, -T(0));
    std::vector<T> dw = weights, db = biases;
    const T* const none = nullptr;
    dense_forward(dev, way, 0, in, out, none, w.data(), b.data(), static_cast<T*>(nullptr));
    dense_backward(dev, way, 0, in, out, none, w.data(), none, static_cast<T*>(nullptr), dw.data(), db.data());
    CHECK(same_bits(dw, weights));
    CHECK(same_bits(db, biases));
  };
  check(Way<0>());
  if constexpr (std::is_same_v<T, float>) check(Way<1>()), check(Way<2>());
}

TEST_CASE("a dense layer that learns at once has the gradients of one that does not, bit for bit") {
  for (Index n : {1, 8, 37})
    for (Index part : {1, 8})
      for (Kind kind : {Kind::fractions, Kind::zeros, Kind::tiny}) {
        INFO(n << " samples, kind " << int(kind) << ", " << part << " shares");
        const Data<float> d = replicated<float>(n, 160, 96, kind);
        Cpu dev(2);
        dev.replica.count = part, dev.replica.batch = n * shares / part;
        dev.reserve(std::size_t(dense_arena(dev, Way<1>(), 0.0f, n, d.in, d.out)));
        Result<float> apart{{}, d.x, d.dw, d.db}, once{{}, d.x, d.w, d.b};
        dense_backward(dev, Way<1>(), n, d.in, d.out, d.x.data(), d.w.data(), d.dy.data(), apart.dx.data(), apart.dw.data(), apart.db.data());
        std::vector<float> memory(d.w.size());
        const Learner<float> keeps_gradients{nullptr, [](const void*, Index, float* w, const float* g, Index count) { std::copy_n(g, count, w); }, memory.data(), 1, Index(memory.size())};
        std::vector<float> db = d.db;
        dense_learn(dev, Way<1>(), n, d.in, d.out, d.x.data(), once.dw.data(), once.db.data(), d.dy.data(), once.dx.data(), db.data(), keeps_gradients, 0, Index(d.w.size()));
        check_same(once, apart);
        CHECK(same_bits(db, d.db));
      }
}
