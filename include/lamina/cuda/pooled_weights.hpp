/// Conv 3x3 + bias + ReLU + MaxPool 2x2 in bf16 or tf32 on tensor cores: the gradients of weights and bias.
#pragma once
#include "slab_sum.hpp"

namespace lamina::kernels::inline LAMINA_SIMT {

struct WeightTile {
  int c, k;              // channels in and out of one thread block: 16 or more
  int tile_h, tile_w;    // pixels summed between two barriers
  int groups = 4, split = 1;  // of warps: `split` share the channels out, `groups` the pixels
  int blocks = 0;        // that a multiprocessor shall hold, if it matters
  bool wide = false;     // numbers of tf32, else of bf16
  constexpr int threads() const { return 3 * groups * split * 32; }
  constexpr bool valid() const { return c % 16 == 0 && k % (16 * split) == 0 && tile_h % 2 == 0 && tile_w % 8 == 0 && tile_h * tile_w / 16 % groups == 0; }
};

/// partials: (slabs, 9 C K + K) floats, weights and then bias. grid: (slabs, K / T.k, C / T.c). A warp owns a row of the kernel, three taps, of its share of the channels out; a group of warps has its share of the patches.
/// dw[tap] = x^T dy: rows are channels in, columns channels out, and a step of the sum is a patch of 2 x 8 pixels; of tf32 each of its rows is.
template <WeightTile T> struct PooledConvWeightGradient {
  static_assert(T.valid());
  static constexpr int threads = T.threads(), blocks = T.blocks, columns = T.k / T.split, width = T.tile_w + 2, patches = T.tile_h * T.tile_w / 16 / T.groups, patches_across = T.tile_w / 8;
  using Number = NumberOf<T.wide>;
  using X = Rows<Number, T.c, Rowed::across>;
  using Dy = Rows<Number, T.k, Rowed::across>;
  static constexpr int rows = in_chunk<Number> / 4;    // of a patch, in a step
  static constexpr int x_bytes = X::bytes((T.tile_h + 2) * width), dy_bytes = Dy::bytes(T.tile_h * T.tile_w);
  static constexpr int block = T.c * (T.k + 8);        // floats of a tap's sums
  static constexpr int tiles_bytes = 2 * (x_bytes + dy_bytes), sums_bytes = 9 * block * 4, shared_bytes = tiles_bytes > sums_bytes ? tiles_bytes : sums_bytes;

  LAMINA_DEVICE static void run(const Number* x, const Number* dp, const uint8_t* codes, float* partials, Slabs slabs, Extent size) {
    const Place place = block_index();
    const int warp = thread_index() / 32, kernel_row = warp % 3, group = warp / 3 / T.split, first = warp / 3 % T.split * columns, k0 = place.y * T.k, c0 = place.z * T.c;
    float bias_sum[in_chunk<Number>] = {};
    float sum[3][T.c / 16][columns / 8][4] = {};
    using Gradients = SpreadGradient<Number, T.k, T.tile_h, T.tile_w, 0, threads>;
    const Gradients gradients{dp + k0, codes + k0, Gradients::chunks, size};
    WindowGradient<Number> next[Gradients::each];
    const auto fetch_tile = [&](const Slab& at, int buffer) {
      copy_halo<T.c, T.tile_h, T.tile_w, threads>(x_tile(buffer), x + c0, size, at.n(), at.y() * T.tile_h, at.x() * T.tile_w);
      copy_commit();
      gradients.fetch(next, at.n(), at.y() * T.tile_h, at.x() * T.tile_w);
    };
    const auto spread_tile = [&](int buffer) {
      Gradients::spread(next, dy_tile(buffer));
      for (const WindowGradient<Number>& g : next)
        if (c0 == 0) g.add_winners(bias_sum);
    };

    Slab at(size, T.tile_h, T.tile_w, slabs, place.x);
    if (at.tile < at.end) fetch_tile(at, 0), spread_tile(0);
    for (int buffer = 0; at.tile < at.end; buffer ^= 1) {
      copy_wait<0>();
      sync_block();
      const X xs = x_tile(buffer);
      const Dy dys = dy_tile(buffer);
      const bool more = ++at.tile < at.end;
      if (more) fetch_tile(at, buffer ^ 1);
      LAMINA_NO_UNROLL
      for (int m = 0; m < patches * 2 / rows; ++m) {
        const int patch = m / (2 / rows) * T.groups + group, row = patch / patches_across * 2 + m % (2 / rows), column = patch % patches_across * 8;
        unsigned b[columns / 16][4];
        LAMINA_UNROLL
        for (int j = 0; j < columns / 16; ++j) right_across<Number>(b[j], dys, first + 16 * j, [&](int term) { return (row + term / 8) * T.tile_w + column + term % 8; });
        LAMINA_UNROLL
        for (int q = 0; q < 3; ++q)
          LAMINA_UNROLL
          for (int i = 0; i < T.c / 16; ++i) {
            unsigned a[4];
            left_across<Number>(a, xs, 16 * i, [&](int term) { return (row + term / 8 + kernel_row) * width + column + term % 8 + q; });
            LAMINA_UNROLL
            for (int j = 0; j < columns / 16; ++j) {
              multiply_add_of<Number>(sum[q][i][2 * j], a, b[j][0], b[j][1]);
              multiply_add_of<Number>(sum[q][i][2 * j + 1], a, b[j][2], b[j][3]);
            }
          }
      }
      if (more) spread_tile(buffer ^ 1);
    }

    float* const total = reinterpret_cast<float*>(shared_memory());
    for (int turn = 0; turn < T.groups; ++turn) {
      sync_block();  // first the tiles make room
      if (group != turn) continue;
      LAMINA_UNROLL
      for (int q = 0; q < 3; ++q)
        LAMINA_UNROLL
        for (int i = 0; i < T.c / 16; ++i) add_block<columns, T.k + 8>(total + (kernel_row * 3 + q) * block + i * 16 * (T.k + 8) + first, sum[q][i], turn == 0);
    }
    sync_block();
    const Index weights = Index(9) * size.c * size.k;
    float* const partial = partials + place.x * (weights + size.k);
    for (int i = thread_index(); i < 9 * T.c * (T.k / 4); i += threads) {
      const int row = i / (T.k / 4), column = i % (T.k / 4) * 4, tap = row / T.c, c = c0 + row % T.c;
      store(reinterpret_cast<Quad*>(partial + (Index(tap) * size.c + c) * size.k + k0 + column), load(reinterpret_cast<const Quad*>(total + row * (T.k + 8) + column)));
    }
    if (c0 == 0) {
      sync_block();  // the sums make room
      write_bias_sums<T.k, threads>(total, bias_sum, T.k, partial + weights + k0);
    }
  }

 private:
  LAMINA_DEVICE static X x_tile(int buffer) { return {reinterpret_cast<Number*>(shared_memory() + buffer * x_bytes)}; }
  LAMINA_DEVICE static Dy dy_tile(int buffer) { return {reinterpret_cast<Number*>(shared_memory() + 2 * x_bytes + buffer * dy_bytes)}; }
};

}  // namespace lamina::kernels::inline LAMINA_SIMT
