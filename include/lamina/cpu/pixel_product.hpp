/// A 1x1 convolution is a product of pixels and weights: y (pixels, O) = x (pixels, C) w (C, O). The sums of a few pixels and two vectors of channels stay in registers
/// while a stretch of the input channels goes by, whose weights stay in the first cache for all pixels of a task.
#pragma once
#include <algorithm>

#include "cpu.hpp"
#include "outer.hpp"

namespace lamina::detail {

using simd::Floats;

struct PixelProduct {
  static constexpr int rows = simd::width == 16 ? 8 : 6, vectors = 2, block = vectors * simd::width;
  static constexpr Index depth = simd::first_cache * 2 / 3 / (block * Index(sizeof(float)));      // input channels of a stretch
  static constexpr Index each = 128;                                                              // pixels of a task

  Index c, o;

  Index blocks() const { return (o + block - 1) / block; }
  Index weights() const { return blocks() * c * block; }
  /// Weights (O / block, C, block) of w (C, O), zeros beyond the last channel.
  void pack(const float* w, float* to) const {
    for (Index b = 0; b < blocks(); ++b)
      for (Index k = 0; k < c; ++k, to += block) {
        const Index count = std::min<Index>(block, o - b * block);
        std::copy_n(w + k * o + b * block, count, to);
        std::fill(to + count, to + block, 0.0f);
      }
  }
  /// y of `count` pixels, blocks [first, last) of the output channels: clamped, with a bias or null.
  void forward(const float* x, const float* packed, const float* bias, Index count, Index first, Index last, Floats low, Floats high, float* y) const {
    for (Index b = first; b < last; ++b)
      for (Index k = 0; k < c; k += depth) {
        const Stretch s{x + k, packed + (b * c + k) * block, bias && k == 0 ? bias + b * block : nullptr, std::min(depth, c - k), k > 0, k + depth >= c};
        const Index channels = std::min<Index>(block, o - b * block);
        for (Index p = 0; p < count; p += rows) {
          if (channels > simd::width) tile<vectors>(s, p, count, channels, low, high, y + b * block);
          else tile<1>(s, p, count, channels, low, high, y + b * block);
        }
      }
  }

 private:
  struct Stretch { const float *x, *w, *bias; Index count; bool adds, ends; };      // of the input channels; it adds to y, and what it leaves there is clamped
  /// y (rows, channels), of pixels from p on; beyond the last the tile computes that one again.
  template <int V> void tile(const Stretch& s, Index p, Index count, Index channels, Floats low, Floats high, float* y) const {
    const float* from[rows];
    Floats sum[rows][V];
    for (int t = 0; t < rows; ++t) {
      const Index at = std::min(p + t, count - 1);
      from[t] = s.x + at * c;
      for (int j = 0; j < V; ++j) {
        const Index lanes = channels - j * simd::width;
        sum[t][j] = s.adds ? some(y + at * o + j * simd::width, lanes) : s.bias ? some(s.bias + j * simd::width, lanes) : Floats{};
      }
    }
    const float* w = s.w;
    for (Index k = 0; k < s.count; ++k, w += block) add_scaled(sum, [&](int t) LAMINA_INLINE_LAMBDA { return from[t][k]; }, w);
    for (int t = 0; t < rows && p + t < count; ++t)
      for (int j = 0; j < V; ++j) put(y + (p + t) * o + j * simd::width, s.ends ? simd::clamp(low, high, sum[t][j]) : sum[t][j], channels - j * simd::width);
  }
  static Floats some(const float* from, Index lanes) {
    if (lanes >= simd::width) return simd::load(from);
    Floats v{};
    std::memcpy(&v, from, std::size_t(lanes) * sizeof(float));
    return v;
  }
  static void put(float* to, Floats v, Index lanes) {
    if (lanes >= simd::width) simd::store(to, v);
    else std::memcpy(to, &v, std::size_t(lanes) * sizeof(float));
  }
};

}  // namespace lamina::detail
