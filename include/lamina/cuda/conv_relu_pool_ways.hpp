/// The ways in which a GPU runs Conv 3x3, ReLU and MaxPool 2x2 in bf16 and tf32, as numbers. Way 0 is for everything else; ways 1 to 4 are for pictures of so many channels; the others tell
/// in which blocks channels go through the kernels and in which tiles the pixels do.
#pragma once
#include "../core/device.hpp"
#include "../core/precision.hpp"

namespace lamina::detail {

/// Channels go `block` at a time: all at once, or several times.
struct ChannelBlocks {
  int block;                 // 16, 32, 64
  bool several;
  static constexpr int kinds = 6;
  constexpr int number() const { return (block == 64 ? 2 : block / 32) + 3 * several; }
  static constexpr ChannelBlocks numbered(int i) { return {16 << i % 3, i >= 3}; }
  static constexpr ChannelBlocks of(int channels) {
    const int block = channels % 64 == 0 ? 64 : channels % 32 == 0 ? 32 : 16;
    return {block, channels > block};
  }
};

/// Pixels that a thread block makes at a time: 16 x 16, for small pictures 8 x 16, for narrow ones 8 x 8.
enum class PixelTile { large, flat, small };

struct PooledWay {
  ChannelBlocks c, k;        // of the channels in and out
  PixelTile tile;
  static constexpr int first = 8, end = first + 3 * ChannelBlocks::kinds * ChannelBlocks::kinds;
  constexpr int number() const { return first + int(tile) + 3 * (c.number() + ChannelBlocks::kinds * k.number()); }
  static constexpr PooledWay numbered(int way) {
    const int i = way - first;
    return {ChannelBlocks::numbered(i / 3 % ChannelBlocks::kinds), ChannelBlocks::numbered(i / 3 / ChannelBlocks::kinds), PixelTile(i % 3)};
  }
};

constexpr int pooled_way(ConvReluPool k, Shape in, Shape mid) {
  const bool taken = k.groups == 1 && k.conv.k == 3 && k.conv.stride == 1 && (k.conv.pad == 1 || k.conv.pad == same) && k.pool.k == 2 && k.pool.stride == 2 && k.pool.pad == 0;
  if (!taken || mid.c % 16 || mid.h < 2 || mid.w < 2) return 0;
  if (in.c <= 4) return in.c;
  if (in.c % 16) return 0;
  const PixelTile tile = mid.w <= 8 ? PixelTile::small : mid.h * mid.w <= 256 ? PixelTile::flat : PixelTile::large;
  return PooledWay{ChannelBlocks::of(in.c), ChannelBlocks::of(mid.c), tile}.number();
}

/// The way of those with pools of 2x2 that no tensor core takes: of tf32 a number that the others left.
template <class T> inline constexpr int tiled_way = std::is_same_v<T, tf32> ? PooledWay::first - 1 : 1;

}  // namespace lamina::detail
