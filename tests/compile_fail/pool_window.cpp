// expect: MaxPool: the winning tap is kept in one byte
#include <lamina/nn/network.hpp>
using namespace lamina;
struct Net : Network<Input<32, 32, 3>, MaxPool<16>, Flatten, Dense<10>> {};
static_assert(Net::parameters > 0);
