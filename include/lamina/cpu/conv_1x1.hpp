/// 1x1 convolutions on the CPU: a product of pixels and weights. Way 2 takes any number of any kind of channels, way 6 goes forward in vectors.
#pragma once
#include <algorithm>

#include "../core/layer.hpp"
#include "channels.hpp"
#include "gemm.hpp"
#include "im2col.hpp"
#include "pixel_product.hpp"

namespace lamina {

namespace detail {
template <class T> void apply(const Clamp& clamp, T* y, Index count) {
  if (!clamp.any()) return;
  for (Index i = 0; i < count; ++i) y[i] = bounded(y[i], T(clamp.low), T(clamp.high));
}
}  // namespace detail

// --- way 2: weights as they lie

namespace detail {
inline constexpr Index pixel_block = 128;
template <class T> Index pixel_product_bytes(Index c, Index o) {
  return std::max(gemm_bytes<T>(pixel_block, o, c), std::max(gemm_bytes<T>(c, o, pixel_block), gemm_bytes<T>(pixel_block, c, o)));
}
}  // namespace detail

template <class T> void conv_forward(Cpu& dev, Way<2>, ConvSpec, Shape in, Shape out, Index n, const T* x, const T* w, const T* b, T* y, Clamp clamp = {}) {
  const Index pixels = Index(out.h) * out.w, c = in.c, o = out.c, bytes = detail::pixel_product_bytes<T>(c, o), each = detail::pixel_block;
  detail::each_block(dev, n, pixels, each, [&](Index first, Index count, int worker) {
    T* const to = y + first * o;
    for (Index p = 0; p < count; ++p)
      for (Index k = 0; k < o; ++k) to[p * o + k] = b ? b[k] : T(0);
    gemm(count, o, c, x + first * c, c, w, o, to, o, dev.arena() + worker * bytes);
    detail::apply(clamp, to, count * o);
  });
}
template <class T>
void conv_backward(Cpu& dev, Way<2>, ConvSpec, Shape in, Shape out, Index n, const T* x, const T* w, const T* dy, T* dx, T* dw, T* db) {
  const Index pixels = Index(out.h) * out.w, c = in.c, o = out.c, bytes = detail::pixel_product_bytes<T>(c, o), each = detail::pixel_block;
  const Shares s = dev.replica.cut(n);
  const Index share_numbers = room(c * o) + room(o);
  T* const parts = reinterpret_cast<T*>(dev.arena());
  std::byte* const memory = dev.arena() + shares * share_numbers * Index(sizeof(T));
  dev.run(s.count, [&](Index share, int worker) {
    T* const part = parts + share * share_numbers;
    std::fill_n(part, share_numbers, T(0));
    for (Index first = s.begin(share) * pixels, end = s.begin(share + 1) * pixels; first < end; first += each) {
      const Index count = std::min(each, end - first);
      const T* from = dy + first * o;
      gemm<Lies::transposed>(c, o, count, x + first * c, c, from, o, part, o, memory + worker * bytes);
      for (Index p = 0; db && p < count; ++p)
        for (Index k = 0; k < o; ++k) part[room(c * o) + k] += from[p * o + k];
      if (!dx) continue;
      std::fill_n(dx + first * c, count * c, T(0));
      gemm<Lies::as_is, Lies::transposed>(count, c, o, from, o, w, o, dx + first * c, c, memory + worker * bytes);
    }
  });
  detail::add_shares(dev, s.count, parts, c * o, share_numbers, dw);
  if (db) detail::add_shares(dev, s.count, parts + room(c * o), o, share_numbers, db);
}
template <class T> Index conv_arena(const Cpu& dev, Way<2>, T, ConvSpec, Shape in, Shape out, Index) {
  return shares * (room(Index(in.c) * out.c) + room(out.c)) * Index(sizeof(T)) + dev.threads() * detail::pixel_product_bytes<T>(in.c, out.c);
}

// --- way 6: in vectors; the gradients are those of way 2

inline Index conv_prepared(const Cpu&, Way<6>, float, ConvSpec, Shape in, Shape out) { return detail::PixelProduct{in.c, out.c}.weights(); }
inline void conv_prepare(Cpu&, Way<6>, ConvSpec, Shape in, Shape out, const float* w, float* to) { detail::PixelProduct{in.c, out.c}.pack(w, to); }

inline void conv_forward(Cpu& dev, Way<6>, ConvSpec, Shape in, Shape out, Index n, const float* x,
                         const float* ready, const float* b,                 // as conv_prepare left them, (O) or null
                         float* y, Clamp clamp = {}) {
  const detail::PixelProduct product{in.c, out.c};
  const simd::Floats low = simd::all(float(clamp.low)), high = simd::all(float(clamp.high));
  // Where there are fewer stretches of pixels than threads, the output channels are shared out too.
  const Index pixels = n * out.h * out.w, each = product.each, tasks = (pixels + each - 1) / each, parts = tasks < dev.threads() ? std::min<Index>(product.blocks(), dev.threads()) : 1;
  dev.run(tasks * parts, [&](Index task, int) {
    const Index first = task / parts * each, part = task % parts;
    product.forward(x + first * in.c, ready, b, std::min(each, pixels - first), part * product.blocks() / parts, (part + 1) * product.blocks() / parts, low, high, y + first * out.c);
  });
}
inline void conv_backward(Cpu& dev, Way<6>, ConvSpec spec, Shape in, Shape out, Index n, const float* x, const float* w, const float* dy, float* dx, float* dw, float* db) {
  conv_backward(dev, Way<2>(), spec, in, out, n, x, w, dy, dx, dw, db);
}
inline Index conv_arena(const Cpu& dev, Way<6>, float, ConvSpec spec, Shape in, Shape out, Index n) { return conv_arena(dev, Way<2>(), 0.0f, spec, in, out, n); }

}  // namespace lamina
