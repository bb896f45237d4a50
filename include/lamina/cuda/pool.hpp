/// Pooling on a GPU: a lane makes neighbouring channels of one pixel, as many as a load fetches. Backward it goes to the windows that see its pixel, so that nothing is added up in memory.
#pragma once
#include "places.hpp"

namespace lamina {

namespace kernels::inline LAMINA_SIMT {

template <class T, int V> struct MaxPoolOutput {
  static constexpr int blocks = 4;
  Walk v; const T* x; T* y; std::uint8_t* codes;
  LAMINA_DEVICE void operator()(Index at) const {
    const Spot s = spot(at, v.out_h, v.out_w, v.c / V);
    const Walk::Range down = v.taps(s.row, v.top, v.h), across = v.taps(s.column, v.left, v.w);
    Pack<T, V> best{};
    Pack<std::uint8_t, V> code;
    LAMINA_UNROLL
    for (int e = 0; e < V; ++e) code.v[e] = 255;
    bool any = false;
    for (int i = down.begin; i < down.end; ++i)
      for (int j = across.begin; j < across.end; ++j) {
        const Pack<T, V> value = packs<V>(x)[v.input(s.image, s.row * v.stride - v.top + i, s.column * v.stride - v.left + j) * (v.c / V) + s.channel];
        LAMINA_UNROLL
        for (int e = 0; e < V; ++e)
          if (!any || wins(Master<T>(value.v[e]), Master<T>(best.v[e]))) best.v[e] = value.v[e], code.v[e] = std::uint8_t(i * v.k + j);
        any = true;
      }
    packs<V>(y)[at] = best;
    if (codes) packs<V>(codes)[at] = code;
  }
};

template <class T, int V> struct MaxPoolGradient {
  static constexpr int blocks = 4;
  Walk v; const std::uint8_t* codes; const T* dy; T* dx;
  LAMINA_DEVICE void operator()(Index at) const {
    const Spot s = spot(at, v.h, v.w, v.c / V);
    const Walk::Range down = v.windows(s.row, v.top, v.out_h), across = v.windows(s.column, v.left, v.out_w);
    Master<T> sum[V] = {};
    for (int row = down.begin; row < down.end; ++row)
      for (int column = across.begin; column < across.end; ++column) {
        const Index from = v.output(s.image, row, column) * (v.c / V) + s.channel;
        const int tap = (s.row + v.top - row * v.stride) * v.k + s.column + v.left - column * v.stride;
        const Pack<T, V> d = packs<V>(dy)[from];
        const Pack<std::uint8_t, V> code = packs<V>(codes)[from];
        LAMINA_UNROLL
        for (int e = 0; e < V; ++e) sum[e] += code.v[e] == tap ? Master<T>(d.v[e]) : 0;
      }
    packs<V>(dx)[at] = packed<T>(sum);
  }
};

/// What the mean of the window at (row, column) is divided by.
LAMINA_DEVICE int pool_count(const Walk& v, bool count_padding, int row, int column) {
  const Walk::Range down = v.taps(row, v.top, v.h), across = v.taps(column, v.left, v.w);
  return count_padding ? v.k * v.k : (down.end - down.begin) * (across.end - across.begin);
}

/// y of x, or backward dx of dy: the sum over what the window holds, or over the windows that hold the pixel.
template <class T, int V, bool Backward> struct AvgPoolSum {
  static constexpr int blocks = 2;
  Walk v; bool count_padding; const T* from; T* to;
  LAMINA_DEVICE void operator()(Index at) const {
    const Spot s = Backward ? spot(at, v.h, v.w, v.c / V) : spot(at, v.out_h, v.out_w, v.c / V);
    const Walk::Range down = Backward ? v.windows(s.row, v.top, v.out_h) : v.taps(s.row, v.top, v.h), across = Backward ? v.windows(s.column, v.left, v.out_w) : v.taps(s.column, v.left, v.w);
    Master<T> sum[V] = {};
    for (int i = down.begin; i < down.end; ++i)
      for (int j = across.begin; j < across.end; ++j) {
        const Index pixel = Backward ? v.output(s.image, i, j) : v.input(s.image, s.row * v.stride - v.top + i, s.column * v.stride - v.left + j);
        const Pack<T, V> value = packs<V>(from)[pixel * (v.c / V) + s.channel];
        const Master<T> count = Backward ? Master<T>(pool_count(v, count_padding, i, j)) : 1;
        LAMINA_UNROLL
        for (int e = 0; e < V; ++e) sum[e] += Master<T>(value.v[e]) / count;
      }
    const Master<T> count = Backward ? 1 : Master<T>(pool_count(v, count_padding, s.row, s.column));
    LAMINA_UNROLL
    for (int e = 0; e < V; ++e) sum[e] /= count;
    packs<V>(to)[at] = packed<T>(sum);
  }
};

}  // namespace kernels::inline LAMINA_SIMT

template <RunsKernels D, class T>
void max_pool_forward(D& dev, Window v, Shape in, Shape out, Index n,
                      const T* x,                              // (N, H, W, C)
                      T* y,                                    // (N, Ho, Wo, C)
                      std::uint8_t* codes) {                   // (N, Ho, Wo, C) which tap, or null
  kernels::by_channels<T>(in.c, [&]<int V>(std::integral_constant<int, V>) { parallel_for(dev, n * size(out) / V, kernels::MaxPoolOutput<T, V>{{v, in, out}, x, y, codes}); });
}

template <RunsKernels D, class T>
void max_pool_backward(D& dev, Window v, Shape in, Shape out, Index n, const std::uint8_t* codes,
                       const T* dy,                            // (N, Ho, Wo, C)
                       T* dx) {                                // (N, H, W, C)
  kernels::by_channels<T>(in.c, [&]<int V>(std::integral_constant<int, V>) { parallel_for(dev, n * size(in) / V, kernels::MaxPoolGradient<T, V>{{v, in, out}, codes, dy, dx}); });
}

template <RunsKernels D, class T> void avg_pool_forward(D& dev, Window v, bool count_padding, Shape in, Shape out, Index n, const T* x, T* y) {
  kernels::by_channels<T>(in.c, [&]<int V>(std::integral_constant<int, V>) { parallel_for(dev, n * size(out) / V, kernels::AvgPoolSum<T, V, false>{{v, in, out}, count_padding, x, y}); });
}

template <RunsKernels D, class T> void avg_pool_backward(D& dev, Window v, bool count_padding, Shape in, Shape out, Index n, const T* dy, T* dx) {
  kernels::by_channels<T>(in.c, [&]<int V>(std::integral_constant<int, V>) { parallel_for(dev, n * size(in) / V, kernels::AvgPoolSum<T, V, true>{{v, in, out}, count_padding, dy, dx}); });
}

}  // namespace lamina
