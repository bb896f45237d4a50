/// Convolution 3x3 of stride 1 in bf16 on tensor cores: the gradients of weights and bias.
#pragma once
#include "slab_sum.hpp"

namespace lamina::kernels::inline LAMINA_SIMT {

struct TapsWeightTile {
  int c, k;                  // channels in and out of a thread block: 16, 32, 64
  int tile_h, tile_w;        // pixels summed between two barriers, of so many
  int pictures;
  constexpr int warp_c() const { return c < 32 ? c : 32; }
  constexpr int warp_k() const { return k < 32 ? k : 32; }
  constexpr int threads() const { return 3 * (c / warp_c()) * (k / warp_k()) * 32; }
  constexpr int pixels() const { return pictures * tile_h * tile_w; }
};

/// dw += x^T dy and db += the sum of dy, = where it writes, or, where there are several slabs, their partials (slabs, 9 C K + K), weights and then bias. grid: (K / T.k, C / T.c, slabs)
/// A warp owns a row of the kernel, three taps, and 32 x 32 channels. Rows are channels in, columns channels out, and a step of the sum is a patch of 2 x 8 pixels.
/// x: (N, H, W, C); dy: (N, H, W, K); db: (K) or null
template <TapsWeightTile T> struct ConvTapsWeightGradient {
  static constexpr int threads = T.threads(), width = T.tile_w + 2, halo = (T.tile_h + 2) * width, pixels = T.pixels(), patches = pixels / 16, patches_across = T.tile_w / 8;
  using X = Rows<bf16, T.c>;
  using Dy = Rows<bf16, T.k>;
  static constexpr int warp_c = T.warp_c(), warp_k = T.warp_k();
  static constexpr int x_bytes = X::bytes(T.pictures * halo), dy_bytes = Dy::bytes(pixels), bias_bytes = threads / 32 * T.k * 4, shared_bytes = 2 * (x_bytes + dy_bytes);
  static_assert(bias_bytes <= shared_bytes);

  LAMINA_DEVICE static void run(const bf16* x, const bf16* dy, float* partials, float* dw, float* db, bool writes, Slabs cut, Extent size) {
    const Place place = block_index();
    const int lane = thread_index() % 32, warp = thread_index() / 32, kernel_row = warp % 3, k0 = place.x * T.k, c0 = place.y * T.c, slabs = cut.count;
    const int k_of_warp = warp / 3 % (T.k / warp_k) * warp_k, c_of_warp = warp / 3 / (T.k / warp_k) * warp_c;
    const bool with_bias = db && c0 == 0;
    float bias_sum[8] = {};
    float sum[3][warp_c / 16][warp_k / 8][4] = {};
    Slab at(size, T.tile_h, T.tile_w, cut, place.z, T.pictures);
    size.n = at.last;
    const auto copy_tile = [&](int buffer) {
      const int n = at.n(T.pictures), h0 = at.y() * T.tile_h, w0 = at.x() * T.tile_w;
      copy_halo<T.c, T.tile_h, T.tile_w, threads, 1, T.pictures>(x_tile(buffer), x + c0, size, n, h0, w0);
      copy_gradient(dy_tile(buffer), dy + k0, size, n, h0, w0);
      copy_commit();
    };

    if (at.tile < at.end) copy_tile(0);
    for (int buffer = 0; at.tile < at.end; buffer ^= 1) {
      copy_wait<0>();
      sync_block();
      if (++at.tile < at.end) copy_tile(buffer ^ 1);
      const X xs = x_tile(buffer);
      const Dy dys = dy_tile(buffer);
      LAMINA_NO_UNROLL
      for (int patch = 0; patch < patches; ++patch) {
        const int row = patch / patches_across * 2, column = patch % patches_across * 8, border = T.pictures > 1 ? row / T.tile_h * 2 : 0;
        unsigned b[warp_k / 16][4];
        LAMINA_UNROLL
        for (int j = 0; j < warp_k / 16; ++j) load_matrices_transposed(b[j], dys.chunk((row + lane / 8 % 2) * T.tile_w + column + lane % 8, k_of_warp / 8 + 2 * j + lane / 16));
        LAMINA_UNROLL
        for (int q = 0; q < 3; ++q)
          LAMINA_UNROLL
          for (int i = 0; i < warp_c / 16; ++i) {
            unsigned a[4];
            load_matrices_transposed(a, xs.chunk((row + border + lane / 16 + kernel_row) * width + column + lane % 8 + q, c_of_warp / 8 + 2 * i + lane / 8 % 2));
            LAMINA_UNROLL
            for (int j = 0; j < warp_k / 8; ++j) multiply_add(sum[q][i][j], a, b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
          }
      }
      if (with_bias) add_pixels(bias_sum, dys);
    }

    const Index weights = Index(9) * size.c * size.k;
    float* const total = slabs > 1 ? partials + place.z * (weights + size.k) : dw;
    LAMINA_UNROLL
    for (int q = 0; q < 3; ++q)
      LAMINA_UNROLL
      for (int i = 0; i < warp_c / 16; ++i)
        LAMINA_UNROLL
        for (int below = 0; below < 2; ++below)
          LAMINA_UNROLL
          for (int j = 0; j < warp_k / 8; ++j) {
            const int c = c0 + c_of_warp + i * 16 + below * 8 + lane / 4, k = k0 + k_of_warp + j * 8 + lane % 4 * 2;
            Pair* const to = reinterpret_cast<Pair*>(total + (Index(kernel_row * 3 + q) * size.c + c) * size.k + k);
            const Pair before = slabs > 1 || writes ? Pair{0.f, 0.f} : load(to);
            store(to, Pair{before.first + sum[q][i][j][2 * below], before.second + sum[q][i][j][2 * below + 1]});
          }
    if (!with_bias) return;
    sync_block();  // the tiles make room
    float* const bias = slabs > 1 ? total + weights + k0 : db + k0;
    const float before = slabs == 1 && !writes && thread_index() < T.k ? load(bias + thread_index()) : 0.f;
    write_bias_sums<T.k, threads>(reinterpret_cast<float*>(shared_memory()), bias_sum, T.k, bias, before);
  }

 private:
  LAMINA_DEVICE static X x_tile(int buffer) { return {reinterpret_cast<bf16*>(shared_memory() + buffer * x_bytes)}; }
  LAMINA_DEVICE static Dy dy_tile(int buffer) { return {reinterpret_cast<bf16*>(shared_memory() + 2 * x_bytes + buffer * dy_bytes)}; }

  /// The pixels of the tile itself, zeros outside the pictures.
  LAMINA_DEVICE static void copy_gradient(Dy tile, const bf16* dy, Extent size, int n, int h0, int w0) {
    constexpr int each = T.tile_h * T.tile_w;
    for (int i = thread_index(); i < pixels * tile.chunks; i += threads) {
      const int row = i / tile.chunks, chunk = i % tile.chunks, image = n + row / each, h = h0 + row % each / T.tile_w, w = w0 + row % T.tile_w;
      const bool inside = image < size.n && h < size.h && w < size.w;
      copy_async(tile.chunk(row, chunk), inside ? dy + size.pixel(image, h, w) * size.k + chunk * 8 : dy, inside);
    }
  }
  /// This lane's share: a chunk of channels of some pixels.
  LAMINA_DEVICE static void add_pixels(float (&sum)[8], Dy tile) {
    for (int i = thread_index(); i < pixels * tile.chunks; i += threads) {
      const Vec4 v = load(reinterpret_cast<const Vec4*>(tile.chunk(i / tile.chunks, i % tile.chunks)));
      const unsigned pairs[4] = {v.x, v.y, v.z, v.w};
      LAMINA_UNROLL
      for (int e = 0; e < 8; ++e) sum[e] += from_bf16(uint16_t(pairs[e / 2] >> 16 * (e % 2)));
    }
  }
};

}  // namespace lamina::kernels::inline LAMINA_SIMT
