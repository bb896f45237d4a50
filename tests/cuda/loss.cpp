#include "../support/gpu.hpp"

#include <lamina/cuda/loss.hpp>
#include <lamina/nn/loss.hpp>

#include "../support/check_layer.hpp"
#include "../support/integers.hpp"

using namespace lamina;
using lamina_test::Gpu;

namespace {
template <class T> using Guarded = lamina_test::detail::Guarded<Gpu, T>;
template <class T> struct On : Guarded<T> {
  template <class V> On(Gpu& dev, const std::vector<V>& v) : Guarded<T>(dev, Index(v.size())) { this->set(std::vector<T>(v.begin(), v.end())); }
};
struct Count { double losses[shares] = {}; std::int64_t samples = 0, correct = 0; };
struct Options { Index n, c, total; double smoothing; bool weighted, soft; };

Index largest(const double* p, Index c) { return std::max_element(p, p + c) - p; }

/// Against the loss that any device has by parallel_for, here in double on the Cpu. `allowed` is the largest error, of the largest value.
template <class T> void check_loss(const Options& o, double allowed) {
  INFO("N " << o.n << ", C " << o.c << ", smoothing " << o.smoothing << ", weighted " << o.weighted << ", soft " << o.soft << ", " << sizeof(T) << " bytes");
  using M = Master<T>;
  const std::size_t n = std::size_t(o.n), c = std::size_t(o.c);
  std::vector<double> y = lamina_test::fractions<double>(o.n * o.c, 1), target = lamina_test::fractions<double>(o.n * o.c, 2), weights;
  std::vector<std::int32_t> label(n);
  const Random random(1, Stream::test, 3);
  for (std::size_t i = 0; i < n; ++i) label[i] = std::int32_t(random.below(Index(i), o.c));
  for (double& v : y) v = double(T(float(9 * v)));
  for (double& v : target) v = double(T(float(std::abs(v))));
  if (o.weighted) for (std::size_t k = 0; k < c; ++k) weights.push_back(0.25 * double(1 + k % 5));
  if (c > 2) y[c - 1] = y[0] = y[1] = 10;                              // of equals the first is the answer

  Cpu cpu;
  std::vector<double> loss(n), dy(n * c), norm(1);
  for (std::size_t i = 0; i < n && o.weighted; ++i) norm[0] += weights[std::size_t(label[i])] * double(o.total) / double(o.n);
  CrossEntropy<> reference{.smoothing = o.smoothing, .class_weights = weights};
  reference.evaluate(cpu, LossStep<double>{o.n, o.c, o.total, y.data(), o.soft ? nullptr : label.data(), o.soft ? target.data() : nullptr, weights.data(), loss.data(), dy.data(), norm.data()});
  const Shares cut{o.n};
  Count expected{.losses = {3, 4}, .samples = 100, .correct = 50};
  for (std::size_t i = 0, share = 0; i < n; ++i) {
    while (cut.begin(Index(share) + 1) <= Index(i)) ++share;
    expected.losses[share] += loss[i];
    expected.correct += largest(y.data() + i * c, o.c) == (o.soft ? largest(target.data() + i * c, o.c) : Index(label[i]));
  }

  Gpu dev;
  dev.reserve(std::size_t(cross_entropy_arena(dev, T(), o.n, o.c)));
  const On<T> on_y(dev, y);
  const On<std::int32_t> on_label(dev, label);
  const On<M> on_weights(dev, weights), on_target(dev, target), on_norm(dev, norm);
  Guarded<M> on_loss(dev, o.n);
  Guarded<T> on_dy(dev, o.n * o.c);
  Buffer<Gpu, Count> totals(dev, 1);
  on_loss.fill(M(NAN)), on_dy.fill(T(NAN));
  const Count before{.losses = {3, 4}, .samples = 100, .correct = 50};
  dev.upload(totals.data(), &before, sizeof before);
  // Labels are there beside soft targets too, and do not count.
  const LossStep<T> step{o.n, o.c, o.total, on_y.data(), on_label.data(), o.soft ? on_target.data() : nullptr, on_weights.data(), on_loss.data(), on_dy.data(), on_norm.data()};
  cross_entropy(dev, step, o.smoothing, o.weighted, totals.data());
  Count found;
  dev.download(&found, totals.data(), sizeof found);
  CHECK(found.samples == 100 + o.n);
  CHECK(found.correct == expected.correct);
  for (std::size_t share = 0; share < shares; ++share) CHECK(std::abs(found.losses[share] - expected.losses[share]) <= std::max(1e-6, 1e-5 * std::abs(expected.losses[share])));
  CHECK(lamina_test::largest_error(on_loss.get(), loss) <= 1e-5);
  CHECK(lamina_test::largest_error(on_dy.get(), dy) <= allowed);
}
template <class T> void check_all(Index n, Index c, double allowed) {
  for (const bool soft : {false, true})
    for (const bool weighted : {false, true}) check_loss<T>({n, c, n + 3, soft ? 0.1 : 0, weighted, soft}, allowed);
  check_loss<T>({n, c, n, 0.2, false, false}, allowed);
}
}  // namespace

TEST_CASE("cross-entropy") {
  for (const Index c : {2, 10, 33}) {
    check_all<double>(5, c, 1e-12);
    check_all<float>(7, c, 1e-5);
    check_all<bf16>(37, c, 4e-3);                                      // of bf16 the gradient has eight bits
  }
}
TEST_CASE("cross-entropy of many classes") {
  check_all<float>(3, 1001, 1e-5);
  check_all<double>(1, 300, 1e-12);
}
TEST_CASE("cross-entropy of a batch for several blocks") {
  CHECK(detail::CrossEntropyGrid(512, 256, 10).blocks == 1);
  CHECK(detail::CrossEntropyGrid(512, 50, 300).blocks == 4);
  check_all<float>(50, 300, 1e-5);
  check_loss<bf16>({1900, 10, 1900, 0, true, false}, 4e-3);
}
TEST_CASE("a batch that weighs nothing has no loss and no gradient") {
  Gpu dev;
  dev.reserve(std::size_t(cross_entropy_arena(dev, 0.0f, 2, 3)));
  const On<float> y(dev, std::vector<float>{1, 2, 3, 4, 5, 6}), weights(dev, std::vector<float>{1, 0, 1}), norm(dev, std::vector<float>{0});
  const On<std::int32_t> label(dev, std::vector<std::int32_t>{1, 1});
  Guarded<float> loss(dev, 2), dy(dev, 6);
  loss.fill(NAN), dy.fill(NAN);
  Buffer<Gpu, Count> totals(dev, 1);
  cross_entropy(dev, LossStep<float>{2, 3, 2, y.data(), label.data(), nullptr, weights.data(), loss.data(), dy.data(), norm.data()}, 0, true, totals.data());
  CHECK(loss.get() == std::vector<float>(2));
  CHECK(dy.get() == std::vector<float>(6));
}
