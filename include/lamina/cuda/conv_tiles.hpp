/// Convolution of any type in tiles of 64 x 64 sums, alone or with ReLU and a 2x2 max pool behind it: what the tensor cores do not take.
#pragma once
#include "conv_pixels.hpp"
#include "conv_relu_pool_general.hpp"
#include "conv_relu_pool_ways.hpp"
#include "dense_tiles.hpp"

namespace lamina {

namespace kernels::inline LAMINA_SIMT {

/// The rows of a convolution's product are its output pixels as they lie, and so is dy.
template <class T> struct TilePixels : ConvPixels {
  static constexpr bool pooled = false;
  Divisor of_filters;
  const T* dy;
  TilePixels(ConvSpec s, Shape in, Shape out, Index n, const T* gradient) : ConvPixels(s, in, out, n), of_filters(out.c), dy(gradient) {}
  LAMINA_DEVICE int count() const { return pixels; }
  LAMINA_DEVICE Sight seen(int m, bool inside) const { return sight(m, inside); }
  LAMINA_DEVICE Master<T> gradient(int m, int o, bool inside) const { return number(dy + Index(m) * out_c + o, inside); }
  LAMINA_DEVICE Master<T> gradient(int image, int row, int column, int o, bool inside) const { return number(dy + output(image, row, column) * out_c + o, inside); }

  /// Number `which` of all taps and channels at a pixel that sees s.
  LAMINA_DEVICE Master<T> picture(const T* x, const Sight& s, int which, bool inside) const {
    const Term t = term(which);
    return number(x + Index(s.pixel) * c + t.at, inside && sees(s, t.i, t.j));
  }
};
/// They are the pixels of the pool's windows, four in a row, and dy is the pool's.
template <class T> struct TileWindows : TilePixels<T> {
  static constexpr bool pooled = true;
  int windows_h, windows_w, windows, step;   // in all; pixels from one to the next
  Divisor of_line, of_side, of_step;
  const std::uint8_t* codes;
  TileWindows(ConvSpec s, Window pool, Shape in, Shape mid, Shape out, Index n, const T* gradient, const std::uint8_t* taps)
      : TilePixels<T>(s, in, mid, n, gradient), windows_h(out.h), windows_w(out.w), windows(int(n * out.h * out.w)), step(pool.stride), of_line(out.w), of_side(out.h), of_step(pool.stride), codes(taps) {}
  LAMINA_DEVICE int count() const { return 4 * windows; }
  LAMINA_DEVICE Sight seen(int m, bool inside) const {
    const int line = of_line(m / 4), image = of_side(line);
    return this->sight(image, of_side.rest(line, image) * step + m / 2 % 2, of_line.rest(m / 4, line) * step + m % 2, inside);
  }
  LAMINA_DEVICE Master<T> of_tap(Index at, int tap, bool inside) const { return number(this->dy + at, inside && load(codes + at) == tap); }
  LAMINA_DEVICE Master<T> gradient(int m, int o, bool inside) const { return of_tap(Index(m / 4) * this->out_c + o, m % 4, inside); }
  LAMINA_DEVICE Master<T> gradient(int image, int row, int column, int o, bool inside) const {
    const int r = of_step(row), q = of_step(column), i = of_step.rest(row, r), j = of_step.rest(column, q);
    return of_tap(((Index(image) * windows_h + r) * windows_w + q) * this->out_c + o, 2 * i + j, inside && r < windows_h && q < windows_w && i < 2 && j < 2);
  }
};

/// y = x * w + b within the bounds, or the pool of its ReLU and the codes. grid: (tiles of pixels x tiles of filters)
template <class T, class Pixels> struct ConvTilesForward {
  using M = Master<T>;
  using P = PlainProduct<M, Rowed::along, Rowed::across>;
  static constexpr int threads = P::threads, shared_bytes = P::shared_bytes;
  LAMINA_DEVICE static void run(Pixels g, const T* x, const T* w, const M* b, Bounds<M> bounds, T* y, std::uint8_t* codes) {
    const int tiles = (g.out_c + P::side - 1) / P::side, m0 = block_index().x / tiles * P::side, o0 = block_index().x % tiles * P::side, terms = g.terms();
    P p;
    p.clear();
    p.run(0, terms, g.count() - m0, [&](int i, int k) { return g.picture(x, g.seen(m0 + i, m0 + i < g.count()), k, k < terms); },
          [&](int j, int k) { return number(w + Index(k) * g.out_c + o0 + j, k < terms && o0 + j < g.out_c); });
    LAMINA_UNROLL
    for (int j = 0; j < 4; ++j) {
      const int o = o0 + P::column(j);
      const M bias = b ? number(b + o, o < g.out_c) : M(0);
      if constexpr (Pixels::pooled) {
        M best = 0;
        int code = 255;
        LAMINA_UNROLL
        for (int i = 0; i < 4; ++i)
          if (wins(p.sum[i][j] + bias, best)) best = p.sum[i][j] + bias, code = i;
        const int window = (m0 + P::row(0)) / 4;
        if (window >= g.windows || o >= g.out_c) continue;
        store(y + Index(window) * g.out_c + o, stored<T>(best));
        if (codes) store(codes + Index(window) * g.out_c + o, std::uint8_t(code));
      } else {
        LAMINA_UNROLL
        for (int i = 0; i < 4; ++i)
          if (m0 + P::row(i) < g.pixels && o < g.out_c) store(y + Index(m0 + P::row(i)) * g.out_c + o, stored<T>(bounds(p.sum[i][j] + bias)));
      }
    }
  }
};

/// dx, class by class. grid: (tiles of a class's pixels x tiles of channels, classes)
template <class T, class Pixels> struct ConvTilesInputGradient {
  using M = Master<T>;
  using P = PlainProduct<M, Rowed::along, Rowed::along>;
  static constexpr int threads = P::threads, shared_bytes = P::shared_bytes;
  LAMINA_DEVICE static void run(Pixels g, int images, const T* w, T* dx) {
    const int tiles = (g.c + P::side - 1) / P::side, m0 = block_index().x / tiles * P::side, c0 = block_index().x % tiles * P::side;
    const PixelClass of(g, block_index().y, images);
    if (m0 >= of.pixels) return;
    const int terms = of.taps() * g.out_c;
    P p;
    p.clear();
    p.run(0, terms, of.pixels - m0,
          [&](int m, int k) {
            const PixelClass::Seen seen = of.seen(g, m0 + m);
            const int tap = g.of_filters(k), row = seen.row - tap / of.taps_across, column = seen.column - tap % of.taps_across;
            return g.gradient(seen.image, row, column, g.of_filters.rest(k, tap), k < terms && m0 + m < of.pixels && unsigned(row) < unsigned(g.out_h) && unsigned(column) < unsigned(g.out_w));
          },
          [&](int channel, int k) {
            const int tap = g.of_filters(k), i = of.i0 + tap / of.taps_across * g.stride, j = of.j0 + tap % of.taps_across * g.stride;
            return number(w + (Index(i * g.k + j) * g.c + c0 + channel) * g.out_c + g.of_filters.rest(k, tap), k < terms && c0 + channel < g.c);
          });
    p.all([&](M v, int m, int channel) {
      if (m0 + m < of.pixels && c0 + channel < g.c) store(dx + Index(of.pixel(g, m0 + m)) * g.c + c0 + channel, stored<T>(v));
    });
  }
};

/// parts (slabs, K K C + 1, O) from slabs of pixels: the gradient of the weights, and with `bias` of the bias in the last row. grid: (tiles of taps and channels x tiles of filters, slabs)
template <class T, class Pixels> struct ConvTilesWeightGradient {
  using M = Master<T>;
  using P = PlainProduct<M, Rowed::across, Rowed::across>;
  static constexpr int threads = P::threads, shared_bytes = P::shared_bytes;
  LAMINA_DEVICE static void run(Pixels g, Slabs slabs, int of_sample, bool bias, const T* x, M* parts) {        // of_sample: pixels
    const int tiles = (g.out_c + P::side - 1) / P::side, i0 = block_index().x / tiles * P::side, o0 = block_index().x % tiles * P::side, terms = g.terms(), rows = terms + bias;
    const int slab = block_index().y;
    const Slabs::Part part = slabs.pieces_of(slab, of_sample);
    const int from = int(part.begin), end = int(part.end);
    P p;
    p.clear();
    p.run(from, end, rows - i0, [&](int i, int m) { return i0 + i == terms ? M(1) : g.picture(x, g.seen(m, m < end), i0 + i, i0 + i < terms); },
          [&](int j, int m) { return g.gradient(m, o0 + j, m < end && o0 + j < g.out_c); });
    p.all([&](M v, int i, int j) {
      if (i0 + i < rows && o0 + j < g.out_c) store(parts + (Index(slab) * rows + i0 + i) * g.out_c + o0 + j, v);
    });
  }
};

}  // namespace kernels::inline LAMINA_SIMT

namespace detail {
/// How the gradient of the weights is cut, where each sample has so many pixels.
inline kernels::Slabs tile_slabs(const Shares& cut, Index terms, int filters, Index pixels) { return {cut, slabs_of_share(cut, pieces(4 * 132, pieces(terms + 1, 64) * pieces(filters, 64)), pixels, 256)}; }
template <class D> Index tile_arena(const D& dev, Index terms, int filters, Index n, Index pixels) {
  return most_of_cuts(dev, n, [&](const Shares& cut) { return Index(tile_slabs(cut, terms, filters, pixels).count); }) * (terms + 1) * filters;
}
inline Index terms_of(Window v, Shape in) { return Index(v.k) * v.k * in.c; }

template <class T, RunsKernels D, class Pixels> void conv_tiles_forward(D& dev, const Pixels& g, Index rows, const T* x, const T* w, const Master<T>* b, Clamp clamp, T* y, std::uint8_t* codes) {
  dev.template launch<kernels::ConvTilesForward<T, Pixels>>(Grid{int(pieces(rows, 64) * pieces(g.out_c, 64))}, g, x, w, b, kernels::Bounds<Master<T>>(clamp), y, codes);
}
template <class T, RunsKernels D, class Pixels> void conv_tiles_backward(D& dev, const Pixels& g, Index n, Index of_sample, const T* x, const T* w, T* dx, Master<T>* dw, Master<T>* db) {
  if (dx) {
    const Index most = n * pieces(g.h, g.stride) * pieces(g.w, g.stride);
    dev.template launch<kernels::ConvTilesInputGradient<T, Pixels>>(Grid{int(pieces(most, 64) * pieces(g.c, 64)), g.stride * g.stride}, g, int(n), w, dx);
  }
  if (!dw) return;
  const Index terms = Index(g.k) * g.k * g.c;
  const kernels::Slabs slabs = tile_slabs(cut_of(dev, n), terms, g.out_c, of_sample);
  auto* const parts = reinterpret_cast<Master<T>*>(dev.arena());
  dev.template launch<kernels::ConvTilesWeightGradient<T, Pixels>>(Grid{int(pieces(terms + (db ? 1 : 0), 64) * pieces(g.out_c, 64)), slabs.count}, g, slabs, int(of_sample), db != nullptr, x, parts);
  add_parts<Master<T>>(dev, parts, slabs, (terms + (db ? 1 : 0)) * g.out_c, dw, terms * g.out_c, db);
}
}  // namespace detail

template <RunsKernels D, class T>
void conv_forward(D& dev, Way<2>, ConvSpec spec, Shape in, Shape out, Index n, const T* x, const T* w, const Master<T>* b, T* y, Clamp clamp = {}) {
  const kernels::TilePixels<T> g(spec, in, out, n, nullptr);
  detail::conv_tiles_forward(dev, g, n * out.h * out.w, x, w, b, clamp, y, nullptr);
}
template <RunsKernels D, class T>
void conv_backward(D& dev, Way<2>, ConvSpec spec, Shape in, Shape out, Index n, const T* x, const T* w, const T* dy, T* dx, Master<T>* dw, Master<T>* db) {
  const kernels::TilePixels<T> g(spec, in, out, n, dy);
  detail::conv_tiles_backward(dev, g, n, Index(out.h) * out.w, x, w, dx, dw, db);
}
template <RunsKernels D, class T> Index conv_arena(const D& dev, Way<2>, T, ConvSpec spec, Shape in, Shape out, Index n) {
  return detail::tile_arena(dev, detail::terms_of(spec.window, in), out.c, n, Index(out.h) * out.w) * Index(sizeof(Master<T>));
}

/// bf16 has tensor cores instead.
template <class T, int W> concept InTiles = sizeof(T) > sizeof(bf16) && W == detail::tiled_way<T>;

template <RunsKernels D, int W, class T> requires InTiles<T, W>
void conv_relu_pool_forward(D& dev, Way<W>, ConvReluPool k, Shape in, Shape mid, Shape out, Index n, const T* x, const T* w, const Master<T>* b, T* y, std::uint8_t* codes) {
  const kernels::TileWindows<T> g({k.conv, 1}, k.pool, in, mid, out, n, nullptr, nullptr);
  detail::conv_tiles_forward(dev, g, n * out.h * out.w * 4, x, w, b, {}, y, codes);
}
template <RunsKernels D, int W, class T> requires InTiles<T, W>
void conv_relu_pool_backward(D& dev, Way<W>, ConvReluPool k, Shape in, Shape mid, Shape out, Index n, const T* x, const T* w, const std::uint8_t* codes, const T* dy, T* dx, Master<T>* dw, Master<T>* db) {
  const kernels::TileWindows<T> g({k.conv, 1}, k.pool, in, mid, out, n, dy, codes);
  detail::conv_tiles_backward(dev, g, n, Index(out.h) * out.w * 4, x, w, dx, dw, db);
}
template <RunsKernels D, int W, class T> requires InTiles<T, W> Index conv_relu_pool_arena(const D& dev, Way<W>, T, ConvReluPool k, Shape in, Shape mid, Index n) {
  const Shape out = k.pool.over(mid, mid.c);
  return detail::tile_arena(dev, detail::terms_of(k.conv, in), mid.c, n, Index(out.h) * out.w * 4) * Index(sizeof(Master<T>));
}

}  // namespace lamina
