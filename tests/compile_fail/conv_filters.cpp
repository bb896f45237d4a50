// expect: Conv<Out, K, Stride, Pad>: Out, K and Stride are at least 1
#include <lamina/nn/network.hpp>
using namespace lamina;
struct Net : Network<Input<16, 16, 3>, Conv<0, 3>, Flatten, Dense<10>> {};
static_assert(Net::parameters > 0);
