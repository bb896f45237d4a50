#include <doctest/doctest.h>
#include <lamina/train/clip.hpp>

#include <cmath>
#include <limits>
#include <vector>

#include "../support/golden.hpp"
#include "plain_device.hpp"

using namespace lamina;
using lamina_test::PlainDevice;

namespace {
PlainDevice dev;
const Extent tensors[] = {{0, 2}, {4, 2}};                     // two numbers between them belong to none
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();

std::vector<double> clipped(const Clip& how, std::vector<double> g) {
  clip(dev, how, g.data(), Index(g.size()), tensors);
  return g;
}
void near(const std::vector<double>& found, const std::vector<double>& expected) {
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) CHECK(found[i] == doctest::Approx(expected[i]).epsilon(1e-12));
}
}  // namespace

TEST_CASE("clipping, by hand") {
  const std::vector<double> g = {3, -4, 0, 0, 0, 12};           // norms 5 and 12, together 13
  near(clipped(Clip{}, g), g);
  near(clipped(Clip::value(3.5), g), {3, -3.5, 0, 0, 0, 3.5});
  near(clipped(Clip::norm(6), g), {3, -4, 0, 0, 0, 6});
  near(clipped(Clip::norm(2.5), g), {1.5, -2, 0, 0, 0, 2.5});
  near(clipped(Clip::global_norm(6.5), g), {1.5, -2, 0, 0, 0, 6});
  CHECK(clipped(Clip::global_norm(13), g) == g);                // to the bit where there is nothing to do
  CHECK(clipped(Clip::norm(12), g) == g);
  near(clipped(Clip::torch_global_norm(13), g), {3 * 13 / 13.000001, -4 * 13 / 13.000001, 0, 0, 0, 12 * 13 / 13.000001});
  CHECK(clipped(Clip::torch_global_norm(13.1), g) == g);
  CHECK(clipped(Clip::global_norm(1), std::vector<double>(6, 0.0)) == std::vector<double>(6, 0.0));
}

TEST_CASE("clipping tells the norm it met") {
  std::vector<float> g = {3, -4, 0, 0, 0, 12};
  CHECK(clip(dev, Clip::value(100), g.data(), 6) == 0);
  CHECK(clip(dev, Clip::norm(100), g.data(), 6, tensors) == 12);
  CHECK(clip(dev, Clip::global_norm(1), g.data(), 6) == 13);
  CHECK(clip(dev, Clip::global_norm(1), g.data(), 6) == doctest::Approx(1));
}

TEST_CASE("large gradients in float do not overflow their norm") {
  std::vector<float> g(6, 1e30f);
  CHECK(clip(dev, Clip::global_norm(1), g.data(), 6) == doctest::Approx(1e30 * std::sqrt(6.0)));
  for (float v : g) CHECK(v == doctest::Approx(1 / std::sqrt(6.0)));
}

TEST_CASE("gradients that are no numbers are never hidden") {
  for (const Clip& how : {Clip::norm(1), Clip::global_norm(1), Clip::torch_global_norm(1), Clip::value(1)}) {
    const std::vector<double> g = clipped(how, {1, not_a_number, 0, 0, 3, 4});
    CHECK(std::isnan(g[1]));
    if (how.kind != Clip::Kind::value) CHECK(std::isnan(g[0]));
  }
  CHECK(std::isnan(clipped(Clip::global_norm(1), {1, infinity, 0, 0, 3, 4})[1]));
  std::vector<double> g = {1, not_a_number, 0, 0, 3, 4};
  CHECK(std::isnan(clip(dev, Clip::norm(1), g.data(), 6, tensors)));
}

TEST_CASE("a limit or a list that makes no sense is refused") {
  std::vector<float> g(6, 1.0f);
  for (double limit : {0.0, -1.0, not_a_number}) CHECK_THROWS_AS(clip(dev, Clip::value(limit), g.data(), 6), Error);
  CHECK_THROWS_AS(clip(dev, Clip::norm(1), g.data(), 6), Error);
}

TEST_CASE("clip_grad_norm_ of PyTorch (golden/optimizers_torch)") {
  const auto file = lamina_test::golden_file("optimizers_torch.safetensors");
  if (!file) return;
  std::vector<double> g = file->at("clip/g1").as<double>(), second = file->at("clip/g2").as<double>();
  std::vector<double> after = file->at("clip/g1_after").as<double>(), second_after = file->at("clip/g2_after").as<double>();
  g.insert(g.end(), second.begin(), second.end());
  after.insert(after.end(), second_after.begin(), second_after.end());
  const double norm = clip(dev, Clip::torch_global_norm(1.5), g.data(), Index(g.size()));
  CHECK(std::abs(norm - file->at("clip/norm").as<double>().at(0)) <= 1e-13 * norm);
  for (std::size_t i = 0; i < g.size(); ++i) CHECK(std::abs(g[i] - after[i]) <= 1e-13);
}
