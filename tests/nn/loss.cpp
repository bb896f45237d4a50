#include <lamina/cpu/cpu.hpp>
#include <lamina/nn/loss.hpp>

#include <doctest/doctest.h>

using namespace lamina;

namespace {
/// The scores of N samples of C numbers, with targets of either kind.
struct Scores {
  static constexpr Index n = 5, c = 7;
  std::vector<double> y = std::vector<double>(n * c), target = y;
  std::int32_t label[n] = {3, 0, 6, 3, 1};
  Scores() {
    const Random random(3, Stream::test);
    for (Index i = 0; i < n; ++i) {
      double sum = 0;
      for (Index k = i * c; k < (i + 1) * c; ++k) y[std::size_t(k)] = random.uniform(k, -2, 2), sum += target[std::size_t(k)] = random.at(1).uniform(k, 0, 1);
      for (Index k = i * c; k < (i + 1) * c; ++k) target[std::size_t(k)] /= sum;
    }
  }
  struct Result { std::vector<double> losses, dy; double mean; };
  template <class Loss> Result evaluate(const Loss& loss, bool soft, Index total = n, Index first = 0, Index count = n) const {
    Cpu dev;
    const std::vector<double> constants = loss.constants(c);
    Result r{std::vector<double>(std::size_t(count), NAN), std::vector<double>(std::size_t(count * c), NAN), 0};
    double norm = 0;
    for (Index i = first; i < first + count && !constants.empty(); ++i) norm += constants[std::size_t(label[i])] * double(total) / double(count);
    loss.evaluate(dev, LossStep<double>{count, c, total, y.data() + first * c, soft ? nullptr : label + first, soft ? target.data() + first * c : nullptr, constants.data(),
                                        r.losses.data(), r.dy.data(), &norm});
    for (double l : r.losses) r.mean += l / double(total);
    return r;
  }
};

template <class Loss> void check_gradient(const Loss& loss, bool soft) {
  Scores s;
  const auto found = s.evaluate(loss, soft);
  double worst = 0;
  for (std::size_t i = 0; i < s.y.size(); ++i) {
    constexpr double eps = 1e-6;
    const double v = s.y[i];
    s.y[i] = v + eps;
    const double up = s.evaluate(loss, soft).mean;
    s.y[i] = v - eps;
    const double down = s.evaluate(loss, soft).mean;
    s.y[i] = v;
    const double error = std::abs((up - down) / (2 * eps) - found.dy[i]);
    worst = error <= worst ? worst : error;
  }
  CHECK(worst < 1e-8);
}
}  // namespace

TEST_CASE("cross-entropy: gradients") {
  const std::vector<double> weights = {1, 2, 0.5, 3, 0.1, 1, 0.7};
  for (bool soft : {false, true}) {
    check_gradient(CrossEntropy<>{}, soft);
    check_gradient(CrossEntropy<7>{.smoothing = 0.1}, soft);
    check_gradient(CrossEntropy<>{.class_weights = weights}, soft);
    check_gradient(CrossEntropy<>{.smoothing = 0.2, .class_weights = weights}, soft);
  }
}

TEST_CASE("mean squared error: gradients") { check_gradient(MeanSquaredError{}, false), check_gradient(MeanSquaredError{}, true); }

TEST_CASE("cross-entropy, by hand") {
  Scores s;
  for (double& y : s.y) y = 1;
  CHECK(s.evaluate(CrossEntropy<>{}, false).mean == doctest::Approx(std::log(7.0)).epsilon(1e-14));    // every class as likely
  for (Index i = 0; i < s.n; ++i) s.y[std::size_t(i * s.c + s.label[i])] = 801;                        // sure, and right
  CHECK(s.evaluate(CrossEntropy<>{}, false).mean == 0);
  for (Index i = 0; i < s.n; ++i) s.y[std::size_t(i * s.c + s.label[i])] = -799;                       // sure, and wrong
  CHECK(s.evaluate(CrossEntropy<>{}, false).mean == doctest::Approx(800 + std::log(6.0)).epsilon(1e-14));
}

TEST_CASE("labels are one-hot targets") {
  Scores s;
  std::fill(s.target.begin(), s.target.end(), 0.0);
  for (Index i = 0; i < s.n; ++i) s.target[std::size_t(i * s.c + s.label[i])] = 1;
  for (double smoothing : {0.0, 0.3}) {
    const CrossEntropy<> loss{.smoothing = smoothing};
    CHECK(s.evaluate(loss, false).dy == s.evaluate(loss, true).dy);
    CHECK(s.evaluate(loss, false).losses == s.evaluate(loss, true).losses);
  }
  CHECK(s.evaluate(MeanSquaredError{}, false).dy == s.evaluate(MeanSquaredError{}, true).dy);
}

TEST_CASE("the parts of a batch add up to its mean") {
  const Scores s;
  const auto parts = [&](const auto& loss, bool soft) {
    const auto whole = s.evaluate(loss, soft), head = s.evaluate(loss, soft, s.n, 0, 2), tail = s.evaluate(loss, soft, s.n, 2, 3);
    CHECK(head.mean + tail.mean == doctest::Approx(whole.mean).epsilon(1e-14));
    for (std::size_t i = 0; i < whole.dy.size(); ++i) REQUIRE((i < 14 ? head.dy[i] : tail.dy[i - 14]) == doctest::Approx(whole.dy[i]).epsilon(1e-13));
  };
  for (bool soft : {false, true}) parts(CrossEntropy<>{.smoothing = 0.1}, soft), parts(MeanSquaredError{}, soft);
  parts(CrossEntropy<>{.class_weights = {1, 2, 0.5, 3, 0.1, 1, 0.7}}, true);
}

TEST_CASE("class weights over labels: each part of a batch takes its own weighted mean") {
  const Scores s;
  const CrossEntropy<> loss{.class_weights = {1, 2, 0.5, 3, 0.1, 1, 0.7}};
  const auto part = s.evaluate(loss, false, s.n, 0, 2), alone = s.evaluate(loss, false, 2, 0, 2);
  CHECK(part.mean == doctest::Approx(alone.mean * 2 / 5).epsilon(1e-14));
  for (std::size_t i = 0; i < part.dy.size(); ++i) REQUIRE(part.dy[i] == doctest::Approx(alone.dy[i] * 2 / 5).epsilon(1e-13));
}

TEST_CASE("a batch whose labels all weigh nothing has no loss and no gradient") {
  for (double smoothing : {0.0, 0.1}) {
    const auto none = Scores().evaluate(CrossEntropy<>{.smoothing = smoothing, .class_weights = {0, 1, 1, 0, 1, 1, 1}}, false, Scores::n, 0, 2);   // labels 3 and 0
    CHECK(none.losses == std::vector<double>(2, 0));
    CHECK(none.dy == std::vector<double>(14, 0));
  }
}

TEST_CASE("what makes no sense is an error") {
  CHECK_THROWS_WITH_AS(CrossEntropy<>{.smoothing = 1.5}.constants(7), "CrossEntropy: smoothing is 1.5; it is a share of the target, 0 to 1", Error);
  CHECK_THROWS_AS(CrossEntropy<>{.smoothing = std::nan("")}.constants(7), Error);
  CHECK_THROWS_WITH_AS((CrossEntropy<>{.class_weights = {1, 2}}.constants(7)),
                       "CrossEntropy: 2 class weights for 7 classes; give one for each class, in the order of the labels", Error);
}

TEST_CASE("what losses take") {
  static_assert(CrossEntropy<>::accepts({10}) == Shape{10} && CrossEntropy<38>::accepts({10}) == Shape{38} && CrossEntropy<>::accepts({2, 2, 5}) == Shape{20});
  static_assert(MeanSquaredError::accepts({2, 2, 5}) == Shape{2, 2, 5});
}
