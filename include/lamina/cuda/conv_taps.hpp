/// Convolution 3x3 of stride 1 in bf16 on tensor cores: a tile of pixels lies in shared memory with its border, and the nine taps pass over it. Forward, the gradients, and their verbs.
#pragma once
#include <algorithm>

#include "conv_taps_ways.hpp"
#include "conv_taps_weights.hpp"
#include "kernel.hpp"
#include "places.hpp"
#include "tap_tiles.hpp"

namespace lamina {

namespace kernels::inline LAMINA_SIMT {

/// Forward y = x * w + bias within the bounds, backward dx from dy: from the pixels of one to those of the other. grid: (tiles across x blocks of the channels that come out, tiles down, pictures)
/// w: (9, C, K); bias: (K) or null
template <TapTile T, bool Backward> struct ConvTaps {
  using Sums = TapSums<T, Backward>;
  static constexpr int threads = T.threads(), shared_bytes = Sums::shared_bytes, blocks = 2;

  LAMINA_DEVICE static void run(const bf16* from, const bf16* w, const float* bias, Bounds<float> bounds, bf16* to, Extent size) {
    const Place block = block_index();
    const int gone = Backward ? size.k : size.c, made = Backward ? size.c : size.k, parts = made / T.out, first = block.x % parts * T.out, n = block.z * T.pictures;
    const int h0 = block.y * T.tile_h, w0 = block.x / parts * T.tile_w;
    const Extent pixels{size.n, size.h, size.w, gone, made};
    copy_halo<T.in, T.tile_h, T.tile_w, threads, 1, T.pictures>(Sums::tile(0), from, pixels, n, h0, w0);
    Sums s;
    s.begin(!Backward && bias ? bias + first : nullptr);
    s.run(w + (Backward ? Index(first) * size.k : first), size, gone / T.in, [&](int next, int tap) {
      if (tap < 8) copy_halo<T.in, T.tile_h, T.tile_w, threads, 8, T.pictures>(Sums::tile(next), from + next * T.in, pixels, n, h0, w0, tap);
    });
    const int lane = thread_index() % 32;
    LAMINA_UNROLL
    for (int m = 0; m < Sums::patches; ++m) {
      constexpr int each = T.tile_h * T.tile_w / 16;       // patches of a picture
      const int patch = Sums::first_patch() + m, image = n + patch / each;
      const int row = h0 + patch % each / Sums::patches_across * 2, column = w0 + patch % Sums::patches_across * 8 + lane / 4;
      LAMINA_UNROLL
      for (int below = 0; below < 2; ++below) {
        bf16* const pixel = to + size.pixel(image, row + below, column) * made + first + Sums::first_channel();
        store_pixel<Sums::channels / 8>(pixel, image < size.n && row + below < size.h && column < size.w, [&](int j, int e) {
          const float value = s.sum[m][j][2 * below + e];
          return Backward ? value : bounds(value);
        });
      }
    }
  }
};

}  // namespace kernels::inline LAMINA_SIMT

namespace detail {
template <kernels::TapTile T> using TapsForward = kernels::ConvTaps<T, false>;
template <kernels::TapTile T> using TapsDataGradient = kernels::ConvTaps<T, true>;

/// The kernels of a way: tiles that may race (tap_tiles.hpp), and the one of the gradient of weights.
template <int W> struct TapsKernels {
  static constexpr TapsWay way = TapsWay::numbered(W);
  static constexpr bool large = way.tile == TapsTile::large, narrow = way.tile == TapsTile::narrow;
  static constexpr int tile_h = large ? 16 : 8, tile_w = narrow ? 8 : 16, pictures = narrow ? 2 : 1;
  static constexpr kernels::TapTile tile(ChannelBlocks in, ChannelBlocks out) { return {in.block, out.block, in.several, tile_h, tile_w, pictures * tile_h * tile_w / 32, 1, pictures}; }
  /// A warp with 64 pixels reads every weight for twice as many; where tiles are narrow, there are twice as many of half the size.
  static constexpr kernels::TapTile other(kernels::TapTile t) {
    if (narrow) return {t.in, t.out, t.several, 8, 8, 4, t.out > 16 ? 2 : 1};
    return {t.in, t.out, t.several, tile_h, 16, t.warps / 2, 1};
  }
  template <kernels::TapTile T> using Raced = TapTiles<T, other(T)>;
  using Forwards = Raced<tile(way.c, way.k)>;
  using DataGradients = Raced<tile(way.k, way.c)>;
  static constexpr kernels::TapsWeightTile weight_tile{way.c.block, way.k.block, tile_h, tile_w, narrow ? 4 : 1};
  using WeightGradient = kernels::ConvTapsWeightGradient<weight_tile>;
};
inline kernels::Extent taps_extent(Shape in, Shape out, Index n) { return {int(n), in.h, in.w, in.c, out.c}; }

/// Into which slabs a batch's tiles are shared out: each multiprocessor shall have as many thread blocks as make twelve warps.
template <int W, class D> kernels::Slabs taps_slabs(const Shares& cut, kernels::Extent size) {
  constexpr kernels::TapsWeightTile t = TapsKernels<W>::weight_tile;
  const Index parts = size.c / t.c * (size.k / t.k);
  return {cut, slabs_of_share(cut, std::max<Index>(D::multiprocessors * 12 / (t.threads() / 32) / parts, 1), pieces(size.h, t.tile_h) * pieces(size.w, t.tile_w), t.pictures)};
}
}  // namespace detail

template <int W> concept OnTaps = W >= detail::TapsWay::first && W < detail::TapsWay::end;

template <RunsKernels D, int W> requires OnTaps<W>
void conv_forward(D& dev, Way<W>, ConvSpec, Shape in, Shape out, Index n, const bf16* x, const bf16* w, const float* b, bf16* y, Clamp clamp = {}) {
  const kernels::Extent size = detail::taps_extent(in, out, n);
  detail::with_tap_tile<detail::TapsForward>(typename detail::TapsKernels<W>::Forwards(), dev, "conv forward", size, size.c, size.k, [&]<kernels::TapTile T>(Grid grid) {
    dev.template launch<detail::TapsForward<T>>(grid, x, w, b, kernels::Bounds<float>(clamp), y, size);
  });
}

template <RunsKernels D, int W> requires OnTaps<W>
void conv_backward(D& dev, Way<W>, ConvSpec, Shape in, Shape out, Index n, const bf16* x, const bf16* w, const bf16* dy, bf16* dx, float* dw, float* db) {
  using K = detail::TapsKernels<W>;
  const kernels::Extent size = detail::taps_extent(in, out, n);
  if (dx)
    detail::with_tap_tile<detail::TapsDataGradient>(typename K::DataGradients(), dev, "conv gradient of x", size, size.k, size.c, [&]<kernels::TapTile T>(Grid grid) {
      dev.template launch<detail::TapsDataGradient<T>>(grid, dy, w, static_cast<const float*>(nullptr), kernels::Bounds<float>(Clamp{}), dx, size);
    });
  if (!dw) return;
  const kernels::Slabs slabs = detail::taps_slabs<W, D>(detail::cut_of(dev, n), size);
  auto* const partials = reinterpret_cast<float*>(dev.arena());
  dev.template launch<typename K::WeightGradient>(Grid{size.k / K::way.k.block, size.c / K::way.c.block, slabs.count}, x, dy, partials, dw, db, dev.writes_gradients, slabs, size);
  if (slabs.count > 1) detail::add_slabs(dev, size, slabs, partials, dw, db);
}

/// Bytes of the slabs' partial gradients.
template <RunsKernels D, int W> requires OnTaps<W> Index conv_arena(const D& dev, Way<W>, bf16, ConvSpec, Shape in, Shape out, Index n) {
  const kernels::Extent size = detail::taps_extent(in, out, n);
  const Index slabs = detail::most_of_cuts(dev, n, [&](const Shares& cut) { return Index(detail::taps_slabs<W, D>(cut, size).count); });
  return slabs > 1 ? slabs * detail::slab_numbers(size) * Index(sizeof(float)) : 0;
}
template <RunsKernels D, int W> requires OnTaps<W> Index conv_forward_arena(const D&, Way<W>, bf16, ConvSpec, Shape, Shape, Index) { return 0; }

}  // namespace lamina
