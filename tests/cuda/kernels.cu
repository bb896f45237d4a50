// Training steps of LeafNet at 64 x 64 x 3 and of blocks that larger networks are made of in bf16, and the kernels on tensor cores that tf32 has instead, on a device that only says what it would launch, and with how many threads and bytes of shared memory: the kernels that
// table.sh asks ptxas about.
#include <lamina/cuda.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <typeinfo>
#include <vector>

#include "../support/nets.hpp"

using namespace lamina;

struct Listing : CudaRules {
  void* allocate(std::size_t bytes) { return std::calloc(bytes, 1); }
  void deallocate(void* p, std::size_t) { std::free(p); }
  void upload(void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }
  void download(void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }
  void reserve(std::size_t) {}
  std::byte* arena() const { return nullptr; }
  void wait() {}
  struct Event {};
  Listing fork() const { return {}; }                    // steps are launched as beside a second queue
  Event mark() const { return {}; }
  void wait_for(Event) {}
  template <class Kernel, class... Arguments> void launch(Grid, Arguments...) {
    [[maybe_unused]] static void (*const volatile compiled)(Arguments...) = &kernels::entry<Kernel, Arguments...>;
    std::printf("%s %d %d\n", typeid(Kernel).name(), Kernel::threads, Kernel::shared_bytes);
  }
  template <class F> void for_each(Index n, F f) { launch<kernels::ForEach<F>>(Grid{}, n, f); }
};

/// The verbs of LeafNet's first and last block of convolutions, and of its first dense layer.
void in_tf32(Listing dev) {
  constexpr Shape in(16, 16, 64), mid(16, 16, 128), out(8, 8, 128);
  constexpr ConvReluPool block{{3, 1, 1}, {2, 2, 0}};
  constexpr int number = CudaRules::way<tf32>(block, in, mid);
  constexpr Way<number> way;
  static_assert(number >= detail::PooledWay::first && CudaRules::way<tf32>(DenseSpec(), {8192}, {128}) == 3);
  tf32 x;
  float w;
  std::uint8_t codes;
  conv_relu_pool_forward(dev, way, block, in, mid, out, 1, &x, &x, &w, &x, &codes);
  conv_relu_pool_backward(dev, way, block, in, mid, out, 1, &x, &x, &codes, &x, &x, &w, &w);
  detail::first_conv_forward<3>(dev, {1, 64, 64, 3, 32}, &x, 1.f, &x, &w, &x, &codes);
  detail::first_conv_backward<3>(dev, {1, 64, 64, 3, 32}, &x, 1.f, &codes, &x, &w, &w);
  dense_forward(dev, Way<3>(), 64, 8192, 128, &x, &x, &w, &x, ReLU::clamp);
  dense_backward(dev, Way<3>(), 64, 8192, 128, &x, &x, &x, &x, &w, &w, &x);
  const Adam::Clock clock{};
  dense_update(dev, Adam(), &clock, true, 64, 8192, 128, &x, &x, &x, &w, &w, 1, &x, &w);
}

/// What networks like ResNet-18 and MobileNetV2 have beside LeafNet's.
struct Blocks : Network<Input<64, 64, 3>, lamina_test::ConvNorm<64, 7, 2>, ReLU, MaxPool<3, 2, 1>, lamina_test::Equal<64>, lamina_test::Down<128>, DepthwiseConv<3>, BatchNorm, ReLU6, Conv<64, 1>, AvgPool<2>, GlobalAvgPool, Dense<10>> {};

template <class Net, class T> void step() {
  Model<Net, Listing, T> model({.batch = 2});
  const std::vector<float> x(2 * size(Net::input));
  const std::int32_t label[2] = {};
  OptimizerState<Adam, Listing, float> adam(model.device(), {}, model.parameter_count);
  model.forward_training({.n = 2, .x = x.data(), .label = label});
  model.learn(adam, 1e-3);
}

int main() {
  step<lamina_test::LeafNet, bf16>();
  step<Blocks, bf16>();

  Listing dev;                                           // pictures as bytes
  const kernels::Extent extent{1, 64, 64, 3, 32};
  std::uint8_t bytes;
  bf16 number;
  float sum;
  detail::first_conv_forward<3>(dev, extent, &bytes, 1.f, &number, &sum, &number, &bytes);
  detail::first_conv_backward<3>(dev, extent, &bytes, 1.f, &bytes, &number, &sum, &sum);
  in_tf32(dev);
  for (const int c : {1, 3})                             // and as they are changed
    for (const bool whole : {false, true})
      for (const float share : {1.f, 0.5f}) augment(dev, Shape(64, 64, c), 1, &bytes, static_cast<const Changes*>(nullptr), {}, {.share = share, .box = {}}, whole, &number);
}
