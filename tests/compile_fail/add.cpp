// expect: At<2>
// expect: Add
// expect g++: layer 2 Add has one branch and takes two; write Sum<body, shortcut> or Residual<body...>, which have Split, Swap and Add in them
// expect clang++: this has one branch and takes two: write Sum<body, shortcut> or Residual<body...>
#include <lamina/lamina.hpp>
using namespace lamina;
struct Net : Network<Input<8, 8, 3>, Conv<8, 3>, Add, GlobalAvgPool, Dense<10>> {};
int main() { return Model<Net, Cpu>({.batch = 2}).gradients() != nullptr; }
