// expect: At<2>
// expect: Split
// expect g++: layer 2 Split has branches that no Add sums; write Sum<body, shortcut> or Residual<body...>, which have Split, Swap and Add in them
// expect clang++: the branches of this Split do not end in a sum
#include <lamina/lamina.hpp>
using namespace lamina;
struct Net : Network<Input<8, 8, 3>, Conv<8, 3>, Split, Residual<Conv<8, 3>>, GlobalAvgPool, Dense<10>> {};
int main() { return Model<Net, Cpu>({.batch = 2}).gradients() != nullptr; }
