// expect: Dense<1
// expect: CrossEntropy<0>
// expect g++: the network ends in one number and the loss tells classes apart; end it with Dense<2> or more
// expect clang++: the network ends in one number and the loss tells classes apart: end it with Dense<2> or more
#include <lamina/lamina.hpp>
using namespace lamina;
struct Net : Network<Input<32, 32, 3>, Conv<16, 3>, ReLU, GlobalAvgPool, Dense<1>> {};
int main() { return Model<Net, Cpu>({.batch = 2}).gradients() != nullptr; }
