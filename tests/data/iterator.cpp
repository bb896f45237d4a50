#include <lamina/data/image_folder.hpp>
#include <lamina/data/iterator.hpp>

#include <latch>
#include <set>

#include <doctest/doctest.h>

#include "../support/temporary.hpp"
#include "decoded.hpp"
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

/// A sample as it was handed out.
struct Shown {
  Index place;                 // in the order of the epoch
  std::int32_t label;
  std::vector<float> x;
  bool operator==(const Shown&) const = default;
};
struct ShownBatch {
  Index whole, first;
  std::vector<Shown> samples;
  bool operator==(const ShownBatch&) const = default;
};
template <class It> std::vector<ShownBatch> shown(It& it, Index number, Index first = 0) {
  const Shape s = it.shape();
  detail::Scratch scratch;
  std::vector<ShownBatch> all;
  it.start(number, first);
  for (Batch b; it.next(b);) {
    all.push_back({b.whole, b.first, {}});
    REQUIRE((b.label && (b.x || (b.pictures->pixels && b.pictures->changes))));
    for (Index i = 0; i < b.n; ++i) {
      all.back().samples.push_back({b.first + i, b.label[i], std::vector<float>(std::size_t(size(s)))});
      float* const x = all.back().samples.back().x.data();
      if (b.x) std::copy_n(b.x + i * size(s), size(s), x);
      else detail::change_picture<3>(b.pictures->pixels[i], {s.h, s.w}, b.pictures->changes[i], b.pictures->common, x, scratch);
    }
  }
  return all;
}
/// Files of 24 pictures that decoded.hpp counts.
ImageFolder odd_files(const std::filesystem::path& folder) {
  for (int i = 0; i < 24; ++i)
    lamina_test::write(folder / (i % 2 ? "a" : "b") / (std::to_string(i) + ".png"), lamina_test::png(noise(lamina_test::odd_h, lamina_test::odd_w, 3, std::uint64_t(i))));
  return ImageFolder(folder);
}
}  // namespace

TEST_CASE("iterator: the stream has the same bits for any number of workers and any prefetch, in any epoch") {
  AugmentationIterator one(garden(), everything(1, 1));
  const auto first = epoch(one, 0), second = epoch(one, 1);
  CHECK(first.size() == 6);
  CHECK(first != second);
  for (const int workers : {2, 3, 8})
    for (const int prefetch : {0, 1, 2, 9}) {
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

TEST_CASE("iterator: the parts of all replicas put together are the whole, sample by sample and to the bit, wherever an epoch begins") {
  Dataset d;
  for (int i = 0; i < 37; ++i) d.classes.push_back(std::to_string(i));             // the label tells which picture it is
  for (int i = 0; i < 37; ++i) d.add(noise(i % 4 ? 16 : 20, 12, 3, std::uint64_t(i)), i);
  using Cut = std::vector<std::pair<Index, Index>>;                                // first and count of each replica
  const std::vector<std::pair<Index, Cut>> cuts{{8, {{0, 8}}}, {8, {{0, 4}, {4, 4}}}, {8, {{0, 2}, {2, 2}, {4, 2}, {6, 2}}},
                                                {8, {{0, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}, {6, 1}, {7, 1}}}, {8, {{0, 3}, {3, 4}, {7, 1}}}, {3, {{0, 1}, {1, 2}}}};
  for (const Index batch : {16, 5})
    for (const bool as_pictures : {false, true})
      for (const std::size_t cache : {std::size_t(1) << 20, std::size_t(0)}) {
        AugmentationOptions o = everything(2);
        o.batch = batch, o.cache_bytes = cache;
        AugmentationIterator all(d, o), it(d, o);
        const auto whole = shown(all, 3);
        std::set<int> seen;
        for (const ShownBatch& b : whole) {
          CHECK(b.whole == Index(b.samples.size()));
          for (const Shown& s : b.samples) seen.insert(s.label);
        }
        CHECK(seen.size() == 37);
        if (as_pictures) it.hand_out_pictures(&it);
        Index empty = 0;
        for (const auto& [of, cut] : cuts) {
          std::vector<ShownBatch> together(whole.size());
          for (const auto& [first, count] : cut) {
            it.hand_out({first, count, of});
            CHECK((it.samples() == 37 && it.batches() == Index(whole.size()) && it.batch_size() == batch));
            const auto part = shown(it, 3);
            REQUIRE(part.size() == whole.size());
            for (std::size_t k = 0; k < part.size(); ++k) {
              const Index n = whole[k].whole, begin = Index(k) * batch;
              CHECK(part[k].whole == n);
              CHECK(part[k].first == begin + first * n / of);
              for (const Shown& s : part[k].samples) {
                CHECK((s.place >= begin + first * n / of && s.place < begin + (first + count) * n / of));
                together[k].samples.push_back(s);
              }
              empty += part[k].samples.empty();
            }
            for (Index k : {Index(1), it.batches() - 1, it.batches()}) CHECK(shown(it, 3, k) == std::vector<ShownBatch>(part.begin() + k, part.end()));
          }
          for (std::size_t k = 0; k < whole.size(); ++k) CHECK(together[k].samples == whole[k].samples);
        }
        CHECK(empty == (batch == 16 ? 3 : 7 * 3 + 6 + 2 + 1 + 1));                    // by hand: of 5 in 8 parts 3 are empty, of 2 in 8 parts 6, in 4 parts 2, in each of the last two cuts 1
        it.hand_out({0, 1}), it.hand_out_pictures(nullptr), it.start(3, 0);       // numbers again, in room for few
        it.hand_out({0, 8});
        CHECK(shown(it, 3) == whole);
      }
  AugmentationIterator it(d, everything(1));
  it.hand_out_pictures(&d), it.start(0, 0);
  Batch b;
  REQUIRE(it.next(b));
  b.pictures->kept[7] = true;
  it.hand_out({0, 4});                                                          // what the taker has kept it still has
  it.start(1, 0);
  for (Index k = 0; it.next(b); ++k)
    for (Index i = 0; i < b.n; ++i) CHECK((b.pictures->pixels[i] == nullptr) == (b.pictures->changes[i].place == 7));
}

TEST_CASE("iterator: chunks of a batch, as PyTorch and TensorFlow divide it, hold the samples of the whole") {
  AugmentationOptions o = everything(2);
  o.batch = 7;                                                                     // 45 pictures: six batches, and three more
  AugmentationIterator all(garden(), o), it(garden(), o);
  const auto whole = shown(all, 2);
  for (const Index of : {1, 2, 4, 5}) {
    std::vector<ShownBatch> together(whole.size());
    for (Index chunk = 0; chunk < of; ++chunk) {
      it.hand_out({chunk, 1, of, true});
      const auto part = shown(it, 2);
      REQUIRE(part.size() == whole.size());
      for (std::size_t k = 0; k < part.size(); ++k) {
        const Index n = whole[k].whole, each = (n + of - 1) / of, first = std::min(chunk * each, n);
        CHECK((part[k].whole == n && part[k].first == Index(k) * 7 + first && Index(part[k].samples.size()) == std::min(each, n - first)));
        together[k].samples.insert(together[k].samples.end(), part[k].samples.begin(), part[k].samples.end());
      }
    }
    for (std::size_t k = 0; k < whole.size(); ++k) CHECK(together[k].samples == whole[k].samples);
  }
  CHECK(sentence([&] { it.hand_out({2, 1, 2, true}); }) == "a batch of garden has 2 chunks, and 1 from chunk 2 on were asked for: give at least one, and none that is not there");
}

TEST_CASE("iterator: a look for bad pictures ends where the machine is short of something") {
  tbb::task_arena arena(2);
  const Dataset d = garden();
  CHECK(detail::find_bad(d, arena, [](Index i) { if (i % 9 == 4) throw Error("bad"); }).size() == 5);
  CHECK_THROWS_WITH_AS(detail::find_bad(d, arena, [](Index i) { i == 7 ? throw Shortage("no memory") : throw Error("bad"); }), "no memory", Shortage);
}

TEST_CASE("iterator: shares that there are not are refused, and change nothing") {
  AugmentationIterator it(garden(), everything(1));
  it.hand_out({4, 4});
  it.start(0, 0);
  for (const Shares s : {Shares{0, -1, 1}, {0, 0, 0}, {0, 0, -1}, {0, 0, 9}, {0, 8, 1}, {0, 3, 6}, {0, 0, 1, 0}, {0, 0, 1, -8}})
    CHECK(says(sentence([&] { it.hand_out({s.first, s.count, s.of}); }), "from share " + std::to_string(s.first) + " on were asked for"));
  CHECK(sentence([&] { it.hand_out({3, 6}); }) == "a batch of garden has 8 shares, and 6 from share 3 on were asked for: give at least one, and none that is not there");
  Batch b;
  REQUIRE(it.next(b));
  CHECK((b.n == 4 && b.first == 4 && b.whole == 8));
  it.hand_out({0, 4});
  CHECK(says(sentence([&] { it.next(b); }), "before an epoch was started"));
}

TEST_CASE("iterator: several over one store decode each picture once, whoever needs it first") {
  const lamina_test::TemporaryFolder t;
  const AugmentationOptions o = everything(2);
  {
    const ImageFolder folder = odd_files(t.path);
    AugmentationIterator alone(folder, o);
    const auto expected = epoch(alone, 0), later = epoch(alone, 1);
    for (int round = 0; round < 10; ++round) {
      const auto pictures = std::make_shared<PictureStore>(folder, o.size);
      AugmentationIterator one(pictures, o), two(pictures, o);
      const int before = lamina_test::decoded;
      std::latch begin(2);
      std::vector<std::uint64_t> of_two;
      std::thread other([&] { begin.arrive_and_wait(), of_two = epoch(two, 0); });
      begin.arrive_and_wait();
      const std::vector<std::uint64_t> of_one = epoch(one, 0);
      other.join();
      CHECK(lamina_test::decoded - before == 24);
      CHECK(of_one == expected);
      CHECK(of_two == expected);
      CHECK(epoch(one, 1) == later);
      EvaluationIterator in_order(pictures, {.size = o.size, .batch = 24});
      CHECK(epoch(in_order, 0).size() == 1);
      CHECK(lamina_test::decoded - before == 24);
    }
  }
  const ImageFolder folder = odd_files(t.path);
  AugmentationIterator alone(folder, o);
  const auto whole = shown(alone, 1);
  const auto pictures = std::make_shared<PictureStore>(folder, o.size);
  AugmentationIterator one(pictures, o), two(pictures, o);
  one.hand_out({0, 4}), two.hand_out({4, 4});
  std::thread other([&] { shown(two, 0); });
  shown(one, 0);
  other.join();
  std::filesystem::remove_all(t.path);                                             // what one has decoded the other needs in the next epoch
  auto together = shown(one, 1);
  const auto rest = shown(two, 1);
  for (std::size_t k = 0; k < together.size(); ++k) together[k].samples.insert(together[k].samples.end(), rest[k].samples.begin(), rest[k].samples.end());
  CHECK(together == whole);
}

TEST_CASE("iterator: pictures that are kept in another way than it shows them are refused") {
  const auto pictures = std::make_shared<PictureStore>(garden(), Size{16, 12}, Interpolation::bicubic);
  CHECK(sentence([&] { AugmentationIterator(pictures, {.size = {16, 16}, .interpolation = Interpolation::bicubic}); }) ==
        "the pictures of garden are kept at 16x12 and an iterator is to show them at 16x16: give it the size and the interpolation of the store");
  CHECK(sentence([&] { EvaluationIterator(pictures, {.size = {16, 12}}); }) ==
        "the pictures of garden are kept at 16x12 and an iterator is to show them at 16x12 with another interpolation: give it the size and the interpolation of the store");
  CHECK(EvaluationIterator(pictures, {.size = {16, 12}, .interpolation = Interpolation::bicubic}).shape() == Shape{16, 12, 3});
  CHECK(says(sentence([] { AugmentationIterator(std::shared_ptr<PictureStore>()); }), "an iterator was given no pictures"));
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
