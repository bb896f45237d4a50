/// Replicas that mix the pictures of a batch with those of others' parts: one model's bits.
#include <doctest/doctest.h>

#include <lamina/lamina.hpp>
#include <lamina/parallel.hpp>

using namespace lamina;

namespace {
struct Net : Network<Input<6, 5, 3>, Conv<4, 3>, BatchNorm, ReLU, MaxPool<2>, Flatten, Dense<3>> {};

Dataset garden(Index count, std::uint64_t seed) {
  Dataset d{{"a", "b", "c"}, {}, "garden"};
  const Random random(seed, Stream::test);
  for (Index i = 0; i < count; ++i) {
    Picture p{6, 5, 3, {}};
    for (Index k = 0; k < size(p.shape()); ++k) p.pixels.push_back(std::uint8_t(random.below(i * 1000 + k, 256)));
    d.add(std::move(p), std::int32_t(i % 3));
  }
  return d;
}
struct Ended {
  std::vector<float> w;
  std::vector<double> losses;
  bool operator==(const Ended&) const = default;
};
template <class M> Ended train(M& model) {
  AugmentationIterator pictures(garden(37, 1), {.size = {6, 5}, .batch = 16, .seed = 3, .horizontal_flip = true, .mixup = 0.5, .cutmix = 1, .mixed_batches = 0.9, .workers = 1});
  EvaluationIterator validation(garden(7, 2), {.size = {6, 5}, .batch = 5, .workers = 1});
  Ended e;
  for (const EpochRow& row : fit(model, pictures, validation, Adam{.rate = 1e-2}, Constant{}, {.epochs = 3}).history) e.losses.insert(e.losses.end(), {row.loss, row.accuracy, row.val_loss});
  e.w.assign(model.parameters(), model.parameters() + model.program().parameters);
  return e;
}
}  // namespace

TEST_CASE("replicas mix pictures over the edges of their parts") {
  for (const CrossEntropy<>& loss : {CrossEntropy<>{}, CrossEntropy<>{.smoothing = 0.1, .class_weights = {1, 3.7, 0.4}}}) {
    Model<Net, Cpu> one({.batch = 16, .seed = 1, .loss = loss}, Cpu(2));
    const Ended expected = train(one);
    for (const int ranks : {2, 4, 8}) {
      std::vector<Ended> found(static_cast<std::size_t>(ranks));
      LocalGroup(ranks).run([&](auto& rank) {
        DataParallel<Model<Net, Cpu>> model({.batch = 16, .seed = 1, .loss = loss}, rank, {}, Cpu(1));
        found[std::size_t(rank.rank())] = train(model);
      });
      for (const Ended& e : found) CHECK(e == expected);
    }
  }
}
