// expect: At<2>
// expect: Got<16, 16, 6>
// expect: Accepts<16, 16, 8>
// expect g++: layer 2 Conv<8, 3, 1, 1, true, 4> got 16x16x6 and takes 16x16x8; give the layer before it more channels
// expect clang++: this layer got channels that its groups do not divide: give the layer before it more of them
#include <lamina/nn/network.hpp>
using namespace lamina;
struct Net : Network<Input<16, 16, 3>, Conv<6, 3>, Conv<8, 3, 1, 1, true, 4>, Flatten, Dense<10>> {};
static_assert(Net::parameters > 0);
