/// The first block: pictures of 1 to 4 channels, as bf16, as tf32 or as bytes, which are taken for bf16. Conv 3x3 + bias + ReLU + MaxPool 2x2 on tensor cores, and the gradients of weights and bias;
/// none for the pictures. Four pixels of four channels are 16 numbers, one tensor-core step, or of tf32 two: they are a row of the kernel, whose fourth column and missing channels have weight 0.
/// Bytes are exact in bf16; `scale` (1/255, say) multiplies the sums instead of every pixel.
#pragma once
#include "pooled_conv.hpp"
#include "slab_sum.hpp"

namespace lamina::kernels::inline LAMINA_SIMT {

struct FirstTile {
  int channels;              // of the pictures
  int tile_h, tile_w, warps;
  int blocks = 0;            // that a multiprocessor shall hold, if it matters
  static constexpr int k = 32;  // channels out of a thread block; the last block may have 16
  constexpr int threads() const { return warps * 32; }
  constexpr bool valid() const { return channels <= 4 && tile_h % 2 == 0 && tile_w % 8 == 0 && tile_h * tile_w % (16 * warps) == 0 && warps % 2 == 0; }
};

/// What is multiplied.
template <class Pixel> using FirstNumber = NumberOf<std::is_same_v<Pixel, tf32>>;

/// A tile of pixels, four bf16 each, with a border of one, a column more for the fourth, weightless kernel column, and one to make the width even.
/// ldmatrix wants rows on 16 bytes, and a row that begins at a pixel is on 8: the tile lies there twice, the second time one pixel to the left.
/// The copies are 64 bytes apart in the banks, so that the 8 rows from an even pixel on do not meet.
template <FirstTile T, class Pixel> struct FirstPixels {
  static constexpr int threads = T.threads(), width = T.tile_w + 4, count = (T.tile_h + 2) * width, each = (count + threads - 1) / threads;
  static constexpr int apart = (count * 8 + 127) / 128 * 64 + 32;  // numbers from one copy to the other
  static constexpr int bytes = (apart + count * 4 + 7) / 8 * 16;

  Vec2 pixel[each];

  /// The 8 numbers of pixels i and i + 1.
  LAMINA_DEVICE static const bf16* row(const bf16* tile, int i) { return tile + i % 2 * apart + i / 2 * 8; }

  LAMINA_DEVICE void fetch(const Pixel* x, Extent size, int n, int h0, int w0) {
    LAMINA_UNROLL
    for (int m = 0; m < each; ++m) {
      const int i = thread_index() + m * threads, h = h0 + i / width - 1, w = w0 + i % width - 1;
      const bool inside = i < count && h >= 0 && h < size.h && w >= 0 && w < size.w;
      pixel[m] = inside ? read(x + size.pixel(n, h, w) * T.channels) : Vec2{0, 0};
    }
  }
  LAMINA_DEVICE void put(bf16* tile) const {
    LAMINA_UNROLL
    for (int m = 0; m < each; ++m) {
      const int i = thread_index() + m * threads;
      if (i < count) store(reinterpret_cast<Vec2*>(tile + i * 4), pixel[m]);
      if (i < count && i > 0) store(reinterpret_cast<Vec2*>(tile + apart + (i - 1) * 4), pixel[m]);
    }
  }

 private:
  LAMINA_DEVICE static Vec2 read(const Pixel* p) { return {channel(p, 0) | channel(p, 1) << 16, channel(p, 2) | channel(p, 3) << 16}; }
  LAMINA_DEVICE static unsigned channel(const Pixel* p, int c) { return c < T.channels ? bits(load(p + c)) : 0u; }
  LAMINA_DEVICE static unsigned bits(bf16 v) { return v.bits; }
  LAMINA_DEVICE static unsigned bits(uint8_t v) { return to_bf16(float(v)); }
};
/// Four tf32 each, 16 bytes. ldmatrix reads every other pixel: pixel i lies at i ^ key, so that 8 of them do not meet.
template <FirstTile T> struct FirstPixels<T, tf32> {
  static constexpr int threads = T.threads(), width = T.tile_w + 4, count = (T.tile_h + 2) * width, each = (count + threads - 1) / threads, bytes = count * 16;

  Vec4 pixel[each];

  LAMINA_DEVICE static tf32* row(tf32* tile, int i) { return tile + (i ^ (i / 8 % 2)) * 4; }

  LAMINA_DEVICE void fetch(const tf32* x, Extent size, int n, int h0, int w0) {
    LAMINA_UNROLL
    for (int m = 0; m < each; ++m) {
      const int i = thread_index() + m * threads, h = h0 + i / width - 1, w = w0 + i % width - 1;
      const bool inside = i < count && h >= 0 && h < size.h && w >= 0 && w < size.w;
      const tf32* const p = x + size.pixel(n, h, w) * T.channels;
      pixel[m] = inside ? Vec4{channel(p, 0), channel(p, 1), channel(p, 2), channel(p, 3)} : Vec4{0, 0, 0, 0};
    }
  }
  LAMINA_DEVICE void put(tf32* tile) const {
    LAMINA_UNROLL
    for (int m = 0; m < each; ++m) {
      const int i = thread_index() + m * threads;
      if (i < count) store(reinterpret_cast<Vec4*>(row(tile, i)), pixel[m]);
    }
  }

 private:
  LAMINA_DEVICE static unsigned channel(const tf32* p, int c) { return c < T.channels ? load(p + c).bits : 0u; }
};

/// grid: (tiles across x blocks of K, tiles down, N). x: (N, H, W, C); w: (9, C, K); bias: (K) or null; y, codes: (N, H/2, W/2, K), codes may be null
template <FirstTile T, class Pixel> struct FirstConvForward {
  static_assert(T.valid());
  static constexpr int threads = T.threads(), blocks = T.blocks, windows_across = T.tile_w / 2, patches = T.tile_h * T.tile_w / 16 / T.warps;
  static_assert(patches % 2 == 0);
  using Pixels = FirstPixels<T, Pixel>;
  using Number = FirstNumber<Pixel>;
  using Weights = Rows<Number, T.k, Rowed::across>;
  static constexpr int terms = 2 * in_chunk<Number>, steps = 16 / terms;   // of a row of the kernel
  static constexpr int zero_row = 9 * T.channels;      // of weights: where there is none
  static constexpr int tile_bytes = (Pixels::bytes + 127) / 128 * 128, bias_at = tile_bytes + Weights::bytes(zero_row + 1), shared_bytes = bias_at + T.k * 4;

  LAMINA_DEVICE static void run(const Pixel* x, float scale, const Number* w, const float* bias, Number* y, uint8_t* codes, Extent size) {
    const Place block = block_index();
    const int parts = (size.k + T.k - 1) / T.k, k0 = block.x % parts * T.k, chunks = (size.k - k0) / 8;
    const int h0 = block.y * T.tile_h, w0 = block.x / parts * T.tile_w, lane = thread_index() % 32, warp = thread_index() / 32, g = lane / 4, t = lane % 4;
    Number* const tile = reinterpret_cast<Number*>(shared_memory());
    const Weights weights{reinterpret_cast<Number*>(shared_memory() + tile_bytes)};
    for (int i = thread_index(); i < (zero_row + 1) * Weights::chunks; i += threads) {
      const int row = i / Weights::chunks, k = i % Weights::chunks * in_chunk<Number>;
      const bool inside = row < zero_row && k < chunks * 8;
      copy_async(weights.chunk(row, i % Weights::chunks), inside ? w + Index(row) * size.k + k0 + k : w, inside);
    }
    copy_commit();
    Pixels pixels;
    pixels.fetch(x, size, block.z, h0, w0);
    pixels.put(tile);
    float* const begin = reinterpret_cast<float*>(shared_memory() + bias_at);
    if (thread_index() < T.k) store(begin + thread_index(), bias && thread_index() < size.k - k0 ? load(bias + k0 + thread_index()) : 0.f);
    copy_wait<0>();
    sync_block();
    unsigned b[3][steps][T.k / 16][4];
    LAMINA_UNROLL
    for (int r = 0; r < 3; ++r)
      LAMINA_UNROLL
      for (int s = 0; s < steps; ++s)
        LAMINA_UNROLL
        for (int j = 0; j < T.k / 16; ++j)
          right_across<Number>(b[r][s][j], weights, 16 * j, [&](int term) {
            const int column = (s * terms + term) / 4, channel = term % 4;
            return column < 3 && channel < T.channels ? (r * 3 + column) * T.channels + channel : zero_row;
          });
    const Index first = size.window(block.z, h0 / 2, w0 / 2) * size.k + k0;
    // A pair of patches are the left and the right pixels of 8 pooling windows.
    LAMINA_NO_UNROLL
    for (int pair = 0; pair < patches / 2; ++pair) {
      const auto window = [&](int i) { return (warp * (patches / 2) + pair) * 8 + i; };
      const int mine = window(lane % 8), row = mine / windows_across * 2, left = mine % windows_across * 2;
      int best[T.k / 8][2];
      const auto pool = [&]<bool right>(std::bool_constant<right>) {
        unsigned a[3][steps][4];
        LAMINA_UNROLL
        for (int r = 0; r < 3; ++r)
          LAMINA_UNROLL
          for (int s = 0; s < steps; ++s)
            load_matrices(a[r][s], Pixels::row(tile, (row + r + lane / 8 % 2) * Pixels::width + left + right + s * (terms / 4) + lane / 16 * (terms / 8)));
        LAMINA_UNROLL
        for (int j = 0; j < T.k / 8; ++j) {
          const Pair before = load(reinterpret_cast<const Pair*>(begin + j * 8 + 2 * t));
          float sum[4] = {};
          LAMINA_UNROLL
          for (int e = 0; e < 4 && sizeof(Pixel) > 1; ++e) sum[e] = e % 2 ? before.second : before.first;
          LAMINA_UNROLL
          for (int r = 0; r < 3; ++r)
            LAMINA_UNROLL
            for (int s = 0; s < steps; ++s) multiply_add_of<Number>(sum, a[r][s], b[r][s][j / 2][j % 2 * 2], b[r][s][j / 2][j % 2 * 2 + 1]);
          LAMINA_UNROLL
          for (int e = 0; e < 4 && sizeof(Pixel) == 1; ++e) sum[e] = sum[e] * scale + (e % 2 ? before.second : before.first);
          pool_side<right>(best[j], sum);
        }
      };
      pool(std::false_type());
      pool(std::true_type());
      const int pooled_row = window(g) / windows_across, pooled_column = window(g) % windows_across;
      const bool inside = pooled_row < size.pooled_h() - h0 / 2 && pooled_column < size.pooled_w() - w0 / 2;
      store_pooled(best, chunks, y, codes, first + (pooled_row * size.pooled_w() + pooled_column) * size.k, inside);
    }
  }
};

/// partials: (slabs, 9 C K + K) floats, weights and then bias. grid: (slabs, blocks of K). Each warp sums its own patches; the sums of the even warps are added in their order, beside
/// them those of the odd ones, and then both.
template <FirstTile T, class Pixel> struct FirstConvWeightGradient {
  static_assert(T.valid());
  static constexpr int threads = T.threads(), blocks = T.blocks, patches_across = T.tile_w / 8, patches = T.tile_h * T.tile_w / 16 / T.warps;
  using Pixels = FirstPixels<T, Pixel>;
  using Number = FirstNumber<Pixel>;
  using Dy = Rows<Number, T.k, Rowed::across>;
  static constexpr int rows = in_chunk<Number> / 4;    // of a patch, in a step
  static constexpr int block = 16 * (T.k + 8);         // floats of the sums of a row of the kernel
  static constexpr int dy_bytes = Dy::bytes(T.tile_h * T.tile_w), tile_bytes = dy_bytes + Pixels::bytes;
  static constexpr int sums_bytes = 2 * 3 * block * 4;
  static constexpr int shared_bytes = tile_bytes > sums_bytes ? tile_bytes : sums_bytes;

  LAMINA_DEVICE static void run(const Pixel* x, float scale, const Number* dp, const uint8_t* codes, float* partials, Slabs slabs, Extent size) {
    const Place place = block_index();
    const int lane = thread_index() % 32, warp = thread_index() / 32, k0 = place.y * T.k, chunks = (size.k - k0) / 8;
    const Dy dy{reinterpret_cast<Number*>(shared_memory())};
    Number* const tile = reinterpret_cast<Number*>(shared_memory() + dy_bytes);
    float bias_sum[in_chunk<Number>] = {};
    float sum[3][T.k / 8][4] = {};
    Pixels pixels;
    using Gradients = SpreadGradient<Number, T.k, T.tile_h, T.tile_w, 0, threads>;
    const Gradients gradients{dp + k0, codes + k0, chunks * 8 / in_chunk<Number>, size};
    WindowGradient<Number> next[Gradients::each];
    const auto fetch_tile = [&](const Slab& at) {
      pixels.fetch(x, size, at.n(), at.y() * T.tile_h, at.x() * T.tile_w);
      gradients.fetch(next, at.n(), at.y() * T.tile_h, at.x() * T.tile_w);
    };
    Slab at(size, T.tile_h, T.tile_w, slabs, place.x);
    if (at.tile < at.end) fetch_tile(at);
    while (at.tile < at.end) {
      sync_block();
      pixels.put(tile);
      Gradients::spread(next, dy);
      for (const WindowGradient<Number>& g : next) g.add_winners(bias_sum);
      sync_block();
      if (++at.tile < at.end) fetch_tile(at);
      LAMINA_NO_UNROLL
      for (int m = 0; m < patches * 2 / rows; ++m) {
        const int patch = warp * patches + m / (2 / rows), row = patch / patches_across * 2 + m % (2 / rows), column = patch % patches_across * 8;
        unsigned b[T.k / 16][4];
        LAMINA_UNROLL
        for (int j = 0; j < T.k / 16; ++j) right_across<Number>(b[j], dy, 16 * j, [&](int term) { return (row + term / 8) * T.tile_w + column + term % 8; });
        LAMINA_UNROLL
        for (int r = 0; r < 3; ++r) {
          unsigned a[4];
          if constexpr (std::is_same_v<Number, bf16>) load_matrices_transposed(a, Pixels::row(tile, (row + r + lane / 16) * Pixels::width + column + lane % 8 + lane / 8 % 2 * 2));
          else
            LAMINA_UNROLL
            for (int i = 0; i < 4; ++i) a[i] = word(Pixels::row(tile, (row + r) * Pixels::width + column + lane % 4 + i / 2 * 4 + lane / 16 + i % 2 * 2) + lane / 4 % 4);
          LAMINA_UNROLL
          for (int j = 0; j < T.k / 16; ++j) {
            multiply_add_of<Number>(sum[r][2 * j], a, b[j][0], b[j][1]);
            multiply_add_of<Number>(sum[r][2 * j + 1], a, b[j][2], b[j][3]);
          }
        }
      }
    }

    float* const total = reinterpret_cast<float*>(shared_memory());
    for (int turn = 0; turn < T.warps / 2; ++turn) {
      sync_block();
      if (warp / 2 != turn) continue;
      LAMINA_UNROLL
      for (int r = 0; r < 3; ++r) add_block<T.k>(total + (warp % 2 * 3 + r) * block, sum[r], turn == 0);
    }
    sync_block();
    const int weights = 9 * T.channels * size.k;
    float* const partial = partials + Index(place.x) * (weights + size.k);
    for (int i = thread_index(); i < 9 * T.channels * T.k; i += threads) {
      const int row = i / T.k, k = i % T.k, tap = row / T.channels, c = row % T.channels;
      const float* const sums = total + tap / 3 * block + (tap % 3 * 4 + c) * (T.k + 8) + k;
      if (k < chunks * 8) store(partial + row * size.k + k0 + k, (load(sums) + load(sums + 3 * block)) * scale);
    }
    sync_block();
    write_bias_sums<T.k, threads>(total, bias_sum, chunks * 8 < T.k ? chunks * 8 : T.k, partial + weights + k0);
  }
};

}  // namespace lamina::kernels::inline LAMINA_SIMT
