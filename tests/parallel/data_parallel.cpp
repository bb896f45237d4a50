#include <lamina/lamina.hpp>

#include <lamina/parallel/data_parallel.hpp>
#include <lamina/parallel/local_group.hpp>

#include <doctest/doctest.h>

using namespace lamina;

namespace {
struct Small : Network<Input<12, 10, 3>, Conv<16, 3, 1, same>, ReLU, MaxPool<2>, Dropout<30>, Conv<8, 3>, ReLU, Flatten, Dense<24>, ReLU, Dense<5>> {};

/// Samples and labels of a batch.
template <class Net> struct Samples {
  std::vector<float> x;
  std::vector<std::int32_t> label;
  Samples(Index n, Index step) : x(std::size_t(n * size(Net::input))), label(std::size_t(n)) {
    const Random random(5, Stream::test, std::uint32_t(step));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = float(random.uniform(Index(i), -1, 1));
    for (std::size_t i = 0; i < label.size(); ++i) label[i] = std::int32_t(random.at(1).below(Index(i), size(Net::output)));
  }
  Batch batch() const { return {.n = std::ssize(label), .x = x.data(), .label = label.data()}; }
};

struct Trained {
  std::vector<float> w, state;
  Totals totals;
  bool operator==(const Trained& o) const { return w == o.w && state == o.state && totals.loss() == o.totals.loss() && totals.samples == o.totals.samples && totals.correct == o.totals.correct; }
};
const std::vector<Index> batches = {32, 13, 8, 3, 1, 32};

template <class M> Trained train(M& model) {
  OptimizerState<Adam, Cpu, float> optimizer(model.device(), Adam{}, model.program().parameters);
  model.zero_gradients();
  model.reset_totals();
  for (std::size_t step = 0; step < batches.size(); ++step) {
    const Samples<Small> s(batches[step], Index(step));
    model.set_clock(std::uint32_t(step));
    model.forward_training(s.batch());
    model.learn(optimizer, 0.01);
  }
  if constexpr (requires { model.exchange(false); }) model.exchange(false);
  return {{model.parameters(), model.parameters() + model.program().parameters}, {model.state(), model.state() + model.program().state}, model.totals()};
}
}  // namespace

TEST_CASE("replicas end with the bits of one model") {
  Model<Small, Cpu> one({.batch = 32, .seed = 3}, Cpu(1));
  const Trained expected = train(one);
  for (const int ranks : {1, 2, 4, 8}) {
    INFO("ranks " << ranks);
    std::vector<Trained> found(static_cast<std::size_t>(ranks));
    LocalGroup(ranks).run([&](auto& rank) {
      DataParallel<Model<Small, Cpu>, LocalGroup::Rank> model({.batch = 32, .seed = 3}, rank, {}, Cpu(1));
      found[std::size_t(rank.rank())] = train(model);
    });
    for (const Trained& t : found) CHECK(t == expected);
  }
}
