/// y = pool(relu(norm(x))) on a GPU, for max pools that do not overlap: neither the normalised map nor its gradient ever reaches memory.
#pragma once
#include "batch_norm.hpp"

namespace lamina {

namespace kernels::inline LAMINA_SIMT {

template <class T, int V> struct NormPoolOutput {
  using M = Master<T>;
  Walk v; const T* x; const M *w, *mean_and_spread; bool spread_is_variance; M epsilon; int apart; T* y; std::uint8_t* codes;
  LAMINA_DEVICE void operator()(Index at) const {
    const Spot s = spot(at, v.out_h, v.out_w, v.c / V);
    M scale[V], mean[V], beta[V], best[V] = {};
    Pack<std::uint8_t, V> code;
    LAMINA_UNROLL
    for (int e = 0; e < V; ++e) {
      const int channel = s.channel * V + e;
      const M spread = mean_and_spread[apart + channel];
      scale[e] = w[channel] * (spread_is_variance ? 1 / Number<M>::root(spread + epsilon) : spread), mean[e] = mean_and_spread[channel], beta[e] = w[apart + channel], code.v[e] = 255;
    }
    for (int tap = 0; tap < v.k * v.k; ++tap) {
      const Pack<T, V> pixel = packs<V>(x)[v.input(s.image, s.row * v.stride + tap / v.k, s.column * v.stride + tap % v.k) * (v.c / V) + s.channel];
      LAMINA_UNROLL
      for (int e = 0; e < V; ++e) {
        const M value = scale[e] * (M(pixel.v[e]) - mean[e]) + beta[e];
        if (wins(value, best[e])) best[e] = value, code.v[e] = std::uint8_t(tap);
      }
    }
    packs<V>(y)[at] = packed<T>(best);
    if (codes) packs<V>(codes)[at] = code;
  }
};

/// The gradient of a window, at the pixel that won.
template <class T, int V> struct PooledNormGradient {
  using Loaded = Pack<T, V>;
  static constexpr int together = 2;
  Walk v; const T* dy; const std::uint8_t* codes;
  LAMINA_DEVICE Pack<T, V> fetch(Index p, int channel) const {
    const Quotient line = divide(p, v.w), image = divide(line.whole, v.h);
    const int r = image.rest / v.stride, q = line.rest / v.stride, i = image.rest % v.stride, j = line.rest % v.stride;
    Pack<T, V> d;
    LAMINA_UNROLL
    for (int e = 0; e < V; ++e) d.v[e] = T(0.f);
    if (r >= v.out_h || q >= v.out_w || i >= v.k || j >= v.k) return d;
    const Index at = v.output(image.whole, r, q) * v.c + channel;
    const Pack<T, V> whole = load(packs<V>(dy + at));
    const Pack<std::uint8_t, V> code = load(packs<V>(codes + at));
    LAMINA_UNROLL
    for (int e = 0; e < V; ++e)
      if (code.v[e] == i * v.k + j) d.v[e] = whole.v[e];
    return d;
  }
  LAMINA_DEVICE Master<T> gradient(const Pack<T, V>& d, int e, Master<T>) const { return Master<T>(d.v[e]); }
};

}  // namespace kernels::inline LAMINA_SIMT

template <RunsKernels D, class T>
void batch_norm_relu_pool_forward(D& dev, NormSpec spec, NormReluPool kernel, Shape in, Shape out, Index n,
                                  const T* x,                // (N, H, W, C)
                                  const Master<T>* w, Master<T>* running, Master<T>* batch,
                                  T* y,                      // (N, Hp, Wp, C)
                                  std::uint8_t* codes,       // (N, Hp, Wp, C) which tap of the pool, 255 if none was positive; or null
                                  NormBy by) {
  kernels::by_channels<T>(in.c, [&]<int V>(std::integral_constant<int, V>) {
    if (by == NormBy::batch) detail::norm_measure<V>(dev, spec, n, kernels::NormExtent(detail::cut_of(dev, n), Index(in.h) * in.w, in.c, V), x, running, batch);
    const bool running_values = by == NormBy::running;
    parallel_for(dev, n * size(out) / V,
                 kernels::NormPoolOutput<T, V>{{kernel.pool, in, out}, x, w, running_values ? running : batch, running_values, Master<T>(spec.epsilon), int(room(in.c)), y, codes});
  });
}
template <RunsKernels D, class T>
void batch_norm_relu_pool_backward(D& dev, NormReluPool kernel, Shape in, Shape out, Index n, const T* x, const Master<T>* w, const Master<T>* batch,
                                   const std::uint8_t* codes, const T* dy,      // (N, Hp, Wp, C) both
                                   T* dx,                                       // (N, H, W, C) or null
                                   Master<T>* dw) {                             // += gamma (C), beta (C)
  kernels::by_channels<T>(in.c, [&]<int V>(std::integral_constant<int, V>) {
    const kernels::PooledNormGradient<T, V> gradient{{kernel.pool, in, out}, dy, codes};
    detail::norm_backward<V>(dev, n, Index(in.h) * in.w, in.c, x, w, batch, gradient, gradient, dx, dw);
  });
}
template <RunsKernels D, class T> Index batch_norm_relu_pool_arena(const D& dev, T, Shape in, Index n) { return batch_norm_arena(dev, T(), n, Index(in.h) * in.w, in.c); }

}  // namespace lamina
