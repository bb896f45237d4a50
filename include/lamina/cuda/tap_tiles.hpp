/// The tiles in which a 3x3 convolution on tensor cores can go through the pixels, and about how long each would take.
/// Of two tiles with the same `in` every sum has the same order: for each block of `in` channels, for each tap, for each sixteen of these channels, one instruction that adds up sixteen products.
/// Which pixels and which filters a thread block or a warp makes, how many stages there are and whether weights stay changes who adds up a number and when, and not in what order. Such tiles may
/// race, with the same Backward. The gradient of weights adds up pixels, slab by slab and tile by tile: another tile is another order, and nobody races there.
#pragma once
#include <cmath>

#include "tap_sums.hpp"
#include "tuning.hpp"

namespace lamina {

namespace detail {
/// The first is the one that runs where nobody races and nothing is estimated.
template <kernels::TapTile First, kernels::TapTile... Others> struct TapTiles {
  static_assert(((Others.in == First.in) && ...), "tiles of one work give the same bits");
};

template <kernels::TapTile T> inline constexpr Text tap_tile_name = text(T.tile_h, "x", T.tile_w, " pixels of ", T.pictures, ", ", T.in, " to ", T.out, " channels, ", T.warps, "/", T.split, " warps, ",
                                                                  T.stages, " stages, ", T.blocks, " blocks");

/// Thread blocks of a launch that makes `made` channels: a tile and a block of channels each, or where weights stay as many as the GPU holds at a time.
inline Grid tap_grid(kernels::TapTile t, kernels::Extent size, int made, const Processors& p) {
  const Index across = pieces(size.w, t.tile_w), down = pieces(size.h, t.tile_h), pictures = pieces(size.n, t.pictures), parts = made / t.out;
  if (t.resident()) return {int(std::clamp<Index>(p.count * std::max(t.blocks, 1) / parts, 1, across * down * pictures)), int(parts), 1};
  return {int(across * parts), int(down), int(pictures)};
}

/// About how many clock cycles the launch takes in which `gone` channels become `made`, after the figures of an H100: what the busiest multiprocessor multiplies, reads from shared memory and
/// copies there, pixels outside the picture and borders included; and for each turn of its thread blocks the time until the first numbers have come. Infinite if a block does not fit.
inline double tap_cycles(kernels::TapTile t, int shared_bytes, kernels::Extent size, int gone, int made, const Processors& p) {
  if (shared_bytes > p.block_bytes) return std::numeric_limits<double>::infinity();
  constexpr double multiply = 1.5, read = 4, copied_bytes = 24, latency = 1500, filled = 16;    // cycles of an instruction; bytes a cycle; cycles; patches at work that keep tensor cores busy
  const int patches = t.pictures * t.tile_h * t.tile_w / 16 / (t.warps / t.split), channels = t.out / t.split;        // of a warp
  const double fragments = 9. * gone / 16, product = t.warps * fragments * (patches * channels / 8 * multiply + (patches + channels / 16) * read);
  const double border = t.pictures * (t.tile_h + 2.) * (t.tile_w + 2) * gone * 2 / copied_bytes, weights = 9. * gone * t.out * 2 / copied_bytes;

  const int registers = std::min(255, patches * channels / 2 + 56), free = 65536 / (registers * t.threads());          // of a lane: the sums, and what it takes to go through them
  const int held = std::max(1, std::min({p.shared_bytes / (shared_bytes + 1024), 2048 / t.threads(), std::max(free, t.blocks)}));
  const Grid grid = tap_grid(t, size, made, p);
  const double blocks = double(grid.x) * grid.y * grid.z, tiles = double(pieces(size.w, t.tile_w)) * double(pieces(size.h, t.tile_h)) * double(pieces(size.n, t.pictures)) * (made / t.out);
  const double of_processor = std::ceil(blocks / p.count), turns = std::ceil(of_processor / held), each = std::ceil(tiles / blocks);    // blocks, in so many turns; tiles of a block
  const double busy = std::min(1., std::min(of_processor, double(held)) * t.warps * patches / filled);
  return of_processor * (each * (product / busy + border) + weights) + turns * latency;
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
