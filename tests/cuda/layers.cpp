/// The checks of every layer on the device of a GPU.
#include "../support/gpu.hpp"

#include <lamina/cuda/batch_norm_add.hpp>
#include <lamina/cuda/batch_norm_pool.hpp>
#include <lamina/cuda/conv.hpp>
#include <lamina/cuda/conv_relu_pool_general.hpp>
#include <lamina/cuda/pool.hpp>
#include <lamina/nn/dropout.hpp>
#include <lamina/nn/softmax.hpp>

#include "../support/check_layer.hpp"

using namespace lamina;

namespace {
template <class L> void check(Shape in, lamina_test::LayerCheck options = {}) { lamina_test::check_layer<L>(in, options, lamina_test::Gpu()); }
constexpr lamina_test::LayerCheck differs{.training_differs = true};
}  // namespace

TEST_CASE("convolution") {
  check<Conv<5, 1>>({4, 7, 3});
  check<Conv<8, 3>>({7, 5, 3});
  check<Conv<3, 4, 1, 2>>({6, 5, 2});
  check<Conv<6, 3, 2, 0>>({9, 8, 5});
  check<Conv<4, 3, 3, 1>>({10, 11, 3});
  check<Conv<3, 5, 2, 4>>({6, 5, 2});            // windows that see nothing but padding
  check<Conv<3, 2, 3, 0>>({9, 7, 2});            // pixels that no window sees
  check<Conv<4, 3, 2, same>>({7, 8, 3});
  check<Conv<3, 5, 2, same>>({2, 1, 3});         // a window larger than the image
  check<Conv<9, 3, 2, 0, false, 3>>({7, 8, 6});
  check<Conv<8, 1, 1, 0, true, 4>>({3, 5, 8});
  check<Conv<20, 3>>({2, 2, 3});                 // many weights
  check<Conv<3, 7>>({1, 3, 2});
}

TEST_CASE("depthwise convolution") {
  check<DepthwiseConv<3>>({6, 9, 8});
  check<DepthwiseConv<3, 2, 1, no_bias>>({9, 6, 12});
  check<DepthwiseConv<3, 2, same>>({7, 8, 5});
  check<DepthwiseConv<3, 1, 3>>({3, 4, 3});      // rows and columns of taps beyond the image
  check<DepthwiseConv<3, 3, 1>>({7, 8, 3});
  check<DepthwiseConv<5, 1, same>>({5, 4, 4});
  check<DepthwiseConv<3, 1, 1, true, 4>>({5, 4, 6});
  check<DepthwiseConv<2, 2, 0, no_bias, 3>>({6, 7, 17});
}

TEST_CASE("pooling") {
  check<MaxPool<2>>({7, 5, 3});                  // a row and a column that no window sees
  check<MaxPool<3, 2, 1>>({9, 7, 4});
  check<MaxPool<3, 1, 1>>({5, 6, 3});
  check<MaxPool<2, 3>>({8, 7, 19});
  check<MaxPool<15, 4, 7>>({17, 16, 2});
  check<MaxPool<3, 2, same>>({7, 8, 3});
  check<MaxPool<5, 1, same>>({2, 3, 4});
  check<AvgPool<2>>({7, 5, 3});
  check<AvgPool<3, 2, 1>>({9, 7, 4});
  check<AvgPool<3, 2, 1, false>>({9, 7, 4});
  check<AvgPool<2, 3>>({8, 7, 2});
  check<AvgPool<2, 2, same, true>>({5, 7, 3});
  check<AvgPool<5, 1, same>>({2, 3, 4});
  check<GlobalAvgPool>({5, 4, 7});
  check<GlobalAvgPool>({3, 5, 6});
}

TEST_CASE("batch norm") {
  check<BatchNorm>({3, 2, 6}, differs);
  check<BatchNorm>({1, 2, 1}, differs);
  check<KerasBatchNorm>({2, 2, 5}, differs);
  check<Fused<BatchNorm, ReLU>>({3, 3, 3}, differs);
  check<Fused<BatchNorm, ReLU6>>({2, 2, 4}, {9, true});
  check<Fused<BatchNorm, ReLU, MaxPool<2>>>({3, 5, 2}, differs);
  check<Fused<KerasBatchNorm, ReLU, MaxPool<2, 3>>>({5, 5, 1}, differs);
  check<Fused<BatchNorm, Add, ReLU>>({3, 3, 3}, differs);
  check<Fused<KerasBatchNorm, Add, ReLU>>({2, 2, 4}, differs);
}

TEST_CASE("conv, relu and max pool as one") {
  check<Fused<Conv<8, 3>, ReLU, MaxPool<2>>>({6, 8, 3});
  check<Fused<Conv<5, 3, 1, 1, no_bias>, ReLU, MaxPool<2>>>({7, 5, 4});            // a row and a column that no pool sees
  check<Fused<Conv<4, 5, 2, 2>, ReLU, MaxPool<3>>>({13, 16, 2});
  check<Fused<Conv<4, 3, 1, same>, ReLU, MaxPool<2, 3>>>({8, 7, 3});               // pixels between the pools
  check<Fused<Conv<3, 3>, ReLU, MaxPool<1>>>({3, 4, 2});
  check<Fused<Conv<20, 3, 1, 1, no_bias>, ReLU, MaxPool<2>>>({3, 4, 3});           // many weights
  check<Fused<Conv<2, 3>, ReLU, MaxPool<15>>>({16, 31, 2});
}

TEST_CASE("what needs no kernel of its own") {
  check<ReLU>({5, 4, 7});
  check<GELU>({5, 4, 7});
  check<Dropout<20>>({5, 4, 7}, differs);
  check<Softmax>({3, 4, 5});
  check<Fused<Add, ReLU>>({5, 4, 7});
}
