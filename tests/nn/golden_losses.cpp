// Losses against PyTorch: whatever cases golden/losses.safetensors lists, in double and in float.
#include <lamina/cpu/cpu.hpp>
#include <lamina/nn/loss.hpp>

#include "../support/golden.hpp"
#include "../support/torch_order.hpp"

using namespace lamina;
using lamina_test::distance;

namespace {
template <class T, class Loss> void check(const SafeTensors& file, const std::string& name, const Loss& loss, const char* scores, const char* gradient, bool labels) {
  INFO(name);
  const auto& y = file.at(name + "/" + scores);
  const Index n = y.shape[0], c = y.shape[1];
  const auto x = y.as<T>();
  const auto label = labels ? file.at(name + "/labels").as<std::int32_t>() : std::vector<std::int32_t>();
  const auto target = labels ? std::vector<T>() : file.at(name + "/targets").as<T>();
  const std::vector<double> given = loss.constants(c);
  const std::vector<T> constants(given.begin(), given.end());
  std::vector<T> losses(static_cast<std::size_t>(n)), dy(x.size());
  T norm = 0;
  for (std::size_t i = 0; i < label.size() && !constants.empty(); ++i) norm += constants[std::size_t(label[i])];
  Cpu dev;
  loss.evaluate(dev, LossStep<T>{n, c, n, x.data(), labels ? label.data() : nullptr, labels ? nullptr : target.data(), constants.data(), losses.data(), dy.data(), &norm});
  double mean = 0;
  for (T l : losses) mean += double(l) / double(n);
  constexpr double tolerance = std::is_same_v<T, double> ? 1e-12 : 1e-6;
  CHECK(distance(std::vector{mean}, file.at(name + "/loss").as<double>()) <= tolerance);
  CHECK(distance(dy, file.at(name + "/" + gradient).as<double>()) <= tolerance);
}
}  // namespace

TEST_CASE_TEMPLATE("losses are PyTorch's", T, double, float) {
  const auto file = lamina_test::golden_file("losses.safetensors");
  if (!file) return;
  for (const auto& option : lamina_test::cases(*file)) {
    const std::string name = option.at("name"), op = option.at("op");
    if (op == "mse") {
      check<T>(*file, name, MeanSquaredError{}, "x", "dx", false);
    } else {
      REQUIRE(op == "cross_entropy");
      CrossEntropy<> loss{.smoothing = option.at("label_smoothing")};
      if (option.at("class_weights").get<bool>()) loss.class_weights = file->at(name + "/class_weights").as<double>();
      check<T>(*file, name, loss, "logits", "dlogits", !option.at("soft_targets").get<bool>());
    }
  }
}
