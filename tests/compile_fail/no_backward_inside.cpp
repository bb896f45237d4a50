// expect: At<5>
// expect: Half
// expect g++: layer 5 Half lacks forward(device, step) or backward(device, step), or its device cannot call them
// expect nvcc: static assertion failed with "the layers do not fit together: NetworkError says where, and what would fit"
// expect clang++: this layer lacks forward(device, step) or backward(device, step), or its device cannot call them
#include <lamina/lamina.hpp>
using namespace lamina;
struct Half {
  static constexpr Shape out(Shape in) { return in; }
  static constexpr Needs needs(Shape) { return {}; }
  template <class D, class T> static void forward(D&, const Step<T>&) {}
};
struct Net : Network<Input<2, 2, 16>, Residual<Conv<16, 3>>, Flatten, Dense<10>, Half, ReLU, Dense<10>> {};
int main() { return Model<Net, Cpu>({.batch = 2}).gradients() != nullptr; }
