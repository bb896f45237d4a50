#include <lamina/core/initializer.hpp>

#include <doctest/doctest.h>

#include <vector>

using namespace lamina;

namespace {
struct Moments { double mean = 0, variance = 0, most = 0; };
Moments moments(Init kind, Index in, Index out) {
  constexpr Index n = 40'000;
  std::vector<float> w(n);
  Initializer{kind, Random(5, Stream::initialize)}.fill(w.data(), n, in, out, nullptr, 0);
  Moments m;
  for (float v : w) m.mean += v / double(n), m.most = std::max(m.most, double(std::abs(v)));
  for (float v : w) m.variance += (v - m.mean) * (v - m.mean) / n;
  return m;
}
}  // namespace

TEST_CASE("uniform initialisers stay in their bounds and reach them") {
  const std::pair<Init, double> bounds[] = {{Init::glorot_uniform, std::sqrt(6.0 / 400)}, {Init::he_uniform, std::sqrt(6.0 / 100)}, {Init::torch, std::sqrt(1.0 / 100)}};
  for (auto [kind, bound] : bounds) {
    const Moments m = moments(kind, 100, 300);
    CHECK(m.most <= float(bound));
    CHECK(m.most > 0.999 * bound);
    CHECK(std::abs(m.mean) < 4 * bound / std::sqrt(3.0 * 40'000));
    CHECK(m.variance == doctest::Approx(bound * bound / 3).epsilon(0.03));
  }
}

TEST_CASE("normal initialisers have their variance after the cut at two deviations") {
  const std::pair<Init, double> variances[] = {{Init::glorot_normal, 2.0 / 400}, {Init::he_normal, 2.0 / 100}};
  for (auto [kind, variance] : variances) {
    const Moments m = moments(kind, 100, 300);
    CHECK(m.variance == doctest::Approx(variance).epsilon(0.03));
    CHECK(m.most <= 2 * std::sqrt(variance) / 0.87962566103423978 * (1 + 1e-6));
    CHECK(m.most > 1.99 * std::sqrt(variance) / 0.87962566103423978);
  }
}

TEST_CASE("biases begin with 0, but for PyTorch's") {
  std::vector<float> w(8), b(4, 9.f), torch(4, 9.f);
  Initializer{Init::he_uniform, Random(5, Stream::initialize)}.fill(w.data(), 8, 25, 4, nullptr, 0);
  for (Init kind : {Init::glorot_uniform, Init::glorot_normal, Init::he_uniform, Init::he_normal}) {
    std::fill(b.begin(), b.end(), 0.f);          // the block of parameters is zero before anyone begins
    Initializer{kind, Random(5, Stream::initialize)}.fill(w.data(), 8, 25, 4, b.data(), 4);
    for (float v : b) CHECK(v == 0);
  }
  Initializer{Init::torch, Random(5, Stream::initialize)}.fill(w.data(), 8, 25, 4, torch.data(), 4);
  for (float v : torch) CHECK(std::abs(v) <= 0.2f);
  CHECK(torch[0] != torch[1]);
  CHECK(torch[0] != w[0]);                       // the biases do not repeat the weights
}

TEST_CASE("initialisers are a function of their random numbers") {
  std::vector<float> a(9), b(9), c(9);
  Initializer{Init::he_normal, Random(5, Stream::initialize, 1)}.fill(a.data(), 9, 4, 4, nullptr, 0);
  Initializer{Init::he_normal, Random(5, Stream::initialize, 1)}.fill(b.data(), 9, 4, 4, nullptr, 0);
  Initializer{Init::he_normal, Random(5, Stream::initialize, 2)}.fill(c.data(), 9, 4, 4, nullptr, 0);
  CHECK(a == b);
  CHECK(a != c);
}
