// expect: At<5>
// expect: Conv<8, 3
// expect: Got<1, 1, 16>
// expect: Accepts<16, 16, 4>
// expect g++: layer 5 Conv<8, 3> got 16 and takes 16x16x4; put Flatten behind it
// expect nvcc: static assertion failed with "the layers do not fit together: NetworkError says where, and what would fit"
// expect clang++: this layer got a picture made flat and takes a picture: put Flatten behind it
#include <lamina/lamina.hpp>
using namespace lamina;
struct Net : Network<Input<16, 16, 4>, Flatten, Dense<16>, Dropout<10>, ReLU, Conv<8, 3>, GlobalAvgPool, Dense<10>> {};
int main() { return Model<Net, Cpu>({.batch = 2}).gradients() != nullptr; }
