/// The fully connected layer in vectors: tiles of samples and outputs whose sums stay in registers, and a backward pass that goes over the weights once.
#pragma once
#include <algorithm>

#include "../core/layer.hpp"
#include "cpu.hpp"
#include "outer.hpp"
#include "shares.hpp"

namespace lamina::detail {

using simd::Floats;

/// Ways with an array for the outputs of a sample.
inline constexpr int few_outputs = 16;

/// db (out) += the rows of dy (n, out), at once: other threads would only come when it is done.
template <class T> void add_bias_gradient(const Cpu& dev, Index n, Index out, const T* dy, T* db) {
  Cpu one = dev.alone(dev.arena());
  add_columns(one, dev.replica.cut(n), dy, 1, out, db);
}

struct DenseTiles {
  static constexpr int vectors = outer_vectors, tile_out = vectors * simd::width, tile_n = simd::width == 16 ? 8 : 6;
  static constexpr int line_vectors = 8, line_out = line_vectors * simd::width, line_rows = 512, line_ahead = 8;
  static constexpr int out_block = 128, rows = 64;          // of weights that stay in the first cache meanwhile
  static constexpr int features = 16, tile_features = outer_rows;

  Index n, in, out;
  Shares cut;                                               // of the samples

  /// With many inputs and few outputs the inputs are cut into slices, whose sums are added in a fixed order.
  Index slices() const { return out > 512 ? 1 : std::clamp<Index>(in / 512, 1, 16); }
  Index first_of_slice(Index slice) const { return slice * (in / features) / slices() * features; }
  Index across() const { return (out + out_block - 1) / out_block; }
  Index padded() const { return (n + simd::width - 1) / simd::width * simd::width; }

  /// y (N, out) = b + the inputs of [f0, f1) for the outputs of [o0, o1).
  void forward(const float* x, const float* w, const float* b, Index f0, Index f1, Index o0, Index o1, float* y) const {
    if (n == 0) return;                                     // then x and y may be null
    for (Index i = 0; i < n; ++i)
      for (Index o = o0; o < o1; o += simd::width) simd::store(y + i * out + o, b ? simd::load(b + o) : Floats{});
    if (n == 1 && cut.n == 1) {
      for (; o0 + line_out <= o1; o0 += line_out) forward_line<line_vectors>(x, w, f0, f1, o0, y);
      for (; o0 < o1; o0 += tile_out) forward_line<vectors>(x, w, f0, f1, o0, y);
      return;
    }
    for (Index f = f0; f < f1; f += rows) {
      const int count = int(std::min<Index>(rows, f1 - f));
      Index o = o0;
      if constexpr (simd::registers == 32)                  // as many sums, with fewer loads
        for (; o + 2 * tile_out <= o1; o += 2 * tile_out) forward_tiles<tile_n / 2, 2 * vectors>(x + f, w + f * out + o, count, y + o);
      for (; o < o1; o += tile_out) forward_tiles<tile_n, vectors>(x + f, w + f * out + o, count, y + o);
    }
  }
  template <int N, int V> void forward_tiles(const float* x, const float* w, int count, float* y) const {
    for (Index i = 0; i < n;) {
      if (n - i > 2) forward_tile<N, V>(x, w, count, i, y), i += N;
      else forward_tile<1, V>(x, w, count, i, y), ++i;
    }
  }
  /// Beyond the last sample the tile computes that one again.
  template <int N, int V> void forward_tile(const float* x, const float* w, int count, Index first, float* y) const {
    const float* from[N];
    Floats sum[N][V];
    float* to[N];
#pragma GCC unroll 8
    for (int t = 0; t < N; ++t) {
      const Index i = std::min(first + t, n - 1);
      from[t] = x + i * in, to[t] = y + i * out;
      for (int j = 0; j < V; ++j) sum[t][j] = simd::load(to[t] + j * simd::width);
    }
    // Each tile fetches its part of the weights that come after these.
    const Index tiles = (n + N - 1) / N;
    for (Index k = 0, turn = first / N; k < count; ++k, w += out, --turn) {
      if (turn == 0) {
#pragma GCC unroll 4
        for (int j = 0; j < V; ++j) __builtin_prefetch(w + rows * out + j * simd::width, 0, 2);
        turn = tiles;
      }
      add_scaled(sum, [&](int t) LAMINA_INLINE_LAMBDA { return from[t][k]; }, w);
    }
#pragma GCC unroll 8
    for (int t = 0; t < N; ++t)
      for (int j = 0; j < V; ++j) simd::store(to[t] + j * simd::width, sum[t][j]);
  }
  /// One sample takes only the time that its weights take to come from memory, so those of a zero, of which ReLU leaves a third to three quarters, are left there:
  /// nothing is added, whatever they are. Not where it is one of a batch, of which the others are elsewhere: the tiles do add zeros, and a -0 is no more then.
  template <int V> void forward_line(const float* x, const float* w, Index f0, Index f1, Index o, float* y) const {
    const float* row[line_rows];
    float scale[line_rows];
    Floats sum[1][V];
    for (int j = 0; j < V; ++j) sum[0][j] = simd::load(y + o + j * simd::width);
    while (f0 < f1) {
      int live = 0;
      for (const Index end = std::min(f0 + line_rows, f1); f0 < end; ++f0) row[live] = w + f0 * out + o, scale[live] = x[f0], live += x[f0] != 0;
      for (int k = 0; k < live; ++k) {
        const float* const ahead = row[std::min(k + line_ahead, live - 1)];
#pragma GCC unroll 8
        for (int j = 0; j < V; ++j) __builtin_prefetch(ahead + j * simd::width);
        add_scaled(sum, [&](int) LAMINA_INLINE_LAMBDA { return scale[k]; }, row[k]);
      }
    }
    for (int j = 0; j < V; ++j) simd::store(y + o + j * simd::width, sum[0][j]);
  }
  /// y += the slices but the first, numbers [first, last) of them.
  void add_slices(const float* parts, Index first, Index last, float* y) const {
    for (Index i = first; i < last; i += simd::width) {
      Floats s = simd::load(y + i);
      for (Index k = 0; k + 1 < slices(); ++k) s += simd::load(parts + k * n * out + i);
      simd::store(y + i, s);
    }
  }

  /// dy (N, out) as (out, padded), zeros beyond the last sample.
  void turn(const float* dy, float* to) const {
    for (Index o = 0; o < out; o += simd::width)
      for (Index i = 0; i < padded(); i += simd::width) {
        Floats r[simd::width];
        for (int k = 0; k < simd::width; ++k) r[k] = i + k < n ? simd::load(dy + (i + k) * out + o) : Floats{};
        simd::transpose(r);
        for (int k = 0; k < simd::width; ++k) simd::store(to + (o + k) * padded() + i, r[k]);
      }
  }
  /// dx of `features` inputs from f on, of all samples: w (in, out) times the turned gradient.
  void input_gradient(const float* w, const float* turned, Index f, float* dx) const {
    for (Index i = 0; i < padded();) {
      if (padded() - i >= tile_out) input_tiles<vectors>(w, turned, f, dx, i), i += tile_out;
      else input_tiles<1>(w, turned, f, dx, i), i += simd::width;
    }
  }
  /// Of V vectors of samples from i on.
  template <int V> void input_tiles(const float* w, const float* turned, Index f, float* dx, Index i) const {
    alignas(64) float tile[features][tile_out];
    const bool last = i + V * simd::width >= padded();      // it fetches the weights of the next features
    for (int h = 0; h < features; h += tile_features) input_tile<V>(w + (f + h) * out, turned + i, tile[h], w + (f + features) * out + h * out, last);
    for (int v = 0; v < V; ++v)
      for (int h = 0; h < features; h += simd::width) {
        Floats r[simd::width];
        for (int k = 0; k < simd::width; ++k) r[k] = simd::load(tile[h + k] + v * simd::width);
        simd::transpose(r);
        for (Index k = 0, at = i + v * simd::width; k < simd::width && at + k < n; ++k) simd::store(dx + (at + k) * in + f + h, r[k]);
      }
  }
  template <int V> void input_tile(const float* w, const float* turned, float* tile, const float* ahead, bool fetches) const {
    Floats sum[tile_features][V] = {};
    const float* row[tile_features];
    for (int t = 0; t < tile_features; ++t) row[t] = w + t * out;
    for (Index o = 0; o < out; ++o, turned += padded()) {
      if (fetches && o % (16 / tile_features) == 0) __builtin_prefetch(ahead + o * tile_features);
      add_scaled(sum, [&](int t) LAMINA_INLINE_LAMBDA { return row[t][o]; }, turned);
    }
    for (int t = 0; t < tile_features; ++t)
      for (int j = 0; j < V; ++j) simd::store(tile + t * tile_out + j * simd::width, sum[t][j]);
  }
  struct Ahead {
    const float* memory;
    Index slots, apart;
    const float* line(std::size_t slot, std::size_t at) const { return memory + slot * std::size_t(apart) + at; }
  };
  /// Where a worker has what follows: (features, out) and (n, features).
  Index worker_numbers() const { return features * (out + n); }
  /// The inputs of all samples from f on, side by side: those of x (N, in) are a row apart, which is often a power of two, and then there is no room for them in the first cache.
  void gather(const float* x, Index f, float* to) const {
    for (Index i = 0; i < n; ++i) std::copy_n(x + i * in + f, features, to + i * features);
  }
  /// dw (features, out), of so many inputs x (N, features), += or =. With each sample a line of ahead (slots, apart) is fetched, of that part which lies as dw does.
  void weight_gradient(const float* x, const float* dy, const Begins& begin, float* dw, bool add, Ahead ahead) const {
    constexpr Index part = tile_features * tile_out, line = 16, lines = part / line;
    with_terms(cut.count, [&](auto terms) LAMINA_INLINE_LAMBDA {
      for (int h = 0; h < features; h += tile_features)
        for (Index o = 0; o < out; o += tile_out) {
          add_outer_shares<terms()>(x + h, features, dy + o, out, begin, dw + h * out + o, out, add, [&](Index from, Index end) LAMINA_INLINE_LAMBDA {
            for (Index t = from; t < std::min(end, ahead.slots * lines); ++t) __builtin_prefetch(ahead.line(std::size_t(t) / lines, std::size_t(t) % lines * line), 1);
          });
          if (ahead.slots) ahead.memory += part;
        }
    });
  }
  /// Brings near what the inputs from f on read of x and write to dx; either may be null.
  void fetch(const float* x, const float* dx, Index f) const {
    if (f >= in) return;
    for (Index i = 0; i < n; ++i) {
      if (x) __builtin_prefetch(x + i * in + f);
      if (dx) __builtin_prefetch(dx + i * in + f, 1);
    }
  }
};

}  // namespace lamina::detail
