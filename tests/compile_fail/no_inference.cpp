// expect: At<2>
// expect: OnCpu
// expect g++: layer 2 OnCpu lacks forward(device, step) or backward(device, step), or its device cannot call them
// expect clang++: this layer lacks forward(device, step) or backward(device, step), or its device cannot call them
#include <lamina/lamina.hpp>
using namespace lamina;
struct OnCpu {
  static constexpr Shape out(Shape in) { return in; }
  static constexpr Needs needs(Shape) { return {}; }
  template <class D, class T> requires std::same_as<D, Cpu> static void forward(D&, const Step<T>&) {}
  template <class D, class T> requires std::same_as<D, Cpu> static void backward(D&, const Step<T>&) {}
};
struct Net : Network<Input<1, 1, 16>, Dense<16>, OnCpu, Dense<10>> {};
int main() {
  Model<Net, Cpu> model({.batch = 2});
  Predictor<Net, Unfused<Cpu>> predict(model, {.batch = 2}, Unfused<Cpu>(1));
  return predict.batch() != 2;
}
