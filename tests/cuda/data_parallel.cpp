/// DataParallel on a GPU: replicas that are threads, each with a queue of its own, end with the bits of one model.
#include "../support/gpu.hpp"

#include <lamina/parallel.hpp>

#include <lamina/cuda/verbs.hpp>
#include <lamina/nn/zoo.hpp>
#include <lamina/train/adam.hpp>

#include <doctest/doctest.h>

#include "../parallel/replicas_train.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
struct Leaf : Network<Input<12, 12, 3>, Conv<16, 3>, ReLU, MaxPool<2>, Conv<32, 3>, ReLU, MaxPool<2>, Flatten, Dense<16>, ReLU, Dropout<20>, Dense<4>> {};
struct Norms : Network<Input<8, 8, 3>, Conv<16, 3>, BatchNorm, ReLU, zoo::BasicBlock<16, 16>, zoo::BasicBlock<16, 32, 2>, MaxPool<2>, Flatten, Dense<8>, BatchNorm, ReLU, Dense<4>> {};

template <class M> auto learned(M& model) {
  OptimizerState<Adam, Gpu, float> optimizer(model.device(), Adam{}, model.program().parameters);
  model.zero_gradients();
  model.reset_totals();
  Index step = 0;
  for (const Index n : {9, 9, 9, 3}) {
    const Samples s(model, n, step);
    model.set_clock(std::uint32_t(step++));
    model.forward_training(s.batch());
    model.learn(optimizer, 0.01);
  }
  if constexpr (requires { model.exchange(false); }) model.exchange(false);
  Trained<float> t{std::vector<float>(std::size_t(model.program().parameters)), std::vector<float>(std::size_t(model.program().state)), {}, model.totals()};
  model.device().download(t.w.data(), model.parameters(), t.w.size() * sizeof(float));
  model.device().download(t.state.data(), model.state(), t.state.size() * sizeof(float));
  return t;
}
template <class Net, class T> void check(std::initializer_list<int> numbers) {
  Model<Net, Gpu, T> one({.batch = 9, .seed = 3});
  const Trained<float> expected = learned(one);
  for (const int ranks : numbers) {
    INFO("replicas: " << ranks);
    std::vector<Trained<float>> found(static_cast<std::size_t>(ranks));
    LocalGroup(ranks).run([&](auto& rank) {
      DataParallel<Model<Net, Gpu, T>> model({.batch = 9, .seed = 3}, rank, {.bucket = 1000});
      found[std::size_t(rank.rank())] = learned(model);
    });
    for (const Trained<float>& t : found) {
      CHECK(differences(t.w, expected.w) == 0);
      CHECK(differences(t.state, expected.state) == 0);
      CHECK(t.totals.loss() == expected.totals.loss());
      CHECK(t.totals.correct == expected.totals.correct);
    }
  }
}
}  // namespace

TEST_CASE("in float") {
  check<Leaf, float>({2, 4});
  check<Norms, float>({2, 8});
}
TEST_CASE("in bf16") {
  check<Leaf, bf16>({2});
  check<Norms, bf16>({4});
}
TEST_CASE("fast replicas that would merge the moments of too many shares are refused") {
  CHECK_THROWS_WITH_AS(LocalGroup(2).run([](auto& rank) { DataParallel<Model<Norms, Gpu>> model({.batch = 9}, rank, {.parallel = Parallel::fast}); }),
                       doctest::Contains("at most 8 shares of a batch, and 2 fast replicas have 16"), Error);
}
