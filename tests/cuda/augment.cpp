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
  template <class T> std::vector<T> on_gpu(const AugmentationOptions& o, const std::vector<Transform>& t) const {
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
    const Tensor<Gpu, T> y(dev, Index(t.size()) * size(shape));
    augment(dev, shape, Index(t.size()), pictures.data(), on_device.data(), common_changes(o), whole, y.data());
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
    for (const bool linear : {true, false}) {
      CAPTURE(int(fill));
      check<float>({.rotation = 180, .width_shift = 0.7, .height_shift = 3, .shear = 30, .zoom = {0.3, 4}, .horizontal_flip = true, .vertical_flip = true, .fill_mode = fill, .cval = 130.5, .linear = linear});
      check<bf16>({.shear = 30, .zoom = {0.3, 4}, .horizontal_flip = true, .fill_mode = fill, .cval = -3, .linear = linear}, 3);
    }
}

TEST_CASE("whole shifts: places on the edge of a picture are not beyond it") {
  for (const FillMode fill : {FillMode::constant, FillMode::reflect, FillMode::wrap})
    for (const bool linear : {true, false}) {
      const AugmentationOptions o{.fill_mode = fill, .cval = 77, .linear = linear};
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
  check<float>({.rotation = 30, .channel_shift = 90, .brightness = {0.2, 1.9}, .fill_mode = FillMode::constant, .cval = 300});
}

TEST_CASE("contrast: the bits but for the last of the mean grey, which is a sum in another order") {
  const AugmentationOptions o{.rotation = 20, .channel_shift = 40, .brightness = {0.5, 1.5}, .contrast = {0, 2}, .saturation = {0.2, 2}, .rescale = 1};
  for (const Shape s : {Shape(7, 8, 3), Shape(5, 7, 1), Shape(40, 23, 3)}) {
    const Batch batch(s);
    const auto t = drawn(o, s, 9);
    const auto expected = batch.on_cpu<float>(o, t), found = batch.on_gpu<float>(o, t);
    double worst = 0;
    for (std::size_t i = 0; i < found.size(); ++i) worst = std::max(worst, std::abs(double(found[i]) - double(expected[i])));
    CHECK(worst <= 1e-4);                                       // of 255
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
      augment(dev, batch.shape, Batch::samples, x.data(), changes.data(), {}, false, y.data());
      const auto& moved = dev.counters();
      CHECK(moved.launches == 1);
      CHECK(moved.distinct_read_bytes == Batch::samples * (64 * 64 * 3 + Index(sizeof(Changes))));
      CHECK(moved.distinct_written_bytes == Batch::samples * 64 * 64 * 3 * 2);
      CHECK(moved.written_bytes == moved.distinct_written_bytes);  // whole sectors, each once
      CHECK(moved.bank_conflicts <= moved.shared_wavefronts / 2);
    }
  };
  count(Gpu());
}
