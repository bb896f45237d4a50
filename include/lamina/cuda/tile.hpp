/// What the kernels of convolutions on tensor cores share: tiles of pixels in shared memory, and the pooled gradient spread out over its windows.
/// Pictures and gradients are (N, H, W, C) bf16 or tf32. Codes are (N, H/2, W/2, K) bytes: which of the window's pixels 0 1 / 2 3 won, or `nobody`, where no sum was positive.
#pragma once
#include "../core/shape.hpp"
#include "fragments.hpp"

namespace lamina::kernels::inline LAMINA_SIMT {

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

/// Copies the pixels (h0 - 1, w0 - 1) ... of a (TileH + 2) x (TileW + 2) tile, zeros outside the picture; `x` is at the first wanted channel.
/// A row of pixels begins every `Width` pixels. The copies may be begun in so many parts, one after another. Of several pictures, from picture n on, one tile follows another.
template <int Channels, int TileH, int TileW, int Threads, int Parts = 1, int Pictures = 1, int Width = TileW + 2, class T, Rowed R, int Stride>
LAMINA_DEVICE void copy_halo(Rows<T, Channels, R, Stride> tile, const T* x, Extent size, int n, int h0, int w0, int part = 0) {
  constexpr int pixels = (TileH + 2) * (TileW + 2), count = Pictures * pixels * tile.chunks, each = ((count + Threads - 1) / Threads + Parts - 1) / Parts * Threads;
  for (int i = part * each + thread_index(); i < count && i < (part + 1) * each; i += Threads) {
    const int row = i / tile.chunks, chunk = i % tile.chunks, image = Pictures == 1 ? n : n + row / pixels, pixel = Pictures == 1 ? row : row % pixels;
    const int h = h0 + pixel / (TileW + 2) - 1, w = w0 + pixel % (TileW + 2) - 1;
    const bool inside = unsigned(h) < unsigned(size.h) && unsigned(w) < unsigned(size.w) && (Pictures == 1 || image < size.n);
    copy_async(tile.chunk(row / (TileW + 2) * Width + row % (TileW + 2), chunk), x + size.pixel(inside ? image : n, 0, 0) * size.c + (inside ? (h * size.w + w) * size.c + chunk * in_chunk<T> : 0), inside);
  }
}

/// transpose_quad of two numbers of 16 bits in each of two words: lane t gets those numbered t, those of lanes 0 and 1 in the first word.
LAMINA_DEVICE void transpose_quad(unsigned (&word)[2]) {
  const bool high = thread_index() & 2, odd = thread_index() & 1;
  const unsigned got = shuffle_xor(high ? word[0] : word[1], 2), first = high ? got : word[0], second = high ? word[1] : got;
  const unsigned lows = (first & 0xFFFFu) | second << 16, highs = first >> 16 | (second & 0xFFFF0000u), other = shuffle_xor(odd ? lows : highs, 1);
  const unsigned even_lane = odd ? other : lows, odd_lane = odd ? highs : other;
  word[0] = (even_lane & 0xFFFFu) | odd_lane << 16;
  word[1] = even_lane >> 16 | (odd_lane & 0xFFFF0000u);
}

/// Of the gradients in a word, those whose code byte says the pixel `tap` won.
template <TensorNumber T> LAMINA_DEVICE unsigned gradients_of(unsigned tap, unsigned word, unsigned codes) {
  if constexpr (sizeof(T) == 2) return ((codes & 0xFF) == tap ? word & 0xFFFFu : 0u) | ((codes >> 8 & 0xFF) == tap ? word & 0xFFFF0000u : 0u);
  else return (codes & 0xFF) == tap ? word : 0u;
}

/// The pooled gradient of a chunk of channels of a window, and who won.
template <TensorNumber T> struct WindowGradient {
  Vec4 gradient{0, 0, 0, 0};
  Vec2 code{~0u, ~0u};                                 // of tf32 the first word

  /// The gradients that the pixel `tap` of the window won.
  LAMINA_DEVICE Vec4 of(unsigned tap) const {
    if constexpr (sizeof(T) == 2)
      return {gradients_of<T>(tap, gradient.x, code.x), gradients_of<T>(tap, gradient.y, code.x >> 16), gradients_of<T>(tap, gradient.z, code.y), gradients_of<T>(tap, gradient.w, code.y >> 16)};
    else
      return {gradients_of<T>(tap, gradient.x, code.x), gradients_of<T>(tap, gradient.y, code.x >> 8), gradients_of<T>(tap, gradient.z, code.x >> 16), gradients_of<T>(tap, gradient.w, code.x >> 24)};
  }
  /// Adds those that some pixel won, for the bias.
  LAMINA_DEVICE void add_winners(float (&sum)[in_chunk<T>]) const {
    const unsigned words[4] = {gradient.x, gradient.y, gradient.z, gradient.w};
    LAMINA_UNROLL
    for (int e = 0; e < in_chunk<T>; ++e) {
      const unsigned won = (e < 4 ? code.x : code.y) >> 8 * (e % 4) & 0xFF;
      if (won != nobody) sum[e] += number_of<T>(words, e);
    }
  }
};

/// dy of a tile with `Halo` pixels around it, from the pooled gradient and the codes: each window's gradient goes to the pixel that won. It exists in shared memory only.
/// Lane t has the windows' chunks t, t + Threads, ...: fetched and then spread, with something else in between until they have come.
template <TensorNumber T, int Channels, int TileH, int TileW, int Halo, int Threads> struct SpreadGradient {
  using Window = WindowGradient<T>;
  static constexpr int chunks = Channels / in_chunk<T>, windows_w = TileW / 2 + 2 * Halo, width = TileW + 2 * Halo;
  static constexpr int count = (TileH / 2 + 2 * Halo) * windows_w * chunks, each = (count + Threads - 1) / Threads;
  static_assert(Threads % chunks == 0);                // a lane sees the same chunk of channels in every window

  const T* dp;                                      // (N, H/2, W/2, K), the pooled gradient, and
  const uint8_t* codes;                                // its codes, at the first wanted channel,
  int present;                                         // of which there are so many chunks
  Extent size;

  LAMINA_DEVICE Window fetch(int m, int n, int h0, int w0) const {
    const int i = m * Threads + thread_index(), window = i / chunks;
    const int h = h0 / 2 + window / windows_w - Halo, w = w0 / 2 + window % windows_w - Halo;
    Window g;
    if (i < count && i % chunks < present && h >= 0 && h < size.pooled_h() && w >= 0 && w < size.pooled_w()) {
      const Index at = size.window(n, h, w) * size.k + i % chunks * in_chunk<T>;
      g.gradient = load(reinterpret_cast<const Vec4*>(dp + at));
      if constexpr (sizeof(T) == 2) g.code = load(reinterpret_cast<const Vec2*>(codes + at));
      else g.code.x = load(reinterpret_cast<const unsigned*>(codes + at));
    }
    return g;
  }
  template <Rowed R> LAMINA_DEVICE static void spread(int m, const Window& g, Rows<T, Channels, R> dy) {
    const int i = m * Threads + thread_index(), window = i / chunks;
    if (i >= count) return;
    LAMINA_UNROLL
    for (unsigned tap = 0; tap < 4; ++tap) {
      const int y = 2 * (window / windows_w) + int(tap / 2) - Halo, x = 2 * (window % windows_w) + int(tap % 2) - Halo;
      if (Halo && (y < 0 || y >= TileH + 2 || x < 0 || x >= width)) continue;
      store(reinterpret_cast<Vec4*>(dy.chunk(y * width + x, i % chunks)), g.of(tap));
    }
  }

  LAMINA_DEVICE void fetch(Window (&g)[each], int n, int h0, int w0) const {
    LAMINA_UNROLL
    for (int m = 0; m < each; ++m) g[m] = fetch(m, n, h0, w0);
  }
  template <Rowed R> LAMINA_DEVICE static void spread(const Window (&g)[each], Rows<T, Channels, R> dy) {
    LAMINA_UNROLL
    for (int m = 0; m < each; ++m) spread(m, g[m], dy);
  }
};

}  // namespace lamina::kernels::inline LAMINA_SIMT
