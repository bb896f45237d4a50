/// Conv 3x3 + bias + ReLU + MaxPool 2x2 in bf16 on tensor cores: forward, and the gradient of its input.
#pragma once
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
// of equals the first tap is the largest. What pooling keeps is rounded to bf16, which asks for 16 of these bits.
LAMINA_DEVICE int tagged(float sum, int tap) { return (bits_of(sum) & ~3) | (3 - tap); }
LAMINA_DEVICE float value_of(int best) { return float_of(best & ~3); }
LAMINA_DEVICE unsigned tap_of(int best) { return best > 3 ? unsigned(~best & 3) : nobody; }

/// From the sums of a patch column pair to the winners of two pooled channels, 0 where no sum was positive.
LAMINA_DEVICE void pool_window(int (&best)[2], const float (&sum)[4], int lane) {
  const int column = lane / 4 % 2;
  LAMINA_UNROLL
  for (int e = 0; e < 2; ++e) {
    const int mine = larger(tagged(sum[e], column), tagged(sum[e + 2], 2 + column));
    best[e] = larger(larger(mine, shuffle_xor(mine, 4)), 0);
  }
}

/// Stores four chunks of eight channels, as far as there are `chunks`, of the pooled pixel at `y`, `codes`. Two lanes know each pixel: one stores y, the other the codes, if they are wanted.
LAMINA_DEVICE void store_pooled(const int (&best)[4][2], int chunks, bf16* y, uint8_t* codes, bool inside, int lane) {
  const bool second = lane / 4 % 2;
  unsigned word[4];
  LAMINA_UNROLL
  for (int i = 0; i < 4; ++i) word[i] = second ? tap_of(best[i][0]) | tap_of(best[i][1]) << 8 : pack_bf16(value_of(best[i][0]), value_of(best[i][1]));
  transpose_quad(word);
  const int chunk = lane % 4;
  if (!inside || chunk >= chunks) return;
  if (!second) store(reinterpret_cast<Vec4*>(y + chunk * 8), Vec4{word[0], word[1], word[2], word[3]});
  else if (codes) store(reinterpret_cast<Vec2*>(codes + chunk * 8), Vec2{word[0] | word[1] << 16, word[2] | word[3] << 16});
}

/// y = maxpool(relu(x * w + bias)), codes = who won. grid: (tiles across x blocks of K, tiles down, N).
/// x: (N, H, W, C); w: (9, C, K); bias: (K) or null; y, codes: (N, H/2, W/2, K), codes may be null
template <TapTile T> struct PooledConvForward {
  using Sums = TapSums<T, false>;
  static constexpr int threads = T.threads(), shared_bytes = Sums::shared_bytes;

  LAMINA_DEVICE static void run(const bf16* x, const bf16* w, const float* bias, bf16* y, uint8_t* codes, Extent size) {
    const Place block = block_index();
    const int blocks = size.k / T.out, k0 = block.x % blocks * T.out, n = block.z;
    const int h0 = block.y * T.tile_h, w0 = block.x / blocks * T.tile_w, lane = thread_index() % 32;
    copy_halo<T.in, T.tile_h, T.tile_w, threads>(Sums::tile(0), x, size, n, h0, w0);
    Sums s;
    s.begin(bias ? bias + k0 : nullptr);
    s.run(w + k0, size, size.c / T.in, [&](int next, int tap) {
      if (tap < 8) copy_halo<T.in, T.tile_h, T.tile_w, threads, 8>(Sums::tile(next), x + next * T.in, size, n, h0, w0, tap);
    });
    LAMINA_UNROLL
    for (int m = 0; m < Sums::patches; ++m) {
      const int patch = Sums::first_patch() + m;
      const int row = h0 / 2 + patch / Sums::patches_across, column = w0 / 2 + patch % Sums::patches_across * 4 + lane / 8;
      const bool inside = row < size.pooled_h() && column < size.pooled_w();
      const Index at = size.window(n, row, column) * size.k + k0 + Sums::first_channel();
      LAMINA_UNROLL
      for (int j = 0; j < Sums::channels / 8; j += 4) {
        int best[4][2] = {};
        LAMINA_UNROLL
        for (int i = 0; i < 4 && j + i < Sums::channels / 8; ++i) pool_window(best[i], s.sum[m][j + i], lane);
        store_pooled(best, Sums::channels / 8 - j, y + at + j * 8, codes ? codes + at + j * 8 : nullptr, inside, lane);
      }
    }
  }
};

/// dx = dLoss/dx. grid: (tiles across x blocks of C, tiles down, N). dp: (N, H/2, W/2, K), the pooled gradient; dx: (N, H, W, C)
template <TapTile T> struct PooledConvDataGradient {
  using Sums = TapSums<T, true>;
  static constexpr int threads = T.threads(), shared_bytes = Sums::shared_bytes;

  LAMINA_DEVICE static void run(const bf16* dp, const uint8_t* codes, const bf16* w, bf16* dx, Extent size) {
    const Place block = block_index();
    const int blocks = size.c / T.out, c0 = block.x % blocks * T.out, n = block.z;
    const int h0 = block.y * T.tile_h, w0 = block.x / blocks * T.tile_w, lane = thread_index() % 32;
    using Gradients = SpreadGradient<T.in, T.tile_h, T.tile_w, 1, threads>;
    static_assert(Gradients::each < 9);
    WindowGradient gradients[Gradients::each], g;
    Gradients{dp, codes, Gradients::chunks, size}.fetch(gradients, n, h0, w0);
    Gradients::spread(gradients, Sums::tile(0));
    Sums s;
    s.begin(nullptr);
    s.run(w + Index(c0) * size.k, size, size.k / T.in, [&](int next, int tap) {
      if (tap > 0 && tap <= Gradients::each) Gradients::spread(tap - 1, g, Sums::tile(next));
      if (tap < Gradients::each) g = Gradients{dp + next * T.in, codes + next * T.in, Gradients::chunks, size}.fetch(tap, n, h0, w0);
    });
    LAMINA_UNROLL
    for (int m = 0; m < Sums::patches; ++m) {
      const int patch = Sums::first_patch() + m;
      const int row = h0 + patch / Sums::patches_across * 2, column = w0 + patch % Sums::patches_across * 8 + lane / 4;
      LAMINA_UNROLL
      for (int below = 0; below < 2; ++below) {
        bf16* pixel = dx + size.pixel(n, row + below, column) * size.c + c0 + Sums::first_channel();
        LAMINA_UNROLL
        for (int j = 0; j < Sums::channels / 8; j += 4) {
          unsigned word[4] = {};
          LAMINA_UNROLL
          for (int i = 0; i < 4 && j + i < Sums::channels / 8; ++i) word[i] = pack_bf16(s.sum[m][j + i][2 * below], s.sum[m][j + i][2 * below + 1]);
          transpose_quad(word);
          const int chunk = j + lane % 4;
          if (row + below < size.h && column < size.w && chunk < Sums::channels / 8) store(reinterpret_cast<Vec4*>(pixel + chunk * 8), Vec4{word[0], word[1], word[2], word[3]});
        }
      }
    }
  }
};

}  // namespace lamina::kernels::inline LAMINA_SIMT
