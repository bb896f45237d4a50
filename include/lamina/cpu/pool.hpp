/// Pooling on the CPU: a task is one row of the output; backward, one image.
#pragma once
#include <algorithm>

#include "channels.hpp"
#include "cpu.hpp"

namespace lamina {

namespace detail {
/// Whether a value takes the place of the largest so far. A NaN always does, and keeps it.
template <class T> bool wins(T value, T best) { return (value > best) | (value != value); }

inline constexpr int no_tap = 255;                       // nothing has won

/// The largest value of a window so far, and its tap: of one channel, or of as many as a vector has numbers. In memory the taps are bytes.
template <class V> struct Winner {
  V best;
  int tap;
  Winner(V value, int t) : best(value), tap(t) {}
  void meet(V value, int t) { if (wins(value, best)) best = value, tap = t; }
  void put_tap(std::uint8_t* code) const { *code = std::uint8_t(tap); }
};
template <> struct Winner<simd::Floats> {
  simd::Floats best;
  simd::Ints tap;
  LAMINA_INLINE Winner(simd::Floats value, int t) : best(value), tap(simd::Ints{} + t) {}
  LAMINA_INLINE void meet(simd::Floats value, int t) {
    const simd::Ints won = (value > best) | (value != value);
    best = won ? value : best, tap = won ? simd::Ints{} + t : tap;
  }
  LAMINA_INLINE void put_tap(std::uint8_t* codes) const { simd::store_bytes(codes, tap); }
};
/// v where this tap won, elsewhere 0.
LAMINA_INLINE simd::Floats where_won(const std::uint8_t* codes, int tap, simd::Floats v) { return simd::Floats(simd::Ints(v) & (simd::load_bytes(codes) == tap)); }
template <class T> T where_won(const std::uint8_t* code, int tap, T v) { return *code == tap ? v : T(0); }

/// f(tap, input pixel) for each tap of the window at output pixel (r, q) that lies inside the image, in the order of the taps.
template <class F> void each_tap(Window v, Shape in, int r, int q, F f) {
  const int top = r * v.stride - v.before(in.h), left = q * v.stride - v.before(in.w);
  for (int i = 0; i < v.k; ++i)
    for (int j = 0; j < v.k; ++j)
      if (top + i >= 0 && top + i < in.h && left + j >= 0 && left + j < in.w) f(i * v.k + j, Index(top + i) * in.w + left + j);
}
/// What the mean of a window is divided by.
inline int pool_count(Window v, bool count_padding, Shape in, int r, int q) {
  if (count_padding) return v.k * v.k;
  int count = 0;
  each_tap(v, in, r, q, [&](int, Index) { ++count; });
  return count;
}
}  // namespace detail

template <class T>
void max_pool_forward(Cpu& dev, Window v, Shape in, Shape out, Index n,
                      const T* x,            // (N, H, W, C)
                      T* y,                  // (N, Ho, Wo, C)
                      std::uint8_t* codes) { // (N, Ho, Wo, C) which tap, or null
  dev.run(n * out.h, [=](Index task, int) {
    const T* const from = x + task / out.h * size(in);
    const int r = int(task % out.h);
    detail::each_channels<T>(in.c, [&]<class V, int G>(int first, V, std::integral_constant<int, G>) {
      for (int k = first; k < first + G * Number<V>::lanes; k += Number<V>::lanes)
        for (int q = 0; q < out.w; ++q) {
          detail::Winner<V> winner(V{}, detail::no_tap);
          bool any = false;
          detail::each_tap(v, in, r, q, [&](int tap, Index pixel) {
            const V value = detail::load_as<V>(from + pixel * in.c + k);
            if (any) winner.meet(value, tap);
            else winner = {value, tap}, any = true;
          });
          const Index at = (task * out.w + q) * in.c + k;
          detail::store_as(y + at, winner.best);
          if (codes) winner.put_tap(codes + at);
        }
    });
  });
}

template <class T>
void max_pool_backward(Cpu& dev, Window v, Shape in, Shape out, Index n, const std::uint8_t* codes,
                       const T* dy,          // (N, Ho, Wo, C)
                       T* dx) {              // (N, H, W, C)
  dev.run(n, [=](Index image, int) {
    T* to = dx + image * size(in);
    std::fill_n(to, size(in), T(0));
    for (int r = 0; r < out.h; ++r)
      detail::each_channels<T>(in.c, [&]<class V, int G>(int first, V, std::integral_constant<int, G>) {
        for (int k = first; k < first + G * Number<V>::lanes; k += Number<V>::lanes)
          for (int q = 0; q < out.w; ++q) {
            const Index at = image * size(out) + (Index(r) * out.w + q) * in.c + k;
            const V d = detail::load_as<V>(dy + at);
            detail::each_tap(v, in, r, q, [&](int tap, Index pixel) {
              T* const sum = to + pixel * in.c + k;
              detail::store_as<V>(sum, detail::load_as<V>(sum) + detail::where_won(codes + at, tap, d));
            });
          }
      });
  });
}

template <class T> void avg_pool_forward(Cpu& dev, Window v, bool count_padding, Shape in, Shape out, Index n, const T* x, T* y) {
  dev.run(n * out.h, [=](Index task, int) {
    const Index image = task / out.h;
    const int r = int(task % out.h);
    for (int q = 0; q < out.w; ++q) {
      T* mean = y + (task * out.w + q) * out.c;
      std::fill_n(mean, out.c, T(0));
      detail::each_tap(v, in, r, q, [&](int, Index pixel) {
        for (int c = 0; c < out.c; ++c) mean[c] += x[image * size(in) + pixel * in.c + c];
      });
      const T count = T(detail::pool_count(v, count_padding, in, r, q));
      for (int c = 0; c < out.c; ++c) mean[c] /= count;
    }
  });
}

template <class T> void avg_pool_backward(Cpu& dev, Window v, bool count_padding, Shape in, Shape out, Index n, const T* dy, T* dx) {
  dev.run(n, [=](Index image, int) {
    T* to = dx + image * size(in);
    std::fill_n(to, size(in), T(0));
    for (int r = 0; r < out.h; ++r)
      for (int q = 0; q < out.w; ++q) {
        const T* from = dy + image * size(out) + (Index(r) * out.w + q) * out.c;
        const T count = T(detail::pool_count(v, count_padding, in, r, q));
        detail::each_tap(v, in, r, q, [&](int, Index pixel) {
          for (int c = 0; c < out.c; ++c) to[pixel * in.c + c] += from[c] / count;
        });
      }
  });
}

}  // namespace lamina
