/// What a batch norm on a GPU sums up: in stretches of the shares of a batch (slabs.hpp), which are put together share by share, and then the shares in a tree.
#pragma once
#include <algorithm>

#include "../core/number.hpp"
#include "places.hpp"
#include "rules.hpp"
#include "slabs.hpp"

namespace lamina::kernels::inline LAMINA_SIMT {

/// The pixels (N, C) of a batch in stretches, `across` lanes wide with V channels each. A block has the lanes of one stretch, several rows of them, each with as many pixels but for the last
/// stretch's. There are so many stretches that all blocks are at work at once, with as many loads under way as it takes.
struct NormExtent {
  static constexpr int threads = 256, blocks = 2, most = blocks * CudaRules::multiprocessors, least = 4;    // blocks of a multiprocessor; pixels of a lane
  Index of_sample, pixels; int c, apart, across, groups;        // pixels of a sample, and of all here; apart: from the mean to the spread, and from gamma to beta
  Slabs stretches;
  NormExtent(const Shares& cut, Index each, int channels, int at_once)
      : of_sample(each), pixels(cut.begin(cut.count) * each), c(channels), apart(int(room(channels))), across(0), groups(int(pieces(c / at_once, 32))), stretches(cut, 1) {
    across = int(pieces(c / at_once, groups));
    stretches = {cut, lamina::detail::slabs_of_share(cut, std::max(1, most / groups), each, least * (threads / across))};
  }
  Grid grid() const { return {stretches.count, groups}; }
  LAMINA_DEVICE Slabs::Part range(int stretch) const { return stretches.pieces_of(stretch, of_sample); }
};
/// A lane's part: channels from `channel` on, and pixels first, first + step, ... below end.
template <int V> struct NormLane {
  int row, column, channel, step;
  Index begin, first, end, last;             // those of the block end there
  LAMINA_DEVICE explicit NormLane(const NormExtent& e) {
    const Place block = block_index();
    const Slabs::Part range = e.range(block.x);
    row = thread_index() / e.across, column = thread_index() % e.across, step = NormExtent::threads / e.across;
    channel = (block.y * e.across + column) * V;
    begin = range.begin, first = begin + row, end = last = range.end;
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
        job.finish(e, channel, lane.begin, lane.last, load(sums + thread_index()), load(sums + e.across * V + thread_index()), part, part + e.c);
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
    if (begin == end) return store(mean, 0), store(rest, 0);
    const Number of_mean = sum / Number(end - begin), left = square - sum * of_mean;
    store(mean, Number(load(x + begin * c + channel)) + of_mean);
    store(rest, left < 0 ? Number(0) : left);
  }
};

/// The parts of 8 channels, which lie in one sector of the cache, put together by 8 rows of lanes for each share; so many parts of a row are on their way at a time.
struct NormChannels {
  static constexpr int channels = 8, of_share = 8, threads = channels * of_share * int(lamina::shares), warps = threads / 32, together = 5;
  template <class M> static constexpr int shared_bytes = warps * channels * int(sizeof(M));
  int channel, row, share;                 // row of the share
  bool inside, writes;
  Slabs::Range parts;
  LAMINA_DEVICE explicit NormChannels(const NormExtent& e) {
    channel = block_index().x * channels + thread_index() % channels, row = thread_index() / channels % of_share, share = thread_index() / channels / of_share;
    inside = channel < e.c, writes = inside && thread_index() < channels;
    parts = inside && share < e.stretches.shares ? e.stretches.of_share(share) : Slabs::Range{0, 0};
  }
  /// use(stretch, the two numbers of its part) for those of this lane.
  template <class M> struct Two { M first, second; };
  template <class M, class F> LAMINA_DEVICE void each(const NormExtent& e, const M* all, const F& use) const {   // (stretches, 2, C)
    for (int from = parts.begin + row; from < parts.end; from += together * of_share) {
      Two<M> part[together];
      LAMINA_UNROLL
      for (int u = 0; u < together; ++u) {
        const M* const at = all + Index(from + u * of_share) * 2 * e.c + channel;
        part[u] = from + u * of_share < parts.end ? Two<M>{load(at), load(at + e.c)} : Two<M>{0, 0};
      }
      LAMINA_UNROLL
      for (int u = 0; u < together; ++u)
        if (from + u * of_share < parts.end) use(from + u * of_share, part[u]);
    }
  }
  /// The sum over the rows of a share.
  template <class M> LAMINA_DEVICE M sum(M mine) const {
    M* const shared = reinterpret_cast<M*>(shared_memory());    // (warps, channels)
    const int lane = thread_index() % 32;
    for (int other = channels; other < 32; other *= 2) mine += shuffle_xor(mine, other);
    sync_block();
    if (lane < channels) store(shared + thread_index() / 32 * channels + lane, mine);
    sync_block();
    return load(shared + share * 2 * channels + lane % channels) + load(shared + (share * 2 + 1) * channels + lane % channels);
  }
  /// What the lanes of each share have for the channel of this one, to lanes that write.
  template <class M> LAMINA_DEVICE void gather(M mine, M (&of)[lamina::shares]) const {
    M* const shared = reinterpret_cast<M*>(shared_memory());    // (shares, channels)
    sync_block();
    if (row == 0) store(shared + share * channels + thread_index() % channels, mine);
    sync_block();
    LAMINA_UNROLL
    for (int s = 0; s < int(lamina::shares); ++s) of[s] = load(shared + s * channels + thread_index() % channels);
  }
  static_assert(channels * of_share == 64, "a share has two warps");
  static Grid grid(const NormExtent& e) { return {int(pieces(e.c, channels))}; }
};
/// The moments of all shares, merged two by two in the order of the tree by Chan, Golub and LeVeque 1979; one without pixels changes nothing.
template <class M> struct ShareMoments {
  Index pixels[lamina::shares];
  M mean[lamina::shares], square[lamina::shares];               // the sum of the squared distances from the mean
  LAMINA_DEVICE void merge() {
    LAMINA_UNROLL
    for (int step = 1; step < int(lamina::shares); step *= 2)
      LAMINA_UNROLL
      for (int t = 0; t + step < int(lamina::shares); t += 2 * step) add(t, t + step);
  }

 private:
  LAMINA_DEVICE void add(int left, int right) {
    const Index before = pixels[left], all = pixels[left] += pixels[right];
    if (!pixels[right]) return;
    const M toward = before ? M(pixels[right]) / M(all) : M(1), d = mean[right] - mean[left];
    mean[left] = before ? mean[left] + toward * d : mean[right], square[left] += square[right] + toward * M(before) * d * d;
  }
};
/// batch (2, C) = mean and 1 / sqrt(var + eps) of all stretches together; running (2, C) follows them.
template <class M> struct NormSettle {
  static constexpr int threads = NormChannels::threads, shared_bytes = NormChannels::shared_bytes<M>;
  LAMINA_DEVICE static void run(NormExtent e, NormSpec spec, const M* parts, M* running, M* batch) {   // (stretches, 2, C)
    const NormChannels of(e);
    M* const follows[] = {running + of.channel, running + e.apart + of.channel};
    const M before[] = {of.writes ? load(follows[0]) : M(0), of.writes ? load(follows[1]) : M(0)};
    const auto pixels = [&](int share) { return share < e.stretches.shares ? (e.stretches.begin(share + 1) - e.stretches.begin(share)) * e.of_sample : 0; };
    const auto weight = [&](int stretch) {
      const Slabs::Part p = e.range(stretch);
      return M(p.end - p.begin);
    };
    const Index of_share = pixels(of.share);
    const M origin = of.parts.begin < of.parts.end ? load(parts + Index(of.parts.begin) * 2 * e.c + of.channel) : M(0);
    M sum = 0, square = 0;
    of.each(e, parts, [&](int stretch, auto part) { sum += weight(stretch) * (part.first - origin); });
    sum = of.sum(sum);
    const M mean = of_share ? origin + sum / M(of_share) : M(0);
    of.each(e, parts, [&](int stretch, auto part) {
      const M d = part.first - mean;
      square += part.second + weight(stretch) * d * d;
    });
    ShareMoments<M> all;
    of.gather(of.sum(square), all.square), of.gather(mean, all.mean);
    if (!of.writes) return;
    LAMINA_UNROLL
    for (int s = 0; s < int(lamina::shares); ++s) all.pixels[s] = pixels(s);
    all.merge();
    const M n = M(e.pixels), var = all.square[0] / n, spread = spec.unbiased && e.pixels > 1 ? var * (n / (n - 1)) : var, momentum = M(spec.momentum);
    store(follows[0], before[0] + momentum * (all.mean[0] - before[0])), store(follows[1], before[1] + momentum * (spread - before[1]));
    store(batch + of.channel, all.mean[0]), store(batch + e.apart + of.channel, 1 / Number<M>::root(var + M(spec.epsilon)));
  }
};
/// sums (2, C) = of all stretches; dw (2, C) += them, or = them, unless it is null.
template <class M> struct NormAdd {
  static constexpr int threads = NormChannels::threads, shared_bytes = NormChannels::shared_bytes<M>;
  LAMINA_DEVICE static void run(NormExtent e, const M* parts, M* sums, M* dw, bool anew) {
    const NormChannels of(e);
    const bool adds = of.writes && dw;
    M* const totals[] = {adds ? dw + of.channel : nullptr, adds ? dw + e.apart + of.channel : nullptr};
    const M before[] = {adds && !anew ? load(totals[0]) : M(0), adds && !anew ? load(totals[1]) : M(0)};
    M sum[2] = {};
    of.each(e, parts, [&](int, auto part) { sum[0] += part.first, sum[1] += part.second; });
    LAMINA_UNROLL
    for (int which = 0; which < 2; ++which) {
      M of_share[lamina::shares];
      of.gather(of.sum(sum[which]), of_share);
      const M all = tree_sum_at<shares>(of_share);
      if (of.writes) store(sums + which * e.c + of.channel, all);
      if (adds) store(totals[which], before[which] + all);
    }
  }
};

/// Of what each replica left for its stretches, most (most, numbers), those that there are, one after another.
template <class M> struct PackStretches {
  const M* from; M* to; Shares whole; Index of_replica, most, each, numbers;      // shares of a replica; stretches of a sample
  LAMINA_HD void operator()(Index i) const {
    const Index stretch = i / numbers, sample = stretch / each;
    Index rank = 0;
    while (first_of_share((rank + 1) * of_replica, whole.n, whole.of) <= sample) ++rank;
    to[i] = from[(rank * most + stretch - first_of_share(rank * of_replica, whole.n, whole.of) * each) * numbers + i % numbers];
  }
};

}  // namespace lamina::kernels::inline LAMINA_SIMT
