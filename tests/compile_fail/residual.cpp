// expect: At<7>
// expect: Add, 
// expect: Got<32, 32, 16>
// expect: Accepts<16, 16, 32>
// expect g++: layer 7 Add got 32x32x16 and takes 16x16x32; both branches of a sum end in one shape: give the shortcut layers too, Sum<body, shortcut>
// expect clang++: both branches of a sum end in one shape: give the shortcut layers too, Sum<body, shortcut>
#include <lamina/lamina.hpp>
using namespace lamina;
struct Net : Network<Input<32, 32, 3>, Conv<16, 3>, ReLU, Residual<Conv<32, 3, 2>, BatchNorm, ReLU, Conv<32, 3>>, GlobalAvgPool, Dense<10>> {};
int main() { return Model<Net, Cpu>({.batch = 2}).gradients() != nullptr; }
