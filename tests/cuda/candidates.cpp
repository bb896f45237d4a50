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
#include "../support/weights_after.hpp"

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

/// Pictures whose pixels are all the same and weights of which opposite taps are: what a sum should be is zero, and what is left of it are its roundings, which show the order in which it was made.
template <class T> void cancel(Shape in, int filters, std::vector<T>& x, std::vector<T>& w, std::vector<T>& dy) {
  const auto spread = [](Index channel) { return T(1 << channel % 4 * 3); };
  const auto same_everywhere = [&](std::vector<T>& v, int channels) {
    const std::vector<T> pixel = fractions<T>(channels, 5);
    for (std::size_t i = 0; i < v.size(); ++i) v[i] = pixel[i % std::size_t(channels)] * spread(Index(i) % channels);
  };
  same_everywhere(x, in.c), same_everywhere(dy, filters);
  const std::size_t each = std::size_t(in.c) * std::size_t(filters);
  const std::vector<T> tap = fractions<T>(Index(4 * each), 6);
  for (std::size_t i = 0; i < 4 * each; ++i) w[i] = tap[i], w[(8 - i / each) * each + i % each] = -tap[i];
  std::fill_n(w.begin() + Index(4 * each), each, T(0));
}

template <Shape in, int filters> struct PooledCandidates {
  static constexpr Shape mid{in.h, in.w, filters}, out{in.h / 2, in.w / 2, filters};
  static constexpr int way = Racing::way<bf16>(pooled_block, in, mid);

  /// The bits of y, of the codes and of dx, where the first pixel of every window won.
  static std::vector<std::uint16_t> bits(Racing& dev, Index n) {
    PooledBlock p(in, filters, n);
    cancel(in, filters, p.x, p.w, p.dy);
    const OnDevice<Gpu, bf16> x(dev, p.x), w(dev, p.w), dy(dev, p.dy);
    const OnDevice<Gpu, std::uint8_t> first(dev, std::vector<std::uint8_t>(p.dy.size()));
    OnDevice<Gpu, std::uint8_t> codes(dev, std::vector<std::uint8_t>(p.dy.size(), 99));
    OnDevice<Gpu, bf16> y(dev, Index(p.dy.size())), dx(dev, Index(p.x.size()));
    conv_relu_pool_forward(dev, Way<way>(), pooled_block, in, mid, out, n, x.data(), w.data(), static_cast<const float*>(nullptr), y.data(), codes.data());
    conv_relu_pool_backward(dev, Way<way>(), pooled_block, in, mid, out, n, x.data(), w.data(), first.data(), dy.data(), dx.data(), static_cast<float*>(nullptr), static_cast<float*>(nullptr));
    std::vector<std::uint16_t> all;
    for (const bf16 v : y.get()) all.push_back(v.bits);
    for (const std::uint8_t v : codes.get()) all.push_back(v);
    for (const bf16 v : dx.get()) all.push_back(v.bits);
    return all;
  }
  static void check(Index n, bool raced = true) {
    const PooledBlock whole(in, filters, n);
    Chosen first(0), second(1, 2), right(1, 3);
    CHECK(bits(second.dev, n) == bits(first.dev, n));
    check_whole(run_block<way>(right.dev, whole), whole);
    CHECK(second.always->asked == (raced ? 2 : 0));        // forward and backward, once each
  }
};

/// The runners of a convolution's forward pass and of the gradient of what it reads: each beside the first, with numbers that cancel where the window is 3x3, and with whole ones.
template <class T, int Number> void check_conv(const Case& c, int runners, int asked = 2) {
  Data<T> data{c};
  const Result<T> right = data.plain();
  for (int which = 1; which < runners; ++which) {
    CAPTURE(which);
    Chosen chosen(which, 3);
    const Result<T> found = data.run(chosen.dev, Way<Number>(), Data<T>::of_x);
    CHECK(same_bits(found.y, right.y));
    CHECK(same_bits(found.dx, right.dx));
    CHECK(chosen.always->asked == asked);
  }
  cancel(c.in, c.filters, data.x, data.w, data.dy);
  Chosen first(0);
  const Result<T> one = data.run(first.dev, Way<Number>(), Data<T>::of_x);
  for (int which = 1; which < runners; ++which) {
    CAPTURE(which);
    const Result<T> other = data.run(Chosen(which, 2).dev, Way<Number>(), Data<T>::of_x);
    CHECK(same_bits(other.y, one.y));
    CHECK(same_bits(other.dx, one.dx));
  }
}
template <Shape in, int filters> void check_taps(Index n) {
  check_conv<bf16, Racing::way<bf16>(ConvSpec{{3, 1, 1}, 1}, in, {in.h, in.w, filters})>({in, filters, 3, 1, 1, 1, false, n}, 2);
}
}  // namespace

TEST_CASE("conv blocks: weights that stay, tile after tile") { PooledCandidates<Shape(19, 34, 16), 48>::check(1); }
TEST_CASE("conv blocks: flat tiles, channels in several blocks") { PooledCandidates<Shape(7, 13, 48), 32>::check(2); }
TEST_CASE("conv blocks: 64 channels") { PooledCandidates<Shape(16, 10, 64), 16>::check(1); }
TEST_CASE("conv blocks: nobody else is as good for narrow pictures") { PooledCandidates<Shape(3, 6, 16), 16>::check(1, false); }

TEST_CASE("taps: large tiles") { check_taps<Shape(14, 13, 16), 32>(1); }
TEST_CASE("taps: flat tiles, channels in several blocks") { check_taps<Shape(8, 15, 48), 16>(2); }
TEST_CASE("taps: tiles of two pictures, and of one") { check_taps<Shape(8, 8, 16), 32>(3); }
TEST_CASE("products of any convolution: three tiles, of bf16 and of tf32, and two where the picture has few channels") {
  check_conv<bf16, 3>({{5, 6, 24}, 8, 3, 1, 1, 1, false, 1}, 3);
  check_conv<tf32, 3>({{5, 6, 8}, 8, 3, 2, 1, 1, false, 1}, 3);
  check_conv<bf16, 4>({{5, 6, 3}, 8, 3, 1, 1, 1, false, 1}, 2, 1);
}
TEST_CASE("products of any convolution whose terms are cut in slices have one tile") { check_conv<bf16, 3>({{3, 3, 64}, 64, 3, 1, 1, 1, false, 1}, 2, 0); }

namespace {
struct Net : Network<Input<8, 16, 16>, Conv<16, 3>, ReLU, Conv<32, 3>, ReLU, MaxPool<2>, Flatten, Dense<3>> {};
template <class D> std::vector<float> train(D dev) { return weights_after_four_steps<Net, bf16>(dev); }
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
