// expect: At<1>
// expect: Half
// expect g++: layer 1 Half lacks forward(device, step) or backward(device, step), or its device cannot call them
// expect clang++: this layer lacks forward(device, step) or backward(device, step), or its device cannot call them
#include <lamina/lamina.hpp>
using namespace lamina;
struct Half {
  static constexpr Shape out(Shape in) { return in; }
  static constexpr Needs needs(Shape) { return {}; }
  template <class D, class T> static void forward(D&, const Step<T>&) {}
};
struct Net : Network<Input<1, 1, 16>, Half, Dense<10>> {};
int main() { return Model<Net, Cpu>({.batch = 2}).gradients() != nullptr; }
