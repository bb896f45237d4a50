// expect: a pool has K and Stride of at least 1 and pads at most K / 2
#include <lamina/nn/network.hpp>
using namespace lamina;
struct Net : Network<Input<16, 16, 3>, MaxPool<2, 2, 2>, Flatten, Dense<10>> {};
static_assert(Net::parameters > 0);
