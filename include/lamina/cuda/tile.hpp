/// What the kernels of convolutions on tensor cores share: tiles of pixels in shared memory, and the pooled gradient spread out over its windows.
/// Pictures and gradients are (N, H, W, C) bf16. Codes are (N, H/2, W/2, K) bytes: which of the window's pixels 0 1 / 2 3 won, or `nobody`, where no sum was positive.
#pragma once
#include "../core/precision.hpp"
#include "../core/shape.hpp"
#include "words.hpp"

namespace lamina::kernels::inline LAMINA_SIMT {

using namespace simt;

inline constexpr unsigned nobody = 255;

/// Sizes known when the kernel runs. The convolution keeps (h, w); pooling makes (h/2, w/2), an odd last row or column is dropped.
struct Extent {
  int n, h, w, c, k;                                   // c channels in, k channels out
  LAMINA_DEVICE int pooled_h() const { return h / 2; }
  LAMINA_DEVICE int pooled_w() const { return w / 2; }
  /// Of channel 0 of a pixel, in numbers from the first.
  LAMINA_DEVICE Index pixel(int image, int row, int column) const { return (Index(image) * h + row) * w + column; }
  LAMINA_DEVICE Index window(int image, int row, int column) const { return (Index(image) * pooled_h() + row) * pooled_w() + column; }
};

/// Rows of `Channels` bf16 in shared memory. ldmatrix reads one 16-byte chunk of each of 8 rows at a time, neighbours or, `Stride` 2, every other one; plain rows would
/// put those into the same banks, so chunk i of a row lies at i ^ key, where the 8 rows cover all 32 banks. Every other row of less than 128 bytes: the chunks of whole lines of 128 are mixed.
template <int Channels, int Stride = 1> struct Rows {
  static constexpr int chunks = Channels / 8;
  static constexpr int keys = (chunks & -chunks) < 8 ? (chunks & -chunks) : 8;  // a power of two that divides chunks: i ^ key stays in the row
  static constexpr int rows_per_key = chunks < 8 ? 8 / chunks : Stride;         // rows that share one line of 128 bytes
  static constexpr bool lines = Stride == 2 && chunks < 8;
  static constexpr int bytes(int rows) { return lines ? (rows * Channels * 2 + 127) / 128 * 128 : rows * Channels * 2; }
  static_assert(Channels % 16 == 0 && (Stride == 1 || (Stride == 2 && (chunks < 8 ? 8 % chunks : chunks % 8) == 0)));

  bf16* data;
  LAMINA_DEVICE bf16* chunk(int row, int i) const {
    if constexpr (lines) return data + ((row * chunks + i) ^ (row / rows_per_key % (2 * chunks))) * 8;
    else return data + (row * chunks + (i ^ (row / rows_per_key % keys))) * 8;
  }
};

/// Copies the pixels (h0 - 1, w0 - 1) ... of a (TileH + 2) x (TileW + 2) tile, zeros outside the picture; `x` is at the first wanted channel.
/// A row of pixels begins every `Width` pixels. The copies may be begun in so many parts, one after another. Of several pictures, from picture n on, one tile follows another.
template <int Channels, int TileH, int TileW, int Threads, int Parts = 1, int Pictures = 1, int Width = TileW + 2, int Stride>
LAMINA_DEVICE void copy_halo(Rows<Channels, Stride> tile, const bf16* x, Extent size, int n, int h0, int w0, int part = 0) {
  constexpr int pixels = (TileH + 2) * (TileW + 2), count = Pictures * pixels * tile.chunks, each = ((count + Threads - 1) / Threads + Parts - 1) / Parts * Threads;
  for (int i = part * each + thread_index(); i < count && i < (part + 1) * each; i += Threads) {
    const int row = i / tile.chunks, chunk = i % tile.chunks, image = Pictures == 1 ? n : n + row / pixels, pixel = Pictures == 1 ? row : row % pixels;
    const int h = h0 + pixel / (TileW + 2) - 1, w = w0 + pixel % (TileW + 2) - 1;
    const bool inside = unsigned(h) < unsigned(size.h) && unsigned(w) < unsigned(size.w) && (Pictures == 1 || image < size.n);
    copy_async(tile.chunk(row / (TileW + 2) * Width + row % (TileW + 2), chunk), x + size.pixel(inside ? image : n, 0, 0) * size.c + (inside ? (h * size.w + w) * size.c + chunk * 8 : 0), inside);
  }
}

/// Word i of lane t goes to word t of lane i, among the four lanes of a quad. A tensor-core result has two channels in each lane of a quad;
/// with four such words a lane gets eight channels of one pixel, and stores fill whole sectors.
LAMINA_DEVICE void transpose_quad(unsigned (&word)[4]) {
  LAMINA_UNROLL
  for (int step = 1; step < 4; step *= 2) {
    const bool high = thread_index() & step;
    LAMINA_UNROLL
    for (int i = 0; i < 4; ++i) {
      if (i & step) continue;
      const unsigned got = shuffle_xor(high ? word[i] : word[i + step], step);
      (high ? word[i] : word[i + step]) = got;
    }
  }
}

/// The same of two numbers of 16 bits in each of two words: lane t gets those numbered t, those of lanes 0 and 1 in the first word.
LAMINA_DEVICE void transpose_quad(unsigned (&word)[2]) {
  const bool high = thread_index() & 2, odd = thread_index() & 1;
  const unsigned got = shuffle_xor(high ? word[0] : word[1], 2), first = high ? got : word[0], second = high ? word[1] : got;
  const unsigned lows = (first & 0xFFFFu) | second << 16, highs = first >> 16 | (second & 0xFFFF0000u), other = shuffle_xor(odd ? lows : highs, 1);
  const unsigned even_lane = odd ? other : lows, odd_lane = odd ? highs : other;
  word[0] = (even_lane & 0xFFFFu) | odd_lane << 16;
  word[1] = even_lane >> 16 | (odd_lane & 0xFFFF0000u);
}

/// Of two gradients, those whose code byte says the pixel `tap` won.
LAMINA_DEVICE unsigned gradients_of(unsigned tap, unsigned pair, unsigned codes) {
  return ((codes & 0xFF) == tap ? pair & 0xFFFFu : 0u) | ((codes >> 8 & 0xFF) == tap ? pair & 0xFFFF0000u : 0u);
}

/// The pooled gradient of eight channels of a window, and who won.
struct WindowGradient {
  Vec4 gradient{0, 0, 0, 0};
  Vec2 code{~0u, ~0u};

  /// The gradients that the pixel `tap` of the window won.
  LAMINA_DEVICE Vec4 of(unsigned tap) const {
    return {gradients_of(tap, gradient.x, code.x), gradients_of(tap, gradient.y, code.x >> 16), gradients_of(tap, gradient.z, code.y), gradients_of(tap, gradient.w, code.y >> 16)};
  }
  /// Adds those that some pixel won, for the bias.
  LAMINA_DEVICE void add_winners(float (&sum)[8]) const {
    const unsigned pairs[4] = {gradient.x, gradient.y, gradient.z, gradient.w};
    LAMINA_UNROLL
    for (int e = 0; e < 8; ++e) {
      const unsigned won = (e < 4 ? code.x : code.y) >> 8 * (e % 4) & 0xFF;
      if (won != nobody) sum[e] += from_bf16(uint16_t(pairs[e / 2] >> 16 * (e % 2)));
    }
  }
};

/// dy of a tile with `Halo` pixels around it, from the pooled gradient and the codes: each window's gradient goes to the pixel that won. It exists in shared memory only.
/// Lane t has the windows' chunks t, t + Threads, ...: fetched and then spread, with something else in between until they have come.
template <int Channels, int TileH, int TileW, int Halo, int Threads> struct SpreadGradient {
  static constexpr int chunks = Channels / 8, windows_w = TileW / 2 + 2 * Halo, width = TileW + 2 * Halo;
  static constexpr int count = (TileH / 2 + 2 * Halo) * windows_w * chunks, each = (count + Threads - 1) / Threads;
  static_assert(Threads % chunks == 0);                // a lane sees the same chunk of channels in every window

  const bf16* dp;                                      // (N, H/2, W/2, K), the pooled gradient, and
  const uint8_t* codes;                                // its codes, at the first wanted channel,
  int present;                                         // of which there are so many chunks
  Extent size;

  LAMINA_DEVICE WindowGradient fetch(int m, int n, int h0, int w0) const {
    const int i = m * Threads + thread_index(), window = i / chunks;
    const int h = h0 / 2 + window / windows_w - Halo, w = w0 / 2 + window % windows_w - Halo;
    WindowGradient g;
    if (i < count && i % chunks < present && h >= 0 && h < size.pooled_h() && w >= 0 && w < size.pooled_w()) {
      const Index at = size.window(n, h, w) * size.k + i % chunks * 8;
      g.gradient = load(reinterpret_cast<const Vec4*>(dp + at));
      g.code = load(reinterpret_cast<const Vec2*>(codes + at));
    }
    return g;
  }
  LAMINA_DEVICE static void spread(int m, const WindowGradient& g, Rows<Channels> dy) {
    const int i = m * Threads + thread_index(), window = i / chunks;
    if (i >= count) return;
    LAMINA_UNROLL
    for (unsigned tap = 0; tap < 4; ++tap) {
      const int y = 2 * (window / windows_w) + int(tap / 2) - Halo, x = 2 * (window % windows_w) + int(tap % 2) - Halo;
      if (Halo && (y < 0 || y >= TileH + 2 || x < 0 || x >= width)) continue;
      store(reinterpret_cast<Vec4*>(dy.chunk(y * width + x, i % chunks)), g.of(tap));
    }
  }

  LAMINA_DEVICE void fetch(WindowGradient (&g)[each], int n, int h0, int w0) const {
    LAMINA_UNROLL
    for (int m = 0; m < each; ++m) g[m] = fetch(m, n, h0, w0);
  }
  LAMINA_DEVICE static void spread(const WindowGradient (&g)[each], Rows<Channels> dy) {
    LAMINA_UNROLL
    for (int m = 0; m < each; ++m) spread(m, g[m], dy);
  }
};

}  // namespace lamina::kernels::inline LAMINA_SIMT
