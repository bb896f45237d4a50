/// Convolution in bf16 or tf32 on tensor cores, with any kernel and stride: a product of matrices whose first factor, the picture seen through every tap, is gathered from the picture as it is needed.
#pragma once
#include <algorithm>

#include "conv_tiles.hpp"
#include "tile_sums.hpp"
#include "tuning.hpp"

namespace lamina {

namespace kernels::inline LAMINA_SIMT {

/// A place in the side that is summed over, taps and their channels: one chunk of channels of tap (i, j), of `rows` x `columns` taps.
struct TapChunk {
  int i, j, chunk;
  LAMINA_DEVICE TapChunk(int number, int chunks, int columns) {
    const int tap = number / chunks;
    i = tap / columns, j = tap % columns, chunk = number % chunks;
  }
  LAMINA_DEVICE void advance(int by, int chunks, int columns) {
    for (chunk += by; chunk >= chunks; chunk -= chunks)
      if (++j == columns) j = 0, ++i;
  }
};

/// The copies of what pixels see: a tap is a neighbour of the last, so most of it is in the first cache.
struct TensorPixels : ConvPixels {
  using ConvPixels::ConvPixels;

  /// A chunk of numbers of the picture through the taps: channels of one tap, which lie side by side, or, where the channels are few, numbers `number` and on of all taps and channels,
  /// behind which there is a one.
  template <class T> LAMINA_DEVICE void copy_chunk(T* to, const T* x, const Sight& s, const TapChunk& t) const {
    const bool inside = t.i < k && sees(s, t.i, t.j);
    copy_async_again(to, inside ? x + Index(s.pixel + t.i * w + t.j) * c + t.chunk * in_chunk<T> : x, inside);
  }
  template <class T> LAMINA_DEVICE void gather_chunk(T* to, const T* x, const Sight& s, int number) const {
    unsigned words[4] = {};
    LAMINA_UNROLL
    for (int e = 0; e < in_chunk<T>; ++e) {
      constexpr int in_word = 4 / int(sizeof(T));
      const Term t = term(number + e);
      if (number + e == terms() && s.row != nowhere) words[e / in_word] |= one<T> << 16 * (e % in_word);
      if (t.i < k && sees(s, t.i, t.j)) words[e / in_word] |= unsigned(load(x + Index(s.pixel) * c + t.at).bits) << 16 * (e % in_word);
    }
    store(reinterpret_cast<Vec4*>(to), Vec4{words[0], words[1], words[2], words[3]});
  }
};

/// Where the channels of the picture are a multiple of a chunk, so that chunks of them can be copied, or few.
enum class Picture { deep, shallow };

/// The terms of a product in slices of steps, where its tiles are few: then each makes sums of its own.
template <class Sums> struct Slice {
  static constexpr bool possible = Sums::m * Sums::n <= 64 * 64;
  int first, steps;
  LAMINA_DEVICE Slice(int terms, int number, int count) {
    const int all = (terms + Sums::depth - 1) / Sums::depth;
    first = possible ? all * number / count : 0, steps = possible ? all * (number + 1) / count - first : all;
  }
};
struct alignas(8) PairOfSums { float left, right; };

/// y = x * w + b within the bounds, or parts (slices, N Ho Wo, O) of x * w. grid: (tiles of pixels x tiles of filters, slices)
template <class Sums, Picture P> struct ConvTensorForward {
  using T = typename Sums::Number;
  static constexpr int threads = Sums::threads, shared_bytes = Sums::shared_bytes, blocks = P == Picture::deep ? Sums::blocks : 2, each = in_chunk<T>;
  using Fill = Filling<typename Sums::First, Sums::first_rows, threads>;
  using FillWeights = Filling<typename Sums::Second, Sums::second_rows, threads>;

  LAMINA_DEVICE static void run(TensorPixels g, const T* x, const T* w, const float* b, Bounds<float> bounds, T* y, float* parts) {
    const int tiles = (g.out_c + Sums::n - 1) / Sums::n, m0 = block_index().x / tiles * Sums::m, n0 = block_index().x % tiles * Sums::n, terms = g.terms();
    static_assert(Fill::across == 1);
    Sight sight[Fill::down];
    LAMINA_UNROLL
    for (int r = 0; r < Fill::down; ++r) sight[r] = g.sight(m0 + Fill::row(r), m0 + Fill::row(r) < g.pixels);
    const Slice<Sums> slice(terms, block_index().y, grid_size().y);
    int term = slice.first * Sums::depth;
    TapChunk tap(P == Picture::deep ? term / each + Fill::chunk(0) : 0, g.c / each > 0 ? g.c / each : 1, g.k);
    Sums s;
    s.run(slice.steps, [&](int stage) {
      LAMINA_UNROLL
      for (int r = 0; r < Fill::down; ++r) {
        T* const to = Sums::first(stage).chunk(Fill::row(r), Fill::chunk(0));
        if constexpr (P == Picture::deep) g.copy_chunk(to, x, sight[r], tap);
        else g.gather_chunk(to, x, sight[r], term + Fill::chunk(0) * each);
      }
      LAMINA_UNROLL
      for (int r = 0; r < FillWeights::down; ++r)
        LAMINA_UNROLL
        for (int q = 0; q < FillWeights::across; ++q) {
          const int row = FillWeights::row(r), chunk = FillWeights::chunk(q), o = n0 + chunk * each;
          const bool inside = term + row < terms && o < g.out_c;
          copy_async_again(Sums::second(stage).chunk(row, chunk), inside ? w + Index(term + row) * g.out_c + o : w, inside);
        }
      if constexpr (P == Picture::deep) tap.advance(Sums::depth / each, g.c / each, g.k);
      term += Sums::depth;
    });
    if (Slice<Sums>::possible && grid_size().y > 1) {
      s.each([&](float left, float right, int row, int column) {
        if (m0 + row < g.pixels && n0 + column < g.out_c)
          store(reinterpret_cast<PairOfSums*>(parts + (Index(block_index().y) * g.pixels + m0 + row) * g.out_c + n0 + column), PairOfSums{left, right});
      });
      return;
    }
    s.each([&](float& left, float& right, int, int column) {
      const bool add = b && n0 + column < g.out_c;
      left = bounds(add ? left + load(b + n0 + column) : left), right = bounds(add ? right + load(b + n0 + column + 1) : right);
    });
    s.write([&](int row, int column, Vec4 numbers) {
      if (m0 + row < g.pixels && n0 + column < g.out_c) store(reinterpret_cast<Vec4*>(y + Index(m0 + row) * g.out_c + n0 + column), numbers);
    });
  }
};

/// dx, or parts (slices, N H W, C) of it, class by class. grid: (tiles of a class's pixels x tiles of channels, classes, slices)
template <class Sums> struct ConvTensorInputGradient {
  using T = typename Sums::Number;
  static constexpr int threads = Sums::threads, shared_bytes = Sums::shared_bytes, blocks = Sums::blocks, each = in_chunk<T>;
  using Fill = Filling<typename Sums::First, Sums::first_rows, threads>;
  using FillWeights = Filling<typename Sums::Second, Sums::second_rows, threads>;

  LAMINA_DEVICE static void run(TensorPixels g, int images, const T* w, const T* dy, T* dx, float* parts) {
    const int tiles = (g.c + Sums::n - 1) / Sums::n, m0 = block_index().x / tiles * Sums::m, n0 = block_index().x % tiles * Sums::n;
    const PixelClass of(g, block_index().y, images);
    if (m0 >= of.pixels) return;
    const int chunks = g.out_c / each;
    static_assert(Fill::across == 1 && FillWeights::across == 1 && Fill::lanes == FillWeights::lanes);
    Sight sight[Fill::down];                                                                       // of dy, through tap (i0, j0)
    LAMINA_UNROLL
    for (int r = 0; r < Fill::down; ++r) {
      const int m = m0 + Fill::row(r);
      const PixelClass::Seen seen = of.seen(g, m);
      sight[r] = {m < of.pixels ? seen.row : nowhere, seen.column, (seen.image * g.out_h + seen.row) * g.out_w + seen.column};
    }
    const Slice<Sums> slice(of.taps() * g.out_c, block_index().z, grid_size().z);
    TapChunk tap(slice.first * (Sums::depth / each) + Fill::chunk(0), chunks, of.taps_across);
    Sums s;
    s.run(slice.steps, [&](int stage) {
      LAMINA_UNROLL
      for (int r = 0; r < Fill::down; ++r) {
        const bool inside = tap.i < of.taps_down && unsigned(sight[r].row - tap.i) < unsigned(g.out_h) && unsigned(sight[r].column - tap.j) < unsigned(g.out_w);
        copy_async_again(Sums::first(stage).chunk(Fill::row(r), Fill::chunk(0)), inside ? dy + Index(sight[r].pixel - tap.i * g.out_w - tap.j) * g.out_c + tap.chunk * each : dy, inside);
      }
      const Index of_tap = Index((of.i0 + tap.i * g.stride) * g.k + of.j0 + tap.j * g.stride) * g.c;
      LAMINA_UNROLL
      for (int r = 0; r < FillWeights::down; ++r) {
        const int channel = n0 + FillWeights::row(r);
        const bool inside = tap.i < of.taps_down && channel < g.c;
        copy_async_again(Sums::second(stage).chunk(FillWeights::row(r), Fill::chunk(0)), inside ? w + (of_tap + channel) * g.out_c + tap.chunk * each : w, inside);
      }
      tap.advance(Sums::depth / each, chunks, of.taps_across);
    });
    if (Slice<Sums>::possible && grid_size().z > 1) {
      float* const part = parts + Index(block_index().z) * images * g.h * g.w * g.c;
      s.each([&](float left, float right, int row, int column) {
        if (m0 + row < of.pixels && n0 + column < g.c) store(reinterpret_cast<PairOfSums*>(part + Index(of.pixel(g, m0 + row)) * g.c + n0 + column), PairOfSums{left, right});
      });
      return;
    }
    s.write([&](int row, int column, Vec4 numbers) {
      if (m0 + row < of.pixels && n0 + column < g.c) store(reinterpret_cast<Vec4*>(dx + Index(of.pixel(g, m0 + row)) * g.c + n0 + column), numbers);
    });
  }
};

/// The gradient of the weights and of the bias, which is that of one more tap that always sees a one: of a slab of pixels, parts (slabs, K K C + 1, O), the last row only with db;
/// or, where there is one slab, added to dw and db. grid: (tiles of taps and channels x tiles of filters, slabs)
template <class Sums, Picture P> struct ConvTensorWeightGradient {
  using T = typename Sums::Number;
  static constexpr int threads = Sums::threads, shared_bytes = Sums::shared_bytes, blocks = P == Picture::deep ? Sums::blocks : 2, each = in_chunk<T>;
  using Fill = Filling<typename Sums::First, Sums::first_rows, threads>;
  using FillGradient = Filling<typename Sums::Second, Sums::second_rows, threads>;

  LAMINA_DEVICE static void run(TensorPixels g, const T* x, const T* dy, float* parts, float* dw, float* db, bool writes, Slabs slabs) {
    const int tiles = (g.out_c + Sums::n - 1) / Sums::n, m0 = block_index().x / tiles * Sums::m, n0 = block_index().x % tiles * Sums::n, terms = g.terms(), rows = terms + (db ? 1 : 0);
    const int slab = block_index().y, of_sample = g.out_h * g.out_w;
    const Slabs::Range samples = slabs.samples_of(slab);
    const int pixels = samples.end * of_sample;                                       // where its share ends: its steps begin with the share
    const Slabs::Part steps = slabs.part(slab, ((samples.end - samples.begin) * of_sample + Sums::depth - 1) / Sums::depth);
    struct Column { int i, j, at, number; } column[Fill::across];
    LAMINA_UNROLL
    for (int q = 0; q < Fill::across; ++q) {
      const int number = m0 + Fill::chunk(q) * each;
      const TapChunk tap(number / each, g.c / each > 0 ? g.c / each : 1, g.k);
      column[q] = {tap.i, tap.j, (tap.i * g.w + tap.j) * g.c + tap.chunk * each, number};
    }
    int pixel0 = samples.begin * of_sample + int(steps.begin) * Sums::depth;
    Sums s;
    s.run(int(steps.end - steps.begin), [&](int stage) {
      LAMINA_UNROLL
      for (int r = 0; r < Fill::down; ++r) {
        const int pixel = pixel0 + Fill::row(r);
        const Sight sight = g.sight(pixel, pixel < pixels);
        LAMINA_UNROLL
        for (int q = 0; q < Fill::across; ++q) {
          T* const to = Sums::first(stage).chunk(Fill::row(r), Fill::chunk(q));
          if constexpr (P == Picture::shallow) {
            g.gather_chunk(to, x, sight, column[q].number);
          } else if (column[q].number == terms) {
            store(reinterpret_cast<Vec4*>(to), Vec4{pixel < pixels ? one<T> : 0, 0, 0, 0});
          } else {
            const bool inside = column[q].number < terms && g.sees(sight, column[q].i, column[q].j);
            copy_async_again(to, inside ? x + Index(sight.pixel) * g.c + column[q].at : x, inside);
          }
        }
      }
      LAMINA_UNROLL
      for (int r = 0; r < FillGradient::down; ++r)
        LAMINA_UNROLL
        for (int q = 0; q < FillGradient::across; ++q) {
          const int pixel = pixel0 + FillGradient::row(r), o = n0 + FillGradient::chunk(q) * each;
          const bool inside = pixel < pixels && o < g.out_c;
          copy_async(Sums::second(stage).chunk(FillGradient::row(r), FillGradient::chunk(q)), inside ? dy + Index(pixel) * g.out_c + o : dy, inside);
        }
      pixel0 += Sums::depth;
    });
    const bool whole = slabs.count == 1;
    s.each([&](float left, float right, int row, int col) {
      if (m0 + row >= rows || n0 + col >= g.out_c) return;
      float* const line = !whole ? parts + (Index(slab) * rows + m0 + row) * g.out_c : m0 + row < terms ? dw + Index(m0 + row) * g.out_c : db;
      auto* const at = reinterpret_cast<PairOfSums*>(line + n0 + col);
      const PairOfSums before = whole && !writes ? load(at) : PairOfSums{0, 0};
      store(at, PairOfSums{before.left + left, before.right + right});
    });
  }
};

/// y = the sum of the slices, and of the bias, within the bounds; a chunk of channels a lane.
template <TensorNumber T> struct SumOfSlices {
  static constexpr int blocks = 4, each = in_chunk<T>;
  const float* parts; int slices; Index numbers; int c; const float* b; Bounds<float> bounds; T* y;     // (slices, numbers), (C) or null
  LAMINA_DEVICE void operator()(Index i) const {
    float sum[each];
    LAMINA_UNROLL
    for (int e = 0; e < each; ++e) sum[e] = b ? b[i * each % c + e] : 0;
    for (int slice = 0; slice < slices; ++slice)
      LAMINA_UNROLL
      for (int half = 0; half < each / 4; ++half) {
        const Pack<float, 4> part = pack_at<float, 4>(parts + slice * numbers + i * each + half * 4);
        LAMINA_UNROLL
        for (int e = 0; e < 4; ++e) sum[half * 4 + e] += part.v[e];
      }
    LAMINA_UNROLL
    for (int e = 0; e < each; ++e) sum[e] = bounds(sum[e]);
    packs<each>(y)[i] = packed<T>(sum);
  }
};

}  // namespace kernels::inline LAMINA_SIMT

namespace detail {
/// Into how many slices the terms of a product are cut: none where its tiles occupy the device.
inline constexpr Index busy_tiles = 2 * 132, most_slices = 8;
inline int product_slices(Index tiles, Index terms) { return tiles >= busy_tiles / 2 ? 1 : int(std::clamp<Index>(std::min(busy_tiles / tiles, terms / 256), 1, most_slices)); }
/// Numbers of their parts, for these rows or fewer.
inline Index slice_numbers(Index rows, Index columns) { return std::min(most_slices * rows * columns, busy_tiles * 64 * 64); }
template <class D, class T> void sum_slices(D& dev, int slices, Index rows, int columns, const float* b, Clamp clamp, T* y) {
  parallel_for(dev, rows * columns / kernels::in_chunk<T>, kernels::SumOfSlices<T>{reinterpret_cast<const float*>(dev.arena()), slices, rows * columns, columns, b, clamp, y});
}
inline constexpr kernels::TileShape small_tile{64, 64, 64, 3, 2}, tall_tile{256, 64, 32, 4, 1}, wide_tile{128, 128, 32, 4, 2}, gathered_tile{128, 64, 32, 4, 2}, weight_tile{192, 64, 32, 4, 1};
template <kernels::TileShape S> inline constexpr Text tile_name = text(S.m, "x", S.n, " sums, ", S.depth, " deep");
/// launch.operator()<shape>() with the tiles for a product of so many rows, columns and terms: the larger, the less often a number is fetched, but they should occupy the device.
/// Where numbers are gathered, registers are too few for the largest. Whatever the tile, a sum takes its terms one after another, so that all may race (tuning.hpp): unless the terms are cut in
/// slices, which are sums of their own.
template <TensorNumber T, kernels::Picture P, RunsKernels D, class F> void by_tiles(D& dev, const Work& work, Index rows, Index columns, Index terms, bool sliced, const F& launch) {
  const auto fits = [&](kernels::TileShape t) { return pieces(rows, t.m) * pieces(columns, t.n) >= busy_tiles / 2; };
  const auto one_of = [&]<kernels::TileShape... S>(int first) {
    const auto run = [&](int which) {
      int i = 0;
      ((i++ == which ? launch.template operator()<S>() : void()), ...);
    };
    if (!D::races || sliced) return run(first);
    const Processors p = processors_of(dev);
    const auto cycles = [&](kernels::TileShape t) {
      const int patches = t.warp_m() / 16;
      return launch_cycles({4. * double(terms) * sizeof(T) / 32 * warp_cycles(patches, t.warp_n()), double(t.m + t.n) * double(terms) * sizeof(T), 4 * patches, 128, patches * t.warp_n() / 2 + 56,
                            t.stages * (t.m + t.n) * t.depth * 2, 1}, double(pieces(rows, t.m) * pieces(columns, t.n)), p);
    };
    const Runner all[] = {{tile_name<S>.s, cycles(S)}...};
    run(chosen(dev, work, all, run, first));
  };
  if constexpr (P == kernels::Picture::deep) one_of.template operator()<small_tile, tall_tile, wide_tile>(columns > 64 && fits(wide_tile) ? 2 : fits(tall_tile) ? 1 : 0);
  else one_of.template operator()<small_tile, gathered_tile>(fits(gathered_tile) ? 1 : 0);
}
/// `kernel` for the convolution of this shape.
inline Work conv_work(std::string_view kernel, ConvSpec spec, Shape in, Shape out, Index n) { return {kernel, in, out.c, int(n), spec.window.k, spec.window.stride, spec.window.pad}; }
/// How the gradient of the weights is cut: tiles of m x n, slabs of pixels.
struct WeightCut {
  Index weights, numbers, tiles;             // numbers: with the bias
  kernels::TileShape shape;
  Index slabs;                               // of each share
  WeightCut(const Shares& cut, kernels::Picture picture, ConvSpec spec, Shape in, Shape out, bool bias) {
    const Index terms = terms_of(spec.window, in), rows = terms + bias;
    weights = terms * out.c, numbers = rows * out.c;
    shape = picture == kernels::Picture::shallow || rows < 128 ? small_tile : out.c > 64 ? wide_tile : weight_tile;
    tiles = pieces(rows, shape.m) * pieces(out.c, shape.n);
    const Index places = shape.m > 64 ? busy_tiles : busy_tiles * 3 / 2, least = std::max<Index>(places / tiles / shares, 1);     // two or three blocks for each multiprocessor of 132:
    const auto idle = [&](Index each) { return double(pieces(shares * each * tiles, places) * places) / double(shares * each * tiles); };   // a few more than that would be a turn of their own
    Index each = least;
    for (Index more = least + 1; more <= 3 * least; ++more)
      if (idle(each) > 1.2 && idle(more) < idle(each)) each = more;
    slabs = slabs_of_share(cut, shares * each, Index(out.h) * out.w, 512);
  }
};
}  // namespace detail

/// 3: channels and filters are multiples of a chunk, 8 of bf16 and 4 of tf32. 4: filters are.
template <int W> concept OnTensorCores = W == 3 || W == 4;
template <int W> inline constexpr kernels::Picture picture_of = W == 3 ? kernels::Picture::deep : kernels::Picture::shallow;

template <RunsKernels D, int W, TensorNumber T> requires OnTensorCores<W>
void conv_forward(D& dev, Way<W>, ConvSpec spec, Shape in, Shape out, Index n, const T* x, const T* w, const float* b, T* y, Clamp clamp = {}) {
  using kernels::Rowed;
  const kernels::TensorPixels g(spec, in, out, n);
  const Index terms = detail::terms_of(spec.window, in);
  const int small_slices = detail::product_slices(pieces(detail::cut_of(dev, n).n * out.h * out.w, 64) * pieces(out.c, 64), terms);      // the same for each sample of a batch, wherever it is
  const Work work = detail::conv_work(std::is_same_v<T, bf16> ? "conv forward of bf16" : "conv forward of tf32", spec, in, out, n);
  detail::by_tiles<T, picture_of<W>>(dev, work, g.pixels, out.c, terms, small_slices > 1, [&]<kernels::TileShape S>() {
    using Kernel = kernels::ConvTensorForward<kernels::TileSums<T, S, Rowed::along, Rowed::across>, picture_of<W>>;
    const Index tiles = pieces(g.pixels, S.m) * pieces(out.c, S.n);
    const int slices = S.m == 64 ? small_slices : 1;
    dev.template launch<Kernel>(Grid{int(tiles), slices}, g, x, w, b, kernels::Bounds<float>(clamp), y, reinterpret_cast<float*>(dev.arena()));
    if (slices > 1) detail::sum_slices(dev, slices, g.pixels, out.c, b, clamp, y);
  });
}

template <RunsKernels D, int W, TensorNumber T> requires OnTensorCores<W>
void conv_backward(D& dev, Way<W>, ConvSpec spec, Shape in, Shape out, Index n, const T* x, const T* w, const T* dy, T* dx, float* dw, float* db) {
  using kernels::Rowed;
  const kernels::TensorPixels g(spec, in, out, n);
  if constexpr (W == 3) {
    const Index classes = Index(spec.window.stride) * spec.window.stride, most = n * pieces(in.h, spec.window.stride) * pieces(in.w, spec.window.stride);
    const Index terms = g.k * g.k * Index(out.c) / classes;
    const int small_slices = detail::product_slices(pieces(most / n * detail::cut_of(dev, n).n, 64) * pieces(in.c, 64) * classes, terms);
    const Work work = detail::conv_work(std::is_same_v<T, bf16> ? "conv gradient of x of bf16" : "conv gradient of x of tf32", spec, in, out, n);
    if (dx) detail::by_tiles<T, kernels::Picture::deep>(dev, work, most * classes, in.c, terms, small_slices > 1, [&]<kernels::TileShape S>() {
      using Kernel = kernels::ConvTensorInputGradient<kernels::TileSums<T, S, Rowed::along, Rowed::along>>;
      const Index tiles = pieces(most, S.m) * pieces(in.c, S.n);
      const int slices = S.m == 64 ? small_slices : 1;
      dev.template launch<Kernel>(Grid{int(tiles), int(classes), slices}, g, int(n), w, dy, dx, reinterpret_cast<float*>(dev.arena()));
      if (slices > 1) detail::sum_slices(dev, slices, n * in.h * in.w, in.c, nullptr, {}, dx);
    });
  } else if (dx) {
    conv_backward(dev, Way<2>(), spec, in, out, n, x, w, dy, dx, static_cast<float*>(nullptr), static_cast<float*>(nullptr));
  }
  if (!dw) return;
  const Shares of = detail::cut_of(dev, n);
  const detail::WeightCut cut(of, picture_of<W>, spec, in, out, db);
  const kernels::Slabs slabs(of, cut.slabs);
  auto* const parts = reinterpret_cast<float*>(dev.arena());
  const Grid grid{int(cut.tiles), slabs.count};
  const auto launch = [&]<kernels::TileShape S>() {
    using Kernel = kernels::ConvTensorWeightGradient<kernels::TileSums<T, S, Rowed::across, Rowed::across>, picture_of<W>>;
    dev.template launch<Kernel>(grid, g, x, dy, parts, dw, db, dev.writes_gradients, slabs);
  };
  if (W == 4 || cut.shape.m == detail::small_tile.m) launch.template operator()<detail::small_tile>();
  else if constexpr (W == 3) {
    if (cut.shape.m == detail::wide_tile.m) launch.template operator()<detail::wide_tile>();
    else launch.template operator()<detail::weight_tile>();
  }
  if (slabs.count > 1) detail::add_parts<float>(dev, parts, slabs, cut.numbers, dw, cut.weights, db);
}

template <RunsKernels D, int W, TensorNumber T> requires OnTensorCores<W> Index conv_arena(const D& dev, Way<W>, T, ConvSpec spec, Shape in, Shape out, Index n) {
  const Index parts = detail::most_of_cuts(dev, n, [&](const Shares& of) {
    const auto numbers = [&](bool bias) {
      const detail::WeightCut cut(of, picture_of<W>, spec, in, out, bias);
      return kernels::Slabs(of, cut.slabs).count * cut.numbers;
    };
    return std::max(numbers(true), numbers(false));
  });
  const Index forward = detail::slice_numbers(n * out.h * out.w, out.c), backward = W == 3 ? detail::slice_numbers(n * in.h * in.w, in.c) : 0;
  return std::max({parts, forward, backward}) * Index(sizeof(float));
}
/// Bytes of the parts of conv_forward's sums.
template <RunsKernels D, int W, TensorNumber T> requires OnTensorCores<W> Index conv_forward_arena(const D&, Way<W>, T, ConvSpec, Shape, Shape out, Index n) {
  return detail::slice_numbers(n * out.h * out.w, out.c) * Index(sizeof(float));
}

}  // namespace lamina
