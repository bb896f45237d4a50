/// The sum of what a function says, on a GPU: in stretches whose bounds follow from their number, which the host adds in their order.
#pragma once
#include <algorithm>

#include "kernel.hpp"
#include "words.hpp"

namespace lamina {

namespace kernels::inline LAMINA_SIMT {

template <class F> struct SumParts {
  static constexpr int threads = 256, shared_bytes = threads * int(sizeof(double));
  LAMINA_DEVICE static void run(Index n, F f, double* parts) {
    using namespace simt;
    double* const sums = reinterpret_cast<double*>(shared_memory());
    const int lane = thread_index(), stretch = block_index().x, stretches = grid_size().x;
    double mine = 0;
    for (Index i = n * stretch / stretches + lane; i < n * (stretch + 1) / stretches; i += threads) mine += double(f(i));
    store(sums + lane, mine);
    for (int half = threads / 2; half > 0; half /= 2) {
      sync_block();
      if (lane < half) store(sums + lane, load(sums + lane) + load(sums + lane + half));
    }
    if (lane == 0) store(parts + stretch, load(sums));
  }
};

}  // namespace kernels::inline LAMINA_SIMT

/// The sum of f(i) over [0, n), with the same bits every time. It waits for all that was launched before.
template <RunsKernels D, class F> double sum(D& dev, Index n, F f) {
  constexpr Index most = least_arena / sizeof(double);
  double parts[most];
  const Index stretches = std::clamp<Index>(pieces(n, 1024), 1, most);
  dev.reserve(least_arena);
  auto* const on_device = reinterpret_cast<double*>(dev.arena());
  dev.template launch<kernels::SumParts<F>>(Grid{int(stretches)}, n, f, on_device);
  dev.download(parts, on_device, std::size_t(stretches) * sizeof(double));
  double all = 0;
  for (Index i = 0; i < stretches; ++i) all += parts[i];
  return all;
}

}  // namespace lamina
