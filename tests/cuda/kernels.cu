// Every kernel of a training step of LeafNet at 64 x 64 x 3, launched by the verbs on a device that only says what it would launch, and with how many threads and bytes of shared memory:
// what table.sh asks ptxas about.
#include <lamina/cuda/conv_relu_pool.hpp>
#include <lamina/cuda/cuda.hpp>
#include <lamina/cuda/dense.hpp>
#include <lamina/cuda/loss.hpp>

#include <cstdio>
#include <typeinfo>

using namespace lamina;

struct Listing : CudaRules {
  void* allocate(std::size_t) { return nullptr; }
  void deallocate(void*, std::size_t) {}
  void upload(void*, const void*, std::size_t) {}
  void download(void*, const void*, std::size_t) {}
  void reserve(std::size_t) {}
  std::byte* arena() const { return nullptr; }
  template <class Kernel, class... Arguments> void launch(Grid, Arguments...) {
    [[maybe_unused]] static void (*const volatile compiled)(Arguments...) = &kernels::entry<Kernel, Arguments...>;
    std::printf("%s %d %d\n", typeid(Kernel).name(), Kernel::threads, Kernel::shared_bytes);
  }
  template <class F> void for_each(Index n, F f) { launch<kernels::ForEach<F>>(Grid{}, n, f); }
};

namespace {
constexpr ConvReluPool block{{3, 1, same}, {2, 2, 0}};
template <class T> T spare{};                              // nothing reads it

template <int way> void conv_block(Listing& dev, Shape in, int filters) {
  const Shape mid(in.h, in.w, filters), out(in.h / 2, in.w / 2, filters);
  bf16* const p = &spare<bf16>;
  float* const f = &spare<float>;
  conv_relu_pool_forward(dev, Way<way>(), block, in, mid, out, 1, p, p, f, p, &spare<std::uint8_t>);
  conv_relu_pool_backward(dev, Way<way>(), block, in, mid, out, 1, p, p, &spare<std::uint8_t>, p, p, f, f);
}
template <int way> void dense(Listing& dev, Index n, Index c, Index o) {
  bf16* const p = &spare<bf16>;
  float* const f = &spare<float>;
  dense_forward(dev, Way<way>(), n, c, o, p, p, f, p);
  dense_backward(dev, Way<way>(), n, c, o, p, p, p, p, f, f);
  dense_backward(dev, Way<way>(), n, c, o, p, p, p, p, f, f, static_cast<const bf16*>(p));      // with a ReLU behind it
}
constexpr int dense_way(int c, int o) { return Listing::way<bf16>(DenseSpec(), {c}, {o}); }
struct LossStep { Index n, c, total; const bf16* y; const std::int32_t* label; const float *target, *constants; float* loss; bf16* dy; };
struct Totals { double loss; std::int64_t samples, correct; };

constexpr int way(Shape in, int filters) { return Listing::way<bf16>(block, in, {in.h, in.w, filters}); }
}  // namespace

int main() {
  Listing dev;
  constexpr Shape first(64, 64, 3), second(32, 32, 32), third(16, 16, 64);
  conv_block<way(first, 32)>(dev, first, 32);
  conv_block<way(second, 64)>(dev, second, 64);
  conv_block<way(third, 128)>(dev, third, 128);
  const kernels::Extent bytes{1, 64, 64, 3, 32};         // pictures as bytes
  std::uint8_t* const x = &spare<std::uint8_t>;
  detail::first_conv_forward<3>(dev, bytes, x, 1.f, &spare<bf16>, &spare<float>, &spare<bf16>, x);
  detail::first_conv_backward<3>(dev, bytes, x, 1.f, x, &spare<bf16>, &spare<float>, &spare<float>);
  for (const Index n : {64, 256}) dense<dense_way(8192, 128)>(dev, n, 8192, 128);
  dense<dense_way(128, 10)>(dev, 64, 128, 10);
  for (const Index n : {64, 4096}) cross_entropy(dev, LossStep{.n = n, .c = 10}, 0, false, &spare<Totals>);
}
