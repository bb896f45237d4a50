// expect: a layer has forward(device, step) and backward(device, step)
#include <lamina/lamina.hpp>
using namespace lamina;
struct Half {
  static constexpr Shape out(Shape in) { return in; }
  static constexpr Needs needs(Shape) { return {}; }
  template <class D, class T> static void forward(D&, const Step<T>&) {}
};
struct Net : Network<Input<1, 1, 16>, Dense<10>, Half, Dense<10>> {};
int main() { return Model<Net, Cpu>({.batch = 2}).gradients() != nullptr; }
