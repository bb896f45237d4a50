#include <lamina/core/random.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>

using namespace lamina;

namespace {
std::array<std::uint32_t, 4> words(Random::Block b) { return {b.word[0], b.word[1], b.word[2], b.word[3]}; }

/// Philox of a counter and a key: words 0 and 1 of the counter are the index, 2 is the stream and its number, 3 the step; the key is the seed.
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  const Random random(std::uint64_t(key[1]) << 32 | key[0], Stream(counter[2] >> 24), counter[2] & 0xFFFFFF, counter[3]);
  return words(random.block(std::uint64_t(counter[1]) << 32 | counter[0]));
}
using Words = std::array<std::uint32_t, 4>;
}  // namespace

TEST_CASE("Philox 4x32-10: the known answers of Random123's kat_vectors") {
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) == Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("at() is the same stream at another step") {
  const Random random(7, Stream::dropout, 3, 5);
  CHECK(words(random.at(5).block(11)) == words(random.block(11)));
  CHECK(words(random.at(6).block(11)) == words(Random(7, Stream::dropout, 3, 6).block(11)));
  CHECK(words(random.at(6).block(11)) != words(random.block(11)));
}

TEST_CASE("a block serves two numbers") {
  const Random random(7, Stream::test);
  const auto w = words(random.block(4));
  const auto number = [](std::uint32_t high, std::uint32_t low) { return std::ldexp(double((std::uint64_t(high) << 32 | low) >> 11), -53); };
  CHECK(random(8) == number(w[0], w[1]));
  CHECK(random(9) == number(w[2], w[3]));
}

TEST_CASE("seeds, streams, numbers and steps do not share numbers") {
  const Random all[] = {Random(1, Stream::test), Random(2, Stream::test), Random(std::uint64_t(1) << 32 | 1, Stream::test), Random(1, Stream::dropout),
                        Random(1, Stream::test, 1), Random(1, Stream::test, 0, 1)};
  for (std::size_t i = 0; i < std::size(all); ++i)
    for (std::size_t j = 0; j < i; ++j) CHECK(all[i](0) != all[j](0));
}

TEST_CASE("moments of the uniform numbers") {
  const Random random(3, Stream::test);
  constexpr Index n = 200'000;
  double mean = 0, square = 0, product = 0, least = 1, most = 0;
  for (Index i = 0; i < n; ++i) {
    const double u = random(i);
    mean += u / n, square += u * u / n, product += u * random(i + 1) / n;
    least = std::min(least, u), most = std::max(most, u);
  }
  CHECK(std::abs(mean - 0.5) < 4 / std::sqrt(12.0 * n));                       // four deviations
  CHECK(std::abs(square - 1.0 / 3) < 4 * std::sqrt(4.0 / 45 / n));
  CHECK(std::abs(product - 0.25) < 4 * std::sqrt(7.0 / 144 / n) * 2);          // neighbours are independent
  CHECK(least >= 0);
  CHECK(least < 1e-4);
  CHECK(most < 1);
  CHECK(most > 1 - 1e-4);
}

TEST_CASE("ranges and whole numbers") {
  const Random random(3, Stream::test);
  int counts[6] = {};
  for (Index i = 0; i < 6000; ++i) {
    const double v = random.uniform(i, -2, 5);
    REQUIRE((v >= -2 && v < 5));
    ++counts[random.below(i, 6)];
  }
  for (int c : counts) CHECK(std::abs(c - 1000) < 4 * std::sqrt(6000.0 * 5 / 36));
  for (Index i = 0; i < 50; ++i) CHECK(random.below(i, 1) == 0);
}

TEST_CASE("moments of the normal numbers") {
  const Random random(3, Stream::test);
  constexpr Index n = 100'000;
  double mean = 0, square = 0, fourth = 0;
  for (Index i = 0; i < n; ++i) {
    const double v = random.normal(i);
    REQUIRE(std::isfinite(v));
    mean += v / n, square += v * v / n, fourth += v * v * v * v / n;
  }
  CHECK(std::abs(mean) < 4 / std::sqrt(double(n)));
  CHECK(std::abs(square - 1) < 4 * std::sqrt(2.0 / n));
  CHECK(std::abs(fourth - 3) < 4 * std::sqrt(96.0 / n));
}

TEST_CASE("the compiler can draw") {
  static_assert(Random(1, Stream::test)(0) >= 0 && Random(1, Stream::test)(0) != Random(1, Stream::test)(1));
}
