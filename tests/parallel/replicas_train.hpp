/// A few steps of training, by one model or by replicas.
#pragma once
#include <doctest/doctest.h>

#include <lamina/cpu/cpu.hpp>
#include <lamina/nn/zoo.hpp>
#include <lamina/parallel/data_parallel.hpp>
#include <lamina/parallel/local_group.hpp>
#include <lamina/train/adam.hpp>

#include <cstring>
#include <limits>

namespace lamina_test {
using namespace lamina;

/// Samples and labels of a batch, other ones for each step.
struct Samples {
  std::vector<float> x;
  std::vector<std::int32_t> label;
  template <class M> Samples(const M& model, Index n, Index step) : x(std::size_t(n * size(model.program().input))), label(std::size_t(n)) {
    const Random random(5, Stream::test, std::uint32_t(step));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = float(random.uniform(Index(i), -1, 1));
    for (std::size_t i = 0; i < label.size(); ++i) label[i] = std::int32_t(random.at(1).below(Index(i), size(model.program().output)));
  }
  Batch batch() const { return {.n = std::ssize(label), .x = x.data(), .label = label.data()}; }
};

/// What a training ends with.
template <class T> struct Trained {
  std::vector<T> w, state, remembered;
  Totals totals;
};
/// Numbers that are not the same to the bit.
template <class T> Index differences(const std::vector<T>& a, const std::vector<T>& b) {
  Index count = Index(a.size() != b.size());
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) count += std::memcmp(&a[i], &b[i], sizeof(T)) != 0;
  return count;
}

inline constexpr Index largest_batch = 21, batches[] = {21, 13, 8, 3, 1, 21};

template <class M, class O = Adam> auto train(M& model, const O& how = {}) {
  using T = typename M::Parameter;
  OptimizerState<O, typename M::DeviceType, T> optimizer(model.device(), how, model.program().parameters);
  model.zero_gradients();
  model.reset_totals();
  for (Index i = 0; i < optimizer.state_count(); i += 3) optimizer.state()[i] = std::numeric_limits<T>::denorm_min() * T(i % 7);      // as what is remembered of a dead unit
  Index step = 0;
  for (const Index n : batches) {
    const Samples s(model, n, step);
    model.set_clock(std::uint32_t(step++));
    model.forward_training(s.batch());
    model.learn(optimizer, 0.01);
  }
  if constexpr (requires { model.exchange(false); }) model.exchange(false);
  return Trained<T>{{model.parameters(), model.parameters() + model.program().parameters}, {model.state(), model.state() + model.program().state},
                    {optimizer.state(), optimizer.state() + optimizer.state_count()}, model.totals()};
}

template <class Net, class T> void check_replicas() {
  using M = Model<Net, Cpu, T>;
  M one({.batch = largest_batch, .seed = 3}, Cpu(1));
  const Trained<T> expected = train(one);
  for (const int ranks : {1, 2, 4, 8}) {
    INFO("replicas: " << ranks);
    std::vector<Trained<T>> found(static_cast<std::size_t>(ranks));
    LocalGroup(ranks).run([&](auto& rank) {
      DataParallel<M> model({.batch = largest_batch, .seed = 3}, rank, {.bucket = 1000}, Cpu(1));
      found[std::size_t(rank.rank())] = train(model);
    });
    for (const Trained<T>& t : found) {
      CHECK(differences(t.w, expected.w) == 0);
      CHECK(differences(t.state, expected.state) == 0);
      CHECK(differences(t.remembered, expected.remembered) == 0);
      CHECK(t.totals.loss() == expected.totals.loss());
      CHECK(t.totals.samples == expected.totals.samples);
      CHECK(t.totals.correct == expected.totals.correct);
    }
  }
}

}  // namespace lamina_test
