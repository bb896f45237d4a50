/// y = pool(relu(conv(x))) on the CPU. Way 0 takes any shape, one tile at a time: the pools are those that do not overlap, so that a tile of whole pooling rows needs no
/// neighbour. The others run in vectors: 1 to 5 are for 3x3 convolutions and 2x2 pools, 6 is for any kernel.
#pragma once
#include "conv_relu_pool_direct.hpp"
#include "few_channels.hpp"
#include "pool.hpp"
#include "pooled.hpp"
#include "winograd.hpp"

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
void conv_relu_pool_forward(Cpu& dev, Way<0>, ConvReluPool k, Shape in, Shape mid, Shape out, Index n,
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
void conv_relu_pool_backward(Cpu& dev, Way<0>, ConvReluPool k, Shape in, Shape mid, Shape out, Index n, const T* x, const T* w,
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

template <class T> Index conv_relu_pool_arena(const Cpu& dev, Way<0>, T, ConvReluPool k, Shape in, Shape mid, Index) {
  return detail::pool_tiles(k, in, mid).arena_bytes<T>(dev.threads());
}

// --- ways 1 and up: in vectors. The weights are made ready before, and gradients are gathered share by share.

namespace detail {
/// The bits of an image lie in the place of its codes.
inline PooledGradient pooled_gradient(Shape out, const float* dy, const std::uint8_t* codes, Index image) { return {out, dy + image * size(out), codes + image * size(out)}; }

/// The kernel of a way backwards; the forward kernels of pictures are the same.
template <int W> auto pooled_kernel(ConvReluPool k, Shape in, Shape out) {
  if constexpr (W == 1) return PooledConvBackward{in, out, k.conv.before(in.h)};
  else return FewChannels<W - 1>{in, out, k.conv.before(in.h)};
}
inline Winograd pooled_winograd(ConvReluPool k, Shape in, Shape out) { return {in, out.c, k.conv.before(in.h), 2 * out.h, 2 * out.w}; }
}  // namespace detail

template <int W> requires (W >= 1) Index conv_relu_pool_prepared(const Cpu&, Way<W>, float, ConvReluPool k, Shape in, Shape mid) {
  const Shape out = k.pool.over(mid, mid.c);
  if constexpr (W == 1) return detail::pooled_winograd(k, in, out).weights();
  else return detail::pooled_kernel<W>(k, in, out).weights();
}
template <int W> requires (W >= 1) void conv_relu_pool_prepare(Cpu& dev, Way<W>, ConvReluPool k, Shape in, Shape mid, const float* w, float* to) {
  const Shape out = k.pool.over(mid, mid.c);
  if constexpr (W == 1) detail::pooled_winograd(k, in, out).transform_weights(dev, w, to);
  else detail::pooled_kernel<W>(k, in, out).transform_weights(w, to);
}

inline void conv_relu_pool_forward(Cpu& dev, Way<1>, ConvReluPool k, Shape in, Shape, Shape out, Index n, const float* x,
                                   const float* ready, const float* b,        // as conv_relu_pool_prepare left them, (O) or null
                                   float* y, std::uint8_t* codes) {
  const detail::Winograd conv = detail::pooled_winograd(k, in, out);
  conv.run(dev, n, x, ready, detail::floats(dev.arena()), [&](detail::Winograd::Place p, int o, simd::Floats (&v)[4][4]) LAMINA_INLINE_LAMBDA {
    const simd::Floats bias = b ? simd::load(b + o) : simd::Floats{};
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i)
#pragma GCC unroll 2
      for (int j = 0; j < 2; ++j) {
        const int r = p.row * 2 + i, q = p.column * 2 + j;
        if (r >= out.h || q >= out.w) continue;
        const Index window = Index(r) * out.w + q;
        detail::relu_pool(v[2 * i][2 * j], v[2 * i][2 * j + 1], v[2 * i + 1][2 * j], v[2 * i + 1][2 * j + 1], bias, y + p.image * size(out) + window * out.c,
                          codes ? codes + p.image * size(out) + window * (detail::window_planes * (out.c / 8)) : nullptr, o, out.c);
      }
  });
}

template <int W> requires (W >= 2)
void conv_relu_pool_forward(Cpu& dev, Way<W>, ConvReluPool k, Shape in, Shape, Shape out, Index n, const float* x, const float* ready, const float* b, float* y, std::uint8_t* codes) {
  const auto conv = detail::pooled_kernel<W>(k, in, out);
  const int rows = 8;                        // of windows, in a task
  const Index per_image = (out.h + rows - 1) / rows;
  dev.run(n * per_image, [&](Index task, int worker) {
    const Index image = task / per_image;
    const int first = int(task % per_image) * rows;
    for (int r = first, end = std::min(r + rows, out.h); r < end; ++r)
      conv.forward(x + image * size(in), ready, b, r, r == first, y + image * size(out) + Index(r) * out.w * out.c,
                   codes ? codes + image * size(out) + Index(r) * out.w * (detail::window_planes * (out.c / 8)) : nullptr, detail::floats(dev.arena()) + worker * conv.worker_numbers());
  });
}

template <int W> requires (W >= 1) Index conv_relu_pool_part(const Cpu&, Way<W>, float, ConvReluPool k, Shape in, Shape out) { return detail::pooled_kernel<W>(k, in, out).share_numbers(); }
inline Index conv_relu_pool_turned(const Cpu&, Way<1>, float, ConvReluPool k, Shape in, Shape out) { return detail::pooled_kernel<1>(k, in, out).weights(); }
inline void conv_relu_pool_turn(Cpu& dev, Way<1>, ConvReluPool k, Shape in, Shape out, const float* w, float* to) { detail::pooled_kernel<1>(k, in, out).turn_weights(dev, w, to); }

/// Images go one after another through a thread.
template <int W> requires (W >= 1)
void conv_relu_pool_gather(Cpu& dev, Way<W>, ConvReluPool k, Shape in, Shape out, Index n, const float* x,
                           const float* w,                                   // as conv_relu_pool_turn left them, if there is one
                           const std::uint8_t* codes, const float* dy, float* dx, float* part) {
  const auto conv = detail::pooled_kernel<W>(k, in, out);
  float *const db = part + conv.share_numbers() - room(out.c), *const memory = detail::floats(dev.arena());
  for (Index i = 0; i < n; ++i) conv.weight_gradient(x + i * size(in), detail::pooled_gradient(out, dy, codes, i), part, db, memory);
  for (Index i = 0; dx && i < n; ++i) {
    if constexpr (W == 1) conv.input_gradient(detail::pooled_gradient(out, dy, codes, i), w, dx + i * size(in), memory);
    else conv.input_gradient(detail::pooled_gradient(out, dy, codes, i), w, dx + i * size(in));
  }
}
template <int W> requires (W >= 1) void conv_relu_pool_finish(Cpu& dev, Way<W>, ConvReluPool k, Shape in, Shape out, const float* parts, float* dw, float* db) {
  const auto conv = detail::pooled_kernel<W>(k, in, out);
  if constexpr (W == 1) conv.add_weights(dev, dev.replica.count, parts, dw);
  else conv.add_weights(dev.replica.count, parts, dw);
  if (db) detail::add_shares(dev, dev.replica.count, parts + conv.share_numbers() - room(out.c), Index(out.c), conv.share_numbers(), db);
}

template <int W> requires (W >= 1) Index conv_relu_pool_arena(const Cpu& dev, Way<W>, float, ConvReluPool k, Shape in, Shape mid, Index) {
  const Shape out = k.pool.over(mid, mid.c);
  Index numbers = dev.threads() * detail::pooled_kernel<W>(k, in, out).worker_numbers();
  if constexpr (W == 1) numbers = std::max(numbers, detail::pooled_winograd(k, in, out).memory(dev.threads()));
  return numbers * Index(sizeof(float));
}

}  // namespace lamina
