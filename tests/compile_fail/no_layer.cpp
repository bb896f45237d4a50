// expect: At<2>
// expect: Nothing
// expect g++: layer 2 Nothing is no layer: it has out(shape) and needs(shape)
// expect clang++: this is no layer: it has out(shape) and needs(shape)
#include <lamina/lamina.hpp>
using namespace lamina;
struct Nothing {};
struct Net : Network<Input<1, 1, 16>, Dense<10>, Nothing, Dense<10>> {};
int main() { return Model<Net, Cpu>({.batch = 2}).gradients() != nullptr; }
