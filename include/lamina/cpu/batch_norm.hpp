/// Batch normalisation on the CPU, with ReLU or ReLU6 after it or alone. Pixels are summed in stretches whose bounds follow from the shapes, so no sum depends on the threads.
#pragma once
#include <algorithm>
#include <cmath>

#include "../core/layer.hpp"
#include "channels.hpp"
#include "cpu.hpp"

namespace lamina {

namespace detail {
/// Where the steps before may take the moments along, a stretch lies within a sample.
struct NormStretches {
  static constexpr Index most_of_all = 64;
  Index n, each, of_one, count;          // pixels in all, of a stretch; stretches of a sample, or of all; in all
  Index pixels;                          // of a sample, or of all
  NormStretches(Index samples, Index of_sample) : n(samples * of_sample) {
    pixels = by_sample(of_sample) ? of_sample : n;
    each = by_sample(of_sample) ? 512 : std::max<Index>((n + most_of_all - 1) / most_of_all, 16);
    of_one = (pixels + each - 1) / each;
    count = n / pixels * of_one;
  }
  static bool by_sample(Index pixels) { return pixels >= 64; }
  Index begin(Index s) const { return s / of_one * pixels + s % of_one * each; }
  Index end(Index s) const { return s / of_one * pixels + std::min((s % of_one + 1) * each, pixels); }
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
/// parts (stretches, 2, C) = mean and sum of the squared distances from it, of each stretch.
template <class T> void norm_measure(Cpu& dev, const NormStretches& s, int c, const T* x, T* parts) {
  dev.run(s.count, [&](Index stretch, int) {
    const Index begin = s.begin(stretch), end = s.end(stretch);
    const T n = T(end - begin);
    T* const part = parts + stretch * 2 * c;
    each_channels<T>(c, [&]<class V, int G>(int k, V, std::integral_constant<int, G>) {
      constexpr int lanes = Number<V>::lanes;
      // Of the distances from the first pixel, so that what cancels is no larger than itself.
      V first[G], sum[G] = {}, square[G] = {};
      for (int g = 0; g < G; ++g) first[g] = load_as<V>(x + begin * c + k + g * lanes);
      for (Index p = begin; p < end; ++p)
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) {
          const V d = load_as<V>(x + p * c + k + g * lanes) - first[g];
          sum[g] += d, square[g] += d * d;
        }
      for (int g = 0; g < G; ++g) {
        const V mean = sum[g] / n, rest = square[g] - sum[g] * mean;
        store_as(part + k + g * lanes, V(first[g] + mean)), store_as(part + c + k + g * lanes, V(rest < V{} ? V{} : rest));
      }
    });
  });
}
/// batch (2, C) = mean and 1 / sqrt(var + eps) of all stretches together, by Chan, Golub and LeVeque 1979; running (2, C) follows them. Both have each on its own lines.
template <class T> void norm_settle(NormSpec spec, const NormStretches& s, int c, const T* parts, T* running, T* batch) {
  T *const mean = batch, *const square = batch + room(c);
  const T n = T(s.n);
  const auto each = [&](const auto& f) {
    for (Index stretch = 0; stretch < s.count; ++stretch) f(parts + stretch * 2 * c, T(s.end(stretch) - s.begin(stretch)));
  };
  std::fill_n(mean, c, T(0)), std::fill_n(square, c, T(0));
  each([&](const T* of, T pixels) { for (int k = 0; k < c; ++k) mean[k] += pixels * (of[k] - parts[k]); });
  for (int k = 0; k < c; ++k) mean[k] = parts[k] + mean[k] / n;
  each([&](const T* of, T pixels) {
    for (int k = 0; k < c; ++k) square[k] += of[c + k] + pixels * (of[k] - mean[k]) * (of[k] - mean[k]);
  });
  for (int k = 0; k < c; ++k) {
    const T var = square[k] / n, spread = spec.unbiased && s.n > 1 ? var * (n / (n - 1)) : var;
    running[k] += T(spec.momentum) * (mean[k] - running[k]);
    running[room(c) + k] += T(spec.momentum) * (spread - running[room(c) + k]);
    square[k] = 1 / std::sqrt(var + T(spec.epsilon));
  }
}
/// What x is multiplied with (C); it lies in the arena.
template <class T>
const T* norm_scale(Cpu& dev, NormSpec spec, const NormStretches& s, int c,
                    const T* x,              // (N, C), N counts pixels
                    const T* w,              // gamma (C), beta (C), each on its own lines
                    T* running,              // mean (C), variance (C), likewise
                    T* batch,                // mean (C), 1 / sqrt(var + eps) (C), likewise
                    NormBy by) {
  T *const parts = reinterpret_cast<T*>(dev.arena()), *const scale = parts + (s.count + 1) * 2 * c;
  if (by == NormBy::batch) norm_measure(dev, s, c, x, parts), norm_settle(spec, s, c, parts, running, batch);
  for (int k = 0; k < c; ++k) scale[k] = by == NormBy::running ? w[k] / std::sqrt(running[room(c) + k] + T(spec.epsilon)) : w[k] * batch[room(c) + k];
  return scale;
}
template <bool Clamped, class T>
void norm_forward(Cpu& dev, NormSpec spec, Clamp bounds, const NormStretches& s, int c, const T* x, const T* w, T* running, T* batch, T* y, NormBy by) {
  const T* const scale = norm_scale(dev, spec, s, c, x, w, running, batch, by);
  normalise<Clamped>(dev, s, bounds, c, x, scale, by == NormBy::running ? running : batch, w + room(c), y);
}

/// x and w tell which outputs were within the bounds.
template <bool Clamped, class T>
void norm_backward(Cpu& dev, Clamp bounds, const NormStretches& s, int c, const T* x, const T* w, const T* batch, const T* dy,
                         T* dx,              // (N, C) or null
                         T* dw) {            // += gamma (C), beta (C)
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
  const T share = 1 / T(s.n);
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

/// Of `samples` with so many pixels each.
template <class T> void batch_norm_forward(Cpu& dev, NormSpec spec, Index samples, Index pixels, int c, const T* x, const T* w, T* running, T* batch, T* y, NormBy by) {
  detail::norm_forward<false>(dev, spec, {}, {samples, pixels}, c, x, w, running, batch, y, by);
}
template <class T> void batch_norm_backward(Cpu& dev, Index samples, Index pixels, int c, const T* x, const T* w, const T* batch, const T* dy, T* dx, T* dw) {
  detail::norm_backward<false>(dev, {}, {samples, pixels}, c, x, w, batch, dy, dx, dw);
}
/// The same with a ReLU behind it; y need not be kept.
template <class T> void batch_norm_clamp_forward(Cpu& dev, NormSpec spec, Clamp bounds, Index samples, Index pixels, int c, const T* x, const T* w, T* running, T* batch, T* y, NormBy by) {
  detail::norm_forward<true>(dev, spec, bounds, {samples, pixels}, c, x, w, running, batch, y, by);
}
template <class T>
void batch_norm_clamp_backward(Cpu& dev, Clamp bounds, Index samples, Index pixels, int c, const T* x, const T* w, const T* batch, const T* dy, T* dx, T* dw) {
  detail::norm_backward<true>(dev, bounds, {samples, pixels}, c, x, w, batch, dy, dx, dw);
}
/// Enough for fewer samples too, which may be cut into more stretches.
template <class T> Index batch_norm_arena(const Cpu&, T, Index samples, Index pixels, int c) {
  using S = detail::NormStretches;
  return (((S::by_sample(pixels) ? S(samples, pixels).count : S::most_of_all) + 1) * 2 + 1) * c * Index(sizeof(T));
}

/// The moments of samples alone, as parts that batch_norm_settle() puts together: so many numbers for each, or none where samples are too small for it.
template <class T> Index batch_norm_parts(const Cpu&, T, Index pixels, int c) { return detail::NormStretches::by_sample(pixels) ? detail::NormStretches(1, pixels).count * 2 * c : 0; }
template <class T> void batch_norm_measure(Cpu& dev, Index samples, Index pixels, int c, const T* x, T* parts) { detail::norm_measure(dev, {samples, pixels}, c, x, parts); }
template <class T> void batch_norm_settle(Cpu&, NormSpec spec, Index samples, Index pixels, int c, const T* parts, T* running, T* batch) {
  detail::norm_settle(spec, {samples, pixels}, c, parts, running, batch);
}

}  // namespace lamina
