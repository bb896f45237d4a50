/// Batch normalisation on the CPU. Pixels are summed in stretches whose bounds follow from their number, so no sum depends on the threads.
#pragma once
#include <algorithm>
#include <cmath>

#include "../core/layer.hpp"
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

/// total (rows, C) = the sum over the pixels of f(pixel, partial (rows, C)), which adds to its partial.
template <class T, class F> void sum_channels(Cpu& dev, const NormStretches& s, Index numbers, T* total, const F& f) {
  T* parts = reinterpret_cast<T*>(dev.arena());
  dev.run(s.count, [&](Index stretch, int) {
    T* part = parts + stretch * numbers;
    std::fill_n(part, numbers, T(0));
    for (Index p = s.begin(stretch); p < s.end(stretch); ++p) f(p, part);
  });
  std::fill_n(total, numbers, T(0));
  for (Index i = 0; i < s.count; ++i)
    for (Index k = 0; k < numbers; ++k) total[k] += parts[i * numbers + k];
}
}  // namespace detail

template <class T>
void batch_norm_forward(Cpu& dev, NormSpec spec, Index n, int c,
                        const T* x,          // (N, C), N counts pixels
                        const T* w,          // gamma (C), beta (C), each on its own lines
                        T* running,          // mean (C), variance (C), likewise
                        T* batch,            // mean (C), 1 / sqrt(var + eps) (C), likewise; written in training
                        T* y, bool training) {
  const detail::NormStretches s(n);
  const T eps = T(spec.epsilon);
  T *mean = running, *var = running + room(c);
  const T *gamma = w, *beta = w + room(c);
  if (training) {
    mean = batch, var = batch + room(c);
    detail::sum_channels(dev, s, c, mean, [=](Index p, T* part) { for (int k = 0; k < c; ++k) part[k] += x[p * c + k]; });
    for (int k = 0; k < c; ++k) mean[k] /= T(n);
    detail::sum_channels(dev, s, c, var, [=](Index p, T* part) { for (int k = 0; k < c; ++k) part[k] += (x[p * c + k] - mean[k]) * (x[p * c + k] - mean[k]); });
    for (int k = 0; k < c; ++k) {
      var[k] /= T(n);
      const T spread = spec.unbiased && n > 1 ? var[k] * (T(n) / T(n - 1)) : var[k];
      running[k] += T(spec.momentum) * (mean[k] - running[k]);
      running[room(c) + k] += T(spec.momentum) * (spread - running[room(c) + k]);
      var[k] = 1 / std::sqrt(var[k] + eps);
    }
  }
  dev.run(s.count, [&](Index stretch, int) {
    for (Index p = s.begin(stretch); p < s.end(stretch); ++p)
      for (int k = 0; k < c; ++k) {
        const T scale = gamma[k] * (training ? var[k] : 1 / std::sqrt(var[k] + eps));
        y[p * c + k] = scale * (x[p * c + k] - mean[k]) + beta[k];
      }
  });
}

template <class T>
void batch_norm_backward(Cpu& dev, Index n, int c, const T* x, const T* w, const T* batch, const T* dy,
                         T* dx,              // (N, C) or null
                         T* dw) {            // += gamma (C), beta (C)
  const detail::NormStretches s(n);
  const T *mean = batch, *scale = batch + room(c);
  T* sums = reinterpret_cast<T*>(dev.arena()) + s.count * 2 * c;   // (2, C): of dy times x normalised, of dy
  detail::sum_channels(dev, s, 2 * c, sums, [=](Index p, T* part) {
    for (int k = 0; k < c; ++k) part[k] += dy[p * c + k] * ((x[p * c + k] - mean[k]) * scale[k]), part[c + k] += dy[p * c + k];
  });
  for (int k = 0; k < c; ++k) dw[k] += sums[k], dw[room(c) + k] += sums[c + k];
  if (!dx) return;
  dev.run(s.count, [&](Index stretch, int) {
    for (Index p = s.begin(stretch); p < s.end(stretch); ++p)
      for (int k = 0; k < c; ++k)
        dx[p * c + k] = w[k] * scale[k] * (dy[p * c + k] - (sums[c + k] + (x[p * c + k] - mean[k]) * scale[k] * sums[k]) / T(n));
  });
}

template <class T> Index batch_norm_arena(const Cpu&, T, Index, int c) { return (detail::NormStretches::most + 1) * 2 * c * Index(sizeof(T)); }

}  // namespace lamina
