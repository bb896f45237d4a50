/// The fully connected layer on the CPU. Work is cut into blocks of outputs or of weights whose bounds follow from the shapes alone. Way 0 takes any shape, way 1 runs in
/// vectors, way 2 is for a few outputs.
#pragma once
#include <algorithm>

#include "dense_together.hpp"
#include "gemm.hpp"

namespace lamina {

namespace detail {
/// Blocks of a dense layer: samples and outputs of the forward product, inputs and outputs of the weight gradient.
struct DenseBlocks {
  static constexpr Index samples = 64, outputs = 64, inputs = 256;
  static Index count(Index n, Index each) { return (n + each - 1) / each; }
  static Index extent(Index block, Index n, Index each) { return block * each + each < n ? each : n - block * each; }
  /// Numbers of a block of the weight gradient, of which a worker has four (see tree_sum_in_turn()).
  static Index weights(Index in, Index out) { return room(std::min(in, inputs) * std::min(out, outputs)); }
  template <class T> static Index worker_bytes(Index n, Index in, Index out) {
    const Index s = std::min(n, samples), o = std::min(out, outputs), i = std::min(in, inputs);
    return 4 * weights(in, out) * Index(sizeof(T)) + std::max(gemm_bytes<T>(s, o, in), std::max(gemm_bytes<T>(i, o, n), gemm_bytes<T>(s, i, out)));
  }
};
}  // namespace detail

template <class T>
void dense_forward(Cpu& dev, Way<0>, Index n, Index in, Index out,
                   const T* x,               // (N, in)
                   const T* w, const T* b,   // (in, out), (out) or null
                   T* y) {                   // (N, out)
  using B = detail::DenseBlocks;
  const Index bytes = B::worker_bytes<T>(n, in, out);
  detail::each_block(dev, n, 1, B::samples, B::count(out, B::outputs), [&](Index first, Index rows, Index block, int worker) {
    const Index o0 = block * B::outputs, cols = B::extent(block, out, B::outputs);
    for (Index i = first; i < first + rows; ++i)
      for (Index o = o0; o < o0 + cols; ++o) y[i * out + o] = b ? b[o] : T(0);
    gemm(rows, cols, in, x + first * in, in, w + o0, out, y + first * out + o0, out, dev.arena() + worker * bytes);
  });
}

template <class T>
void dense_backward(Cpu& dev, Way<0>, Index n, Index in, Index out, const T* x, const T* w,
                    const T* dy,             // (N, out)
                    T* dx,                   // (N, in) or null
                    T* dw, T* db) {          // += (in, out), (out) or null
  if (!n) return;
  using B = detail::DenseBlocks;
  const Index bytes = B::worker_bytes<T>(n, in, out), weights = B::weights(in, out);
  const Shares s = dev.replica.cut(n);
  if (db) detail::add_bias_gradient(dev, n, out, dy, db);
  dev.run(B::count(in, B::inputs), [&](Index task, int worker) {
    const Index k0 = task * B::inputs, rows = B::extent(task, in, B::inputs);
    T* const parts = reinterpret_cast<T*>(dev.arena() + worker * bytes);
    std::byte* const memory = reinterpret_cast<std::byte*>(parts + 4 * weights);
    for (Index o0 = 0; o0 < out; o0 += B::outputs) {
      const Index cols = std::min(B::outputs, out - o0);
      tree_sum_in_turn(s.count, [&](Index share, Index place) {
        const Index first = s.begin(share);
        std::fill_n(parts + place * weights, rows * cols, T(0));
        gemm<Lies::transposed>(rows, cols, s.begin(share + 1) - first, x + first * in + k0, in, dy + first * out + o0, out, parts + place * weights, cols, memory);
      }, [&](Index to, Index from) {
        for (Index i = 0; i < rows * cols; ++i) parts[to * weights + i] += parts[from * weights + i];
      });
      for (Index k = 0; k < rows; ++k)
        for (Index o = 0; o < cols; ++o) dw[(k0 + k) * out + o0 + o] += parts[k * cols + o];
    }
  });
  if (!dx) return;
  detail::each_block(dev, n, 1, B::samples, B::count(in, B::inputs), [&](Index first, Index samples, Index block, int worker) {
    const Index k0 = block * B::inputs, cols = B::extent(block, in, B::inputs);
    for (Index i = first; i < first + samples; ++i) std::fill_n(dx + i * in + k0, cols, T(0));
    gemm<Lies::as_is, Lies::transposed>(samples, cols, out, dy + first * out, out, w + k0 * out, out, dx + first * in + k0, in, dev.arena() + worker * bytes);
  });
}

template <class T> Index dense_arena(const Cpu& dev, Way<0>, T, Index n, Index in, Index out) { return dev.threads() * detail::DenseBlocks::worker_bytes<T>(n, in, out); }

inline void dense_forward(Cpu& dev, Way<1>, Index n, Index in, Index out, const float* x, const float* w, const float* b, float* y) {
  const detail::DenseTiles d{n, in, out, dev.replica.cut(n)};
  const Index slices = d.slices(), across = d.across(), part = n * out;
  float* const parts = reinterpret_cast<float*>(dev.arena());        // (slices - 1, N, out); the first slice goes to y
  dev.run(slices * across, [&](Index task, int) {
    const Index slice = task / across, o = task % across * detail::DenseTiles::out_block;
    d.forward(x, w, slice ? nullptr : b, d.first_of_slice(slice), d.first_of_slice(slice + 1), o, std::min(o + detail::DenseTiles::out_block, out), slice ? parts + (slice - 1) * part : y);
  });
  if (slices > 1) dev.run((part + 2047) / 2048, [&](Index task, int) { d.add_slices(parts, task * 2048, std::min(part, (task + 1) * 2048), y); });
}

namespace detail {
/// Where the step of the parameters is taken at once: those of w begin at `at` in the block, those of the bias at `b_at`.
struct DenseLearner { const Learner<float>& learner; float *w, *b; Index at, b_at; };

/// dx, and dw +=, db +=, or with a learner the step of w and b: then one pass over the weights does all, and db is zero before and after.
[[gnu::noinline]] inline void dense_backward(Cpu& dev, const DenseTiles& d, const float* x, const float* w, const float* dy, float* dx, float* dw, float* db, const DenseLearner* learn) {
  float *const turned = reinterpret_cast<float*>(dev.arena()), *const buffers = turned + d.padded() * d.out;
  if (dx) d.turn(dy, turned);
  if (db) add_bias_gradient(dev, d.n, d.out, dy, db);
  const Begins begin(d.cut);
  const Index each = 128;                                           // features
  dev.run((d.in + each - 1) / each, [&](Index task, int worker) {
    float *const buffer = buffers + worker * d.worker_numbers(), *const inputs = buffer + d.features * d.out;
    for (Index f = task * each, end = std::min(f + each, d.in); f < end; f += d.features) {
      d.fetch(x, dx, f + d.features);
      if (dx) d.input_gradient(w, turned, f, dx);
      d.gather(x, f, inputs);
      const bool more = f + d.features < d.in;
      if (!learn) {
        d.weight_gradient(inputs, dy, begin, dw + f * d.out, true, {dw + (f + d.features) * d.out, more, 0});
        continue;
      }
      const Learner<float>& learner = learn->learner;
      const Index at = learn->at + f * d.out, block = d.features * d.out;
      d.weight_gradient(inputs, dy, begin, buffer, false, {learner.memory + at + block, more ? learner.slots : 0, learner.apart});
      learner(at, learn->w + f * d.out, buffer, block);
    }
  });
  if (learn && db) dev.run(1, [&](Index, int) { learn->learner(learn->b_at, learn->b, db, d.out), std::fill_n(db, d.out, 0.0f); });      // a task, as every update is: with its treatment of small numbers
}
}  // namespace detail

inline void dense_backward(Cpu& dev, Way<1>, Index n, Index in, Index out, const float* x, const float* w, const float* dy, float* dx, float* dw, float* db) {
  if (n) detail::dense_backward(dev, {n, in, out, dev.replica.cut(n)}, x, w, dy, dx, dw, db, nullptr);
}
/// The same and the step of w (in, out) and b (out) or null, which are the parameters `at` and `b_at` of the block.
inline void dense_learn(Cpu& dev, Way<1>, Index n, Index in, Index out, const float* x, float* w, float* b, const float* dy, float* dx, float* db, const Learner<float>& learner, Index at, Index b_at) {
  const detail::DenseLearner learn{learner, w, b, at, b_at};
  detail::dense_backward(dev, {n, in, out, dev.replica.cut(n)}, x, w, dy, dx, nullptr, db, &learn);
}
inline Index dense_arena(const Cpu& dev, Way<1>, float, Index n, Index in, Index out) {
  const detail::DenseTiles d{n, in, out, dev.replica.cut(n)};
  const Index together = dev.replica.work_together ? dev.threads() * detail::DenseTogether::worker_numbers(dev.replica, n, out) : 0;
  return std::max({(d.slices() - 1) * n * out, d.padded() * out + dev.threads() * d.worker_numbers(), together}) * Index(sizeof(float));
}

template <class T> void dense_forward(Cpu& dev, Way<2>, Index n, Index in, Index out, const T* x, const T* w, const T* b, T* y) {
  dev.run(n, [&](Index i, int) {
    T sum[detail::few_outputs] = {};
    for (Index k = 0; k < in; ++k)
      for (Index o = 0; o < out; ++o) sum[o] += x[i * in + k] * w[k * out + o];
    for (Index o = 0; o < out; ++o) y[i * out + o] = b ? sum[o] + b[o] : sum[o];
  });
}
template <class T> void dense_backward(Cpu& dev, Way<2>, Index n, Index in, Index out, const T* x, const T* w, const T* dy, T* dx, T* dw, T* db) {
  if (!n) return;
  if (db) detail::add_bias_gradient(dev, n, out, dy, db);
  const Index of_shares = dev.replica.count;
  const detail::Begins begin(dev.replica.cut(n));
  const Index each = 32;                                            // inputs
  dev.run((in + each - 1) / each, [&](Index task, int) {
    for (Index k = task * each, end = std::min(k + each, in); k < end; ++k) {
      alignas(64) T sums[4][detail::few_outputs];
      tree_sum_in_turn(of_shares, [&](Index share, Index place) {
        T* const sum = sums[place];
        std::fill_n(sum, detail::few_outputs, T(0));
        for (Index i = begin(share); i < begin(share + 1); ++i) {
          T d = 0;
          for (Index o = 0; o < out; ++o) sum[o] += x[i * in + k] * dy[i * out + o], d += w[k * out + o] * dy[i * out + o];
          if (dx) dx[i * in + k] = d;
        }
      }, [&](Index to, Index from) {
        for (int o = 0; o < detail::few_outputs; ++o) sums[to][o] += sums[from][o];
      });
      for (Index o = 0; o < out; ++o) dw[k * out + o] += sums[0][o];
    }
  });
}
template <class T> Index dense_arena(const Cpu&, Way<2>, T, Index, Index, Index) { return 0; }

}  // namespace lamina
