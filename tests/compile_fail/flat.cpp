// expect: At<3>
// expect: Got<1, 1, 192>
// expect: Accepts<8, 8, 3>
// expect g++: layer 3 Conv<8, 3> got 192 and takes 8x8x3; put Flatten behind it
// expect clang++: this layer got a picture made flat and takes a picture: put Flatten behind it
#include <lamina/lamina.hpp>
using namespace lamina;
struct Net : Network<Input<8, 8, 3>, Flatten, ReLU, Conv<8, 3>, Dense<3>> {};
int main() { return Model<Net, Cpu>({.batch = 2}).gradients() != nullptr; }
