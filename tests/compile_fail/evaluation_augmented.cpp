// expect: pictures are evaluated as they are and in their order: give an EvaluationIterator
#include <lamina/lamina.hpp>
using namespace lamina;
struct Net : Network<Input<8, 8, 3>, Flatten, Dense<2>> {};
int main() {
  Model<Net, Cpu> model({.batch = 2});
  AugmentationIterator train(Dataset{});
  evaluate(model, train);
}
