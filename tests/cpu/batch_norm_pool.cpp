#include <lamina/cpu/batch_norm_pool.hpp>

#include <doctest/doctest.h>

#include "../support/integers.hpp"
#include "../support/norm_replicas.hpp"

using namespace lamina;
using lamina_test::fractions, lamina_test::largest_error;

namespace {
template <class T> struct Result {
  std::vector<T> y, inferred, dx, dw, running;
  bool operator==(const Result&) const = default;
};
template <class T> struct Data {
  Index n;
  Shape in;
  Window pool;
  Shape out = pool.over(in, in.c);
  std::vector<T> x = fractions<T>(n * size(in), 1), dy = fractions<T>(n * size(out), 2), w = fractions<T>(2 * room(in.c), 3), dw = fractions<T>(2 * room(in.c), 4), running = fractions<T>(2 * room(in.c), 5);

  Result<T> start() const {
    Result<T> r{std::vector<T>(dy.size(), T(NAN)), std::vector<T>(dy.size(), T(NAN)), std::vector<T>(x.size(), T(NAN)), dw, running};
    for (Index i = 0; i < in.c; ++i) r.running[std::size_t(room(in.c) + i)] += T(1.5);     // a variance is not negative
    return r;
  }
  static constexpr NormSpec spec{0.1, 1e-5, true};
  Result<T> as_one(Cpu dev) const {
    dev.reserve(std::size_t(batch_norm_relu_pool_arena(dev, T(), in, n)));
    Result<T> r = start();
    std::vector<T> batch(running.size());
    std::vector<std::uint8_t> codes(dy.size(), 77);
    batch_norm_relu_pool_forward(dev, spec, NormReluPool{pool}, in, out, n, x.data(), w.data(), r.running.data(), static_cast<T*>(nullptr), r.inferred.data(), nullptr, NormBy::running);
    batch_norm_relu_pool_forward(dev, spec, NormReluPool{pool}, in, out, n, x.data(), w.data(), r.running.data(), batch.data(), r.y.data(), codes.data(), NormBy::batch);
    batch_norm_relu_pool_backward(dev, NormReluPool{pool}, in, out, n, x.data(), w.data(), batch.data(), codes.data(), dy.data(), r.dx.data(), r.dw.data());
    return r;
  }
  Result<T> one_by_one(Cpu dev) const {
    const Index pixels = Index(in.h) * in.w;
    const Clamp relu{.low = 0};
    dev.reserve(std::size_t(batch_norm_arena(dev, T(), n, pixels, in.c)));
    Result<T> r = start();
    std::vector<T> batch(running.size()), full(x.size()), dfull(x.size());
    std::vector<std::uint8_t> codes(dy.size());
    batch_norm_clamp_forward(dev, spec, relu, n, pixels, in.c, x.data(), w.data(), r.running.data(), static_cast<T*>(nullptr), full.data(), NormBy::running);
    max_pool_forward(dev, pool, in, out, n, full.data(), r.inferred.data(), codes.data());
    batch_norm_clamp_forward(dev, spec, relu, n, pixels, in.c, x.data(), w.data(), r.running.data(), batch.data(), full.data(), NormBy::batch);
    max_pool_forward(dev, pool, in, out, n, full.data(), r.y.data(), codes.data());
    max_pool_backward(dev, pool, in, out, n, codes.data(), dy.data(), dfull.data());
    batch_norm_clamp_backward(dev, relu, n, pixels, in.c, x.data(), w.data(), batch.data(), dfull.data(), r.dx.data(), r.dw.data());
    return r;
  }
};

template <class T> void check(const Data<T>& data, double allowed) {
  INFO(data.n << " of " << text(data.in).s << ", " << sizeof(T) << " bytes");
  const Result<T> one = data.as_one(Cpu(1)), apart = data.one_by_one(Cpu(2));
  CHECK(largest_error(one.y, apart.y) < allowed);
  CHECK(largest_error(one.inferred, apart.inferred) < allowed);
  CHECK(largest_error(one.dx, apart.dx) < allowed);
  CHECK(largest_error(one.dw, apart.dw) < allowed);
  CHECK(one.running == apart.running);
  for (int threads : {2, 3, 8}) CHECK(data.as_one(Cpu(threads)) == one);
}
}  // namespace

TEST_CASE("batch norm, ReLU and max pool as one are what they are one by one, and the same bits for any number of threads") {
  check(Data<float>{3, {9, 7, 5}, {2, 2, 0}}, 2e-6);
  check(Data<float>{2, {6, 11, 70}, {3, 3, 0}}, 2e-6);
  check(Data<float>{5, {32, 32, 64}, {2, 2, 0}}, 2e-6);
  check(Data<float>{1, {8, 8, 16}, {2, 3, 0}}, 2e-6);
  check(Data<double>{3, {9, 7, 5}, {2, 2, 0}}, 1e-13);
}

TEST_CASE("batch norm, ReLU and max pool as one let a NaN through") {
  Data<float> data{2, {4, 4, 40}, {2, 2, 0}};
  data.x[37] = NAN;
  const Result<float> r = data.as_one(Cpu(2));
  for (std::size_t i = 0; i < r.y.size(); ++i) CHECK(std::isnan(r.y[i]) == (i % 40 == 37));
}

namespace {
/// What a step of training leaves.
struct Trained {
  std::vector<float> y, dx, dw, running, batch;
  std::vector<std::uint8_t> codes;
};
/// Of `count` samples of the data from the first on.
Trained train(const Data<float>& data, Cpu dev, Index first, Index count) {
  const NormReluPool kernel{data.pool};
  const Index in = size(data.in), out = size(data.out);
  const float* const x = data.x.data() + first * in;
  dev.reserve(std::size_t(batch_norm_relu_pool_arena(dev, float(), data.in, count)));
  std::fill_n(dev.arena(), dev.arena_bytes(), std::byte(0xff));
  const std::vector<float> none(std::size_t(count * in + 1), NAN);           // one more, since a null dx is not wanted
  Trained r{none, none, std::vector<float>(data.w.size()), data.start().running, std::vector<float>(data.w.size()), std::vector<std::uint8_t>(std::size_t(count * out))};
  batch_norm_relu_pool_forward(dev, data.spec, kernel, data.in, data.out, count, x, data.w.data(), r.running.data(), r.batch.data(), r.y.data(), r.codes.data(), NormBy::batch);
  batch_norm_relu_pool_backward(dev, kernel, data.in, data.out, count, x, data.w.data(), r.batch.data(), r.codes.data(), data.dy.data() + first * out, r.dx.data(), r.dw.data());
  r.y.resize(std::size_t(count * out)), r.dx.pop_back();
  return r;
}
void check_replicas(const Data<float>& data, int replicas) {
  INFO(replicas << " replicas of " << data.n << " of " << text(data.in).s);
  const Trained whole = train(data, Cpu(2), 0, data.n);
  std::vector<Trained> apart{std::size_t(replicas)};
  lamina_test::on_replicas(replicas, data.n, shares, true, [&](int rank, const Replica& replica, Index first, Index count) {
    Cpu dev(1 + rank % 2);
    dev.replica = replica;
    apart[std::size_t(rank)] = train(data, dev, first, count);
  });
  lamina_test::check_joined(apart, whole);
}
}  // namespace

TEST_CASE("batch norm, ReLU and max pool as one: replicas that gather have the bits of one device with the whole batch") {
  for (const Index n : {1, 3, 8, 13, 32})
    for (const int replicas : {1, 2, 4, 8})
      for (const Shape in : {Shape{1, 1, 7}, Shape{4, 4, 33}, Shape{16, 16, 5}}) check_replicas({n, in, {in.h > 1 ? 2 : 1, in.h > 1 ? 2 : 1, 0}}, replicas);
}

TEST_CASE("the arena is enough for the rows of windows, whatever the pool and the batch") {
  const Cpu dev(2);
  for (const Shape in : {Shape{3, 1, 5}, Shape{1000, 1, 5}, Shape{16, 16, 5}})
    for (const Index batch : {1, 21, 544})
      for (int rows = 1; rows <= in.h; rows += 1 + in.h / 40)
        for (const Index n : {Index(1), (batch + 1) / 2, batch})
          CHECK((1 + 2 * (2 * shares + detail::NormStretches{dev.replica.cut(n), rows, 0}.count())) * in.c * Index(sizeof(float)) <= batch_norm_relu_pool_arena(dev, 0.0f, in, batch));
}
