// expect: Softmax
// expect: CrossEntropy<0>
// expect g++: the network ends in Softmax and the loss has a softmax of its own; leave Softmax out
// expect nvcc: static assertion failed with "the layers do not fit together: NetworkError says where, and what would fit"
// expect clang++: the network ends in probabilities and the loss has a softmax of its own: leave this layer out
#include <lamina/lamina.hpp>
using namespace lamina;
struct Net : Network<Input<32, 32, 3>, Conv<16, 3>, ReLU, GlobalAvgPool, Dense<10>, Softmax> {};
int main() { return Model<Net, Cpu>({.batch = 2}).gradients() != nullptr; }
