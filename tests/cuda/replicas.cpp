/// Replicas on GPUs, each with its part of a batch: together they have the gradients, and each sample has the loss, that they have in one model, to the bit.
#include "../support/gpu.hpp"

#include <lamina/cuda/verbs.hpp>
#include <lamina/nn/zoo.hpp>
#include <lamina/train/model.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "../support/device_data.hpp"
#include "../support/integers.hpp"
#include "../support/nets.hpp"
#include "../support/own_layer.hpp"
#include "../support/replicas.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
/// What a batch leaves.
template <class M> struct Left {
  std::vector<M> gradients, losses;
  Totals totals;
};
template <class T> std::vector<T> some(Index count, std::uint32_t step) {
  std::vector<T> v(static_cast<std::size_t>(count));
  for (Index i = 0; i < count; ++i) v[std::size_t(i)] = T(Random(5, Stream::test, step).uniform(i, -1, 1));
  return v;
}

/// A model of samples [first, first + count) of a batch of n, which are so many shares of it.
template <class Net, class T> class Member {
  using M = Master<T>;

 public:
  Member(Index batch, const Replica& replica) : model_({.batch = replica.cut(batch).begin(replica.count) + 1, .seed = 3}, device(replica)) {}

  /// The samples here of the batch, with the gradients written or added to what is there.
  Left<M> run(const std::vector<float>& x, const std::vector<std::int32_t>& label, Index n, Index first, Index count) {
    model_.reset_totals();
    model_.zero_gradients();
    model_.forward_training({.n = count, .first = first, .x = x.data() + first * size(Net::input), .label = label.data() + first, .whole = n}, n, first);
    model_.backward();
    Left<M> left{std::vector<M>(std::size_t(model_.parameter_count)), std::vector<M>(static_cast<std::size_t>(count)), model_.totals()};
    model_.device().download(left.gradients.data(), model_.gradients(), left.gradients.size() * sizeof(M));
    model_.device().download(left.losses.data(), model_.losses(), left.losses.size() * sizeof(M));
    return left;
  }

 private:
  static Gpu device(const Replica& replica) {
    Gpu dev;
    dev.replica = replica;
    return dev;
  }
  Model<Net, Gpu, T> model_;
};

/// One after another: they do not ask each other for anything.
template <class Net, class T> void check(std::initializer_list<Index> batches) {
  using M = Master<T>;
  const Index most = std::max(batches);
  Member<Net, T> one(most, {.batch = most});
  std::vector<std::vector<Left<M>>> found(4);                     // of 1, 2, 4 and 8 replicas, batch after batch
  const auto each_batch = [&](const auto& f) {
    std::uint32_t step = 0;
    for (const Index n : batches) {
      std::vector<std::int32_t> label(static_cast<std::size_t>(n));
      for (Index i = 0; i < n; ++i) label[std::size_t(i)] = std::int32_t(Random(6, Stream::test).below(i, size(Net::output)));
      f(some<float>(n * size(Net::input), step++), label, n);
    }
  };
  std::vector<Left<M>> expected;
  each_batch([&](const auto& x, const auto& label, Index n) { expected.push_back(one.run(x, label, n, 0, n)); });
  for (const Index replicas : {2, 4, 8}) {
    const Index each = shares / replicas;
    std::vector<std::vector<std::vector<M>>> gradients(expected.size());
    std::vector<std::vector<M>> losses(expected.size());
    std::vector<Totals> totals(expected.size());
    for (Index rank = 0; rank < replicas; ++rank) {
      Member<Net, T> member(most, {.first = rank * each, .count = each, .batch = most});
      std::size_t at = 0;
      each_batch([&](const auto& x, const auto& label, Index n) {
        const Index first = first_of_share(rank * each, n), count = first_of_share((rank + 1) * each, n) - first;
        const Left<M> left = member.run(x, label, n, first, count);
        gradients[at].push_back(left.gradients);
        losses[at].insert(losses[at].end(), left.losses.begin(), left.losses.end());
        for (Index i = 0; i < each; ++i) totals[at].losses[rank * each + i] = left.totals.losses[i];
        totals[at].correct += left.totals.correct;
        ++at;
      });
    }
    for (std::size_t at = 0; at < expected.size(); ++at) {
      INFO(name<Net>().s << " in " << sizeof(T) << " bytes, a batch of " << std::data(batches)[at] << " on " << replicas << " replicas");
      CHECK(same_bits(sum_of_ranks(gradients[at]), expected[at].gradients));
      CHECK(same_bits(losses[at], expected[at].losses));
      CHECK(totals[at].loss() == expected[at].totals.loss());
      CHECK(totals[at].correct == expected[at].totals.correct);
    }
  }
}

struct Own : Network<Input<5, 4, 3>, Scale, Conv<6, 3>, Scale, ReLU, Flatten, Dense<3>> {};
struct Groups : Network<Input<7, 6, 4>, Conv<8, 3, 1, 1, true, 2>, ReLU, DepthwiseConv<3>, ReLU, Flatten, Dense<3>> {};
/// Of float in tiles, of bf16 and tf32 on tensor cores.
struct Blocks : Network<Input<10, 9, 3>, Block<16>, Block<32>, Flatten, Dense<144>, ReLU, Dense<20>, Dense<4>> {};
struct Many : Network<Input<1, 1, 40>, Dense<72>, ReLU, Dense<24>, ReLU, Dense<5>> {};
struct Taps : Network<Input<9, 8, 3>, Conv<16, 3>, ReLU, Conv<16, 3>, ReLU, Conv<24, 3, 2>, ReLU, Conv<8, 1>, Flatten, Dense<72>, ReLU, Dense<5>> {};
}  // namespace

TEST_CASE("replicas have the gradients of one model") {
  check<SmallLeaf, float>({21, 8, 3});
  check<Overlap, double>({19});
  check<Groups, float>({18, 8});
  check<Own, float>({11});
}
TEST_CASE("replicas have the gradients of one model, in tiles") {
  check<Blocks, float>({19, 3});
  check<Taps, float>({17});
}
TEST_CASE("replicas have the gradients of one model, in numbers of 16 bits") {
  check<SmallLeaf, bf16>({13});
  check<Own, bf16>({11});
  check<Many, bf16>({149, 18});
}
TEST_CASE("replicas have the gradients of one model, on tensor cores") {
  check<Blocks, bf16>({35, 6});
  check<Taps, bf16>({37, 8});
}
TEST_CASE("replicas have the gradients of one model, in tf32") {
  check<Many, tf32>({83});
  check<Blocks, tf32>({19});
  check<Taps, tf32>({19});
}

namespace {
/// The gradients of gamma and beta of samples [first, first + count), by moments that are given.
template <class T> std::vector<Master<T>> norm_gradients(const Replica& replica, Index n, Shape in, Index first, Index count) {
  using M = Master<T>;
  const Index of_sample = size(in), pixels = Index(in.h) * in.w;
  const auto here = [&](std::uint32_t number) {
    const std::vector<T> all = stored<T>(fractions<M>(n * of_sample, number));
    return std::vector<T>(all.begin() + first * of_sample, all.begin() + (first + count) * of_sample);
  };
  Gpu dev;
  dev.replica = replica;
  reserve_poisoned(dev, batch_norm_arena(dev, T(), count, pixels, in.c));
  const lamina_test::Tensor<Gpu, T> x(dev, here(1)), dy(dev, here(2));
  const lamina_test::Tensor<Gpu, M> w(dev, fractions<M>(2 * room(in.c), 3)), batch(dev, fractions<M>(2 * room(in.c), 4)), dw(dev, std::vector<M>(std::size_t(2 * room(in.c))));
  batch_norm_clamp_backward(dev, Clamp{.low = 0}, count, pixels, in.c, x.data(), w.data(), batch.data(), dy.data(), static_cast<T*>(nullptr), dw.data());
  return dw.get();
}
template <class T> void check_norm(Index n, Shape in) {
  const auto whole = norm_gradients<T>({.batch = n}, n, in, 0, n);
  for (const Index replicas : {2, 4, 8}) {
    INFO(n << " samples on " << replicas << " replicas, " << sizeof(T) << " bytes");
    std::vector<std::vector<Master<T>>> found;
    for (Index rank = 0; rank < replicas; ++rank) {
      const Index each = shares / replicas, first = first_of_share(rank * each, n);
      found.push_back(norm_gradients<T>({.first = rank * each, .count = each, .batch = n}, n, in, first, first_of_share((rank + 1) * each, n) - first));
    }
    CHECK(same_bits(sum_of_ranks(found), whole));
  }
}
}  // namespace

TEST_CASE_TEMPLATE("replicas have the gradients of a batch norm", T, float, bf16) {
  check_norm<T>(19, {5, 4, 6});
  check_norm<T>(3, {9, 8, 16});
  check_norm<T>(70, {7, 6, 8});
}

namespace {
/// forward(device, first sample, samples here) of the parts of a batch of n, one after another.
template <class F> auto parts_of(Index n, Index replicas, const F& forward) {
  decltype(forward(std::declval<Gpu&>(), 0, 0)) all;
  for (Index rank = 0; rank < replicas; ++rank) {
    const Index each = shares / replicas, first = first_of_share(rank * each, n);
    Gpu dev;
    dev.replica = {.first = rank * each, .count = each, .batch = n};
    const auto part = forward(dev, first, first_of_share((rank + 1) * each, n) - first);
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}
template <class T> std::vector<T> rows(const std::vector<T>& all, Index first, Index count, Index each) { return {all.begin() + first * each, all.begin() + (first + count) * each}; }
}  // namespace

TEST_CASE("what a sample becomes does not depend on how many are here: terms in slices") {
  constexpr Index n = 150, c = 1280, o = 72;
  const std::vector<bf16> x = stored<bf16>(fractions<float>(n * c, 1)), w = stored<bf16>(fractions<float>(c * o, 2));
  const auto dense = [&]<int W>(Way<W> way) {
    return [&, way](Gpu& dev, Index first, Index count) {
      dev.reserve(std::size_t(dense_arena(dev, way, bf16(), count, c, o)));
      const lamina_test::Tensor<Gpu, bf16> here(dev, rows(x, first, count, c)), weights(dev, w), y(dev, count * o);
      dense_forward(dev, way, count, c, o, here.data(), weights.data(), static_cast<const float*>(nullptr), y.data());
      return y.get();
    };
  };
  CHECK(same_bits(parts_of(n, 8, dense(Way<0>())), parts_of(n, 1, dense(Way<0>()))));
  CHECK(same_bits(parts_of(n, 8, dense(Way<3>())), parts_of(n, 1, dense(Way<3>()))));

  constexpr Shape in(8, 8, 512), out(8, 8, 8);
  constexpr ConvSpec spec{{1, 1, 0}};
  const std::vector<bf16> pictures = stored<bf16>(fractions<float>(140 * size(in), 3)), taps = stored<bf16>(fractions<float>(512 * 8, 4));
  const auto conv = [&](Gpu& dev, Index first, Index count) {
    dev.reserve(std::size_t(conv_arena(dev, Way<3>(), bf16(), spec, in, out, count)));
    const lamina_test::Tensor<Gpu, bf16> here(dev, rows(pictures, first, count, size(in))), weights(dev, taps), y(dev, count * size(out));
    conv_forward(dev, Way<3>(), spec, in, out, count, here.data(), weights.data(), static_cast<const float*>(nullptr), y.data());
    return y.get();
  };
  CHECK(same_bits(parts_of(140, 2, conv), parts_of(140, 1, conv)));
}
