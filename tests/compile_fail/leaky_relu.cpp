// expect: for 0 use ReLU
#include <lamina/nn/network.hpp>
using namespace lamina;
struct Net : Network<Input<1, 1, 16>, Dense<10>, LeakyReLU<0>, Dense<10>> {};
static_assert(Net::parameters > 0);
