// expect: At<7>
// expect: Add, 
// expect: Got<16, 16, 32>
// expect: Accepts<32, 32, 16>
// expect g++: layer 7 Add got 16x16x32 and takes 32x32x16; both branches of a sum end in one shape: give the shortcut layers too, Sum<body, shortcut>
// expect nvcc: static assertion failed with "the layers do not fit together: NetworkError says where, and what would fit"
// expect clang++: both branches of a sum end in one shape: give the shortcut layers too, Sum<body, shortcut>
#include <lamina/lamina.hpp>
using namespace lamina;
struct Net : Network<Input<32, 32, 3>, Conv<16, 3>, ReLU, Residual<Conv<32, 3, 2>, BatchNorm, ReLU, Conv<32, 3>>, GlobalAvgPool, Dense<10>> {};
int main() { return Model<Net, Cpu>({.batch = 2}).gradients() != nullptr; }
