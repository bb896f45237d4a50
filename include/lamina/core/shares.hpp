/// How a batch is cut where something is summed over its samples: into fixed shares, whose sums are added in a fixed tree (see tree_sum()). So no sum depends on the threads, nor on how many
/// replicas work on the batch, as long as each has a branch of the tree.
#pragma once
#include "shape.hpp"
#include "task.hpp"

namespace lamina {

namespace detail {
class SharedTasks;
}

/// So many shares has a batch, or what one of more replicas than that has of it.
inline constexpr Index shares = 8;
LAMINA_HD constexpr Index first_of_share(Index share, Index n, Index of = shares) { return share * n / of; }

/// Consecutive shares of a batch of n samples. Some are empty where the batch is small.
struct Shares {
  Index n;
  Index first = 0, count = shares, of = shares;      // the shares [first, first + count) of so many
  /// Where the i-th of them begins, in samples from where the first begins: begin(count) are the samples of all of them.
  LAMINA_HD constexpr Index begin(Index i) const { return first_of_share(first + i, n, of) - first_of_share(first, n, of); }
};

/// Which samples of a batch one of several works on: those of some shares, or, as PyTorch and TensorFlow divide a batch, the chunk `first` of ceil(n / of) samples each, which leaves some without any.
struct Portion {
  Index first = 0, count = shares, of = shares;
  bool chunk = false;
  constexpr Index begin(Index n) const { return chunk ? whole_chunks(first, n) : first_of_share(first, n, of); }
  constexpr Index end(Index n) const { return chunk ? whole_chunks(first + count, n) : first_of_share(first + count, n, of); }
  /// The most that there are of n samples or fewer.
  constexpr Index most(Index n) const { return (count * n + of - 1) / of; }

 private:
  constexpr Index whole_chunks(Index chunks, Index n) const {
    const Index samples = chunks * ((n + of - 1) / of);
    return samples < n ? samples : n;
  }
};

/// Which part of a batch a device works on, and how it learns in the midst of a pass what the others have. By itself it has the whole.
struct Replica {
  Index first = 0, count = shares, of = shares;
  Index batch = 0;                                   // samples of the whole batch; 0: as many as there are here
  bool own_moments = false;                          // batch norm goes by those of this part alone
  /// all (of, ...) = what each share has, of which mine (count, ...) are those here, so many bytes, in the memory of the device; null where there are no others.
  void (*gather)(void* replicas, const void* mine, std::size_t bytes, void* all) = nullptr;
  void* replicas = nullptr;
  void (*gather_on_host)(void* replicas, const void* mine, std::size_t bytes, void* all) = nullptr;      // the same in memory of the host
  bool recorded = false;                             // gather() is work for the device's queue, which a graph may hold
  /// Where the memory of all replicas is that of one process, else null: see SharedRanks.
  void (*work_together)(void* replicas, const void* mine, std::size_t bytes, detail::FunctionRef<const void* const*> part) = nullptr;
  Index together_from = 0;                           // a layer with fewer parameters is not worth a meeting
  detail::SharedTasks* tasks = nullptr;              // likewise: of all replicas; one that waits for the others helps them with theirs
  int place = 0;                                     // among these
  bool joins_moments() const { return gather && !own_moments; }
  bool joins_step(Index parameters) const { return work_together && parameters >= together_from; }
  constexpr int rank() const { return int(first / count); }
  constexpr int ranks() const { return int(of / count); }
  /// How the n samples here are cut.
  constexpr Shares cut(Index n) const { return {batch ? batch : n, first, count, of}; }
};

}  // namespace lamina
