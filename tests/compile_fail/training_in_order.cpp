// expect: pictures are trained on in another order each time: give an AugmentationIterator
#include <lamina/lamina.hpp>
using namespace lamina;
struct Net : Network<Input<8, 8, 3>, Flatten, Dense<2>> {};
int main() {
  Model<Net, Cpu> model({.batch = 2});
  EvaluationIterator val(Dataset{});
  fit(model, val, val, Adam{}, Constant{}, {});
}
