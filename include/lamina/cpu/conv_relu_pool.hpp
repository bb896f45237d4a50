/// y = pool(relu(conv(x))) on the CPU. Way 0 takes any shape, one tile at a time: the pools are those that do not overlap, so that a tile of whole pooling rows needs no
/// neighbour. The others are for 3x3 convolutions and 2x2 pools, in vectors.
#pragma once
#include "conv.hpp"
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

namespace detail {
/// Where the arena of a way begins that shares its batch out: with the shares' gradients, then turned weights, then the workers.
template <class Kernel> struct WayMemory {
  const Kernel& kernel;
  float* arena;
  Index weights;                             // numbers
  float* part(Index share) const { return arena + share * kernel.share_numbers(); }
  float* turned() const { return arena + shares * kernel.share_numbers(); }
  float* worker(int number) const { return turned() + weights + number * kernel.worker_numbers(); }
  Index bytes(int threads) const { return (shares * kernel.share_numbers() + weights + threads * kernel.worker_numbers()) * Index(sizeof(float)); }
};
/// The bits of an image lie in the place of its codes.
inline PooledGradient pooled_gradient(Shape out, const float* dy, const std::uint8_t* codes, Index image) { return {out, dy + image * size(out), codes + image * size(out)}; }

/// db += the sum over the shares, which lies behind the weights of each.
template <class Kernel> void add_bias(Cpu& dev, const WayMemory<Kernel>& memory, Index count, float* db) {
  if (db) add_shares(dev, memory.part(0) + memory.kernel.share_numbers() - room(count), count, memory.kernel.share_numbers(), db);
}
}  // namespace detail

namespace detail {
inline void pooled_winograd(Cpu& dev, const Winograd& conv, Shape out, Index n, const float* x, const float* u, const float* b, float* memory, float* y, std::uint8_t* codes) {
  conv.run(dev, n, x, u, memory, [&](Winograd::Place p, int o, simd::Floats (&v)[4][4]) LAMINA_INLINE_LAMBDA {
    const simd::Floats bias = b ? simd::load(b + o) : simd::Floats{};
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i)
#pragma GCC unroll 2
      for (int j = 0; j < 2; ++j) {
        const int r = p.row * 2 + i, q = p.column * 2 + j;
        if (r >= out.h || q >= out.w) continue;
        const Index window = Index(r) * out.w + q;
        relu_pool(v[2 * i][2 * j], v[2 * i][2 * j + 1], v[2 * i + 1][2 * j], v[2 * i + 1][2 * j + 1], bias, y + p.image * size(out) + window * out.c,
                          codes ? codes + p.image * size(out) + window * (window_planes * (out.c / 8)) : nullptr, o, out.c);
      }
  });
}
}  // namespace detail

inline void conv_relu_pool_forward(Cpu& dev, Way<1>, ConvReluPool k, Shape in, Shape mid, Shape out, Index n, const float* x, const float* w, const float* b, float* y, std::uint8_t* codes) {
  const detail::Winograd conv(in, mid.c, k.conv.before(in.h), 2 * out.h, 2 * out.w);
  float* const u = detail::floats(dev.arena());
  conv.transform_weights(dev, w, u);
  detail::pooled_winograd(dev, conv, out, n, x, u, b, u + conv.weights(), y, codes);
}

inline void conv_relu_pool_backward(Cpu& dev, Way<1>, ConvReluPool k, Shape in, Shape, Shape out, Index n, const float* x, const float* w, const std::uint8_t* codes, const float* dy, float* dx,
                                    float* dw, float* db) {
  const detail::PooledConvBackward conv{in, out, k.conv.before(in.h)};
  const detail::WayMemory<detail::PooledConvBackward> memory{conv, detail::floats(dev.arena()), room(conv.weights())};
  if (dx) conv.turn_weights(dev, w, memory.turned());
  dev.run(detail::shares, [&](Index share, int worker) {
    float *const part = memory.part(share), *const db_part = part + conv.share_numbers() - room(out.c);
    std::fill_n(part, conv.share_numbers(), 0.0f);
    const Index first = detail::first_of_share(share, n), last = detail::first_of_share(share + 1, n);
    for (Index i = first; i < last; ++i) conv.weight_gradient(x + i * size(in), detail::pooled_gradient(out, dy, codes, i), part, db_part, memory.worker(worker));
    for (Index i = first; dx && i < last; ++i) conv.input_gradient(detail::pooled_gradient(out, dy, codes, i), memory.turned(), dx + i * size(in), memory.worker(worker));
  });
  conv.add_weights(dev, memory.part(0), dw);
  detail::add_bias(dev, memory, out.c, db);
}

inline Index conv_relu_pool_arena(const Cpu& dev, Way<1>, float, ConvReluPool k, Shape in, Shape mid, Index) {
  const Shape out = k.pool.over(mid, mid.c);
  const detail::Winograd forward(in, mid.c, 1, mid.h, mid.w);
  const detail::PooledConvBackward backward{in, out, 1};
  const Index bytes = detail::WayMemory<detail::PooledConvBackward>{backward, nullptr, room(backward.weights())}.bytes(dev.threads());
  return std::max(bytes, (forward.weights() + forward.memory(dev.threads())) * Index(sizeof(float)));
}

namespace detail {
template <int C>
void pooled_picture(Cpu& dev, const FewChannels<C>& conv, Shape in, Shape out, Index n, const float* x, const float* u, const float* b, float* memory, float* y, std::uint8_t* codes) {
  const int rows = 8;                        // of windows, in a task
  const Index per_image = (out.h + rows - 1) / rows;
  dev.run(n * per_image, [&](Index task, int worker) {
    const Index image = task / per_image;
    for (int r = int(task % per_image) * rows, end = std::min(r + rows, out.h); r < end; ++r)
      conv.forward(x + image * size(in), u, b, r, y + image * size(out) + Index(r) * out.w * out.c,
                   codes ? codes + image * size(out) + Index(r) * out.w * (window_planes * (out.c / 8)) : nullptr, memory + worker * conv.worker_numbers());
  });
}
}  // namespace detail

template <int W> requires (W >= 2)
void conv_relu_pool_forward(Cpu& dev, Way<W>, ConvReluPool k, Shape in, Shape, Shape out, Index n, const float* x, const float* w, const float* b, float* y, std::uint8_t* codes) {
  const detail::FewChannels<W - 1> conv{in, out, k.conv.before(in.h)};
  float* const u = detail::floats(dev.arena());
  conv.transform_weights(w, u);
  detail::pooled_picture(dev, conv, in, out, n, x, u, b, u + conv.weights(), y, codes);
}

template <int W> requires (W >= 2)
void conv_relu_pool_backward(Cpu& dev, Way<W>, ConvReluPool k, Shape in, Shape, Shape out, Index n, const float* x, const float* w, const std::uint8_t* codes, const float* dy, float* dx, float* dw,
                             float* db) {
  const detail::FewChannels<W - 1> conv{in, out, k.conv.before(in.h)};
  const detail::WayMemory<detail::FewChannels<W - 1>> memory{conv, detail::floats(dev.arena()), 0};
  dev.run(detail::shares, [&](Index share, int worker) {
    float *const part = memory.part(share), *const db_part = part + conv.share_numbers() - room(out.c);
    std::fill_n(part, conv.share_numbers(), 0.0f);
    for (Index i = detail::first_of_share(share, n); i < detail::first_of_share(share + 1, n); ++i) {
      const detail::PooledGradient g = detail::pooled_gradient(out, dy, codes, i);
      conv.weight_gradient(x + i * size(in), g, part, db_part, memory.worker(worker));
      if (dx) conv.input_gradient(g, w, dx + i * size(in));
    }
  });
  conv.add_weights(memory.part(0), dw);
  detail::add_bias(dev, memory, out.c, db);
}

template <int W> requires (W >= 2) Index conv_relu_pool_arena(const Cpu& dev, Way<W>, float, ConvReluPool k, Shape in, Shape mid, Index) {
  const detail::FewChannels<W - 1> conv{in, k.pool.over(mid, mid.c), 1};
  return std::max(detail::WayMemory<detail::FewChannels<W - 1>>{conv, nullptr, 0}.bytes(dev.threads()), (conv.weights() + dev.threads() * conv.worker_numbers()) * Index(sizeof(float)));
}

// --- for inference: weights that are made ready once

template <class T, int W> Index conv_relu_pool_prepared(const Cpu&, Way<W>, T, ConvReluPool k, Shape in, Shape mid) {
  if constexpr (W == 0) return Index(k.conv.k) * k.conv.k * in.c * mid.c;
  else if constexpr (W == 1) return detail::Winograd(in, mid.c, 1, mid.h, mid.w).weights();
  else return detail::FewChannels<W - 1>{in, k.pool.over(mid, mid.c), 1}.weights();
}
template <class T, int W> void conv_relu_pool_prepare(Cpu& dev, Way<W> way, ConvReluPool k, Shape in, Shape mid, const T* w, T* to) {
  if constexpr (W == 0) std::copy_n(w, conv_relu_pool_prepared(dev, way, T(), k, in, mid), to);
  else if constexpr (W == 1) detail::Winograd(in, mid.c, 1, mid.h, mid.w).transform_weights(dev, w, to);
  else detail::FewChannels<W - 1>{in, k.pool.over(mid, mid.c), 1}.transform_weights(w, to);
}
template <class T, int W> void conv_relu_pool_predict(Cpu& dev, Way<W> way, ConvReluPool k, Shape in, Shape mid, Shape out, Index n, const T* x, const T* ready, const T* b, T* y) {
  if constexpr (W == 0) conv_relu_pool_forward(dev, way, k, in, mid, out, n, x, ready, b, y, static_cast<std::uint8_t*>(nullptr));
  else if constexpr (W == 1)
    detail::pooled_winograd(dev, {in, mid.c, k.conv.before(in.h), 2 * out.h, 2 * out.w}, out, n, x, ready, b, detail::floats(dev.arena()), y, nullptr);
  else detail::pooled_picture(dev, detail::FewChannels<W - 1>{in, out, k.conv.before(in.h)}, in, out, n, x, ready, b, detail::floats(dev.arena()), y, nullptr);
}

}  // namespace lamina
