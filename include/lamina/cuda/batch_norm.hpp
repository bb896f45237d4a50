/// Batch normalisation on a GPU, with ReLU or ReLU6 after it or alone. Forward is three launches, or one by the running values; backward three, or two without dx. Its sums are those of
/// batch_norm_sums.hpp.
#pragma once
#include "../core/number.hpp"
#include "batch_norm_sums.hpp"
#include "places.hpp"

namespace lamina {

namespace kernels::inline LAMINA_SIMT {

/// What x is multiplied with, and what is taken from it before and added to it afterwards.
template <class M, int V> struct Normal {
  M scale[V], mean[V], beta[V];
  LAMINA_DEVICE Normal(const M* w, const M* mean_and_spread, bool spread_is_variance, M epsilon, int apart, int channel) {
    load_all(mean, mean_and_spread + channel), load_all(scale, mean_and_spread + apart + channel), load_all(beta, w + apart + channel);
    LAMINA_UNROLL
    for (int e = 0; e < V; ++e) scale[e] = load(w + channel + e) * (spread_is_variance ? 1 / Number<M>::root(scale[e] + epsilon) : scale[e]);
  }
  LAMINA_DEVICE M operator()(int e, M x) const { return scale[e] * (x - mean[e]) + beta[e]; }
};
/// y = scale (x - mean) + beta, plus z if there is one, within the bounds.
template <class T, int V, bool adds> struct NormOutput {
  using M = Master<T>;
  struct Loaded { Pack<T, V> x, z; };
  static constexpr int threads = NormExtent::threads, shared_bytes = 0, blocks = NormExtent::blocks;
  LAMINA_DEVICE static void run(NormExtent e, Bounds<M> bounds, const T* x, const T* z, const M* w, const M* mean_and_spread, bool spread_is_variance, M epsilon, T* y) {
    const NormLane<V> lane(e);
    if (lane.first >= lane.end) return;
    const Normal<M, V> norm(w, mean_and_spread, spread_is_variance, epsilon, e.apart, lane.channel);
    const auto fetch = [&](Index p) {
      const Index at = p * e.c + lane.channel;
      if constexpr (adds) return Loaded{load(packs<V>(x + at)), load(packs<V>(z + at))};
      else return load(packs<V>(x + at));
    };
    const auto put = [&](Index p, const auto& pixel) {
      M v[V];
      LAMINA_UNROLL
      for (int k = 0; k < V; ++k) {
        if constexpr (adds) v[k] = bounds(norm(k, M(pixel.x.v[k])) + M(pixel.z.v[k]));
        else v[k] = bounds(norm(k, M(pixel.v[k])));
      }
      store(packs<V>(y + p * e.c + lane.channel), packed<T>(v));
    };
    lane.template each_pixel<adds ? 4 : 8>(fetch, put);
  }
};

/// dy where it passes the bounds; x and w tell which outputs were within.
template <class T, int V> struct ClampedGradient {
  using M = Master<T>;
  using Loaded = Pack<T, V>;
  static constexpr int together = 4;
  const T* dy; int c; Bounds<M> bounds;
  ClampedGradient(const T* from, int all, Clamp clamp) : dy(from), c(all), bounds(clamp) {}
  LAMINA_DEVICE Pack<T, V> fetch(Index p, int channel) const { return load(packs<V>(dy + p * c + channel)); }
  LAMINA_DEVICE M gradient(const Pack<T, V>& d, int e, M y) const { return y <= bounds.low || y >= bounds.high ? 0 : M(d.v[e]); }
};

template <class T, int V, class Gradient> struct NormLoaded { Pack<T, V> x; typename Gradient::Loaded d; };
/// The sums of dy times x normalised, and of dy.
template <class T, int V, class Gradient> struct NormGradientSums {
  using Number = Master<T>;
  using Loaded = NormLoaded<T, V, Gradient>;
  static constexpr int channels = V, together = Gradient::together;
  const T* x; const Number *w, *batch; int c; Gradient gradient;
  Number mean[V], scale[V], beta[V];
  NormGradientSums(const T* from, const Number* parameters, const Number* moments, int all, Gradient g) : x(from), w(parameters), batch(moments), c(all), gradient(g) {}
  LAMINA_DEVICE void start(const NormExtent& e, const NormLane<V>& lane) {
    load_all(mean, batch + lane.channel), load_all(scale, w + lane.channel), load_all(beta, w + e.apart + lane.channel);
    LAMINA_UNROLL
    for (int k = 0; k < V; ++k) scale[k] *= load(batch + e.apart + lane.channel + k);
  }
  LAMINA_DEVICE Loaded fetch(Index p, int channel) const { return {load(packs<V>(x + p * c + channel)), gradient.fetch(p, channel)}; }
  LAMINA_DEVICE void note(Index p, int channel, const Loaded& at) const requires requires { gradient.note(p, channel, at.d); } { gradient.note(p, channel, at.d); }
  LAMINA_DEVICE Number passes(const Loaded& at, int k, Number centred) const { return gradient.gradient(at.d, k, scale[k] * centred + beta[k]); }
  LAMINA_DEVICE void add(const Loaded& at, Number (&product)[V], Number (&sum)[V]) const {
    LAMINA_UNROLL
    for (int k = 0; k < V; ++k) {
      const Number centred = Number(at.x.v[k]) - mean[k], d = passes(at, k, centred);
      product[k] += d * centred, sum[k] += d;
    }
  }
  LAMINA_DEVICE void finish(const NormExtent& e, int channel, Index, Index, Number product, Number sum, Number* first, Number* second) const {
    store(first, product * load(batch + e.apart + channel)), store(second, sum);
  }
};
/// dx = gamma spread (dy - the mean of dy - x normalised times the mean of dy times x normalised).
template <class T, int V, class Gradient> struct NormInputGradient {
  using M = Master<T>;
  static constexpr int threads = NormExtent::threads, shared_bytes = 0, blocks = NormExtent::blocks;
  LAMINA_DEVICE static void run(NormExtent e, Index all, NormGradientSums<T, V, Gradient> job, const M* sums, T* dx) {   // all: pixels of the batch that the means are taken over
    const NormLane<V> lane(e);
    if (lane.first >= lane.end) return;
    job.start(e, lane);
    M slope[V], mean[V];
    load_all(slope, sums + lane.channel), load_all(mean, sums + e.c + lane.channel);
    const M share = 1 / M(all);
    LAMINA_UNROLL
    for (int k = 0; k < V; ++k) slope[k] *= load(job.batch + e.apart + lane.channel + k) * share, mean[k] *= share;
    const auto put = [&](Index p, const NormLoaded<T, V, Gradient>& at) {
      M v[V];
      LAMINA_UNROLL
      for (int k = 0; k < V; ++k) {
        const M centred = M(at.x.v[k]) - job.mean[k];
        v[k] = job.scale[k] * (job.passes(at, k, centred) - mean[k] - centred * slope[k]);
      }
      store(packs<V>(dx + p * e.c + lane.channel), packed<T>(v));
    };
    lane.template each_pixel<Gradient::together>([&](Index p) { return job.fetch(p, lane.channel); }, put);
  }
};

}  // namespace kernels::inline LAMINA_SIMT

namespace detail {
template <class T> Index norm_parts(const Shares& cut, Index pixels, int c) {
  Index numbers = 0;
  kernels::by_channels<T>(c, [&]<int V>(std::integral_constant<int, V>) { numbers = kernels::NormExtent(cut, pixels, c, V).stretches.count * 2 * Index(c); });
  return numbers;
}
/// The whole batch, of which the samples here are a part, where its moments are those of all replicas.
inline Shares norm_cut(const Replica& r, Index samples) {
  const Shares here = r.cut(samples);
  return r.joins_moments() ? Shares{here.n, 0, here.of, here.of} : here;
}
/// Numbers in which the parts of all replicas are gathered: those here, those of all, and those of all that there are.
template <class T> Index norm_gathered(const Replica& r, Index samples, Index pixels, int c) {
  Index numbers = 0;
  if (r.joins_moments())
    kernels::by_channels<T>(c, [&]<int V>(std::integral_constant<int, V>) { numbers = 3 * r.of * kernels::NormExtent(norm_cut(r, samples), pixels, c, V).stretches.each * 2 * Index(c); });
  return numbers;
}
/// What all replicas have left for the stretches of their shares: the parts (stretches, 2, C) of the whole batch. Those of this one are `parts`, behind which there is room for those of all, twice.
template <class M, RunsKernels D> const M* norm_gather(D& dev, const kernels::NormExtent& here, const kernels::NormExtent& whole, M* parts) {
  const Replica& r = dev.replica;
  if (!r.joins_moments()) return parts;
  const Index numbers = 2 * Index(here.c), each = here.stretches.each, most = each * r.count, ranks = r.of / r.count;      // where samples are fewer than shares a replica has fewer stretches than others
  M *const all = parts + most * numbers, *const packed = all + most * ranks * numbers;
  r.gather(r.replicas, parts, std::size_t(most * numbers) * sizeof(M), all);
  if (whole.stretches.count == most * ranks) return all;
  parallel_for(dev, whole.stretches.count * numbers, kernels::PackStretches<M>{all, packed, norm_cut(r, 0), r.count, most, each, numbers});
  return packed;
}
/// batch and running get the moments of x, or with those of other replicas.
template <int V, RunsKernels D, class T> void norm_measure(D& dev, NormSpec spec, Index samples, const kernels::NormExtent& e, const T* x, Master<T>* running, Master<T>* batch) {
  const kernels::NormExtent whole(norm_cut(dev.replica, samples), e.of_sample, e.c, V);
  if (!whole.pixels) return;
  auto* const parts = reinterpret_cast<Master<T>*>(dev.arena());
  if (e.pixels) dev.template launch<kernels::NormSums<kernels::Moments<T, V>>>(e.grid(), e, kernels::Moments<T, V>(x, e.c), parts);
  dev.template launch<kernels::NormSettle<Master<T>>>(kernels::NormChannels::grid(whole), whole, spec, norm_gather(dev, e, whole, parts), running, batch);
}
/// The gradients tell what comes to each pixel: `first` where it is summed, and then `again`.
template <int V, RunsKernels D, class T, class Gradient, class Again>
void norm_backward(D& dev, Index samples, Index pixels, int c, const T* x, const Master<T>* w, const Master<T>* batch, Gradient first, Again again, T* dx, Master<T>* dw) {
  using Job = kernels::NormGradientSums<T, V, Gradient>;
  const kernels::NormExtent e(cut_of(dev, samples), pixels, c, V);
  const kernels::NormExtent whole(norm_cut(dev.replica, samples), pixels, c, V);
  const Job job(x, w, batch, c, first);
  auto *const sums = reinterpret_cast<Master<T>*>(dev.arena()), *const parts = sums + 2 * room(c);
  if (e.pixels) dev.template launch<kernels::NormSums<Job>>(e.grid(), e, job, parts);
  dev.template launch<kernels::NormAdd<Master<T>>>(kernels::NormChannels::grid(e), e, static_cast<const Master<T>*>(parts), sums, dw, dev.writes_gradients);
  if (!dx) return;
  if (dev.replica.joins_moments())      // the mean over the batch is that of all samples; dw is what those here add to it
    dev.template launch<kernels::NormAdd<Master<T>>>(kernels::NormChannels::grid(whole), whole, norm_gather(dev, e, whole, parts), sums, static_cast<Master<T>*>(nullptr), false);
  if (e.pixels) dev.template launch<kernels::NormInputGradient<T, V, Again>>(e.grid(), e, whole.pixels, kernels::NormGradientSums<T, V, Again>(x, w, batch, c, again), sums, dx);
}
template <bool adds, RunsKernels D, class T>
void norm_forward(D& dev, NormSpec spec, Clamp bounds, Index samples, Index pixels, int c, const T* x, const T* z, const Master<T>* w, Master<T>* running, Master<T>* batch, T* y, NormBy by) {
  kernels::by_channels<T>(c, [&]<int V>(std::integral_constant<int, V>) {
    const kernels::NormExtent e(cut_of(dev, samples), pixels, c, V);
    if (by == NormBy::batch) norm_measure<V>(dev, spec, samples, e, x, running, batch);
    const bool running_values = by == NormBy::running;
    if (e.pixels)
      dev.template launch<kernels::NormOutput<T, V, adds>>(e.grid(), e, kernels::Bounds<Master<T>>(bounds), x, z, w, static_cast<const Master<T>*>(running_values ? running : batch), running_values,
                                                           Master<T>(spec.epsilon), y);
  });
}
}  // namespace detail

/// y = norm(x) within the bounds, of `samples` with so many pixels each.
template <RunsKernels D, class T>
void batch_norm_clamp_forward(D& dev, NormSpec spec, Clamp bounds, Index samples, Index pixels, int c,
                              const T* x,                       // (N, C), N counts pixels
                              const Master<T>* w,               // gamma (C), beta (C), each on its own lines
                              Master<T>* running,               // mean (C), variance (C), likewise
                              Master<T>* batch,                 // mean (C), 1 / sqrt(var + eps) (C), likewise
                              T* y, NormBy by) {
  detail::norm_forward<false>(dev, spec, bounds, samples, pixels, c, x, static_cast<const T*>(nullptr), w, running, batch, y, by);
}
template <RunsKernels D, class T>
void batch_norm_clamp_backward(D& dev, Clamp bounds, Index samples, Index pixels, int c, const T* x, const Master<T>* w, const Master<T>* batch,
                               const T* dy,                     // (N, C)
                               T* dx,                           // (N, C) or null
                               Master<T>* dw) {                 // += gamma (C), beta (C)
  kernels::by_channels<T>(c, [&]<int V>(std::integral_constant<int, V>) {
    const kernels::ClampedGradient<T, V> gradient(dy, c, bounds);
    detail::norm_backward<V>(dev, samples, pixels, c, x, w, batch, gradient, gradient, dx, dw);
  });
}
/// The same without bounds.
template <RunsKernels D, class T>
void batch_norm_forward(D& dev, NormSpec spec, Index samples, Index pixels, int c, const T* x, const Master<T>* w, Master<T>* running, Master<T>* batch, T* y, NormBy by) {
  batch_norm_clamp_forward(dev, spec, {}, samples, pixels, c, x, w, running, batch, y, by);
}
template <RunsKernels D, class T>
void batch_norm_backward(D& dev, Index samples, Index pixels, int c, const T* x, const Master<T>* w, const Master<T>* batch, const T* dy, T* dx, Master<T>* dw) {
  batch_norm_clamp_backward(dev, {}, samples, pixels, c, x, w, batch, dy, dx, dw);
}
template <RunsKernels D, class T> Index batch_norm_arena(const D& dev, T, Index samples, Index pixels, int c) {
  return (detail::most_of_cuts(dev, samples, [&](const Shares& cut) { return detail::norm_parts<T>(cut, pixels, c); }) + detail::norm_gathered<T>(dev.replica, samples, pixels, c) + 2 * room(c)) * Index(sizeof(Master<T>));
}

}  // namespace lamina
