/// y = pool(relu(conv(x))) on a GPU in tf32: the kernels and ways of bf16 (conv_relu_pool.hpp). Channels that are summed over go half as many at a time, which are as many bytes.
#pragma once
#include "conv_relu_pool.hpp"

namespace lamina {

namespace detail {
/// The kernels of a way.
template <int W> struct WidePooledKernels {
  using Narrow = PooledKernels<W>;
  static constexpr kernels::TapTile wide(kernels::TapTile t) {
    const bool several = t.several || t.in > 32;
    return {std::min(t.in, 32), t.out, several, t.tile_h, t.tile_w, t.warps, t.split, t.pictures, t.stages, t.out == 64 && t.tile_h == 16 ? 2 : t.blocks, true};
  }
  static constexpr kernels::WeightTile wide(kernels::WeightTile t) { return {t.c, t.k, t.tile_h, t.tile_w, t.groups, t.split, t.blocks, true}; }
  static constexpr kernels::TapTile forward_tile = wide(Narrow::forward_tile), backward_tile = wide(Narrow::backward_tile);
  static constexpr kernels::WeightTile weight_tile = wide(Narrow::weight_tile);
};
}  // namespace detail

template <int W> concept WideBlock = W >= 1 && (detail::first_block<W> || W >= detail::PooledWay::first);

template <RunsKernels D, int W> requires WideBlock<W>
void conv_relu_pool_forward(D& dev, Way<W>, ConvReluPool, Shape in, Shape mid, Shape, Index n, const tf32* x, const tf32* w, const float* b, tf32* y, std::uint8_t* codes) {
  const kernels::Extent size = detail::pooled_extent(in, mid, n);
  if constexpr (detail::first_block<W>) detail::first_conv_forward<W>(dev, size, x, 1.f, w, b, y, codes);
  else {
    constexpr kernels::TapTile tile = detail::WidePooledKernels<W>::forward_tile;
    dev.template launch<kernels::PooledConvForward<tile>>(detail::tap_grid(tile, size, size.k, detail::processors_of(dev)), x, w, b, y, codes, size);
  }
}

template <RunsKernels D, int W> requires WideBlock<W>
void conv_relu_pool_backward(D& dev, Way<W>, ConvReluPool, Shape in, Shape mid, Shape, Index n, const tf32* x, const tf32* w, const std::uint8_t* codes, const tf32* dy, tf32* dx, float* dw, float* db) {
  const kernels::Extent size = detail::pooled_extent(in, mid, n);
  if constexpr (detail::first_block<W>) {
    if (dx) parallel_for(dev, n * lamina::size(in), detail::FewChannelGradient<tf32>{size, w, dy, codes, dx});
    if (dw) detail::first_conv_backward<W>(dev, size, x, 1.f, codes, dy, dw, db);
  } else {
    using K = detail::WidePooledKernels<W>;
    if (dx) dev.template launch<kernels::PooledConvDataGradient<K::backward_tile>>(detail::tap_grid(K::backward_tile, size, size.c, detail::processors_of(dev)), dy, codes, w, dx, size);
    if (!dw) return;
    float* const partials = reinterpret_cast<float*>(dev.arena());
    const int slabs = detail::pooled_slabs<W, D>(size);
    dev.template launch<kernels::PooledConvWeightGradient<K::weight_tile>>(Grid{slabs, size.k / K::weight_tile.k, size.c / K::weight_tile.c}, x, dy, codes, partials, size);
    detail::add_slabs(dev, size, slabs, partials, dw, db);
  }
}

/// Bytes of the slabs' partial gradients.
template <RunsKernels D, int W> requires WideBlock<W> Index conv_relu_pool_arena(const D& dev, Way<W> way, tf32, ConvReluPool k, Shape in, Shape mid, Index n) {
  return conv_relu_pool_arena(dev, way, bf16(), k, in, mid, n);
}

}  // namespace lamina
