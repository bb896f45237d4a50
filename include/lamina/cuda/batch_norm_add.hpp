/// y = relu(norm(x) + z) on a GPU: what a residual block ends with. The normalised map never reaches memory.
#pragma once
#include "batch_norm.hpp"

namespace lamina {

namespace kernels::inline LAMINA_SIMT {

/// dy where y, which something was added to, is positive; it is kept as dz.
template <class T, int V> struct AddedGradient {
  using M = Master<T>;
  struct Loaded { Pack<T, V> y, dy; };
  static constexpr int together = 3;
  const T *y, *dy; T* dz; int c;
  LAMINA_DEVICE Loaded fetch(Index p, int channel) const { return {load(packs<V>(y + p * c + channel)), load(packs<V>(dy + p * c + channel))}; }
  LAMINA_DEVICE M gradient(const Loaded& d, int e, M) const { return M(d.y.v[e]) <= 0 ? 0 : M(d.dy.v[e]); }
  LAMINA_DEVICE void note(Index p, int channel, const Loaded& d) const {
    M v[V];
    LAMINA_UNROLL
    for (int e = 0; e < V; ++e) v[e] = gradient(d, e, 0);
    store(packs<V>(dz + p * c + channel), packed<T>(v));
  }
};

}  // namespace kernels::inline LAMINA_SIMT

template <RunsKernels D, class T>
void batch_norm_add_relu_forward(D& dev, NormSpec spec, Index samples, Index pixels, int c, const T* x,
                                 const T* z,                    // (N, C), which y may overwrite
                                 const Master<T>* w, Master<T>* running, Master<T>* batch, T* y, NormBy by) {
  detail::norm_forward<true>(dev, spec, {.low = 0}, samples, pixels, c, x, z, w, running, batch, y, by);
}
template <RunsKernels D, class T>
void batch_norm_add_relu_backward(D& dev, Index samples, Index pixels, int c, const T* x, const Master<T>* w, const Master<T>* batch,
                                  const T *y, const T* dy,      // (N, C) both
                                  T* dz,                        // (N, C), which may lie where dy does
                                  T* dx,                        // (N, C) or null
                                  Master<T>* dw) {              // += gamma (C), beta (C)
  kernels::by_channels<T>(c, [&]<int V>(std::integral_constant<int, V>) {
    detail::norm_backward<V>(dev, samples, pixels, c, x, w, batch, kernels::AddedGradient<T, V>{y, dy, dz, c}, kernels::ClampedGradient<T, V>(dz, c, {}), dx, dw);
  });
}

}  // namespace lamina
