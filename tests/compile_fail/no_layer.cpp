// expect: what stands in a network is a layer: it has out(shape) and needs(shape)
// expect: Nothing
// expect g++: IsLayer<Nothing>
// expect clang++: IsLayer<Nothing>
#include <lamina/lamina.hpp>
using namespace lamina;
struct Nothing {};
struct Net : Network<Input<1, 1, 16>, Dense<10>, Nothing, Dense<10>> {};
int main() { return Model<Net, Cpu>({.batch = 2}).gradients() != nullptr; }
