/// The weight gradient of a 3x3 convolution with stride 1 by Winograd's F(4, 3).
#pragma once
#include <bit>

#include "outer.hpp"
#include "winograd.hpp"

namespace lamina::detail {

/// The gradient of the weights of such a convolution, by the same points: over all tiles the products of transformed inputs and gradients are added up, point by point.
/// Few sums stay in a worker's cache, with blocks of tiles that do too, and each share of the batch has its own; many are shared, point by point: larger blocks would go to memory
/// and back, smaller ones the sums.
struct WinogradWeights {
  static constexpr int points = Winograd::points, in_block = Winograd::in_block, tile_c = outer_rows, tile_o = outer_vectors * simd::width;
  static constexpr int together = 96;          // tiles whose products are added at a time: 32 channels of them stay in the first cache

  Winograd conv;                               // x to y; its block is ours
  WinogradWeights(Shape in, int out_c, int pad, int h, int w) : conv(in, out_c, pad, h, w) {
    const int tiles = few(in.c, out_c) ? std::max<int>(16, Cpu::few_sums / (points * (in.c + out_c))) : 128;
    conv.block = tiles / Winograd::rows * Winograd::rows;
  }
  static constexpr bool few(int in_c, int out_c) { return Index(points) * in_c * out_c <= Cpu::few_sums; }
  Index sums() const { return conv.weights(); }
  Index part() const { return sums() + room(conv.out_c); }
  Index memory() const { return room(conv.in.c) + room(conv.out_c) + points * (room(conv.plane(conv.in.c)) + room(conv.plane(conv.out_c))); }

  /// d points to the tile's row in (36, O / in_block, block, in_block): the transformed gradient dy (N, H, W, O).
  void transform_gradient(const float* dy, const float* zeros, Winograd::Place p, float* d) const {
    const float* pixel[4][4];
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j) {
        const int r = p.row * 4 + i, c = p.column * 4 + j;
        pixel[i][j] = r < conv.h && c < conv.w ? dy + ((p.image * conv.h + r) * conv.w + c) * conv.out_c : zeros;
      }
    const Index apart = conv.plane(conv.out_c);
    for (int o = 0; o < conv.out_c; o += simd::width) {
      Floats m[6][4];
      for (int j = 0; j < 4; ++j) {
        Floats y[4], t[6];
        for (int i = 0; i < 4; ++i) y[i] = simd::load(pixel[i][j] + o);
        F43::gradient(y, t);
        for (int i = 0; i < 6; ++i) m[i][j] = t[i];
      }
      float* to = d + Index(o / in_block) * conv.block * in_block + o % in_block;
      for (int i = 0; i < 6; ++i) {
        Floats t[6];
        F43::gradient(m[i], t);
        for (int j = 0; j < 6; ++j) simd::store(to + (i * 6 + j) * apart, t[j]);
      }
    }
  }

  struct Room { float *zeros, *v, *d; };       // (zeros), (36, C / in_block, block, in_block), (36, O / in_block, block, in_block)
  Room rooms(float* memory) const {
    float* const v = memory + room(conv.in.c) + room(conv.out_c);
    std::fill_n(memory, std::max(conv.in.c, conv.out_c), 0.0f);
    return {memory, v, v + points * room(conv.plane(conv.in.c))};
  }
  void transform(const float* x, const float* dy, const Room& m, Index tile, int t) const {
    conv.transform_input(x, m.zeros, conv.place(tile), m.v + t * in_block);
    transform_gradient(dy, m.zeros, conv.place(tile), m.d + t * in_block);
  }
  /// sums (36, C, O) = or += those of `count` tiles at point e.
  void add_products(const Room& m, Index e, int count, float* sums, bool add) const {
    for (int t = 0; t < count; t += together)
      each_tile(m, e, t, sums, [&](const float* v, const float* d, float* sum) { add_outer(v, in_block, d, in_block, {std::min(count - t, together)}, sum, conv.out_c, add || t > 0); });
  }
  /// sums = those of so many shares in a tree, of which share i begins with tile begin(i).
  template <class Begin> void add_products(const Room& m, Index e, Index of_shares, const Begin& begin, float* sums) const {
    with_terms(of_shares, [&](auto terms) {
      each_tile(m, e, 0, sums, [&](const float* v, const float* d, float* sum) { add_outer_shares<terms()>(v, in_block, d, in_block, begin, sum, conv.out_c, false, [](Index, Index) {}); });
    });
  }
  /// f(inputs and gradients from tile t on, sums) for all channels, as many as stay in registers at a time.
  template <class F> void each_tile(const Room& m, Index e, int t, float* sums, const F& f) const {
    const auto row = [&](const float* of, int channels, int c) { return of + e * conv.plane(channels) + (Index(c / in_block) * conv.block + t) * in_block + c % in_block; };
    for (int o = 0; o < conv.out_c; o += tile_o)
      for (int c = 0; c < conv.in.c; c += tile_c) f(row(m.v, conv.in.c, c), row(m.d, conv.out_c, o), sums + (e * conv.in.c + c) * conv.out_c + o);
  }
  /// dw (3, 3, C, O) += the sums of so many shares, as a tree.
  void finish(Cpu& dev, Index of_shares, const float* sums, Index apart, float* dw) const {
    const int in_c = conv.in.c, out_c = conv.out_c;
    with_terms(of_shares, [&](auto terms) {
      dev.run(in_c, [&](Index c, int) {
        for (int o = 0; o < out_c; o += simd::width) {
          Floats t[3][6];
          const auto sum = [&](int e) {
            const float* const at = sums + (Index(e) * in_c + c) * out_c + o;
            return tree_sum_of<terms()>([&](Index share) { return simd::load(at + share * apart); });
          };
          for (int j = 0; j < 6; ++j)
            for (int i = 0; i < 6; ++i) {
              const Floats s = sum(i * 6 + j);
              for (int k = 0; k < 3; ++k) t[k][j] = i ? t[k][j] + F43::weight[i][k] * s : F43::weight[0][k] * s;
            }
          for (int k = 0; k < 9; ++k) {
            float* const to = dw + (Index(k) * in_c + c) * out_c + o;
            Floats s = simd::load(to);
            for (int j = 0; j < 6; ++j) s += F43::weight[j][k % 3] * t[k / 3][j];
            simd::store(to, s);
          }
        }
      });
    });
  }

  /// As many shares of a batch, in a branch of their tree, as go into a block.
  Index shares_of_block(const Shares& s) const {
    const Index most = (s.n + s.of - 1) / s.of * conv.tiles();      // tiles of a share
    Index g = s.count;
    while (g > 1 && g * most > std::min(together, conv.block)) g /= 2;
    return g;
  }
  /// Numbers that run() has sums in: those of the branches that are not whole yet.
  Index branches(const Shares& s) const { return std::bit_width(std::size_t(s.count / shares_of_block(s))) * sums(); }

  /// dw (3, 3, C, O) +=. open (branches); memory: see above.
  void run(Cpu& dev, Index n, const float* x, const float* dy, float* dw, float* open, float* memory) const {
    const Room m = rooms(memory);
    const Shares s = dev.replica.cut(n);
    const Index g = shares_of_block(s);
    tree_sum_in_turn(s.count / g, [&](Index branch, Index place) {
      const Index begin = s.begin(branch * g) * conv.tiles(), end = s.begin((branch + 1) * g) * conv.tiles();
      float* const to = open + place * sums();
      if (begin == end) std::fill_n(to, sums(), 0.0f);
      for (Index first = begin; first < end; first += conv.block) {
        const int count = int(std::min<Index>(conv.block, end - first)), each = 4;
        dev.run((count + each - 1) / each, [&](Index task, int) {
          for (int t = int(task) * each; t < std::min(count, int(task + 1) * each); ++t) transform(x, dy, m, first + t, t);
        });
        dev.run(points, [&](Index e, int) {
          if (g == 1) add_products(m, e, count, to, first > begin);
          else add_products(m, e, g, [&](Index share) { return s.begin(branch * g + share) * conv.tiles() - begin; }, to);
        });
      }
    }, [&](Index to, Index from) {
      dev.run(points, [&](Index e, int) {
        float* const p = open + to * sums() + e * sums() / points;
        const float* const q = open + from * sums() + e * sums() / points;
        for (Index i = 0; i < sums() / points; i += simd::width) simd::store(p + i, simd::load(p + i) + simd::load(q + i));
      });
    });
    finish(dev, 1, open, 0, dw);
  }

  /// part (36, C, O) += of n images, on one thread.
  void gather(Index n, const float* x, const float* dy, float* part, float* memory) const {
    const Room m = rooms(memory);
    const Index all = n * conv.tiles();
    for (Index first = 0; first < all; first += conv.block) {
      const int count = int(std::min<Index>(conv.block, all - first));
      for (int t = 0; t < count; ++t) transform(x, dy, m, first + t, t);
      for (Index e = 0; e < points; ++e) add_products(m, e, count, part, true);
    }
  }
};

}  // namespace lamina::detail
