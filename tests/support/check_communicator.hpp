/// What every communicator has to keep. Each function is called by all ranks at once.
#pragma once
#include <lamina/parallel/communicator.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace lamina_test {
using lamina::Index;

/// A number of a rank. Their magnitudes are far apart and their signs vary, so that the order of a sum shows in its last bits.
template <class T> T number(int rank, Index i) {
  const std::uint32_t h = (std::uint32_t(rank) * 7919u + std::uint32_t(i) * 104729u + 12345u) * 2654435761u;
  const T fraction = T(1) + T(h >> 9) / T(1 << 23), scale = std::ldexp(T(1), int(h % 19) - 9);
  return h & 256 ? -fraction * scale : fraction * scale;
}
template <class T> std::vector<T> numbers(int rank, Index n, Index from = 0) {
  std::vector<T> x(static_cast<std::size_t>(n));
  for (Index i = 0; i < n; ++i) x[std::size_t(i)] = number<T>(rank, from + i);
  return x;
}
/// The sum of ranks [first, first + count) by the definition of the order.
template <class T> T sum_by_definition(int first, int count, Index i) {
  if (count == 1) return number<T>(first, i);
  int left = 1;
  while (2 * left < count) left *= 2;
  return sum_by_definition<T>(first, left, i) + sum_by_definition<T>(first + left, count - left, i);
}
template <class T> std::vector<T> sums(int ranks, Index n, Index from = 0) {
  std::vector<T> x(static_cast<std::size_t>(n));
  for (Index i = 0; i < n; ++i) x[std::size_t(i)] = sum_by_definition<T>(0, ranks, from + i);
  return x;
}
template <class T> bool same_bits(const std::vector<T>& a, const std::vector<T>& b) { return a.size() == b.size() && (a.empty() || !std::memcmp(a.data(), b.data(), a.size() * sizeof(T))); }

template <class T, class C> void check_sums(C& c, Index longest) {
  for (const Index n : {Index(0), Index(1), Index(3), Index(15), Index(17), Index(64), Index(1001), longest}) {
    CAPTURE(n);
    std::vector<T> x = numbers<T>(c.rank(), n);
    c.all_reduce(std::span(x), "numbers");
    CHECK(same_bits(x, sums<T>(c.size(), n)));
  }
}

/// Several ranks have the bits of one: eight terms, of which each rank adds up its own first.
template <class T, class C> void check_terms(C& c) {
  constexpr Index n = 777;
  if (8 % c.size() != 0) return;
  const int terms = 8 / c.size();
  std::vector<T> x;
  for (int t = 0; t < terms; ++t)
    for (const T v : numbers<T>(c.rank() * terms + t, n)) x.push_back(v);
  lamina::tree_sum<T>(terms, n, [&](int t) { return x.data() + t * n; });
  x.resize(n);
  c.all_reduce(std::span(x), "terms");
  CHECK(same_bits(x, sums<T>(8, n)));
}

template <class C> void check_copies(C& c) {
  struct Pair { std::int32_t a; float b; };
  for (int root = 0; root < c.size(); ++root)
    for (const Index n : {0, 1, 5, 1031}) {
      std::vector<double> x = numbers<double>(c.rank(), n);
      c.broadcast(x, root, "numbers of one");
      CHECK(same_bits(x, numbers<double>(root, n)));
    }
  for (const Index n : {0, 1, 5, 1031}) {
    std::vector<float> all(static_cast<std::size_t>(n * c.size())), expected;
    for (int r = 0; r < c.size(); ++r)
      for (const float v : numbers<float>(r, n)) expected.push_back(v);
    c.all_gather(numbers<float>(c.rank(), n), all, "numbers of all");
    CHECK(same_bits(all, expected));
    std::fill(all.begin(), all.end(), 0.0f);
    const std::span<float> place = std::span(all).subspan(std::size_t(n * c.rank()), std::size_t(n));
    for (Index i = 0; i < n; ++i) place[std::size_t(i)] = number<float>(c.rank(), i);
    c.all_gather(place, all, "numbers where they are");
    CHECK(same_bits(all, expected));
  }
  std::vector<Pair> pairs(static_cast<std::size_t>(c.size()));
  const Pair mine[] = {{c.rank(), float(c.rank()) / 2}};
  c.all_gather(mine, pairs, "pairs");
  for (int r = 0; r < c.size(); ++r) CHECK((pairs[std::size_t(r)].a == r && pairs[std::size_t(r)].b == float(r) / 2));
}

/// Many in a row, of many kinds, among ranks that are not equally quick.
template <class C> void check_many(C& c) {
  for (int i = 0; i < 100; ++i) {
    const std::string name = "step " + std::to_string(i);
    std::vector<float> x = numbers<float>(c.rank(), i % 23, i);
    volatile unsigned spin = 0;
    for (int k = 0; k < (i * 37 + c.rank() * 101) % 97 * 100; ++k) spin = spin + 1;
    c.all_reduce(std::span(x), name);
    const bool right = same_bits(x, sums<float>(c.size(), i % 23, i));
    if (!right) CHECK_MESSAGE(right, name);
    double root = c.rank() + 10 * i;
    c.broadcast(std::span(&root, 1), i % c.size(), name);
    if (root != i % c.size() + 10 * i) CHECK(root == i % c.size() + 10 * i);
    if (i % 10 == 0) c.barrier(name);
  }
}

/// Sums that go on by themselves, among others: the same bits.
template <class C> void check_overlap(C& c) {
  const Index lengths[] = {9'001, 3, 0, 700, 1};
  for (int repeat = 0; repeat < 4; ++repeat) {
    std::vector<std::vector<float>> buckets;
    std::vector<Index> begun;
    for (const Index n : lengths) buckets.push_back(numbers<float>(c.rank(), n, repeat));
    std::vector<double> other = numbers<double>(c.rank(), 501);
    for (std::size_t b = 0; b < 3; ++b) begun.push_back(c.begin(std::span(buckets[b]), "bucket " + std::to_string(b)));
    const Index doubles = c.begin(std::span(other), "doubles");
    c.finish(begun[1]);
    for (std::size_t b = 0; b < 2; ++b) CHECK(same_bits(buckets[b], sums<float>(c.size(), lengths[b], repeat)));
    int root = c.rank();
    c.broadcast(std::span(&root, 1), c.size() - 1, "in between");
    CHECK(root == c.size() - 1);
    c.finish(doubles);
    CHECK(same_bits(other, sums<double>(c.size(), 501)));
    for (std::size_t b = 3; b < 5; ++b) begun.push_back(c.begin(std::span(buckets[b]), "bucket " + std::to_string(b)));
    c.finish();
    for (std::size_t b = 0; b < 5; ++b) CHECK(same_bits(buckets[b], sums<float>(c.size(), lengths[b], repeat)));
    begun.push_back(c.begin(std::span(other), "another"));
    c.finish(begun[2]);                    // long ago
    c.finish();
  }
}

/// A call that makes no sense is an error before anybody is concerned by it: what comes after it is done.
template <class C> void check_misuse(C& c) {
  std::vector<float> x(3), few(2);
  const auto says = [](const auto& f) {
    try {
      f();
    } catch (const lamina::Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  const std::string n = std::to_string(c.size());
  CHECK(says([&] { c.broadcast(x, c.size(), "x"); }) == "broadcast \"x\" was to come from rank " + n + ": there are " + n + " ranks, counted from 0");
  CHECK(says([&] { c.broadcast(x, -1, "x"); }) == "broadcast \"x\" was to come from rank -1: there are " + n + " ranks, counted from 0");
  CHECK(says([&] { c.all_gather(x, few, "x"); }) == "all_gather \"x\" of " + n + " ranks with 12 bytes each was to go to 8 bytes: give it room for all");
  c.agree("network SmallNet; batch 32");
  c.agree("");
  c.barrier(std::string(300, 'n'));
}

template <class C> void check_contract(C& c) {
  CHECK((c.rank() >= 0 && c.rank() < c.size()));
  check_sums<float>(c, 10'007);
  check_sums<double>(c, 10'007);
  check_terms<float>(c);
  check_terms<double>(c);
  check_copies(c);
  check_many(c);
  check_overlap(c);
  check_misuse(c);
}

/// Rank 1 does what ends it for all, at "gradients of step 7" at the latest; the others may be busy for so many seconds before.
template <class C> void go_wrong(C& c, const std::string& way, int busy = 0) {
  const bool wrong = c.rank() == 1;
  std::vector<float> x(5), more(6);
  c.agree(wrong && way == "agreement" ? "network SmallNet; data 2; batch 32" : "network SmallNet; data 1; batch 32");
  c.all_reduce(std::span(x), "gradients of step 6");
  const std::string step = "gradients of step 7";
  if (!wrong) std::this_thread::sleep_for(std::chrono::seconds(busy));
  if (wrong && way == "throws") throw std::runtime_error("the disk is full");
  if (wrong && way == "throws anything") throw 1;
  if (wrong && way == "aborts") c.abort("no more pictures");
  if (wrong && way == "leaves") return;
  if (wrong && way == "size") c.all_reduce(std::span(more), step);
  if (wrong && way == "name") c.all_reduce(std::span(x), "gradients of step 8");
  if (wrong && way == "kind") c.barrier(step);
  if (way == "root") c.broadcast(x, wrong ? 1 : 0, step);
  if (way == "begun") c.begin(std::span(wrong ? more : x), step), c.finish();
  if (way == "begun before") c.begin(std::span(wrong ? more : x), step), c.barrier("what comes later");
  c.all_reduce(std::span(x), step);
}

/// The ways to go wrong, and words of what all ranks must then say, rank 1 too.
struct Way { const char *name, *words; };
inline const Way ways_to_go_wrong[] = {
  {"size", "rank 0 comes to all_reduce \"gradients of step 7\" (operation 3, 20 bytes of floats) and rank 1 to all_reduce \"gradients of step 7\" (operation 3, 24 bytes of floats)"},
  {"name", "rank 0 comes to all_reduce \"gradients of step 7\" (operation 3, 20 bytes of floats) and rank 1 to all_reduce \"gradients of step 8\" (operation 3, 20 bytes of floats)"},
  {"kind", "rank 0 comes to all_reduce \"gradients of step 7\" (operation 3, 20 bytes of floats) and rank 1 to barrier \"gradients of step 7\" (operation 3)"},
  {"root", "rank 0 comes to broadcast \"gradients of step 7\" (operation 3, from rank 0, 20 bytes each) and rank 1 to broadcast \"gradients of step 7\" (operation 3, from rank 1, 20 bytes each)"},
  {"begun", "rank 0 comes to all_reduce \"gradients of step 7\" (operation 3, 20 bytes of floats) and rank 1 to all_reduce \"gradients of step 7\" (operation 3, 24 bytes of floats)"},
  {"begun before", "rank 0 comes to all_reduce \"gradients of step 7\" (operation 3, 20 bytes of floats) and rank 1 to all_reduce \"gradients of step 7\" (operation 3, 24 bytes of floats)"},
  {"agreement", "ranks 0 and 1 do not agree: one has 'data 1' and the other 'data 2'; start all ranks with the same"},
  {"aborts", "rank 1 gave up, after all_reduce \"gradients of step 6\" (operation 2, 20 bytes of floats): no more pictures"},
};
/// Words of what the others must say where rank 1 ends in a way of its own.
inline const Way ways_to_end[] = {
  {"throws", "rank 1 gave up, after all_reduce \"gradients of step 6\" (operation 2, 20 bytes of floats): the disk is full"},
  {"throws anything", "rank 1 gave up, after all_reduce \"gradients of step 6\" (operation 2, 20 bytes of floats): it threw something that is no std::exception"},
};

}  // namespace lamina_test
