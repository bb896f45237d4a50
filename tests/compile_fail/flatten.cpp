// expect: At<3>
// expect: Dense<10
// expect: Got<32, 32, 16>
// expect: Accepts<1, 1, 16384>
// expect g++: layer 3 Dense<10> got 32x32x16 and takes 16384; put Flatten or GlobalAvgPool before it
// expect clang++: this layer got a picture and takes a vector: put Flatten or GlobalAvgPool before it
#include <lamina/lamina.hpp>
using namespace lamina;
struct Net : Network<Input<32, 32, 3>, Conv<16, 3>, ReLU, Dense<10>> {};
int main() { return Model<Net, Cpu>({.batch = 2}).gradients() != nullptr; }
