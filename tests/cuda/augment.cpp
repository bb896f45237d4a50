/// Pictures changed on a GPU, beside what the CPU makes of them.
#include "../support/gpu.hpp"

#include <lamina/cuda/augment.hpp>
#include <lamina/data/augmentation.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "../support/device_data.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
/// A data set of noise, and n samples of it that are changed.
struct Batch {
  static constexpr Index samples = 11;
  Shape shape;
  std::vector<std::uint8_t> x;
  explicit Batch(Shape s) : shape(s), x(std::size_t(samples * size(s))) {
    const Random random(5, Stream::test);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::uint8_t(20 + random.below(Index(i), 200));
  }
  static Index place(Index i) { return (3 * i + 4) % samples; }

  template <class T> std::vector<T> on_cpu(const AugmentationOptions& o, const std::vector<Transform>& t) const {
    std::vector<float> y(t.size() * std::size_t(size(shape)));
    detail::Scratch scratch;
    for (std::size_t i = 0; i < t.size(); ++i) transform(x.data() + place(Index(i)) * size(shape), shape, t[i], o, y.data() + Index(i) * size(shape), scratch);
    return {y.begin(), y.end()};
  }
  /// Each of n mixed with the one before it; of n + 1 changes the first are those of the one before the first.
  std::vector<float> mixed_on_cpu(const AugmentationOptions& o, const std::vector<Transform>& t, const Mixing& mixing) const {
    const auto all = on_cpu<float>(o, t);
    std::vector<float> y(all.begin() + size(shape), all.end());
    for (Index i = 0; i < Index(y.size()); ++i) {
      const int row = int(i / shape.c / shape.w % shape.h), column = int(i / shape.c % shape.w);
      const auto& b = mixing.box;
      const float own = all[std::size_t(i + size(shape))], other = all[std::size_t(i)], part = mixing.share * (own - other);
      y[std::size_t(i)] = row >= b.y && row < b.y + b.h && column >= b.x && column < b.x + b.w ? other : mixing.share == 1 ? own : other + part;
    }
    return y;
  }
  template <class T> std::vector<T> on_gpu(const AugmentationOptions& o, const std::vector<Transform>& t, const Mixing& mixing = {}) const {
    Gpu dev;
    std::vector<Changes> all;
    bool whole = false;
    for (std::size_t i = 0; i < t.size(); ++i) {
      all.push_back(changes(t[i], {shape.h, shape.w}, o.keras));
      all.back().place = place(Index(i));
      whole = whole || needs_whole_picture(all.back(), common_changes(o), shape.c);
    }
    const Tensor<Gpu, std::uint8_t> pictures(dev, x);
    const Tensor<Gpu, Changes> on_device(dev, all);
    const Index before = mixing.off() ? 0 : 1, n = Index(t.size()) - before;
    const Tensor<Gpu, T> y(dev, n * size(shape));
    augment(dev, shape, n, pictures.data(), on_device.data() + before, common_changes(o), mixing, whole, y.data());
    return y.get();
  }
};

constexpr Shape shapes[] = {{5, 7, 3}, {12, 9, 1}, {7, 8, 3}, {1, 6, 3}};
std::vector<Transform> drawn(AugmentationOptions o, Shape s, Index n) {
  o.size = {s.h, s.w};
  std::vector<Transform> t;
  for (Index i = 0; i < n; ++i) t.push_back(draw(o, Random(3, Stream::augmentation, 0, 2), i));
  return t;
}
/// Pictures with these options have the CPU's bits in T, of every shape.
template <class T> void check(AugmentationOptions o, Index n = 7) {
  o.mean = {0.1, 0.2, 0.4}, o.deviation = {0.5, 0.3, 0.7};
  for (const Shape s : shapes) {
    CAPTURE(s.h);
    CAPTURE(s.c);
    if (std::min(s.h, s.w) <= o.crop_padding) continue;
    const Batch batch(s);
    const auto t = drawn(o, s, n);
    CHECK(same_bits(batch.on_gpu<T>(o, t), batch.on_cpu<T>(o, t)));
  }
}
}  // namespace

TEST_CASE("pictures as they are, gathered and normalised") { check<float>({}), check<bf16>({}), check<tf32>({}), check<double>({}); }

TEST_CASE("every fill mode, between pixels and on them, in rows that come from one row and in others") {
  for (const FillMode fill : {FillMode::nearest, FillMode::constant, FillMode::reflect, FillMode::wrap})
    for (const int order : {1, 0}) {
      CAPTURE(int(fill));
      check<float>({.rotation = 180, .width_shift = 0.7, .height_shift = 3, .shear = 30, .zoom = {0.3, 4}, .horizontal_flip = true, .vertical_flip = true, .fill_mode = fill, .cval = 130.5, .interpolation_order = order});
      check<bf16>({.shear = 30, .zoom = {0.3, 4}, .horizontal_flip = true, .fill_mode = fill, .cval = -3, .interpolation_order = order}, 3);
    }
}

TEST_CASE("splines that no kernel makes get a sentence") {
  Gpu dev;
  CHECK_THROWS_WITH_AS(augment(dev, {7, 5, 3}, 1, nullptr, nullptr, {.order = 3}, {}, false, static_cast<float*>(nullptr)), doctest::Contains("splines of order 3"), Error);
}

TEST_CASE("whole shifts: places on the edge of a picture are not beyond it") {
  for (const FillMode fill : {FillMode::constant, FillMode::reflect, FillMode::wrap})
    for (const int order : {1, 0}) {
      const AugmentationOptions o{.fill_mode = fill, .cval = 77, .interpolation_order = order};
      for (const Shape s : shapes) {
        std::vector<Transform> t;
        for (int by = -13; by <= 13; by += 2) t.emplace_back().tx = by, t.back().ty = by / 3, t.back().theta = 90.0 * (by % 4);
        const Batch batch(s);
        CHECK(same_bits(batch.on_gpu<float>(o, t), batch.on_cpu<float>(o, t)));
      }
    }
}

TEST_CASE("both versions of Keras") {
  for (const KerasVersion version : {KerasVersion::current, KerasVersion::legacy_1_1_2}) check<float>({.rotation = 20, .shear = 12, .zoom = 0.2, .brightness = {0.4, 1.6}, .keras = version}, 4);
}

TEST_CASE("crops, flips and what is erased") {
  check<float>({.horizontal_flip = true, .vertical_flip = true, .crop_padding = 4, .erase = 0.7}, 12);
  check<bf16>({.rotation = 9, .crop_padding = 4, .erase = 1});
}

TEST_CASE("colours: channel shift, brightness, saturation, one by one and together") {
  check<float>({.channel_shift = 120});
  check<float>({.brightness = {0.2, 1.9}});
  check<float>({.brightness = {0.2, 1.9}, .keras = KerasVersion::legacy_1_1_2});
  check<float>({.saturation = {0, 2.5}});
  check<bf16>({.rotation = 30, .channel_shift = 90, .brightness = {0.2, 1.9}, .saturation = {0, 2.5}, .keras = KerasVersion::legacy_1_1_2});
  check<float>({.rotation = 30, .channel_shift = 90, .brightness = {0.2, 1.9}, .fill_mode = FillMode::constant, .cval = 240});
}

TEST_CASE("a part of each picture becomes the whole, at the edge too") {
  for (const FillMode fill : {FillMode::nearest, FillMode::constant, FillMode::reflect, FillMode::wrap})
    for (const int order : {1, 0}) check<float>({.rotation = fill == FillMode::wrap ? 0. : 20., .crop_area = {0.1, 1}, .crop_ratio = {0.3, 3}, .horizontal_flip = true, .fill_mode = fill, .cval = 7, .interpolation_order = order}, 12);
}

TEST_CASE("hues are turned, and each picture has its mean and its deviation taken from it") {
  check<float>({.hue = 0.5});
  check<float>({.saturation = {0, 2}, .hue = 0.2, .samplewise_center = true});
  check<float>({.rotation = 30, .brightness = {0.3, 1.7}, .hue = 0.5, .erase = 0.5, .samplewise_center = true, .samplewise_deviation = true});
  check<bf16>({.rotation = 30, .samplewise_deviation = true}, 3);
  for (const Shape s : {Shape(40, 23, 3), Shape(24, 32, 1)}) {                  // more pixels than a block has lanes
    const AugmentationOptions o{.contrast = {0.5, 1.5}, .samplewise_center = true, .samplewise_deviation = true};
    const Batch batch(s);
    const auto t = drawn(o, s, 5);
    CHECK(same_bits(batch.on_gpu<float>(o, t), batch.on_cpu<float>(o, t)));
  }
}

TEST_CASE("pictures mixed with those before them, by shares, in boxes, and as a whole") {
  for (const Shape s : {Shape(5, 7, 3), Shape(12, 9, 1), Shape(40, 23, 3)})
    for (const Mixing& mixing : {Mixing{.share = 0.3f, .box = {}}, Mixing{.share = 0, .box = {}}, Mixing{.share = 1, .box = {1, 2, 3, 4}}, Mixing{.share = 1, .box = {0, 0, s.h, s.w}}})
      for (const AugmentationOptions& o : {AugmentationOptions{.rotation = 20, .horizontal_flip = true, .erase = 0.5}, AugmentationOptions{.channel_shift = 60, .contrast = {0.2, 2}, .samplewise_center = true}}) {
        CAPTURE(s.h);
        const Batch batch(s);
        const auto t = drawn(o, s, 6);
        const auto expected = batch.mixed_on_cpu(o, t, mixing);
        CHECK(same_bits(batch.on_gpu<float>(o, t, mixing), expected));
        std::vector<bf16> rounded(expected.begin(), expected.end());
        CHECK(same_bits(batch.on_gpu<bf16>(o, t, mixing), rounded));
      }
}

TEST_CASE("contrast: about the same mean grey, to the bit") {
  const AugmentationOptions o{.rotation = 20, .channel_shift = 40, .brightness = {0.5, 1.5}, .contrast = {0, 2}, .saturation = {0.2, 2}, .rescale = 1};
  for (const Shape s : {Shape(7, 8, 3), Shape(5, 7, 1), Shape(40, 23, 3)}) {
    const Batch batch(s);
    const auto t = drawn(o, s, 9);
    CHECK(same_bits(batch.on_gpu<float>(o, t), batch.on_cpu<float>(o, t)));
  }
}

TEST_CASE("pictures of many blocks, in packs and one by one") {
  for (const Shape s : {Shape(40, 23, 3), Shape(24, 32, 1), Shape(17, 31, 3)}) {
    const Batch batch(s);
    for (const AugmentationOptions& o : {AugmentationOptions{.rotation = 20}, AugmentationOptions{.channel_shift = 60}}) {
      const auto t = drawn(o, s, 3);
      CHECK(same_bits(batch.on_gpu<bf16>(o, t), batch.on_cpu<bf16>(o, t)));
    }
  }
}

TEST_CASE("a batch of pictures moves its bytes in and its numbers out, and little more") {
  const auto count = [](auto dev) {
    if constexpr (emulates) {
      const Batch batch({64, 64, 3});
      const Tensor<Gpu, std::uint8_t> x(dev, batch.x);
      std::vector<Changes> all(Batch::samples);
      for (std::size_t i = 0; i < all.size(); ++i) all[i].place = Index(i);
      const Tensor<Gpu, Changes> changes(dev, all);
      const Tensor<Gpu, bf16> y(dev, Batch::samples * size(batch.shape));
      dev.counters() = {};
      augment(dev, batch.shape, Batch::samples, x.data(), changes.data(), {}, {}, false, y.data());
      const auto& moved = dev.counters();
      CHECK(moved.launches == 1);
      CHECK(moved.distinct_read_bytes == (Batch::samples * (64 * 64 * 3 + Index(sizeof(Changes))) + 31) / 32 * 32);          // sectors
      CHECK(moved.distinct_written_bytes == Batch::samples * 64 * 64 * 3 * 2);
      CHECK(moved.written_bytes == moved.distinct_written_bytes);  // whole sectors, each once
      CHECK(moved.bank_conflicts <= moved.shared_wavefronts / 2);
    }
  };
  count(Gpu());
}
