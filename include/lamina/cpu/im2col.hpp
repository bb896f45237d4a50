/// Convolution of any shape on the CPU: im2col over a few rows at a time, small enough to stay in the cache, and a matrix product for each tile. Fused with ReLU and max
/// pooling the full-size activation only ever exists as such a tile.
#pragma once
#include <algorithm>

#include "../core/layer.hpp"
#include "gemm.hpp"
#include "shares.hpp"

namespace lamina {

namespace detail {

/// How a convolution is cut: tiles of whole rows of the output, `step` rows or a multiple of it, whose im2col matrix has about 2^16 numbers.
struct ConvTiles {
  Shape in, out;
  Window v;
  int groups, rows, per_image;
  Index c, o, columns;                   // channels of a group: in and out; numbers that meet in one output

  ConvTiles(ConvSpec spec, Shape in_, Shape out_, int step)
      : in(in_), out(out_), v(spec.window), groups(spec.groups), c(in_.c / spec.groups), o(out_.c / spec.groups), columns(Index(v.k) * v.k * c) {
    const Index fit = (Index(1) << 16) / (columns * out.w * step);
    rows = int(fit < 1 ? 1 : fit) * step;
    if (rows > out.h) rows = out.h;
    per_image = (out.h + rows - 1) / rows;
  }
  Index pixels() const { return Index(rows) * out.w; }
  int rows_of(int tile) const { return tile + 1 < per_image ? rows : out.h - tile * rows; }
  Index weights() const { return columns * out.c; }

  /// Bytes of one worker: the matrix, a tile of the output if it has no place of its own, and the product's own.
  template <class T> Index worker_bytes() const { return matrix_bytes<T>() + tile_bytes<T>() + product_bytes<T>(); }
  template <class T> Index matrix_bytes() const { return whole_lines(pixels() * columns * Index(sizeof(T))); }
  template <class T> Index tile_bytes() const { return whole_lines(pixels() * out.c * Index(sizeof(T))); }
  template <class T> Index product_bytes() const {
    const Index forward = gemm_bytes<T>(pixels(), o, columns), weight = gemm_bytes<T>(columns, o, pixels()), data = gemm_bytes<T>(pixels(), columns, o);
    return std::max(forward, std::max(weight, data));
  }
  template <class T> Index share_numbers() const { return room(weights()) + room(out.c); }
  template <class T> Index arena_bytes(int threads) const { return shares * share_numbers<T>() * Index(sizeof(T)) + threads * worker_bytes<T>(); }
};

/// The memory of one worker.
template <class T> struct ConvWorker {
  T* matrix;                             // (pixels, K, K, C)
  T* tile;                               // (pixels, O)
  std::byte* product;
  ConvWorker(const ConvTiles& t, std::byte* arena, int worker) {
    std::byte* p = arena + shares * t.share_numbers<T>() * Index(sizeof(T)) + worker * t.worker_bytes<T>();
    matrix = reinterpret_cast<T*>(p);
    tile = reinterpret_cast<T*>(p + t.matrix_bytes<T>());
    product = p + t.matrix_bytes<T>() + t.tile_bytes<T>();
  }
};

/// For each pixel of `rows` output rows from `top` on and each row of its window: f(place in the matrix, first tap, taps, input pixel of the first tap) over the
/// taps that lie inside the image.
template <class F> void each_window_row(const ConvTiles& t, int top, int rows, F f) {
  const int above = t.v.before(t.in.h), before = t.v.before(t.in.w), k = t.v.k;
  for (int r = 0; r < rows; ++r)
    for (int q = 0; q < t.out.w; ++q) {
      const int x = q * t.v.stride - before, from = x < 0 ? -x : 0, to = x + k > t.in.w ? t.in.w - x : k;
      for (int i = 0; i < k; ++i) {
        const int y = (top + r) * t.v.stride - above + i;
        const bool inside = y >= 0 && y < t.in.h && to > from;
        f(((Index(r) * t.out.w + q) * k + i) * k * t.c, inside ? from : 0, inside ? to - from : 0, inside ? Index(y) * t.in.w + x + from : 0);
      }
    }
}

/// matrix (pixels, K, K, C) = what each output pixel sees of group g of x (H, W, C of all groups); 0 where it looks beyond the border.
template <class T> void im2col(const ConvTiles& t, const T* x, int top, int rows, int g, T* matrix) {
  each_window_row(t, top, rows, [&](Index at, int from, int taps, Index pixel) {
    T* row = matrix + at;
    if (taps < t.v.k) std::fill(row, row + t.v.k * t.c, T(0));
    if (t.groups == 1) std::copy(x + pixel * t.c, x + (pixel + taps) * t.c, row + from * t.c);
    else
      for (int tap = 0; tap < taps; ++tap) std::copy_n(x + (pixel + tap) * t.in.c + g * t.c, t.c, row + (from + tap) * t.c);
  });
}

/// dx (H, W, C of all groups) += what each output pixel says to group g of what it saw.
template <class T> void col2im(const ConvTiles& t, const T* matrix, int top, int rows, int g, T* dx) {
  each_window_row(t, top, rows, [&](Index at, int from, int taps, Index pixel) {
    for (int tap = 0; tap < taps; ++tap) {
      const T* seen = matrix + at + (from + tap) * t.c;
      T* to = dx + (pixel + tap) * t.in.c + g * t.c;
      for (Index c = 0; c < t.c; ++c) to[c] += seen[c];
    }
  });
}

/// y (rows, Wo, O) = the convolution of one tile of an image.
template <class T> void conv_tile(const ConvTiles& t, const ConvWorker<T>& m, const T* x, const T* w, const T* b, int top, int rows, T* y) {
  const Index pixels = Index(rows) * t.out.w;
  for (Index p = 0; p < pixels; ++p)
    if (b) std::copy_n(b, t.out.c, y + p * t.out.c);
    else std::fill_n(y + p * t.out.c, t.out.c, T(0));
  for (int g = 0; g < t.groups; ++g) {
    im2col(t, x, top, rows, g, m.matrix);
    gemm(pixels, t.o, t.columns, m.matrix, t.columns, w + g * t.o, Index(t.out.c), y + g * t.o, Index(t.out.c), m.product);
  }
}

/// What the gradient dy (rows, Wo, O) of one tile adds to dx of its image (or null), dw and db (or null).
template <class T> void conv_tile_backward(const ConvTiles& t, const ConvWorker<T>& m, const T* x, const T* w, const T* dy, int top, int rows, T* dx, T* dw, T* db) {
  const Index pixels = Index(rows) * t.out.w;
  if (db)
    for (Index p = 0; p < pixels; ++p)
      for (Index o = 0; o < t.out.c; ++o) db[o] += dy[p * t.out.c + o];
  for (int g = 0; g < t.groups; ++g) {
    im2col(t, x, top, rows, g, m.matrix);
    gemm<Lies::transposed>(t.columns, t.o, pixels, m.matrix, t.columns, dy + g * t.o, Index(t.out.c), dw + g * t.o, Index(t.out.c), m.product);
    if (!dx) continue;
    std::fill_n(m.matrix, pixels * t.columns, T(0));
    gemm<Lies::as_is, Lies::transposed>(pixels, t.columns, t.o, dy + g * t.o, Index(t.out.c), w + g * t.o, Index(t.out.c), m.matrix, t.columns, m.product);
    col2im(t, m.matrix, top, rows, g, dx);
  }
}

/// Runs f(worker's memory, image, dw, db) over all images, share by share, and adds what the shares gathered to dw and db.
template <class T, class F> void over_shares(Cpu& dev, const ConvTiles& t, Index n, T* dw, T* db, const F& f) {
  const Shares s = dev.replica.cut(n);
  T* parts = reinterpret_cast<T*>(dev.arena());
  const Index stride = t.share_numbers<T>();
  dev.run(s.count, [&](Index share, int worker) {
    T* part = parts + share * stride;
    std::fill_n(part, stride, T(0));
    const ConvWorker<T> m(t, dev.arena(), worker);
    for (Index image = s.begin(share); image < s.begin(share + 1); ++image) f(m, image, part, db ? part + room(t.weights()) : nullptr);
  });
  add_shares(dev, s.count, parts, t.weights(), stride, dw);
  if (db) add_shares(dev, s.count, parts + room(t.weights()), Index(t.out.c), stride, db);
}

}  // namespace detail

}  // namespace lamina
