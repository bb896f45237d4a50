#include <lamina/cpu/batch_norm.hpp>

#include <doctest/doctest.h>

#include <limits>

#include "../support/integers.hpp"

using namespace lamina;
using lamina_test::fractions;

namespace {
template <class T> struct Result {
  std::vector<T> y, inferred, dx, dw, running, batch;
  bool operator==(const Result&) const = default;
};
template <class T> struct Data {
  Index n;
  int c;
  std::vector<T> x = fractions<T>(n * c, 1), dy = fractions<T>(n * c, 2), w = fractions<T>(2 * room(c), 3), dw = fractions<T>(2 * room(c), 4), running = fractions<T>(2 * room(c), 5);
  Result<T> run(Cpu dev) const {
    dev.reserve(std::size_t(batch_norm_arena(dev, T(), 1, n, c)));
    const std::vector<T> none(x.size(), T(NAN));
    Result<T> r{none, none, none, dw, running, std::vector<T>(running.size())};
    for (Index i = 0; i < c; ++i) r.running[std::size_t(room(c) + i)] += T(1.5);   // a variance is not negative
    batch_norm_forward(dev, NormSpec{0.1, 1e-5, true}, 1, n, c, x.data(), w.data(), r.running.data(), static_cast<T*>(nullptr), r.inferred.data(), NormBy::running);
    batch_norm_forward(dev, NormSpec{0.1, 1e-5, true}, 1, n, c, x.data(), w.data(), r.running.data(), r.batch.data(), r.y.data(), NormBy::batch);
    batch_norm_backward(dev, 1, n, c, x.data(), w.data(), r.batch.data(), dy.data(), r.dx.data(), r.dw.data());
    return r;
  }
};
}  // namespace

TEST_CASE("batch norm: the same bits for any number of threads") {
  for (auto [n, c] : {std::pair{Index(5), 3}, {Index(1000), 33}, {Index(20'000), 2}, {Index(1), 7}}) {
    const Data<float> data{n, c};
    const Result<float> one = data.run(Cpu(1));
    for (int threads : {2, 3, 8}) CHECK(data.run(Cpu(threads)) == one);
  }
}

TEST_CASE("batch norm: what comes out has mean beta and deviation gamma") {
  const Index n = 5000;
  const int c = 5;
  const Data<double> data{n, c};
  const Result<double> r = data.run(Cpu(2));
  for (int k = 0; k < c; ++k) {
    double mean = 0, square = 0;
    for (Index i = 0; i < n; ++i) mean += r.y[std::size_t(i * c + k)] / double(n);
    for (Index i = 0; i < n; ++i) square += std::pow(r.y[std::size_t(i * c + k)] - mean, 2) / double(n);
    CHECK(mean == doctest::Approx(data.w[std::size_t(room(c) + k)]).epsilon(1e-10));
    CHECK(std::sqrt(square) == doctest::Approx(std::abs(data.w[std::size_t(k)])).epsilon(1e-4));   // the variance of x is 1/3, so eps takes 1.5e-5 of it
  }
}

TEST_CASE_TEMPLATE("batch norm with bounds is the bounds of batch norm", T, float, double) {
  for (const Clamp bounds : {Clamp{.low = 0}, Clamp{.low = 0, .high = 0.25}, Clamp{.low = -0.5, .high = 0.5}})
    for (auto [n, c] : {std::pair{Index(50), 3}, {Index(300), 40}}) {
      const Data<T> data{n, c};
      const Result<T> apart = data.run(Cpu(2));
      Cpu dev(2);
      dev.reserve(std::size_t(batch_norm_arena(dev, T(), 1, n, c)));
      Result<T> together = apart;
      together.dw = data.dw, together.running = data.running;
      batch_norm_clamp_forward(dev, NormSpec{0.1, 1e-5, true}, bounds, 1, n, c, data.x.data(), data.w.data(), together.running.data(), together.batch.data(), together.y.data(), NormBy::batch);
      batch_norm_clamp_backward(dev, bounds, 1, n, c, data.x.data(), data.w.data(), together.batch.data(), data.dy.data(), together.dx.data(), together.dw.data());

      std::vector<T> y = apart.y, dy = data.dy, dx(dy.size()), dw = data.dw;
      int below = 0, above = 0;
      for (std::size_t i = 0; i < y.size(); ++i) {
        const bool low = y[i] <= T(bounds.low), high = y[i] >= T(bounds.high);
        below += low, above += high;
        if (low || high) dy[i] = 0, y[i] = T(low ? bounds.low : bounds.high);
      }
      REQUIRE(below > 0);
      REQUIRE((above > 0) == (bounds.high < 1));
      batch_norm_backward(dev, 1, n, c, data.x.data(), data.w.data(), apart.batch.data(), dy.data(), dx.data(), dw.data());
      const auto off = [](const std::vector<T>& a, const std::vector<T>& b) {      // the compiler may round one of them otherwise
        double most = 0;
        for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, double(std::abs(a[i] - b[i]) / (1 + std::abs(b[i]))));
        return most / double(std::numeric_limits<T>::epsilon());
      };
      CHECK(off(together.y, y) < 10);
      CHECK(off(together.dx, dx) < 100);
      CHECK(off(together.dw, dw) < 100);
    }
}

TEST_CASE("the arena of a batch is enough for fewer samples") {
  const Cpu dev(2);
  for (const Index pixels : {1, 7, 49, 63, 64, 600})
    for (const Index batch : {1, 21, 544, 1025})
      for (Index n = 1; n <= batch; ++n) {
        const Index needed = ((detail::NormStretches(n, pixels).count + 1) * 2 + 1) * 5 * Index(sizeof(float));
        if (needed > batch_norm_arena(dev, 0.0f, batch, pixels, 5)) FAIL_CHECK(n << " of " << batch << " samples of " << pixels << " pixels");
      }
}
