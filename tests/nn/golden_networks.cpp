// Whole networks against PyTorch and Keras: ten steps of training from the same weights on the same batches, in double and in float.
#include <lamina/lamina.hpp>

#include "../support/golden.hpp"
#include "../support/torch_order.hpp"

using namespace lamina;
using lamina_test::distance, lamina_test::from_oihw;

namespace {
/// (H, W, 2 C) -> (H, W, C): pictures come to a model in float; a double is the sum of two.
struct Join {
  static constexpr Shape out(Shape in) { return {in.h, in.w, in.c / 2}; }
  static constexpr Needs needs(Shape) { return {}; }
  template <class T> struct Halves {
    const T* x; T* y; Index c;
    void operator()(Index i) const { const T* p = x + i / c * 2 * c + i % c; y[i] = p[0] + p[c]; }
  };
  template <class D, class T> static void forward(D& dev, const Step<T>& s) { parallel_for(dev, s.n * size(s.out), Halves<T>{s.x, s.y, s.out.c}); }
  template <class D, class T> static void backward(D&, const Step<T>&) {}
};
std::vector<float> halves(const std::vector<double>& x, Index c) {
  std::vector<float> v;
  for (Index i = 0; i < Index(x.size()); i += c)
    for (int part = 0; part < 2; ++part)
      for (Index k = i; k < i + c; ++k) v.push_back(part ? float(x[std::size_t(k)] - double(float(x[std::size_t(k)]))) : float(x[std::size_t(k)]));
  return v;
}

template <int C> using Block = Sequential<Conv<C, 3>, ReLU, MaxPool<2>>;
template <int C, int K, int S = 1> using ConvNorm = Sequential<Conv<C, K, S, K / 2, no_bias>, BatchNorm>;
template <int C> using Equal = Sequential<Residual<ConvNorm<C, 3>, ReLU, ConvNorm<C, 3>>, ReLU>;
template <int C> using Down = Sequential<Sum<Sequential<ConvNorm<C, 3, 2>, ReLU, ConvNorm<C, 3>>, ConvNorm<C, 1, 2>>, ReLU>;

struct Leaf16 : Network<Input<16, 16, 6>, Join, Block<8>, Block<16>, Block<32>, Flatten, Dense<24>, ReLU, Dense<10>> {};
struct ResNetTiny : Network<Input<12, 10, 6>, Join, ConvNorm<8, 3>, ReLU, Equal<8>, Down<16>, Equal<16>, GlobalAvgPool, Dense<10>> {};
struct MobileTiny : Network<Input<17, 13, 6>, Join, ConvNorm<8, 3, 2>, ReLU6, DepthwiseConv<3, 1, 1, no_bias>, BatchNorm, ReLU6, ConvNorm<20, 1>, ReLU6, GlobalAvgPool, Dense<10>> {};
struct SimpleCnn : Network<Input<16, 16, 6>, Join, Block<8>, Block<16>, Flatten, Dense<24>, ReLU, Dense<10>> {};

/// A tensor of a file, in Lamina's order.
template <class T> std::vector<T> in_our_order(const SafeTensor& t, bool torch) { return torch && t.shape.size() > 1 ? from_oihw(t.as<T>(), t.shape) : t.as<T>(); }

template <class Net, class T> struct Trial {
  using M = Model<Net, Cpu, T>;
  const SafeTensors& file;
  std::string net;
  std::vector<std::string> names;                  // of the tensors of the model, in its order
  bool torch;
  M model{{.batch = 6}};

  void load() {
    const auto tensors = model.tensors();
    REQUIRE(tensors.size() == names.size());
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto w = in_our_order<T>(file.at(net + "/start/" + names[i]), torch);
      REQUIRE(Index(w.size()) == tensors[i].dims.count());
      std::copy(w.begin(), w.end(), (tensors[i].learned ? model.parameters() : model.state()) + tensors[i].at);
    }
  }
  /// Ten steps. Then the end weights and the scores in evaluation. A weight may be off by tolerance(place, what the optimizer remembers: (slots, weights)).
  template <Optimizer Opt, class Tolerance> void run(const Opt& opt, double tolerance_of_all, Tolerance tolerance) {
    load();
    OptimizerState<Opt, Cpu, T> optimizer(model.device(), opt, M::parameter_count);
    const auto x = halves(file.at(net + "/x").as<double>(), Net::input.c / 2);
    const auto labels = file.at(net + "/labels").as<std::int32_t>();
    std::vector<double> losses;
    for (int t = 0; t < 10; ++t) {
      model.zero_gradients(), model.reset_totals();
      model.backpropagate({.n = 6, .x = x.data() + t % 4 * 6 * size(Net::input), .label = labels.data() + t % 4 * 6});
      losses.push_back(model.totals().loss() / 6);
      optimizer.step(model.parameters(), model.gradients(), opt.rate);
    }
    CHECK(distance(losses, file.at(net + "/losses").as<double>()) <= tolerance_of_all);
    const auto tensors = model.tensors();
    for (std::size_t i = 0; i < names.size(); ++i) {
      INFO(net << "/end/" << names[i]);
      const T* w = (tensors[i].learned ? model.parameters() : model.state()) + tensors[i].at;
      const auto end = in_our_order<double>(file.at(net + "/end/" + names[i]), torch);
      double worst = 0;                            // in units of what is allowed
      for (Index k = 0; k < Index(end.size()); ++k)
        worst = std::max(worst, distance(std::vector<T>{w[k]}, std::vector<double>{end[std::size_t(k)]}) / (tensors[i].learned ? tolerance(tensors[i].at + k, optimizer.state()) : tolerance_of_all));
      CHECK(worst <= 1);
    }
    const T* y = model.forward(x.data(), 6);
    std::vector<T> scores(y, y + 6 * size(Net::output));
    if (!torch)
      for (Index i = 0; i < 6; ++i) detail::SoftmaxOf<T>{scores.data(), scores.data(), size(Net::output)}(i);
    CHECK(distance(scores, file.at(net + (torch ? "/eval_logits" : "/probabilities")).template as<double>()) <= tolerance_of_all);
  }
};

/// The names of the tensors, from those of the modules: one with batch norm has running values too.
std::vector<std::string> names_of(const SafeTensors& file, const std::string& net, const std::vector<std::string>& modules) {
  std::vector<std::string> names;
  for (const auto& m : modules)
    for (const char* what : {".weight", ".bias", ".running_mean", ".running_var"})
      if (file.tensors.contains(net + "/start/" + m + what)) names.push_back(m + what);
  return names;
}

template <class Net, class T> void check_torch(const char* net, std::vector<std::string> modules, double weight_decay) {
  const auto file = lamina_test::golden_file("networks_torch.safetensors");
  if (!file) return;
  constexpr double tolerance = std::is_same_v<T, double> ? 1e-9 : 1e-4;
  const Sgd momentum{.rate = 0.05, .momentum = 0.9, .weight_decay = weight_decay};
  Trial<Net, T>{*file, net, names_of(*file, net, modules), true}.run(momentum, tolerance, [](Index, const T*) { return tolerance; });
}
}  // namespace

TEST_CASE_TEMPLATE("leaf16 trains as in PyTorch", T, double, float) { check_torch<Leaf16, T>("leaf16", {"0", "3", "6", "10", "12"}, 0); }

TEST_CASE_TEMPLATE("resnet_tiny trains as in PyTorch", T, double, float) {
  check_torch<ResNetTiny, T>("resnet_tiny", {"0", "1", "3.conv1", "3.bn1", "3.conv2", "3.bn2", "4.conv1", "4.bn1", "4.conv2", "4.bn2", "4.shortcut.0", "4.shortcut.1",
                                            "5.conv1", "5.bn1", "5.conv2", "5.bn2", "8"}, 1e-3);
}

TEST_CASE_TEMPLATE("mobile_tiny trains as in PyTorch", T, double, float) { check_torch<MobileTiny, T>("mobile_tiny", {"0", "1", "3", "4", "6", "7", "11"}, 0); }

TEST_CASE_TEMPLATE("simple_cnn trains as in Keras", T, double, float) {
  const auto file = lamina_test::golden_file("layers_keras.safetensors");
  if (!file) return;
  // TensorFlow rounds gradients in places, and Adam makes a whole step of a gradient that is nearly nothing: of 7,810 weights one, whose gradients were about 1e-6, is off
  // by 3e-5. All whose gradients are ten times that agree within 1e-5.
  const auto tolerance = [](Index i, const T* memory) {                                  // (2, weights): the mean gradient, its mean square
    const double square = double(memory[Model<SimpleCnn, Cpu, T>::parameter_count + i]) / (1 - std::pow(0.999, 10));
    return std::sqrt(square) > 1e-5 ? 1e-5 : 1e-4;
  };
  Trial<SimpleCnn, T>{*file, "simple_cnn", {"0", "1", "2", "3", "4", "5", "6", "7"}, false}.run(Adam{.rate = 0.01, .form = Form::keras}, 1e-5, tolerance);
}
