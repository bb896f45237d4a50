// expect: begins with its input
#include <lamina/lamina.hpp>
using namespace lamina;
struct Net : Network<Conv<16, 3>, ReLU, GlobalAvgPool, Dense<10>> {};
int main() { return Model<Net, Cpu>({.batch = 2}).gradients() != nullptr; }
