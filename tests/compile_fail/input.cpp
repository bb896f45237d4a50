// expect: Input<H, W, C>: height, width and channels are at least 1
#include <lamina/nn/network.hpp>
using namespace lamina;
struct Net : Network<Input<0, 16, 3>, Flatten, Dense<10>> {};
static_assert(Net::parameters > 0);
