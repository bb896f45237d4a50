// expect: has at least one layer
#include <lamina/nn/network.hpp>
using namespace lamina;
struct Net : Network<Input<16, 16, 3>, Sequential<>> {};
static_assert(Net::parameters == 0);
