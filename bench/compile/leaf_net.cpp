/// A network of 14 layers with training and inference.
#include <lamina/lamina.hpp>

template <int C> using Block = lamina::Sequential<lamina::Conv<C, 3>, lamina::ReLU, lamina::MaxPool<2>>;
struct LeafNet : lamina::Network<lamina::Input<64, 64, 3>, Block<32>, Block<64>, Block<128>, lamina::Flatten, lamina::Dense<128>, lamina::ReLU, lamina::Dropout<20>,
                                 lamina::Dense<10>> {};

int main() {
  lamina::Model<LeafNet, lamina::Cpu> model({.seed = 1});
  model.backpropagate({});
}
