/// Convolution on the CPU. Way 0 takes any shape; way 1 is for every channel by itself, ways 2 and 6 for 1x1 (conv_1x1.hpp), ways 3 and 5 for 3x3 by Winograd, way 4 for any
/// kernel in vectors.
#pragma once
#include <algorithm>

#include "conv_1x1.hpp"
#include "depthwise.hpp"
#include "direct.hpp"
#include "im2col.hpp"
#include "winograd_weights.hpp"

namespace lamina {

template <class T>
void conv_forward(Cpu& dev, Way<0>, ConvSpec spec, Shape in, Shape out, Index n,
                  const T* x,                // (N, H, W, C)
                  const T* w, const T* b,    // (K, K, C / groups, O), (O) or null
                  T* y, Clamp clamp = {}) {  // (N, Ho, Wo, O)
  const detail::ConvTiles t(spec, in, out, 1);
  dev.run(n * t.per_image, [&](Index task, int worker) {
    const Index image = task / t.per_image;
    const int tile = int(task % t.per_image), top = tile * t.rows;
    T* const to = y + image * size(out) + Index(top) * out.w * out.c;
    detail::conv_tile(t, detail::ConvWorker<T>(t, dev.arena(), worker), x + image * size(in), w, b, top, t.rows_of(tile), to);
    detail::apply(clamp, to, Index(t.rows_of(tile)) * out.w * out.c);
  });
}

template <class T>
void conv_backward(Cpu& dev, Way<0>, ConvSpec spec, Shape in, Shape out, Index n, const T* x, const T* w,
                   const T* dy,              // (N, Ho, Wo, O)
                   T* dx,                    // (N, H, W, C) or null
                   T* dw, T* db) {           // += (K, K, C / groups, O), (O) or null
  const detail::ConvTiles t(spec, in, out, 1);
  detail::over_shares(dev, t, n, dw, db, [&](const detail::ConvWorker<T>& m, Index image, T* dw_share, T* db_share) {
    T* dx_image = dx ? dx + image * size(in) : nullptr;
    if (dx) std::fill_n(dx_image, size(in), T(0));
    for (int tile = 0; tile < t.per_image; ++tile) {
      const int top = tile * t.rows;
      detail::conv_tile_backward(t, m, x + image * size(in), w, dy + image * size(out) + Index(top) * out.w * out.c, top, t.rows_of(tile), dx_image, dw_share, db_share);
    }
  });
}

template <class T> Index conv_arena(const Cpu& dev, Way<0>, T, ConvSpec spec, Shape in, Shape out, Index) {
  return detail::ConvTiles(spec, in, out, 1).arena_bytes<T>(dev.threads());
}

// --- way 1: every channel by itself

namespace detail {
/// The shares' gradients lie in the arena one after another: of the weights, then of the bias.
inline Index depthwise_share(Window v, int c) { return room(Index(v.k) * v.k * c) + room(c); }
}  // namespace detail

template <class T> void conv_forward(Cpu& dev, Way<1>, ConvSpec spec, Shape in, Shape out, Index n, const T* x, const T* w, const T* b, T* y, Clamp clamp = {}) {
  const detail::Depthwise<T> conv{spec.window, in, out};
  // Rows of a task, which find most of what they read in the cache.
  const int each = int(std::clamp<Index>(n * out.h / (4 * dev.threads()), 1, 8)), bands = (out.h + each - 1) / each;
  dev.run(n * bands, [&](Index task, int) {
    const Index i = task / bands;
    const int row = int(task % bands) * each;
    conv.forward(x + i * size(in), w, b, row, std::min(row + each, out.h), y + i * size(out), clamp);
  });
}
template <class T>
void conv_backward(Cpu& dev, Way<1>, ConvSpec spec, Shape in, Shape out, Index n, const T* x, const T* w, const T* dy, T* dx, T* dw, T* db) {
  const detail::Depthwise<T> conv{spec.window, in, out};
  const Index share_numbers = detail::depthwise_share(spec.window, in.c), weights = Index(spec.window.k) * spec.window.k * in.c;
  const Shares s = dev.replica.cut(n);
  T* const parts = reinterpret_cast<T*>(dev.arena());
  dev.run(s.count, [&](Index share, int) {
    T* const part = parts + share * share_numbers;
    std::fill_n(part, share_numbers, T(0));
    for (Index i = s.begin(share); i < s.begin(share + 1); ++i) {
      conv.weight_gradient(x + i * size(in), dy + i * size(out), part, db ? part + room(weights) : nullptr);
      if (dx) conv.input_gradient(dy + i * size(out), w, dx + i * size(in));
    }
  });
  detail::add_shares(dev, s.count, parts, weights, share_numbers, dw);
  if (db) detail::add_shares(dev, s.count, parts + room(weights), Index(in.c), share_numbers, db);
}
template <class T> Index conv_arena(const Cpu&, Way<1>, T, ConvSpec spec, Shape in, Shape, Index) {
  return shares * detail::depthwise_share(spec.window, in.c) * Index(sizeof(T));
}

// --- ways 3 and 5: 3x3 by Winograd, with many weights and with few, whose gradients are gathered share by share

namespace detail {
/// db (O) += the sum over the rows of dy (rows, O).
inline void add_rows(const float* dy, Index rows, int o, float* db) {
  for (int at = 0; at < o; at += simd::width) {
    simd::Floats s = simd::load(db + at);
    for (Index r = 0; r < rows; ++r) s += simd::load(dy + r * o + at);
    simd::store(db + at, s);
  }
}
/// What Winograd's tiles give is stored as it lies in y (N, h, w, O), with a bias or without.
inline auto store_tile(const Winograd& conv, const float* b, float* y, Clamp clamp = {}) {
  return [=, h = conv.h, w = conv.w, o_all = conv.out_c, low = simd::all(float(clamp.low)), high = simd::all(float(clamp.high))](Winograd::Place p, int o, simd::Floats (&v)[4][4]) LAMINA_INLINE_LAMBDA {
    const simd::Floats bias = b ? simd::load(b + o) : simd::Floats{};
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j)
        if (p.row * 4 + i < h && p.column * 4 + j < w) simd::store(y + ((p.image * h + p.row * 4 + i) * w + p.column * 4 + j) * o_all + o, simd::clamp(low, high, v[i][j] + bias));
  };
}
inline float* floats(std::byte* arena) { return reinterpret_cast<float*>(arena); }
}  // namespace detail

template <int W> concept ByWinograd = W == 3 || W == 5;
template <int W> requires ByWinograd<W> Index conv_prepared(const Cpu&, Way<W>, float, ConvSpec, Shape in, Shape out) { return detail::Winograd(in, out.c, 1, out.h, out.w).weights(); }
template <int W> requires ByWinograd<W> void conv_prepare(Cpu& dev, Way<W>, ConvSpec, Shape in, Shape out, const float* w, float* to) {
  detail::Winograd(in, out.c, 1, out.h, out.w).transform_weights(dev, w, to);
}

template <int W> requires ByWinograd<W>
void conv_forward(Cpu& dev, Way<W>, ConvSpec spec, Shape in, Shape out, Index n, const float* x,
                  const float* ready, const float* b,                        // as conv_prepare left them, (O) or null
                  float* y, Clamp clamp = {}) {
  const detail::Winograd conv(in, out.c, spec.window.before(in.h), out.h, out.w);
  conv.run(dev, n, x, ready, detail::floats(dev.arena()), detail::store_tile(conv, b, y, clamp));
}

inline void conv_backward(Cpu& dev, Way<3>, ConvSpec spec, Shape in, Shape out, Index n, const float* x, const float* w, const float* dy, float* dx, float* dw, float* db) {
  const int before = spec.window.before(in.h);
  float* const u = detail::floats(dev.arena());
  const detail::WinogradWeights weights(in, out.c, before, out.h, out.w);
  weights.run(dev, n, x, dy, dw, u, u + weights.branches(dev.replica.cut(n)));
  if (db) detail::add_columns(dev, dev.replica.cut(n), dy, Index(out.h) * out.w, out.c, db);
  if (!dx) return;
  const detail::Winograd back(out, in.c, 2 - before, in.h, in.w);
  back.transform_turned(dev, w, u);
  back.run(dev, n, dy, u, u + back.weights(), detail::store_tile(back, nullptr, dx));
}

inline Index conv_arena(const Cpu& dev, Way<3>, float, ConvSpec, Shape in, Shape out, Index n) {
  const detail::Winograd forward(in, out.c, 1, out.h, out.w), back(out, in.c, 1, in.h, in.w);
  const detail::WinogradWeights weights(in, out.c, 1, out.h, out.w);
  const Index most = std::max(std::max(forward.memory(dev.threads()), back.memory(dev.threads())), weights.memory() + dev.threads() * weights.worker_numbers);
  return (std::max(back.weights(), weights.branches(dev.replica.cut(n))) + most) * Index(sizeof(float));
}

namespace detail {
/// The convolution that leads from the gradient of the outputs to that of the inputs.
inline Winograd winograd_back(ConvSpec spec, Shape in, Shape out) { return {out, in.c, 2 - spec.window.before(in.h), in.h, in.w}; }
}  // namespace detail
inline Index conv_part(const Cpu&, Way<5>, float, ConvSpec, Shape in, Shape out) { return detail::WinogradWeights(in, out.c, 1, out.h, out.w).part(); }
inline Index conv_turned(const Cpu&, Way<5>, float, ConvSpec spec, Shape in, Shape out) { return detail::winograd_back(spec, in, out).weights(); }
inline void conv_turn(Cpu& dev, Way<5>, ConvSpec spec, Shape in, Shape out, const float* w, float* to) { detail::winograd_back(spec, in, out).transform_turned(dev, w, to); }
inline void conv_gather(Cpu& dev, Way<5>, ConvSpec spec, Shape in, Shape out, Index n, const float* x, const float* turned, const float* dy, float* dx, float* part) {
  const detail::WinogradWeights weights(in, out.c, spec.window.before(in.h), out.h, out.w);
  weights.gather(n, x, dy, part, detail::floats(dev.arena()));
  detail::add_rows(dy, n * out.h * out.w, out.c, part + weights.sums());
  if (!dx) return;
  const detail::Winograd back = detail::winograd_back(spec, in, out);
  back.run(dev, n, dy, turned, detail::floats(dev.arena()), detail::store_tile(back, nullptr, dx));
}
inline void conv_finish(Cpu& dev, Way<5>, ConvSpec, Shape in, Shape out, const float* parts, float* dw, float* db) {
  const detail::WinogradWeights weights(in, out.c, 1, out.h, out.w);
  weights.finish(dev, dev.replica.count, parts, dw);
  if (db) detail::add_shares(dev, dev.replica.count, parts + weights.sums(), Index(out.c), weights.part(), db);
}
inline Index conv_arena(const Cpu& dev, Way<5>, float, ConvSpec, Shape in, Shape out, Index) {
  const detail::Winograd forward(in, out.c, 1, out.h, out.w), back(out, in.c, 1, in.h, in.w);
  const Index weights = dev.threads() * detail::WinogradWeights(in, out.c, 1, out.h, out.w).memory();
  return std::max(weights, std::max(forward.memory(dev.threads()), back.memory(dev.threads()))) * Index(sizeof(float));
}

// --- way 4: any kernel and stride in vectors; gradients are gathered share by share

inline Index conv_prepared(const Cpu&, Way<4>, float, ConvSpec spec, Shape in, Shape out) { return detail::Direct{spec.window, in, out}.weights(); }
inline void conv_prepare(Cpu&, Way<4>, ConvSpec spec, Shape in, Shape out, const float* w, float* to) { detail::Direct{spec.window, in, out}.pack(w, to); }

inline void conv_forward(Cpu& dev, Way<4>, ConvSpec spec, Shape in, Shape out, Index n, const float* x,
                         const float* ready, const float* b,                 // as conv_prepare left them, (O) or null
                         float* y, Clamp clamp = {}) {
  const detail::Direct conv{spec.window, in, out};
  const simd::Floats low = simd::all(float(clamp.low)), high = simd::all(float(clamp.high));
  // Where there are fewer strips than threads, the output channels are shared out too.
  const Index strips = n * conv.strips(), blocks = (out.c + conv.block - 1) / conv.block, parts = strips < dev.threads() ? std::min<Index>(blocks, dev.threads()) : 1;
  dev.run(strips * parts, [&](Index task, int worker) {
    const Index image = task / parts / conv.strips(), part = task % parts;
    const int top = int(task / parts % conv.strips()) * conv.rows(), first = int(part * blocks / parts) * conv.block, last = std::min(out.c, int((part + 1) * blocks / parts) * conv.block);
    conv.forward(x + image * size(in), ready, b, top, std::min(conv.rows(), out.h - top), first, last, low, high, y + image * size(out) + Index(top) * out.w * out.c,
                 detail::floats(dev.arena()) + worker * conv.worker_numbers());
  });
}

inline Index conv_part(const Cpu&, Way<4>, float, ConvSpec spec, Shape in, Shape out) { return detail::Direct{spec.window, in, out}.part(); }
inline Index conv_turned(const Cpu&, Way<4>, float, ConvSpec spec, Shape in, Shape out) { return detail::Direct{spec.window, in, out}.weights(); }
inline void conv_turn(Cpu&, Way<4>, ConvSpec spec, Shape in, Shape out, const float* w, float* to) { detail::Direct{spec.window, in, out}.turn(w, to); }
inline void conv_gather(Cpu& dev, Way<4>, ConvSpec spec, Shape in, Shape out, Index n, const float* x,
                        const float* turned,                                 // as conv_turn left them
                        const float* dy, float* dx, float* part) {
  const detail::Direct conv{spec.window, in, out};
  for (Index i = 0; i < n; ++i) conv.gather(x + i * size(in), turned, dy + i * size(out), dx ? dx + i * size(in) : nullptr, part, detail::floats(dev.arena()));
}
inline void conv_finish(Cpu& dev, Way<4>, ConvSpec spec, Shape in, Shape out, const float* parts, float* dw, float* db) {
  const detail::Direct conv{spec.window, in, out};
  for (int i = 0; i < conv.v.k; ++i) detail::add_shares(dev, dev.replica.count, parts + i * conv.padded_run() * out.c, conv.run() * out.c, conv.part(), dw + i * conv.run() * out.c);
  if (db) detail::add_shares(dev, dev.replica.count, parts + conv.part() - room(out.c), Index(out.c), conv.part(), db);
}

inline Index conv_arena(const Cpu& dev, Way<4>, float, ConvSpec spec, Shape in, Shape out, Index) {
  return dev.threads() * detail::Direct{spec.window, in, out}.worker_numbers() * Index(sizeof(float));
}

}  // namespace lamina
