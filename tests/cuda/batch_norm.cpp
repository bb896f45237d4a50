#include "../support/gpu.hpp"

#include <lamina/core/text.hpp>
#include <lamina/cuda/batch_norm_pool.hpp>
#include <lamina/cuda/pool.hpp>

#include <doctest/doctest.h>

#include "../support/device_data.hpp"

using namespace lamina;
using lamina_test::Gpu, lamina_test::Tensor, lamina_test::fractions, lamina_test::stored, lamina_test::widened;

namespace {
constexpr NormSpec spec{0.1, 1e-5, true};
template <class T> constexpr double allowed = std::is_same_v<T, bf16> ? 0.004 : std::is_same_v<T, float> ? 2e-6 : 1e-14;      // bf16 has 8 bits
template <class T> constexpr double allowed_in_sums = sizeof(Master<T>) == 4 ? 2e-6 : 1e-14;

template <class T> struct Result {
  std::vector<T> y, inferred, dx;
  std::vector<Master<T>> dw, running, batch;
};
template <class T> struct Data {
  using M = Master<T>;
  Index n;
  Shape in;
  Index pixels = Index(in.h) * in.w, all = n * pixels;
  int c = in.c;
  std::vector<T> x = stored<T>(fractions<M>(all * c, 1)), dy = stored<T>(fractions<M>(all * c, 2));
  std::vector<M> w = fractions<M>(2 * room(c), 3), dw = fractions<M>(2 * room(c), 4), running = fractions<M>(2 * room(c), 5);
  Data(Index samples, Shape shape) : n(samples), in(shape) {
    for (Index i = 0; i < c; ++i) running[std::size_t(room(c) + i)] += M(1.5);   // a variance is not negative
  }

  Result<T> run(Clamp bounds = {}, unsigned seed = 1) const {
    Gpu dev(seed);
    lamina_test::reserve_poisoned(dev, batch_norm_arena(dev, T(), n, pixels, c));
    const Tensor<Gpu, T> dev_x(dev, x), dev_dy(dev, dy), y(dev, Index(x.size())), inferred(dev, Index(x.size())), dx(dev, Index(x.size()));
    const Tensor<Gpu, M> dev_w(dev, w), dev_dw(dev, dw), dev_running(dev, running), batch(dev, Index(w.size()));
    batch_norm_clamp_forward(dev, spec, bounds, n, pixels, c, dev_x.data(), dev_w.data(), dev_running.data(), static_cast<M*>(nullptr), inferred.data(), NormBy::running);
    batch_norm_clamp_forward(dev, spec, bounds, n, pixels, c, dev_x.data(), dev_w.data(), dev_running.data(), batch.data(), y.data(), NormBy::batch);
    batch_norm_clamp_backward(dev, bounds, n, pixels, c, dev_x.data(), dev_w.data(), batch.data(), dev_dy.data(), dx.data(), dev_dw.data());
    return {y.get(), inferred.get(), dx.get(), dev_dw.get(), dev_running.get(), batch.get()};
  }
  /// In double, by definition: y = gamma (x - mean) / sqrt(var + eps) + beta, and its gradients.
  Result<double> plain(Clamp bounds = {}) const {
    const std::size_t apart = std::size_t(room(c)), channels = std::size_t(c), count = std::size_t(all);
    Result<double> r{std::vector<double>(x.size()), std::vector<double>(x.size()), std::vector<double>(x.size()), {dw.begin(), dw.end()}, {running.begin(), running.end()}, std::vector<double>(w.size())};
    for (std::size_t k = 0; k < channels; ++k) {
      const double gamma = double(w[k]), beta = double(w[apart + k]), total = double(all);
      const auto value = [&](std::size_t p) { return double(Master<T>(x[p * channels + k])); };
      const auto within = [&](double v) { return std::clamp(v, bounds.low, bounds.high); };
      double mean = 0, var = 0, product = 0, sum = 0;
      for (std::size_t p = 0; p < count; ++p) mean += value(p) / total;
      for (std::size_t p = 0; p < count; ++p) var += (value(p) - mean) * (value(p) - mean) / total;
      const double spread = 1 / std::sqrt(var + 1e-5);
      const auto gradient = [&](std::size_t p) {
        const double y = gamma * spread * (value(p) - mean) + beta;
        return y <= bounds.low || y >= bounds.high ? 0 : double(Master<T>(dy[p * channels + k]));
      };
      for (std::size_t p = 0; p < count; ++p) {
        const std::size_t at = p * channels + k;
        r.inferred[at] = within(gamma * (value(p) - r.running[k]) / std::sqrt(r.running[apart + k] + 1e-5) + beta);
        r.y[at] = within(gamma * spread * (value(p) - mean) + beta);
        sum += gradient(p), product += gradient(p) * (value(p) - mean) * spread;
      }
      for (std::size_t p = 0; p < count; ++p) r.dx[p * channels + k] = gamma * spread * (gradient(p) - sum / total - (value(p) - mean) * spread * product / total);
      r.dw[k] += product, r.dw[apart + k] += sum, r.batch[k] = mean, r.batch[apart + k] = spread;
      r.running[k] += 0.1 * (mean - r.running[k]), r.running[apart + k] += 0.1 * (var * (all > 1 ? total / (total - 1) : 1) - r.running[apart + k]);
    }
    return r;
  }
};
/// The largest difference, of the largest value; a NaN is the worst.
template <class M> double error(const std::vector<M>& found, const std::vector<double>& expected) {
  if (std::all_of(expected.begin(), expected.end(), [](double v) { return v == 0; })) return std::all_of(found.begin(), found.end(), [](M v) { return v == 0; }) ? 0 : 1;
  return lamina_test::largest_error(found, expected);
}
template <class M> std::vector<M> learned(const std::vector<M>& v, int c) {   // without the room behind each tensor
  std::vector<M> both(v.begin(), v.begin() + c);
  both.insert(both.end(), v.begin() + room(c), v.begin() + room(c) + c);
  return both;
}
}  // namespace

TEST_CASE_TEMPLATE("batch norm is its definition", T, float, double, bf16) {
  for (const auto& [n, in] : {std::pair{Index(3), Shape{5, 3, 6}}, {Index(2), Shape{9, 7, 33}}, {Index(1), Shape{1, 1, 4}}, {Index(5), Shape{8, 8, 32}}, {Index(9), Shape{16, 15, 2}}, {Index(2), Shape{4, 3, 264}}})
    for (const Clamp bounds : {Clamp{}, Clamp{.low = 0}, Clamp{.low = -0.5, .high = 0.5}}) {
      const Data<T> data(n, in);
      INFO(data.n << " of " << text(data.in).s << ", from " << bounds.low);
      const Result<T> found = data.run(bounds);
      const Result<double> expected = data.plain(bounds);
      CHECK(error(widened(found.y), expected.y) < allowed<T>);
      CHECK(error(widened(found.inferred), expected.inferred) < allowed<T>);
      if (data.all > 1) CHECK(error(widened(found.dx), expected.dx) < allowed<T>);
      CHECK(error(learned(found.dw, in.c), learned(expected.dw, in.c)) < allowed_in_sums<T>);
      CHECK(error(learned(found.batch, in.c), learned(expected.batch, in.c)) < allowed_in_sums<T>);
      CHECK(error(learned(found.running, in.c), learned(expected.running, in.c)) < allowed_in_sums<T>);
    }
}

TEST_CASE("batch norm of so many pixels that a lane puts several parts together") {
  const Data<float> data(5, {21, 20, 128});
  const Result<float> found = data.run(Clamp{.low = 0});
  const Result<double> expected = data.plain(Clamp{.low = 0});
  CHECK(error(found.y, expected.y) < 2e-6);
  CHECK(error(found.dx, expected.dx) < 2e-6);
  CHECK(error(learned(found.dw, data.c), learned(expected.dw, data.c)) < 2e-6);
  CHECK(error(learned(found.batch, data.c), learned(expected.batch, data.c)) < 2e-6);
  CHECK(error(learned(found.running, data.c), learned(expected.running, data.c)) < 2e-6);
}

TEST_CASE("batch norm: the same bits in whatever order lanes and blocks run") {
  const Data<float> data(3, {17, 20, 12});
  const Result<float> one = data.run();
  for (unsigned seed : {2u, 3u}) {
    const Result<float> other = data.run({}, seed);
    CHECK(other.y == one.y);
    CHECK(other.dx == one.dx);
    CHECK(lamina_test::same_bits(other.dw, one.dw));
  }
}

TEST_CASE("a large mean does not hide a small variance") {   // E(x^2) - E(x)^2 in float would have no digit left
  Gpu dev;
  dev.reserve(std::size_t(batch_norm_arena(dev, float(), 1, 4, 1)));
  const Tensor<Gpu, float> w(dev, [] { std::vector<float> v(32); return v[0] = 1, v; }()), running(dev, std::vector<float>(32)), batch(dev, 32), y(dev, 4), x(dev, std::vector<float>{4096, 4097, 4098, 4099});
  batch_norm_forward(dev, NormSpec{0.1, 1e-5, true}, 1, 4, 1, x.data(), w.data(), running.data(), batch.data(), y.data(), NormBy::batch);
  CHECK(y.get()[3] == doctest::Approx(1.5 / std::sqrt(1.25 + 1e-5)).epsilon(1e-6));
}

TEST_CASE_TEMPLATE("batch norm, relu and max pool as one are the three", T, float, double) {
  for (const auto& [n, in, pool] : {std::tuple{Index(3), Shape{5, 7, 6}, Window{2, 2, 0}}, {Index(2), Shape{9, 8, 16}, Window{2, 3, 0}}, {Index(4), Shape{7, 6, 20}, Window{3, 3, 0}}}) {
    const Data<T> data(n, in);
    INFO(data.n << " of " << text(data.in).s);
    const Shape out = pool.over(in, in.c);
    const Index numbers = n * size(out);
    Gpu dev;
    lamina_test::reserve_poisoned(dev, batch_norm_relu_pool_arena(dev, T(), in, n));
    const Tensor<Gpu, T> x(dev, data.x), dy(dev, fractions<T>(numbers, 7)), y(dev, numbers), apart_y(dev, numbers), full(dev, data.all * in.c), dfull(dev, data.all * in.c), dx(dev, data.all * in.c), apart_dx(dev, data.all * in.c);
    const Tensor<Gpu, T> w(dev, data.w), dw(dev, data.dw), apart_dw(dev, data.dw), running(dev, data.running), apart_running(dev, data.running), batch(dev, Index(data.w.size()));
    const Tensor<Gpu, std::uint8_t> codes(dev, numbers);
    for (const NormBy by : {NormBy::running, NormBy::batch}) {
      batch_norm_relu_pool_forward(dev, spec, NormReluPool{pool}, in, out, n, x.data(), w.data(), running.data(), batch.data(), y.data(), codes.data(), by);
      batch_norm_clamp_forward(dev, spec, Clamp{0}, n, data.pixels, in.c, x.data(), w.data(), apart_running.data(), batch.data(), full.data(), by);
      max_pool_forward(dev, pool, in, out, n, full.data(), apart_y.data(), static_cast<std::uint8_t*>(nullptr));
      CHECK(y.get() == apart_y.get());
    }
    batch_norm_relu_pool_backward(dev, NormReluPool{pool}, in, out, n, x.data(), w.data(), batch.data(), codes.data(), dy.data(), dx.data(), dw.data());
    max_pool_forward(dev, pool, in, out, n, full.data(), apart_y.data(), codes.data());
    max_pool_backward(dev, pool, in, out, n, codes.data(), dy.data(), dfull.data());
    batch_norm_clamp_backward(dev, Clamp{0}, n, data.pixels, in.c, x.data(), w.data(), batch.data(), dfull.data(), apart_dx.data(), apart_dw.data());
    CHECK(running.get() == apart_running.get());
    CHECK(dx.get() == apart_dx.get());
    CHECK(learned(dw.get(), in.c) == learned(apart_dw.get(), in.c));
  }
}
