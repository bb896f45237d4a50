// expect: Dense<Out>: Out is at least 1
#include <lamina/lamina.hpp>
using namespace lamina;
struct Net : Network<Input<1, 1, 16>, Dense<0>> {};
int main() { return Model<Net, Cpu>({.batch = 2}).gradients() != nullptr; }
