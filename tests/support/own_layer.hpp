/// A layer as a user writes one: it knows nothing of shares.
#pragma once
#include <lamina/core/device.hpp>
#include <lamina/core/layer.hpp>

namespace lamina_test {

template <class T> struct Factor {
  const T* x; const lamina::Master<T>* w; T* y; lamina::Index c;                     // (N, H, W, C), (C), (N, H, W, C)
  LAMINA_HD void operator()(lamina::Index i) const { y[i] = T(w[i % c] * lamina::Master<T>(x[i])); }
};
template <class T> struct FactorGradient {
  const T *x, *dy; lamina::Master<T>* dw; lamina::Index pixels, c;                   // (N, H, W, C) both, (C)
  LAMINA_HD void operator()(lamina::Index k) const { for (lamina::Index p = 0; p < pixels; ++p) dw[k] += lamina::Master<T>(x[p * c + k]) * lamina::Master<T>(dy[p * c + k]); }
};
/// One learned factor for each channel.
struct Scale {
  static constexpr lamina::Shape out(lamina::Shape in) { return in; }
  static constexpr lamina::Tensors parameters(lamina::Shape in) { return {"factor", lamina::Dims(in.c)}; }
  static constexpr lamina::Needs needs(lamina::Shape in) { return {.flops = size(in), .keep = lamina::Keep::input}; }
  static void init(lamina::Shape in, const lamina::Initializer&, float* w, float*) { for (int c = 0; c < in.c; ++c) w[c] = 1; }
  template <class D, class T> static void forward(D& dev, const lamina::Step<T>& s) { parallel_for(dev, s.n * size(s.in), Factor<T>{s.x, s.w, s.y, s.in.c}); }
  template <class D, class T> static void backward(D& dev, const lamina::Step<T>& s) {
    parallel_for(dev, s.in.c, FactorGradient<T>{s.x, s.dy, s.dw, s.n * s.in.h * s.in.w, s.in.c});
    if (s.dx) parallel_for(dev, s.n * size(s.in), Factor<T>{s.dy, s.w, s.dx, s.in.c});
  }
};

}  // namespace lamina_test
