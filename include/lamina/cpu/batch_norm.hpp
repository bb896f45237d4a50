/// Batch normalisation on the CPU, with ReLU or ReLU6 after it or alone. What is summed over pixels is summed within each share of the batch, and then over the shares in a tree (core/shares.hpp):
/// so no sum depends on the threads, nor on how many replicas have parts of the batch.
#pragma once
#include <algorithm>
#include <cmath>

#include "../core/layer.hpp"
#include "../core/tree.hpp"
#include "channels.hpp"
#include "cpu.hpp"

namespace lamina {

namespace detail {
/// A share is summed in stretches, whose bounds follow from its samples alone. Where the steps before may take the moments along, a stretch lies within a sample.
struct NormStretches {
  static constexpr Index of_share = 8, least = 16;             // at most so many, of so many pixels at least, where they are not of a sample
  struct Range {
    Index begin, end;                                          // in pixels
    Index count() const { return end - begin; }
  };
  Shares cut;
  Index pixels, of_sample = within(pixels);                    // of a sample; stretches of a sample, or 0
  /// Of a sample, or places for those of a share.
  Index group = of_sample ? of_sample : std::clamp<Index>(((cut.n + cut.of - 1) / cut.of * pixels + least - 1) / least, 1, of_share);

  static constexpr Index within(Index pixels) { return pixels >= 64 ? (pixels + 511) / 512 : 0; }
  Index first(Index share) const { return of_sample ? cut.begin(share) * group : share * group; }
  Index count() const { return first(cut.count); }
  Range share(Index i) const { return {cut.begin(i) * pixels, cut.begin(i + 1) * pixels}; }
  Range operator[](Index stretch) const {
    const Index i = stretch % group;
    const Range whole = of_sample ? Range{stretch / group * pixels, (stretch / group + 1) * pixels} : share(stretch / group);
    const Index each = of_sample ? 512 : std::max((whole.count() + of_share - 1) / of_share, least);
    return {std::min(whole.begin + i * each, whole.end), std::min(whole.begin + (i + 1) * each, whole.end)};
  }
};

/// The shares whose moments are put together: those of the whole batch if there is a way to learn of them, else those here.
inline Shares norm_shares(const Replica& r, Index samples) {
  const Shares here = r.cut(samples);
  return r.joins_moments() ? Shares{here.n, 0, here.of, here.of} : here;
}

/// What lies in the arena.
template <class T> struct NormRoom {
  T *scale, *here, *all, *parts;                               // (C); (shares, 2, C) of those here and of the whole batch; (stretches, 2, C)
  NormRoom(const Cpu& dev, int c)
      : scale(reinterpret_cast<T*>(dev.arena())), here(scale + room(c)), all(here + dev.replica.count * 2 * c), parts(all + dev.replica.of * 2 * c) {}
  static Index bytes(const Cpu& dev, Index stretches, int c) { return (room(c) + (dev.replica.count + dev.replica.of + stretches) * 2 * c) * Index(sizeof(T)); }
  /// Of norm_shares().
  T* gathered(const Replica& r, int c) const {
    if (!r.joins_moments()) return here;
    r.gather(r.replicas, here, std::size_t(r.count * 2 * c) * sizeof(T), all);
    return all;
  }
};

/// f(begin, end) for blocks of n pixels.
template <class F> void each_pixels(Cpu& dev, Index n, int c, const F& f) {
  const Index each = std::max<Index>(4 * grain / c, 1);
  dev.run((n + each - 1) / each, [&](Index task, int) { f(task * each, std::min((task + 1) * each, n)); });
}

/// here (shares, 2, C) = the sums over the pixels of the two numbers that f(channel)(pixel, first, second) adds for the channels from `channel` on.
template <class T, class F> void sum_two(Cpu& dev, const NormStretches& s, int c, const NormRoom<T>& m, const F& f) {
  dev.run(s.count(), [&](Index stretch, int) {
    T* part = m.parts + stretch * 2 * c;
    const NormStretches::Range range = s[stretch];
    each_channels<T>(c, [&]<class V, int G>(int k, V, std::integral_constant<int, G>) {
      V first[G] = {}, second[G] = {};
      const auto add = f(k, V());
      for (Index p = range.begin; p < range.end; ++p)
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) add(p, g, first[g], second[g]);
      for (int g = 0; g < G; ++g) store_as(part + k + g * Number<V>::lanes, first[g]), store_as(part + c + k + g * Number<V>::lanes, second[g]);
    });
  });
  dev.run(s.cut.count, [&](Index share, int) {
    T* __restrict const sum = m.here + share * 2 * c;
    std::fill_n(sum, 2 * c, T(0));
    for (Index i = s.first(share); i < s.first(share + 1); ++i)
      for (int k = 0; k < 2 * c; ++k) sum[k] += m.parts[i * 2 * c + k];
  });
}
/// What sum_two() left for the shares here is added to dw (2, C), each on its own lines. Returns the sums over the whole batch (2, C), if they are
/// wanted: all replicas want them, or none.
template <class T> const T* norm_sums(Cpu& dev, int c, const NormRoom<T>& m, bool wanted, T* dw) {
  const Replica& r = dev.replica;
  const auto add = [c](Index count, T* sums) { tree_sum<T>(int(count), 2 * c, [=](Index share) { return sums + share * 2 * c; }); };
  T* const all = wanted ? m.gathered(r, c) : nullptr;
  dev.run(1, [&](Index, int) {              // as a task, since numbers that are too small are zero there, and in the sums over replicas too
    add(r.count, m.here);
    for (int k = 0; k < c; ++k) dw[k] += m.here[k], dw[room(c) + k] += m.here[c + k];
    if (all && all != m.here) add(r.of, all);
  });
  return all;
}

/// y = scale (x - mean) + beta within the bounds, if there are any. All of the channels.
template <bool Clamped, class T> void normalise(Cpu& dev, Index n, Clamp bounds, int c, const T* x, const T* scale, const T* mean, const T* beta, T* y) {
  each_pixels(dev, n, c, [&](Index begin, Index end) {
    each_channels<T>(c, [&]<class V, int G>(int k, V, std::integral_constant<int, G>) {
      constexpr int lanes = Number<V>::lanes;
      const V low = V{} + T(bounds.low), high = V{} + T(bounds.high);
      V a[G], m[G], b[G];
      for (int g = 0; g < G; ++g) a[g] = load_as<V>(scale + k + g * lanes), m[g] = load_as<V>(mean + k + g * lanes), b[g] = load_as<V>(beta + k + g * lanes);
      for (Index p = begin; p < end; ++p)
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
  dev.run(s.count(), [&](Index stretch, int) {
    const auto [begin, end] = s[stretch];
    if (begin == end) return;
    const T n = T(end - begin);
    T* const part = parts + stretch * 2 * c;
    each_channels<T>(c, [&, begin = begin, end = end]<class V, int G>(int k, V, std::integral_constant<int, G>) {
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
/// here (shares, 2, C) = the same of each share; zeros where it has no samples.
template <class T> void norm_measure_shares(Cpu& dev, const NormStretches& s, int c, const T* parts, T* here) {
  dev.run(s.cut.count, [&](Index share, int) {
    T *__restrict const mean = here + share * 2 * c, *__restrict const square = mean + c;
    std::fill_n(mean, 2 * c, T(0));
    const T n = T(s.share(share).count());
    if (n == 0) return;
    const T* const nearby = parts + s.first(share) * 2 * c;
    const auto each = [&](const auto& f) {
      for (Index i = s.first(share); i < s.first(share + 1); ++i)
        if (const Index pixels = s[i].count()) f(parts + i * 2 * c, T(pixels));
    };
    each([&](const T* of, T pixels) { for (int k = 0; k < c; ++k) mean[k] += pixels * (of[k] - nearby[k]); });
    for (int k = 0; k < c; ++k) mean[k] = nearby[k] + mean[k] / n;
    each([&](const T* of, T pixels) {
      for (int k = 0; k < c; ++k) square[k] += of[c + k] + pixels * (of[k] - mean[k]) * (of[k] - mean[k]);
    });
  });
}
/// moments (2, C) of the first share = those of all of them, merged two by two in the order of tree_sum() by Chan, Golub and LeVeque 1979. One without samples changes nothing.
template <class T> void norm_merge(const Shares& s, Index pixels, int c, T* moments) {
  for (Index step = 1; step < s.count; step *= 2)
    for (Index t = 0; t + step < s.count; t += 2 * step) {
      const Index left = s.begin(t + step) - s.begin(t), right = s.begin(std::min(t + 2 * step, s.count)) - s.begin(t + step);
      T* __restrict const a = moments + t * 2 * c;
      const T* __restrict const b = a + step * 2 * c;
      if (!left) std::copy_n(b, 2 * c, a);
      if (!left || !right) continue;
      const double of_right = double(right) / double(left + right);
      const T toward = T(of_right), apart = T(of_right * double(left * pixels));
      for (int k = 0; k < c; ++k) {
        const T d = b[k] - a[k];
        a[k] += toward * d, a[c + k] += b[c + k] + apart * d * d;
      }
    }
}
/// batch (2, C) = mean and 1 / sqrt(var + eps) of all shares; running (2, C) follows them. Both have each on its own lines.
template <class T> void norm_settle(Cpu& dev, NormSpec spec, Index samples, Index pixels, int c, const T* parts, T* running, T* batch) {
  const NormRoom<T> m(dev, c);
  norm_measure_shares(dev, {dev.replica.cut(samples), pixels}, c, parts, m.here);
  T* const moments = m.gathered(dev.replica, c);
  const Shares s = norm_shares(dev.replica, samples);
  norm_merge(s, pixels, c, moments);
  const T n = T(s.begin(s.count) * pixels);
  if (n == 0) return;                                          // a replica by itself that has no samples learns nothing
  const T correct = spec.unbiased && n > 1 ? n / (n - 1) : T(1);
  for (int k = 0; k < c; ++k) {
    const T var = moments[c + k] / n;
    batch[k] = moments[k], batch[room(c) + k] = 1 / std::sqrt(var + T(spec.epsilon));
    running[k] += T(spec.momentum) * (moments[k] - running[k]);
    running[room(c) + k] += T(spec.momentum) * (var * correct - running[room(c) + k]);
  }
}
/// What x is multiplied with (C); it lies in the arena.
template <class T>
const T* norm_scale(Cpu& dev, NormSpec spec, Index samples, Index pixels, int c,
                    const T* x,              // (samples, pixels, C)
                    const T* w,              // gamma (C), beta (C), each on its own lines
                    T* running,              // mean (C), variance (C), likewise
                    T* batch,                // mean (C), 1 / sqrt(var + eps) (C), likewise
                    NormBy by) {
  const NormRoom<T> m(dev, c);
  if (by == NormBy::batch) {
    norm_measure(dev, {dev.replica.cut(samples), pixels}, c, x, m.parts);
    norm_settle(dev, spec, samples, pixels, c, m.parts, running, batch);
  }
  for (int k = 0; k < c; ++k) m.scale[k] = by == NormBy::running ? w[k] / std::sqrt(running[room(c) + k] + T(spec.epsilon)) : w[k] * batch[room(c) + k];
  return m.scale;
}
template <bool Clamped, class T>
void norm_forward(Cpu& dev, NormSpec spec, Clamp bounds, Index samples, Index pixels, int c, const T* x, const T* w, T* running, T* batch, T* y, NormBy by) {
  const T* const scale = norm_scale(dev, spec, samples, pixels, c, x, w, running, batch, by);
  normalise<Clamped>(dev, samples * pixels, bounds, c, x, scale, by == NormBy::running ? running : batch, w + room(c), y);
}

/// x and w tell which outputs were within the bounds.
template <bool Clamped, class T>
void norm_backward(Cpu& dev, Clamp bounds, Index samples, Index pixels, int c, const T* x, const T* w, const T* batch, const T* dy,
                         T* dx,              // (samples, pixels, C) or null
                         T* dw) {            // += gamma (C), beta (C)
  const NormRoom<T> m(dev, c);
  const auto gradient = [=]<class V>(Index at, int k, V centred) {              // dy where it passes
    const V d = load_as<V>(dy + at);
    if (!Clamped) return d;
    const V y = load_as<V>(w + k) * load_as<V>(batch + room(c) + k) * centred + load_as<V>(w + room(c) + k);
    const V low = V{} + T(bounds.low), high = V{} + T(bounds.high);
    return y <= low ? V{} : y >= high ? V{} : d;
  };
  sum_two(dev, {dev.replica.cut(samples), pixels}, c, m, [=](int k, auto v) {   // of dy times x normalised, of dy
    using V = decltype(v);
    return [=](Index p, int g, V& product, V& sum) {
      const int at = k + g * Number<V>::lanes;
      const V centred = load_as<V>(x + p * c + at) - load_as<V>(batch + at), d = gradient(p * c + at, at, centred);
      product += d * (centred * load_as<V>(batch + room(c) + at)), sum += d;
    };
  });
  const T* const sums = norm_sums(dev, c, m, dx, dw);
  if (!dx) return;
  const Shares s = norm_shares(dev.replica, samples);
  const T share = 1 / T(s.begin(s.count) * pixels);
  each_pixels(dev, samples * pixels, c, [=](Index begin, Index end) {
    each_channels<T>(c, [&]<class V, int G>(int k0, V, std::integral_constant<int, G>) {
      for (Index p = begin; p < end; ++p)
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
  detail::norm_forward<false>(dev, spec, {}, samples, pixels, c, x, w, running, batch, y, by);
}
template <class T> void batch_norm_backward(Cpu& dev, Index samples, Index pixels, int c, const T* x, const T* w, const T* batch, const T* dy, T* dx, T* dw) {
  detail::norm_backward<false>(dev, {}, samples, pixels, c, x, w, batch, dy, dx, dw);
}
/// The same with a ReLU behind it; y need not be kept.
template <class T> void batch_norm_clamp_forward(Cpu& dev, NormSpec spec, Clamp bounds, Index samples, Index pixels, int c, const T* x, const T* w, T* running, T* batch, T* y, NormBy by) {
  detail::norm_forward<true>(dev, spec, bounds, samples, pixels, c, x, w, running, batch, y, by);
}
template <class T>
void batch_norm_clamp_backward(Cpu& dev, Clamp bounds, Index samples, Index pixels, int c, const T* x, const T* w, const T* batch, const T* dy, T* dx, T* dw) {
  detail::norm_backward<true>(dev, bounds, samples, pixels, c, x, w, batch, dy, dx, dw);
}
/// Enough for fewer samples too, however they are cut.
template <class T> Index batch_norm_arena(const Cpu& dev, T, Index samples, Index pixels, int c) {
  using S = detail::NormStretches;
  return detail::NormRoom<T>::bytes(dev, S::within(pixels) ? samples * S::within(pixels) : dev.replica.count * S::of_share, c);
}

/// The moments of samples alone, as parts that batch_norm_settle() puts together: so many numbers for each, or none where samples are too small for it.
template <class T> Index batch_norm_parts(const Cpu&, T, Index pixels, int c) { return detail::NormStretches::within(pixels) * 2 * c; }
template <class T> void batch_norm_measure(Cpu& dev, Index samples, Index pixels, int c, const T* x, T* parts) { detail::norm_measure(dev, {{samples, 0, 1, 1}, pixels}, c, x, parts); }
template <class T> void batch_norm_settle(Cpu& dev, NormSpec spec, Index samples, Index pixels, int c, const T* parts, T* running, T* batch) {
  detail::norm_settle(dev, spec, samples, pixels, c, parts, running, batch);
}

}  // namespace lamina
