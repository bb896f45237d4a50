/// Pooling on the CPU: a task is one row of the output; backward, one image.
#pragma once
#include <algorithm>

#include "cpu.hpp"

namespace lamina {

namespace detail {
/// Whether a value takes the place of the largest so far. A NaN always does, and keeps it.
template <class T> bool wins(T value, T best) { return (value > best) | (value != value); }

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
    const Index image = task / out.h;
    const int r = int(task % out.h);
    for (int q = 0; q < out.w; ++q) {
      T* best = y + (task * out.w + q) * out.c;
      std::uint8_t* code = codes ? codes + (task * out.w + q) * out.c : nullptr;
      bool first = true;
      detail::each_tap(v, in, r, q, [&](int tap, Index pixel) {
        const T* value = x + image * size(in) + pixel * in.c;
        for (int c = 0; c < out.c; ++c)
          if (first || detail::wins(value[c], best[c])) {
            best[c] = value[c];
            if (code) code[c] = std::uint8_t(tap);
          }
        first = false;
      });
    }
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
      for (int q = 0; q < out.w; ++q) {
        const Index at = image * size(out) + (Index(r) * out.w + q) * out.c;
        detail::each_tap(v, in, r, q, [&](int tap, Index pixel) {
          for (int c = 0; c < out.c; ++c)
            if (codes[at + c] == tap) to[pixel * in.c + c] += dy[at + c];
        });
      }
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
