/// W(S, B) of the tables of speed: three blocks of 3x3 convolution, ReLU and pooling, and two dense layers.
#pragma once
#include <lamina/nn/network.hpp>

#include "../work.hpp"

namespace bench {

template <int C> using LeafBlock = lamina::Sequential<lamina::Conv<C, 3>, lamina::ReLU, lamina::MaxPool<2>>;
template <int Size>
struct Leaf : lamina::Network<lamina::Input<Size, Size, 3>, LeafBlock<32>, LeafBlock<64>, LeafBlock<128>, lamina::Flatten, lamina::Dense<128>, lamina::ReLU, lamina::Dense<classes>> {};

}  // namespace bench
