// Lesson 1: a first network. It is a type; it learns to tell three drawn shapes apart.
#include <cstdio>

#include <lamina/lamina.hpp>

#include "shapes.hpp"

template <int C> using Block = lamina::Sequential<lamina::Conv<C, 3>, lamina::ReLU, lamina::MaxPool<2>>;

struct ShapeNet : lamina::Network<lamina::Input<32, 32, 3>,
    Block<8>, Block<16>,
    lamina::Flatten, lamina::Dense<32>, lamina::ReLU, lamina::Dropout<20>, lamina::Dense<3>> {};

// The compiler knows the network before the program runs.
static_assert(ShapeNet::parameters == 34'291 && ShapeNet::output == lamina::Shape{3});

int main() {
  std::fputs(lamina::summary<ShapeNet>().c_str(), stdout);

  const auto [training, validation] = draw_shapes(600).split({.validation = 0.2, .seed = 1});
  lamina::AugmentationIterator train(training, {.size = {32, 32}, .batch = 32, .seed = 1, .zoom = 0.1, .horizontal_flip = true});
  lamina::EvaluationIterator val(validation, {.size = {32, 32}, .batch = 32});

  lamina::Model<ShapeNet, lamina::Cpu> model({.batch = 32, .seed = 1});
  const auto result = lamina::fit(model, train, val, lamina::Adam{.rate = 3e-3}, lamina::ExponentialDecay{.rate = 0.9},
                                  {.epochs = 12}, lamina::ProgressBar{}, lamina::EpochTimer{});
  return result.history.back().val_accuracy < 0.9;
}
