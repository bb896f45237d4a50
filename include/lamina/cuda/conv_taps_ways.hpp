/// The ways in which a GPU runs a 3x3 convolution in bf16 whose nine taps pass over a tile of pixels, as numbers: in which blocks channels go through the kernels, and in which tiles the pixels do.
#pragma once
#include "conv_relu_pool_ways.hpp"

namespace lamina::detail {

/// Pixels that a thread block makes at a time: 16 x 16, 8 x 16, or 8 x 8 of two pictures.
enum class TapsTile { large, flat, narrow };

struct TapsWay {
  ChannelBlocks c, k;        // of the channels in and out
  TapsTile tile;
  static constexpr int first = 5, end = first + 3 * ChannelBlocks::kinds * ChannelBlocks::kinds;
  constexpr int number() const { return first + int(tile) + 3 * (c.number() + ChannelBlocks::kinds * k.number()); }
  static constexpr TapsWay numbered(int way) {
    const int i = way - first;
    return {ChannelBlocks::numbered(i / 3 % ChannelBlocks::kinds), ChannelBlocks::numbered(i / 3 / ChannelBlocks::kinds), TapsTile(i % 3)};
  }
};

/// 0: another way is for these shapes.
constexpr int taps_way(ConvSpec spec, Shape in, Shape out) {
  const bool taken = spec.groups == 1 && spec.window.k == 3 && spec.window.stride == 1 && (spec.window.pad == 1 || spec.window.pad == same);
  if (!taken || in.c % 16 || out.c % 16 || in.h < 8 || in.w < 8) return 0;
  const auto pixels = [&](int tile_h, int tile_w) { return (in.h + tile_h - 1) / tile_h * tile_h * ((in.w + tile_w - 1) / tile_w * tile_w); };     // of the tiles that cover a picture
  const int large = pixels(16, 16), flat = pixels(8, 16), narrow = pixels(8, 8), least = narrow < flat ? narrow : flat < large ? flat : large;
  if (least * 2 > in.h * in.w * 3) return 0;
  return TapsWay{ChannelBlocks::of(in.c), ChannelBlocks::of(out.c), least == large ? TapsTile::large : least == flat ? TapsTile::flat : TapsTile::narrow}.number();
}

}  // namespace lamina::detail
