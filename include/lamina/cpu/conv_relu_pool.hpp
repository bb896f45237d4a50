/// y = pool(relu(conv(x))) on the CPU, one tile at a time. The pools are those that do not overlap, so that a tile of whole pooling rows needs no neighbour.
#pragma once
#include "conv.hpp"
#include "pool.hpp"

namespace lamina {

namespace detail {
inline ConvTiles pool_tiles(ConvReluPool k, Shape in, Shape mid) { return {{k.conv, k.groups}, in, mid, k.pool.stride}; }

/// Pooling rows that end in the tile which begins at row `top` of the convolution.
inline int pool_rows(ConvReluPool k, Shape out, int top, int rows) {
  const int first = top / k.pool.stride, last = (top + rows) < k.pool.k ? 0 : (top + rows - k.pool.k) / k.pool.stride + 1;
  return (last < out.h ? last : out.h) - first;
}
}  // namespace detail

template <class T>
void conv_relu_pool_forward(Cpu& dev, ConvReluPool k, Shape in, Shape mid, Shape out, Index n,
                            const T* x,                // (N, H, W, C)
                            const T* w, const T* b,    // (K, K, C, O), (O) or null
                            T* y,                      // (N, Hp, Wp, O)
                            std::uint8_t* codes) {     // (N, Hp, Wp, O) which tap of the pool, 255 if none was positive; or null
  const detail::ConvTiles t = detail::pool_tiles(k, in, mid);
  dev.run(n * t.per_image, [&](Index task, int worker) {
    const Index image = task / t.per_image;
    const int tile = int(task % t.per_image), top = tile * t.rows, rows = t.rows_of(tile);
    const detail::ConvWorker<T> m(t, dev.arena(), worker);
    detail::conv_tile(t, m, x + image * size(in), w, b, top, rows, m.tile);
    for (int r = 0; r < detail::pool_rows(k, out, top, rows); ++r)
      for (int q = 0; q < out.w; ++q) {
        const Index at = image * size(out) + ((top / k.pool.stride + r) * Index(out.w) + q) * out.c;
        T* best = y + at;
        std::fill_n(best, out.c, T(0));
        std::uint8_t* code = codes ? codes + at : nullptr;
        if (code) std::fill_n(code, out.c, std::uint8_t(255));
        for (int tap = 0; tap < k.pool.k * k.pool.k; ++tap) {
          const T* value = m.tile + ((Index(r) * k.pool.stride + tap / k.pool.k) * mid.w + q * k.pool.stride + tap % k.pool.k) * mid.c;
          if (code)
            for (int c = 0; c < out.c; ++c) code[c] = detail::wins(value[c], best[c]) ? std::uint8_t(tap) : code[c], best[c] = detail::wins(value[c], best[c]) ? value[c] : best[c];
          else
            for (int c = 0; c < out.c; ++c) best[c] = detail::wins(value[c], best[c]) ? value[c] : best[c];
        }
      }
  });
}

template <class T>
void conv_relu_pool_backward(Cpu& dev, ConvReluPool k, Shape in, Shape mid, Shape out, Index n, const T* x, const T* w,
                             const std::uint8_t* codes, const T* dy,   // (N, Hp, Wp, O) both
                             T* dx, T* dw, T* db) {                    // (N, H, W, C) or null; += (K, K, C, O), (O) or null
  const detail::ConvTiles t = detail::pool_tiles(k, in, mid);
  detail::over_shares(dev, t, n, dw, db, [&](const detail::ConvWorker<T>& m, Index image, T* dw_share, T* db_share) {
    T* dx_image = dx ? dx + image * size(in) : nullptr;
    if (dx) std::fill_n(dx_image, size(in), T(0));
    for (int tile = 0; tile < t.per_image; ++tile) {
      const int top = tile * t.rows, rows = t.rows_of(tile);
      std::fill_n(m.tile, Index(rows) * mid.w * mid.c, T(0));
      for (int r = 0; r < detail::pool_rows(k, out, top, rows); ++r)
        for (int q = 0; q < out.w; ++q) {
          const Index at = image * size(out) + ((top / k.pool.stride + r) * Index(out.w) + q) * out.c;
          for (int tap = 0; tap < k.pool.k * k.pool.k; ++tap) {
            T* to = m.tile + ((Index(r) * k.pool.stride + tap / k.pool.k) * mid.w + q * k.pool.stride + tap % k.pool.k) * mid.c;
            for (int c = 0; c < out.c; ++c) to[c] = codes[at + c] == tap ? dy[at + c] : T(0);
          }
        }
      detail::conv_tile_backward(t, m, x + image * size(in), w, static_cast<const T*>(m.tile), top, rows, dx_image, dw_share, db_share);
    }
  });
}

template <class T> Index conv_relu_pool_arena(const Cpu& dev, T, ConvReluPool k, Shape in, Shape mid, Index) {
  return detail::pool_tiles(k, in, mid).arena_bytes<T>(dev.threads());
}

}  // namespace lamina
