// Layers where Keras means something else than PyTorch: padding "same", average pools that leave padding out, its batch norm.
#include <lamina/cpu/batch_norm.hpp>
#include <lamina/cpu/conv.hpp>
#include <lamina/cpu/pool.hpp>
#include <lamina/nn/batch_norm.hpp>

#include "../support/golden.hpp"
#include "../support/torch_order.hpp"

using namespace lamina;
using lamina_test::distance;

namespace {
constexpr double tolerance = 1e-5;

template <class T> void check_window(const SafeTensors& file, const std::string& name, const nlohmann::json& option) {
  const std::string op = option.at("op");
  const auto& xs = file.at(name + "/x").shape;
  const Index n = xs[0];
  const Shape in{int(xs[1]), int(xs[2]), int(xs[3])};
  const Window v{option.at(op == "conv" ? "kernel" : "window"), option.at("stride"), same};
  const auto& ys = file.at(name + "/y").shape;
  const Shape out = v.over(in, int(ys[3]));
  CHECK(out == Shape(int(ys[1]), int(ys[2]), int(ys[3])));
  const auto x = file.at(name + "/x").as<T>();
  std::vector<T> y(std::size_t(n * size(out)));
  Cpu dev;
  if (op == "conv") {
    const auto w = file.at(name + "/kernel_hwio").as<T>(), b = file.at(name + "/bias").as<T>();
    dev.reserve(std::size_t(conv_arena(dev, Way<0>(), T(), ConvSpec{v}, in, out, n)));
    conv_forward(dev, Way<0>(), ConvSpec{v}, in, out, n, x.data(), w.data(), b.data(), y.data());
  } else if (op == "max_pool") {
    max_pool_forward(dev, v, in, out, n, x.data(), y.data(), nullptr);
  } else {
    REQUIRE(op == "avg_pool");
    avg_pool_forward(dev, v, false, in, out, n, x.data(), y.data());
  }
  CHECK(distance(y, file.at(name + "/y").as<double>()) <= tolerance);
}

template <class T> void check_batch_norm(const SafeTensors& file, const std::string& name, const nlohmann::json& option) {
  CHECK(KerasBatchNorm::spec.momentum == doctest::Approx(1 - option.at("momentum_of_old").get<double>()));
  CHECK(KerasBatchNorm::spec.epsilon == doctest::Approx(option.at("epsilon").get<double>()));
  const auto& xs = file.at(name + "/x").shape;
  const int c = int(xs[3]);
  const Index n = xs[0] * xs[1] * xs[2];
  const auto two = [&](const std::string& first, const std::string& second) {
    auto a = file.at(name + "/" + first).as<T>(), b = file.at(name + "/" + second).as<T>();
    a.resize(std::size_t(room(c))), a.insert(a.end(), b.begin(), b.end()), a.resize(std::size_t(2 * room(c)));
    return a;
  };
  const auto x = file.at(name + "/x").as<T>(), w = two("gamma", "beta");
  auto running = two("mean", "variance");
  std::vector<T> y(x.size()), batch(w.size());
  Cpu dev;
  dev.reserve(std::size_t(batch_norm_arena(dev, T(), 1, n, c)));
  batch_norm_forward(dev, KerasBatchNorm::spec, 1, n, c, x.data(), w.data(), running.data(), batch.data(), y.data(), NormBy::batch);
  CHECK(distance(y, file.at(name + "/y_train").as<double>()) <= tolerance);
  CHECK(distance(running, [&] { auto v = two("mean_after", "variance_after"); return std::vector<double>(v.begin(), v.end()); }()) <= tolerance);
  batch_norm_forward(dev, KerasBatchNorm::spec, 1, n, c, x.data(), w.data(), running.data(), batch.data(), y.data(), NormBy::running);   // recorded after the training pass
  CHECK(distance(y, file.at(name + "/y_eval").as<double>()) <= tolerance);
}
}  // namespace

TEST_CASE_TEMPLATE("layers are Keras's", T, double, float) {
  const auto file = lamina_test::golden_file("layers_keras.safetensors");
  if (!file) return;
  for (const auto& option : lamina_test::cases(*file)) {
    const std::string name = option.at("name"), op = option.at("op");
    INFO(name);
    if (op == "train") continue;                       // golden_networks.cpp
    if (op == "batch_norm") check_batch_norm<T>(*file, name, option);
    else check_window<T>(*file, name, option);
  }
}
