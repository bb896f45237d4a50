/// The same pictures from a folder, a tar archive, shards, and a cache file are the same epochs, for any number of workers and from any batch on.
#include <lamina/data/image_archive.hpp>
#include <lamina/data/iterator.hpp>

#include <doctest/doctest.h>

#include "../support/temporary.hpp"
#include "tar_writer.hpp"

using namespace lamina;
using lamina_test::jpeg, lamina_test::noise, lamina_test::png, lamina_test::slope, lamina_test::Tar, lamina_test::write;

namespace {
constexpr Size shown{16, 12};
AugmentationOptions options(int workers, std::size_t cache) {
  return {.size = shown, .batch = 8, .seed = 7, .rotation = 10, .shear = 5, .zoom = 0.2, .horizontal_flip = true, .crop_padding = 2, .interpolation = Interpolation::bilinear, .workers = workers,
          .cache_bytes = cache};
}
/// Of each batch of an epoch: its numbers, its labels and its place.
template <class It> std::vector<std::uint64_t> epoch(It& it, Index number, Index first = 0) {
  std::vector<std::uint64_t> all;
  it.start(number, first);
  for (Batch b; it.next(b);)
    all.push_back(Fingerprint().add_bytes(b.x, std::size_t(b.n * size(it.shape())) * sizeof(float)).add_bytes(b.label, std::size_t(b.n) * sizeof(std::int32_t)).add(b.first, b.n).value());
  return all;
}
}  // namespace

TEST_CASE("sources: folder, archive, shards and cache file hand out the same epochs, for any number of workers, and from the middle of one") {
  const lamina_test::TemporaryFolder t;
  Tar whole, even, odd, labelled;
  for (int i = 0; i < 45; ++i) {
    const std::string name = std::string(i % 3 == 0 ? "a" : i % 3 == 1 ? "a-b" : "c") + "/" + std::to_string(i) + (i % 2 ? ".png" : ".jpg");
    const auto bytes = i % 2 ? png(noise(14 + i % 5, 13, 3, std::uint64_t(i))) : jpeg(slope(20, 15 + i % 4, i));
    write(t.path / "folder" / name, bytes);
  }
  const ImageFolder folder(t.path / "folder");
  for (Index i = folder.size() - 1; i >= 0; --i) {                                 // the other way round: the order in an archive does not count
    const Sample& s = folder.samples[std::size_t(i)];
    whole.add(s.name, detail::read_file(s.path));
    (i % 2 ? odd : even).add(s.name, detail::read_file(s.path));
  }
  for (const Sample& s : folder.samples) labelled.add(s.name.substr(0, s.name.find('.')) + ".cls", std::to_string(s.label).c_str()).add(s.name, detail::read_file(s.path));
  write(t.path / "whole.tar", whole.end().bytes), write(t.path / "labelled.tar", labelled.end().bytes);
  write(t.path / "shards/0.tar", even.end().bytes), write(t.path / "shards/1.tar", odd.end().bytes);
  const Dataset data[] = {folder, ImageArchive(t.path / "whole.tar"), ImageArchive(t.path / "shards"), ImageArchive(t.path / "labelled.tar", folder.classes)};

  AugmentationIterator one(folder, options(1, 1 << 20));
  const auto first = epoch(one, 0), second = epoch(one, 1);
  REQUIRE(first.size() == 6);
  CHECK(first != second);
  EvaluationIterator in_order(folder, {.size = shown, .batch = 8, .interpolation = Interpolation::bilinear});
  const auto evaluated = epoch(in_order, 0);
  const auto check = [&](auto& it, auto& val) {
    CHECK(it.fingerprint() == one.fingerprint());
    CHECK(epoch(it, 0) == first);
    CHECK(epoch(it, 1, 4) == std::vector<std::uint64_t>(second.begin() + 4, second.end()));
    it.start(1, 0);
    Batch b;
    CHECK(it.next(b));
    for (const Index k : {0, 1, 3, 6}) CHECK(epoch(it, 1, k) == std::vector<std::uint64_t>(second.begin() + k, second.end()));
    CHECK(epoch(val, 0) == evaluated);
  };
  for (const Dataset& d : data)
    for (const int workers : {1, 2, 3, 8}) {
      CAPTURE(d.name);
      CAPTURE(workers);
      for (const std::size_t cache : {std::size_t(0), std::size_t(5 * 16 * 12 * 3), std::size_t(1) << 20}) {
        AugmentationIterator it(d, options(workers, cache));
        EvaluationIterator val(d, {.size = shown, .batch = 8, .interpolation = Interpolation::bilinear, .workers = workers, .cache_bytes = cache});
        check(it, val);
      }
      const auto pictures = std::make_shared<PictureStore>(d, shown, Interpolation::bilinear, CacheFile{t.path / "pictures", workers});
      AugmentationIterator it(pictures, options(workers, 0));
      EvaluationIterator val(pictures, {.size = shown, .batch = 8, .interpolation = Interpolation::bilinear, .workers = workers});
      check(it, val);
    }
  const auto parts = folder.split({.validation = 0.2, .seed = 3}), same = data[1].split({.validation = 0.2, .seed = 3});
  CHECK(parts.train.fingerprint() == same.train.fingerprint());
  CHECK(parts.validation.fingerprint() == same.validation.fingerprint());
}

TEST_CASE("sources: an archive that is damaged or replaced while it is in use ends the epoch with a sentence, when its batch comes") {
  const lamina_test::TemporaryFolder t;
  Tar tar;
  for (int i = 0; i < 6; ++i) tar.add((i < 3 ? "a/" : "b/") + std::to_string(i) + ".png", i == 5 ? Tar::of("none") : png(noise(8, 8, 3, std::uint64_t(i))));
  const auto path = t.path / "a.tar";
  write(path, tar.end().bytes);
  EvaluationIterator it(ImageArchive(path), {.size = {8, 8}, .batch = 2, .prefetch = 1, .cache_bytes = 0});
  const auto bad = it.check();
  REQUIRE(bad.size() == 1);
  CHECK(bad[0].path == path.string() + ": b/5.png");
  CHECK(check(ImageArchive(path)).size() == 1);
  it.start(0, 0);
  Batch b;
  CHECK((it.next(b) && it.next(b)));
  CHECK_THROWS_WITH_AS(it.next(b), doctest::Contains("b/5.png cannot be used: it is neither a JPEG nor a PNG"), Error);
  std::filesystem::resize_file(path, 2000);
  it.start(0, 0);
  CHECK_THROWS_WITH_AS(it.next(b), doctest::Contains("was changed or replaced while it was in use"), Error);
}
