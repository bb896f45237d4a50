// expect: Dropout<Percent>: 0 to 99 of 100
#include <lamina/nn/network.hpp>
using namespace lamina;
struct Net : Network<Input<1, 1, 16>, Dense<10>, ReLU, Dropout<100>, Dense<10>> {};
static_assert(Net::parameters > 0);
