/// Every layer and kernel of the CPU: replicas end with the bits of one model.
#include <doctest/doctest.h>

#include <lamina/cpu/batch_norm_pool.hpp>
#include <lamina/cpu/conv_relu_pool.hpp>
#include <lamina/cpu/dense.hpp>
#include <lamina/cpu/pool.hpp>
#include <lamina/train/adam.hpp>

#include "../support/nets.hpp"
#include "replicas_train.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
/// One learned factor for each channel: a layer that knows nothing of shares.
template <class T> struct Factor { const T *x, *w; T* y; Index c; LAMINA_HD void operator()(Index i) const { y[i] = w[i % c] * x[i]; } };
template <class T> struct FactorGradient {
  const T *x, *dy; T* dw; Index pixels, c;
  LAMINA_HD void operator()(Index k) const { for (Index p = 0; p < pixels; ++p) dw[k] += x[p * c + k] * dy[p * c + k]; }
};
struct Scale {
  static constexpr Shape out(Shape in) { return in; }
  static constexpr Tensors parameters(Shape in) { return {"factor", Dims(in.c)}; }
  static constexpr Needs needs(Shape in) { return {.flops = size(in), .keep = Keep::input}; }
  static void init(Shape in, const Initializer&, float* w, float*) { for (int c = 0; c < in.c; ++c) w[c] = 1; }
  template <class D, class T> static void forward(D& dev, const Step<T>& s) { parallel_for(dev, s.n * size(s.in), Factor<T>{s.x, s.w, s.y, s.in.c}); }
  template <class D, class T> static void backward(D& dev, const Step<T>& s) {
    parallel_for(dev, s.in.c, FactorGradient<T>{s.x, s.dy, s.dw, s.n * s.in.h * s.in.w, s.in.c});
    if (s.dx) parallel_for(dev, s.n * size(s.in), Factor<T>{s.dy, s.w, s.dx, s.in.c});
  }
};

struct Own : Network<Input<5, 4, 3>, Scale, Conv<6, 3>, Scale, ReLU, Flatten, Dense<3>> {};
/// 3x3 by Winograd with few weights and with many, which end in pooling or do not; 1x1, strides, large kernels, all in vectors.
struct Winograd : Network<Input<19, 14, 3>, Conv<32, 3>, ReLU, MaxPool<2>, Conv<32, 3>, ReLU, Conv<64, 3>, ReLU, MaxPool<2>, Conv<160, 3>, ReLU, Conv<32, 1>, ReLU, Conv<16, 5, 2>, ReLU, Flatten, Dense<32>, ReLU,
                          Dropout<20>, Dense<7>> {};
/// Batch norms of large maps, which the steps before measure, and of small ones; with pooling behind, or a sum.
struct Norms : Network<Input<20, 18, 3>, Conv<32, 3>, BatchNorm, ReLU, MaxPool<2>, Conv<32, 3>, BatchNorm, ReLU, Equal<32>, Down<48>, KerasBatchNorm, SiLU, Flatten, Dense<64>, BatchNorm, ReLU, Dense<5>> {};
struct Mobile : Network<Input<12, 9, 3>, ConvNorm<16, 3>, ReLU6, zoo::InvertedResidual<16, 16>, zoo::InvertedResidual<16, 24, 2>, Conv<24, 3, 1, 1, true, 4>, ReLU, AvgPool<2>, GlobalAvgPool, Dense<30>, ReLU, Dense<9>> {};
}  // namespace

TEST_CASE_TEMPLATE("replicas end with the bits of one model", Net, SmallLeaf, SmallRes, Branchy, Overlap, Own, Winograd, Norms, Mobile) { check_replicas<Net, float>(); }
TEST_CASE_TEMPLATE("replicas end with the bits of one model, in double", Net, SmallLeaf, SmallRes, Own, Mobile) { check_replicas<Net, double>(); }
