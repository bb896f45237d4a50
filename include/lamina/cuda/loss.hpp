/// Cross-entropy on a GPU: the softmax, the loss, its gradient, and what a training keeps count of.
#pragma once
#include <cmath>
#include <cstdint>

#include "../core/formula.hpp"
#include "kernel.hpp"
#include "words.hpp"

namespace lamina {

namespace kernels::inline LAMINA_SIMT {

using namespace simt;

/// What the loss of a batch is taken from. The mean is over `total` samples, those of the global batch; with class weights over labels, the weighted one.
template <class T> struct CrossEntropyBatch {
  using M = Master<T>;
  Index n, c, total;            // samples, classes, samples of the global batch
  const T* y;                   // (N, C) logits
  const std::int32_t* label;    // (N) or null
  const M* target;              // (N, C) or null
  const M* weights;             // (C) of the classes, or null
  const M* norm;                // (1) with weights and labels: the sum of the weights of those of the global batch
  M smoothing;
  M* loss;                      // (N) share of each sample in the mean, times N
  T* dy;                        // (N, C) gradient of the mean
  Shares cut;                   // of the N samples
};

/// The sum over `lanes` neighbours, a power of two.
template <class V> LAMINA_DEVICE V lane_sum(V v, int lanes) {
  for (int mask = 1; mask < lanes; mask *= 2) v += shuffle_xor(v, mask);
  return v;
}

/// The sum over the block, in a fixed order, in thread 0. `sums` (Threads) is shared memory that nobody else uses.
template <int Threads, class V> LAMINA_DEVICE V block_sum(V v, V* sums) {
  const int t = thread_index();
  store(sums + t, v);
  for (int half = Threads / 2; half > 0; half /= 2) {
    sync_block();
    if (t < half) v += load(sums + t + half), store(sums + t, v);
  }
  sync_block();
  return v;
}

/// The first of the largest numbers.
template <class V> struct Largest {
  V value;
  int at;
  LAMINA_DEVICE void take(V v, int i) {
    if (v > value || (v == value && i < at)) value = v, at = i;
  }
  LAMINA_DEVICE void meet(int lanes) {
    for (int mask = 1; mask < lanes; mask *= 2) {
      const V v = shuffle_xor(value, mask);
      take(v, shuffle_xor(at, mask));
    }
  }
};

/// Adds what a batch comes to. A warp takes the losses (N) of a share, in an order that follows from their number.
template <class M, class Totals> LAMINA_DEVICE void add_to_totals(const Shares& cut, const M* losses, std::int64_t correct, Index samples, Totals* totals) {
  const int warp = thread_index() / 32, lane = thread_index() % 32;
  if (warp < cut.count) {
    double sum = 0;
    for (Index i = cut.begin(warp) + lane; i < cut.begin(warp + 1); i += 32) sum += double(load(losses + i));
    sum = lane_sum(sum, 32);
    if (lane == 0) store(&totals->losses[warp], load(&totals->losses[warp]) + sum);
  }
  if (thread_index() > 0) return;
  store(&totals->correct, load(&totals->correct) + correct);
  store(&totals->samples, load(&totals->samples) + samples);
}

template <class T> inline constexpr int cross_entropy_threads = sizeof(Master<T>) == sizeof(float) ? 512 : 256;      // half as many with twice the registers

/// `lanes` neighbours work on a sample together. A single block adds to the totals, several leave their parts. grid: (pieces of the batch)
template <class T, class Totals> struct CrossEntropyStep {
  using M = Master<T>;
  static constexpr int threads = cross_entropy_threads<T>, shared_bytes = threads * int(sizeof(int));

  LAMINA_DEVICE static void run(CrossEntropyBatch<T> s, int lanes, Totals* totals, int* parts) {
    const int groups = threads / lanes, lane = thread_index() % lanes, block = block_index().x, blocks = grid_size().x;
    const M norm = s.weights && !s.target ? load(s.norm) : M(s.total);
    int correct = 0;
    // All lanes of a warp go round equally often: they meet.
    for (Index first = Index(block) * groups; first < s.n; first += Index(blocks) * groups) {
      const Index i = first + thread_index() / lanes;
      const M share = sample(s, i < s.n ? i : s.n - 1, i < s.n, lane, lanes, norm, correct);
      if (lane == 0 && i < s.n) store(s.loss + i, share);
    }
    const int right = block_sum<threads>(correct, reinterpret_cast<int*>(shared_memory()));      // after which all see the losses that the block has stored
    if (blocks == 1) add_to_totals(s.cut, s.loss, right, s.n, totals);
    else if (thread_index() == 0) store(parts + block, right);
  }

 private:
  /// The loss of sample i, and dy, if it is `inside`.
  LAMINA_DEVICE static M sample(const CrossEntropyBatch<T>& s, Index i, bool inside, int lane, int lanes, M norm, int& correct) {
    using std::log;
    const T* const y = s.y + i * s.c;
    const int c = int(s.c), label = s.label ? load(s.label + i) : -1;
    const auto logit = [&](int k) -> M { return load(y + k); };
    const auto target = [&](int k) -> M { return load(s.target + i * s.c + k); };
    const auto share = [&](int k) -> M {
      const M hard = s.target ? target(k) : M(k == label), soft = hard * (M(1) - s.smoothing) + s.smoothing / M(c);
      return s.weights ? soft * load(s.weights + k) : soft;
    };
    const int first = lane < c ? lane : 0;
    Largest<M> top{logit(first), first}, aim{s.target ? target(first) : M(0), first};
    for (int k = lane + lanes; k < c; k += lanes) {
      top.take(logit(k), k);
      if (s.target) aim.take(target(k), k);
    }
    top.meet(lanes);
    if (s.target) aim.meet(lanes);
    if (lane == 0 && inside) correct += top.at == (s.target ? aim.at : label);

    M sum = 0;
    for (int k = lane; k < c; k += lanes) sum += formula::exp(logit(k) - top.value);
    sum = lane_sum(sum, lanes);
    const M log_sum = log(sum);
    M loss = 0, shares = 0;
    for (int k = lane; k < c; k += lanes) {
      const M a = share(k);
      shares += a;
      if (a != M(0)) loss -= a * (logit(k) - top.value - log_sum);
    }
    loss = lane_sum(loss, lanes), shares = lane_sum(shares, lanes);
    const bool any = norm != M(0);                                     // else nothing in the batch weighs anything
    if (inside)
      for (int k = lane; k < c; k += lanes) store(s.dy + i * s.c + k, any ? T((formula::exp(logit(k) - top.value) / sum * shares - share(k)) / norm) : T(0));
    return any ? loss * M(s.total) / norm : M(0);
  }
};

/// What several blocks left. grid: (1)
template <class M, class Totals> struct CrossEntropyTotals {
  static constexpr int threads = 256, shared_bytes = threads * int(sizeof(int));

  LAMINA_DEVICE static void run(const int* parts, int blocks, Shares cut, const M* losses, Index samples, Totals* totals) {
    int correct = 0;
    for (int i = thread_index(); i < blocks; i += threads) correct += load(parts + i);
    correct = block_sum<threads>(correct, reinterpret_cast<int*>(shared_memory()));
    add_to_totals(cut, losses, correct, samples, totals);
  }
};

}  // namespace kernels::inline LAMINA_SIMT

namespace detail {
/// How a batch is laid out: lanes of a sample, and blocks. A batch that a block is done with in a few rounds is one block's.
struct CrossEntropyGrid {
  static constexpr Index numbers = 8, rounds = 32;                     // of a lane: numbers in a round, if there are lanes enough, and numbers in all the rounds of a single block
  Index lanes = 1, most, blocks;
  CrossEntropyGrid(Index threads, Index n, Index c) {
    while (lanes < 32 && lanes * numbers < c) lanes *= 2;
    most = pieces(n, threads / lanes);
    blocks = most * pieces(c, lanes) > rounds ? most : 1;
  }
};
}  // namespace detail

/// Bytes of the arena that cross_entropy asks for, with n samples or fewer.
template <RunsKernels D, class T> Index cross_entropy_arena(const D&, T, Index n, Index c) {
  return detail::CrossEntropyGrid(kernels::cross_entropy_threads<T>, n, c).most * Index(sizeof(int));
}
/// Loss and gradient of a batch, as nn/loss.hpp's LossStep describes it; the sums of its losses, share by share, its samples and right answers are added to
/// totals->losses, ->samples, ->correct. One launch, and a small one more for a large batch.
template <RunsKernels D, class LossStep, class Totals> void cross_entropy(D& dev, const LossStep& s, double smoothing, bool weighted, Totals* totals) {
  using T = std::remove_pointer_t<decltype(s.dy)>;
  const detail::CrossEntropyGrid g(kernels::cross_entropy_threads<T>, s.n, s.c);
  const kernels::CrossEntropyBatch<T> batch{s.n, s.c, s.total, s.y, s.label, s.target, weighted ? s.constants : nullptr, s.norm, Master<T>(smoothing), s.loss, s.dy, detail::cut_of(dev, s.n)};
  int* const parts = reinterpret_cast<int*>(dev.arena());
  dev.template launch<kernels::CrossEntropyStep<T, Totals>>(Grid{int(g.blocks)}, batch, int(g.lanes), totals, parts);
  if (g.blocks > 1) dev.template launch<kernels::CrossEntropyTotals<Master<T>, Totals>>(Grid{1}, static_cast<const int*>(parts), int(g.blocks), batch.cut, static_cast<const Master<T>*>(s.loss), s.n, totals);
}

}  // namespace lamina
