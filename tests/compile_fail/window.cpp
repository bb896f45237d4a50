// expect: At<10>
// expect: Got<2, 2, 128>
// expect: Accepts<5, 5, 128>
// expect g++: layer 10 Conv<8, 5, 1, 0> got 2x2x128 and takes 5x5x128; use a larger image or pool less before it
// expect clang++: this layer got an image smaller than its window: use a larger image or pool less before it
#include <lamina/lamina.hpp>
using namespace lamina;
template <int C> using Block = Sequential<Conv<C, 3>, ReLU, MaxPool<2>>;
struct Net : Network<Input<16, 16, 3>, Block<32>, Block<64>, Block<128>, Conv<8, 5, 1, 0>, Flatten, Dense<128>, ReLU, Dense<10>> {};
int main() { return Model<Net, Cpu>({.batch = 2}).gradients() != nullptr; }
