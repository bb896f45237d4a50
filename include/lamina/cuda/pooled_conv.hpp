/// Conv 3x3 + bias + ReLU + MaxPool 2x2 in bf16 or tf32 on tensor cores: forward, and the gradient of its input.
#pragma once
#include "slab_sum.hpp"
#include "tap_sums.hpp"

namespace lamina::kernels::inline LAMINA_SIMT {

LAMINA_DEVICE int larger(int a, int b) { return a > b ? a : b; }
LAMINA_DEVICE int bits_of(float v) {
  int bits;
  memcpy(&bits, &v, sizeof bits);
  return bits;
}
LAMINA_DEVICE float float_of(int bits) {
  float v;
  memcpy(&v, &bits, sizeof v);
  return v;
}

// A sum and the tap it came from are one int: the sum's bits, of which the lowest two make room for 3 - tap. Positive floats are in the order of their bits, NaN above all;
// of equals the first tap is the largest. What pooling keeps is rounded to bf16 or tf32, which ask for 17 or 20 of these bits.
LAMINA_DEVICE int tagged(float sum, int tap) { return (bits_of(sum) & ~3) | (3 - tap); }
LAMINA_DEVICE float value_of(int best) { return float_of(best & ~3); }
LAMINA_DEVICE unsigned tap_of(int best) { return best > 3 ? unsigned(~best & 3) : nobody; }

/// The sums of a window's left pixels, and then those of its right ones, to the winners of two pooled channels, 0 where no sum was positive.
template <bool Right> LAMINA_DEVICE void pool_side(int (&best)[2], const float (&sum)[4]) {
  LAMINA_UNROLL
  for (int e = 0; e < 2; ++e) {
    const int mine = larger(tagged(sum[e], Right), tagged(sum[e + 2], 2 + Right));
    best[e] = Right ? larger(larger(best[e], mine), 0) : mine;
  }
}

/// Stores four chunks of eight channels, as far as there are `chunks`, from `at` on, and the codes, if they are wanted. The lanes of a quad have two channels of each chunk.
template <TensorNumber T> LAMINA_DEVICE void store_pooled(const int (&best)[4][2], int chunks, T* y, uint8_t* codes, Index at, bool inside) {
  unsigned word[4], code[2];
  const int chunk = thread_index() % 4;
  if constexpr (std::is_same_v<T, bf16>) {
    LAMINA_UNROLL
    for (int i = 0; i < 4; ++i) word[i] = pack_bf16(value_of(best[i][0]), value_of(best[i][1]));
    transpose_quad(word);
    at += chunk * 8;
    if (inside && chunk < chunks) store(reinterpret_cast<Vec4*>(y + at), Vec4{word[0], word[1], word[2], word[3]});
  } else {
    LAMINA_UNROLL
    for (int i = 0; i < 4; ++i)
      if (inside && i < chunks) store_two(y + at + i * 8 + chunk * 2, value_of(best[i][0]), value_of(best[i][1]));
    at += chunk * 8;
  }
  if (!codes) return;
  LAMINA_UNROLL
  for (int i = 0; i < 2; ++i) code[i] = tap_of(best[2 * i][0]) | tap_of(best[2 * i][1]) << 8 | tap_of(best[2 * i + 1][0]) << 16 | tap_of(best[2 * i + 1][1]) << 24;
  transpose_quad(code);
  if (inside && chunk < chunks) store(reinterpret_cast<Vec2*>(codes + at), Vec2{code[0], code[1]});
}

/// y = maxpool(relu(x * w + bias)), codes = who won. grid: (tiles across x blocks of K, tiles down, N), or where weights stay (any number, blocks of K).
/// x: (N, H, W, C); w: (9, C, K); bias: (K) or null; y, codes: (N, H/2, W/2, K), codes may be null
template <TapTile T> struct PooledConvForward {
  using Sums = TapSums<T, false, true>;
  using Number = typename Sums::Number;
  static constexpr int threads = T.threads(), shared_bytes = Sums::shared_bytes, blocks = T.blocks;

  LAMINA_DEVICE static void run(const Number* x, const Number* w, const float* bias, Number* y, uint8_t* codes, Extent size) {
    const Place block = block_index();
    Sums s;
    if constexpr (Sums::resident) {
      const int k0 = block.y * T.out;
      Slab now(size, T.tile_h, T.tile_w, block.x, grid_size().x), next = now;
      if (now.tile == now.end) return;
      copy_halo<T.in, T.tile_h, T.tile_w, threads, 1, 1, Sums::width>(Sums::tile(0), x, size, now.n(), now.y() * T.tile_h, now.x() * T.tile_w);
      s.run_resident(w + k0, size, bias ? bias + k0 : nullptr, now.end - now.tile - 1, [&](int tile, int tap) {
        if (tap > 0) return;
        ++next.tile;
        copy_halo<T.in, T.tile_h, T.tile_w, threads, 1, 1, Sums::width>(Sums::tile(tile), x, size, next.n(), next.y() * T.tile_h, next.x() * T.tile_w);
      }, [&](int) {
        store_sums(s, y, codes, size, now.n(), now.y() * T.tile_h, now.x() * T.tile_w, k0);
        ++now.tile;
      });
    } else {
      const int parts = size.k / T.out, k0 = block.x % parts * T.out, n = block.z, h0 = block.y * T.tile_h, w0 = block.x / parts * T.tile_w;
      copy_halo<T.in, T.tile_h, T.tile_w, threads, 1, 1, Sums::width>(Sums::tile(0), x, size, n, h0, w0);
      s.begin(bias ? bias + k0 : nullptr);
      s.run(w + k0, size, size.c / T.in, [&](int next, int tap) {
        if (tap < 8) copy_halo<T.in, T.tile_h, T.tile_w, threads, 8, 1, Sums::width>(Sums::tile(next), x + next * T.in, size, n, h0, w0, tap);
      });
      store_sums(s, y, codes, size, n, h0, w0, k0);
    }
  }

 private:
  LAMINA_DEVICE static void store_sums(const Sums& s, Number* y, uint8_t* codes, Extent size, int n, int h0, int w0, int k0) {
    const int lane = thread_index() % 32;
    const Index first = size.window(n, h0 / 2, w0 / 2) * size.k + k0 + Sums::first_channel();
    LAMINA_UNROLL
    for (int pair = 0; pair < Sums::patches / 2; ++pair) {
      const int row = Sums::window_row(pair, lane / 4), column = Sums::window_column(pair, lane / 4);
      const bool inside = row < size.pooled_h() - h0 / 2 && column < size.pooled_w() - w0 / 2;
      const Index at = first + (row * size.pooled_w() + column) * size.k;
      LAMINA_UNROLL
      for (int j = 0; j < Sums::channels / 8; j += 4) {
        int best[4][2] = {};
        LAMINA_UNROLL
        for (int i = 0; i < 4 && j + i < Sums::channels / 8; ++i) pool_side<false>(best[i], s.sum[2 * pair][j + i]), pool_side<true>(best[i], s.sum[2 * pair + 1][j + i]);
        store_pooled(best, Sums::channels / 8 - j, y, codes, at + j * 8, inside);
      }
    }
  }
};

/// dx = dLoss/dx. grid: (tiles across x blocks of C, tiles down, N), or where weights stay (any number, blocks of C). dp: (N, H/2, W/2, K), the pooled gradient; dx: (N, H, W, C)
template <TapTile T> struct PooledConvDataGradient {
  using Sums = TapSums<T, true>;
  using Number = typename Sums::Number;
  static constexpr int threads = T.threads(), shared_bytes = Sums::shared_bytes, blocks = T.blocks;

  using Gradients = SpreadGradient<Number, T.in, T.tile_h, T.tile_w, 1, threads>;
  static_assert(Gradients::each < 9);

  LAMINA_DEVICE static void run(const Number* dp, const uint8_t* codes, const Number* w, Number* dx, Extent size) {
    const Place block = block_index();
    WindowGradient<Number> gradients[Gradients::each], g;
    Sums s;
    if constexpr (Sums::resident) {
      const int c0 = block.y * T.out;
      Slab now(size, T.tile_h, T.tile_w, block.x, grid_size().x);
      if (now.tile == now.end) return;
      int n = now.n(), h0 = now.y() * T.tile_h, w0 = now.x() * T.tile_w, next_n = n, next_h0 = h0, next_w0 = w0;
      Gradients{dp, codes, Gradients::chunks, size}.fetch(gradients, n, h0, w0);
      Gradients::spread(gradients, Sums::tile(0));
      s.run_resident(w + Index(c0) * size.k, size, nullptr, now.end - now.tile - 1, [&](int tile, int tap) {
        if (tap == 0) ++now.tile, next_n = now.n(), next_h0 = now.y() * T.tile_h, next_w0 = now.x() * T.tile_w;
        if (tap > 0 && tap <= Gradients::each) Gradients::spread(tap - 1, g, Sums::tile(tile));
        if (tap < Gradients::each) g = Gradients{dp, codes, Gradients::chunks, size}.fetch(tap, next_n, next_h0, next_w0);
      }, [&](int) {
        store_sums(s, dx + c0, size, n, h0, w0);
        n = next_n, h0 = next_h0, w0 = next_w0;
      });
    } else {
      const int parts = size.c / T.out, c0 = block.x % parts * T.out, n = block.z, h0 = block.y * T.tile_h, w0 = block.x / parts * T.tile_w;
      Gradients{dp, codes, Gradients::chunks, size}.fetch(gradients, n, h0, w0);
      Gradients::spread(gradients, Sums::tile(0));
      s.begin(nullptr);
      s.run(w + Index(c0) * size.k, size, size.k / T.in, [&](int next, int tap) {
        if (tap > 0 && tap <= Gradients::each) Gradients::spread(tap - 1, g, Sums::tile(next));
        if (tap < Gradients::each) g = Gradients{dp + next * T.in, codes + next * T.in, Gradients::chunks, size}.fetch(tap, n, h0, w0);
      });
      store_sums(s, dx + c0, size, n, h0, w0);
    }
  }

 private:
  LAMINA_DEVICE static void store_sums(const Sums& s, Number* dx, Extent size, int n, int h0, int w0) {
    const int lane = thread_index() % 32;
    LAMINA_UNROLL
    for (int m = 0; m < Sums::patches; ++m) {
      const int patch = Sums::first_patch() + m;
      const int row = h0 + patch / Sums::patches_across * 2, column = w0 + patch % Sums::patches_across * 8 + lane / 4;
      LAMINA_UNROLL
      for (int below = 0; below < 2; ++below) {
        Number* const pixel = dx + size.pixel(n, row + below, column) * size.c + Sums::first_channel();
        store_pixel<Sums::channels / 8>(pixel, row + below < size.h && column < size.w, [&](int j, int e) { return s.sum[m][j][2 * below + e]; });
      }
    }
  }
};

}  // namespace lamina::kernels::inline LAMINA_SIMT
