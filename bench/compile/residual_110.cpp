/// The residual network of 110 layers of He et al. 2015 (CIFAR-10), with training and inference.
#include <lamina/lamina.hpp>

using namespace lamina;
template <int C, int K, int S = 1> using ConvNorm = Sequential<Conv<C, K, S, K / 2, no_bias>, BatchNorm>;
template <int C> using Same = Sequential<Residual<ConvNorm<C, 3>, ReLU, ConvNorm<C, 3>>, ReLU>;
template <int C> using Down = Sequential<Sum<Sequential<ConvNorm<C, 3, 2>, ReLU, ConvNorm<C, 3>>, ConvNorm<C, 1, 2>>, ReLU>;
struct ResNet110 : Network<Input<32, 32, 3>, ConvNorm<16, 3>, ReLU, Repeat<18, Same<16>>, Down<32>, Repeat<17, Same<32>>, Down<64>, Repeat<17, Same<64>>, GlobalAvgPool, Dense<10>> {};

int main() {
  Model<ResNet110, Cpu> model({.seed = 1});
  model.backpropagate({});
}
