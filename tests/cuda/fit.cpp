/// Pictures that a GPU keeps or is sent as bytes, and changes itself: a training leaves the bits that it leaves with pictures that came as numbers.
#include "../support/gpu.hpp"
#include <lamina/cuda/verbs.hpp>

#include <lamina/io/picture.hpp>
#include <lamina/lamina.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <type_traits>

#include "../support/plain_source.hpp"
#include "../support/temporary.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
struct Net : Network<Input<7, 5, 3>, Conv<3, 3>, ReLU, MaxPool<2>, Flatten, Dense<2>> {};
constexpr Index picture = size(Net::input), seen = 21, unseen = 7;

/// A GPU that counts allocations, and the bytes of pictures that it reads by itself: what comes in whole pictures.
struct Reads : Gpu {
  std::shared_ptr<Index> bytes = std::make_shared<Index>(0), allocations = std::make_shared<Index>(0);
  explicit Reads(unsigned seed = 1) : Gpu(seed) {}
  void upload_later(void* to, const void* from, std::size_t count) {
    if (Index(count) % picture == 0) *bytes += Index(count);
    Gpu::upload_later(to, from, count);
  }
  void* allocate(std::size_t count) { return ++*allocations, Gpu::allocate(count); }
  void* allocate_host(std::size_t count) { return ++*allocations, Gpu::allocate_host(count); }
  Reads fork() { return Reads(Gpu::fork(), *this); }

 private:
  Reads(Gpu gpu, const Reads& r) : Gpu(std::move(gpu)), bytes(r.bytes), allocations(r.allocations) {}
};

Dataset garden(Index count, std::uint64_t seed) {
  Dataset d{{"a", "b"}, {}, "garden"};
  const Random random(seed, Stream::test);
  for (Index i = 0; i < count; ++i) {
    Picture p{7 + int(i % 3 == 0), 5, 3, {}};                // some are resized, and so lie in what the iterator keeps
    for (Index k = 0; k < size(p.shape()); ++k) p.pixels.push_back(std::uint8_t(random.below(i * 1000 + k, 256)));
    d.add(std::move(p), std::int32_t(i % 2));
  }
  return d;
}
static_assert(BatchSource<PlainSource<EvaluationIterator>> && !PictureSource<PlainSource<EvaluationIterator>>);

/// How many allocations there were after the first epoch.
struct Allocations {
  const Reads& dev;
  Index first = -1, later = 0;
  void epoch(auto&) { first < 0 ? first = *dev.allocations : later = *dev.allocations - first; }
};

struct Settings {
  bool numbers = false;
  Index kept = Index(1) << 40;              // bytes of the GPU's memory
  std::size_t cache = std::size_t(1) << 20; // of the host's
  unsigned queues = 1;                      // the order in which they run
  bool mixed = false;
  Index stop_after = 0;
  std::filesystem::path folder = {};
};
/// What a training leaves, and how many bytes of pictures the GPU has read meanwhile.
struct Trace {
  std::vector<float> w;
  std::vector<double> losses;
  Index read = 0;
  bool operator==(const Trace& t) const { return w == t.w && losses == t.losses; }
};
constexpr Index epochs = 4;
template <class T> Trace train(const Settings& s) {
  AugmentationIterator train(garden(seen, 1), {.size = {7, 5}, .batch = 8, .seed = 3, .rotation = 20, .zoom = 0.2, .horizontal_flip = true, .brightness = {0.7, 1.3}, .mixup = s.mixed ? 0.4 : 0, .cutmix = s.mixed ? 1. : 0,
                            .mixed_batches = 0.8, .workers = 1, .cache_bytes = s.cache});
  EvaluationIterator val(garden(unseen, 2), {.size = {7, 5}, .batch = 5, .workers = 1, .cache_bytes = s.cache});
  const Reads dev(s.queues);
  Model<Net, Reads, T> model({.batch = 8, .seed = 1, .kept_pictures = s.kept}, dev);
  Allocations allocations{dev};
  const auto run = [&](auto& a, auto& b) {
    const FitOptions options{.epochs = epochs, .stop_after = s.stop_after};
    const Sgd sgd{.rate = 0.1, .momentum = 0.5};
    return s.folder.empty() ? fit(model, a, b, sgd, Constant{}, options, allocations) : fit(model, a, b, sgd, Constant{}, options, Checkpoint{s.folder});
  };
  PlainSource<AugmentationIterator> train_numbers{train};
  PlainSource<EvaluationIterator> val_numbers{val};
  const FitResult result = s.numbers ? run(train_numbers, val_numbers) : run(train, val);
  Trace t{std::vector<float>(std::size_t(model.parameter_count)), {}, *dev.bytes};
  CHECK(allocations.later == 0);
  for (const EpochRow& row : result.history) t.losses.insert(t.losses.end(), {row.loss, row.val_loss, row.accuracy});
  model.device().download(t.w.data(), model.parameters(), t.w.size() * sizeof(float));
  Batch b;
  train.start(0, 0);
  CHECK(train.next(b));                                      // after fit() the source is what it was before
  CHECK((b.x && !b.pictures));
  return t;
}
}  // namespace

TEST_CASE_TEMPLATE("pictures that stay on the GPU, that some of do, and that come each time: the bits of numbers that are sent", T, float, bf16) {
  const Trace numbers = train<T>({.numbers = true});
  CHECK(numbers.read == 0);
  CHECK(numbers.losses.size() == 3 * epochs);
  const Trace kept = train<T>({}), some = train<T>({.kept = seen * picture}), none = train<T>({.kept = seen * picture - 1, .cache = 4 * std::size_t(picture)});
  CHECK(kept == numbers);
  CHECK(some == numbers);
  CHECK(none == numbers);
  CHECK(kept.read == (seen + unseen) * picture);
  CHECK(some.read == (seen + epochs * unseen) * picture);
  CHECK(none.read == (epochs * seen + unseen) * picture);    // there was room for the second set
}

TEST_CASE("in whatever order the queues run") {
  const Trace first = train<float>({});
  for (unsigned queues = 2; queues <= 6; ++queues)
    for (const Index kept : {Index(0), seen * picture}) CHECK(train<float>({.kept = kept, .cache = 0, .queues = queues}) == first);
}

TEST_CASE("pictures that are mixed with each other come with their targets, wherever they lie and whichever queue is first") {
  const Trace numbers = train<float>({.numbers = true, .mixed = true});
  CHECK(numbers.losses != train<float>({.numbers = true}).losses);
  for (unsigned queues = 1; queues <= 6; ++queues)
    for (const Index kept : {Index(1) << 40, Index(0)})
      for (const std::size_t cache : {std::size_t(1) << 20, std::size_t(0)}) CHECK(train<float>({.kept = kept, .cache = cache, .queues = queues, .mixed = true}) == numbers);
  CHECK(train<bf16>({.mixed = true}) == train<bf16>({.numbers = true, .mixed = true}));
}

TEST_CASE("a training that was stopped within an epoch goes on to the bit") {
  const TemporaryFolder whole, parts;
  const Trace once = train<bf16>({.folder = whole.path});
  train<bf16>({.stop_after = 4, .folder = parts.path}), train<bf16>({.stop_after = 3, .folder = parts.path});
  CHECK(train<bf16>({.folder = parts.path}).w == once.w);
  CHECK(read_file_whole(parts.path / "last.safetensors") == read_file_whole(whole.path / "last.safetensors"));
}

namespace {
struct Removes {
  const std::filesystem::path& folder;
  void epoch(auto&) { std::filesystem::remove_all(folder); }
};
}  // namespace

TEST_CASE("what the GPU keeps is not decoded again, where the host keeps nothing") {
  const TemporaryFolder t;
  for (std::size_t i = 0; i < 10; ++i) {
    const std::vector<std::uint8_t> pixels(std::size_t(picture), std::uint8_t(20 * i));
    std::filesystem::create_directories(t.path / (i % 2 ? "a" : "b"));
    write_file_whole(t.path / (i % 2 ? "a" : "b") / (std::to_string(i) + ".png"), png_bytes(pixels.data(), {7, 5, 3}));
  }
  const ImageFolder folder(t.path);
  AugmentationIterator train(folder, {.size = {7, 5}, .batch = 4, .workers = 1, .cache_bytes = 0});
  EvaluationIterator val(folder, {.size = {7, 5}, .batch = 8, .workers = 1, .cache_bytes = 0});
  Model<Net, Reads> model({.batch = 8, .seed = 1}, Reads());
  CHECK(fit(model, train, val, Sgd{.rate = 0.1, .momentum = 0.5}, Constant{}, {.epochs = 3}, Removes{t.path}).steps == 9);
  CHECK_THROWS_AS(evaluate(model, val), Error);              // which is another's to hand out by now
}

TEST_CASE("numbers and pictures by turns, and two data sets with the same samples' places") {
  const auto run = [](bool numbers) {
    AugmentationIterator one(garden(8, 1), {.size = {7, 5}, .batch = 4, .horizontal_flip = true, .workers = 1}), two(garden(8, 2), {.size = {7, 5}, .batch = 4, .contrast = 0.5, .workers = 1});
    Model<Net, Reads> model({.batch = 4, .seed = 1}, Reads());
    OptimizerState<Sgd, Reads, float> sgd(model.device(), {.rate = 0.1}, model.parameter_count);
    std::vector<float> all;
    for (Index turn = 0; turn < 12; ++turn) {
      auto& source = turn % 2 ? one : two;
      source.hand_out_pictures(!numbers && turn % 4 != 0 ? &model : nullptr);
      source.start(turn, turn % 2);
      Batch b;
      REQUIRE(source.next(b));
      if (turn % 4 == 3) {
        std::vector<float> scores(4 * 2);
        model.device().download(scores.data(), model.evaluate(b), scores.size() * sizeof(float));
        all.insert(all.end(), scores.begin(), scores.end());
      } else model.forward_training(b), model.learn(sgd, 0.1);
    }
    std::vector<float> w(std::size_t(model.parameter_count));
    model.device().download(w.data(), model.parameters(), w.size() * sizeof(float));
    all.insert(all.end(), w.begin(), w.end());
    return all;
  };
  CHECK(run(false) == run(true));
}

TEST_CASE("pictures that no kernel changes come as numbers") {
  AugmentationIterator source(garden(4, 1), {.size = {7, 5}, .batch = 4, .rotation = 30, .interpolation_order = 3, .workers = 1});
  Model<Net, Reads> model({.batch = 4}, Reads());
  source.hand_out_pictures(&model);
  source.start(0, 0);
  Batch b;
  REQUIRE(source.next(b));
  model.forward_training(b);
  CHECK(model.totals().samples == 4);
}

TEST_CASE("pictures of another size get a sentence") {
  EvaluationIterator other(garden(4, 1), {.size = {6, 6}, .batch = 4, .workers = 1});
  Model<Net, Reads> model({.batch = 4}, Reads());
  other.hand_out_pictures(&model);
  other.start(0, 0);
  Batch b;
  REQUIRE(other.next(b));
  CHECK_THROWS_WITH_AS(model.forward_training(b), doctest::Contains("the network takes 105"), Error);
}
