// expect: CrossEntropy<38>
// expect: Got<1, 1, 10>
// expect: Accepts<1, 1, 38>
// expect g++: the network ends in 10 and the loss takes 38; end it with Dense<38>
// expect clang++: the network ends in another shape than the loss takes: end it with Dense<classes>
#include <lamina/lamina.hpp>
using namespace lamina;
struct Net : Network<Input<32, 32, 3>, Conv<16, 3>, ReLU, GlobalAvgPool, Dense<10>> {};
int main() { return Model<Net, Cpu, float, CrossEntropy<38>>({.batch = 2}).gradients() != nullptr; }
