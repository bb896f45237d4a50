/// Batch normalisation on a GPU, with ReLU or ReLU6 after it or alone. Sums over pixels are taken in stretches whose bounds follow from the shapes, and put together in their order.
/// Forward is three launches, or one by the running values; backward three, or two without dx.
#pragma once
#include <algorithm>

#include "../core/number.hpp"
#include "places.hpp"
#include "rules.hpp"

namespace lamina {

namespace kernels::inline LAMINA_SIMT {

/// The pixels (N, C) of a batch in stretches, `across` lanes wide with V channels each. A block has the lanes of one stretch, several rows of them, each with as many pixels but for the last
/// stretch's. There are so many stretches that all blocks are at work at once, with as many loads under way as it takes.
struct NormExtent {
  static constexpr int threads = 256, blocks = 2, most = blocks * CudaRules::multiprocessors, least = 4;    // blocks of a multiprocessor; pixels of a lane
  Index pixels, each; int c, apart, across, groups, stretches;  // apart: from the mean to the spread, and from gamma to beta
  NormExtent(Index n, int channels, int at_once) : pixels(n), c(channels), apart(int(room(channels))) {
    const int lanes = c / at_once;
    groups = int(pieces(lanes, 32));
    across = int(pieces(lanes, groups));
    const int rows = threads / across;
    each = std::max<Index>(pieces(pieces(n, std::max(1, most / groups)), rows), least) * rows;
    stretches = int(std::max<Index>(pieces(n, each), 1));
  }
  Grid grid() const { return {stretches, groups}; }
  LAMINA_DEVICE Index begin(int stretch) const { return stretch < stretches ? stretch * each : pixels; }
};
/// A lane's part: channels from `channel` on, and pixels first, first + step, ... below end.
template <int V> struct NormLane {
  int row, column, channel, step;
  Index begin, first, end;
  LAMINA_DEVICE explicit NormLane(const NormExtent& e) {
    const Place block = block_index();
    row = thread_index() / e.across, column = thread_index() % e.across, step = NormExtent::threads / e.across;
    channel = (block.y * e.across + column) * V;
    begin = e.begin(block.x), first = begin + row, end = e.begin(block.x + 1);
    if (row >= step || channel >= e.c) end = first;
  }
  /// use(pixel, fetch(pixel)) for all pixels, so many of which are fetched at a time.
  template <int Together, class Fetch, class Use> LAMINA_DEVICE void each_pixel(const Fetch& fetch, const Use& use) const {
    for (Index p = first; p < end; p += Together * step) {
      decltype(fetch(p)) loaded[Together];
      LAMINA_UNROLL
      for (int u = 0; u < Together; ++u) loaded[u] = p + u * step < end ? fetch(p + u * step) : decltype(fetch(p)){};
      LAMINA_UNROLL
      for (int u = 0; u < Together; ++u)
        if (p + u * step < end) use(p + u * step, loaded[u]);
    }
  }
};
template <int V, class M> LAMINA_DEVICE void load_all(M (&to)[V], const M* from) {
  LAMINA_UNROLL
  for (int e = 0; e < V; ++e) to[e] = load(from + e);
}

/// The first of (rows, count) numbers in shared memory becomes the sum of all rows, in a tree. All lanes come along.
template <int Threads, class M> LAMINA_DEVICE void add_rows(M* sums, int rows, int count) {
  for (int half = 512; half > 0; half /= 2) {
    if (half >= rows) continue;
    sync_block();
    for (int i = thread_index(); i < half * count; i += Threads)
      if (i + half * count < rows * count) store(sums + i, load(sums + i) + load(sums + i + half * count));
    rows = half;
  }
  sync_block();
}

/// parts (stretches, 2, C) = for every stretch what Job makes of two sums over its pixels.
template <class Job> struct NormSums {
  using M = typename Job::Number;
  static constexpr int threads = NormExtent::threads, V = Job::channels, blocks = NormExtent::blocks, shared_bytes = threads * V * 2 * int(sizeof(M));
  LAMINA_DEVICE static void run(NormExtent e, Job job, M* parts) {
    const NormLane<V> lane(e);
    M first[V] = {}, second[V] = {};
    if (lane.first < lane.end) {
      job.start(e, lane);
      lane.template each_pixel<Job::together>([&](Index p) { return job.fetch(p, lane.channel); }, [&](Index p, const typename Job::Loaded& at) {
        if constexpr (requires { job.note(p, lane.channel, at); }) job.note(p, lane.channel, at);
        job.add(at, first, second);
      });
    }
    M* const sums = reinterpret_cast<M*>(shared_memory());      // (rows, 2, across, V)
    const int rows = lane.step, count = 2 * e.across * V;
    if (lane.row < rows) {
      LAMINA_UNROLL
      for (int k = 0; k < V; ++k) store(sums + lane.row * count + lane.column * V + k, first[k]), store(sums + lane.row * count + (e.across + lane.column) * V + k, second[k]);
    }
    add_rows<threads>(sums, rows, count);
    if (thread_index() < e.across * V) {
      const int channel = block_index().y * e.across * V + thread_index();
      if (channel < e.c) {
        M* const part = parts + Index(block_index().x) * 2 * e.c + channel;
        job.finish(e, channel, lane.begin, e.begin(block_index().x + 1), load(sums + thread_index()), load(sums + e.across * V + thread_index()), part, part + e.c);
      }
    }
  }
};

/// The mean of a stretch, and the sum of the squared distances from it. They are of the distances from its first pixel, so that what cancels is no larger than itself.
template <class T, int V> struct Moments {
  using Number = Master<T>;
  using Loaded = Pack<T, V>;
  static constexpr int channels = V, together = 8;               // pixels whose loads are under way at a time
  const T* x; int c;
  Number origin[V];
  Moments(const T* from, int all) : x(from), c(all) {}
  LAMINA_DEVICE void start(const NormExtent&, const NormLane<V>& lane) {
    const Pack<T, V> pixel = fetch(lane.begin, lane.channel);
    LAMINA_UNROLL
    for (int e = 0; e < V; ++e) origin[e] = Number(pixel.v[e]);
  }
  LAMINA_DEVICE Pack<T, V> fetch(Index p, int channel) const { return load(packs<V>(x + p * c + channel)); }
  LAMINA_DEVICE void add(const Pack<T, V>& pixel, Number (&sum)[V], Number (&square)[V]) const {
    LAMINA_UNROLL
    for (int e = 0; e < V; ++e) {
      const Number d = Number(pixel.v[e]) - origin[e];
      sum[e] += d, square[e] += d * d;
    }
  }
  LAMINA_DEVICE void finish(const NormExtent&, int channel, Index begin, Index end, Number sum, Number square, Number* mean, Number* rest) const {
    const Number of_mean = sum / Number(end - begin), left = square - sum * of_mean;
    store(mean, Number(load(x + begin * c + channel)) + of_mean);
    store(rest, left < 0 ? Number(0) : left);
  }
};

/// The parts of 8 channels, which lie in one sector of the cache, put together by as many rows of lanes as it takes that each has few: then all of them are under way at once.
struct NormChannels {
  static constexpr int threads = 512, channels = 8, warps = threads / 32, rows = threads / channels, most = int(pieces(NormExtent::most, rows));
  int channel, row;
  bool inside, writes;
  LAMINA_DEVICE explicit NormChannels(const NormExtent& e) {
    channel = block_index().x * channels + thread_index() % channels, row = thread_index() / channels;
    inside = channel < e.c, writes = inside && row == 0;
  }
  /// f(k, stretch) for those of this lane.
  template <class F> LAMINA_DEVICE void each(const NormExtent& e, const F& f) const {
    LAMINA_UNROLL
    for (int k = 0; k < most; ++k)
      if (const int stretch = row + k * rows; inside && stretch < e.stretches) f(k, stretch);
  }
  template <class M> LAMINA_DEVICE M sum(M mine) const {
    M* const shared = reinterpret_cast<M*>(shared_memory());    // (warps, channels)
    const int lane = thread_index() % 32;
    for (int other = channels; other < 32; other *= 2) mine += shuffle_xor(mine, other);
    sync_block();
    if (lane < channels) store(shared + thread_index() / 32 * channels + lane, mine);
    sync_block();
    M all = 0;
    LAMINA_UNROLL
    for (int w = 0; w < warps; ++w) all += load(shared + w * channels + thread_index() % channels);
    return all;
  }
  static Grid grid(const NormExtent& e) { return {int(pieces(e.c, channels))}; }
};
/// batch (2, C) = mean and 1 / sqrt(var + eps) of all stretches together, by Chan, Golub and LeVeque 1979; running (2, C) follows them.
template <class M> struct NormSettle {
  static constexpr int threads = NormChannels::threads, shared_bytes = NormChannels::warps * NormChannels::channels * int(sizeof(M));
  LAMINA_DEVICE static void run(NormExtent e, NormSpec spec, const M* parts, M* running, M* batch) {
    const NormChannels of(e);
    const M* const part = parts + of.channel;                   // mean, and behind C numbers the squares
    M means[NormChannels::most], squares[NormChannels::most], sum = 0, square = 0;
    const M n = M(e.pixels), origin = of.inside ? load(part) : M(0);
    M* const follows[] = {running + of.channel, running + e.apart + of.channel};
    const M before[] = {of.writes ? load(follows[0]) : M(0), of.writes ? load(follows[1]) : M(0)};
    const auto weight = [&](int stretch) { return M(e.begin(stretch + 1) - e.begin(stretch)); };
    of.each(e, [&](int k, int stretch) { means[k] = load(part + Index(stretch) * 2 * e.c), squares[k] = load(part + Index(stretch) * 2 * e.c + e.c); });
    of.each(e, [&](int k, int stretch) { sum += weight(stretch) * (means[k] - origin); });
    const M mean = origin + of.sum(sum) / n;
    of.each(e, [&](int k, int stretch) {
      const M d = means[k] - mean;
      square += squares[k] + weight(stretch) * d * d;
    });
    square = of.sum(square);
    if (!of.writes) return;
    const M var = square / n, spread = spec.unbiased && e.pixels > 1 ? var * (n / (n - 1)) : var, momentum = M(spec.momentum);
    store(follows[0], before[0] + momentum * (mean - before[0])), store(follows[1], before[1] + momentum * (spread - before[1]));
    store(batch + of.channel, mean), store(batch + e.apart + of.channel, 1 / Number<M>::root(var + M(spec.epsilon)));
  }
};
/// sums (2, C) = of all stretches; dw (2, C) += them, or = them.
template <class M> struct NormAdd {
  static constexpr int threads = NormChannels::threads, shared_bytes = NormChannels::warps * NormChannels::channels * int(sizeof(M));
  LAMINA_DEVICE static void run(NormExtent e, const M* parts, M* sums, M* dw, bool anew) {
    const NormChannels of(e);
    const M* const part = parts + of.channel;
    M first[NormChannels::most] = {}, second[NormChannels::most] = {}, sum[2] = {};
    M* const totals[] = {dw + of.channel, dw + e.apart + of.channel};
    const M before[] = {of.writes && !anew ? load(totals[0]) : M(0), of.writes && !anew ? load(totals[1]) : M(0)};
    of.each(e, [&](int k, int stretch) { first[k] = load(part + Index(stretch) * 2 * e.c), second[k] = load(part + Index(stretch) * 2 * e.c + e.c); });
    LAMINA_UNROLL
    for (int k = 0; k < NormChannels::most; ++k) sum[0] += first[k], sum[1] += second[k];
    LAMINA_UNROLL
    for (int which = 0; which < 2; ++which) {
      const M all = of.sum(sum[which]);
      if (of.writes) store(sums + which * e.c + of.channel, all), store(totals[which], before[which] + all);
    }
  }
};

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
  LAMINA_DEVICE static void run(NormExtent e, NormGradientSums<T, V, Gradient> job, const M* sums, T* dx) {
    const NormLane<V> lane(e);
    if (lane.first >= lane.end) return;
    job.start(e, lane);
    M slope[V], mean[V];
    load_all(slope, sums + lane.channel), load_all(mean, sums + e.c + lane.channel);
    const M share = 1 / M(e.pixels);
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
template <class T> Index norm_parts(Index pixels, int c) {
  Index numbers = 0;
  kernels::by_channels<T>(c, [&]<int V>(std::integral_constant<int, V>) { numbers = kernels::NormExtent(pixels, c, V).stretches * 2 * Index(c); });
  return numbers;
}
/// batch and running get the moments of x.
template <int V, RunsKernels D, class T> void norm_measure(D& dev, NormSpec spec, Index pixels, int c, const T* x, Master<T>* running, Master<T>* batch) {
  const kernels::NormExtent e(pixels, c, V);
  auto* const parts = reinterpret_cast<Master<T>*>(dev.arena());
  dev.template launch<kernels::NormSums<kernels::Moments<T, V>>>(e.grid(), e, kernels::Moments<T, V>(x, c), parts);
  dev.template launch<kernels::NormSettle<Master<T>>>(kernels::NormChannels::grid(e), e, spec, parts, running, batch);
}
/// The gradients tell what comes to each pixel: `first` where it is summed, and then `again`.
template <int V, RunsKernels D, class T, class Gradient, class Again>
void norm_backward(D& dev, Index pixels, int c, const T* x, const Master<T>* w, const Master<T>* batch, Gradient first, Again again, T* dx, Master<T>* dw) {
  using Job = kernels::NormGradientSums<T, V, Gradient>;
  const kernels::NormExtent e(pixels, c, V);
  const Job job(x, w, batch, c, first);
  auto *const parts = reinterpret_cast<Master<T>*>(dev.arena()), *const sums = parts + Index(e.stretches) * 2 * c;
  dev.template launch<kernels::NormSums<Job>>(e.grid(), e, job, parts);
  dev.template launch<kernels::NormAdd<Master<T>>>(kernels::NormChannels::grid(e), e, parts, sums, dw, dev.writes_gradients);
  if (dx) dev.template launch<kernels::NormInputGradient<T, V, Again>>(e.grid(), e, kernels::NormGradientSums<T, V, Again>(x, w, batch, c, again), sums, dx);
}
template <bool adds, RunsKernels D, class T>
void norm_forward(D& dev, NormSpec spec, Clamp bounds, Index pixels, int c, const T* x, const T* z, const Master<T>* w, Master<T>* running, Master<T>* batch, T* y, NormBy by) {
  kernels::by_channels<T>(c, [&]<int V>(std::integral_constant<int, V>) {
    const kernels::NormExtent e(pixels, c, V);
    if (by == NormBy::batch) norm_measure<V>(dev, spec, pixels, c, x, running, batch);
    const bool running_values = by == NormBy::running;
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
  detail::norm_forward<false>(dev, spec, bounds, samples * pixels, c, x, static_cast<const T*>(nullptr), w, running, batch, y, by);
}
template <RunsKernels D, class T>
void batch_norm_clamp_backward(D& dev, Clamp bounds, Index samples, Index pixels, int c, const T* x, const Master<T>* w, const Master<T>* batch,
                               const T* dy,                     // (N, C)
                               T* dx,                           // (N, C) or null
                               Master<T>* dw) {                 // += gamma (C), beta (C)
  kernels::by_channels<T>(c, [&]<int V>(std::integral_constant<int, V>) {
    const kernels::ClampedGradient<T, V> gradient(dy, c, bounds);
    detail::norm_backward<V>(dev, samples * pixels, c, x, w, batch, gradient, gradient, dx, dw);
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
template <RunsKernels D, class T> Index batch_norm_arena(const D&, T, Index samples, Index pixels, int c) {
  return (detail::norm_parts<T>(samples * pixels, c) + 2 * Index(c)) * Index(sizeof(Master<T>));
}

}  // namespace lamina
