// expect: At<2>
// expect: Swap
// expect g++: layer 2 Swap has one branch and takes two
// expect clang++: this has one branch and takes two
#include <lamina/lamina.hpp>
using namespace lamina;
struct Net : Network<Input<8, 8, 3>, Conv<8, 3>, Swap, GlobalAvgPool, Dense<10>> {};
int main() { return Model<Net, Cpu>({.batch = 2}).gradients() != nullptr; }
