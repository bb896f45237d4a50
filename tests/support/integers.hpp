/// Small integers as floating-point numbers: sums and products of them are exact in any order, so that two ways to compute a thing give the same bits.
#pragma once
#include <lamina/core/random.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

namespace lamina_test {

/// Integers from -range to range.
template <class T> std::vector<T> integers(lamina::Index count, std::uint32_t number, int range = 4) {
  const lamina::Random random(1, lamina::Stream::test, number);
  std::vector<T> v(static_cast<std::size_t>(count));
  for (lamina::Index i = 0; i < count; ++i) v[std::size_t(i)] = T(random.below(i, 2 * range + 1) - range);
  return v;
}

/// Numbers that are no integers, uniform in -1 ... 1: their sums show the order in which they were made.
template <class T> std::vector<T> fractions(lamina::Index count, std::uint32_t number) {
  const lamina::Random random(2, lamina::Stream::test, number);
  std::vector<T> v(static_cast<std::size_t>(count));
  for (lamina::Index i = 0; i < count; ++i) v[std::size_t(i)] = T(random.uniform(i, -1, 1));
  return v;
}

/// The largest difference, of the largest value; a NaN is the worst.
template <class A, class B> double largest_error(const std::vector<A>& found, const std::vector<B>& expected) {
  double worst = 0, largest = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double difference = std::abs(double(found[i]) - double(expected[i]));
    worst = difference <= worst ? worst : difference;
    largest = std::max(largest, std::abs(double(expected[i])));
  }
  return worst / largest;
}

}  // namespace lamina_test
