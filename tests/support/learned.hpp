/// What a network has learned from halves of noise: the check of models that are trained in other ways and must end with the same bits.
#pragma once
#include <lamina/nn/network.hpp>
#include <lamina/nn/zoo.hpp>
#include <lamina/train/adam.hpp>

#include "halves.hpp"

namespace lamina_test {

struct LeafOfHalves : lamina::Network<lamina::Input<8, 8, 1>, lamina::Conv<16, 3>, lamina::ReLU, lamina::MaxPool<2>, lamina::Dropout<20>, lamina::Flatten, lamina::Dense<32>, lamina::ReLU, lamina::Dense<2>> {};
struct NormsOfHalves : lamina::Network<lamina::Input<8, 8, 1>, lamina::Conv<16, 3>, lamina::BatchNorm, lamina::ReLU, lamina::Flatten, lamina::Dense<32>, lamina::ReLU, lamina::Dense<2>> {};

/// Graphs that a device replays meanwhile, if it records steps: all but the first of a kind.
inline constexpr long replayed = 7;
/// Parameters and running values after 6 steps with batches of 16 and 3 with their tails of 8.
template <class M> std::vector<float> learned(M& model) {
  using lamina::Index;
  lamina::OptimizerState<lamina::Adam, typename M::DeviceType, float> optimizer(model.device(), lamina::Adam{}, model.program().parameters);
  Halves train(40, 16, 1);
  std::uint32_t step = 0;
  for (Index epoch = 0; epoch < 3; ++epoch) {
    train.start(epoch, 0);
    for (lamina::Batch b; train.next(b);) model.set_clock(step++), model.forward_training(b), model.learn(optimizer, 0.01);
  }
  const Index parameters = model.program().parameters;
  std::vector<float> all(std::size_t(parameters + model.program().state));
  model.device().download(all.data(), model.parameters(), std::size_t(parameters) * sizeof(float));
  model.device().download(all.data() + parameters, model.state(), std::size_t(model.program().state) * sizeof(float));
  return all;
}

}  // namespace lamina_test
