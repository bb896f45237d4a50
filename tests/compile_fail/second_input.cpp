// expect: At<2>
// expect: Input<1, 1, 10>
// expect g++: layer 2 Input<1, 1, 10> is no layer: it has out(shape) and needs(shape)
// expect clang++: this is no layer: it has out(shape) and needs(shape)
#include <lamina/lamina.hpp>
using namespace lamina;
struct Net : Network<Input<1, 1, 16>, Dense<10>, Input<1, 1, 10>, Dense<10>> {};
int main() { return Model<Net, Cpu>({.batch = 2}).gradients() != nullptr; }
