/// A block Conv 3x3, ReLU, MaxPool 2x2 in bf16 or tf32: its results by plain loops, and those of a device's verbs beside them.
#pragma once
#include <lamina/core/device.hpp>
#include <lamina/core/precision.hpp>

#include <doctest/doctest.h>

#include "device_data.hpp"
#include "gpu.hpp"

namespace lamina_test {

using lamina::bf16, lamina::Index, lamina::Shape;

inline constexpr lamina::ConvReluPool pooled_block{{3, 1, lamina::same}, {2, 2, 0}};

/// Has a batch's tiles shared out among so few thread blocks that each gets several.
struct FewMultiprocessors : Gpu {
  using Gpu::Gpu;
  static constexpr int multiprocessors = 2;
};

/// What training the block with a batch makes.
struct BlockResult {
  std::vector<float> y, dx, dw, db;
  std::vector<std::uint8_t> codes;
  bool operator==(const BlockResult&) const = default;
};

/// A batch, and in double what becomes of it. dw and db begin with numbers that the gradients are added to.
struct PooledBlock {
  Shape in, mid, out;
  Index n;
  std::vector<double> x, w, b, dy, dw, db;

  PooledBlock(Shape shape, int filters, Index samples, bool fractional = false) : in(shape), mid(in.h, in.w, filters), out(in.h / 2, in.w / 2, filters), n(samples) {
    std::uint32_t number = 0;
    const auto draw = [&](Index count, int low, int high) {
      auto v = fractional ? fractions<double>(count, ++number) : integers<double>(count, ++number, 1000);
      for (double& e : v) e = fractional ? double(bf16(float(e * high))) : double(low + (int(e) + 1000) % (high - low + 1));
      return v;
    };
    x = draw(n * size(in), -2, 2), w = draw(9 * in.c * filters, -1, 1), b = draw(filters, -3, 1), dy = draw(n * size(out), -2, 2), dw = draw(9 * in.c * filters, -5, 5), db = draw(filters, -5, 5);
  }

  template <class F> void each_tap(Index image, int row, int column, F f) const {
    for (int tap = 0; tap < 9; ++tap) {
      const int h = row + tap / 3 - 1, v = column + tap % 3 - 1;
      if (h >= 0 && v >= 0 && h < in.h && v < in.w) f(tap, ((image * in.h + h) * in.w + v) * in.c);
    }
  }
  struct Expected { std::vector<double> y, dx, dw, db; std::vector<std::uint8_t> codes; };
  Expected expected(bool bias = true) const {
    Expected r{std::vector<double>(dy.size()), std::vector<double>(x.size()), dw, db, std::vector<std::uint8_t>(dy.size(), 255)};
    for (Index o = 0; o < Index(dy.size()); ++o) {
      const int k = int(o % out.c), column = int(o / out.c % out.w), row = int(o / out.c / out.w % out.h);
      const Index image = o / size(out);
      double best = 0;
      int winner = 255;
      for (int t = 0; t < 4; ++t) {
        double sum = bias ? b[std::size_t(k)] : 0;
        each_tap(image, 2 * row + t / 2, 2 * column + t % 2, [&](int tap, Index at) {
          for (int c = 0; c < in.c; ++c) sum += x[std::size_t(at + c)] * w[std::size_t((tap * in.c + c) * out.c + k)];
        });
        if (sum > best) best = sum, winner = t;
      }
      if (winner == 255) continue;
      const double g = dy[std::size_t(o)];
      r.y[std::size_t(o)] = best, r.codes[std::size_t(o)] = std::uint8_t(winner), r.db[std::size_t(k)] += g;
      each_tap(image, 2 * row + winner / 2, 2 * column + winner % 2, [&](int tap, Index at) {
        for (int c = 0; c < in.c; ++c) {
          r.dx[std::size_t(at + c)] += g * w[std::size_t((tap * in.c + c) * out.c + k)];
          r.dw[std::size_t((tap * in.c + c) * out.c + k)] += g * x[std::size_t(at + c)];
        }
      });
    }
    return r;
  }
};

/// Numbers as they are stored in T, too.
template <class D, class T> struct OnDevice : Tensor<D, T> {
  using Tensor<D, T>::Tensor;
  OnDevice(D& dev, const std::vector<double>& v) : Tensor<D, T>(dev, std::vector<T>(v.begin(), v.end())) {}
};

struct Asked { bool bias = true, dx = true; };

/// Forward, as training and as inference do, and backward; outputs and arena are NaN before.
template <int W, class T = bf16, class D> BlockResult run_block(D& dev, const PooledBlock& p, Asked asked = {}) {
  constexpr lamina::Way<W> way;
  reserve_poisoned(dev, conv_relu_pool_arena(dev, way, T(), pooled_block, p.in, p.mid, p.n));
  const OnDevice<D, T> x(dev, p.x), w(dev, p.w), dy(dev, p.dy);
  OnDevice<D, T> y(dev, Index(p.dy.size())), again(dev, Index(p.dy.size())), dx(dev, Index(p.x.size()));
  OnDevice<D, std::uint8_t> codes(dev, std::vector<std::uint8_t>(p.dy.size(), 99));
  const OnDevice<D, float> b(dev, p.b);
  OnDevice<D, float> dw(dev, p.dw), db(dev, p.db);
  conv_relu_pool_forward(dev, way, pooled_block, p.in, p.mid, p.out, p.n, x.data(), w.data(), asked.bias ? b.data() : nullptr, y.data(), codes.data());
  conv_relu_pool_forward(dev, way, pooled_block, p.in, p.mid, p.out, p.n, x.data(), w.data(), asked.bias ? b.data() : nullptr, again.data(), nullptr);
  conv_relu_pool_backward(dev, way, pooled_block, p.in, p.mid, p.out, p.n, x.data(), w.data(), codes.data(), dy.data(), asked.dx ? dx.data() : nullptr, dw.data(), asked.bias ? db.data() : nullptr);
  dev.wait();
  const auto floats = [](const std::vector<T>& v) { return std::vector<float>(v.begin(), v.end()); };
  const auto bits = [](const OnDevice<D, T>& v) {
    std::vector<std::uint32_t> all;
    for (const T e : v.get()) all.push_back(e.bits);
    return all;
  };
  BlockResult r{floats(y.get()), asked.dx ? floats(dx.get()) : std::vector<float>(), dw.get(), db.get(), codes.get()};
  CHECK(bits(again) == bits(y));
  return r;
}

/// Whole numbers are the expected ones, rounded as they are stored.
template <class T = bf16> void check_whole(const BlockResult& r, const PooledBlock& p, Asked asked = {}) {
  const auto e = p.expected(asked.bias);
  const auto rounded = [](const std::vector<double>& v) {
    std::vector<float> f;
    for (const double d : v) f.push_back(T(float(d)));
    return f;
  };
  CHECK(r.codes == e.codes);
  CHECK(r.y == rounded(e.y));
  if (asked.dx) CHECK(r.dx == rounded(e.dx));
  CHECK(r.dw == std::vector<float>(e.dw.begin(), e.dw.end()));
  const auto& db = asked.bias ? e.db : p.db;
  CHECK(r.db == std::vector<float>(db.begin(), db.end()));
}
/// Fractions are right to within two roundings, each to half of this.
inline void check_near(const BlockResult& r, const PooledBlock& p, bool dx, double rounding = 0x1p-8) {
  const auto e = p.expected();
  const auto near = [rounding](const std::vector<float>& got, const std::vector<double>& want) {
    REQUIRE(got.size() == want.size());
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < got.size(); ++i) wrong += !(std::abs(double(got[i]) - want[i]) <= std::abs(want[i]) * rounding + 1e-4);
    return wrong == 0;
  };
  CHECK(r.codes == e.codes);
  CHECK(near(r.y, e.y));
  if (dx) CHECK(near(r.dx, e.dx));
  CHECK(near(r.dw, e.dw));
  CHECK(near(r.db, e.db));
}

}  // namespace lamina_test
