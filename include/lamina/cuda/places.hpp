/// Where a lane finds its numbers: places in a tensor, neighbouring channels that move as one word, and the sizes of a convolution or a pool as a kernel gets them.
#pragma once
#include <type_traits>

#include "../core/elementwise.hpp"
#include "../core/layer.hpp"
#include "kernel.hpp"
#include "slabs.hpp"
#include "words.hpp"

namespace lamina::kernels::inline LAMINA_SIMT {

using namespace simt;

/// a / by and a % by. A division of 64 bits takes a GPU as long as a load does, so it is one of 32 bits where that is enough.
struct Quotient { Index whole; int rest; };
LAMINA_DEVICE Quotient divide(Index a, int by) {
  if (a >> 32) return {a / by, int(a % by)};
  const unsigned whole = unsigned(a) / unsigned(by);
  return {Index(whole), int(unsigned(a) - whole * unsigned(by))};
}

/// Place i of a tensor (N, H, W, C).
struct Spot { Index image; int row, column, channel; };
LAMINA_DEVICE Spot spot(Index i, int h, int w, int c) {
  const Quotient pixel = divide(i, c), line = divide(pixel.whole, w), image = divide(line.whole, h);
  return {image.whole, image.rest, line.rest, pixel.rest};
}

template <class T> inline constexpr int most_channels = int(16 / sizeof(T));        // neighbours that one load fetches
/// launch(std::integral_constant<int, V>()) with V channels at a time: as many as a load fetches, or one where their number is no multiple.
template <class T, class F> void by_channels(int c, const F& launch) {
  if (c % most_channels<T> == 0) launch(std::integral_constant<int, most_channels<T>>());
  else launch(std::integral_constant<int, 1>());
}

template <class T, int V> LAMINA_DEVICE Pack<T, V> pack_at(const T* p) { return *reinterpret_cast<const Pack<T, V>*>(p); }
/// Rounded to what is stored.
template <class T, int V> LAMINA_DEVICE Pack<T, V> packed(const Master<T> (&v)[V]) {
  Pack<T, V> all;
  LAMINA_UNROLL
  for (int k = 0; k < V; ++k) {
    if constexpr (std::is_same_v<T, bf16>) all.v[k].bits = to_bf16(v[k]);
    else all.v[k] = v[k];
  }
  return all;
}
template <class T> LAMINA_DEVICE T stored(Master<T> v) { return packed<T, 1>({v}).v[0]; }

/// What lies beyond the bounds is brought to them; a NaN passes.
template <class M> struct Bounds {
  M low, high;
  Bounds(Clamp c) : low(M(c.low)), high(M(c.high)) {}
  LAMINA_DEVICE M operator()(M v) const { return v < low ? low : v > high ? high : v; }
};
/// Whether a value takes the place of the largest so far. A NaN always does, and keeps it.
template <class M> LAMINA_DEVICE bool wins(M value, M best) { return value > best || value != value; }

/// The sizes of a window's walk: over (H, W, C), to (Ho, Wo, O).
struct Walk {
  int h, w, c, out_h, out_w, out_c, k, stride, top, left;      // top, left: empty pixels before the first
  Walk(Window v, Shape in, Shape out) : h(in.h), w(in.w), c(in.c), out_h(out.h), out_w(out.w), out_c(out.c), k(v.k), stride(v.stride), top(v.before(in.h)), left(v.before(in.w)) {}

  struct Range { int begin, end; };
  /// The windows, of `places` along a side, that see pixel `at` of it with `before` empty pixels before the first: the tap is at + before - window * stride.
  LAMINA_DEVICE Range windows(int at, int before, int places) const {
    const int last = (at + before) / stride + 1, first = at + before - k + stride;
    return {first < 0 ? 0 : first / stride, last < places ? last : places};
  }
  /// The taps of a window at `place` that see one of `size` pixels.
  LAMINA_DEVICE Range taps(int place, int before, int size) const {
    const int from = place * stride - before;
    return {from < 0 ? -from : 0, size - from < k ? size - from : k};
  }
  LAMINA_DEVICE Index input(Index image, int row, int column) const { return (image * h + row) * w + column; }
  LAMINA_DEVICE Index output(Index image, int row, int column) const { return (image * out_h + row) * out_w + column; }
};

/// first[i] += the sum over the shares of that of the parts of its slabs, or = it: a row of lanes adds the slabs of a share. Behind `first_count` numbers begins the second, which may be null.
/// grid: (numbers / 32, rounded up)
template <class M> struct AddParts {
  static constexpr int rows = int(lamina::shares), threads = 32 * rows, shared_bytes = threads * int(sizeof(M));
  LAMINA_DEVICE static void run(const M* parts, Slabs slabs, Index numbers, M* first, Index first_count, M* second, bool writes) {   // (slabs, numbers)
    M* const sums = reinterpret_cast<M*>(shared_memory());
    const int share = thread_index() / 32, column = thread_index() % 32;
    const Index i = Index(block_index().x) * 32 + column;
    M* const total = i >= numbers ? nullptr : i < first_count ? first + i : second ? second + (i - first_count) : nullptr;
    const Slabs::Range of = slabs.of_share(share);
    store(sums + thread_index(), total && share < slabs.shares ? sum_in_order<M>(of.begin, of.end, [&](int part) { return load(parts + part * numbers + i); }) : M(0));
    sync_block();
    if (share > 0 || !total) return;
    M of_share[rows];
    LAMINA_UNROLL
    for (int s = 0; s < rows; ++s) of_share[s] = load(sums + s * 32 + column);
    store(total, (writes ? M(0) : load(total)) + tree_sum_at<shares>(of_share));
  }
};

}  // namespace lamina::kernels::inline LAMINA_SIMT

namespace lamina::detail {
template <class M, RunsKernels D> void add_parts(D& dev, const M* parts, const kernels::Slabs& slabs, Index numbers, M* first, Index first_count, M* second = nullptr) {
  dev.template launch<kernels::AddParts<M>>(Grid{int(pieces(second ? numbers : first_count, 32))}, parts, slabs, numbers, first, first_count, second, dev.writes_gradients);
}
}  // namespace lamina::detail
