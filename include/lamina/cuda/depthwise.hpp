/// Convolution of every channel by itself on a GPU: a lane has neighbouring channels, as many as a load fetches. Way 1.
#pragma once
#include "places.hpp"

namespace lamina {

namespace kernels::inline LAMINA_SIMT {

/// y at four pixels of a row, which share their weights.
template <class T, int V> struct DepthwiseOutput {
  static constexpr int together = 4, blocks = 2;
  using M = Master<T>;
  Walk v; const T *x, *w; const M* b; T* y; Bounds<M> bounds;
  LAMINA_DEVICE void operator()(Index at) const {
    const Spot s = spot(at, v.out_h, (v.out_w + together - 1) / together, v.c / V);
    const int column = s.column * together;
    M sum[together][V];
    LAMINA_UNROLL
    for (int e = 0; e < V; ++e) sum[0][e] = b ? b[s.channel * V + e] : 0;
    LAMINA_UNROLL
    for (int u = 1; u < together; ++u)
      LAMINA_UNROLL
      for (int e = 0; e < V; ++e) sum[u][e] = sum[0][e];
    const Walk::Range down = v.taps(s.row, v.top, v.h);
    for (int i = down.begin; i < down.end; ++i) {
      const Pack<T, V>* const line = packs<V>(x) + v.input(s.image, s.row * v.stride - v.top + i, 0) * (v.c / V) + s.channel;
      for (int j = 0; j < v.k; ++j) {
        const Pack<T, V> tap = packs<V>(w)[(i * v.k + j) * (v.c / V) + s.channel];
        LAMINA_UNROLL
        for (int u = 0; u < together; ++u) {
          const int from = (column + u) * v.stride - v.left + j;
          if (from < 0 || from >= v.w) continue;
          const Pack<T, V> pixel = line[Index(from) * (v.c / V)];
          LAMINA_UNROLL
          for (int e = 0; e < V; ++e) sum[u][e] += M(pixel.v[e]) * M(tap.v[e]);
        }
      }
    }
    LAMINA_UNROLL
    for (int u = 0; u < together; ++u) {
      if (column + u >= v.out_w) break;
      LAMINA_UNROLL
      for (int e = 0; e < V; ++e) sum[u][e] = bounds(sum[u][e]);
      packs<V>(y)[v.output(s.image, s.row, column + u) * (v.c / V) + s.channel] = packed<T>(sum[u]);
    }
  }
};

template <class T, int V> struct DepthwiseInputGradient {
  static constexpr int blocks = 4;
  using M = Master<T>;
  Walk v; const T *w, *dy; T* dx;
  LAMINA_DEVICE void operator()(Index at) const {
    const Spot s = spot(at, v.h, v.w, v.c / V);
    const Walk::Range down = v.windows(s.row, v.top, v.out_h), across = v.windows(s.column, v.left, v.out_w);
    M sum[V] = {};
    for (int row = down.begin; row < down.end; ++row)
      for (int column = across.begin; column < across.end; ++column) {
        const Pack<T, V> d = packs<V>(dy)[v.output(s.image, row, column) * (v.c / V) + s.channel];
        const Pack<T, V> tap = packs<V>(w)[((s.row + v.top - row * v.stride) * v.k + s.column + v.left - column * v.stride) * (v.c / V) + s.channel];
        LAMINA_UNROLL
        for (int e = 0; e < V; ++e) sum[e] += M(d.v[e]) * M(tap.v[e]);
      }
    packs<V>(dx)[at] = packed<T>(sum);
  }
};

/// Of a slab of rows of dy: the gradients of up to three neighbouring taps of one row of taps, which share dy; behind those of all taps that of the bias. parts (slabs, K K + 1, C).
template <class T, int V> struct DepthwiseWeightParts {
  static constexpr int together = 3, blocks = 3;
  using M = Master<T>;
  Walk v; Slabs slabs; const T *x, *dy; M* parts;
  LAMINA_DEVICE void operator()(Index at) const {
    const int groups = (v.k + together - 1) / together;
    const Spot s = spot(at, v.k + 1, groups, v.c / V);          // row of taps, group of three in it
    const int slab = int(s.image), i = s.row, j = s.column * together;
    const bool bias = i == v.k;
    if (bias && j > 0) return;
    M sum[together][V] = {};
    const Slabs::Part lines = slabs.pieces_of(slab, v.out_h);
    for (Index line = lines.begin; line < lines.end; ++line) {
      const Quotient image = divide(line, v.out_h);
      const int row = image.rest * v.stride - v.top + i;
      if (!bias && (row < 0 || row >= v.h)) continue;
      const Pack<T, V>* const from = packs<V>(x) + (bias ? 0 : v.input(image.whole, row, 0)) * (v.c / V) + s.channel;
      const Pack<T, V>* const of = packs<V>(dy) + line * v.out_w * (v.c / V) + s.channel;
      for (int q = 0; q < v.out_w; ++q) {
        const Pack<T, V> d = of[Index(q) * (v.c / V)];
        LAMINA_UNROLL
        for (int u = 0; u < together; ++u) {
          const int column = q * v.stride - v.left + j + u;
          if (bias ? u > 0 : j + u >= v.k || column < 0 || column >= v.w) continue;
          Pack<T, V> pixel;
          if (!bias) pixel = from[Index(column) * (v.c / V)];
          LAMINA_UNROLL
          for (int e = 0; e < V; ++e) sum[u][e] += bias ? M(d.v[e]) : M(d.v[e]) * M(pixel.v[e]);
        }
      }
    }
    LAMINA_UNROLL
    for (int u = 0; u < together; ++u) {
      if (bias ? u > 0 : j + u >= v.k) break;
      LAMINA_UNROLL
      for (int e = 0; e < V; ++e) parts[(Index(slab) * (v.k * v.k + 1) + i * v.k + j + u) * v.c + s.channel * V + e] = sum[u][e];
    }
  }
};

}  // namespace kernels::inline LAMINA_SIMT

namespace detail {
/// Slabs of rows of dy.
template <class T> kernels::Slabs depthwise_slabs(const Shares& cut, Window v, Shape out) {
  Index lanes = 0;
  kernels::by_channels<T>(out.c, [&]<int V>(std::integral_constant<int, V>) { lanes = Index(v.k) * pieces(v.k, 3) * (out.c / V); });
  return {cut, slabs_of_share(cut, std::min<Index>(pieces(Index(1) << 18, lanes), 512), out.h, 4)};
}
}  // namespace detail

template <RunsKernels D, class T>
void conv_forward(D& dev, Way<1>, ConvSpec spec, Shape in, Shape out, Index n, const T* x, const T* w, const Master<T>* b, T* y, Clamp clamp = {}) {
  kernels::by_channels<T>(in.c, [&]<int V>(std::integral_constant<int, V>) {
    using Output = kernels::DepthwiseOutput<T, V>;
    parallel_for(dev, n * out.h * pieces(out.w, Output::together) * (out.c / V), Output{{spec.window, in, out}, x, w, b, y, clamp});
  });
}
template <RunsKernels D, class T>
void conv_backward(D& dev, Way<1>, ConvSpec spec, Shape in, Shape out, Index n, const T* x, const T* w, const T* dy, T* dx, Master<T>* dw, Master<T>* db) {
  kernels::by_channels<T>(in.c, [&]<int V>(std::integral_constant<int, V>) {
    const kernels::Walk v(spec.window, in, out);
    if (dx) parallel_for(dev, n * size(in) / V, kernels::DepthwiseInputGradient<T, V>{v, w, dy, dx});
    if (!dw) return;
    auto* const parts = reinterpret_cast<Master<T>*>(dev.arena());
    const kernels::Slabs slabs = detail::depthwise_slabs<T>(detail::cut_of(dev, n), spec.window, out);
    const Index taps = Index(v.k) * v.k;
    parallel_for(dev, slabs.count * (v.k + 1) * pieces(v.k, 3) * (in.c / V), kernels::DepthwiseWeightParts<T, V>{v, slabs, x, dy, parts});
    detail::add_parts<Master<T>>(dev, parts, slabs, (taps + 1) * in.c, dw, taps * in.c, db);
  });
}
template <RunsKernels D, class T> Index conv_arena(const D& dev, Way<1>, T, ConvSpec spec, Shape in, Shape out, Index n) {
  const Index slabs = detail::most_of_cuts(dev, n, [&](const Shares& cut) { return Index(detail::depthwise_slabs<T>(cut, spec.window, out).count); });
  return slabs * (Index(spec.window.k) * spec.window.k + 1) * in.c * Index(sizeof(Master<T>));
}

}  // namespace lamina
