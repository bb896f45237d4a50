// expect: Conv<Out, K, Stride, Pad, Bias, Groups>: Groups divides Out
#include <lamina/nn/network.hpp>
using namespace lamina;
struct Net : Network<Input<16, 16, 4>, Conv<6, 3, 1, 1, true, 4>, Flatten, Dense<10>> {};
static_assert(Net::parameters > 0);
