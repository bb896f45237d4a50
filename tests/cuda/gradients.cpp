#include "../support/gpu.hpp"
#include <lamina/cuda/verbs.hpp>
#include <lamina/lamina.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "../support/device_data.hpp"
#include "../support/nets.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
/// y = w x, whose gradient a functor adds up: no verb knows of it.
struct Scale {
  static constexpr Shape out(Shape in) { return in; }
  static constexpr Needs needs(Shape) { return {.keep = Keep::input}; }
  static constexpr Tensors parameters(Shape in) { return {"weight", Dims(in.c)}; }
  static void init(Shape in, const Initializer&, float* w, float*) { for (int c = 0; c < in.c; ++c) w[c] = float(c % 3 + 1); }
  template <class T> struct Output { const T *x, *w; T* y; int c; LAMINA_HD void operator()(Index i) const { y[i] = w[i % c] * x[i]; } };
  template <class T> struct Sum { const T *x, *dy; T* dw; Index n; int c; LAMINA_HD void operator()(Index k) const { for (Index i = 0; i < n; ++i) dw[k] += x[i * c + k] * dy[i * c + k]; } };
  template <class D, class T> static void forward(D& dev, const Step<T>& s) { parallel_for(dev, s.n * size(s.in), Output<T>{s.x, s.w, s.y, s.in.c}); }
  template <class D, class T> static void backward(D& dev, const Step<T>& s) {
    if (s.dx) parallel_for(dev, s.n * size(s.in), Output<T>{s.dy, s.w, s.dx, s.in.c});
    parallel_for(dev, s.in.c, Sum<T>{s.x, s.dy, s.dw, s.n * s.in.h * s.in.w, s.in.c});
  }
};
struct Scaled : Network<Input<4, 4, 2>, Scale, Conv<3, 3>, Scale, ReLU, Flatten, Dense<5>> {};
struct Many : Network<Input<9, 7, 3>, Conv<24, 3>, DepthwiseConv<3>, ReLU, Conv<40, 3>, BatchNorm, ReLU, MaxPool<2>, Block<32>, Flatten, Dense<70>, ReLU, Dense<120>, Dense<5>> {};
struct Tensor16 : Network<Input<24, 18, 3>, Block<16>, Block<32>, Conv<16, 3>, BatchNorm, ReLU, Conv<8, 3, 2>, DepthwiseConv<3>, Flatten, Dense<72>, ReLU, Dense<64>, Dense<5>> {};
struct Tensor8 : Network<Input<9, 8, 3>, Block<8>, Conv<12, 3, 2>, BatchNorm, ReLU, Flatten, Dense<20>, ReLU, Dense<28>, Dense<5>> {};

constexpr Index n = 3;
template <class Net, class T> struct Trained {
  Model<Net, Gpu, T> model{{.batch = n, .seed = 2}, Gpu()};
  using M = Master<T>;
  std::vector<float> x = std::vector<float>(std::size_t(n * size(Net::input)));
  std::int32_t label[n] = {1, 0, 2};
  std::vector<M> block = std::vector<M>(std::size_t(model.parameter_count));

  Trained() {
    const Random random(4, Stream::test);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = float(random.uniform(Index(i), -1, 1));
  }
  void forward() { model.forward_training({.n = n, .x = x.data(), .label = label}); }
  const std::vector<M>& get(const M* from) { return model.device().download(block.data(), from, block.size() * sizeof(M)), block; }
  /// Of the tensors: what is between them is nobody's.
  void fill(M* block_on_device, M value) {
    get(block_on_device);
    for (const NamedTensor& t : model.tensors())
      for (Index i = 0; t.learned && i < t.dims.count(); ++i) block[std::size_t(t.at + i)] = value;
    model.device().upload(block_on_device, block.data(), block.size() * sizeof(M));
  }
};

template <class Net, class T> void check() {
  using M = Master<T>;
  constexpr double rate = 0.125;
  Trained<Net, T> apart, at_once;
  OptimizerState<Adam, Gpu, M> of_apart(apart.model.device(), {}, apart.model.parameter_count), of_at_once(at_once.model.device(), {}, at_once.model.parameter_count);
  M* const kept = at_once.model.gradients();
  const std::vector<M> nothing(at_once.block.size());
  for (int times = 0; times < 3; ++times) {                       // launched, recorded, replayed
    apart.forward(), apart.model.backward();
    of_apart.step(apart.model.parameters(), apart.model.gradients(), rate);
    apart.model.zero_gradients();
    at_once.fill(kept, M(NAN));
    at_once.forward(), at_once.model.learn(of_at_once, rate);
    CHECK(same_bits(at_once.get(at_once.model.parameters()), apart.get(apart.model.parameters())));
  }
  CHECK(same_bits(at_once.get(at_once.model.gradients()), nothing));
  at_once.forward(), at_once.model.learn(of_at_once, 0);
  at_once.forward(), at_once.model.backward();
  apart.forward(), apart.model.backward();
  CHECK(same_bits(at_once.get(kept), apart.get(apart.model.gradients())));       // and nothing of the step before
  at_once.model.zero_gradients();
  CHECK(same_bits(at_once.get(kept), nothing));
  at_once.forward(), at_once.model.learn(of_at_once, rate);
  at_once.model.zero_gradients();
  CHECK(same_bits(at_once.get(kept), nothing));
}
}  // namespace

TEST_CASE("a step that begins without gradients writes them, and they are zero to whoever asks") {
  check<SmallRes, double>();
  check<Many, float>();
  check<Tensor16, bf16>();
  check<Tensor8, tf32>();
}

TEST_CASE("a layer that adds to its gradients by itself finds zeros") { check<Scaled, double>(); }
