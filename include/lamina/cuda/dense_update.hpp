/// The dense layer on tensor cores whose weights are updated by who sums their gradients: those never reach memory.
#pragma once
#include "dense_tensor.hpp"
#include "optimizer.hpp"

namespace lamina {

namespace kernels::inline LAMINA_SIMT {

/// A step of the optimizer for 64 x 32 weights of a block, with dw = x^T dy; db = the sums of dy over the samples. With Relu, dy only where y > 0. grid: tiles of weights, then of biases
template <TensorNumber T, bool Relu, class Opt> struct DenseUpdate {
  using Backward = DenseBackward<T, Relu>;
  using W = typename Backward::W;
  static constexpr int threads = W::threads, shared_bytes = W::shared_bytes, side = W::side, columns = Backward::columns, pitch = columns + 8, chunks = columns / 4, together = 2, blocks = 3;
  using Clock = typename Opt::Clock;
  using Weights = OptimizerPack<float, 4>;

  LAMINA_DEVICE static void run(Opt opt, int slots, const Clock* clock, int n, int c, int o,
                                const T* x, const T* dy, const T* y,    // (N, C), (N, O), the same
                                float* p, float* state, Index apart, T* low,  // (C, O), (slots, apart), (C, O)
                                float* db, ShareSteps batch) {                   // (O) or null
    const int outputs = (o + columns - 1) / columns, tiles = outputs * ((c + side - 1) / side), block = block_index().x;
    if (block >= tiles) return Backward::bias_gradient(o, (block - tiles) * side, dy, y, db, true, batch.shares);
    const int c0 = block / outputs * side, o0 = block % outputs * columns;
    float* const gradient = reinterpret_cast<float*>(shared_memory());           // (64, pitch), where the factors were
    W sums;
    Backward::multiply(sums, n, c, o, c0, o0, x, dy, y, batch);
    sums.each([&](float left, float right, int row, int column) { store(reinterpret_cast<TwoFloats*>(gradient + row * pitch + column), TwoFloats{left, right}); });
    sync_block();
    const Clock now = load_whole(clock);
    LAMINA_NO_UNROLL
    for (int first = 0; first < side * chunks; first += together * threads) {
      Weights w[together];
      Index at[together];
      LAMINA_UNROLL
      for (int u = 0; u < together; ++u) {
        const int i = first + u * threads + thread_index(), row = i / chunks, column = i % chunks * 4;
        at[u] = c0 + row < c && o0 + column < o ? Index(c0 + row) * o + o0 + column : -1;
        if (at[u] >= 0) w[u].fetch(p + at[u], state + at[u], apart, slots);
      }
      LAMINA_UNROLL
      for (int u = 0; u < together; ++u) {
        const int i = first + u * threads + thread_index();
        if (at[u] < 0) continue;
        w[u].update(opt, now, load(packs<4>(static_cast<const float*>(gradient + i / chunks * pitch + i % chunks * 4))));
        w[u].put(p + at[u], state + at[u], apart, slots);
        store(packs<4>(low + at[u]), packed<T>(w[u].p.v));
      }
    }
  }
};

}  // namespace kernels::inline LAMINA_SIMT

/// What way 3 of dense_backward with dw and an optimizer's step of the weights would do. What `relu` says followed.
template <RunsKernels D, TensorNumber T, class Opt> requires UpdatesInVectors<Opt>
void dense_update(D& dev, const Opt& opt, const typename Opt::Clock* clock, bool relu, Index n, Index c, Index o, const T* x, const T* dy, const T* y, float* p, float* state, Index apart,
                  T* low, float* db) {
  const auto launch = [&]<bool Relu>(std::bool_constant<Relu>) {
    using K = kernels::DenseUpdate<T, Relu, Opt>;
    const Grid grid{int(pieces(o, K::columns) * pieces(c, K::side) + (db ? pieces(o, K::side) : 0))};
    const kernels::ShareSteps batch(detail::cut_of(dev, n), K::W::step);
    dev.template launch<K>(grid, opt, int(opt.slots()), clock, int(n), int(c), int(o), x, dy, Relu ? y : dy, p, state, apart, low, db, batch);
  };
  if (relu) launch(std::true_type());
  else launch(std::false_type());
}

}  // namespace lamina
