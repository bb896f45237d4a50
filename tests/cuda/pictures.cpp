/// Pictures that come to a GPU as bytes, batch after batch: each step reads those of its own batch, in whatever order the queues run.
#include "../support/gpu.hpp"

#include <lamina/cuda/augment.hpp>
#include <lamina/data/mixing.hpp>
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
  LAMINA_DEVICE static void run(const float* x, const std::int32_t* label, const float* target, int picture, float* seen) {   // (N, picture), (N), (N, 2) or null, (N, picture + 3)
    const int i = block_index().x, t = thread_index();
    seen += i * (picture + 3);
    for (int k = t; k < picture; k += threads) store(seen + k, load(x + i * picture + k));
    if (t == 0) store(seen + picture, float(load(label + i)));
    if (t < 2) store(seen + picture + 1 + t, target ? load(target + 2 * i + t) : 0.f);
  }
};
}  // namespace lamina::pictures_test::inline LAMINA_SIMT

namespace {
constexpr Shape shape{4, 5, 3};
constexpr Index picture = size(shape), most = 6, steps = 9;

/// A data set, and batches of it; what it handed out before is no longer what it was.
struct Source {
  Index samples;
  std::vector<std::uint8_t> data, handed = std::vector<std::uint8_t>((1 + most) * picture);        // of what the first is mixed with, and of the batch, as the next two
  std::vector<const std::uint8_t*> pixels = std::vector<const std::uint8_t*>(1 + most);
  std::vector<Changes> changes = std::vector<Changes>(1 + most);
  std::vector<std::int32_t> label = std::vector<std::int32_t>(most);
  std::vector<float> target = std::vector<float>(2 * most);
  std::vector<std::atomic<bool>> kept;
  Pictures pictures{std::make_shared<char>(), 0, shape, {}, {}, nullptr, nullptr, nullptr};
  Index n = 0;

  Source(Index count, std::uint64_t seed) : samples(count), data(std::size_t(count * picture)), kept(std::size_t(count)) {
    const Random random(seed, Stream::test);
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = std::uint8_t(random.below(Index(i), 256));
    pictures.samples = count, pictures.pixels = pixels.data() + 1, pictures.changes = changes.data() + 1, pictures.kept = kept.data();
  }
  void next(Index step) {
    n = step % 3 == 2 ? most - 3 : most;
    pictures.mixing = {.share = step % 3 == 1 ? 0.25f : 1, .box = step % 4 == 3 ? Rectangle{1, 1, 2, 3} : Rectangle()};
    for (Index i = -1; i < n; ++i) {
      const Index place = (step * 4 + (i + samples) * (step % 2 ? 1 : 3)) % samples;           // neighbours, and others
      std::copy_n(data.begin() + place * picture, picture, handed.begin() + (i + 1) * picture);
      pixels[std::size_t(i + 1)] = kept[std::size_t(place)] ? nullptr : handed.data() + (i + 1) * picture;
      Changes& c = changes[std::size_t(i + 1)] = Changes();
      c.place = place, c.flip_horizontal = (step + i) % 2 == 0, c.channel_shift = step % 4 ? 0 : 60;
    }
    for (Index i = 0; i < n; ++i) label[std::size_t(i)] = std::int32_t(100 * step + i), target[std::size_t(2 * i)] = float(step + 10 * i), target[std::size_t(2 * i + 1)] = float(i);
  }
  const float* targets() const { return pictures.mixing.off() ? nullptr : target.data(); }
  /// What a step shall see, as Step leaves it.
  void expect(std::vector<float>& all) const {
    detail::Scratch scratch;
    std::vector<float> x((n + 1) * picture);
    for (Index i = 0; i <= n; ++i)
      lamina::detail::change_picture<3>(handed.data() + i * picture, {shape.h, shape.w}, changes[std::size_t(i)], pictures.common, x.data() + i * picture, scratch);
    lamina::detail::mix_rows(pictures.mixing, shape, n, x.data(), 0, shape.h, x.data() + picture);
    for (Index i = 0; i < n; ++i) {
      all.insert(all.end(), x.begin() + (i + 1) * picture, x.begin() + (i + 2) * picture);
      all.push_back(float(label[std::size_t(i)]));
      for (Index k = 0; k < 2; ++k) all.push_back(targets() ? target[std::size_t(2 * i + k)] : 0);
    }
  }
};

struct Counted {
  std::vector<float> seen, expected;
  bool right() const { return same_bits(seen, expected); }
};
/// Steps with batches of the sources by turns, on a GPU that may keep so many bytes.
Counted run(Gpu dev, Index limit, const std::vector<Source*>& sources) {
  const Buffer<Gpu, float> x(dev, most * picture), seen(dev, steps * most * (picture + 3));
  detail::PictureInputs<Gpu, float> inputs(dev, most, picture, 2, limit, x.data());
  Counted c;
  const float* last = nullptr;
  for (Index step = 0; step < steps; ++step) {
    Source& s = *sources[std::size_t(step) % sources.size()];
    s.next(step);
    s.expect(c.expected);
    const auto brought = inputs.bring(dev, s.pictures, s.label.data(), s.targets(), s.n);
    for (Index i = s.pictures.mixing.off() ? 1 : 0; i <= s.n; ++i) CHECK(s.kept[std::size_t(s.changes[std::size_t(i)].place)] == inputs.keeps(s.pictures));
    CHECK(std::exchange(last, brought.x) != brought.x);      // the step before may still read its own
    std::fill(s.handed.begin(), s.handed.end(), 0), std::fill(s.label.begin(), s.label.end(), -1), std::fill(s.changes.begin(), s.changes.end(), Changes()), std::fill(s.target.begin(), s.target.end(), -1);
    dev.template launch<pictures_test::Step>(Grid{int(s.n)}, brought.x, brought.label, brought.target, int(picture), seen.data() + c.expected.size() - s.n * (picture + 3));
  }
  c.seen.resize(c.expected.size());
  dev.download(c.seen.data(), seen.data(), c.seen.size() * sizeof(float));
  return c;
}
}  // namespace

TEST_CASE("each step reads the pictures, labels and targets of its own batch, and what it is mixed with") {
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
    const Buffer<Gpu, float> x(dev, most * picture), seen(dev, 3 * most * (picture + 3));
    const Tensor<Gpu, std::int32_t> label(dev, std::vector<std::int32_t>(most));
    detail::PictureInputs<Gpu, float> inputs(dev, most, picture, 2, 11 * picture, x.data());
    const std::vector<float> numbers(most * picture, 0.5f);
    const auto step = [&](const float* of, Index at) {
      dev.template launch<pictures_test::Step>(Grid{int(most)}, of, static_cast<const std::int32_t*>(label.data()), static_cast<const float*>(nullptr), int(picture), seen.data() + at * most * (picture + 3));
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
    for (Index i = 0; i < most; ++i) CHECK(std::count(found.begin() + (most + i) * (picture + 3), found.begin() + (most + i) * (picture + 3) + picture, 0.5f) == picture);
  }
}
