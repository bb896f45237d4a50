/// Steps of a training on a GPU with two queues, which are recorded and replayed: in whatever order the queues run, each waits for what it needs, and each step is that of its own batch.
#include "../support/emulator/emulated.hpp"

#include <lamina/cuda/augment.hpp>
#include <lamina/cuda/dense.hpp>
#include <lamina/cuda/loss.hpp>
#include <lamina/nn/dense.hpp>
#include <lamina/nn/pointwise.hpp>
#include <lamina/train/model.hpp>
#include <lamina/train/sgd.hpp>

#include <doctest/doctest.h>

#include <vector>

using namespace lamina;
using lamina_test::Emulated;

namespace {
struct Net : Network<Input<1, 1, 24>, Dense<40>, ReLU, Dense<128>, Dense<3>> {};
constexpr Index n = 5;

struct Data {
  std::vector<float> x = std::vector<float>(3 * n * 24);
  std::int32_t label[3 * n];
  Data() {
    const Random random(4, Stream::test);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = float(random.uniform(Index(i), -1, 1));
    for (Index i = 0; i < 3 * n; ++i) label[i] = std::int32_t(random.at(1).below(i, 3));
  }
  Batch batch(Index i) const { return {.n = i % 3 < 2 ? n : n - 2, .first = i % 3 * n, .x = x.data() + i % 3 * n * 24, .label = label + i % 3 * n}; }  // the last of an epoch is shorter
};
}  // namespace

TEST_CASE("steps have the same bits in whatever order queues run, recorded or not") {
  const Data data;
  std::vector<float> first;
  for (unsigned seed = 1; seed <= 6; ++seed) {
    CAPTURE(seed);
    Model<Net, Emulated, float> model({.batch = n, .seed = 3}, Emulated(seed));
    OptimizerState<Sgd, Emulated, float> sgd(model.device(), {.rate = 0.1, .momentum = 0.5}, model.parameter_count);
    for (Index i = 0; i < 9; ++i) {
      if (seed > 1 && i == 6) model.device().reserve(std::size_t(1) << 20);                        // what was recorded before is of an arena that is gone
      model.set_clock(std::uint32_t(i));
      model.reset_totals();
      model.forward_training(data.batch(i));
      if (seed % 2) model.learn(sgd, 0.1);
      else model.backward(), sgd.step(model.parameters(), model.gradients(), 0.1), model.zero_gradients();
      CHECK(model.totals().samples == data.batch(i).n);
    }
    std::vector<float> w(std::size_t(model.parameter_count));
    model.device().download(w.data(), model.parameters(), w.size() * sizeof(float));
    if (first.empty()) first = w;
    CHECK(w == first);
    CHECK(model.device().counters().replays > 0);
  }
}

TEST_CASE("every forward pass counts, and is of the parameters that were there when it was asked for") {
  const Data data;
  Model<Net, Emulated, float> at_once({.batch = n, .seed = 3}), later({.batch = n, .seed = 3});
  Totals totals;
  for (Index i = 0; i < 3; ++i) at_once.forward_training(data.batch(i)), totals = at_once.totals();
  for (Index i = 0; i < 3; ++i) later.forward_training(data.batch(i));
  const std::vector<float> zeros(std::size_t(later.parameter_count));
  later.device().upload(later.parameters(), zeros.data(), zeros.size() * sizeof(float));
  CHECK(later.totals().samples == 3 * n - 2);
  CHECK(later.totals().loss() == totals.loss());
}

TEST_CASE("what no kernel takes is refused when the model is made") {
  CHECK_THROWS_WITH_AS((Model<Net, Emulated, float>({.batch = 65536})), "a model for batches of 65536 samples: the kernels of a GPU take at most 65535 samples and 2147483647 pixels at once, which are 65535 of these", Error);
  CHECK_THROWS_WITH_AS((Model<Net, Emulated, float>({.batch = n}).forward_training({.n = 1})), "a batch of 1 samples has no pictures: x says where they lie", Error);
}
