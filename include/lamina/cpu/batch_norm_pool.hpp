/// y = pool(relu(norm(x))) on the CPU, for max pools that do not overlap: neither the normalised map nor its gradient ever reaches memory.
#pragma once
#include "batch_norm.hpp"
#include "pool.hpp"

namespace lamina {

template <class T>
void batch_norm_relu_pool_forward(Cpu& dev, NormSpec spec, NormReluPool kernel, Shape in, Shape out, Index n,
                                  const T* x,              // (N, H, W, C)
                                  const T* w, T* running, T* batch,
                                  T* y,                    // (N, Hp, Wp, C)
                                  std::uint8_t* codes,     // (N, Hp, Wp, C) which tap of the pool, 255 if none was positive; or null
                                  NormBy by) {
  const int c = in.c;
  const Window v = kernel.pool;
  const T* const scale = detail::norm_scale(dev, spec, n, Index(in.h) * in.w, c, x, w, running, batch, by);
  const T *const mean = by == NormBy::running ? running : batch, *const beta = w + room(c);
  dev.run(n * out.h, [=](Index row, int) {
    const T* const from = x + (row / out.h * in.h + row % out.h * v.stride) * in.w * c;
    detail::each_channels<T>(c, [&]<class V, int G>(int first, V, std::integral_constant<int, G>) {
      for (int g = 0; g < G; ++g) {
        const int k = first + g * Number<V>::lanes;
        const V a = detail::load_as<V>(scale + k), m = detail::load_as<V>(mean + k), b = detail::load_as<V>(beta + k);
        for (int q = 0; q < out.w; ++q) {
          detail::Winner<V> winner{V{}, detail::no_tap};
          for (int i = 0; i < v.k; ++i)
            for (int j = 0; j < v.k; ++j) winner.meet(a * (detail::load_as<V>(from + (Index(i) * in.w + q * v.stride + j) * c + k) - m) + b, i * v.k + j);
          const Index at = (row * out.w + q) * c + k;
          detail::store_as(y + at, winner.best);
          if (codes) winner.put_tap(codes + at);
        }
      }
    });
  });
}

template <class T>
void batch_norm_relu_pool_backward(Cpu& dev, NormReluPool kernel, Shape in, Shape out, Index n, const T* x, const T* w, const T* batch,
                                   const std::uint8_t* codes, const T* dy,    // (N, Hp, Wp, C) both
                                   T* dx,                                     // (N, H, W, C) or null
                                   T* dw) {                                   // += gamma (C), beta (C)
  const int c = in.c;
  const Window v = kernel.pool;
  const T* const spread = batch + room(c);
  const detail::NormRoom<T> room_of(dev, c);
  const detail::NormStretches rows{dev.replica.cut(n), out.h, 0};             // of windows
  detail::sum_two(dev, rows, c, room_of, [=](int first, auto number) {        // of dy times x normalised, of dy
    using V = decltype(number);
    return [=](Index row, int g, V& product, V& sum) {
      const int k = first + g * Number<V>::lanes;
      const T* const from = x + (row / out.h * in.h + row % out.h * v.stride) * in.w * c + k;
      const V m = detail::load_as<V>(batch + k), r = detail::load_as<V>(spread + k);
      for (int q = 0; q < out.w; ++q) {
        const Index at = (row * out.w + q) * c + k;
        const V whole = detail::load_as<V>(dy + at);
        for (int i = 0; i < v.k; ++i)
          for (int j = 0; j < v.k; ++j) {
            const V d = detail::where_won(codes + at, i * v.k + j, whole);
            product += d * ((detail::load_as<V>(from + (Index(i) * in.w + q * v.stride + j) * c) - m) * r), sum += d;
          }
      }
    };
  });
  const T* const sums = detail::norm_sums(dev, c, room_of, dx, dw);
  if (!dx) return;
  const Shares s = detail::norm_shares(dev.replica, n);
  const T share = 1 / T(s.begin(s.count) * in.h * in.w);
  dev.run(n * in.h, [=](Index row, int) {
    const int r = int(row % in.h), i = r % v.stride;
    const bool pooled = i < v.k && r / v.stride < out.h;
    const Index windows = (row / in.h * out.h + r / v.stride) * out.w;
    detail::each_channels<T>(c, [&]<class V, int G>(int first, V, std::integral_constant<int, G>) {
      for (int g = 0; g < G; ++g) {
        const int k = first + g * Number<V>::lanes;
        const V m = detail::load_as<V>(batch + k), rk = detail::load_as<V>(spread + k), product = detail::load_as<V>(sums + k), sum = detail::load_as<V>(sums + c + k), gamma = detail::load_as<V>(w + k);
        for (int q = 0; q < in.w; ++q) {
          const int window = q / v.stride, j = q % v.stride;
          const Index at = (row * in.w + q) * c + k, of = (windows + window) * c + k;
          const V d = pooled && j < v.k && window < out.w ? detail::where_won(codes + of, i * v.k + j, detail::load_as<V>(dy + of)) : V{};
          detail::store_as<V>(dx + at, gamma * rk * (d - (sum + (detail::load_as<V>(x + at) - m) * rk * product) * share));
        }
      }
    });
  });
}
template <class T> Index batch_norm_relu_pool_arena(const Cpu& dev, T, Shape in, Index n) {
  const Index rows = dev.replica.count * detail::NormStretches::of_share;
  return std::max(batch_norm_arena(dev, T(), n, Index(in.h) * in.w, in.c), detail::NormRoom<T>::bytes(dev, rows, in.c));
}

}  // namespace lamina
