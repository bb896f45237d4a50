/// The dense layer of any type in tiles of 64 x 64, for shapes and types that the tensor cores do not take.
#pragma once
#include "dense_few.hpp"
#include "dense_tensor.hpp"

namespace lamina::kernels::inline LAMINA_SIMT {

/// 64 x 64 sums of a(m, k) b(k, n), 16 of k at a time, 4 x 4 a thread. The factors are functions of (row or column of the tile, k), 0 beyond their ends;
/// Rowed says in which direction neighbouring threads ask for neighbours.
template <class M, Rowed A, Rowed B> struct PlainProduct {
  static constexpr int threads = 256, side = 64, depth = 16, pitch = side + 4, each = side * depth / threads;
  static constexpr int stage = 2 * depth * pitch, shared_bytes = 2 * stage * int(sizeof(M));

  M sum[4][4];

  LAMINA_DEVICE static int row(int i) { return thread_index() / 16 * 4 + i; }
  LAMINA_DEVICE static int column(int j) { return thread_index() % 16 + j * 16; }
  template <class F> LAMINA_DEVICE void all(F f) {              // f(sum, row, column)
    LAMINA_UNROLL
    for (int i = 0; i < 4; ++i)
      LAMINA_UNROLL
      for (int j = 0; j < 4; ++j) f(sum[i][j], row(i), column(j));
  }
  LAMINA_DEVICE void clear() { all([](M& v, int, int) { v = 0; }); }
  LAMINA_DEVICE void operator+=(const PlainProduct& o) {
    LAMINA_UNROLL
    for (int i = 0; i < 4; ++i)
      LAMINA_UNROLL
      for (int j = 0; j < 4; ++j) sum[i][j] += o.sum[i][j];
  }

  template <Rowed S> LAMINA_DEVICE static int place(int i) { return S == Rowed::along ? thread_index() / depth + i * (threads / depth) : thread_index() % side; }
  template <Rowed S> LAMINA_DEVICE static int step(int i) { return S == Rowed::along ? thread_index() % depth : thread_index() / side + i * (threads / side); }
  template <Rowed S, class F> LAMINA_DEVICE static void fetch(M (&v)[each], int k, F f) {
    LAMINA_UNROLL
    for (int i = 0; i < each; ++i) v[i] = f(place<S>(i), k + step<S>(i));
  }
  template <Rowed S> LAMINA_DEVICE static void put(M* to, const M (&v)[each]) {
    LAMINA_UNROLL
    for (int i = 0; i < each; ++i) store(to + step<S>(i) * pitch + place<S>(i), v[i]);
  }

  /// Over k in [from, end); of the rows only the first `rows` are wanted.
  template <class FA, class FB> LAMINA_DEVICE void run(int from, int end, int rows, FA a, FB b) {
    M next_a[each], next_b[each];
    fetch<A>(next_a, from, a), fetch<B>(next_b, from, b);
    M* tile = reinterpret_cast<M*>(shared_memory());            // (stages, factors, k, place)
    LAMINA_NO_UNROLL
    for (int k = from, odd = 0; k < end; k += depth, odd ^= 1) {
      M *const as = tile + odd * stage, *const bs = as + depth * pitch;
      put<A>(as, next_a), put<B>(bs, next_b);
      sync_block();
      if (k + depth < end) fetch<A>(next_a, k + depth, a), fetch<B>(next_b, k + depth, b);
      if (row(0) >= rows) continue;
      LAMINA_UNROLL
      for (int d = 0; d < depth; ++d) {
        constexpr int at_once = most_channels<M>;
        Pack<M, at_once> left[4 / at_once];
        LAMINA_UNROLL
        for (int i = 0; i < 4; i += at_once) left[i / at_once] = load(packs<at_once>(static_cast<const M*>(as + d * pitch + row(i))));
        LAMINA_UNROLL
        for (int j = 0; j < 4; ++j) {
          const M right = load(bs + d * pitch + column(j));
          LAMINA_UNROLL
          for (int i = 0; i < 4; ++i) sum[i][j] += left[i / at_once].v[i % at_once] * right;
        }
      }
    }
  }
};

/// y = x w + b within bounds, or parts (slices, N, O) of x w without b, slice z of `each` inputs. grid: (tiles of outputs, tiles of samples, slices)
template <class T> struct DenseTilesForward {
  using M = Master<T>;
  using P = PlainProduct<M, Rowed::along, Rowed::across>;
  static constexpr int threads = P::threads, shared_bytes = P::shared_bytes;

  LAMINA_DEVICE static void run(int n, int c, int o, int each, const T* x, const T* w, const M* b, Bounds<M> bounds, T* y, M* parts) {
    const auto block = block_index();
    const int i0 = block.y * P::side, o0 = block.x * P::side, from = block.z * each, end = from + each < c ? from + each : c;
    P p;
    p.clear();
    p.run(from, end, n - i0, [&](int i, int k) { return number(x + Index(i0 + i) * c + k, i0 + i < n && k < end); },
          [&](int j, int k) { return number(w + Index(k) * o + o0 + j, k < end && o0 + j < o); });
    p.all([&](M v, int i, int j) {
      if (i0 + i >= n || o0 + j >= o) return;
      if (y) store(y + Index(i0 + i) * o + o0 + j, stored<T>(bounds(b ? v + load(b + o0 + j) : v)));
      else store(parts + (Index(block.z) * n + i0 + i) * o + o0 + j, v);
    });
  }
};

/// dx = dy w^T, dw += x^T dy, or = it, and db is the row of dw that belongs to an input of 1; with Relu, dy only where y > 0. grid: blocks of dx, then of dw
template <class T, bool Relu> struct DenseTilesBackward {
  using M = Master<T>;
  using X = PlainProduct<M, Rowed::along, Rowed::along>;
  using W = PlainProduct<M, Rowed::across, Rowed::across>;
  static constexpr int threads = X::threads, shared_bytes = X::shared_bytes, side = X::side;

  LAMINA_DEVICE static void run(int n, int c, int o, int of_x,
                                const T* x, const T* w,               // (N, C), (C, O)
                                const T* dy, const T* y,              // (N, O)
                                T* dx, M* dw, M* db, bool writes, Slabs cut) {   // (N, C); (C, O), (O) or null
    const int block = block_index().x, samples = (n + side - 1) / side, outputs = (o + side - 1) / side;
    const auto gradient = [&](int i, int j) { return gradient_at<Relu>(dy, y, Index(i) * o + j, i < n && j < o); };
    if (block < of_x) {
      const int i0 = block % samples * side, c0 = block / samples * side;
      X p;
      p.clear();
      p.run(0, o, n - i0, [&](int i, int k) { return gradient(i0 + i, k); }, [&](int j, int k) { return number(w + Index(c0 + j) * o + k, c0 + j < c && k < o); });
      p.all([&](M v, int i, int j) {
        if (i0 + i < n && c0 + j < c) store(dx + Index(i0 + i) * c + c0 + j, stored<T>(v));
      });
    } else {
      const int o0 = (block - of_x) % outputs * side, c0 = (block - of_x) / outputs * side;
      const auto to = [&](int i, int j) -> M* {
        if (o0 + j >= o) return nullptr;
        return c0 + i < c ? dw + Index(c0 + i) * o + o0 + j : c0 + i == c && db ? db + o0 + j : nullptr;
      };
      W p;
      ShareTree<W> tree;
      LAMINA_NO_UNROLL
      for (int share = 0; share < cut.shares; ++share) {
        const int end = cut.begin(share + 1);
        p.clear();
        p.run(cut.begin(share), end, c + 1 - c0, [&](int i, int k) { return c0 + i < c ? number(x + Index(k) * c + c0 + i, k < end) : M(1); },
              [&](int j, int k) { return k < end ? gradient(k, o0 + j) : M(0); });
        sync_block();                                                 // the next share begins with the first tile
        tree.add(p);
      }
      p = tree.sum();
      p.all([&](M v, int i, int j) {
        if (M* at = to(i, j)) store(at, (writes ? M(0) : load(at)) + v);
      });
    }
  }
};

}  // namespace lamina::kernels::inline LAMINA_SIMT
