/// y = pool(relu(conv(x))) on a GPU in bf16 or tf32, for 3x3 convolutions that keep the size, 2x2 pools, and channels in sixteens or pictures of 1 to 4: the ways from 1 on.
#pragma once
#include <algorithm>

#include "conv_relu_pool_ways.hpp"
#include "first_conv.hpp"
#include "kernel.hpp"
#include "pooled_weights.hpp"
#include "tap_tiles.hpp"

namespace lamina {

namespace detail {
/// The kernels of a way: tiles that may race (tap_tiles.hpp), and the one of the gradient of weights.
template <int W> struct PooledKernels {
  static constexpr PooledWay way = PooledWay::numbered(W);
  static constexpr int tile_h = way.tile == PixelTile::large ? 16 : 8, tile_w = way.tile == PixelTile::small ? 8 : 16;
  static constexpr int split(int out) { return way.tile != PixelTile::large && out > 16 ? 2 : 1; }
  static constexpr int blocks(ChannelBlocks in, ChannelBlocks out) { return way.tile == PixelTile::large && in.several && out.block == 64 ? 2 : 0; }  // else it would be one
  static constexpr kernels::TapTile forward_tile{way.c.block, way.k.block, way.c.several, tile_h, tile_w, way.tile == PixelTile::large ? 8 : way.tile == PixelTile::small && way.k.block == 16 ? 2 : 4,
                                                 way.tile == PixelTile::small ? split(way.k.block) : 1, 1, 3, blocks(way.c, way.k)};
  static constexpr kernels::TapTile backward_tile{way.k.block, way.c.block, way.k.several, tile_h, tile_w, way.tile == PixelTile::small ? 4 : 8, split(way.c.block), 1, 3, blocks(way.k, way.c)};
  static constexpr kernels::WeightTile weight_tile{16, way.k.block < 32 ? 16 : 32, way.tile == PixelTile::small ? 8 : 16, way.tile == PixelTile::small ? 8 : 16};
  /// A warp with 64 pixels reads every weight for twice as many. Where weights are few, they stay.
  static constexpr kernels::TapTile deep(kernels::TapTile t) { return {t.in, t.out, t.several, 16, 16, 4, 1, 1, !t.several && t.in <= 32 ? 9 : 3, 2}; }
  template <kernels::TapTile T> using Raced = std::conditional_t<way.tile == PixelTile::small, TapTiles<T>, TapTiles<T, deep(T)>>;
  using Forwards = Raced<forward_tile>;
  using DataGradients = Raced<backward_tile>;
  using WeightGradient = kernels::PooledConvWeightGradient<weight_tile>;
};
/// The same in tf32: channels that are summed over go half as many at a time, which are as many bytes, and no tiles race.
template <int W> struct WidePooledKernels {
  using Narrow = PooledKernels<W>;
  static constexpr kernels::TapTile wide(kernels::TapTile t) {
    const bool several = t.several || t.in > 32;
    return {std::min(t.in, 32), t.out, several, t.tile_h, t.tile_w, t.warps, t.split, t.pictures, t.stages, t.out == 64 && t.tile_h == 16 ? 2 : t.blocks, true};
  }
  static constexpr kernels::WeightTile wide(kernels::WeightTile t) { return {t.c, t.k, t.tile_h, t.tile_w, t.groups, t.split, t.blocks, true}; }
  static constexpr kernels::TapTile forward_tile = wide(Narrow::forward_tile), backward_tile = wide(Narrow::backward_tile);
  static constexpr kernels::WeightTile weight_tile = wide(Narrow::weight_tile);
  using Forwards = TapTiles<forward_tile>;
  using DataGradients = TapTiles<backward_tile>;
  using WeightGradient = kernels::PooledConvWeightGradient<weight_tile>;
};
template <class T, int W> using BlockKernels = std::conditional_t<std::is_same_v<T, bf16>, PooledKernels<W>, WidePooledKernels<W>>;
template <int W, class Pixel> struct FirstKernels {
  static constexpr kernels::FirstTile forward_tile{W, 16, 16, 4}, weight_tile{W, 32, 16, 16};
  using Forward = kernels::FirstConvForward<forward_tile, Pixel>;
  using WeightGradient = kernels::FirstConvWeightGradient<weight_tile, Pixel>;
};
template <int W> inline constexpr bool first_block = W >= 1 && W <= 4;

inline kernels::Extent pooled_extent(Shape in, Shape mid, Index n) { return {int(n), in.h, in.w, in.c, mid.c}; }

/// Into which slabs a batch's tiles are shared out, if a thread block has one and makes one of `parts` of the gradient.
template <int W, class D> kernels::Slabs pooled_slabs(const Shares& cut, kernels::Extent size) {
  const auto slabs = [&](auto tile, int parts) { return kernels::Slabs(cut, slabs_of_share(cut, std::max(1, D::multiprocessors / parts), pieces(size.h, tile.tile_h) * pieces(size.w, tile.tile_w))); };
  if constexpr (first_block<W>) return slabs(FirstKernels<W, bf16>::weight_tile, int(pieces(size.k, kernels::FirstTile::k)));
  else return slabs(PooledKernels<W>::weight_tile, size.c / PooledKernels<W>::weight_tile.c * (size.k / PooledKernels<W>::weight_tile.k));
}
/// dx of a few channels, number by number: each gathers from the nine pixels around it whatever won there. A first layer wants none; this is for those that are not.
template <class T> struct FewChannelGradient {
  kernels::Extent size;
  const T *w, *dy;            // (3, 3, C, K), (N, H/2, W/2, K)
  const std::uint8_t* codes;     // (N, H/2, W/2, K)
  T* dx;                         // (N, H, W, C)
  LAMINA_HD void operator()(Index i) const {
    const int c = int(i % size.c), column = int(i / size.c % size.w), row = int(i / size.c / size.w % size.h);
    const Index n = i / size.c / size.w / size.h;
    float sum = 0;
    for (int tap = 0; tap < 9; ++tap) {
      const int h = row + 1 - tap / 3, v = column + 1 - tap % 3;
      if (h < 0 || v < 0 || h / 2 >= size.h / 2 || v / 2 >= size.w / 2) continue;
      const Index window = ((n * (size.h / 2) + h / 2) * (size.w / 2) + v / 2) * size.k;
      for (int k = 0; k < size.k; ++k)
        if (codes[window + k] == h % 2 * 2 + v % 2) sum += float(dy[window + k]) * float(w[(Index(tap) * size.c + c) * size.k + k]);
    }
    dx[i] = sum;
  }
};

/// `scale` multiplies the pictures.
template <int W, class D, class Pixel, class T>
void first_conv_forward(D& dev, kernels::Extent size, const Pixel* x, float scale, const T* w, const float* b, T* y, std::uint8_t* codes) {
  using K = FirstKernels<W, Pixel>;
  const Grid grid{int(pieces(size.w, K::forward_tile.tile_w) * pieces(size.k, K::forward_tile.k)), int(pieces(size.h, K::forward_tile.tile_h)), size.n};
  dev.template launch<typename K::Forward>(grid, x, scale, w, b, y, codes, size);
}
template <int W, class D, class Pixel, class T>
void first_conv_backward(D& dev, kernels::Extent size, const Pixel* x, float scale, const std::uint8_t* codes, const T* dy, float* dw, float* db) {
  using K = FirstKernels<W, Pixel>;
  float* const partials = reinterpret_cast<float*>(dev.arena());
  const kernels::Slabs slabs = pooled_slabs<W, D>(cut_of(dev, size.n), size);
  dev.template launch<typename K::WeightGradient>(Grid{slabs.count, int(pieces(size.k, K::weight_tile.k))}, x, scale, dy, codes, partials, slabs, size);
  add_slabs(dev, size, slabs, partials, dw, db);
}
}  // namespace detail

template <int W> concept TensorBlock = detail::first_block<W> || W >= detail::PooledWay::first;

template <RunsKernels D, int W, TensorNumber T> requires TensorBlock<W>
void conv_relu_pool_forward(D& dev, Way<W>, ConvReluPool, Shape in, Shape mid, Shape, Index n,
                            const T* x,                      // (N, H, W, C)
                            const T* w, const float* b,      // (3, 3, C, K), (K) or null
                            T* y, std::uint8_t* codes) {     // (N, H/2, W/2, K) both; which tap of the pool won, 255 if none was positive; codes may be null
  const kernels::Extent size = detail::pooled_extent(in, mid, n);
  if constexpr (detail::first_block<W>) detail::first_conv_forward<W>(dev, size, x, 1.f, w, b, y, codes);
  else {
    detail::with_tap_tile<kernels::PooledConvForward>(typename detail::BlockKernels<T, W>::Forwards(), dev, "conv_relu_pool forward", size, size.c, size.k, [&]<kernels::TapTile Tile>(Grid grid) {
      dev.template launch<kernels::PooledConvForward<Tile>>(grid, x, w, b, y, codes, size);
    });
  }
}

template <RunsKernels D, int W, TensorNumber T> requires TensorBlock<W>
void conv_relu_pool_backward(D& dev, Way<W>, ConvReluPool, Shape in, Shape mid, Shape, Index n, const T* x, const T* w,
                             const std::uint8_t* codes, const T* dy,   // (N, H/2, W/2, K) both
                             T* dx, float* dw, float* db) {            // (N, H, W, C) or null; += (3, 3, C, K) or null, (K) or null
  const kernels::Extent size = detail::pooled_extent(in, mid, n);
  if constexpr (detail::first_block<W>) {
    if (dx) parallel_for(dev, n * lamina::size(in), detail::FewChannelGradient<T>{size, w, dy, codes, dx});
    if (dw) detail::first_conv_backward<W>(dev, size, x, 1.f, codes, dy, dw, db);
  } else {
    using K = detail::BlockKernels<T, W>;
    if (dx)
      detail::with_tap_tile<kernels::PooledConvDataGradient>(typename K::DataGradients(), dev, "conv_relu_pool gradient of x", size, size.k, size.c, [&]<kernels::TapTile Tile>(Grid grid) {
        dev.template launch<kernels::PooledConvDataGradient<Tile>>(grid, dy, codes, w, dx, size);
      });
    if (!dw) return;
    float* const partials = reinterpret_cast<float*>(dev.arena());
    const kernels::Slabs slabs = detail::pooled_slabs<W, D>(detail::cut_of(dev, n), size);
    dev.template launch<typename K::WeightGradient>(Grid{slabs.count, size.k / K::weight_tile.k, size.c / K::weight_tile.c}, x, dy, codes, partials, slabs, size);
    detail::add_slabs(dev, size, slabs, partials, dw, db);
  }
}

/// Bytes of the slabs' partial gradients.
template <RunsKernels D, int W, TensorNumber T> requires TensorBlock<W> Index conv_relu_pool_arena(const D& dev, Way<W>, T, ConvReluPool, Shape in, Shape mid, Index n) {
  const kernels::Extent size = detail::pooled_extent(in, mid, n);
  return detail::most_of_cuts(dev, n, [&](const Shares& cut) { return Index(detail::pooled_slabs<W, D>(cut, size).count); }) * detail::slab_numbers(size) * Index(sizeof(float));
}

}  // namespace lamina
