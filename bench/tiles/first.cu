#include <lamina/cuda/first_conv.hpp>

#include "race.hpp"

namespace tiles {
namespace {
using kernels::FirstTile;
std::string name(FirstTile t) { return words({{"h", t.tile_h}, {"w", t.tile_w}, {"warps", t.warps}, {"blocks", t.blocks}}); }

template <FirstTile T> void forward(Race& race, kernels::Extent e, const Words& x, const Words& w, const Words& b, const Words& y, const Words& codes) {
  race.run<kernels::FirstConvForward<T, bf16>>(name(T), Grid{tiles_of(e.w, T.tile_w), tiles_of(e.h, T.tile_h), e.n}, x.as<const bf16>(), 1.f, w.as<const bf16>(), b.as<const float>(), y.as<bf16>(),
                                               codes.as<std::uint8_t>(), e);
}
template <FirstTile T> void weights(Race& race, kernels::Extent e, int blocks, const Words& x, const Words& dp, const Words& codes, Words& partials, Words& dw) {
  using K = kernels::FirstConvWeightGradient<T, bf16>;
  const int slabs = std::min(blocks, tiles_of(e.h, T.tile_h) * tiles_of(e.w, T.tile_w) * e.n), count = (9 * e.c + 1) * e.k;
  int registers = 0, resident = 0;
  const auto launch = [&](auto... a) {
    if (!Race::fits<K, decltype(a)...>(registers, resident)) return std::printf("G1 %s does not fit\n", name(T).c_str()), void();
    const double us = Race::time<K>(Grid{slabs, 1, 1}, a...);
    float* const d = dw.as<float>();
    dw.set(0);
    kernels::entry<kernels::SlabSum, const float*, int, int, int, float*, float*, bool><<<unsigned(tiles_of(count, 128)), kernels::SlabSum::threads, kernels::SlabSum::shared_bytes>>>(partials.as<float>(), slabs, count - e.k, count, d, d + (count - e.k), false);
    race.report(name(T) + ", slabs " + std::to_string(slabs), us, registers, resident);
  };
  launch(x.as<const bf16>(), 1.f, dp.as<const bf16>(), codes.as<const std::uint8_t>(), partials.as<float>(), e);
}
}  // namespace

void race_first(int size, int batch) {
  const kernels::Extent e = block(1, size, batch);
  const std::size_t pooled = pixels(e) / 4 * std::size_t(e.k), count = std::size_t(9 * e.c + 1) * std::size_t(e.k);
  const Words x(pixels(e) * std::size_t(e.c) * 2, 1, 0), w(std::size_t(9 * e.c * e.k) * 2, 2, 0), b(std::size_t(e.k) * 4, 3, 2);
  {
    Words y(pooled * 2), codes(pooled);
    Race race("F1", size, batch, flops(e), {&y, &codes}, false);
    const auto each = [&]<FirstTile... T>() { (forward<T>(race, e, x, w, b, y, codes), ...); };
    each.template operator()<FirstTile{3, 16, 16, 4}, FirstTile{3, 16, 16, 4, 8}, FirstTile{3, 8, 16, 4}, FirstTile{3, 16, 16, 8}, FirstTile{3, 16, 32, 4}, FirstTile{3, 16, 32, 8}, FirstTile{3, 32, 32, 8},
                             FirstTile{3, 8, 32, 4}, FirstTile{3, 8, 16, 2}>();
  }
  const Words dp(pooled * 2, 4, 0), codes(pooled, 5, 1);
  Words partials(1056 * count * 4), dw(count * 4);
  Race race("G1", size, batch, flops(e), {&dw}, true);
  const auto each = [&]<FirstTile... T>(int blocks) { (weights<T>(race, e, blocks, x, dp, codes, partials, dw), ...); };
  each.template operator()<FirstTile{3, 32, 16, 16}, FirstTile{3, 16, 16, 8}>(132);
  each.template operator()<FirstTile{3, 16, 16, 8, 2}, FirstTile{3, 16, 32, 8, 2}>(264);
  each.template operator()<FirstTile{3, 16, 16, 8, 3}>(396);
  each.template operator()<FirstTile{3, 16, 16, 4, 4}, FirstTile{3, 8, 16, 4, 4}, FirstTile{3, 16, 16, 8, 4}>(528);
  each.template operator()<FirstTile{3, 8, 16, 4, 8}, FirstTile{3, 16, 16, 4, 8}>(1056);
}
}  // namespace tiles
