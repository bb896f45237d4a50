#include <lamina/cpu/batch_norm.hpp>
#include <lamina/nn/batch_norm.hpp>

#include "../support/check_layer.hpp"

using namespace lamina;
using lamina_test::check_layer;

TEST_CASE("batch norm") {
  check_layer<BatchNorm>({5, 3, 6}, {.training_differs = true});
  check_layer<BatchNorm>({4, 7, 33}, {.training_differs = true});
  check_layer<BatchNorm>({1, 2, 1}, {.training_differs = true});
  check_layer<BatchNorm>({40, 30, 2}, {.training_differs = true});   // more pixels than fit one stretch
}

TEST_CASE("batch norm as Keras has it") {
  check_layer<KerasBatchNorm>({5, 3, 6}, {.training_differs = true});
  check_layer<KerasBatchNorm>({2, 2, 17}, {.training_differs = true});
}

namespace {
/// Runs x (N, 1) through a batch norm of one channel with gamma 2 and beta 1.
struct OneChannel {
  double w[32] = {2}, running[32] = {10}, batch[32] = {};
  OneChannel() { w[room(1)] = 1, running[room(1)] = 4; }
  std::vector<double> run(NormSpec spec, std::vector<double> x, bool training) {
    Cpu dev;
    dev.reserve(std::size_t(batch_norm_arena(dev, double(), 1, Index(x.size()), 1)));
    std::vector<double> y(x.size());
    batch_norm_forward(dev, spec, 1, Index(x.size()), 1, x.data(), w, running, training ? batch : nullptr, y.data(), training ? NormBy::batch : NormBy::running);
    return y;
  }
};
}  // namespace

TEST_CASE("running values, by hand") {                  // of 1, 2, 3, 6: mean 3, variance 14 / 4 or, unbiased, 14 / 3
  OneChannel torch;
  torch.run(BatchNorm::spec, {1, 2, 3, 6}, true);
  CHECK(torch.running[0] == doctest::Approx(0.9 * 10 + 0.1 * 3).epsilon(1e-14));
  CHECK(torch.running[room(1)] == doctest::Approx(0.9 * 4 + 0.1 * 14 / 3).epsilon(1e-14));
  CHECK(torch.batch[0] == 3);
  CHECK(torch.batch[room(1)] == doctest::Approx(1 / std::sqrt(3.5 + 1e-5)).epsilon(1e-14));

  OneChannel keras;
  keras.run(KerasBatchNorm::spec, {1, 2, 3, 6}, true);
  CHECK(keras.running[0] == doctest::Approx(0.99 * 10 + 0.01 * 3).epsilon(1e-14));
  CHECK(keras.running[room(1)] == doctest::Approx(0.99 * 4 + 0.01 * 3.5).epsilon(1e-14));
}

TEST_CASE("a batch of one pixel has no unbiased variance") {
  OneChannel norm;
  const auto y = norm.run(BatchNorm::spec, {5}, true);
  CHECK(y[0] == 1);
  CHECK(norm.running[room(1)] == doctest::Approx(0.9 * 4).epsilon(1e-14));
}

TEST_CASE("inference takes the running values and leaves them alone") {
  OneChannel norm;
  const auto y = norm.run(BatchNorm::spec, {10, 12}, false);
  CHECK(y[0] == 1);
  CHECK(y[1] == doctest::Approx(1 + 2 * 2 / std::sqrt(4 + 1e-5)).epsilon(1e-14));
  CHECK(norm.running[0] == 10);
  CHECK(norm.running[room(1)] == 4);
}

TEST_CASE("a large mean does not hide a small variance") {   // E(x^2) - E(x)^2 in float would have no digit left
  Cpu dev;
  dev.reserve(std::size_t(batch_norm_arena(dev, float(), 1, 4, 1)));
  float w[32] = {1}, running[32] = {}, batch[32] = {}, y[4];
  const float x[4] = {4096, 4097, 4098, 4099};
  batch_norm_forward(dev, BatchNorm::spec, 1, 4, 1, x, w, running, batch, y, NormBy::batch);
  CHECK(y[3] == doctest::Approx(1.5 / std::sqrt(1.25 + 1e-5)).epsilon(1e-6));
}

TEST_CASE("what a batch norm begins with") {
  float w[32] = {}, state[32] = {};
  BatchNorm::init({3}, {}, w, state);
  for (int c = 0; c < 3; ++c) {
    CHECK(std::pair{w[c], w[16 + c]} == std::pair{1.f, 0.f});           // gamma, beta
    CHECK(std::pair{state[c], state[16 + c]} == std::pair{0.f, 1.f});   // mean, variance
  }
  static_assert(BatchNorm::parameters({5, 4, 3}).count() == 6 && BatchNorm::state({5, 4, 3}).count() == 6);
}
