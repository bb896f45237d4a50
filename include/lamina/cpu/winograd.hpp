/// 3x3 convolution with stride 1 by Winograd's F(4, 3) (Lavin and Gray 2016, arXiv:1509.09308): 4x4 outputs take 36 products for each pair of channels instead of 144.
/// The points are 0, +-5/8, +-3/2 and infinity: they err a third of what 0, +-1, +-2 do, and all constants but those of the weights are exact.
#pragma once
#include "../core/layer.hpp"
#include "cpu.hpp"
#include "simd.hpp"

namespace lamina::detail {

using simd::Floats;

/// The transforms of one line: of 6 inputs, of 6 products to 4 outputs, of 3 weights.
struct F43 {
  static constexpr float a = 0.625f, b = 1.5f, a2 = a * a, b2 = b * b, ga = 1 / (2 * a2 * (a2 - b2)), gb = 1 / (2 * b2 * (b2 - a2));
  static constexpr float weight[6][3] = {{1 / (a2 * b2), 0, 0}, {ga, a * ga, a2 * ga}, {ga, -a * ga, a2 * ga}, {gb, b * gb, b2 * gb}, {gb, -b * gb, b2 * gb}, {0, 0, 1}};
  LAMINA_INLINE static void input(const Floats (&d)[6], Floats (&o)[6]) {
    const Floats e = d[4] - b2 * d[2], f = d[3] - b2 * d[1], g = d[4] - a2 * d[2], h = d[3] - a2 * d[1];
    o[0] = a2 * b2 * d[0] - (a2 + b2) * d[2] + d[4];
    o[1] = e + a * f, o[2] = e - a * f, o[3] = g + b * h, o[4] = g - b * h;
    o[5] = a2 * b2 * d[1] - (a2 + b2) * d[3] + d[5];
  }
  LAMINA_INLINE static void output(const Floats (&m)[6], Floats (&o)[4]) {
    const Floats s = m[1] + m[2], q = m[1] - m[2], t = m[3] + m[4], r = m[3] - m[4];
    o[0] = m[0] + s + t, o[1] = a * q + b * r, o[2] = a2 * s + b2 * t, o[3] = a2 * a * q + b2 * b * r + m[5];
  }
};

/// A convolution cut into tiles of 4x4 outputs, which are numbered through all images. Blocks of `block` tiles are worked at a time: their transformed inputs, then for
/// each `out_block` output channels 36 products whose weights stay in the first cache, then the transformed products.
struct Winograd {
  static constexpr int points = 36, vectors = 2, out_block = vectors * simd::width, in_block = 32;
  static constexpr int rows = simd::width == 16 ? 8 : 6, block = simd::width == 16 ? 32 : 30;   // rows of a product kept in registers, tiles of a block: a multiple
  static_assert(block % rows == 0);

  Shape in;
  int out_c, before, tiles_h, tiles_w;         // before: empty pixels above and to the left
  /// The outputs that are asked for are the first h x w.
  Winograd(Shape in_, int out_channels, int pad, int h, int w) : in(in_), out_c(out_channels), before(pad), tiles_h((h + 3) / 4), tiles_w((w + 3) / 4) {}

  static constexpr bool takes(int in_channels, int out_channels) { return in_channels % in_block == 0 && out_channels % 32 == 0; }
  int tiles() const { return tiles_h * tiles_w; }
  Index weights() const { return Index(points) * in.c * out_c; }          // numbers of the transformed weights
  // Planes are set apart by a cache line, so that they do not meet in the same sets of the cache.
  Index input_plane() const { return Index(block) * in.c + 16; }
  static constexpr Index product_plane() { return Index(block) * out_block + 16; }
  Index worker_numbers() const { return room(points * (input_plane() + product_plane()) + in.c); }

  /// Transformed weights (O / out_block, 36, C, out_block) of w (3, 3, C, O).
  void transform_weights(Cpu& dev, const float* w, float* u) const {
    const int blocks = in.c / in_block;
    dev.run(Index(out_c / out_block) * blocks, [=, this](Index task, int) {
      const int o = int(task / blocks) * out_block, first = int(task % blocks) * in_block;
      for (int c = first; c < first + in_block; ++c) {
        Floats t[vectors][6][3];
        for (int v = 0; v < vectors; ++v)
          for (int k = 0; k < 3; ++k) {
            const float* at = w + (Index(k) * in.c + c) * out_c + o + v * simd::width;
            const Floats g0 = simd::load(at), g1 = simd::load(at + Index(3) * in.c * out_c), g2 = simd::load(at + Index(6) * in.c * out_c);
            for (int i = 0; i < 6; ++i) t[v][i][k] = F43::weight[i][0] * g0 + F43::weight[i][1] * g1 + F43::weight[i][2] * g2;
          }
        for (int i = 0; i < 6; ++i)
          for (int j = 0; j < 6; ++j)
            for (int v = 0; v < vectors; ++v)
              simd::stream(u + ((task / blocks * points + i * 6 + j) * in.c + c) * out_block + v * simd::width,
                           t[v][i][0] * F43::weight[j][0] + t[v][i][1] * F43::weight[j][1] + t[v][i][2] * F43::weight[j][2]);
      }
      simd::end_stream();
    });
  }

  struct Place { Index image; int row, column; };      // of a tile, in tiles
  Place place(Index tile) const { return {tile / tiles(), int(tile % tiles()) / tiles_w, int(tile % tiles()) % tiles_w}; }

  /// The transformed input of one tile: plane e of v (36, C / in_block, block, in_block), v pointing to the tile's row.
  void transform_input(const float* x, const float* zeros, Place p, float* v) const {
    const float* pixel[6][6];
    for (int i = 0; i < 6; ++i)
      for (int j = 0; j < 6; ++j) {
        const int r = p.row * 4 - before + i, c = p.column * 4 - before + j;
        pixel[i][j] = r >= 0 && r < in.h && c >= 0 && c < in.w ? x + ((p.image * in.h + r) * in.w + c) * in.c : zeros;
      }
    const Index plane = input_plane();
    for (int c = 0; c < in.c; c += simd::width) {
      Floats m[6][6];
#pragma GCC unroll 6
      for (int j = 0; j < 6; ++j) {
        Floats d[6], o[6];
#pragma GCC unroll 6
        for (int i = 0; i < 6; ++i) d[i] = simd::load(pixel[i][j] + c);
        F43::input(d, o);
#pragma GCC unroll 6
        for (int i = 0; i < 6; ++i) m[i][j] = o[i];
      }
      float* to = v + Index(c / in_block) * block * in_block + c % in_block;
#pragma GCC unroll 6
      for (int i = 0; i < 6; ++i) {
        Floats o[6];
        F43::input(m[i], o);
#pragma GCC unroll 6
        for (int j = 0; j < 6; ++j) simd::store(to + (i * 6 + j) * plane, o[j]);
      }
    }
  }

  /// The 4x4 outputs of `width` channels: m points to the first of its 36 products.
  LAMINA_INLINE static void transform_products(const float* m, Floats (&y)[4][4]) {
    Floats s[4][6];
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) {
      Floats d[6], o[4];
#pragma GCC unroll 6
      for (int i = 0; i < 6; ++i) d[i] = simd::load(m + (i * 6 + j) * product_plane());
      F43::output(d, o);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) s[i][j] = o[i];
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) F43::output(s[i], y[i]);
  }

  /// m (rows, out_block) = v (rows, C) times u (C, out_block), held in registers; meanwhile C / 2 cache lines from `ahead` on are fetched.
  void product(const float* v, const float* u, float* m, const float* ahead) const {
    Floats sum[rows][vectors] = {};
    for (int c = 0; c < in.c; c += in_block, v += block * in_block) {
#pragma GCC unroll 4
      for (int k = 0; k < in_block; ++k, u += out_block) {
        if (k % 2 == 0) __builtin_prefetch(ahead), ahead += 16;
        Floats b[vectors];
#pragma GCC unroll 2
        for (int j = 0; j < vectors; ++j) b[j] = simd::load(u + j * simd::width);
#pragma GCC unroll 8
        for (int t = 0; t < rows; ++t) {
          const Floats a = simd::all(v[t * in_block + k]);
#pragma GCC unroll 2
          for (int j = 0; j < vectors; ++j) sum[t][j] += a * b[j];
        }
      }
    }
#pragma GCC unroll 8
    for (int t = 0; t < rows; ++t)
#pragma GCC unroll 2
      for (int j = 0; j < vectors; ++j) simd::store(m + t * out_block + j * simd::width, sum[t][j]);
  }

  /// emit(place, channel, y) gets the 4x4 outputs of each tile of [first, last), `width` channels at a time.
  template <class Emit> void run(const float* x, const float* u, float* memory, Index first, Index last, const Emit& emit) const {
    float *v = memory, *m = v + points * input_plane(), *zeros = m + points * product_plane();
    for (int c = 0; c < in.c; ++c) zeros[c] = 0;
    for (Index from = first; from < last; from += block) {
      const int count = int(last - from < block ? last - from : block), whole = (count + rows - 1) / rows * rows;
      for (int t = 0; t < whole; ++t) transform_input(x, zeros, place(from + (t < count ? t : count - 1)), v + t * in_block);   // a last one to fill the rows
      for (int b = 0; b < out_c / out_block; ++b) {
        for (int e = 0; e < points; ++e) {
          const Index size = Index(in.c) * out_block;
          const float* of_point = u + (Index(b) * points + e) * size;
          for (int t = 0; t < whole; t += rows)
            product(v + e * input_plane() + t * in_block, of_point, m + e * product_plane() + t * out_block, of_point + size + Index(t / rows) * in.c * 8 % size);
        }
        for (int t = 0; t < count; ++t)
          for (int k = 0; k < vectors; ++k) {
            Floats y[4][4];
            transform_products(m + t * out_block + k * simd::width, y);
            emit(place(from + t), b * out_block + k * simd::width, y);
          }
      }
    }
  }
};

}  // namespace lamina::detail
