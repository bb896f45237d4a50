// expect: the CPU computes in float or double; bf16 and tf32 are for a GPU: Model<Net, Cuda, bf16>
#include <lamina/lamina.hpp>
using namespace lamina;
struct Net : Network<Input<8, 8, 3>, Conv<4, 3>, ReLU, Flatten, Dense<2>> {};
int main() { return Model<Net, Cpu, tf32>({.batch = 2}).gradients() != nullptr; }
