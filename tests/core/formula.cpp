#include <lamina/core/formula.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>

using namespace lamina;

namespace {
constexpr float infinity = std::numeric_limits<float>::infinity(), no_number = std::numeric_limits<float>::quiet_NaN();

/// The largest distance of f from g over [low, high], in units of 2^-24 of `scale(x, g(x))`.
template <class F, class G, class S> double worst(F f, G g, double low, double high, S scale) {
  double most = 0;
  for (int i = 0; i <= 300000; ++i) {
    const float x = float(low + (high - low) * i / 300000);
    const double y = g(double(x)), off = std::abs(f(x) - y) / scale(double(x), y) * 16777216;
    most = std::max(most, off >= 0 ? off : 1e30);            // a NaN is far off
  }
  return most;
}
double of_value(double, double y) { return std::abs(y) + 1e-37; }
double of_one(double, double) { return 1; }
}  // namespace

TEST_CASE("exp, expm1, tanh and the logistic function of floats, beside the standard library's of doubles") {
  const auto exp = [](float x) { return formula::exp(x); };
  const auto expm1 = [](float x) { return formula::expm1_below(x); };
  const auto tanh = [](float x) { return formula::tanh(x); };
  CHECK(worst(exp, [](double x) { return std::exp(x); }, -87.3, 88.72, of_value) < 2);
  CHECK(worst(exp, [](double x) { return std::exp(x); }, -1, 1, of_value) < 2);
  CHECK(worst(expm1, [](double x) { return std::expm1(x); }, -90, 0, of_value) < 2);
  CHECK(worst(expm1, [](double x) { return std::expm1(x); }, -1e-3, 0, of_value) < 2);
  CHECK(worst(tanh, [](double x) { return std::tanh(x); }, -20, 20, of_value) < 4);
  CHECK(worst(tanh, [](double x) { return std::tanh(x); }, -1e-3, 1e-3, of_value) < 4);
  CHECK(worst([](float x) { return formula::sigmoid(x); }, [](double x) { return 1 / (1 + std::exp(-x)); }, -80, 20, of_value) < 4);
}

TEST_CASE("the normal distribution of floats, beside the standard library's functions of doubles") {
  const auto integral = [](double x) { return 0.5 * std::erfc(-x / std::sqrt(2.)); };
  CHECK(worst([](float x) { return formula::normal(x).integral; }, integral, -12, 12, of_one) < 4);
  CHECK(worst([](float x) { return formula::normal(x).integral; }, integral, -4, 0, of_value) < 32);
  // x^2 / 2 is rounded before it is an exponent
  CHECK(worst([](float x) { return formula::normal(x).density; }, [](double x) { return std::exp(-x * x / 2) / std::sqrt(2 * 3.14159265358979323846); }, -9, 9,
              [](double x, double y) { return (x * x / 2 + 3) * y; }) < 2);
  CHECK(formula::normal(0.7).integral == doctest::Approx(integral(0.7)).epsilon(1e-15));
}

TEST_CASE("far out and beyond") {
  CHECK(formula::exp(-1e30f) == 0);
  CHECK(formula::exp(-infinity) == 0);
  CHECK(formula::exp(88.73f) == infinity);
  CHECK(formula::exp(infinity) == infinity);
  CHECK(formula::exp(-95.f) <= 1e-38f);                      // zero where small numbers are
  CHECK(formula::exp(0.f) == 1);
  CHECK(formula::expm1_below(-infinity) == -1);
  CHECK(formula::expm1_below(-0.f) == 0);
  CHECK(formula::expm1_below(3.f) == 0);
  CHECK(formula::expm1_below(3.) == 0);
  CHECK(formula::tanh(infinity) == 1);
  CHECK(formula::tanh(-infinity) == -1);
  CHECK(formula::tanh(1e-30f) == doctest::Approx(1e-30));
  CHECK(formula::sigmoid(-infinity) == 0);
  CHECK(formula::sigmoid(infinity) == 1);
  CHECK(formula::normal(-infinity).integral == 0);
  CHECK(formula::normal(infinity).integral == 1);
  CHECK(formula::normal(1e30f).density == 0);
}

TEST_CASE("a NaN comes out as one") {
  for (const float x : {no_number, -no_number}) {
    CHECK(std::isnan(formula::exp(x)));
    CHECK(std::isnan(formula::expm1_below(x)));
    CHECK(std::isnan(formula::tanh(x)));
    CHECK(std::isnan(formula::sigmoid(x)));
    CHECK(std::isnan(formula::normal(x).integral));
    CHECK(std::isnan(formula::normal(x).density));
  }
}
