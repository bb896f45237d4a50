/// Convolution of every channel by itself, on the CPU: vectors lie along the channels.
#pragma once
#include <algorithm>

#include "../core/layer.hpp"
#include "channels.hpp"
#include "cpu.hpp"

namespace lamina::detail {

template <class T> struct Depthwise {
  Window v;
  Shape in, out;

  /// The pixels of output row r all of whose 3x3 taps lie inside the image: [first, last).
  struct Inside { int first, last; };
  Inside of_row(int r) const {
    const int top = r * v.stride - v.before(in.h), before = v.before(in.w);
    if (v.k != 3 || top < 0 || top + 3 > in.h || in.w < 3) return {0, 0};
    const int first = (before + v.stride - 1) / v.stride;
    return {std::min(first, out.w), std::clamp((in.w - 3 + before) / v.stride + 1, std::min(first, out.w), out.w)};
  }

  /// f(tap, input pixel) for the taps of output pixel (r, q) that lie inside the image.
  template <class F> LAMINA_INLINE void each_tap(int r, int q, const F& f) const {
    const int top = r * v.stride - v.before(in.h), left = q * v.stride - v.before(in.w);
    if (v.k == 3 && top >= 0 && top + 3 <= in.h && left >= 0 && left + 3 <= in.w) {
      const Index pixel = Index(top) * in.w + left;
#pragma GCC unroll 3
      for (int i = 0; i < 3; ++i)
#pragma GCC unroll 3
        for (int j = 0; j < 3; ++j) f(i * 3 + j, pixel + i * in.w + j);
      return;
    }
    for (int i = top < 0 ? -top : 0; i < v.k && top + i < in.h; ++i)
      for (int j = left < 0 ? -left : 0; j < v.k && left + j < in.w; ++j) f(i * v.k + j, Index(top + i) * in.w + left + j);
  }

  /// Row r of y (Ho, Wo, C) from x (H, W, C), w (K, K, C) and b (C) or null, clamped.
  void forward(const T* x, const T* w, const T* b, int r, T* y, Clamp clamp = {}) const {
    const Inside inside = of_row(r);
    each_channels<T>(in.c, [&]<class V, int G>(int c0, V, std::integral_constant<int, G>) {
      for (int c = c0; c < c0 + G * Number<V>::lanes; c += Number<V>::lanes) {
        const V bias = b ? load_as<V>(b + c) : V{};
        const auto put = [&](int q, V s) LAMINA_INLINE_LAMBDA { store_as(y + (Index(r) * out.w + q) * in.c + c, bounded(s, clamp)); };
        const auto by_taps = [&](int q) {
          V s = bias;
          each_tap(r, q, [&](int t, Index pixel) LAMINA_INLINE_LAMBDA { s += load_as<V>(x + pixel * in.c + c) * load_as<V>(w + t * in.c + c); });
          put(q, s);
        };
        for (int q = 0; q < inside.first; ++q) by_taps(q);
        if (inside.first < inside.last) {              // with the weights in registers
          V of_tap[9];
#pragma GCC unroll 9
          for (int t = 0; t < 9; ++t) of_tap[t] = load_as<V>(w + t * in.c + c);
          const Index line = Index(in.w) * in.c;
          const T* from = x + (Index(r * v.stride - v.before(in.h)) * in.w + inside.first * v.stride - v.before(in.w)) * in.c + c;
          for (int q = inside.first; q < inside.last; ++q, from += v.stride * in.c) {
            V s = bias;
#pragma GCC unroll 9
            for (int t = 0; t < 9; ++t) s += load_as<V>(from + t / 3 * line + t % 3 * in.c) * of_tap[t];
            put(q, s);
          }
        }
        for (int q = inside.last; q < out.w; ++q) by_taps(q);
      }
    });
  }
  /// dx (H, W, C), all zero before, += of one image.
  void input_gradient(const T* dy, const T* w, T* dx) const {
    each_channels<T>(in.c, [&]<class V, int G>(int c0, V, std::integral_constant<int, G>) {
      for (int c = c0; c < c0 + G * Number<V>::lanes; c += Number<V>::lanes)
        for (int r = 0; r < out.h; ++r)
          for (int q = 0; q < out.w; ++q) {
            const V d = load_as<V>(dy + (Index(r) * out.w + q) * in.c + c);
            each_tap(r, q, [&](int t, Index pixel) LAMINA_INLINE_LAMBDA {
              T* const to = dx + pixel * in.c + c;
              store_as(to, V(load_as<V>(to) + d * load_as<V>(w + t * in.c + c)));
            });
          }
    });
  }
  /// dw (K, K, C) += and db (C) += (or null) of one image.
  void weight_gradient(const T* x, const T* dy, T* dw, T* db) const {
    each_channels<T>(in.c, [&]<class V, int G>(int c0, V, std::integral_constant<int, G>) {
      for (int c = c0; c < c0 + G * Number<V>::lanes; c += Number<V>::lanes) {
        V of_tap[9] = {}, of_bias{};
        const bool few = v.k == 3;             // taps: in registers
        for (int r = 0; r < out.h; ++r)
          for (int q = 0; q < out.w; ++q) {
            const V d = load_as<V>(dy + (Index(r) * out.w + q) * in.c + c);
            of_bias += d;
            if (few) each_tap(r, q, [&](int t, Index pixel) LAMINA_INLINE_LAMBDA { of_tap[t] += d * load_as<V>(x + pixel * in.c + c); });
            else
              each_tap(r, q, [&](int t, Index pixel) LAMINA_INLINE_LAMBDA {
                T* const to = dw + t * in.c + c;
                store_as(to, V(load_as<V>(to) + d * load_as<V>(x + pixel * in.c + c)));
              });
          }
        for (int t = 0; few && t < 9; ++t) store_as(dw + t * in.c + c, V(load_as<V>(dw + t * in.c + c) + of_tap[t]));
        if (db) store_as(db + c, V(load_as<V>(db + c) + of_bias));
      }
    });
  }
};

}  // namespace lamina::detail
