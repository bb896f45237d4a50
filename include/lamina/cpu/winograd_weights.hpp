/// The weight gradient of a 3x3 convolution with stride 1 by Winograd's F(4, 3).
#pragma once
#include "outer.hpp"
#include "winograd.hpp"

namespace lamina::detail {

/// The gradient of the weights of such a convolution, by the same points: over all tiles the products of transformed inputs and gradients are added up, point by point.
struct WinogradWeights {
  static constexpr int points = Winograd::points, in_block = Winograd::in_block, tile_c = outer_rows, tile_o = outer_vectors * simd::width;
  static constexpr int together = 96;          // tiles whose products are added at a time: 32 channels of them stay in the first cache

  Winograd conv;                               // x to y; its block is ours
  WinogradWeights(Shape in, int out_c, int pad, int h, int w) : conv(in, out_c, pad, h, w) {
    conv.block = int(std::max<Index>(64, Index(3) * Winograd::few_weights / (points * (in.c + out_c)))) / Winograd::rows * Winograd::rows;
  }
  Index sums() const { return conv.weights(); }
  Index memory() const { return room(conv.in.c) + room(conv.out_c) + points * (room(conv.plane(conv.in.c)) + room(conv.plane(conv.out_c))); }

  /// d points to the tile's row in (36, O / in_block, block, in_block): the transformed gradient dy (N, H, W, O).
  void transform_gradient(const float* dy, const float* zeros, Winograd::Place p, float* d) const {
    const float* pixel[4][4];
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j) {
        const int r = p.row * 4 + i, c = p.column * 4 + j;
        pixel[i][j] = r < conv.h && c < conv.w ? dy + ((p.image * conv.h + r) * conv.w + c) * conv.out_c : zeros;
      }
    const Index apart = conv.plane(conv.out_c);
    for (int o = 0; o < conv.out_c; o += simd::width) {
      Floats m[6][4];
      for (int j = 0; j < 4; ++j) {
        Floats y[4], t[6];
        for (int i = 0; i < 4; ++i) y[i] = simd::load(pixel[i][j] + o);
        F43::gradient(y, t);
        for (int i = 0; i < 6; ++i) m[i][j] = t[i];
      }
      float* to = d + Index(o / in_block) * conv.block * in_block + o % in_block;
      for (int i = 0; i < 6; ++i) {
        Floats t[6];
        F43::gradient(m[i], t);
        for (int j = 0; j < 6; ++j) simd::store(to + (i * 6 + j) * apart, t[j]);
      }
    }
  }

  /// dw (3, 3, C, O) +=. sums (36, C, O); memory: see above.
  void run(Cpu& dev, Index n, const float* x, const float* dy, float* dw, float* sums, float* memory) const {
    const int in_c = conv.in.c, out_c = conv.out_c;
    float *const zeros = memory, *const v = zeros + room(in_c) + room(out_c), *const d = v + points * room(conv.plane(in_c));
    std::fill_n(zeros, std::max(in_c, out_c), 0.0f);
    const Index all = n * conv.tiles();
    for (Index first = 0; first < all; first += conv.block) {
      const int count = int(std::min<Index>(conv.block, all - first)), each = 4;
      dev.run((count + each - 1) / each, [&](Index task, int) {
        for (int t = int(task) * each; t < std::min(count, int(task + 1) * each); ++t) {
          conv.transform_input(x, zeros, conv.place(first + t), v + t * in_block);
          transform_gradient(dy, zeros, conv.place(first + t), d + t * in_block);
        }
      });
      dev.run(points, [&](Index e, int) {
        const auto row = [&](const float* of, int channels, int c) { return of + e * conv.plane(channels) + Index(c / in_block) * conv.block * in_block + c % in_block; };
        for (int t = 0; t < count; t += together)
          for (int o = 0; o < out_c; o += tile_o)
            for (int c = 0; c < in_c; c += tile_c)
              add_outer(row(v, in_c, c) + t * in_block, in_block, row(d, out_c, o) + t * in_block, in_block, std::min(count - t, together), sums + (e * in_c + c) * out_c + o, out_c, first + t > 0);
      });
    }
    dev.run(in_c, [&](Index c, int) {
      for (int o = 0; o < out_c; o += simd::width) {
        Floats t[3][6];
        const auto sum = [&](int e) { return simd::load(sums + (Index(e) * in_c + c) * out_c + o); };
        for (int k = 0; k < 3; ++k)
          for (int j = 0; j < 6; ++j) {
            t[k][j] = F43::weight[0][k] * sum(j);
            for (int i = 1; i < 6; ++i) t[k][j] += F43::weight[i][k] * sum(i * 6 + j);
          }
        for (int k = 0; k < 9; ++k) {
          float* const to = dw + (Index(k) * in_c + c) * out_c + o;
          Floats s = simd::load(to);
          for (int j = 0; j < 6; ++j) s += F43::weight[j][k % 3] * t[k / 3][j];
          simd::store(to, s);
        }
      }
    });
  }
};

}  // namespace lamina::detail
