#include <lamina/cuda/pooled_conv.hpp>

#include "race.hpp"

namespace tiles {
namespace {
template <kernels::TapTile T> void enter(Race& race, kernels::Extent e, const Words& dp, const Words& codes, const Words& w, const Words& dx) {
  const int across = tiles_of(e.w, T.tile_w), down = tiles_of(e.h, T.tile_h), parts = e.c / T.out;
  const Grid grid = T.resident() ? Grid{std::min(across * down * e.n, 132 * T.blocks / parts), parts, 1} : Grid{across * parts, down, e.n};
  race.run<kernels::PooledConvDataGradient<T>>(words({{"in", T.in}, {"out", T.out}, {"h", T.tile_h}, {"w", T.tile_w}, {"warps", T.warps}, {"split", T.split}, {"stages", T.stages}, {"blocks", T.blocks}}), grid,
                                               dp.as<const bf16>(), codes.as<const std::uint8_t>(), w.as<const bf16>(), dx.as<bf16>(), e);
}
}  // namespace

void race_data(int size, int batch) {
  for (int number = 2; number <= 3; ++number) {
    const kernels::Extent e = block(number, size, batch);
    const Words dp(pixels(e) / 4 * std::size_t(e.k) * 2, 1, 0), w(std::size_t(9 * e.c * e.k) * 2, 2, 0), codes(pixels(e) / 4 * std::size_t(e.k), 3, 1);
    Words dx(pixels(e) * std::size_t(e.c) * 2);
    Race race("D" + std::to_string(number), size, batch, flops(e), {&dx}, false);
    const auto each = [&]<kernels::TapTile... T>() { (enter<T>(race, e, dp, codes, w, dx), ...); };
    if (number == 2)
      each.template operator()<kernels::TapTile{64, 32, false, 16, 16, 8, 1}, kernels::TapTile{64, 32, false, 16, 16, 8, 1, 1, 4}, kernels::TapTile{64, 32, false, 16, 16, 4, 1, 1, 3, 3},
                               kernels::TapTile{64, 32, false, 8, 16, 4, 1}, kernels::TapTile{64, 32, false, 8, 16, 4, 1, 1, 3, 5}, kernels::TapTile{64, 32, false, 16, 32, 8, 1, 1, 3, 1},
                               kernels::TapTile{64, 32, false, 16, 32, 16, 1, 1, 3, 1}, kernels::TapTile{64, 32, false, 8, 16, 4, 1, 1, 9, 2}, kernels::TapTile{64, 32, false, 8, 16, 8, 1, 1, 9, 2}, kernels::TapTile{64, 32, false, 16, 16, 8, 1, 1, 9, 1},
                               kernels::TapTile{64, 32, false, 16, 16, 4, 1, 1, 9, 1}, kernels::TapTile{64, 32, false, 16, 32, 16, 1, 1, 9, 1}, kernels::TapTile{64, 32, false, 16, 32, 8, 1, 1, 9, 1}>();
    else
      each.template operator()<kernels::TapTile{64, 64, true, 16, 16, 8, 1}, kernels::TapTile{64, 64, true, 8, 16, 8, 2}, kernels::TapTile{64, 64, true, 8, 16, 4, 1, 1, 3, 2},
                               kernels::TapTile{64, 64, true, 8, 16, 4, 2, 1, 3, 3}, kernels::TapTile{64, 64, true, 16, 16, 8, 1, 1, 3, 2}, kernels::TapTile{64, 64, true, 16, 16, 4, 1, 1, 3, 2},
                               kernels::TapTile{64, 64, true, 16, 16, 8, 1, 1, 4, 2}, kernels::TapTile{128, 64, false, 16, 16, 8, 1, 1, 3, 2}, kernels::TapTile{128, 64, false, 8, 16, 4, 1, 1, 3, 3}, kernels::TapTile{128, 32, false, 8, 16, 4, 1, 1, 9, 1}, kernels::TapTile{128, 32, false, 8, 16, 8, 2, 1, 9, 1}>();
  }
}
}  // namespace tiles
