/// Networks that tests have in common.
#pragma once
#include <lamina/nn/network.hpp>

namespace lamina_test {
using namespace lamina;

template <int C> using Block = Sequential<Conv<C, 3>, ReLU, MaxPool<2>>;
struct LeafNet : Network<Input<64, 64, 3>, Block<32>, Block<64>, Block<128>, Flatten, Dense<128>, ReLU, Dropout<20>, Dense<10>> {};

template <int C, int K, int S = 1> using ConvNorm = Sequential<Conv<C, K, S, K / 2, no_bias>, BatchNorm>;
template <int C> using Equal = Sequential<Residual<ConvNorm<C, 3>, ReLU, ConvNorm<C, 3>>, ReLU>;
template <int C> using Down = Sequential<Sum<Sequential<ConvNorm<C, 3, 2>, ReLU, ConvNorm<C, 3>>, ConvNorm<C, 1, 2>>, ReLU>;

/// He et al. 2015, "Deep Residual Learning for Image Recognition": the network of 18 layers for ImageNet, and that of 110 layers for CIFAR.
struct ResNet18 : Network<Input<224, 224, 3>, ConvNorm<64, 7, 2>, ReLU, MaxPool<3, 2, 1>, Equal<64>, Equal<64>, Down<128>, Equal<128>, Down<256>, Equal<256>, Down<512>, Equal<512>,
                          GlobalAvgPool, Dense<1000>> {};
struct ResNet110 : Network<Input<32, 32, 3>, ConvNorm<16, 3>, ReLU, Repeat<18, Equal<16>>, Down<32>, Repeat<17, Equal<32>>, Down<64>, Repeat<17, Equal<64>>, GlobalAvgPool, Dense<10>> {};

/// Small ones, with everything that can go wrong in a plan.
struct SmallLeaf : Network<Input<9, 6, 2>, Block<3>, Block<4>, Flatten, Dense<7>, ReLU, Dropout<20>, Dense<5>> {};
struct SmallRes : Network<Input<8, 6, 3>, ConvNorm<4, 3>, ReLU, Equal<4>, Down<6>, Residual<Conv<6, 3>, SiLU, Residual<Conv<6, 1>, SiLU>>, SiLU, Residual<>, GlobalAvgPool, Dense<3>> {};
struct Branchy : Network<Input<6, 5, 2>, Sum<Sequential<>, Sequential<>>, Sum<Conv<3, 3>, Sequential<Conv<3, 1>, GELU, BatchNorm>>, SiLU, Dropout<50>, Residual<Residual<>, ReLU>,
                         Residual<Dropout<30>>, MaxPool<3, 2, 1>, ReLU, Flatten, Dense<6>, Softmax, Dense<4>> {};
struct Overlap : Network<Input<9, 8, 2>, SiLU, Conv<3, 5, 2, 2, no_bias>, ReLU, MaxPool<3, 1, 1>, Conv<4, 1>, ReLU, MaxPool<2, 1>, AvgPool<2, 1>, Flatten, Dense<4>, ReLU, Dense<3>> {};

}  // namespace lamina_test
