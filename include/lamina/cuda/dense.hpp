/// The fully connected layer on a GPU. Way 0 takes any shape, way 1 is for few outputs (dense_few.hpp), way 2 for many weights (dense_tiles.hpp), way 3 for bf16 and tf32 on tensor
/// cores (dense_tensor.hpp). Where a ReLU follows, dense_forward is given its bounds, and dense_backward its output y: the gradient flows where that is above 0.
#pragma once
#include <algorithm>

#include "dense_few.hpp"
#include "dense_tensor.hpp"
#include "dense_tiles.hpp"
#include "rules.hpp"

namespace lamina {

namespace detail {
/// The inputs are cut into slices, which are summed at the same time and then added in their order. Their number follows from the shapes alone.
struct DenseSlices {
  Index each, count;                       // inputs of a slice
  static constexpr Index unit = 64, blocks = CudaRules::multiprocessors, tile = unit * unit;

  DenseSlices(Index c, Index wanted) {
    const Index units = pieces(c, unit);
    each = pieces(units, std::clamp<Index>(wanted, 1, units)) * unit;
    count = pieces(c, each);
  }
  /// Of the whole batch: what is summed for a sample does not depend on how many are here.
  static DenseSlices any(Index n, Index c, Index o) { return {c, 16 * tile / (n * o)}; }
  static DenseSlices of_tiles(Index n, Index c, Index o) { return {c, 2 * blocks / (pieces(n, unit) * pieces(o, unit))}; }
  static DenseSlices tensor(Index n, Index c, Index o) { return {c, blocks / (pieces(n, unit) * pieces(o, columns(n, c, o)))}; }
  /// Of a tile of outputs: fewer make smaller parts, and read x more often.
  static Index columns(Index n, Index c, Index o) { return n * c * o > Index(1) << 26 ? 64 : 32; }
  /// Numbers that the parts are at most, with so many samples or fewer.
  static Index most(Index n, Index c, Index o) { return std::min(pieces(c, unit) * n * o, std::max(2 * blocks * tile, n * o)); }
};

template <class T> struct DensePart {
  using M = Master<T>;
  Index n, c, o, each;
  const T *x, *w;                          // (N, C), (C, O)
  M* parts;                                // (slices, N, O)
  LAMINA_HD void operator()(Index at) const {
    const Index slice = at / (n * o), i = at / o % n, j = at % o, end = (slice + 1) * each < c ? (slice + 1) * each : c;
    M sum = 0;
    for (Index k = slice * each; k < end; ++k) sum += M(x[i * c + k]) * M(w[k * o + j]);
    parts[at] = sum;
  }
};
template <class T> struct DenseInputGradient {
  using M = Master<T>;
  Index c, o;
  const T *w, *dy, *y; T* dx;              // (C, O), (N, O), the same or null, (N, C)
  LAMINA_HD void operator()(Index at) const {
    const Index i = at / c, k = at % c;
    M sum = 0;
    for (Index j = 0; j < o; ++j)
      if (!y || !(M(y[i * o + j]) <= 0)) sum += M(dy[i * o + j]) * M(w[k * o + j]);
    dx[at] = T(sum);
  }
};
/// The bias is the weight of an input of 1, the last.
template <class T> struct DenseWeightGradient {
  using M = Master<T>;
  kernels::Slabs cut; Index c, o;
  const T *x, *dy, *y; M *dw, *db;         // (N, C), (N, O), the same or null, (C, O), (O)
  bool writes;
  LAMINA_DEVICE void operator()(Index at) const {
    const Index k = at / o, j = at % o;
    kernels::ShareTree<M> tree;
    for (int share = 0; share < cut.shares; ++share) {
      M sum = 0;
      for (Index i = cut.begin(share); i < cut.begin(share + 1); ++i)
        if (!y || !(M(y[i * o + j]) <= 0)) sum += (k < c ? M(x[i * c + k]) : M(1)) * M(dy[i * o + j]);
      tree.add(sum);
    }
    M& to = k < c ? dw[at] : db[j];
    to = (writes ? M(0) : to) + tree.sum();
  }
};
}  // namespace detail

namespace kernels::inline LAMINA_SIMT {
/// y = the sum of the parts, slice by slice, + b, within bounds. 32 outputs a block; each of its warps adds up every eighth slice. grid: (outputs / 32)
template <class T> struct DenseSum {
  using M = Master<T>;
  static constexpr int threads = 256, across = 32, rows = threads / across, shared_bytes = threads * int(sizeof(M));

  LAMINA_DEVICE static void run(Index count, int o, int slices, const M* parts, const M* b, Bounds<M> bounds, T* y) {   // (slices, N, O), (O) or null, (N, O)
    const int t = thread_index(), row = t / across;
    const Index at = Index(block_index().x) * across + t % across;
    M* const sums = reinterpret_cast<M*>(shared_memory());            // (rows, across)
    M sum = 0;
    if (at < count)
      for (int s = row; s < slices; s += rows) sum += load(parts + s * count + at);
    store(sums + t, sum);
    sync_block();
    if (row > 0 || at >= count) return;
    LAMINA_UNROLL
    for (int r = 1; r < rows; ++r) sum += load(sums + r * across + t);
    if (b) sum += load(b + at % o);
    store(y + at, stored<T>(bounds(sum)));
  }
};
}  // namespace kernels::inline LAMINA_SIMT

namespace detail {
template <class T, class D> void dense_sum(D& dev, const DenseSlices& s, Index n, Index o, const Master<T>* parts, const Master<T>* b, Clamp clamp, T* y) {
  using K = kernels::DenseSum<T>;
  using M = Master<T>;
  dev.template launch<K>(Grid{int(pieces(n * o, K::across))}, n * o, int(o), int(s.count), parts, b, kernels::Bounds<M>(clamp), y);
}
}  // namespace detail

// --- way 0: any shape

template <RunsKernels D, class T>
void dense_forward(D& dev, Way<0>, Index n, Index c, Index o,
                   const T* x,                            // (N, C)
                   const T* w, const Master<T>* b,        // (C, O), (O) or null
                   T* y, Clamp clamp = {}) {              // (N, O)
  const auto slices = detail::DenseSlices::any(detail::cut_of(dev, n).n, c, o);
  auto* const parts = reinterpret_cast<Master<T>*>(dev.arena());
  parallel_for(dev, slices.count * n * o, detail::DensePart<T>{n, c, o, slices.each, x, w, parts});
  detail::dense_sum(dev, slices, n, o, parts, b, clamp, y);
}
template <RunsKernels D, class T>
void dense_backward(D& dev, Way<0>, Index n, Index c, Index o, const T* x, const T* w,
                    const T* dy,                          // (N, O)
                    T* dx,                                // (N, C) or null
                    Master<T>* dw, Master<T>* db,         // += (C, O), (O); either or both null
                    const T* y = nullptr) {               // (N, O) or null
  if (dx) parallel_for(dev, n * c, detail::DenseInputGradient<T>{c, o, w, dy, y, dx});
  if (dw) parallel_for(dev, (c + (db ? 1 : 0)) * o, detail::DenseWeightGradient<T>{{detail::cut_of(dev, n), 1}, c, o, x, dy, y, dw, db, dev.writes_gradients});
}
template <RunsKernels D, class T> Index dense_arena(const D&, Way<0>, T, Index n, Index c, Index o) {
  return detail::DenseSlices::most(n, c, o) * Index(sizeof(Master<T>));
}

// --- way 1: few outputs

template <RunsKernels D, class T>
void dense_forward(D& dev, Way<1>, Index n, Index c, Index o, const T* x, const T* w, const Master<T>* b, T* y, Clamp clamp = {}) {
  using M = Master<T>;
  dev.template launch<kernels::DenseFewForward<T>>(Grid{int(n)}, int(c), int(o), x, w, b, kernels::Bounds<M>(clamp), y);
}
namespace detail {
template <bool Relu, class D, class T>
void dense_backward(D& dev, Way<1>, Index n, Index c, Index o, const T* x, const T* w, const T* dy, const T* y, T* dx, Master<T>* dw, Master<T>* db) {
  using K = kernels::DenseFewBackward<T, Relu>;
  const int of_x = dx ? int(n * pieces(c, K::threads)) : 0, of_w = dw ? int(pieces(c + (db ? 1 : 0), K::inputs)) : 0;
  dev.template launch<K>(Grid{of_x + of_w}, int(c), int(o), of_x, x, w, dy, y, dx, dw, db, dev.writes_gradients, kernels::Slabs(cut_of(dev, n), 1));
}
}  // namespace detail
template <RunsKernels D, class T> Index dense_arena(const D&, Way<1>, T, Index, Index, Index) { return 0; }

// --- way 2: tiles

template <RunsKernels D, class T>
void dense_forward(D& dev, Way<2>, Index n, Index c, Index o, const T* x, const T* w, const Master<T>* b, T* y, Clamp clamp = {}) {
  using K = kernels::DenseTilesForward<T>;
  const auto slices = detail::DenseSlices::of_tiles(detail::cut_of(dev, n).n, c, o);
  auto* const parts = reinterpret_cast<Master<T>*>(dev.arena());
  const bool whole = slices.count == 1;
  dev.template launch<K>(Grid{int(pieces(o, K::P::side)), int(pieces(n, K::P::side)), int(slices.count)}, int(n), int(c), int(o), int(slices.each), x, w, b,
                         kernels::Bounds<Master<T>>(clamp), whole ? y : nullptr, parts);
  if (!whole) detail::dense_sum(dev, slices, n, o, parts, b, clamp, y);
}
template <RunsKernels D, class T> Index dense_arena(const D& dev, Way<2>, T, Index n, Index c, Index o) { return dense_arena(dev, Way<0>(), T(), n, c, o); }

namespace detail {
template <bool Relu, class D, class T>
void dense_backward(D& dev, Way<2>, Index n, Index c, Index o, const T* x, const T* w, const T* dy, const T* y, T* dx, Master<T>* dw, Master<T>* db) {
  using K = kernels::DenseTilesBackward<T, Relu>;
  const int of_x = dx ? int(pieces(n, K::side) * pieces(c, K::side)) : 0, of_w = dw ? int(pieces(o, K::side) * pieces(c + (db ? 1 : 0), K::side)) : 0;
  dev.template launch<K>(Grid{of_x + of_w}, int(n), int(c), int(o), of_x, x, w, dy, y, dx, dw, db, dev.writes_gradients, kernels::Slabs(cut_of(dev, n), 1));
}
}  // namespace detail

// --- way 3: on tensor cores

namespace detail {
template <int Columns, class D, class T>
void dense_tensor_forward(D& dev, const DenseSlices& s, Index n, Index c, Index o, const T* x, const T* w, const float* b, T* y, Clamp clamp) {
  using K = kernels::DenseForward<T, Columns>;
  auto* const parts = reinterpret_cast<float*>(dev.arena());
  const bool whole = s.count == 1;
  dev.template launch<K>(Grid{int(pieces(o, Columns)), int(pieces(n, K::P::side)), int(s.count)}, int(n), int(c), int(o), int(s.each / K::P::depth), x, w, b,
                         kernels::Bounds<float>(clamp), whole ? y : nullptr, whole ? nullptr : parts);
  if (!whole) dense_sum(dev, s, n, o, parts, b, clamp, y);
}
}  // namespace detail
template <RunsKernels D, TensorNumber T>
void dense_forward(D& dev, Way<3>, Index n, Index c, Index o, const T* x, const T* w, const float* b, T* y, Clamp clamp = {}) {
  const Index whole = detail::cut_of(dev, n).n;
  const auto slices = detail::DenseSlices::tensor(whole, c, o);
  if (detail::DenseSlices::columns(whole, c, o) == 32) detail::dense_tensor_forward<32>(dev, slices, n, c, o, x, w, b, y, clamp);
  else detail::dense_tensor_forward<64>(dev, slices, n, c, o, x, w, b, y, clamp);
}
template <RunsKernels D, TensorNumber T> Index dense_arena(const D&, Way<3>, T, Index n, Index c, Index o) {
  return detail::DenseSlices::most(n, c, o) * Index(sizeof(float));
}

namespace detail {
template <bool Relu, class D, class T>
void dense_backward(D& dev, Way<3>, Index n, Index c, Index o, const T* x, const T* w, const T* dy, const T* y, T* dx, float* dw, float* db) {
  using K = kernels::DenseBackward<T, Relu>;
  const typename K::Tiles tiles{int(pieces(n, K::side)), int(pieces(c, K::side)), int(pieces(o, K::columns)), dx != nullptr};
  const int blocks = ((dx ? tiles.samples : 0) + (dw ? tiles.outputs : 0)) * tiles.inputs + (db ? int(pieces(o, K::side)) : 0);
  dev.template launch<K>(Grid{blocks}, int(n), int(c), int(o), tiles, x, w, dy, y, dx, dw, db, dev.writes_gradients, kernels::ShareSteps(cut_of(dev, n), K::W::step));
}
}  // namespace detail

// --- backward, in all ways above 0: whether there is a ReLU is known where a layer is compiled

template <RunsKernels D, int W, class T> requires (W > 0)
void dense_backward(D& dev, Way<W> way, Index n, Index c, Index o, const T* x, const T* w, const T* dy, T* dx, Master<T>* dw, Master<T>* db) {
  detail::dense_backward<false>(dev, way, n, c, o, x, w, dy, dy, dx, dw, db);
}
template <RunsKernels D, int W, class T> requires (W > 0)
void dense_backward(D& dev, Way<W> way, Index n, Index c, Index o, const T* x, const T* w, const T* dy, T* dx, Master<T>* dw, Master<T>* db, const T* y) {
  detail::dense_backward<true>(dev, way, n, c, o, x, w, dy, y, dx, dw, db);
}

}  // namespace lamina
