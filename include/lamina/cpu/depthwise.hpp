/// Convolution of every channel by itself, on the CPU: vectors lie along the channels.
#pragma once
#include <algorithm>
#include <utility>

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

  /// Whether the taps are taken as they lie, or turned by 180 degrees.
  enum class Taps { as_they_lie, turned };
  /// Rows [first_row, last_row) of y (Ho, Wo, C) from x (H, W, C), w (K, K, C) and b (C) or null, clamped.
  void forward(const T* x, const T* w, const T* b, int first_row, int last_row, T* y, Clamp clamp = {}, Taps order = Taps::as_they_lie) const {
    const Index line = Index(in.w) * in.c, pixel = in.c, tap = order == Taps::turned ? -pixel : pixel;
    if (order == Taps::turned) w += (v.k * v.k - 1) * pixel;
    each_channels<T>(in.c, [&]<class V, int G>(int c0, V, std::integral_constant<int, G>) {
      for (int r = first_row; r < last_row; ++r)
        for (int c = c0; c < c0 + G * Number<V>::lanes; c += Number<V>::lanes) {
          const V bias = b ? load_as<V>(b + c) : V{}, low = V{} + T(clamp.low), high = V{} + T(clamp.high);
          T* to = y + Index(r) * out.w * pixel + c;
          const auto put = [&](V s) LAMINA_INLINE_LAMBDA { store_as(to, bounded(s, low, high)), to += pixel; };
          int q = 0, left = -v.before(in.w);
          if (v.k == 3) {
            const int top = r * v.stride - v.before(in.h), first_tap = std::max(0, -top), last_tap = std::min(3, in.h - top);
            const T *const rows = x + (top + first_tap) * line + c, *const taps = w + first_tap * 3 * tap + c;
            // N pixels, Stride apart in x, which share inputs and weights. Of the three columns of taps those of [First, Last) lie inside the image.
            const auto pixels = [&]<int Stride, int N, int First, int Last>() LAMINA_INLINE_LAMBDA {
              V s[N], of_x[(N - 1) * Stride + 3];
#pragma GCC unroll 4
              for (V& of_pixel : s) of_pixel = bias;
              const T *from = rows + left * pixel, *of_row = taps;
              for (int i = first_tap; i < last_tap; ++i, from += line, of_row += 3 * tap) {
#pragma GCC unroll 6
                for (int j = First; j < (N - 1) * Stride + Last; ++j) of_x[j] = load_as<V>(from + j * pixel);
#pragma GCC unroll 3
                for (int j = First; j < Last; ++j) {
                  const V of_tap = load_as<V>(of_row + j * tap);
#pragma GCC unroll 4
                  for (int k = 0; k < N; ++k) s[k] += of_x[k * Stride + j] * of_tap;
                }
              }
#pragma GCC unroll 4
              for (const V& of_pixel : s) put(of_pixel);
              q += N, left += N * v.stride;
            };
            if (left == -1 && in.w >= 2) pixels.template operator()<1, 1, 1, 3>();
            if (left >= 0 && v.stride == 1) while (left + 6 <= in.w && q + 4 <= out.w) pixels.template operator()<1, 4, 0, 3>();
            if (left >= 0 && v.stride == 2) while (left + 5 <= in.w && q + 2 <= out.w) pixels.template operator()<2, 2, 0, 3>();
            if (left >= 0) while (left + 3 <= in.w && q < out.w) pixels.template operator()<1, 1, 0, 3>();
            if (left >= 0 && left + 2 == in.w && q < out.w) pixels.template operator()<1, 1, 0, 2>();
          }
          for (; q < out.w; ++q) {
            V s = bias;
            each_tap(r, q, [&](int t, Index at) LAMINA_INLINE_LAMBDA { s += load_as<V>(x + at * pixel + c) * load_as<V>(w + t * tap + c); });
            put(s);
          }
        }
    });
  }
  /// dx (H, W, C) = of one image. With stride 1 it is such a convolution of dy.
  void input_gradient(const T* dy, const T* w, T* dx) const {
    const int before = v.before(in.h);
    if (v.stride == 1 && before == v.before(in.w) && before < v.k) {
      Depthwise{{v.k, 1, v.k - 1 - before}, out, in}.forward(dy, w, nullptr, 0, in.h, dx, {}, Taps::turned);
      return;
    }
    if (v.k == 3 && v.stride == 2) {
      for (int y = 0; y < in.h; ++y) halved_row(dy, w, y, dx + Index(y) * in.w * in.c);
      return;
    }
    std::fill_n(dx, size(in), T(0));
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
  /// Row y of dx, of 3x3 taps with stride 2: the first or the last row of taps of one or two rows of dy meet it, or the middle one of one, and so do the columns.
  void halved_row(const T* dy, const T* w, int y, T* dx) const {
    const T *row[2] = {}, *taps[2] = {};
    int rows = 0;
    for (int i = (y + v.before(in.h)) % 2; i < 3; i += 2)
      if (const int r = (y + v.before(in.h) - i) / 2; r >= 0 && r < out.h) row[rows] = dy + Index(r) * out.w * in.c, taps[rows] = w + 3 * i * in.c, ++rows;
    each_channels<T>(in.c, [&]<class V, int G>(int c0, V, std::integral_constant<int, G>) {
      for (int c = c0; c < c0 + G * Number<V>::lanes; c += Number<V>::lanes) {
        V of_tap[2][3] = {}, last[2] = {}, next[2] = {};
        for (int k = 0; k < rows; ++k)
          for (int j = 0; j < 3; ++j) of_tap[k][j] = load_as<V>(taps[k] + j * in.c + c);
        for (int q = 0, at = -v.before(in.w); q <= out.w; ++q, at += 2) {
          for (int k = 0; k < rows; ++k) last[k] = std::exchange(next[k], q < out.w ? load_as<V>(row[k] + Index(q) * in.c + c) : V{});
          if (at >= 0 && at < in.w) store_as(dx + Index(at) * in.c + c, V(next[0] * of_tap[0][0] + last[0] * of_tap[0][2] + next[1] * of_tap[1][0] + last[1] * of_tap[1][2]));
          if (at >= -1 && at + 1 < in.w) store_as(dx + Index(at + 1) * in.c + c, V(next[0] * of_tap[0][1] + next[1] * of_tap[1][1]));
        }
      }
    });
  }
  /// dw (K, K, C) += and db (C) += (or null) of one image.
  void weight_gradient(const T* x, const T* dy, T* dw, T* db) const {
    each_channels<T>(in.c, [&]<class V, int G>(int c0, V, std::integral_constant<int, G>) {
      for (int c = c0; c < c0 + G * Number<V>::lanes; c += Number<V>::lanes) {
        V of_tap[9] = {}, of_bias{};
        const bool few = v.k == 3;             // taps: in registers
        const Index line = Index(in.w) * in.c, pixel = in.c;
        for (int r = 0; r < out.h; ++r) {
          const int top = r * v.stride - v.before(in.h);
          const bool whole = few && top >= 0 && top + 3 <= in.h;
          const T* of = dy + Index(r) * out.w * pixel + c;
          for (int q = 0, left = -v.before(in.w); q < out.w; ++q, left += v.stride, of += pixel) {
            if (whole && left >= 0)            // all that lie inside the image
              for (const T* from = x + top * line + left * pixel + c; left + 3 <= in.w && q < out.w; ++q, left += v.stride, of += pixel, from += v.stride * pixel) {
                const V d = load_as<V>(of);
                of_bias += d;
#pragma GCC unroll 9
                for (int t = 0; t < 9; ++t) of_tap[t] += d * load_as<V>(from + t / 3 * line + t % 3 * pixel);
              }
            if (q >= out.w) break;
            const V d = load_as<V>(of);
            of_bias += d;
            if (few) each_tap(r, q, [&](int t, Index at) LAMINA_INLINE_LAMBDA { of_tap[t] += d * load_as<V>(x + at * pixel + c); });
            else
              each_tap(r, q, [&](int t, Index at) LAMINA_INLINE_LAMBDA {
                T* const to = dw + t * pixel + c;
                store_as(to, V(load_as<V>(to) + d * load_as<V>(x + at * pixel + c)));
              });
          }
        }
        for (int t = 0; few && t < 9; ++t) store_as(dw + t * in.c + c, V(load_as<V>(dw + t * in.c + c) + of_tap[t]));
        if (db) store_as(db + c, V(load_as<V>(db + c) + of_bias));
      }
    });
  }
};

}  // namespace lamina::detail
