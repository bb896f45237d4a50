// Layers against PyTorch: whatever cases golden/layers.safetensors lists, in double and in float.
#include <lamina/cpu/batch_norm.hpp>
#include <lamina/cpu/conv.hpp>
#include <lamina/cpu/dense.hpp>
#include <lamina/cpu/pool.hpp>
#include <lamina/nn/pointwise.hpp>
#include <lamina/nn/pool.hpp>

#include "../support/golden.hpp"
#include "../support/torch_order.hpp"

using namespace lamina;
using lamina_test::distance, lamina_test::from_oihw;

namespace {
template <class T> struct Case {
  const SafeTensors& file;
  const nlohmann::json& option;
  std::string name = option.at("name");
  double tolerance = std::is_same_v<T, double> ? 1e-11 : 2e-5;

  const SafeTensor& tensor(const std::string& what) const { return file.at(name + "/" + what); }
  std::vector<T> read(const std::string& what) const { return tensor(what).template as<T>(); }
  std::vector<double> expected(const std::string& what) const { return tensor(what).template as<double>(); }
  void check(const char* what, const std::vector<T>& found) const {
    INFO(name << "/" << what);
    CHECK(distance(found, expected(what)) <= tolerance);
  }
  /// A gradient of a weight in PyTorch's order.
  void check_oihw(const char* what, const std::vector<T>& found) const {
    INFO(name << "/" << what);
    CHECK(distance(found, from_oihw(expected(what), tensor(what).shape)) <= tolerance);
  }
};
Shape sample(const std::vector<Index>& s) { return s.size() == 4 ? Shape(int(s[1]), int(s[2]), int(s[3])) : Shape(int(s[1])); }

template <class T> void check_conv(const Case<T>& c) {
  const auto xs = c.tensor("x").shape;
  const Index n = xs[0];
  const Shape in = sample(xs);
  const ConvSpec spec{{c.option.at("kernel"), c.option.at("stride"), c.option.at("padding")}, c.option.at("groups")};
  const Shape out = spec.window.over(in, c.option.at("filters"));
  const bool bias = c.option.at("bias");
  const auto x = c.read("x"), dy = c.read("dy"), w = from_oihw(c.read("weight"), c.tensor("weight").shape), b = bias ? c.read("bias") : std::vector<T>();
  std::vector<T> y(dy.size()), dx(x.size()), dw(w.size()), db(b.size());
  Cpu dev;
  dev.reserve(std::size_t(conv_arena(dev, Way<0>(), T(), spec, in, out, n)));
  conv_forward(dev, Way<0>(), spec, in, out, n, x.data(), w.data(), bias ? b.data() : nullptr, y.data());
  conv_backward(dev, Way<0>(), spec, in, out, n, x.data(), w.data(), dy.data(), dx.data(), dw.data(), bias ? db.data() : nullptr);
  c.check("y", y), c.check("dx", dx), c.check_oihw("dweight", dw);
  if (bias) c.check("dbias", db);
}

template <class T> void check_dense(const Case<T>& c) {
  const auto xs = c.tensor("x").shape;
  const Index n = xs[0], in = xs[1], out = c.option.at("units");
  const bool bias = c.option.at("bias");
  const auto x = c.read("x"), dy = c.read("dy"), w = from_oihw(c.read("weight"), c.tensor("weight").shape), b = bias ? c.read("bias") : std::vector<T>();
  std::vector<T> y(dy.size()), dx(x.size()), dw(w.size()), db(b.size());
  Cpu dev;
  dev.reserve(std::size_t(dense_arena(dev, Way<0>(), T(), n, in, out)));
  dense_forward(dev, Way<0>(), n, in, out, x.data(), w.data(), bias ? b.data() : nullptr, y.data());
  dense_backward(dev, Way<0>(), n, in, out, x.data(), w.data(), dy.data(), dx.data(), dw.data(), bias ? db.data() : nullptr);
  c.check("y", y), c.check("dx", dx), c.check_oihw("dweight", dw);
  if (bias) c.check("dbias", db);
}

template <class T> void check_pool(const Case<T>& c, bool largest) {
  const auto xs = c.tensor("x").shape;
  const Index n = xs[0];
  const Shape in = sample(xs);
  const Window v{c.option.at("window"), c.option.at("stride"), c.option.at("padding")};
  const Shape out = v.over(in, in.c);
  const bool count_padding = c.option.value("counts_padding", true);
  const auto x = c.read("x"), dy = c.read("dy");
  std::vector<T> y(dy.size()), dx(x.size());
  std::vector<std::uint8_t> codes(dy.size());
  Cpu dev;
  if (largest) {
    max_pool_forward(dev, v, in, out, n, x.data(), y.data(), codes.data());
    max_pool_backward(dev, v, in, out, n, codes.data(), dy.data(), dx.data());
  } else {
    avg_pool_forward(dev, v, count_padding, in, out, n, x.data(), y.data());
    avg_pool_backward(dev, v, count_padding, in, out, n, dy.data(), dx.data());
  }
  c.check("y", y), c.check("dx", dx);
}

template <class T> void check_batch_norm(const Case<T>& c) {
  const auto xs = c.tensor("x").shape;
  const Shape in = sample(xs);
  const Index n = xs[0] * in.h * in.w, apart = room(in.c);
  const NormSpec spec{c.option.at("momentum_of_new"), c.option.at("epsilon"), true};
  const bool training = c.option.at("training");
  const auto two = [&](const std::string& first, const std::string& second) {        // one after the other, each with its room
    auto a = c.read(first), b = c.read(second);
    a.resize(std::size_t(apart)), a.insert(a.end(), b.begin(), b.end()), a.resize(std::size_t(2 * apart));
    return a;
  };
  const auto part = [&](const std::vector<T>& v, Index at) { return std::vector<T>(v.begin() + at, v.begin() + at + in.c); };
  const auto x = c.read("x"), dy = c.read("dy"), w = two("weight", "bias");
  auto running = two("before.running_mean", "before.running_var");
  std::vector<T> y(x.size()), dx(x.size()), dw(w.size()), batch(w.size());
  Cpu dev;
  dev.reserve(std::size_t(batch_norm_arena(dev, T(), 1, n, in.c)));
  batch_norm_forward(dev, spec, 1, n, in.c, x.data(), w.data(), running.data(), batch.data(), y.data(), training ? NormBy::batch : NormBy::running);
  c.check("y", y), c.check("after.running_mean", part(running, 0)), c.check("after.running_var", part(running, apart));
  if (!training) return;                                                              // nobody goes backward through inference
  batch_norm_backward(dev, 1, n, in.c, x.data(), w.data(), batch.data(), dy.data(), dx.data(), dw.data());
  c.check("dx", dx), c.check("dweight", part(dw, 0)), c.check("dbias", part(dw, apart));
}

/// A layer without parameters.
template <class L, class T> void check_layer(const Case<T>& c) {
  const auto xs = c.tensor("x").shape;
  const auto x = c.read("x"), dy = c.read("dy");
  std::vector<T> y(dy.size()), dx(x.size());
  Step<T> s = {};
  s.in = sample(xs), s.out = L::out(s.in), s.n = xs[0], s.training = true, s.x = x.data(), s.y = y.data(), s.dy = dy.data(), s.dx = dx.data();
  Cpu dev;
  L::forward(dev, s), L::backward(dev, s);
  c.check("y", y), c.check("dx", dx);
}

template <class T> bool check_case(const Case<T>& c) {
  const std::string op = c.option.at("op");
  if (op == "conv") check_conv(c);
  else if (op == "dense") check_dense(c);
  else if (op == "max_pool" || op == "avg_pool") check_pool(c, op == "max_pool");
  else if (op == "batch_norm") check_batch_norm(c);
  else if (op == "global_avg_pool") check_layer<GlobalAvgPool>(c);
  else if (op == "relu") check_layer<ReLU>(c);
  else if (op == "relu6") check_layer<ReLU6>(c);
  else if (op == "leaky_relu") check_layer<LeakyReLU<1>>(c);
  else if (op == "leaky_relu_02") check_layer<LeakyReLU<20>>(c);
  else if (op == "silu") check_layer<SiLU>(c);
  else if (op == "tanh") check_layer<Tanh>(c);
  else if (op == "sigmoid") check_layer<Sigmoid>(c);
  else if (op == "gelu") check_layer<GELU>(c);
  else if (op == "gelu_tanh") check_layer<GELUTanh>(c);
  else if (op == "hardswish") check_layer<HardSwish>(c);
  else if (op == "elu") check_layer<ELU>(c);
  else return false;
  return true;
}
}  // namespace

TEST_CASE_TEMPLATE("layers are PyTorch's", T, double, float) {
  const auto file = lamina_test::golden_file("layers.safetensors");
  if (!file) return;
  for (const auto& option : lamina_test::cases(*file)) {
    const Case<T> c{*file, option};
    INFO(c.name << " is of a kind this test knows");
    CHECK(check_case(c));
  }
}
