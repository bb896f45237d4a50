#include <doctest/doctest.h>
#include <lamina/train/metrics.hpp>

#include <cstdint>
#include <limits>

using namespace lamina;

namespace {
/// Three classes, worked out by hand below: truth 0 twice right and once 1; truth 1 once right, once 0, twice 2; truth 2 once right.
Confusion example(Index classes) {
  Confusion c(classes);
  const Index pairs[][2] = {{0, 0}, {0, 0}, {0, 1}, {1, 1}, {1, 0}, {1, 2}, {1, 2}, {2, 2}};
  for (const auto& p : pairs) c.add(p[0], p[1]);
  return c;
}
}  // namespace

TEST_CASE("the confusion matrix has the truth in its rows") {
  const Confusion c = example(3);
  CHECK(c.count(1, 2) == 2);
  CHECK(c.count(2, 1) == 0);
  CHECK(c.total() == 8);
  CHECK(c.correct() == 4);
  CHECK(c.support(1) == 4);
  CHECK(c.predicted(1) == 2);
}

TEST_CASE("precision, recall and F1, by hand") {
  const Confusion c = example(3);
  CHECK(c.accuracy() == doctest::Approx(0.5));
  const double precision[] = {2.0 / 3, 1.0 / 2, 1.0 / 3}, recall[] = {2.0 / 3, 1.0 / 4, 1}, f1[] = {2.0 / 3, 1.0 / 3, 1.0 / 2};
  for (Index k = 0; k < 3; ++k) {
    CHECK(c.precision(k) == doctest::Approx(precision[k]));
    CHECK(c.recall(k) == doctest::Approx(recall[k]));
    CHECK(c.f1(k) == doctest::Approx(f1[k]));
    CHECK(c.f1(k) == doctest::Approx(2 * precision[k] * recall[k] / (precision[k] + recall[k])));
  }
  CHECK(c.macro_precision() == doctest::Approx(0.5));
  CHECK(c.macro_recall() == doctest::Approx(23.0 / 36));
  CHECK(c.macro_f1() == doctest::Approx(0.5));
}

TEST_CASE("0 divided by 0 is 0, and classes that do not occur are no part of a macro average") {
  Confusion c = example(5);
  CHECK(c.precision(4) == 0);
  CHECK(c.recall(4) == 0);
  CHECK(c.f1(4) == 0);
  CHECK(c.macro_f1() == doctest::Approx(0.5));
  c.add(0, 4);                                           // predicted only: its precision, recall and F1 are 0 and count
  CHECK(c.recall(4) == 0);
  CHECK(c.macro_precision() == doctest::Approx(1.5 / 4));
  const Confusion none(3);
  CHECK(none.accuracy() == 0);
  CHECK(none.macro_f1() == 0);
  CHECK(Confusion().total() == 0);
}

TEST_CASE("confusion matrices add up") {
  Confusion c = example(3);
  c += example(3);
  CHECK(c.total() == 16);
  CHECK(c.count(1, 2) == 4);
  CHECK(c.f1(1) == doctest::Approx(1.0 / 3));
  CHECK_THROWS_AS(c += example(4), Error);
}

TEST_CASE("a class that there is not is refused") {
  Confusion c(3);
  CHECK_THROWS_WITH_AS(c.add(3, 0), "class 3 in a confusion matrix of 3 classes: they are numbered from 0", Error);
  CHECK_THROWS_AS(c.add(0, -1), Error);
  CHECK_THROWS_AS(Confusion(0), Error);
  CHECK(c.total() == 0);
}

TEST_CASE("top-k accuracy, by hand") {
  const float scores[] = {0.1f, 0.7f, 0.2f, 0.5f, 0.3f, 0.2f, 0.2f, 0.3f, 0.5f, 9, -1, 0};
  const std::int32_t truth[] = {1, 1, 0, 2};             // of rank 0, 1, 2, 1
  CHECK(top_k_accuracy(scores, truth, 4, 3, 1) == doctest::Approx(0.25));
  CHECK(top_k_accuracy(scores, truth, 4, 3, 2) == doctest::Approx(0.75));
  CHECK(top_k_accuracy(scores, truth, 4, 3, 3) == 1);
  CHECK(top_k_accuracy(scores, truth, 0, 3, 1) == 0);
  CHECK_THROWS_AS(top_k_accuracy(scores, truth, 4, 3, 0), Error);
  CHECK_THROWS_AS(top_k_accuracy(scores, truth, 4, 3, 4), Error);
  const std::int32_t wrong[] = {3};
  CHECK_THROWS_AS(top_k_accuracy(scores, wrong, 1, 3, 1), Error);
}

TEST_CASE("of equal scores the lower class is the better, as in an argmax") {
  const double tied[] = {1, 2, 2, 0};
  CHECK(rank_of(tied, 4, 1) == 0);
  CHECK(rank_of(tied, 4, 2) == 1);
  CHECK(rank_of(tied, 4, 0) == 2);
  const double same[] = {1, 1, 1};
  for (Index k = 0; k < 3; ++k) CHECK(rank_of(same, 3, k) == k);
}

TEST_CASE("a score that is no number never helps") {
  const double n = std::numeric_limits<double>::quiet_NaN(), lost[] = {n, n, n}, own[] = {1, n, 0}, other[] = {n, 2, 0};
  const std::int32_t first = 0, second = 1;
  CHECK(rank_of(own, 3, 1) == 2);
  CHECK(rank_of(other, 3, 1) == 1);
  CHECK(top_k_accuracy(lost, &first, 1, 3, 1) == 0);
  CHECK(top_k_accuracy(own, &second, 1, 3, 2) == 0);
}

TEST_CASE("means are weighted, and kept in double") {
  Mean m;
  CHECK(m.value() == 0);
  m.add(2, 3);
  m.add(6);
  CHECK(m.value() == 3);
  Mean many;
  for (int i = 0; i < 1000000; ++i) many.add(double(0.1f));
  CHECK(many.value() == doctest::Approx(double(0.1f)).epsilon(1e-10));
}
