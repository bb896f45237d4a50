#include <lamina/core/random.hpp>
#include <lamina/cpu/gemm.hpp>

#include <doctest/doctest.h>

#include <vector>

using namespace lamina;

namespace {
/// a (rows, columns) of integers from -4 to 4, in rows `apart` numbers apart with 99 in between.
template <class T> std::vector<T> integers(Index rows, Index columns, Index apart, std::uint32_t number) {
  const Random random(1, Stream::test, number);
  std::vector<T> v(std::size_t(rows * apart), T(99));
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < columns; ++j) v[std::size_t(i * apart + j)] = T(random.below(i * columns + j, 9) - 4);
  return v;
}

template <class T, Lies A, Lies B> void check(Index m, Index n, Index k, Index gap) {
  constexpr bool at = A == Lies::transposed, bt = B == Lies::transposed;
  const Index lda = (at ? m : k) + gap, ldb = (bt ? k : n) + gap, ldc = n + gap;
  const auto a = at ? integers<T>(k, m, lda, 1) : integers<T>(m, k, lda, 1), b = bt ? integers<T>(n, k, ldb, 2) : integers<T>(k, n, ldb, 2);
  auto c = integers<T>(m, n, ldc, 3), expected = c;
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < n; ++j)
      for (Index p = 0; p < k; ++p) expected[std::size_t(i * ldc + j)] += a[std::size_t(at ? p * lda + i : i * lda + p)] * b[std::size_t(bt ? j * ldb + p : p * ldb + j)];
  Cpu dev;
  const Index bytes = gemm_bytes<T>(m, n, k);
  Buffer<Cpu, std::byte> memory(dev, bytes + 64);
  std::fill_n(memory.data(), bytes + 64, std::byte(7));
  gemm<A, B>(m, n, k, a.data(), lda, b.data(), ldb, c.data(), ldc, memory.data());
  CHECK(c == expected);
  for (Index i = 0; i < 64; ++i) REQUIRE(memory.data()[bytes + i] == std::byte(7));
}
template <class T> void check(Index m, Index n, Index k, Index gap = 0) {
  INFO(m << " x " << k << " times " << k << " x " << n << ", rows " << gap << " further apart");
  check<T, Lies::as_is, Lies::as_is>(m, n, k, gap), check<T, Lies::transposed, Lies::as_is>(m, n, k, gap);
  check<T, Lies::as_is, Lies::transposed>(m, n, k, gap), check<T, Lies::transposed, Lies::transposed>(m, n, k, gap);
}
}  // namespace

TEST_CASE_TEMPLATE("c += a b on integers is a plain loop, bit for bit", T, float, double) {
  check<T>(1, 1, 1), check<T>(3, 1, 5), check<T>(1, 7, 2), check<T>(2, 3, 65);
  check<T>(7, 5, 3, 2), check<T>(17, 31, 13), check<T>(33, 47, 65, 1), check<T>(64, 32, 129);
  check<T>(5, 3, 1000), check<T>(500, 3, 2), check<T>(3, 611, 4), check<T>(49, 50, 301, 3);
}

TEST_CASE("a product of nothing leaves c alone") {
  double c[2] = {1, 2};
  gemm<Lies::as_is, Lies::as_is, double>(1, 2, 0, nullptr, 0, nullptr, 2, c, 2, nullptr);
  gemm<Lies::as_is, Lies::as_is, double>(0, 2, 3, nullptr, 3, nullptr, 2, c, 2, nullptr);
  CHECK(c[0] == 1);
  CHECK(c[1] == 2);
  CHECK(gemm_bytes<float>(0, 5, 5) == 0);
}

TEST_CASE_TEMPLATE("what is enough for a product is enough for a smaller one", T, float, double) {   // the last tile of an image, the last block of a batch
  Index short_of = 0;
  for (Index m : {1, 40, 64, 333, 1000, 4000})
    for (Index n : {1, 9, 32, 64, 200, 513, 4608})
      for (Index k : {1, 27, 64, 288, 1152, 4608})
        for (Index share = 1; share < 16; ++share) {
          const Index enough = gemm_bytes<T>(m, n, k);
          short_of += gemm_bytes<T>((m * share + 15) / 16, n, k) > enough;
          short_of += gemm_bytes<T>(m, (n * share + 15) / 16, k) > enough;
          short_of += gemm_bytes<T>(m, n, (k * share + 15) / 16) > enough;
        }
  CHECK(short_of == 0);
}
