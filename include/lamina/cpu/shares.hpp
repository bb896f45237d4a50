/// Sums over the shares of a batch, on the CPU.
#pragma once
#include "../core/tree.hpp"
#include "cpu.hpp"

namespace lamina::detail {

/// What Shares::begin() gives, where it is asked for too often to divide each time.
class Begins {
 public:
  explicit Begins(const Shares& s) {
    for (Index i = 0; i <= s.count; ++i) at_[i] = s.begin(i);
  }
  Index operator()(Index i) const { return at_[i]; }

 private:
  Index at_[shares + 1];
};

/// dw[i] += the sum over so many shares of parts[share][i], as a tree.
template <class T> void add_shares(Cpu& dev, Index of_shares, const T* parts, Index count, Index stride, T* dw) {
  const Index each = 4096;
  dev.run((count + each - 1) / each, [=](Index task, int) {
    with_terms(of_shares, [=](auto terms) {
      for (Index i = task * each; i < count && i < (task + 1) * each; ++i) dw[i] += tree_sum_of<terms()>([=](Index share) { return parts[share * stride + i]; });
    });
  });
}

/// db (O) += the rows of dy (rows, O), of which each sample has so many: the sum within each share, and then as a tree.
template <class T> void add_columns(Cpu& dev, const Shares& s, const T* dy, Index of_sample, Index o, T* db) {
  constexpr Index each = 64 / Index(sizeof(T));
  dev.run((o + each - 1) / each, [=](Index task, int) {
    const Index first = task * each, count = std::min(each, o - first);
    T parts[shares][each] = {};
    for (Index share = 0; share < s.count; ++share)
      for (Index r = s.begin(share) * of_sample; r < s.begin(share + 1) * of_sample; ++r)
        for (Index k = 0; k < count; ++k) parts[share][k] += dy[r * o + first + k];
    with_terms(s.count, [&](auto terms) {
      for (Index k = 0; k < count; ++k) db[first + k] += tree_sum_of<terms()>([&](Index share) { return parts[share][k]; });
    });
  });
}

/// f(first, count, part, worker) for blocks of so many rows, of which each sample has `of_sample`, and for so many parts of what they are multiplied with. No block has rows of two shares:
/// what Eigen makes of a row depends on where it lies in the block.
template <class F> void each_block(Cpu& dev, Index n, Index of_sample, Index each, Index parts, const F& f) {
  const Shares s = dev.replica.cut(n);
  const Index blocks = ((s.n + s.of - 1) / s.of * of_sample + each - 1) / each;      // of a share, at most
  dev.run(parts * s.count * blocks, [&](Index task, int worker) {
    const Index share = task / blocks % s.count, first = s.begin(share) * of_sample + task % blocks * each, count = std::min(each, s.begin(share + 1) * of_sample - first);
    if (count > 0) f(first, count, task / blocks / s.count, worker);
  });
}
/// f(first, count, worker) for them.
template <class F> void each_block(Cpu& dev, Index n, Index of_sample, Index each, const F& f) {
  each_block(dev, n, of_sample, each, 1, [&](Index first, Index count, Index, int worker) { f(first, count, worker); });
}

}  // namespace lamina::detail
