/// A short training, for tests that compare what two devices make of it.
#pragma once
#include <lamina/train/adam.hpp>
#include <lamina/train/model.hpp>

#include <vector>

#include "integers.hpp"

namespace lamina_test {
using namespace lamina;

/// The weights after four steps of Adam with one batch of two samples, of classes 1 and 0; on a device that records, the last two steps at least are replayed.
template <class Net, class T, class D> std::vector<float> weights_after_four_steps(D dev) {
  constexpr Index n = 2;
  const std::vector<float> x = fractions<float>(n * size(Net::input), 4);
  const std::int32_t label[n] = {1, 0};
  Model<Net, D, T> model({.batch = n, .seed = 3}, dev);
  OptimizerState<Adam, D, float> adam(model.device(), {.rate = 2e-3}, model.parameter_count);
  for (std::uint32_t i = 0; i < 4; ++i) {
    model.set_clock(i);
    model.forward_training({.n = n, .x = x.data(), .label = label});
    model.learn(adam, 2e-3);
  }
  std::vector<float> w(std::size_t(model.parameter_count));
  model.device().download(w.data(), model.parameters(), w.size() * sizeof(float));
  return w;
}

}  // namespace lamina_test
