/// W(S, B) of the tables of speed: three blocks of 3x3 convolution, ReLU and pooling, and two dense layers.
#include "networks.hpp"

namespace {

using namespace lamina;
template <int C> using Block = Sequential<Conv<C, 3>, ReLU, MaxPool<2>>;
template <int Size> struct Leaf : Network<Input<Size, Size, 3>, Block<32>, Block<64>, Block<128>, Flatten, Dense<128>, ReLU, Dense<bench::classes>> {};

}  // namespace

bench::Made bench::leaf(int size, Index batch, Cpu device) { return one_of<Leaf<64>, Leaf<128>, Leaf<256>>(size, batch, device); }
