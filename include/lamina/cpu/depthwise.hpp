/// Convolution of every channel by itself, on the CPU: vectors lie along the channels.
#pragma once
#include "../core/layer.hpp"
#include "channels.hpp"
#include "cpu.hpp"

namespace lamina::detail {

template <class T> struct Depthwise {
  Window v;
  Shape in, out;

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

  /// Row r of y (Ho, Wo, C) from x (H, W, C), w (K, K, C) and b (C) or null.
  void forward(const T* x, const T* w, const T* b, int r, T* y) const {
    each_channels<T>(in.c, [&]<class V, int G>(int c0, V, std::integral_constant<int, G>) {
      for (int c = c0; c < c0 + G * Number<V>::lanes; c += Number<V>::lanes)
        for (int q = 0; q < out.w; ++q) {
          V s = b ? load_as<V>(b + c) : V{};
          each_tap(r, q, [&](int t, Index pixel) LAMINA_INLINE_LAMBDA { s += load_as<V>(x + pixel * in.c + c) * load_as<V>(w + t * in.c + c); });
          store_as(y + (Index(r) * out.w + q) * in.c + c, s);
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
