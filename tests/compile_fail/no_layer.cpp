// expect: Nothing
#include <lamina/nn/network.hpp>
using namespace lamina;
struct Nothing {};
struct Net : Network<Input<1, 1, 16>, Dense<10>, Nothing, Dense<10>> {};
static_assert(Net::parameters > 0);
