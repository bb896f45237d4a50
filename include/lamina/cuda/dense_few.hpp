/// The dense layer with few outputs, such as the last of a classifier: one launch a way, which is over as soon as its numbers have come from memory.
#pragma once
#include "places.hpp"

namespace lamina::kernels::inline LAMINA_SIMT {

using namespace simt;

/// What is computed with, of a number in memory; 0 where it is not inside.
template <class T> LAMINA_DEVICE Master<T> number(const T* p, bool inside = true) {
  if (inside) return load(p);
  return 0;
}

/// A gradient, with Relu only where y > 0.
template <bool Relu, class T> LAMINA_DEVICE Master<T> gradient_at(const T* dy, const T* y, Index at, bool inside) {
  const Master<T> d = number(dy + at, inside);
  if constexpr (Relu) return number(y + at, inside) <= 0 ? Master<T>(0) : d;
  else return d;
}

/// y = x w + b within bounds, a block for each sample; 16 outputs at a time. grid: (N)
template <class T> struct DenseFewForward {
  using M = Master<T>;
  static constexpr int threads = 128, outputs = 16, rows = threads / outputs, pitch = outputs + 1, shared_bytes = (threads + rows) * pitch * int(sizeof(M));

  LAMINA_DEVICE static void run(int c, int o, const T* x, const T* w, const M* b, Bounds<M> bounds, T* y) {   // (N, C), (C, O), (O) or null, (N, O)
    const int t = thread_index();
    M* const sums = reinterpret_cast<M*>(shared_memory());            // (threads, outputs), and then (rows, outputs)
    M* const totals = sums + threads * pitch;
    x += Index(block_index().x) * c, y += Index(block_index().x) * o;
    for (int o0 = 0; o0 < o; o0 += outputs) {
      M sum[outputs] = {};
      for (int k = t; k < c; k += threads) {
        const M v = number(x + k);
        LAMINA_UNROLL
        for (int j = 0; j < outputs; ++j) sum[j] += v * number(w + Index(k) * o + o0 + j, o0 + j < o);
      }
      LAMINA_UNROLL
      for (int j = 0; j < outputs; ++j) store(sums + t * pitch + j, sum[j]);
      sync_block();
      const int row = t / outputs, j = t % outputs;
      M part = 0;
      LAMINA_UNROLL
      for (int i = 0; i < outputs; ++i) part += load(sums + (row * outputs + i) * pitch + j);
      store(totals + row * pitch + j, part);
      sync_block();
      if (t >= outputs || o0 + t >= o) continue;
      M all = b ? load(b + o0 + t) : M(0);
      LAMINA_UNROLL
      for (int r = 0; r < rows; ++r) all += load(totals + r * pitch + t);
      store(y + o0 + t, stored<T>(bounds(all)));
    }
  }
};

/// dx = dy w^T, dw += x^T dy, or = it, and db is the row of dw that belongs to an input of 1. With Relu, dy only where y > 0. grid: blocks of dx, then of dw
template <class T, bool Relu> struct DenseFewBackward {
  using M = Master<T>;
  static constexpr int threads = 128, outputs = 16, inputs = threads / outputs, rows = threads / inputs, pitch = outputs + 1, shared_bytes = threads * pitch * int(sizeof(M));

  LAMINA_DEVICE static void run(int c, int o, int of_x,
                                const T* x, const T* w,               // (N, C), (C, O)
                                const T* dy, const T* y,              // (N, O)
                                T* dx, M* dw, M* db, bool writes, Slabs cut) {   // (N, C); (C, O), (O) or null
    const int block = block_index().x, across = (c + threads - 1) / threads;
    if (block < of_x) input_gradient(c, o, block / across, block % across * threads + thread_index(), w, dy, y, dx);
    else weight_gradient(c, o, (block - of_x) * inputs, x, dy, y, dw, db, writes, cut);
  }

 private:
  LAMINA_DEVICE static void input_gradient(int c, int o, int i, int k, const T* w, const T* dy, const T* y, T* dx) {
    if (k >= c) return;
    M sum = 0;
    for (int o0 = 0; o0 < o; o0 += outputs)
      LAMINA_UNROLL
      for (int j = 0; j < outputs; ++j) sum += gradient_at<Relu>(dy, y, Index(i) * o + o0 + j, o0 + j < o) * number(w + Index(k) * o + o0 + j, o0 + j < o);
    store(dx + Index(i) * c + k, stored<T>(sum));
  }
  /// Thread t adds up input t % 8 of every second sample of a share.
  LAMINA_DEVICE static void weight_gradient(int c, int o, int k0, const T* x, const T* dy, const T* y, M* dw, M* db, bool writes, const Slabs& cut) {
    constexpr int of_share = rows / int(lamina::shares);
    const int t = thread_index(), k = k0 + t % inputs, share = t / inputs / of_share;
    M* const sums = reinterpret_cast<M*>(shared_memory());            // (rows, inputs, outputs)
    for (int o0 = 0; o0 < o; o0 += outputs) {
      M sum[outputs] = {};
      if (k <= c && share < cut.shares)
        for (int i = cut.begin(share) + t / inputs % of_share; i < cut.begin(share + 1); i += of_share) {
          const M v = k < c ? number(x + Index(i) * c + k) : M(1);
          LAMINA_UNROLL
          for (int j = 0; j < outputs; ++j) sum[j] += v * gradient_at<Relu>(dy, y, Index(i) * o + o0 + j, o0 + j < o);
        }
      LAMINA_UNROLL
      for (int j = 0; j < outputs; ++j) store(sums + t * pitch + j, sum[j]);
      sync_block();
      const int input = k0 + t / outputs, j = t % outputs;
      M* const to = input < c ? dw + Index(input) * o + o0 + j : input == c && db ? db + o0 + j : nullptr;
      if (to && o0 + j < o) {
        M of[lamina::shares];
        LAMINA_UNROLL
        for (int s = 0; s < int(lamina::shares); ++s) {
          of[s] = load(sums + (s * of_share * inputs + t / outputs) * pitch + j);
          LAMINA_UNROLL
          for (int r = 1; r < of_share; ++r) of[s] += load(sums + ((s * of_share + r) * inputs + t / outputs) * pitch + j);
        }
        store(to, (writes ? M(0) : load(to)) + tree_sum_at<shares>(of));
      }
      sync_block();
    }
  }
};

}  // namespace lamina::kernels::inline LAMINA_SIMT
