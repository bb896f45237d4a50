/// 3x3 convolution with stride 1 by Winograd's F(4, 3) (Lavin and Gray 2016, arXiv:1509.09308): 4x4 outputs take 36 products for each pair of channels instead of 144.
/// The points are 0, +-5/8, +-3/2 and infinity: they err a third of what 0, +-1, +-2 do, and all constants but those that have the factors of the weights are exact.
#pragma once
#include <algorithm>

#include "../core/layer.hpp"
#include "cpu.hpp"
#include "simd.hpp"

namespace lamina::detail {

using simd::Floats;

/// The transforms of one line: of 6 inputs, of 6 products to 4 outputs, of 4 gradients of outputs, of 6 sums to the gradients of 3 weights; and the matrix that transforms 3 weights.
struct F43 {
  static constexpr float a = 0.625f, b = 1.5f, a2 = a * a, b2 = b * b, ga = 1 / (2 * a2 * (a2 - b2)), gb = 1 / (2 * b2 * (b2 - a2));
  static constexpr float weight[6][3] = {{1 / (a2 * b2), 0, 0}, {ga, a * ga, a2 * ga}, {ga, -a * ga, a2 * ga}, {gb, b * gb, b2 * gb}, {gb, -b * gb, b2 * gb}, {0, 0, 1}};
  LAMINA_INLINE static void input(const Floats (&d)[6], Floats (&o)[6]) {
    const auto of = [&](int i) LAMINA_INLINE_LAMBDA { return d[i]; };
    input_pair<0>(of, o[0], o[5]), input_pair<1>(of, o[1], o[2]), input_pair<3>(of, o[3], o[4]);
  }
  /// Numbers 0 and 5, 1 and 2, or 3 and 4 of it: they are made of the same inputs d(i).
  template <int first, class D> LAMINA_INLINE static void input_pair(const D& d, Floats& p, Floats& q) {
    if constexpr (first == 0) {
      p = a2 * b2 * d(0) - (a2 + b2) * d(2) + d(4);
      q = a2 * b2 * d(1) - (a2 + b2) * d(3) + d(5);
    } else {
      constexpr float point = first == 1 ? a : b, other = first == 1 ? b2 : a2;
      const Floats even = d(4) - other * d(2), odd = d(3) - other * d(1);
      p = even + point * odd, q = even - point * odd;
    }
  }
  LAMINA_INLINE static void output(const Floats (&m)[6], Floats (&o)[4]) {
    const Floats s = m[1] + m[2], q = m[1] - m[2], t = m[3] + m[4], r = m[3] - m[4];
    o[0] = m[0] + s + t, o[1] = a * q + b * r, o[2] = a2 * s + b2 * t, o[3] = a2 * a * q + b2 * b * r + m[5];
  }
  /// With the factors of the weights, which weights() need not have then: it has more numbers to transform.
  LAMINA_INLINE static void gradient(const Floats (&y)[4], Floats (&o)[6]) {
    const Floats e = ga * y[0] + ga * a2 * y[2], f = ga * a * y[1] + ga * a2 * a * y[3], g = gb * y[0] + gb * b2 * y[2], h = gb * b * y[1] + gb * b2 * b * y[3];
    o[0] = weight[0][0] * y[0], o[1] = e + f, o[2] = e - f, o[3] = g + h, o[4] = g - h, o[5] = y[3];
  }
  /// Of 6 sums of products of inputs and gradients, to the gradients of 3 weights.
  LAMINA_INLINE static void weights(const Floats (&m)[6], Floats (&o)[3]) {
    const Floats s = m[1] + m[2], q = m[1] - m[2], t = m[3] + m[4], r = m[3] - m[4];
    o[0] = m[0] + s + t, o[1] = a * q + b * r, o[2] = a2 * s + (b2 * t + m[5]);
  }
};

/// A convolution cut into tiles of 4x4 outputs, which are numbered through all images. Blocks of `block` tiles are worked at a time: their transformed inputs, 36 products
/// with the transformed weights, the transformed products.
struct Winograd {
  static constexpr int points = 36, vectors = 2, out_block = vectors * simd::width, in_block = 32;
  static constexpr int rows = simd::width == 16 ? 8 : 6;       // of a product kept in registers
  static constexpr Index own_distance = 2048;                  // numbers
  static constexpr Index few_weights = Index(1) << 20;         // transformed: what the second cache holds

  Shape in;
  int out_c, before, h, w, tiles_h, tiles_w;   // before: empty pixels above and to the left; h, w: the outputs that are asked for
  int block;                                   // a multiple of `rows`
  /// All images at once go by blocks that a worker's cache holds; with many weights the block is as large as memory allows, and shared by all workers.
  Winograd(Shape in_, int out_channels, int pad, int out_h, int out_w)
      : in(in_), out_c(out_channels), before(pad), h(out_h), w(out_w), tiles_h((out_h + 3) / 4), tiles_w((out_w + 3) / 4),
        block(few() ? (32 + rows / 2) / rows * rows : int(Index(6) * few_weights / (points * (in_.c + out_channels)) / rows * rows)) {}

  bool few() const { return weights() <= few_weights; }
  int tiles() const { return tiles_h * tiles_w; }
  Index weights() const { return Index(points) * in.c * out_c; }          // numbers of the transformed weights
  // Planes are set apart by a cache line, so that they do not meet in the same sets of the cache.
  Index plane(int channels) const { return Index(block) * channels + 16; }
  Index worker_numbers() const { return room(points * (plane(in.c) + plane(out_block)) + in.c); }
  /// Numbers that a pass over all tiles asks for behind the weights.
  Index memory(int threads) const { return few() ? threads * worker_numbers() : shared_numbers(); }
  Index shared_numbers() const { return room(in.c) + points * (room(plane(in.c)) + out_c / out_block * plane(out_block)); }

  /// Transformed weights (O / out_block, 36, C, out_block) of w (3, 3, C, O).
  void transform_weights(Cpu& dev, const float* from, float* u) const {
    const int blocks = in.c / in_block;
    dev.run(Index(out_c / out_block) * blocks, [=, this](Index task, int) {
      const int o = int(task / blocks) * out_block, first = int(task % blocks) * in_block;
      for (int c = first; c < first + in_block; ++c) {
        Floats g[vectors][9];
        for (int v = 0; v < vectors; ++v)
          for (int k = 0; k < 9; ++k) g[v][k] = simd::load(from + (Index(k) * in.c + c) * out_c + o + v * simd::width);
        transform(g, u + (task / blocks * points * in.c + c) * out_block);
      }
      simd::end_stream();
    });
  }
  /// The same for the gradient of the inputs, which is a convolution of the O channels of dy with w (3, 3, out_c, in.c) turned by 180 degrees.
  void transform_turned(Cpu& dev, const float* from, float* u) const {
    const int blocks = in.c / in_block;
    dev.run(Index(out_c / out_block) * blocks, [=, this](Index task, int) {
      const int o = int(task / blocks) * out_block;
      for (int c = int(task % blocks) * in_block, end = c + in_block; c < end; c += simd::width) {
        Floats r[vectors][9][simd::width];
        for (int v = 0; v < vectors; ++v)
          for (int k = 0; k < 9; ++k) {
            for (int i = 0; i < simd::width; ++i) r[v][k][i] = simd::load(from + (Index(8 - k) * out_c + o + v * simd::width + i) * in.c + c);
            simd::transpose(r[v][k]);
          }
        for (int i = 0; i < simd::width; ++i) {
          Floats g[vectors][9];
          for (int v = 0; v < vectors; ++v)
            for (int k = 0; k < 9; ++k) g[v][k] = r[v][k][i];
          transform(g, u + (task / blocks * points * in.c + c + i) * out_block);
        }
      }
      simd::end_stream();
    });
  }
  void transform(const Floats (&g)[vectors][9], float* u) const {
    Floats t[vectors][6][3];
    for (int v = 0; v < vectors; ++v)
      for (int i = 0; i < 6; ++i)
        for (int k = 0; k < 3; ++k) t[v][i][k] = F43::weight[i][0] * g[v][k] + F43::weight[i][1] * g[v][3 + k] + F43::weight[i][2] * g[v][6 + k];
    for (int i = 0; i < 6; ++i)
      for (int j = 0; j < 6; ++j)
        for (int v = 0; v < vectors; ++v)
          simd::stream(u + Index(i * 6 + j) * in.c * out_block + v * simd::width,
                       t[v][i][0] * F43::weight[j][0] + t[v][i][1] * F43::weight[j][1] + t[v][i][2] * F43::weight[j][2]);
  }

  struct Place { Index image; int row, column; };      // of a tile, in tiles
  Place place(Index tile) const { return {tile / tiles(), int(tile % tiles()) / tiles_w, int(tile % tiles()) % tiles_w}; }

  /// The transformed input of one tile: v points to the tile's row in (36, C / in_block, block, in_block).
  void transform_input(const float* x, const float* zeros, Place p, float* v) const {
    const int top = p.row * 4 - before, left = p.column * 4 - before;
    const Index line = Index(in.w) * in.c, corner = (p.image * in.h + top) * line + Index(left) * in.c;
    if (top >= 0 && left >= 0 && top + 6 <= in.h && left + 6 <= in.w) {
      transform_pixels([&](int i, int j) LAMINA_INLINE_LAMBDA { return x + (corner + i * line + j * in.c); }, v);
      return;
    }
    const float* pixel[6][6];
    for (int i = 0; i < 6; ++i)
      for (int j = 0; j < 6; ++j) pixel[i][j] = top + i >= 0 && top + i < in.h && left + j >= 0 && left + j < in.w ? x + (corner + i * line + j * in.c) : zeros;
    transform_pixels([&](int i, int j) LAMINA_INLINE_LAMBDA { return pixel[i][j]; }, v);
  }
  /// Two rows at a time, since 36 vectors are more than there are registers.
  template <class Pixel> LAMINA_INLINE void transform_pixels(const Pixel& pixel, float* v) const {
    for (int c = 0; c < in.c; c += simd::width) {
      float* const to = v + Index(c / in_block) * block * in_block + c % in_block;
      transform_rows<0, 5>(pixel, c, to), transform_rows<1, 2>(pixel, c, to), transform_rows<3, 4>(pixel, c, to);
    }
  }
  template <int A, int B, class Pixel> LAMINA_INLINE void transform_rows(const Pixel& pixel, int c, float* to) const {
    Floats a[6], b[6];
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) F43::input_pair<A>([&](int i) LAMINA_INLINE_LAMBDA { return simd::load(pixel(i, j) + c); }, a[j], b[j]);
    const Index apart = plane(in.c);
    put(a, to + A * 6 * apart, apart), put(b, to + B * 6 * apart, apart);
  }
  /// Transforms a row and puts its points where they lie.
  LAMINA_INLINE static void put(const Floats (&m)[6], float* to, Index apart) {
    Floats o[6];
    F43::input(m, o);
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) simd::store(to + j * apart, o[j]);
  }

  /// The 4x4 outputs of `width` channels: m points to the first of its 36 products.
  LAMINA_INLINE void transform_products(const float* m, Floats (&y)[4][4]) const {
    const Index apart = plane(out_block);
    Floats s[4][6];
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) {
      Floats d[6], o[4];
#pragma GCC unroll 6
      for (int i = 0; i < 6; ++i) d[i] = simd::load(m + (i * 6 + j) * apart);
      F43::output(d, o);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) s[i][j] = o[i];
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) F43::output(s[i], y[i]);
  }

  enum class Fetch { ahead, own };
  /// m (rows, out_block) = v (rows, C) times u (C, out_block), held in registers. Meanwhile C / 2 cache lines from `ahead` on are fetched, or u itself, shortly before
  /// its turn.
  template <Fetch fetch> void product(const float* v, const float* u, float* m, const float* ahead) const {
    Floats sum[rows][vectors] = {};
    for (int c = 0; c < in.c; c += in_block, v += block * in_block) {
      for (int k = 0; k < in_block; k += 2, u += 2 * out_block) {
        if constexpr (fetch == Fetch::own) {
#pragma GCC unroll 4
          for (int line = 0; line < 4; ++line) __builtin_prefetch(u + own_distance + 16 * line);
        } else __builtin_prefetch(ahead), ahead += 16;
#pragma GCC unroll 2
        for (int i = 0; i < 2; ++i) {
          Floats b[vectors];
#pragma GCC unroll 2
          for (int j = 0; j < vectors; ++j) b[j] = simd::loaded(u + i * out_block + j * simd::width);
#pragma GCC unroll 8
          for (int t = 0; t < rows; ++t) {
            const Floats a = simd::all(v[t * in_block + k + i]);
#pragma GCC unroll 2
            for (int j = 0; j < vectors; ++j) sum[t][j] += a * b[j];
          }
        }
      }
    }
#pragma GCC unroll 8
    for (int t = 0; t < rows; ++t)
#pragma GCC unroll 2
      for (int j = 0; j < vectors; ++j) simd::store(m + t * out_block + j * simd::width, sum[t][j]);
  }
  /// The products of `count` tiles, a multiple of `rows`, at point e with block b of the output channels.
  void products(const float* v, const float* u, int e, int b, int count, float* m) const {
    const Index size = Index(in.c) * out_block;
    const float* of_point = u + (Index(b) * points + e) * size;
    const bool fetched = few() || count >= 4 * rows;       // in the products of the point before
    for (int t = 0; t < count; t += rows) {
      const float *const from = v + e * plane(in.c) + t * in_block, *const ahead = of_point + size + t / rows % (out_block / 8) * in.c * 8;
      float* const to = m + e * plane(out_block) + t * out_block;
      t > 0 || fetched ? product<Fetch::ahead>(from, of_point, to, ahead) : product<Fetch::own>(from, of_point, to, ahead);
    }
  }

  /// emit(place, channel, y) gets the 4x4 outputs of each tile, `width` channels at a time. memory: see above.
  template <class Emit> void run(Cpu& dev, Index n, const float* x, const float* u, float* memory, const Emit& emit) const {
    const Index all = n * tiles();
    if (few()) {
      // Where there are fewer blocks than threads, the output channels are shared out too.
      const Index blocks = (all + block - 1) / block, outs = out_c / out_block, parts = blocks < dev.threads() ? std::min<Index>(outs, (dev.threads() + blocks - 1) / blocks) : 1;
      dev.run(blocks * parts, [&](Index task, int worker) {
        const Index b = task / parts, part = task % parts;
        run_block(x, u, memory + worker * worker_numbers(), b * block, std::min(all, (b + 1) * block), int(part * outs / parts), int((part + 1) * outs / parts), emit);
      });
      return;
    }
    float *const zeros = memory, *const v = zeros + room(in.c), *const m = v + points * room(plane(in.c));
    std::fill_n(zeros, in.c, 0.0f);
    const int each = 4;                        // tiles of a task
    for (Index first = 0; first < all; first += block) {
      const int count = int(std::min<Index>(block, all - first)), whole = (count + rows - 1) / rows * rows;
      dev.run((whole + each - 1) / each, [&](Index task, int) {
        for (int t = int(task) * each; t < std::min(whole, int(task + 1) * each); ++t) transform_input(x, zeros, place(first + std::min(t, count - 1)), v + t * in_block);
      });
      dev.run(points, [&](Index e, int) {
        for (int b = 0; b < out_c / out_block; ++b) products(v, u, int(e), b, whole, m + b * points * plane(out_block));
      });
      dev.run((count + each - 1) / each, [&](Index task, int) {
        for (int t = int(task) * each; t < std::min(count, int(task + 1) * each); ++t)
          for (int b = 0; b < out_c / out_block; ++b) emit_tile(place(first + t), b, m + b * points * plane(out_block) + t * out_block, emit);
      });
    }
  }

 private:
  template <class Emit> void run_block(const float* x, const float* u, float* memory, Index first, Index last, int first_out, int last_out, const Emit& emit) const {
    float *v = memory, *m = v + points * plane(in.c), *zeros = m + points * plane(out_block);
    std::fill_n(zeros, in.c, 0.0f);
    const int count = int(last - first), whole = (count + rows - 1) / rows * rows;
    for (int t = 0; t < whole; ++t) transform_input(x, zeros, place(first + std::min(t, count - 1)), v + t * in_block);   // the last again, to fill the rows
    for (int b = first_out; b < last_out; ++b) {
      for (int e = 0; e < points; ++e) products(v, u, e, b, whole, m);
      for (int t = 0; t < count; ++t) emit_tile(place(first + t), b, m + t * out_block, emit);
    }
  }
  template <class Emit> [[gnu::noinline]] void emit_tile(Place p, int b, const float* m, const Emit& emit) const {
    for (int k = 0; k < vectors; ++k) {
      Floats y[4][4];
      transform_products(m + k * simd::width, y);
      emit(p, b * out_block + k * simd::width, y);
    }
  }
};

}  // namespace lamina::detail
