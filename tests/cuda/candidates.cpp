/// Kernels that may race: each gives the bits of the first, of fractions, whose sums show the order in which they were made; and each is right.
#include "../support/gpu.hpp"
#include "../support/racing.hpp"
#include "../support/pooled_block.hpp"

#include <lamina/cuda/verbs.hpp>
#include <lamina/nn/dense.hpp>
#include <lamina/nn/pointwise.hpp>
#include <lamina/nn/pool.hpp>
#include <lamina/train/adam.hpp>
#include <lamina/train/model.hpp>

#include "../support/plain_conv.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
/// A racing device where runner `which` wins; it has so few multiprocessors that thread blocks that stay make several tiles.
struct Chosen {
  std::shared_ptr<Always> always;
  Racing dev;
  explicit Chosen(int which, unsigned seed = 1) : always(std::make_shared<Always>(which)), dev(seed) {
    dev.tune(always);
    [](auto& d) {
      if constexpr (requires { d.set_processors(Processors()); }) d.set_processors({.count = 2});
    }(dev);
  }
};

template <Shape in, int filters> void check_pooled(Index n, bool raced = true) {
  constexpr int way = Racing::way<bf16>(pooled_block, in, pooled_block.conv.over(in, filters));
  const PooledBlock p(in, filters, n, true), whole(in, filters, n);
  Chosen first(0), second(1, 2), of_whole(1, 3);
  const BlockResult expected = run_block<way>(first.dev, p);
  check_near(expected, p, true);
  CHECK(run_block<way>(second.dev, p) == expected);
  check_whole(run_block<way>(of_whole.dev, whole), whole);
  CHECK(second.always->asked == (raced ? 2 : 0));        // forward and backward, once each
}

template <Shape in, int filters> void check_taps(Index n) {
  constexpr int number = Racing::way<bf16>(ConvSpec{{3, 1, 1}, 1}, in, {in.h, in.w, filters});
  Data<bf16> data{{in, filters, 3, 1, 1, 1, true, n, {0, 6}}};
  Chosen whole(1, 3);
  const Result<bf16> right = data.plain(), found = data.run(whole.dev, Way<number>());
  CHECK(same_bits(found.y, right.y));
  CHECK(same_bits(found.dx, right.dx));
  data.x = fractions<float>(Index(data.x.size()), 7), data.w = fractions<float>(Index(data.w.size()), 8), data.dy = fractions<float>(Index(data.dy.size()), 9);
  Chosen first(0), second(1, 2);
  const Result<bf16> expected = data.run(first.dev, Way<number>()), other = data.run(second.dev, Way<number>());
  CHECK(same_bits(other.y, expected.y));
  CHECK(same_bits(other.dx, expected.dx));
  CHECK(other.dw == expected.dw);
  CHECK(second.always->asked == 2);
}
}  // namespace

TEST_CASE("conv blocks: weights that stay, tile after tile") { check_pooled<Shape(19, 34, 16), 48>(1); }
TEST_CASE("conv blocks: flat tiles, channels in several blocks") { check_pooled<Shape(7, 13, 48), 32>(2); }
TEST_CASE("conv blocks: 64 channels") { check_pooled<Shape(16, 10, 64), 16>(1); }
TEST_CASE("conv blocks: nobody else is as good for narrow pictures") { check_pooled<Shape(3, 6, 16), 16>(1, false); }

TEST_CASE("taps: large tiles") { check_taps<Shape(14, 13, 16), 32>(1); }
TEST_CASE("taps: flat tiles, channels in several blocks") { check_taps<Shape(8, 15, 48), 16>(2); }
TEST_CASE("taps: tiles of two pictures, and of one") { check_taps<Shape(8, 8, 16), 32>(3); }

namespace {
struct Net : Network<Input<8, 16, 16>, Conv<16, 3>, ReLU, Conv<32, 3>, ReLU, MaxPool<2>, Flatten, Dense<3>> {};
/// The weights after four steps, of which the last two are replayed.
template <class D> std::vector<float> train(D dev) {
  constexpr Index n = 2;
  const std::vector<float> x = [] {
    std::vector<float> v(std::size_t(n * size(Net::input)));
    const Random random(4, Stream::test);
    for (std::size_t i = 0; i < v.size(); ++i) v[i] = float(random.uniform(Index(i), -1, 1));
    return v;
  }();
  const std::int32_t label[n] = {2, 0};
  Model<Net, D, bf16> model({.batch = n, .seed = 3}, dev);
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
}  // namespace

TEST_CASE("a training has the same bits whoever runs, raced or not") {
  const std::vector<float> expected = train(Gpu());
  const auto first = std::make_shared<Always>(0), second = std::make_shared<Always>(1);
  Racing by_first(1), by_second(2), by_race(3);
  by_first.tune(first), by_second.tune(second);
  CHECK(train(by_first) == expected);
  CHECK(train(by_second) == expected);
  [&](auto& dev) {
    if constexpr (emulates) dev.tune(nullptr, [](const auto& launched) { return launched.threads == 128 ? 1e-5 : 2e-5; });     // on a GPU the estimate
  }(by_race);
  CHECK(train(by_race) == expected);
  CHECK(second->asked == 3);                                     // forward of both convolutions, and the gradient of what the second reads: nobody wants that of the pictures
}
