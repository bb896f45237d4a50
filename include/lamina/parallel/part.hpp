/// How replicas divide a batch, and what their losses are worth.
#pragma once
#include <algorithm>

#include "../core/error.hpp"
#include "../core/shares.hpp"

namespace lamina {

enum class Parallel {
  /// Each replica has a branch of the fixed shares of a batch, and all sums over samples are those of the shares in a fixed tree: 1, 2, 4 or 8 replicas end with the bits of a model by itself.
  exact,
  /// The same of more shares, for any number of replicas: another number ends with other bits.
  fast,
  /// PyTorch's nn.DataParallel: replica r has the r-th ceil(n / N) samples, which may leave some without any; the loss is the mean over the batch, so the gradients add up to that of the whole
  /// batch; batch norm goes by the moments of each replica's samples, and the running values are those of replica 0.
  dataparallel,
  /// Keras under MirroredStrategy: the same parts; the loss is the mean of the means of the replicas, the gradients theirs; batch norm goes by the moments of each replica's samples, and each has
  /// running values of its own, of which those of replica 0 are saved.
  mirrored
};

namespace detail {

/// What one of N ranks has of each batch.
struct ReplicaPart {
  Parallel parallel;
  int rank, ranks;

  /// Throws Error if so many ranks cannot divide the shares.
  ReplicaPart(Parallel p, int r, int n) : parallel(p), rank(r), ranks(n) {
    if (parallel == Parallel::exact && shares % ranks)
      throw Error("a batch has ", shares, " shares, which ", ranks, " replicas cannot divide: take 1, 2, 4 or 8 of them, or fast ones, whose bits follow from their number");
  }
  bool by_shares() const { return parallel == Parallel::exact || parallel == Parallel::fast; }
  Index count() const { return parallel == Parallel::exact ? shares / ranks : shares; }      // of shares
  Index of() const { return count() * ranks; }
  struct Samples { Index first, count; };
  Portion portion(int r) const { return by_shares() ? Portion{r * count(), count(), of()} : Portion{r, 1, ranks, true}; }
  Samples samples(Index n, int r) const {
    const Portion p = portion(r);
    return {p.begin(n), p.end(n) - p.begin(n)};
  }
  Samples samples(Index n) const { return samples(n, rank); }
  /// The most that are samples of one rank, in batches of at most n.
  Index most(Index n) const { return portion(rank).most(n); }
  /// What the sum of the losses of `here` of n samples is divided by, if that of all is by `total`.
  Index total(Index here, Index n, Index total) const { return parallel == Parallel::mirrored ? here * ranks * (total / n) : total; }
};

}  // namespace detail

}  // namespace lamina
