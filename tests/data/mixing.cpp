/// Batches mixed by mixup and cutmix: each picture with the one before it, whoever makes them, and targets to match.
#include <lamina/data/iterator.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "pictures.hpp"

using namespace lamina;
using lamina_test::noise, lamina_test::says, lamina_test::sentence;

namespace {
constexpr int count = 37;
constexpr Shape shape{16, 12, 3};
/// Each picture is of a class of its own, so that a target tells which pictures are in it.
Dataset garden() {
  Dataset d;
  for (int i = 0; i < count; ++i) d.classes.push_back(std::to_string(i));
  for (int i = 0; i < count; ++i) d.add(noise(i % 4 ? 16 : 20, 12, 3, std::uint64_t(i)), i);
  return d;
}
AugmentationOptions options(double mixup, double cutmix, Index batch = 8) {
  return {.size = {16, 12}, .batch = batch, .seed = 7, .rotation = 10, .horizontal_flip = true, .erase = 0.3, .mixup = mixup, .cutmix = cutmix, .workers = 2};
}

/// A batch as it was handed out, its pictures as numbers whichever way they came.
struct Shown {
  Index whole, first, n;
  std::vector<float> x, target;
  bool operator==(const Shown&) const = default;
};
std::vector<Shown> shown(AugmentationIterator& it, Index epoch, Index first = 0) {
  const Index picture = size(shape), classes = Index(it.classes().size());
  std::vector<Shown> all;
  it.start(epoch, first);
  for (Batch b; it.next(b);) {
    REQUIRE((!b.label && b.target));
    Shown& s = all.emplace_back(Shown{b.whole, b.first, b.n, std::vector<float>(std::size_t(b.n * picture)), {b.target, b.target + b.n * classes}});
    if (b.x) std::copy_n(b.x, b.n * picture, s.x.data());
    else {
      const Mixing& m = b.pictures->mixing;
      const Index before = m.off() || b.n == 0 ? 0 : 1;
      std::vector<float> y(std::size_t((b.n + 1) * picture));
      detail::Scratch scratch;
      for (Index i = -before; i < b.n; ++i)
        detail::change_picture<3>(b.pictures->pixels[i], {shape.h, shape.w}, b.pictures->changes[i], b.pictures->common, y.data() + (i + 1) * picture, scratch);
      std::copy_n(y.data() + picture, b.n * picture, s.x.data());
      if (before) detail::mix_rows(m, shape, b.n, y.data(), 0, shape.h, s.x.data());
    }
  }
  return all;
}
/// The numbers in the targets, in whatever order.
std::set<float> shares_of(const Shown& s) { return {s.target.begin(), s.target.end()}; }
}  // namespace

TEST_CASE("mixing: each picture of a batch is mixed with the one before it, the first with the last, and its target says so") {
  for (const auto& [mixup, cutmix] : {std::pair{0.7, 0.0}, {0.0, 1.0}}) {
    AugmentationIterator plain(garden(), options(0, 0)), mixed(garden(), options(mixup, cutmix));
    plain.start(2, 0), mixed.start(2, 0);
    for (Batch a, b; plain.next(a);) {
      REQUIRE(mixed.next(b));
      CHECK((a.label && !a.target && !b.label && b.target && a.n == b.n && a.first == b.first));
      const float own = b.target[a.label[0]];
      for (Index i = 0; i < a.n; ++i) {
        const Index j = (i + a.n - 1) % a.n;
        for (Index k = 0; k < count; ++k) CHECK(b.target[i * count + k] == doctest::Approx(k == a.label[i] ? double(own) : k == a.label[j] ? 1 - double(own) : 0).epsilon(1e-6));
        Index others = 0;
        for (Index k = 0; k < size(shape); ++k) {
          const float x = a.x[i * size(shape) + k], z = a.x[j * size(shape) + k], y = b.x[i * size(shape) + k];
          if (mixup > 0) REQUIRE(y == doctest::Approx(double(own) * double(x) + (1 - double(own)) * double(z)).epsilon(1e-5));
          else REQUIRE((y == x || y == z));
          others += y != x;
        }
        if (cutmix > 0) CHECK(double(others) <= (1 - double(own)) * double(size(shape)) + 0.01);      // a few pixels are the same in both
        if (cutmix > 0) CHECK(double(others) >= (1 - double(own)) * double(size(shape)) * 0.6 - 3);    // what is erased in both
      }
    }
  }
}

TEST_CASE("mixing: the same bits for any number of workers, after a resume, and as bytes, wherever the pictures lie") {
  for (const auto& [mixup, cutmix] : {std::pair{0.7, 0.0}, {0.0, 1.0}, {0.4, 0.8}}) {
    AugmentationOptions o = options(mixup, cutmix);
    AugmentationIterator it(garden(), o);
    const auto expected = shown(it, 3);
    const auto next = shown(it, 4);
    for (std::size_t i = 0; i < expected.size(); ++i) CHECK(shares_of(expected[i]) != shares_of(next[i]));
    CHECK(shown(it, 3, 2) == std::vector<Shown>(expected.begin() + 2, expected.end()));
    for (const std::size_t cache : {std::size_t(1) << 20, std::size_t(0)})
      for (const int workers : {1, 3}) {
        o.cache_bytes = cache, o.workers = workers;
        AugmentationIterator other(garden(), o);
        CHECK(shown(other, 3) == expected);
        other.hand_out_pictures(&other);
        CHECK(shown(other, 3) == expected);
        other.hand_out_pictures(nullptr);
        CHECK(shown(other, 3) == expected);
      }
  }
}

TEST_CASE("mixing: the parts of all replicas put together are the whole") {
  for (const Index batch : {16, 5, 1})
    for (const bool as_pictures : {false, true}) {
      AugmentationIterator all(garden(), options(0.4, 0.8, batch)), it(garden(), options(0.4, 0.8, batch));
      const auto whole = shown(all, 1);
      if (as_pictures) it.hand_out_pictures(&it);
      for (const Index ranks : {2, 4, 8}) {
        std::vector<Shown> together(whole.size());
        for (Index rank = 0; rank < ranks; ++rank) {
          it.hand_out({rank * 8 / ranks, 8 / ranks});
          const auto part = shown(it, 1);
          REQUIRE(part.size() == whole.size());
          for (std::size_t b = 0; b < part.size(); ++b) {
            CHECK(part[b].whole == whole[b].n);
            together[b].x.insert(together[b].x.end(), part[b].x.begin(), part[b].x.end());
            together[b].target.insert(together[b].target.end(), part[b].target.begin(), part[b].target.end());
          }
        }
        for (std::size_t b = 0; b < whole.size(); ++b) CHECK((together[b].x == whole[b].x && together[b].target == whole[b].target));
      }
    }
}

TEST_CASE("mixing: shares are those of Beta(alpha, alpha), a batch has one way, and some are left alone") {
  AugmentationOptions o = options(0, 0);
  const Random random(5, Stream::mixing, 0, 1);
  constexpr Index n = 20000;
  for (const double alpha : {0.05, 0.4, 0.8, 1.0, 6.0}) {
    o.mixup = alpha;
    double sum = 0, squares = 0, with_next = 0;
    for (Index b = 0; b < n; ++b) {
      const BatchMixing m = draw_mixing(o, random, b);
      with_next += (m.own - 0.5) * (draw_mixing(o, random, b + 1).own - 0.5);
      REQUIRE((m.own >= 0 && m.own <= 1 && m.pixels.box.h == 0 && m.pixels.share == float(m.own)));
      sum += m.own, squares += (m.own - 0.5) * (m.own - 0.5);
    }
    const double variance = 1 / (4 * (2 * alpha + 1));                          // of Beta(alpha, alpha)
    CHECK(sum / n == doctest::Approx(0.5).epsilon(0.02));
    CHECK(squares / n / variance == doctest::Approx(1).epsilon(0.012));
    CHECK(std::abs(with_next / n) < 0.04 * variance);                           // batches know nothing of each other
  }
  o.cutmix = 1, o.mixed_batches = 0.8;
  double boxes = 0, blended = 0;
  for (Index b = 0; b < n; ++b) {
    const auto [m, share] = draw_mixing(o, random, b);
    const Rectangle& r = m.box;
    REQUIRE((r.y >= 0 && r.x >= 0 && r.h >= 0 && r.w >= 0 && r.y + r.h <= 16 && r.x + r.w <= 12));
    if (r.h > 0) CHECK((share == 1 - r.h * r.w / 192.0 && m.share == 1));
    boxes += r.h > 0, blended += m.share != 1;
  }
  CHECK(std::abs(blended / n - 0.4) < 0.015);
  CHECK(boxes / n > 0.33);                                                      // of 0.4 some are of no pixel
  CHECK(boxes / n < 0.4);
  CHECK(draw_mixing(options(0, 0), random, 3).own == 1);
}

TEST_CASE("mixing: a box by hand") {
  std::vector<float> x{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};                   // two pictures of 2x3
  const std::vector<float> before{21, 22, 23, 24, 25, 26};
  detail::mix_rows({.share = 1, .box = {0, 1, 1, 2}}, {2, 3, 1}, 2, before.data(), 0, 2, x.data());
  CHECK(x == std::vector<float>{1, 22, 23, 4, 5, 6, 7, 2, 3, 10, 11, 12});
  detail::mix_rows({.share = 0.25f, .box = {}}, {2, 3, 1}, 1, before.data(), 1, 1, x.data());
  CHECK(x[0] == 1);
  CHECK(x[3] == 19);                                                            // 4 / 4 + 24 * 3 / 4
}

TEST_CASE("mixing: categorical batches are labels in another form") {
  AugmentationOptions o = options(0, 0);
  AugmentationIterator sparse(garden(), o);
  o.class_mode = ClassMode::categorical;
  AugmentationIterator it(garden(), o);
  sparse.start(0, 0), it.start(0, 0);
  for (Batch a, b; sparse.next(a);) {
    REQUIRE(it.next(b));
    CHECK((!b.label && std::equal(a.x, a.x + a.n * size(shape), b.x)));
    for (Index i = 0; i < a.n * count; ++i) CHECK(b.target[i] == float(a.label[i / count] == i % count));
  }
}

TEST_CASE("mixing: options that make no sense are errors that name them") {
  for (const double alpha : {-1.0, double(NAN), 1e9}) {
    CHECK(says(sentence([&] { validate(options(alpha, 0)); }), "mixup = "));
    CHECK(says(sentence([&] { validate(options(0, alpha)); }), "cutmix = "));
  }
  AugmentationOptions o = options(1, 0);
  o.mixed_batches = 1.5;
  CHECK(says(sentence([&] { validate(o); }), "mixed_batches = 1.5"));
}
