#include <lamina/cpu/batch_norm.hpp>

#include <doctest/doctest.h>

#include <limits>

#include "../support/integers.hpp"
#include "../support/norm_replicas.hpp"

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
  Cpu dev(2);
  for (const Replica& replica : {Replica{}, Replica{.first = 4, .count = 4, .of = 32}}) {
    dev.replica = replica;
    for (const Index pixels : {1, 7, 49, 63, 64, 600})
      for (const Index batch : {1, 21, 544, 1025})
        for (Index n = 1; n <= batch; ++n) {
          // Of n samples here: a scale, the moments of the shares here and of all, and those of the stretches.
          const Index stretches = detail::NormStretches{{n, 0, replica.count, replica.count}, pixels}.count(), needed = (1 + 2 * (replica.count + replica.of + stretches)) * 5 * Index(sizeof(float));
          if (needed > batch_norm_arena(dev, 0.0f, batch, pixels, 5)) FAIL_CHECK(n << " of " << batch << " samples of " << pixels << " pixels");
        }
  }
}

namespace {
/// What a step of training leaves: for samples, or where they are all.
template <class T> struct Trained {
  std::vector<T> y, dx, dw, running, batch;
  bool operator==(const Trained&) const = default;
};
template <class T> struct Batch {
  Index n, pixels;
  int c;
  Index each = pixels * c;
  std::vector<T> x = fractions<T>(n * each, 1), dy = fractions<T>(n * each, 2), w = fractions<T>(2 * room(c), 3);
  static constexpr NormSpec spec{0.1, 1e-5, true};

  /// Of `count` samples from the first on. by_few: they are measured one by one before it begins.
  Trained<T> train(Cpu dev, Clamp bounds, Index first, Index count, bool by_few) const {
    dev.reserve(std::size_t(batch_norm_arena(dev, T(), count, pixels, c)));
    std::fill_n(dev.arena(), dev.arena_bytes(), std::byte(0xff));
    const std::vector<T> none(std::size_t(count * each + 1), T(NAN));            // one more, since a null dx is not wanted
    Trained<T> r{none, none, std::vector<T>(w.size()), std::vector<T>(w.size(), T(0.5)), std::vector<T>(w.size())};
    const T* const mine = x.data() + first * each;
    const Index of_one = batch_norm_parts(dev, T(), pixels, c);
    if (by_few) {
      std::vector<T> parts(std::size_t(count * of_one));
      for (Index i = 0; i < count; ++i) batch_norm_measure(dev, 1, pixels, c, mine + i * each, parts.data() + i * of_one);
      batch_norm_settle(dev, spec, count, pixels, c, parts.data(), r.running.data(), r.batch.data());
    }
    batch_norm_clamp_forward(dev, spec, bounds, count, pixels, c, mine, w.data(), r.running.data(), r.batch.data(), r.y.data(), by_few ? NormBy::settled : NormBy::batch);
    batch_norm_clamp_backward(dev, bounds, count, pixels, c, mine, w.data(), r.batch.data(), dy.data() + first * each, r.dx.data(), r.dw.data());
    r.y.pop_back(), r.dx.pop_back();
    return r;
  }
  Trained<T> whole(int threads, Index of, bool by_few = false) const {
    Cpu dev(threads);
    dev.replica = {.count = of, .of = of};
    return train(dev, {.low = 0}, 0, n, by_few);
  }
  /// Of each of so many replicas.
  std::vector<Trained<T>> apart(int replicas, Index of, bool gathers, bool by_few = false) const {
    std::vector<Trained<T>> r{std::size_t(replicas)};
    lamina_test::on_replicas(replicas, n, of, gathers, [&](int rank, const Replica& replica, Index first, Index count) {
      Cpu dev(1 + rank % 2);
      dev.replica = replica;
      r[std::size_t(rank)] = train(dev, {.low = 0}, first, count, by_few);
    });
    return r;
  }
};

template <class T> void check_replicas(Index n, Index pixels, int c, int replicas, Index of) {
  INFO(replicas << " replicas of " << n << " samples of " << pixels << " pixels with " << c << " channels, " << sizeof(T) << " bytes, " << of << " shares");
  const Batch<T> batch{n, pixels, c};
  for (const bool by_few : {false, true}) {
    if (by_few && pixels < 64) continue;
    const Trained<T> whole = batch.whole(2, of);
    lamina_test::check_joined(batch.apart(replicas, of, true, by_few), whole);
  }
}
}  // namespace

TEST_CASE("batch norm: replicas that gather have the bits of one device with the whole batch") {
  for (const Index n : {1, 3, 8, 13, 32})
    for (const int replicas : {1, 2, 4, 8}) {
      check_replicas<float>(n, 1, 7, replicas, shares), check_replicas<float>(n, 16, 33, replicas, shares), check_replicas<float>(n, 256, 5, replicas, shares);
      check_replicas<double>(n, 16, 3, replicas, shares);
    }
  check_replicas<float>(5, 700, 19, 2, shares);           // two stretches of a sample
  for (const Index n : {3, 40}) check_replicas<float>(n, 9, 64, 16, 32), check_replicas<float>(n, 9, 5, 3, 12);
}

TEST_CASE("batch norm: replicas that do not gather have each a batch norm of its own") {
  const Batch<float> batch{16, 16, 5};
  const std::vector<Trained<float>> apart = batch.apart(2, shares, false);
  CHECK(apart[0].running != apart[1].running);
  for (int rank : {0, 1}) {
    Cpu dev(2);
    dev.replica = {.count = 4, .of = 4};
    CHECK(apart[std::size_t(rank)] == batch.train(dev, {.low = 0}, 8 * rank, 8, false));
  }
  // The one sample is in the last share: the first replica has nothing to learn from.
  const std::vector<Trained<float>> few = Batch<float>{1, 16, 5}.apart(2, shares, false);
  CHECK(few[0].running == std::vector<float>(2 * std::size_t(room(5)), 0.5f));
  CHECK(few[1].running != few[0].running);
}

TEST_CASE_TEMPLATE("batch norm: the moments of shares are those of all", T, float, double) {
  const Batch<T> batch{13, 16, 5};
  const Trained<T> r = batch.whole(2, shares);
  for (int k = 0; k < batch.c; ++k) {
    const Index n = batch.n * batch.pixels;
    double mean = 0, square = 0;
    for (Index i = 0; i < n; ++i) mean += double(batch.x[std::size_t(i * batch.c + k)]) / double(n);
    for (Index i = 0; i < n; ++i) square += std::pow(double(batch.x[std::size_t(i * batch.c + k)]) - mean, 2);
    const double allowed = sizeof(T) == 4 ? 1e-6 : 1e-14;
    CHECK(std::abs(double(r.batch[std::size_t(k)]) - mean) < allowed);
    CHECK(double(r.batch[std::size_t(room(batch.c) + k)]) == doctest::Approx(1 / std::sqrt(square / double(n) + 1e-5)).epsilon(allowed));
    CHECK(double(r.running[std::size_t(room(batch.c) + k)]) == doctest::Approx(0.9 * 0.5 + 0.1 * square / double(n - 1)).epsilon(allowed));
  }
}
