/// Random numbers as a function of (seed, stream, step, index): the same on every device, for any number of threads.
#pragma once
#include <cmath>

#include "shape.hpp"

namespace lamina {

/// What a stream of random numbers is for. Two uses never share one.
enum class Stream : std::uint32_t { initialize = 1, dropout, shuffle, split, augmentation, picture, test, mixing };

/// Philox 4x32 with ten rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). The key is the seed; the counter is made of the
/// index, the stream with its number (which layer, which class, ...) and the step (which training step, which epoch).
class Random {
 public:
  struct Block { std::uint32_t word[4]; };

  constexpr Random() = default;
  LAMINA_HD constexpr Random(std::uint64_t seed, Stream stream, std::uint32_t number = 0, std::uint32_t step = 0)
      : seed_(seed), stream_(std::uint32_t(stream) << 24 | (number & 0xFFFFFF)), step_(step) {}

  /// The same stream at another step.
  LAMINA_HD constexpr Random at(std::uint32_t step) const {
    Random r = *this;
    r.step_ = step;
    return r;
  }

  /// Four random words.
  LAMINA_HD constexpr Block block(std::uint64_t index) const {
    std::uint32_t c0 = std::uint32_t(index), c1 = std::uint32_t(index >> 32), c2 = stream_, c3 = step_;
    std::uint32_t k0 = std::uint32_t(seed_), k1 = std::uint32_t(seed_ >> 32);
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t a = std::uint64_t(0xD2511F53u) * c0, b = std::uint64_t(0xCD9E8D57u) * c2;
      c0 = std::uint32_t(b >> 32) ^ c1 ^ k0;
      c2 = std::uint32_t(a >> 32) ^ c3 ^ k1;
      c1 = std::uint32_t(b);
      c3 = std::uint32_t(a);
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
  }

  /// Uniform in [0, 1), 53 bits: block i / 2 makes the numbers i = 2 b and 2 b + 1.
  LAMINA_HD constexpr double operator()(Index i) const { return number(block(std::uint64_t(i) >> 1), int(i & 1)); }
  LAMINA_HD static constexpr double number(const Block& b, int which) {
    return double((std::uint64_t(b.word[2 * which]) << 32 | b.word[2 * which + 1]) >> 11) * 0x1p-53;
  }
  /// Uniform in [from, to).
  LAMINA_HD constexpr double uniform(Index i, double from, double to) const { return from + (to - from) * (*this)(i); }
  /// Uniform in 0 ... n - 1 (n < 2^32; the bias is under n / 2^53).
  LAMINA_HD constexpr Index below(Index i, Index n) const { return Index((*this)(i) * double(n)); }
  /// Normal with mean 0 and deviation 1 (Box and Muller 1958).
  double normal(Index i) const {
    const double u = 1 - (*this)(2 * i), v = (*this)(2 * i + 1);
    return std::sqrt(-2 * std::log(u)) * std::cos(6.283185307179586 * v);
  }

 private:
  std::uint64_t seed_ = 0;
  std::uint32_t stream_ = 0, step_ = 0;
};

}  // namespace lamina
