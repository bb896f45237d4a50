// Every kernel of LeafNet's three blocks at 64 x 64 x 3, through the verbs that launch them: what table.sh asks ptxas about.
#include <lamina/cuda/conv_relu_pool.hpp>
#include <lamina/cuda/cuda.hpp>

namespace {
using namespace lamina;
constexpr ConvReluPool block{{3, 1, same}, {2, 2, 0}};

template <Shape in, int filters> void train(Cuda& dev, const bf16* x, const bf16* w, const float* b, bf16* y, std::uint8_t* codes, const bf16* dy, bf16* dx, float* dw, float* db) {
  constexpr Shape mid{in.h, in.w, filters}, out{in.h / 2, in.w / 2, filters};
  constexpr Way<Cuda::way<bf16>(block, in, mid)> way;
  conv_relu_pool_forward(dev, way, block, in, mid, out, 1, x, w, b, y, codes);
  conv_relu_pool_backward(dev, way, block, in, mid, out, 1, x, w, codes, dy, dx, dw, db);
}
}  // namespace

void leaf_net(Cuda& dev, const std::uint8_t* pictures, const bf16* x, const bf16* w, const float* b, bf16* y, std::uint8_t* codes, const bf16* dy, bf16* dx, float* dw, float* db) {
  train<Shape(64, 64, 3), 32>(dev, x, w, b, y, codes, dy, nullptr, dw, db);
  train<Shape(32, 32, 32), 64>(dev, x, w, b, y, codes, dy, dx, dw, db);
  train<Shape(16, 16, 64), 128>(dev, x, w, b, y, codes, dy, dx, dw, db);
  constexpr kernels::Extent size{1, 64, 64, 3, 32};
  detail::first_conv_forward<3>(dev, size, pictures, 1.f / 255, w, b, y, codes);
  detail::first_conv_backward<3>(dev, size, pictures, 1.f / 255, codes, dy, dw, db);
}
