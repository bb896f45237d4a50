#include <lamina/lamina.hpp>

#include <doctest/doctest.h>

#include "../support/integers.hpp"
#include "../support/nets.hpp"
#include "../support/replicas.hpp"
#include "../support/sanitized.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
/// The CPU step after step: no steps are joined.
struct StepAfterStep : Cpu {
  using Cpu::Cpu;
  template <class T> static constexpr bool depth_first(Index, Shape) { return false; }
  StepAfterStep alone(std::byte* arena) const {
    StepAfterStep one = *this;
    static_cast<Cpu&>(one) = Cpu::alone(arena);
    return one;
  }
};

struct Leaf : Network<Input<24, 20, 3>, Block<32>, Block<64>, Flatten, Dense<32>, ReLU, Dropout<20>, Dense<5>> {};
/// Branches, dropout, and layers that run image by image forward alone.
struct Branches : Network<Input<12, 10, 3>, Conv<32, 3>, ReLU, Residual<Conv<32, 3>, Dropout<30>, SiLU>, GELU, Block<32>, Sum<Conv<8, 1>, Sequential<DepthwiseConv<3>, Tanh, Conv<8, 3>>>, ReLU6,
                          AvgPool<2>, Flatten, Dense<4>> {};
/// Batch norms mix the samples of a batch in training, where they are measured before they begin, and not in inference.
struct Norms : Network<Input<16, 12, 3>, ConvNorm<32, 3>, ReLU, Equal<32>, MaxPool<2>, Down<64>, GlobalAvgPool, Dense<3>> {};
/// One that nothing is before, and so nothing measures, and one right behind it that is measured.
struct NormsFirst : Network<Input<9, 8, 16>, BatchNorm, BatchNorm, Conv<16, 3>, ReLU, GlobalAvgPool, Dense<3>> {};

struct Found {
  std::vector<float> scores, gradients, predicted;
  bool operator==(const Found&) const = default;
};
/// A step of training, and a prediction after it.
template <class Net, class D> Found run(Index n, int threads) {
  constexpr Index batch = 33;
  Model<Net, D> model({.batch = batch, .seed = 3}, D(threads));
  const auto x = fractions<float>(n * size(Net::input), 1);
  std::vector<std::int32_t> label;
  for (Index i = 0; i < n; ++i) label.push_back(std::int32_t(i % size(Net::output)));
  Found found;
  model.forward_training({.n = n, .x = x.data(), .label = label.data()}, 0, 7);
  found.scores.assign(model.scores(), model.scores() + n * size(Net::output));
  model.backward();
  found.gradients.assign(model.gradients(), model.gradients() + model.parameter_count);
  Predictor<Net, D> predict(model, {.batch = batch});
  for (const float* scores : {model.forward(x.data(), n), predict(x.data(), n)}) found.predicted.insert(found.predicted.end(), scores, scores + n * size(Net::output));
  return found;
}
#if defined(LAMINA_TEST_SANITIZED)
constexpr Index samples[] = {5, 33};    // it takes ten times as long
constexpr int numbers_of_threads[] = {1, 3};
#else
constexpr Index samples[] = {1, 5, 16, 33};
constexpr int numbers_of_threads[] = {1, 2, 3, 8};
#endif
template <class Net> void check() {
  INFO(name<Net>().s);
  for (Index n : samples) {
    const Found expected = run<Net, StepAfterStep>(n, 2);
    for (int threads : numbers_of_threads) {
      INFO(n << " samples, " << threads << " threads");
      CHECK(run<Net, Cpu>(n, threads) == expected);
    }
  }
}
}  // namespace

TEST_CASE("a few samples at a time or step after step: the same bits") {
  check<Leaf>(), check<Branches>(), check<Norms>(), check<NormsFirst>();
}

namespace {
/// Norms that are measured before they begin, where there are more samples than are worked on at once, and one of few pixels.
struct Measured : Network<Input<16, 12, 3>, ConvNorm<32, 3>, ReLU, Residual<ConvNorm<32, 5>, ReLU, ConvNorm<32, 1>>, ReLU, MaxPool<2>, ConvNorm<64, 3, 2>, ReLU, Conv<3, 1>, GlobalAvgPool> {};
struct Learned { std::vector<float> scores, gradients, state; };
/// A step of training on samples of a batch of n, from the first on.
Learned learn(const Cpu& dev, Index n, Index first, Index count) {
  using Net = Measured;
  Model<Net, Cpu> model({.batch = n, .seed = 3}, dev);
  const auto x = fractions<float>(n * size(Net::input), 1);
  std::vector<std::int32_t> label;
  for (Index i = 0; i < n; ++i) label.push_back(std::int32_t(i % size(Net::output)));
  model.forward_training({.n = count, .x = x.data() + first * size(Net::input), .label = label.data() + first, .whole = n}, n, 7 + first);
  Learned l;
  l.scores.assign(model.scores(), model.scores() + count * size(Net::output));
  model.backward();
  l.gradients.assign(model.gradients(), model.gradients() + model.parameter_count);
  l.state.assign(model.state(), model.state() + model.program().state);
  return l;
}
}  // namespace

TEST_CASE("replicas whose batch norms gather, each with few samples at a time or with all of its own, have the bits of one device with the whole batch") {
  for (const int replicas : {2, 8}) {
    constexpr Index n = 33;
    const Learned whole = learn(Cpu(2), n, 0, n);
    std::vector<Learned> apart{std::size_t(replicas)};
    on_replicas(replicas, n, shares, true, [&](int rank, const Replica& replica, Index first, Index count) {
      Cpu dev(1 + 7 * (rank % 2));                       // the samples of one with 8 threads are few
      dev.replica = replica;
      apart[std::size_t(rank)] = learn(dev, n, first, count);
    });
    std::vector<float> scores;
    std::vector<std::vector<float>> gradients;
    for (const Learned& l : apart) {
      CHECK(l.state == whole.state);
      scores.insert(scores.end(), l.scores.begin(), l.scores.end()), gradients.push_back(l.gradients);
    }
    CHECK(scores == whole.scores);
    CHECK(sum_of_ranks(gradients) == whole.gradients);
  }
}

TEST_CASE("which steps are joined") {
  const auto joined = [](const auto& table, bool back) {
    std::string marks;
    for (int i = 0; i < table.count; ++i) marks += (back ? table.rows[i].joined_back : table.rows[i].joined) ? '1' : '0';
    return marks;
  };
  CHECK(joined(Program<Leaf, Cpu, float>::table, false) == "0100000");       // Flatten and what follows see 30 pixels and fewer
  CHECK(joined(Program<Leaf, Cpu, float>::table, true) == "0100000");
  CHECK(joined(Program<Leaf, Cpu, double>::table, true) == "0000000");       // only kernels in vectors gather
  const auto measured = [](const auto& table) {
    std::string marks;
    for (int i = 0; i < table.count; ++i) marks += table.rows[i].measured ? '1' : '0';
    return marks;
  };
  // Conv, BatchNorm with ReLU, Split, Conv, BatchNorm with ReLU, Conv, BatchNorm, Add with ReLU, MaxPool: a batch norm begins a stretch, and the step before it measures for it.
  CHECK(joined(Program<Norms, Cpu, float>::table, false).starts_with("001101011"));
  CHECK(measured(Program<Norms, Cpu, float>::table).starts_with("010010100"));
  CHECK(measured(Inference<Norms, Cpu, float>::table).find('1') == std::string::npos);
  CHECK(measured(Program<Norms, StepAfterStep, float>::table).find('1') == std::string::npos);
  CHECK(joined(Inference<Norms, Cpu, float>::table, false).find("11111") != std::string::npos);
  CHECK(joined(Program<Leaf, StepAfterStep, float>::table, false) == "0000000");
  CHECK(joined(Program<Leaf, Unfused<Cpu>, float>::table, false).find('1') == std::string::npos);
  CHECK(Program<Leaf, Cpu, float>::inference.bytes < Program<Leaf, StepAfterStep, float>::inference.bytes);
}
