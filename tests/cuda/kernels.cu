// Every kernel of a training step of LeafNet at 64 x 64 x 3, launched by the verbs on a device that only says what it would launch, and with how many threads and bytes of shared memory:
// what table.sh asks ptxas about.
#include <lamina/cuda/conv_relu_pool.hpp>
#include <lamina/cuda/cuda.hpp>

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
template <class T> T any{};                              // nothing reads it

template <int way> void conv_block(Listing& dev, Shape in, int filters) {
  const Shape mid(in.h, in.w, filters), out(in.h / 2, in.w / 2, filters);
  bf16* const p = &any<bf16>;
  float* const f = &any<float>;
  conv_relu_pool_forward(dev, Way<way>(), block, in, mid, out, 1, p, p, f, p, &any<std::uint8_t>);
  conv_relu_pool_backward(dev, Way<way>(), block, in, mid, out, 1, p, p, &any<std::uint8_t>, p, p, f, f);
}
constexpr int way(Shape in, int filters) { return Listing::way<bf16>(block, in, {in.h, in.w, filters}); }
}  // namespace

int main() {
  Listing dev;
  constexpr Shape first(64, 64, 3), second(32, 32, 32), third(16, 16, 64);
  conv_block<way(first, 32)>(dev, first, 32);
  conv_block<way(second, 64)>(dev, second, 64);
  conv_block<way(third, 128)>(dev, third, 128);
  const kernels::Extent bytes{1, 64, 64, 3, 32};         // pictures as bytes
  std::uint8_t* const x = &any<std::uint8_t>;
  detail::first_conv_forward<3>(dev, bytes, x, 1.f, &any<bf16>, &any<float>, &any<bf16>, x);
  detail::first_conv_backward<3>(dev, bytes, x, 1.f, x, &any<bf16>, &any<float>, &any<float>);
}
