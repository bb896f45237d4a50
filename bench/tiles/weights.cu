#include <lamina/cuda/pooled_weights.hpp>

#include "race.hpp"

namespace tiles {
namespace {
template <kernels::WeightTile T> void enter(Race& race, Race& sums, kernels::Extent e, int blocks, const Words& x, const Words& dp, const Words& codes, Words& partials, Words& dw) {
  using K = kernels::PooledConvWeightGradient<T>;
  const int parts = e.c / T.c * (e.k / T.k), slabs = std::max(1, std::min(blocks / parts, tiles_of(e.h, T.tile_h) * tiles_of(e.w, T.tile_w) * e.n)), count = (9 * e.c + 1) * e.k;
  const std::string config = words({{"c", T.c}, {"k", T.k}, {"h", T.tile_h}, {"w", T.tile_w}, {"groups", T.groups}, {"split", T.split}, {"blocks", T.blocks}, {"slabs", slabs}});
  int registers = 0, resident = 0;
  const auto launch = [&](auto... a) {
    if (!Race::fits<K, decltype(a)...>(registers, resident)) return std::printf("%s %s does not fit\n", race.kernel().c_str(), config.c_str()), void();
    const double us = Race::time<K>(Grid{slabs, e.k / T.k, e.c / T.c}, a...);
    float* const d = dw.as<float>();
    int r = 0, n = 0;
    const auto add = [&](auto... b) {
      Race::fits<kernels::SlabSum, decltype(b)...>(r, n);
      dw.set(0);
      kernels::entry<kernels::SlabSum, decltype(b)...><<<unsigned(tiles_of(count, 128)), kernels::SlabSum::threads, kernels::SlabSum::shared_bytes>>>(b...);
      race.report(config, us, registers, resident);
      sums.report(config, Race::time<kernels::SlabSum>(Grid{tiles_of(count, 128)}, b...), r, n, false);
    };
    add(static_cast<const float*>(partials.as<float>()), slabs, count - e.k, count, d, d + (count - e.k), false);
  };
  launch(x.as<const bf16>(), dp.as<const bf16>(), codes.as<const std::uint8_t>(), partials.as<float>(), e);
}
}  // namespace

void race_weights(int size, int batch) {
  for (int number = 2; number <= 3; ++number) {
    const kernels::Extent e = block(number, size, batch);
    const std::size_t count = std::size_t(9 * e.c + 1) * std::size_t(e.k);
    const Words x(pixels(e) * std::size_t(e.c) * 2, 4, 0), dp(pixels(e) / 4 * std::size_t(e.k) * 2, 1, 0), codes(pixels(e) / 4 * std::size_t(e.k), 3, 1);
    Words partials(528 * count * 4), dw(count * 4);
    Race race("G" + std::to_string(number), size, batch, flops(e), {&dw}, true), sums("S" + std::to_string(number), size, batch, 0, {&dw}, true);
    const auto each = [&]<kernels::WeightTile... T>(int blocks) { (enter<T>(race, sums, e, blocks, x, dp, codes, partials, dw), ...); };
    using kernels::WeightTile;
    each.template operator()<WeightTile{16, 32, 16, 16}, WeightTile{32, 32, 16, 16, 4, 1}, WeightTile{32, 64, 16, 16, 2, 2}, WeightTile{32, 64, 8, 16, 2, 2}, WeightTile{16, 64, 16, 16, 4, 1},
                             WeightTile{32, 64, 16, 16, 4, 4, 1}>(132);
    each.template operator()<WeightTile{16, 32, 16, 16, 4, 1, 1}, WeightTile{16, 32, 16, 16, 2, 1, 2}, WeightTile{32, 32, 8, 16, 2, 1, 2}, WeightTile{32, 32, 16, 16, 2, 1, 2},
                             WeightTile{32, 64, 8, 16, 1, 2, 2}>(264);
    each.template operator()<WeightTile{16, 32, 8, 16, 2, 1, 4}, WeightTile{32, 32, 8, 16, 1, 1, 4}>(528);
  }
}
}  // namespace tiles
