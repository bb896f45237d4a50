#include <lamina/data/image_folder.hpp>
#include <lamina/data/iterator.hpp>

#include <set>

#include <doctest/doctest.h>

#include "../support/temporary.hpp"
#include "pictures.hpp"

using namespace lamina;
using lamina_test::noise, lamina_test::says, lamina_test::sentence;

namespace {
/// 45 pictures of three classes, some to be resized.
Dataset garden() {
  Dataset d{{"a", "b", "c"}, {}, "garden"};
  for (int i = 0; i < 45; ++i) d.add(noise(i % 4 ? 16 : 20, 12, 3, std::uint64_t(i)), i % 3);
  return d;
}
AugmentationOptions everything(int workers, int prefetch = 2) {
  return {.size = {16, 12}, .batch = 8, .seed = 7, .rotation = 10, .shear = 5, .zoom = 0.2, .horizontal_flip = true, .brightness = {0.8, 1.2}, .contrast = 0.2,
          .crop_padding = 2, .erase = 0.3, .workers = workers, .prefetch = prefetch};
}
std::uint64_t hash(const Batch& b, Index numbers) {
  std::uint64_t h = 0xcbf29ce484222325u;
  const auto eat = [&](const void* p, std::size_t n) { for (std::size_t i = 0; i < n; ++i) h = (h ^ static_cast<const unsigned char*>(p)[i]) * 0x100000001b3u; };
  eat(b.x, std::size_t(b.n * numbers) * sizeof(float));
  eat(b.label, std::size_t(b.n) * sizeof(std::int32_t));
  eat(&b.first, sizeof b.first);
  return h;
}
template <class It> std::vector<std::uint64_t> epoch(It& it, Index number, Index first = 0) {
  std::vector<std::uint64_t> all;
  it.start(number, first);
  for (Batch b; it.next(b);) all.push_back(hash(b, size(it.shape())));
  return all;
}
}  // namespace

TEST_CASE("iterator: the stream has the same bits for any number of workers and any prefetch, in any epoch") {
  AugmentationIterator one(garden(), everything(1, 1));
  const auto first = epoch(one, 0), second = epoch(one, 1);
  CHECK(first.size() == 6);
  CHECK(first != second);
  for (const int workers : {2, 3, 8})
    for (const int prefetch : {1, 2, 9}) {
      AugmentationIterator it(garden(), everything(workers, prefetch));
      CHECK(epoch(it, 0) == first);
      CHECK(epoch(it, 1) == second);
      CHECK(epoch(it, 0) == first);
    }
  AugmentationOptions other = everything(2);
  other.seed = 8;
  AugmentationIterator it(garden(), other);
  CHECK(epoch(it, 0) != first);
}

TEST_CASE("iterator: memory that there is not is an error that says how much, and for what") {
  Dataset d{{"a", "b"}, {}, "leaves"};
  d.add(noise(1, 1, 3), 0);
  d.samples.assign(200'000, d.samples[0]);
  CHECK(sentence([&] { EvaluationIterator(d, {.size = {16384, 16384}, .batch = 100'000, .workers = 1, .cache_bytes = 0}); }) ==
        "there is no memory for a batch of 100000 pictures, 322122547200000 bytes: take a smaller batch");
}

TEST_CASE("iterator: an epoch resumed at any batch goes on with the same bits, also in the middle of another") {
  AugmentationIterator it(garden(), everything(2, 3));
  const auto whole = epoch(it, 4);
  for (Index first = 0; first <= it.batches(); ++first) {
    CHECK(epoch(it, 4, first) == std::vector<std::uint64_t>(whole.begin() + first, whole.end()));
    it.start(9, 0);
    Batch b;
    CHECK(it.next(b));
  }
  for (int i = 0; i < 50; ++i) it.start(i, i % 6);
  CHECK(epoch(it, 4) == whole);
}

TEST_CASE("iterator: the cache changes nothing but the time") {
  const lamina_test::TemporaryFolder t;
  for (int i = 0; i < 20; ++i)
    lamina_test::write(t.path / (i % 2 ? "a" : "b") / (std::to_string(i) + ".png"), lamina_test::png(noise(20, 20, 3, std::uint64_t(i))));
  const ImageFolder folder(t.path);
  AugmentationOptions o = everything(2);
  AugmentationIterator all(folder, o);
  o.cache_bytes = 5 * 16 * 12 * 3;
  AugmentationIterator some(folder, o);
  o.cache_bytes = 0;
  AugmentationIterator none(folder, o);
  for (const Index e : {0, 1}) {
    const auto expected = epoch(all, e);
    CHECK(epoch(some, e) == expected);
    CHECK(epoch(none, e) == expected);
  }
}

TEST_CASE("iterator: a training epoch shows every picture once, in another order each time; evaluation shows them in order") {
  Dataset d{{"a", "b"}, {}};
  for (int i = 0; i < 20; ++i) d.add({1, 1, 3, {std::uint8_t(i), 0, 0}}, i % 2);
  AugmentationIterator train(d, {.size = {1, 1}, .batch = 6, .rescale = 1});
  CHECK(train.samples() == 20);
  CHECK(train.batches() == 4);
  CHECK(train.batch_size() == 6);
  CHECK(AugmentationIterator(d, {.size = {1, 1}, .batch = 1 << 20}).batch_size() == 20);
  CHECK(train.shape() == Shape{1, 1, 3});
  CHECK(train.classes() == d.classes);
  std::set<std::vector<int>> orders;
  for (Index e = 0; e < 5; ++e) {
    std::vector<int> order;
    train.start(e, 0);
    Index place = 0;
    for (Batch b; train.next(b); place += b.n) {
      CHECK(b.first == place);
      CHECK(b.n == (place < 18 ? 6 : 2));
      CHECK(reinterpret_cast<std::uintptr_t>(b.x) % 64 == 0);
      for (Index i = 0; i < b.n; ++i) {
        order.push_back(int(b.x[3 * i]));
        CHECK(b.label[i] == order.back() % 2);
      }
    }
    orders.insert(order);
    CHECK(std::set<int>(order.begin(), order.end()).size() == 20);
  }
  CHECK(orders.size() == 5);
  EvaluationIterator val(d, {.size = {1, 1}, .batch = 7, .rescale = 1, .mean = {1, 0, 0}});
  for (Index e = 0; e < 2; ++e) {
    int next = 0;
    val.start(e, 0);
    for (Batch b; val.next(b);)
      for (Index i = 0; i < b.n; ++i) CHECK(b.x[3 * i] == float(next++ - 1));
    CHECK(next == 20);
  }
}

TEST_CASE("iterator: a picture is changed as draw() says for its place in the dataset, wherever it comes in the epoch") {
  Dataset d;
  for (int i = 0; i < 21; ++i) d.classes.push_back(std::to_string(i));             // the label tells which picture it is
  for (int i = 0; i < 21; ++i) d.add(noise(16, 12, 3, std::uint64_t(i)), i);
  const AugmentationOptions o = everything(2);
  AugmentationIterator it(d, o);
  std::vector<float> expected(16 * 12 * 3);
  detail::Scratch scratch;
  int at_home = 0;
  for (Index e = 0; e < 60; ++e) {
    it.start(e, 0);
    for (Batch b; it.next(b);)
      for (Index i = 0; i < b.n; ++i) {
        const int which = b.label[i];
        transform(d.samples[std::size_t(which)].picture->pixels.data(), {16, 12, 3},
                  draw(o, Random(o.seed, Stream::augmentation, 0, std::uint32_t(e)), which), o, expected.data(), scratch);
        REQUIRE(std::memcmp(b.x + i * 16 * 12 * 3, expected.data(), expected.size() * sizeof(float)) == 0);
        at_home += b.first + i == which;
      }
  }
  CHECK((at_home > 30 && at_home < 100));                                          // one an epoch is expected of 60, deviation 7.7; no order is left out
}

TEST_CASE("iterator: batches of pictures as bytes, with the changes that make the numbers of them, wherever the pictures lie") {
  const lamina_test::TemporaryFolder t;
  for (int i = 0; i < 20; ++i)
    lamina_test::write(t.path / (i % 2 ? "a" : "b") / (std::to_string(i) + ".png"), lamina_test::png(noise(16 + i % 3, 12, 3, std::uint64_t(i))));
  for (const std::size_t cache : {std::size_t(1) << 20, std::size_t(5 * 16 * 12 * 3), std::size_t(0)}) {
    AugmentationOptions o = everything(2);
    o.cache_bytes = cache;
    AugmentationIterator numbers(ImageFolder(t.path), o), pictures(ImageFolder(t.path), o);
    numbers.start(4, 0);
    CHECK(!pictures.hand_out_pictures(&o));
    CHECK(pictures.hand_out_pictures(&o) == &o);
    pictures.start(4, 1), pictures.start(4, 0);
    std::vector<float> y(16 * 12 * 3);
    detail::Scratch scratch;
    Batch a, b;
    while (numbers.next(a)) {
      REQUIRE(pictures.next(b));
      CHECK((a.n == b.n && a.first == b.first && !b.x && !a.pictures));
      CHECK((b.pictures->samples == 20 && b.pictures->shape == Shape(16, 12, 3)));
      for (Index i = 0; i < b.n; ++i) {
        CHECK(a.label[i] == b.label[i]);
        detail::change_picture<3>(b.pictures->pixels[i], {16, 12}, b.pictures->changes[i], b.pictures->common, y.data(), scratch);
        REQUIRE(std::memcmp(a.x + i * Index(y.size()), y.data(), y.size() * sizeof(float)) == 0);
      }
    }
    CHECK(!pictures.next(b));
    b.pictures->kept[7] = true;                                                    // what the taker keeps it need not be given again, and another must be
    for (const void* taker : {static_cast<const void*>(&o), static_cast<const void*>(&cache)}) {
      pictures.hand_out_pictures(taker);
      pictures.start(5, 0);
      while (pictures.next(b))
        for (Index i = 0; i < b.n; ++i) CHECK((b.pictures->pixels[i] == nullptr) == (taker == &o && b.pictures->changes[i].place == 7));
    }
    CHECK(pictures.hand_out_pictures(nullptr) == &cache);
    CHECK(says(sentence([&] { pictures.next(b); }), "before an epoch was started"));
    CHECK(epoch(pictures, 5) == epoch(numbers, 5));
  }
  EvaluationIterator one(garden(), {.size = {16, 12}}), other(garden(), {.size = {16, 12}});
  const auto source = [](EvaluationIterator& it) {
    it.hand_out_pictures(&it), it.start(0, 0);
    Batch b;
    it.next(b);
    return b.pictures->source;
  };
  CHECK(source(one) == source(one));
  CHECK(source(one) != source(other));
}

TEST_CASE("iterator: a batch holds until the next one is asked for") {
  AugmentationIterator it(garden(), everything(2, 1));
  it.start(0, 0);
  Batch b;
  while (it.next(b)) {
    const auto before = hash(b, size(it.shape()));
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    CHECK(hash(b, size(it.shape())) == before);
  }
  CHECK(!it.next(b));
  CHECK(it.waited() >= 0);
}

TEST_CASE("iterator: a damaged file is named when its batch comes, not before") {
  const lamina_test::TemporaryFolder t;
  for (int i = 0; i < 12; ++i)
    lamina_test::write(t.path / (i < 6 ? "a" : "b") / (std::to_string(i) + ".png"), lamina_test::png(noise(8, 8, 3, std::uint64_t(i))));
  lamina_test::write(t.path / "b" / "7.png", {0x89, 'P', 'N', 'G'});
  lamina_test::write(t.path / "b" / "8.png", {});
  const ImageFolder folder(t.path);                                                // in the order of names: 10 and 11 come before 6
  EvaluationIterator it(folder, {.size = {8, 8}, .batch = 4});
  it.start(0, 0);
  Batch b;
  CHECK(it.next(b));
  CHECK(it.next(b));
  for (int again = 0; again < 2; ++again)
    CHECK(says(sentence([&] { it.next(b); }), "the picture " + (t.path / "b" / "7.png").string() + " cannot be used"));
  it.start(0, 0);
  CHECK(it.next(b));
  for (const auto& bad : {check(folder), check(folder, 1), it.check()}) {
    REQUIRE(bad.size() == 2);
    CHECK(bad[0].path == t.path / "b" / "7.png");
    CHECK(says(bad[0].problem, "neither a JPEG nor a PNG"));
    CHECK(bad[1].path == t.path / "b" / "8.png");
    CHECK(says(bad[1].problem, "the file is empty"));
  }
  CHECK(says(sentence([&] { it.next(b); }), "call start(epoch, 0) first"));
  lamina_test::write(t.path / "b" / "7.png", lamina_test::png(noise(8, 8, 3)));
  lamina_test::write(t.path / "b" / "8.png", lamina_test::png(noise(8, 8, 3)));
  CHECK(it.check().empty());
  CHECK(epoch(it, 0).size() == 3);
}

TEST_CASE("iterator: misuse is an error") {
  AugmentationIterator it(garden(), everything(1));
  Batch b;
  CHECK(says(sentence([&] { it.next(b); }), "before an epoch was started"));
  CHECK(says(sentence([&] { it.start(0, 7); }), "there are 6 batches"));
  CHECK(says(sentence([&] { it.start(-1, 0); }), "epoch -1"));
  CHECK(says(sentence([] { AugmentationIterator(Dataset{{"a", "b"}, {}, "leaves"}); }), "leaves holds no pictures"));
  CHECK(says(sentence([] { AugmentationIterator(garden(), {.batch = 0}); }), "batch = 0"));
  CHECK(says(AugmentationIterator(garden(), {.shear = 0.2}).hint(), "degrees"));
}

TEST_CASE("iterator: it stops at once, wherever it is") {
  for (int i = 0; i < 30; ++i) {
    AugmentationIterator it(garden(), everything(2));
    if (i % 3 == 0) continue;
    it.start(0, 0);
    Batch b;
    for (int k = 0; k < i % 7; ++k) it.next(b);
  }
}

TEST_CASE("iterator: the leaves, two epochs of the validation set") {
  const std::filesystem::path leaves = std::filesystem::path(LAMINA_SOURCE_DIR) / "../shared/data/tomato-leaf-64/val";
  if (!std::filesystem::exists(leaves)) {
    MESSAGE("skipped: ", leaves.string(), " is not there");
    return;
  }
  const ImageFolder folder(leaves);
  EvaluationIterator it(folder, {.size = {64, 64}, .batch = 128});
  const auto first = epoch(it, 0);
  CHECK(first.size() == 8);
  CHECK(epoch(it, 1) == first);
  it.start(0, 0);
  Index n = 0;
  for (Batch b; it.next(b);)
    for (Index i = 0; i < b.n; ++i, ++n) {
      const Sample& sample = folder.samples[std::size_t(n)];
      REQUIRE(b.label[i] == sample.label);
      if (n % 50) continue;
      const Picture leaf = decode(sample.path);
      for (std::size_t k = 0; k < leaf.pixels.size(); ++k) REQUIRE(b.x[i * 64 * 64 * 3 + Index(k)] == float(leaf.pixels[k]) * float(1 / 255.0));
    }
  CHECK(n == 939);
}
