/// The tiles in which a 3x3 convolution on tensor cores can go through the pixels, and about how long each would take.
/// Of two tiles with the same `in` every sum has the same order: for each block of `in` channels, for each tap, for each sixteen of these channels, one instruction that adds up sixteen products.
/// Which pixels and which filters a thread block or a warp makes, how many stages there are and whether weights stay changes who adds up a number and when, and not in what order. Such tiles may
/// race, with the same Backward. The gradient of weights adds up pixels, slab by slab and tile by tile: another tile is another order, and nobody races there.
#pragma once
#include "tap_sums.hpp"
#include "tuning.hpp"

namespace lamina {

namespace detail {
/// The first is the one that runs where nobody races and nothing is estimated.
template <kernels::TapTile First, kernels::TapTile... Others> struct TapTiles {
  static_assert(((Others.in == First.in && Others.wide == First.wide) && ...), "tiles of one work give the same bits");
};

template <kernels::TapTile T> inline constexpr Text tap_tile_name = text(T.tile_h, "x", T.tile_w, " pixels of ", T.pictures, ", ", T.in, " to ", T.out, " channels, ", T.warps, "/", T.split, " warps, ",
                                                                  T.stages, " stages, ", T.blocks, " blocks");

/// Thread blocks of a launch that makes `made` channels: a tile and a block of channels each, or where weights stay as many as the GPU holds at a time.
inline Grid tap_grid(kernels::TapTile t, kernels::Extent size, int made, const Processors& p) {
  const Index across = pieces(size.w, t.tile_w), down = pieces(size.h, t.tile_h), pictures = pieces(size.n, t.pictures), parts = made / t.out;
  if (t.resident()) return {int(std::clamp<Index>(p.count * std::max(t.blocks, 1) / parts, 1, across * down * pictures)), int(parts), 1};
  return {int(across * parts), int(down), int(pictures)};
}

/// About how many clock cycles the launch takes in which `gone` channels become `made`: pixels outside the picture, borders and weights that are copied again and again included.
inline double tap_cycles(kernels::TapTile t, int shared_bytes, kernels::Extent size, int gone, int made, const Processors& p) {
  const int patches = t.pictures * t.tile_h * t.tile_w / 16 / (t.warps / t.split), channels = t.out / t.split;        // of a warp
  const Grid grid = tap_grid(t, size, made, p);
  const double blocks = double(grid.x) * grid.y * grid.z, tiles = double(pieces(size.w, t.tile_w)) * double(pieces(size.h, t.tile_h)) * double(pieces(size.n, t.pictures)) * (made / t.out);
  const double each = std::ceil(tiles / blocks), products = t.warps * (9. * gone / 16) * warp_cycles(patches, channels);
  const double border = t.pictures * (t.tile_h + 2.) * (t.tile_w + 2) * gone * 2, weights = 9. * gone * t.out * 2;
  return launch_cycles({each * products, each * border + weights, t.warps * patches, t.threads(), patches * channels / 2 + 56, shared_bytes, t.blocks}, blocks, p);
}

/// launch.template operator()<tile>(grid) with the tile of the quickest kernel: of the first, unless device type D races.
template <template <kernels::TapTile> class Kernel, kernels::TapTile First, kernels::TapTile... Others, RunsKernels D, class F>
void with_tap_tile(TapTiles<First, Others...>, D& dev, std::string_view kernel, kernels::Extent size, int gone, int made, const F& launch) {
  const Processors p = processors_of(dev);
  const auto with = [&]<kernels::TapTile T>() { launch.template operator()<T>(tap_grid(T, size, made, p)); };
  if constexpr (!D::races || sizeof...(Others) == 0) with.template operator()<First>();
  else {
    const auto runner = [&]<kernels::TapTile T>() { return Runner{tap_tile_name<T>.s, tap_cycles(T, Kernel<T>::shared_bytes, size, gone, made, p)}; };
    const Runner all[] = {runner.template operator()<First>(), runner.template operator()<Others>()...};
    const auto run = [&](int which) {
      if (which == 0) with.template operator()<First>();
      int i = 1;
      ((i++ == which ? with.template operator()<Others>() : void()), ...);
    };
    run(chosen(dev, {kernel, {size.h, size.w, gone}, made, size.n}, all, run));
  }
}
}  // namespace detail

}  // namespace lamina
