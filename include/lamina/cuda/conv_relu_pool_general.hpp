/// y = pool(relu(conv(x))) on a GPU, of any shape: a lane for each number, for pools that do not overlap.
#pragma once
#include "conv_general.hpp"

namespace lamina {

namespace kernels::inline LAMINA_SIMT {

template <class T> struct ConvPoolOutput {
  static constexpr int blocks = 4;
  Grouped g; Walk pool;                      // of the pool: over the convolution's output
  const T *x, *w; const Master<T>* b; T* y; std::uint8_t* codes;
  LAMINA_DEVICE void operator()(Index at) const {
    const Spot s = spot(at, pool.out_h, pool.out_w, pool.out_c);
    Master<T> best = 0;
    int code = 255;
    for (int tap = 0; tap < pool.k * pool.k; ++tap) {
      const int row = s.row * pool.stride + tap / pool.k, column = s.column * pool.stride + tap % pool.k;
      const Master<T> value = g.at(x + s.image * g.h * g.w * g.c, w, row, column, s.channel) + (b ? b[s.channel] : 0);
      if (wins(value, best)) best = value, code = tap;
    }
    y[at] = stored<T>(best);
    if (codes) codes[at] = std::uint8_t(code);
  }
};

/// The gradient in front of the pool, where its windows' codes send it.
template <class T> struct PooledGradient {
  Walk pool; const T* dy; const std::uint8_t* codes;             // (N, Hp, Wp, O)
  using Won = typename PlainGradient<T>::Won;
  LAMINA_DEVICE Master<T> operator()(Index image, int row, int column, int o) const {
    const int r = row / pool.stride, q = column / pool.stride, i = row % pool.stride, j = column % pool.stride;
    if (r >= pool.out_h || q >= pool.out_w || i >= pool.k || j >= pool.k) return 0;
    const Index at = pool.output(image, r, q) * pool.out_c + o;
    return codes[at] == i * pool.k + j ? Master<T>(dy[at]) : 0;
  }
  LAMINA_DEVICE Won at(Index window, int o) const {
    const Quotient line = divide(window, pool.out_w), image = divide(line.whole, pool.out_h);
    const int code = codes[window * pool.out_c + o];
    if (code == 255) return {image.whole, 0, 0, 0};
    return {image.whole, image.rest * pool.stride + code / pool.k, line.rest * pool.stride + code % pool.k, Master<T>(dy[window * pool.out_c + o])};
  }
};

}  // namespace kernels::inline LAMINA_SIMT

template <RunsKernels D, class T>
void conv_relu_pool_forward(D& dev, Way<0>, ConvReluPool k, Shape in, Shape mid, Shape out, Index n,
                            const T* x,                          // (N, H, W, C)
                            const T* w, const Master<T>* b,      // (K, K, C / groups, O), (O) or null
                            T* y,                                // (N, Hp, Wp, O)
                            std::uint8_t* codes) {               // (N, Hp, Wp, O) which tap of the pool, 255 if none was positive; or null
  parallel_for(dev, n * size(out), kernels::ConvPoolOutput<T>{{{k.conv, k.groups}, in, mid}, {k.pool, mid, out}, x, w, b, y, codes});
}

template <RunsKernels D, class T>
void conv_relu_pool_backward(D& dev, Way<0>, ConvReluPool k, Shape in, Shape mid, Shape out, Index n, const T* x, const T* w,
                             const std::uint8_t* codes, const T* dy,      // (N, Hp, Wp, O) both
                             T* dx,                                       // (N, H, W, C) or null
                             Master<T>* dw, Master<T>* db) {              // += (K, K, C / groups, O), (O), or null
  const ConvSpec spec{k.conv, k.groups};
  const kernels::PooledGradient<T> gradient{{k.pool, mid, out}, dy, codes};
  if (dx) parallel_for(dev, n * size(in), kernels::ConvInputGradient<T, kernels::PooledGradient<T>>{{spec, in, mid}, w, gradient, dx});
  if (dw) detail::add_weight_gradient(dev, spec, in, mid, n, Index(out.h) * out.w, x, gradient, dw, db);
}

template <RunsKernels D, class T> Index conv_relu_pool_arena(const D& dev, Way<0>, T, ConvReluPool k, Shape in, Shape mid, Index n) {
  const Shape out = k.pool.over(mid, mid.c);
  return detail::weight_gradient_arena<T>(dev, {k.conv, k.groups}, in, mid, n, Index(out.h) * out.w);
}
/// Forward no way needs an arena.
template <RunsKernels D, int W, class T> Index conv_relu_pool_forward_arena(const D&, Way<W>, T, ConvReluPool, Shape, Shape, Index) { return 0; }

}  // namespace lamina
