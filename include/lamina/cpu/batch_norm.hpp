/// Batch normalisation on the CPU, with ReLU or ReLU6 after it or alone. Pixels are summed in stretches whose bounds follow from their number, so no sum depends on the threads.
#pragma once
#include <algorithm>
#include <cmath>

#include "../core/layer.hpp"
#include "channels.hpp"
#include "cpu.hpp"

namespace lamina {

namespace detail {
struct NormStretches {
  static constexpr Index most = 64;
  Index n, each, count;
  explicit NormStretches(Index pixels) : n(pixels), each(std::max<Index>((pixels + most - 1) / most, 16)), count((pixels + each - 1) / each) {}
  Index begin(Index s) const { return s * each; }
  Index end(Index s) const { return begin(s) + each < n ? begin(s) + each : n; }
};

/// total (2, C) = the sums over the pixels of the two numbers that f(channel)(pixel, first, second) adds for the channels from `channel` on.
template <class T, class F> void sum_two(Cpu& dev, const NormStretches& s, int c, T* total, const F& f) {
  T* parts = reinterpret_cast<T*>(dev.arena());
  dev.run(s.count, [&](Index stretch, int) {
    T* part = parts + stretch * 2 * c;
    each_channels<T>(c, [&]<class V, int G>(int k, V, std::integral_constant<int, G>) {
      V first[G] = {}, second[G] = {};
      const auto add = f(k, V());
      for (Index p = s.begin(stretch); p < s.end(stretch); ++p)
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) add(p, g, first[g], second[g]);
      for (int g = 0; g < G; ++g) store_as(part + k + g * Number<V>::lanes, first[g]), store_as(part + c + k + g * Number<V>::lanes, second[g]);
    });
  });
  std::fill_n(total, 2 * c, T(0));
  for (Index i = 0; i < s.count; ++i)
    for (int k = 0; k < 2 * c; ++k) total[k] += parts[i * 2 * c + k];
}

/// y = scale (x - mean) + beta within the bounds, if there are any. All of the channels.
template <bool Clamped, class T> void normalise(Cpu& dev, const NormStretches& s, Clamp bounds, int c, const T* x, const T* scale, const T* mean, const T* beta, T* y) {
  dev.run(s.count, [&](Index stretch, int) {
    each_channels<T>(c, [&]<class V, int G>(int k, V, std::integral_constant<int, G>) {
      constexpr int lanes = Number<V>::lanes;
      const V low = V{} + T(bounds.low), high = V{} + T(bounds.high);
      V a[G], m[G], b[G];
      for (int g = 0; g < G; ++g) a[g] = load_as<V>(scale + k + g * lanes), m[g] = load_as<V>(mean + k + g * lanes), b[g] = load_as<V>(beta + k + g * lanes);
      for (Index p = s.begin(stretch); p < s.end(stretch); ++p)
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) {
          const V v = a[g] * (load_as<V>(x + p * c + k + g * lanes) - m[g]) + b[g];
          store_as<V>(y + p * c + k + g * lanes, Clamped ? (v <= low ? low : v >= high ? high : v) : v);          // a NaN passes
        }
    });
  });
}
/// What x is multiplied with (C), after the moments of a batch were taken in training; it lies in the arena.
template <class T>
const T* norm_scale(Cpu& dev, NormSpec spec, const NormStretches& s, int c,
                    const T* x,              // (N, C), N counts pixels
                    const T* w,              // gamma (C), beta (C), each on its own lines
                    T* running,              // mean (C), variance (C), likewise
                    T* batch,                // mean (C), 1 / sqrt(var + eps) (C), likewise; written in training
                    bool training) {
  T* const sums = reinterpret_cast<T*>(dev.arena()) + s.count * 2 * c;          // (2, C), then the scale (C)
  T* const scale = sums + 2 * c;
  const T eps = T(spec.epsilon), n = T(s.n);
  if (training) {
    // Of the distances from the first pixel, so that what cancels in the variance is no larger than itself.
    sum_two(dev, s, c, sums, [=](int k, auto v) {
      using V = decltype(v);
      return [=](Index p, int g, V& sum, V& square) {
        const int at = k + g * Number<V>::lanes;
        const V d = load_as<V>(x + p * c + at) - load_as<V>(x + at);
        sum += d, square += d * d;
      };
    });
    for (int k = 0; k < c; ++k) {
      const T d = sums[k] / n, var = std::max(T(0), sums[c + k] / n - d * d), spread = spec.unbiased && s.n > 1 ? var * (n / (n - 1)) : var;
      batch[k] = x[k] + d;
      batch[room(c) + k] = 1 / std::sqrt((sums[c + k] == sums[c + k] ? var : sums[c + k]) + eps);
      running[k] += T(spec.momentum) * (batch[k] - running[k]);
      running[room(c) + k] += T(spec.momentum) * (spread - running[room(c) + k]);
      scale[k] = w[k] * batch[room(c) + k];
    }
  } else {
    for (int k = 0; k < c; ++k) scale[k] = w[k] / std::sqrt(running[room(c) + k] + eps);
  }
  return scale;
}
template <bool Clamped, class T>
void norm_forward(Cpu& dev, NormSpec spec, Clamp bounds, Index n, int c, const T* x, const T* w, T* running, T* batch, T* y, bool training) {
  const NormStretches s(n);
  const T* const scale = norm_scale(dev, spec, s, c, x, w, running, batch, training);
  normalise<Clamped>(dev, s, bounds, c, x, scale, training ? batch : running, w + room(c), y);
}

/// x and w tell which outputs were within the bounds.
template <bool Clamped, class T>
void norm_backward(Cpu& dev, Clamp bounds, Index n, int c, const T* x, const T* w, const T* batch, const T* dy,
                         T* dx,              // (N, C) or null
                         T* dw) {            // += gamma (C), beta (C)
  const NormStretches s(n);
  T* const sums = reinterpret_cast<T*>(dev.arena()) + s.count * 2 * c;          // (2, C): of dy times x normalised, of dy
  const auto gradient = [=]<class V>(Index at, int k, V centred) {              // dy where it passes
    const V d = load_as<V>(dy + at);
    if (!Clamped) return d;
    const V y = load_as<V>(w + k) * load_as<V>(batch + room(c) + k) * centred + load_as<V>(w + room(c) + k);
    const V low = V{} + T(bounds.low), high = V{} + T(bounds.high);
    return y <= low ? V{} : y >= high ? V{} : d;
  };
  sum_two(dev, s, c, sums, [=](int k, auto v) {
    using V = decltype(v);
    return [=](Index p, int g, V& product, V& sum) {
      const int at = k + g * Number<V>::lanes;
      const V centred = load_as<V>(x + p * c + at) - load_as<V>(batch + at), d = gradient(p * c + at, at, centred);
      product += d * (centred * load_as<V>(batch + room(c) + at)), sum += d;
    };
  });
  for (int k = 0; k < c; ++k) dw[k] += sums[k], dw[room(c) + k] += sums[c + k];
  if (!dx) return;
  const T share = 1 / T(n);
  dev.run(s.count, [&](Index stretch, int) {
    each_channels<T>(c, [&]<class V, int G>(int k0, V, std::integral_constant<int, G>) {
      for (Index p = s.begin(stretch); p < s.end(stretch); ++p)
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) {
          const int k = k0 + g * Number<V>::lanes;
          const V spread = load_as<V>(batch + room(c) + k), centred = load_as<V>(x + p * c + k) - load_as<V>(batch + k);
          const V mean = (load_as<V>(sums + c + k) + centred * spread * load_as<V>(sums + k)) * share;
          store_as<V>(dx + p * c + k, load_as<V>(w + k) * spread * (gradient(p * c + k, k, centred) - mean));
        }
    });
  });
}

}  // namespace detail

template <class T> void batch_norm_forward(Cpu& dev, NormSpec spec, Index n, int c, const T* x, const T* w, T* running, T* batch, T* y, bool training) {
  detail::norm_forward<false>(dev, spec, {}, n, c, x, w, running, batch, y, training);
}
template <class T> void batch_norm_backward(Cpu& dev, Index n, int c, const T* x, const T* w, const T* batch, const T* dy, T* dx, T* dw) {
  detail::norm_backward<false>(dev, {}, n, c, x, w, batch, dy, dx, dw);
}
/// The same with a ReLU behind it; y need not be kept.
template <class T> void batch_norm_clamp_forward(Cpu& dev, NormSpec spec, Clamp bounds, Index n, int c, const T* x, const T* w, T* running, T* batch, T* y, bool training) {
  detail::norm_forward<true>(dev, spec, bounds, n, c, x, w, running, batch, y, training);
}
template <class T> void batch_norm_clamp_backward(Cpu& dev, Clamp bounds, Index n, int c, const T* x, const T* w, const T* batch, const T* dy, T* dx, T* dw) {
  detail::norm_backward<true>(dev, bounds, n, c, x, w, batch, dy, dx, dw);
}
template <class T> Index batch_norm_arena(const Cpu&, T, Index, int c) { return ((detail::NormStretches::most + 1) * 2 + 1) * c * Index(sizeof(T)); }

}  // namespace lamina
