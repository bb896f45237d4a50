// expect: At<2>
// expect: Half
// expect g++: layer 2 Half is no layer: it has out(shape) and needs(shape)
// expect clang++: this is no layer: it has out(shape) and needs(shape)
#include <lamina/lamina.hpp>
using namespace lamina;
struct Half { static constexpr Shape out(Shape in) { return in; } };
struct Net : Network<Input<1, 1, 16>, Dense<10>, Half, Dense<10>> {};
int main() { return Model<Net, Cpu>({.batch = 2}).gradients() != nullptr; }
