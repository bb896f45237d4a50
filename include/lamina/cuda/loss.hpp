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
  M smoothing;
  M* loss;                      // (N) share of each sample in the mean, times N
  T* dy;                        // (N, C) gradient of the mean
};

/// Sum of losses and number of right answers, of a block.
struct CrossEntropyPart { double loss; std::int64_t correct; };

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

template <class Totals> LAMINA_DEVICE void add_to_totals(Totals* totals, double loss, std::int64_t correct, Index samples) {
  store(&totals->loss, load(&totals->loss) + loss);
  store(&totals->correct, load(&totals->correct) + correct);
  store(&totals->samples, load(&totals->samples) + samples);
}

template <class T> inline constexpr int cross_entropy_threads = sizeof(Master<T>) == sizeof(float) ? 512 : 256;      // half as many with twice the registers

/// `lanes` neighbours work on a sample together. A single block adds to the totals, several leave their parts. grid: (pieces of the batch)
template <class T, class Totals> struct CrossEntropyStep {
  using M = Master<T>;
  static constexpr int threads = cross_entropy_threads<T>, shared_bytes = threads * 8;

  LAMINA_DEVICE static void run(CrossEntropyBatch<T> s, int lanes, Totals* totals, CrossEntropyPart* parts) {
    const int groups = threads / lanes, lane = thread_index() % lanes, block = block_index().x, blocks = grid_size().x;
    const M norm = s.weights && s.label ? sum_of_weights(s) * (M(s.total) / M(s.n)) : M(s.total);
    double loss = 0;
    int correct = 0;
    // All lanes of a warp go round equally often: they meet.
    for (Index first = Index(block) * groups; first < s.n; first += Index(blocks) * groups) {
      const Index i = first + thread_index() / lanes;
      const M share = sample(s, i < s.n ? i : s.n - 1, i < s.n, lane, lanes, norm, correct);
      if (lane == 0 && i < s.n) store(s.loss + i, share), loss += double(share);
    }
    const double all = block_sum<threads>(loss, reinterpret_cast<double*>(shared_memory()));
    const int right = block_sum<threads>(correct, reinterpret_cast<int*>(shared_memory()));
    if (thread_index() > 0) return;
    if (blocks == 1) add_to_totals(totals, all, right, s.n);
    else store(parts + block, CrossEntropyPart{all, right});
  }

 private:
  LAMINA_DEVICE static M sum_of_weights(const CrossEntropyBatch<T>& s) {
    M* const sums = reinterpret_cast<M*>(shared_memory());
    M sum = 0;
    for (Index i = thread_index(); i < s.n; i += threads) sum += load(s.weights + load(s.label + i));
    sum = block_sum<threads>(sum, sums);
    if (thread_index() == 0) store(sums, sum);
    sync_block();
    sum = load(sums);
    sync_block();
    return sum;
  }

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

/// What the blocks left, added in their order. grid: (1)
template <class Totals> struct CrossEntropyTotals {
  static constexpr int threads = 256, shared_bytes = threads * 8;

  LAMINA_DEVICE static void run(const CrossEntropyPart* parts, int blocks, Index samples, Totals* totals) {
    double loss = 0;
    int correct = 0;
    for (int i = thread_index(); i < blocks; i += threads) loss += load(&parts[i].loss), correct += int(load(&parts[i].correct));
    loss = block_sum<threads>(loss, reinterpret_cast<double*>(shared_memory()));
    correct = block_sum<threads>(correct, reinterpret_cast<int*>(shared_memory()));
    if (thread_index() == 0) add_to_totals(totals, loss, correct, samples);
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
  return detail::CrossEntropyGrid(kernels::cross_entropy_threads<T>, n, c).most * Index(sizeof(kernels::CrossEntropyPart));
}
/// Loss and gradient of a batch, as nn/loss.hpp's LossStep describes it; its sum of losses, samples and right answers are added to totals->loss, ->samples, ->correct.
/// One launch, and a small one more for a large batch. `s.norm` is not used.
template <RunsKernels D, class LossStep, class Totals> void cross_entropy(D& dev, const LossStep& s, double smoothing, bool weighted, Totals* totals) {
  using T = std::remove_pointer_t<decltype(s.dy)>;
  const detail::CrossEntropyGrid g(kernels::cross_entropy_threads<T>, s.n, s.c);
  const kernels::CrossEntropyBatch<T> batch{s.n, s.c, s.total, s.y, s.label, s.target, weighted ? s.constants : nullptr, Master<T>(smoothing), s.loss, s.dy};
  auto* const parts = reinterpret_cast<kernels::CrossEntropyPart*>(dev.arena());
  dev.template launch<kernels::CrossEntropyStep<T, Totals>>(Grid{int(g.blocks)}, batch, int(g.lanes), totals, parts);
  if (g.blocks > 1) dev.template launch<kernels::CrossEntropyTotals<Totals>>(Grid{1}, static_cast<const kernels::CrossEntropyPart*>(parts), int(g.blocks), s.n, totals);
}

}  // namespace lamina
