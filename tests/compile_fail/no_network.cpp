// expect: what a model is made of is a network: struct Net : Network<Input<H, W, C>, layers...> {};
// expect: Net
// expect nvcc: static assertion failed with
#include <lamina/lamina.hpp>
using namespace lamina;
struct Net {};
int main() { return Model<Net, Cpu>({.batch = 2}).gradients() != nullptr; }
