/// How sums over the samples of a batch are cut on a GPU: each share of them (core/shares.hpp) that has any goes into as many slabs, which are summed at the same time. What is in a slab follows from
/// its share and their number; the slabs of a share are added in their order, and the shares as a tree.
#pragma once
#include <algorithm>

#include "../core/shares.hpp"
#include "../core/tree.hpp"
#include "divisor.hpp"
#include "kernel.hpp"
#include "words.hpp"

namespace lamina {

namespace kernels::inline LAMINA_SIMT {

using namespace simt;

struct Slabs {
  int first, samples, rest, before;          // shares before those here; samples that each has, and how many one more; samples before those here
  int shares, each, count;                   // shares here; slabs of each, and of all that have samples
  Divisor by_shares, by_each;                // by the number of all shares; by that of the slabs of each

  Slabs(const Shares& s, Index of_share)
      : first(int(s.first)), samples(int(s.n / s.of)), rest(int(s.n % s.of)), before(int(first_of_share(s.first, s.n, s.of))), shares(int(s.count)), each(int(of_share)),
        count(each * (samples ? shares : int(s.begin(s.count)))), by_shares(int(s.of)), by_each(each) {}

  struct Range { int begin, end; };
  /// Where the samples of a share begin, among those here.
  LAMINA_HD int begin(int share) const { return (first + share) * samples + by_shares((first + share) * rest) - before; }
  /// The slabs of a share. Where there are fewer samples than shares, each is one.
  LAMINA_HD Range of_share(int share) const {
    if (samples) return {each * share, each * (share + 1)};
    return {each * begin(share), each * begin(share + 1)};
  }
  /// The samples of which a slab has a part.
  LAMINA_HD Range samples_of(int slab) const {
    const int share = by_each(slab);
    if (samples) return {begin(share), begin(share + 1)};
    return {share, share + 1};
  }
  struct Part { Index begin, end; };
  /// Its part of the `all` pieces of its share.
  LAMINA_HD Part part(int slab, Index all) const {
    const int i = by_each.rest(slab, by_each(slab));
    if (all * (i + 1) >> 31) return {all * i / each, all * (i + 1) / each};                // slow
    return {by_each(int(all * i)), by_each(int(all * (i + 1)))};
  }
  /// What lies in it, where each sample has so many pieces.
  LAMINA_HD Part pieces_of(int slab, Index of_sample) const {
    const Range s = samples_of(slab);
    const Part p = part(slab, (s.end - s.begin) * of_sample);
    return {s.begin * of_sample + p.begin, s.begin * of_sample + p.end};
  }
};

/// at(first), ... before `end`, added in their order; several are on their way at a time.
template <class V, class At> LAMINA_DEVICE V sum_in_order(int first, int end, const At& at) {
  constexpr int together = 8;
  V sum{};
  for (int i = first; i < end; i += together) {
    V next[together];
    LAMINA_UNROLL
    for (int u = 0; u < together; ++u) next[u] = i + u < end ? at(i + u) : V{};
    LAMINA_UNROLL
    for (int u = 0; u < together; ++u) sum += next[u];
  }
  return sum;
}
/// The tree over shares that come one after another, a power of two of them: at most three sums wait for what they are added to.
template <class V> struct ShareTree {
  V open[3] = {};
  int count = 0;
  LAMINA_DEVICE void add(V sum) {
    const int before = count++;
    if (!(before & 1)) { open[0] = sum; return; }
    sum += open[0];
    if (!(before & 2)) { open[1] = sum; return; }
    sum += open[1];
    if (!(before & 4)) { open[2] = sum; return; }
    sum += open[2], open[0] = sum;
  }
  LAMINA_DEVICE V sum() const { return count == 2 ? open[1] : count == 4 ? open[2] : open[0]; }
};

}  // namespace kernels::inline LAMINA_SIMT

namespace detail {
/// Slabs for each share, where `wanted` slabs keep a GPU busy, and no share is cut finer than into pieces of which each sample has so many: the shares together have as many slabs as are wanted. Of more
/// than 128 samples they have more, until one share keeps a GPU busy, since a replica may have no others; a slab never has fewer samples than those of a batch of 64, so partial sums are few beside what they are of.
constexpr Index slabs_of_share(const Shares& s, Index wanted, Index of_sample, Index pieces_at_least = 1) {
  const Index samples = std::max<Index>(s.n / s.of, 1);
  return std::clamp<Index>(wanted * std::max<Index>(samples, 2 * shares) / (2 * shares * shares), 1, std::max<Index>(std::min(wanted, samples * of_sample / pieces_at_least), 1));
}
/// The most that of(shares) is of n samples or fewer, by themselves or as the part of a batch that a device has.
template <class D, class F> Index most_of_cuts(const D& dev, Index n, const F& of) { return std::max(of(Shares{n}), of(cut_of(dev, n))); }
}  // namespace detail

}  // namespace lamina
