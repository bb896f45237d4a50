/// Iterators with the same fingerprint hand out the same.
#include <doctest/doctest.h>
#include <lamina/data/iterator.hpp>

#include <functional>
#include <set>

#include "pictures.hpp"

using namespace lamina;
using lamina_test::noise;

namespace {
Dataset garden(std::uint64_t seed = 0) {
  Dataset d{{"a", "b", "c"}, {}, "garden"};
  for (int i = 0; i < 9; ++i) d.add(noise(16, 12, 3, seed + std::uint64_t(i)), i % 3);
  return d;
}
const AugmentationOptions options{.size = {16, 12}, .batch = 4};
std::uint64_t of(const std::function<void(AugmentationOptions&)>& change, Dataset data = garden()) {
  AugmentationOptions o = options;
  change(o);
  return AugmentationIterator(std::move(data), o).fingerprint();
}
}  // namespace

TEST_CASE("each option that decides what is handed out makes another fingerprint, and each picture and label") {
  using O = AugmentationOptions;
  const std::function<void(O&)> changes[] = {
      [](O&) {}, [](O& o) { o.size = {12, 16}; }, [](O& o) { o.batch = 5; }, [](O& o) { o.seed = 1; }, [](O& o) { o.rotation = 1; }, [](O& o) { o.width_shift = 1; }, [](O& o) { o.height_shift = 1; },
      [](O& o) { o.shear = 1; }, [](O& o) { o.zoom = 0.1; }, [](O& o) { o.scale = 0.1; }, [](O& o) { o.channel_shift = 1; }, [](O& o) { o.horizontal_flip = true; }, [](O& o) { o.vertical_flip = true; },
      [](O& o) { o.brightness = 0.1; }, [](O& o) { o.contrast = 0.1; }, [](O& o) { o.saturation = 0.1; }, [](O& o) { o.hue = 0.1; }, [](O& o) { o.crop_area = {0.5, 1}; }, [](O& o) { o.crop_ratio = {1, 2}; },
      [](O& o) { o.samplewise_center = true; }, [](O& o) { o.samplewise_deviation = true; }, [](O& o) { o.mixup = 1; }, [](O& o) { o.cutmix = 1; }, [](O& o) { o.mixed_batches = 0.5; },
      [](O& o) { o.class_mode = ClassMode::categorical; }, [](O& o) { o.crop_padding = 1; }, [](O& o) { o.erase = 0.1; }, [](O& o) { o.rescale = 1; },
      [](O& o) { o.mean[0] = 0.1; }, [](O& o) { o.mean[2] = 0.1; }, [](O& o) { o.deviation[1] = 0.1; }, [](O& o) { o.fill_mode = FillMode::constant; }, [](O& o) { o.cval = 1; },
      [](O& o) { o.interpolation_order = 0; }, [](O& o) { o.keras = KerasVersion::legacy_1_1_2; }, [](O& o) { o.interpolation = Interpolation::bilinear; },
      [](O& o) { o.exif_orientation = true; }, [](O& o) { o.scaled_decoding = true; }};
  std::set<std::uint64_t> seen;
  for (const auto& change : changes) seen.insert(of(change));
  CHECK(seen.size() == std::size(changes));
  Dataset other_label = garden(), other_name = garden();
  other_label.samples[4].label = 0, other_name.samples[8].name = "c/9";
  for (const Dataset& d : {garden(1), other_label, other_name}) seen.insert(of([](O&) {}, d));
  seen.insert(EvaluationIterator(garden(), {.size = {16, 12}, .batch = 4}).fingerprint());
  seen.insert(EvaluationIterator(garden(), {.size = {16, 12}, .batch = 5}).fingerprint());
  seen.insert(EvaluationIterator(garden(), {.size = {16, 12}, .batch = 4, .samplewise_center = true}).fingerprint());
  seen.insert(EvaluationIterator(garden(), {.size = {16, 12}, .batch = 4, .samplewise_deviation = true}).fingerprint());
  CHECK(seen.size() == std::size(changes) + 7);
}

TEST_CASE("how batches are made, which part of them is handed out, and how far an epoch is does not count") {
  const auto expected = of([](auto&) {});
  CHECK(of([](auto& o) { o.workers = 1; }) == expected);
  CHECK(of([](auto& o) { o.prefetch = 5; }) == expected);
  CHECK(of([](auto& o) { o.cache_bytes = 0; }) == expected);
  CHECK(AugmentationIterator(std::make_shared<PictureStore>(garden(), Size{16, 12}), options).fingerprint() == expected);
  AugmentationIterator it(garden(), options);
  it.hand_out({4, 4});
  it.hand_out_pictures(&it);
  it.start(3, 1);
  Batch b;
  it.next(b);
  CHECK(it.fingerprint() == expected);
}
