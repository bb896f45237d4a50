/// A step of a dense layer that replicas whose memory is that of one process take together. Each makes the gradients of some of the weights, of the samples of all replicas, and takes the step of these while
/// they are in its cache: so no gradient of a weight goes to memory and back, and each step is taken once.
#pragma once
#include <algorithm>
#include <bit>

#include "dense_tiles.hpp"

namespace lamina::detail {

/// A dense layer of one replica: its samples, its parameters, and where those are in its optimizer's block.
struct DenseOfReplica {
  DenseTiles tiles;
  Begins begin;
  const float *x, *dy;                    // (N, in), (N, out)
  float *w, *b, *db;                      // (in, out), (out) or null, (out) or null
  const Learner<float>& learner;
  Index at, b_at;
};

/// What one of the replicas does.
class DenseTogether {
 public:
  /// all[r] is a DenseOfReplica.
  DenseTogether(const Replica& replica, const void* const* all) : rank_(replica.rank()), ranks_(replica.ranks()), all_(all), mine_(of(rank_)) {}

  /// Numbers of a worker: sums of (features, out), and the inputs of (n, features).
  static Index worker_numbers(const Replica& replica, Index n, Index out) { return DenseTiles::features * (places(replica.ranks()) * out + n); }

  void take_part(Cpu& dev) const {
    constexpr Index features = DenseTiles::features, each = 8;                   // blocks of a task
    const Index out = mine_.tiles.out, block = features * out, blocks = mine_.tiles.in / features, first = blocks * rank_ / ranks_, last = blocks * (rank_ + 1) / ranks_;
    Index most = 0;                                                              // samples of a replica
    for (int r = 0; r < ranks_; ++r) most = std::max(most, of(r).tiles.n);
    const Index numbers = worker_numbers(dev.replica, most, out);
    dev.run((last - first + each - 1) / each, [&](Index task, int worker) {
      float *const sums = reinterpret_cast<float*>(dev.arena()) + worker * numbers, *const inputs = sums + places(ranks_) * block;
      for (Index k = first + task * each, end = std::min(k + each, last); k < end; ++k) {
        add_gradients(k * features, k + 1 < last, sums, inputs);
        step(mine_.at + k * block, sums, block, [&](const DenseOfReplica& o) { return o.w + k * block; });
      }
    });
    if (rank_ == 0 && mine_.db) dev.run(1, [&](Index, int) { step_of_bias(out); });
  }

 private:
  const DenseOfReplica& of(int rank) const { return *static_cast<const DenseOfReplica*>(all_[rank]); }
  static Index places(int ranks) { return Index(std::bit_width(unsigned(ranks))); }        // of tree_sum_in_turn()

  /// sums (features, out) = the gradients of the weights of inputs f, f + 1, ..., of all replicas, which are added as their communicator would. Beside them what follows is fetched, if there is `more`.
  void add_gradients(Index f, bool more, float* sums, float* inputs) const {
    const Index block = DenseTiles::features * mine_.tiles.out, next = (f + DenseTiles::features) * mine_.tiles.out;
    const Learner<float>& learner = mine_.learner;
    tree_sum_in_turn(ranks_, [&](Index r, Index place) {
      const DenseOfReplica& o = of(int(r));
      o.tiles.fetch(o.x, nullptr, f + DenseTiles::features);
      o.tiles.gather(o.x, f, inputs);
      const DenseTiles::Ahead ahead = r == 0 ? DenseTiles::Ahead{learner.memory + mine_.at + next, learner.slots, learner.apart} : DenseTiles::Ahead{mine_.w + next, 1, 0};
      o.tiles.weight_gradient(inputs, o.dy, o.begin, sums + place * block, false, more && r < 2 ? ahead : DenseTiles::Ahead{});
    }, [&](Index to, Index from) {
      for (Index i = 0; i < block; ++i) sums[to * block + i] += sums[from * block + i];
    });
  }
  /// Of all outputs, by one replica: its gradients are as those of other layers are, added to memory.
  void step_of_bias(Index out) const {
    tree_sum<float>(ranks_, out, [&](int r) { return of(r).db; });
    step(mine_.b_at, of(0).db, out, [](const DenseOfReplica& o) { return o.b; });
    for (int r = 0; r < ranks_; ++r) std::fill_n(of(r).db, out, 0.0f);
  }
  /// The step of `count` parameters from `at` on, and what comes of it for the other replicas.
  template <class W> void step(Index at, const float* g, Index count, const W& w) const {
    mine_.learner(at, w(mine_), g, count);
    for (int r = 0; r < ranks_; ++r) {
      if (r == rank_) continue;
      const Learner<float>&from = mine_.learner, &to = of(r).learner;
      std::copy_n(w(mine_), count, w(of(r)));
      for (Index s = 0; s < from.slots; ++s) std::copy_n(from.memory + s * from.apart + at, count, to.memory + s * to.apart + at);
    }
  }

  int rank_, ranks_;
  const void* const* all_;
  const DenseOfReplica& mine_;
};

}  // namespace lamina::detail

namespace lamina {

/// As dense_learn(), with the gradients of all replicas, on all of them, in one process; the samples may be none.
inline void dense_learn_together(Cpu& dev, Way<1>, Index n, Index in, Index out, const float* x, float* w, float* b, const float* dy, float* dx, float* db, const Learner<float>& learner, Index at, Index b_at) {
  const detail::DenseTiles d{n, in, out, dev.replica.cut(n)};
  if (n && dx) {
    float* const turned = reinterpret_cast<float*>(dev.arena());
    d.turn(dy, turned);
    const Index each = 128;                                           // features
    dev.run((in + each - 1) / each, [&](Index task, int) {
      for (Index f = task * each, end = std::min(f + each, in); f < end; f += d.features) d.fetch(nullptr, dx, f + d.features), d.input_gradient(w, turned, f, dx);
    });
  }
  if (n && db) detail::add_bias_gradient(dev, n, out, dy, db);
  const detail::DenseOfReplica mine{d, detail::Begins(d.cut), x, dy, w, b, db, learner, at, b_at};
  const std::size_t bytes = std::size_t((in + (b ? 1 : 0)) * out * (1 + learner.slots)) * sizeof(float);      // and what is remembered
  dev.replica.work_together(dev.replica.replicas, &mine, bytes, [&](const void* const* all) { detail::DenseTogether(dev.replica, all).take_part(dev); });
}

}  // namespace lamina
