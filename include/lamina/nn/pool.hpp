/// Pooling.
#pragma once
#include "../core/elementwise.hpp"
#include "../core/layer.hpp"

namespace lamina {

namespace detail {
template <Window V, int Largest> struct PoolOptions {
  static_assert(V.k > 0 && V.stride > 0 && (V.pad == same || (V.pad >= 0 && 2 * V.pad <= V.k)), "a pool has K and Stride of at least 1 and pads at most K / 2");
  static_assert(V.k <= Largest, "MaxPool: the winning tap is kept in one byte, so K is at most 15");
};
template <Window V, int Largest = 1 << 30> struct Pooling {
  static constexpr PoolOptions<V, Largest> checked{};
  static constexpr Window window = V;
  static constexpr Shape out(Shape in) { return V.over(in, in.c); }
  static constexpr Shape accepts(Shape in) { return V.accepts(in); }
};
}  // namespace detail

/// (H, W, C) -> (Ho, Wo, C): the largest of each window; padding never wins. Backward needs neither input nor output: one byte per output says which tap
/// was the largest (the first of equals, as in PyTorch).
template <int K, int Stride = K, int Pad = 0> struct MaxPool : detail::Pooling<Window{K, Stride, Pad}, 15> {
  static constexpr Needs needs(Shape in) { return {.flops = K * K * size(MaxPool::out(in)), .codes = size(MaxPool::out(in))}; }
  template <class D, class T> static void forward(D& dev, const Step<T>& s) { max_pool_forward(dev, MaxPool::window, s.in, s.out, s.n, s.x, s.y, s.codes); }
  template <class D, class T> static void backward(D& dev, const Step<T>& s) { max_pool_backward(dev, MaxPool::window, s.in, s.out, s.n, s.codes, s.dy, s.dx); }
};

/// (H, W, C) -> (Ho, Wo, C): the mean of each window. CountPadding divides by K * K always (PyTorch's default); otherwise padding is left out (Keras's).
template <int K, int Stride = K, int Pad = 0, bool CountPadding = (Pad != same)> struct AvgPool : detail::Pooling<Window{K, Stride, Pad}> {
  static constexpr Needs needs(Shape in) { return {.flops = K * K * size(AvgPool::out(in))}; }
  template <class D, class T> static void forward(D& dev, const Step<T>& s) { avg_pool_forward(dev, AvgPool::window, CountPadding, s.in, s.out, s.n, s.x, s.y); }
  template <class D, class T> static void backward(D& dev, const Step<T>& s) { avg_pool_backward(dev, AvgPool::window, CountPadding, s.in, s.out, s.n, s.dy, s.dx); }
};

namespace detail {
template <class T> struct PlaneMean {
  const T* x; T* y; Index plane, c;                                         // (N, plane, C) -> (N, C)
  LAMINA_HD void operator()(Index i) const {
    Master<T> sum = 0;
    for (Index p = 0; p < plane; ++p) sum += x[(i / c * plane + p) * c + i % c];
    y[i] = sum / Master<T>(plane);
  }
};
template <class T> struct PlaneSpread {
  const T* dy; T* dx; Index plane, c;                                       // (N, C) -> (N, plane, C)
  LAMINA_HD void operator()(Index i) const { dx[i] = Master<T>(dy[i / (plane * c) * c + i % c]) / Master<T>(plane); }
  static constexpr int together = int(16 / sizeof(T));
  LAMINA_HD void several(Index i) const {
    if (c % together) {
      for (int e = 0; e < together; ++e) (*this)(i + e);
      return;
    }
    Pack<T, together> d = *packs<together>(dy + i / (plane * c) * c + i % c);
    for (int e = 0; e < together; ++e) d.v[e] = Master<T>(d.v[e]) / Master<T>(plane);
    *packs<together>(dx + i) = d;
  }
};
}  // namespace detail

/// (H, W, C) -> (C), the mean of each channel.
struct GlobalAvgPool {
  static constexpr Shape out(Shape in) { return {in.c}; }
  static constexpr Needs needs(Shape in) { return {.flops = size(in)}; }
  template <class D, class T> static void forward(D& dev, const Step<T>& s) {
    parallel_for(dev, s.n * s.in.c, detail::PlaneMean<T>{s.x, s.y, size(s.in) / s.in.c, s.in.c});
  }
  template <class D, class T> static void backward(D& dev, const Step<T>& s) {
    parallel_for(dev, s.n * size(s.in), detail::PlaneSpread<T>{s.dy, s.dx, size(s.in) / s.in.c, s.in.c});
  }
};

}  // namespace lamina
