/// Pictures that come to a GPU as bytes, batch after batch: each step reads those of its own batch, in whatever order the queues run.
#include "../support/gpu.hpp"

#include <lamina/cuda/augment.hpp>
#include <lamina/data/augmentation.hpp>
#include <lamina/train/pictures.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>

#include "../support/device_data.hpp"

using namespace lamina;
using namespace lamina_test;

namespace lamina::pictures_test::inline LAMINA_SIMT {
using namespace simt;
/// What a step reads of a batch of n samples is left where nobody else leaves anything.
struct Step {
  static constexpr int threads = 64, shared_bytes = 0;
  LAMINA_DEVICE static void run(const float* x, const std::int32_t* label, int picture, float* seen) {   // (N, picture), (N), (N, picture + 1)
    const int i = block_index().x, t = thread_index();
    for (int k = t; k < picture; k += threads) store(seen + i * (picture + 1) + k, load(x + i * picture + k));
    if (t == 0) store(seen + i * (picture + 1) + picture, float(load(label + i)));
  }
};
}  // namespace lamina::pictures_test::inline LAMINA_SIMT

namespace {
constexpr Shape shape{4, 5, 3};
constexpr Index picture = size(shape), most = 6, steps = 9;

/// A data set, and batches of it; what it handed out before is no longer what it was.
struct Source {
  Index samples;
  std::vector<std::uint8_t> data, handed = std::vector<std::uint8_t>(most * picture);
  std::vector<const std::uint8_t*> pixels = std::vector<const std::uint8_t*>(most);
  std::vector<Changes> changes = std::vector<Changes>(most);
  std::vector<std::int32_t> label = std::vector<std::int32_t>(most);
  std::vector<std::atomic<bool>> kept;
  Pictures pictures{std::make_shared<char>(), 0, shape, {}, {}, nullptr, nullptr, nullptr};
  Index n = 0;

  Source(Index count, std::uint64_t seed) : samples(count), data(std::size_t(count * picture)), kept(std::size_t(count)) {
    const Random random(seed, Stream::test);
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = std::uint8_t(random.below(Index(i), 256));
    pictures.samples = count, pictures.pixels = pixels.data(), pictures.changes = changes.data(), pictures.kept = kept.data();
  }
  void next(Index step) {
    n = step % 3 == 2 ? most - 3 : most;
    for (Index i = 0; i < n; ++i) {
      const Index place = (step * 4 + i * (step % 2 ? 1 : 3)) % samples;                       // neighbours, and others
      std::copy_n(data.begin() + place * picture, picture, handed.begin() + i * picture);
      pixels[std::size_t(i)] = kept[std::size_t(place)] ? nullptr : handed.data() + i * picture, label[std::size_t(i)] = std::int32_t(100 * step + i);
      Changes& c = changes[std::size_t(i)] = Changes();
      c.place = place, c.flip_horizontal = (step + i) % 2 == 0, c.channel_shift = step % 4 ? 0 : 60;
    }
  }
  /// What a step shall see, as Step leaves it.
  void expect(std::vector<float>& all) const {
    detail::Scratch scratch;
    for (Index i = 0; i < n; ++i) {
      std::vector<float> y(picture + 1);
      lamina::detail::change_picture<3>(handed.data() + i * picture, {shape.h, shape.w}, changes[std::size_t(i)], pictures.common, y.data(), scratch);
      y.back() = float(label[std::size_t(i)]);
      all.insert(all.end(), y.begin(), y.end());
    }
  }
};

struct Counted {
  std::vector<float> seen, expected;
  bool right() const { return same_bits(seen, expected); }
};
/// Steps with batches of the sources by turns, on a GPU that may keep so many bytes.
Counted run(Gpu dev, Index limit, const std::vector<Source*>& sources) {
  const Buffer<Gpu, float> x(dev, most * picture), seen(dev, steps * most * (picture + 1));
  detail::PictureInputs<Gpu, float> inputs(dev, most, picture, 2, limit, x.data());
  Counted c;
  const float* last = nullptr;
  for (Index step = 0; step < steps; ++step) {
    Source& s = *sources[std::size_t(step) % sources.size()];
    s.next(step);
    s.expect(c.expected);
    const auto brought = inputs.bring(dev, s.pictures, s.label.data(), nullptr, s.n);
    for (Index i = 0; i < s.n; ++i) CHECK(s.kept[std::size_t(s.changes[std::size_t(i)].place)] == inputs.keeps(s.pictures));
    CHECK(std::exchange(last, brought.x) != brought.x);      // the step before may still read its own
    std::fill(s.handed.begin(), s.handed.end(), 0), std::fill(s.label.begin(), s.label.end(), -1), std::fill(s.changes.begin(), s.changes.end(), Changes());
    dev.template launch<pictures_test::Step>(Grid{int(s.n)}, brought.x, brought.label, int(picture), seen.data() + c.expected.size() - s.n * (picture + 1));
  }
  c.seen.resize(c.expected.size());
  dev.download(c.seen.data(), seen.data(), c.seen.size() * sizeof(float));
  return c;
}
}  // namespace

TEST_CASE("each step reads the pictures and labels of its own batch") {
  for (unsigned queues = 1; queues <= 6; ++queues) {
    CAPTURE(queues);
    for (const Index limit : {Index(1) << 40, 11 * picture, Index(0)}) {
      Source a(11, 1), b(7, 2);
      CHECK(run(Gpu(queues), limit, {&a, &b}).right());
      Source c(11, 3);
      CHECK(run(Gpu(queues), limit, {&c}).right());
    }
  }
}

TEST_CASE("a data set that is gone makes room for another") {
  Gpu dev;
  const Buffer<Gpu, float> x(dev, most * picture);
  detail::PictureInputs<Gpu, float> inputs(dev, most, picture, 2, 11 * picture, x.data());
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    Source s(11, seed);
    for (Index step = 0; step < 4; ++step) s.next(step), inputs.bring(dev, s.pictures, s.label.data(), nullptr, s.n);
    CHECK(inputs.keeps(s.pictures));
    Source other(1, seed);
    other.next(0), inputs.bring(dev, other.pictures, nullptr, nullptr, 1);
    CHECK(!inputs.keeps(other.pictures));
  }
}

TEST_CASE("pictures are kept where there is room for them, and some is left") {
  if constexpr (emulates) {
    const auto kept = [](auto dev, Index free) {
      Source s(11, 1);
      const Buffer<Gpu, float> x(dev, most * picture);
      if constexpr (requires { dev.set_free_bytes(free); }) dev.set_free_bytes(free);
      detail::PictureInputs<Gpu, float> inputs(dev, most, picture, 2, Index(1) << 40, x.data());
      s.next(0), inputs.bring(dev, s.pictures, nullptr, nullptr, s.n);
      return inputs.keeps(s.pictures);
    };
    CHECK(kept(Gpu(), 11 * picture * 8 / 7 + 8));
    CHECK(!kept(Gpu(), 11 * picture * 8 / 7 - 8));
  }
}

TEST_CASE("numbers that come between pictures have the place of every second batch") {
  for (unsigned queues = 1; queues <= 6; ++queues) {
    Gpu dev(queues);
    Source s(11, 1);
    const Buffer<Gpu, float> x(dev, most * picture), seen(dev, 3 * most * (picture + 1));
    const Tensor<Gpu, std::int32_t> label(dev, std::vector<std::int32_t>(most));
    detail::PictureInputs<Gpu, float> inputs(dev, most, picture, 2, 11 * picture, x.data());
    const std::vector<float> numbers(most * picture, 0.5f);
    const auto step = [&](const float* of, Index at) {
      dev.template launch<pictures_test::Step>(Grid{int(most)}, of, static_cast<const std::int32_t*>(label.data()), int(picture), seen.data() + at * most * (picture + 1));
    };
    const auto batch = [&](Index i) {
      s.next(i);
      step(inputs.bring(dev, s.pictures, nullptr, nullptr, s.n).x, i ? 2 : 0);
    };
    batch(0), batch(1), batch(3);                            // the last is that of x's place before the next
    inputs.use(dev, 0);
    dev.upload(x.data(), numbers.data(), x.bytes());
    step(x.data(), 1);
    batch(4), batch(6);
    std::vector<float> found(std::size_t(seen.count()));
    dev.download(found.data(), seen.data(), seen.bytes());
    for (Index i = 0; i < most; ++i) CHECK(std::count(found.begin() + (most + i) * (picture + 1), found.begin() + (most + i) * (picture + 1) + picture, 0.5f) == picture);
  }
}
