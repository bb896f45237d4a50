/// The weight gradient of a 3x3 convolution with stride 1 by Winograd's F(4, 3).
#pragma once
#include <bit>

#include "outer.hpp"
#include "winograd.hpp"

namespace lamina::detail {

/// The gradient of the weights of such a convolution, by the same points: over the tiles of each share of the batch the products of transformed inputs and gradients are added up, point by point.
/// What they come to is transformed to nine weights share by share, and then added as a tree, of which a replica that has some of the shares has a branch.
/// Few sums stay in a worker's cache, with blocks of tiles that do too, and each share of the batch has its own. Where there are many, the block of tiles is shared, and a task has few channels:
/// their sums stay in the cache while it goes through the shares in the block.
struct WinogradWeights {
  static constexpr int points = Winograd::points, in_block = Winograd::in_block, tile_c = outer_rows, tile_o = outer_vectors * simd::width;
  static constexpr int together = 96;          // tiles whose products are added at a time: 32 channels of them stay in the first cache
  static constexpr int few_inputs = 8;         // of a task where there are few tasks
  // Of an input with in_block outputs, one after another: 4 KB apart the points would meet in the same sets of the cache.
  static constexpr int sums_line = points * in_block, weights_line = 9 * in_block;
  static constexpr Index places = 3;           // for the branches of a tree of shares that are not whole yet: shares are added in pairs
  static constexpr Index worker_numbers = in_block * (sums_line + places * weights_line);

  Winograd conv;                               // x to y; its block is ours
  WinogradWeights(Shape in, int out_c, int pad, int h, int w) : conv(in, out_c, pad, h, w) {
    const int tiles = few(in.c, out_c) ? std::max<int>(16, Cpu::few_sums / (points * (in.c + out_c))) : 128;
    conv.block = tiles / Winograd::rows * Winograd::rows;
  }
  static constexpr bool few(int in_c, int out_c) { return Index(points) * in_c * out_c <= Cpu::few_sums; }
  Index pairs() const { return Index(conv.in.c) * conv.out_c; }
  Index sums() const { return points * pairs(); }
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
  /// sums (inputs, 36, in_block) = or += at point e the products of so many tiles from t on, of so many inputs from c on, all in a block, and of in_block outputs from o on.
  /// Meanwhile the next point of the tiles is fetched, where they are not in the second cache.
  template <bool fetch>
  LAMINA_INLINE void add_products(const Room& m, Index e, int c, int inputs, int o, Index t, Index count, float* sums, bool add) const {
    const Index v_plane = conv.plane(conv.in.c), d_plane = conv.plane(conv.out_c);
    for (Index i = 0; i == 0 || i < count; i += together)
      for (int j = 0; j < in_block; j += tile_o)
        for (int k = 0; k < inputs; k += tile_c) {
          const float* const v = m.v + e * v_plane + (Index(c / in_block) * conv.block + t + i) * in_block + c % in_block + k;
          const float* const d = m.d + e * d_plane + (Index(o / in_block) * conv.block + t + i) * in_block + j;
          add_outer(v, in_block, d, in_block, {std::min<Index>(count - i, together)}, sums + k * sums_line + e * in_block + j, sums_line, add || i > 0, [=](Index r) LAMINA_INLINE_LAMBDA {
            if constexpr (!fetch) return;
            __builtin_prefetch(v + v_plane + r * in_block);
            for (int line = 0; line < tile_o; line += 16) __builtin_prefetch(d + d_plane + r * in_block + line);
          });
        }
  }
  [[gnu::noinline]] void add_products_of_points(const Room& m, int c, int inputs, int o, Index t, Index count, float* sums, bool add) const {
    for (Index e = 0; e < points; ++e) add_products<true>(m, e, c, inputs, o, t, count, sums, add);
  }
  /// to (inputs, 9, in_block) = or += the gradients that sums (inputs, 36, in_block) come to. Not inlined: there is one code for all, which rounds in one way.
  [[gnu::noinline]] static void transform_sums(const float* sums, Index inputs, float* to, bool add) {
    for (; inputs > 0; --inputs, sums += sums_line, to += weights_line)
      for (int o = 0; o < in_block; o += simd::width) {
        Floats t[3][6];
#pragma GCC unroll 6
        for (int j = 0; j < 6; ++j) {
          Floats s[6], g[3];
#pragma GCC unroll 6
          for (int i = 0; i < 6; ++i) s[i] = simd::load(sums + (i * 6 + j) * in_block + o);
          F43::weights(s, g);
#pragma GCC unroll 3
          for (int i = 0; i < 3; ++i) t[i][j] = g[i];
        }
#pragma GCC unroll 3
        for (int i = 0; i < 3; ++i) {
          Floats g[3];
          F43::weights(t[i], g);
#pragma GCC unroll 3
          for (int j = 0; j < 3; ++j) {
            float* const p = to + (i * 3 + j) * in_block + o;
            simd::store(p, add ? simd::load(p) + g[j] : g[j]);
          }
        }
      }
  }
  static void add_numbers(float* to, const float* from, Index count) {
    for (Index i = 0; i < count; i += simd::width) simd::store(to + i, simd::load(to + i) + simd::load(from + i));
  }
  /// dw (3, 3, C, O) += from (inputs, 9, in_block), the gradients of so many inputs from c on and of in_block outputs from o on.
  void add_weights(const float* from, int c, int inputs, int o, float* dw) const {
    for (Index i = 0; i < inputs; ++i)
      for (Index k = 0; k < 9; ++k) add_numbers(dw + (k * conv.in.c + c + i) * conv.out_c + o, from + i * weights_line + k * in_block, in_block);
  }
  /// at(0) = the tree of so many shares, each with so many numbers: share(i, to, add) leaves those of the i-th at `to`, or adds them. There are `places` places.
  template <class At, class Share> static void sum_shares(Index of_shares, Index numbers, const At& at, const Share& share) {
    tree_sum_in_turn((of_shares + 1) / 2, [&](Index pair, Index place) {
      share(2 * pair, at(place), false);
      if (of_shares > 1) share(2 * pair + 1, at(place), true);
    }, [&](Index to, Index from) { add_numbers(at(to), at(from), numbers); });
  }

  Index tiles_of_share(const Shares& s) const { return (s.n + s.of - 1) / s.of * conv.tiles(); }      // at most
  /// As many shares of a batch, in a branch of their tree, as go into a block.
  Index shares_of_block(const Shares& s) const {
    Index g = s.count;
    while (g > 1 && g * tiles_of_share(s) > conv.block) g /= 2;
    return g;
  }
  /// Branches that are in memory at a time: none where all shares go into a block.
  Index open_branches(const Shares& s) const { return shares_of_block(s) == s.count ? 0 : Index(std::bit_width(std::size_t(s.count / shares_of_block(s)))); }
  /// Numbers that run() has these in, and the sums of a share that is larger than a block.
  Index branches(const Shares& s) const { return (open_branches(s) * 9 + (tiles_of_share(s) > conv.block ? points : 0)) * pairs(); }

  /// How run() cuts the channels: the sums of a task stay in the second cache, and there are some tasks for each thread.
  struct Tasks {
    int outs, inputs, parts;                   // blocks of outputs; inputs of a task, and how many such has a block
    Index count;
    Tasks(const WinogradWeights& w, int threads)
        : outs(w.conv.out_c / in_block), inputs(w.pairs() / (in_block * in_block) < 4 * threads ? few_inputs : in_block), parts(in_block / inputs), count(w.pairs() / (inputs * in_block)) {}
    int c(Index task) const { return int(task / (parts * outs)) * in_block + int(task % parts) * inputs; }
    int o(Index task) const { return int(task / parts % outs) * in_block; }
  };

  /// dw (3, 3, C, O) +=. open (branches); memory, and worker_numbers for each thread behind it.
  void run(Cpu& dev, Index n, const float* x, const float* dy, float* dw, float* open, float* memory) const {
    const Room m = rooms(memory);
    const Shares s = dev.replica.cut(n);
    const Tasks tasks(*this, dev.threads());
    const Index g = shares_of_block(s), branch_numbers = 9 * pairs(), task_numbers = tasks.inputs * weights_line, task_sums = tasks.inputs * sums_line;
    float *const of_workers = memory + this->memory(), *const large = open + open_branches(s) * branch_numbers;
    tree_sum_in_turn(s.count / g, [&](Index branch, Index place) {
      const auto begin = [&](Index share) { return s.begin(branch * g + share) * conv.tiles(); };
      const bool whole = begin(g) - begin(0) <= conv.block;
      for (Index first = begin(0), end = begin(g); first == begin(0) || first < end; first += conv.block) {
        const Index count = std::min<Index>(conv.block, end - first), each = 4;
        dev.run((count + each - 1) / each, [&](Index task, int) {
          for (Index t = task * each; t < std::min(count, (task + 1) * each); ++t) transform(x, dy, m, first + t, int(t));
        });
        dev.run(tasks.count, [&](Index task, int worker) {
          float *const own = of_workers + worker * worker_numbers, *const own_places = own + task_sums, *const sums = whole ? own : large + task * task_sums;
          float* const to = g == s.count ? own_places : open + place * branch_numbers + task * task_numbers;
          sum_shares(g, task_numbers, [&](Index p) { return p == 0 ? to : own_places + p * task_numbers; }, [&](Index share, float* p, bool add) {
            const Index from = std::max(first, begin(share)), until = std::min(first + count, begin(share + 1));
            if (begin(share) == begin(share + 1)) {
              if (!add) std::fill_n(p, task_numbers, 0.0f);
              return;
            }
            add_products_of_points(m, tasks.c(task), tasks.inputs, tasks.o(task), from - first, until - from, sums, from > begin(share));
            if (until == begin(share + 1)) transform_sums(sums, tasks.inputs, p, add);
          });
          if (g == s.count && first + count == end) add_weights(to, tasks.c(task), tasks.inputs, tasks.o(task), dw);
        });
      }
    }, [&](Index to, Index from) {
      dev.run(tasks.count, [&](Index task, int) { add_numbers(open + to * branch_numbers + task * task_numbers, open + from * branch_numbers + task * task_numbers, task_numbers); });
    });
    if (g < s.count) dev.run(tasks.count, [&](Index task, int) { add_weights(open + task * task_numbers, tasks.c(task), tasks.inputs, tasks.o(task), dw); });
  }

  /// part (O / in_block, C, 36, in_block) += of n images, on one thread.
  void gather(Index n, const float* x, const float* dy, float* part, float* memory) const {
    const Room m = rooms(memory);
    const Index all = n * conv.tiles();
    for (Index first = 0; first < all; first += conv.block) {
      const int count = int(std::min<Index>(conv.block, all - first));
      for (int t = 0; t < count; ++t) transform(x, dy, m, first + t, t);
      for (Index e = 0; e < points; ++e)
        for (int o = 0; o < conv.out_c; o += in_block)
          for (int c = 0; c < conv.in.c; c += in_block) add_products<false>(m, e, c, in_block, o, 0, count, part + (Index(o / in_block) * conv.in.c + c) * sums_line, true);
    }
  }
  /// dw (3, 3, C, O) += those of so many parts, as a tree.
  void finish(Cpu& dev, Index of_shares, const float* parts, float* dw) const {
    constexpr int inputs = 4;                  // of a task
    dev.run(pairs() / (inputs * in_block), [&](Index task, int) {
      float at[places][inputs * weights_line];
      sum_shares(of_shares, inputs * weights_line, [&](Index place) { return at[place]; },
                 [&](Index share, float* to, bool add) { transform_sums(parts + share * part() + task * inputs * sums_line, inputs, to, add); });
      add_weights(at[0], int(task * inputs % conv.in.c), inputs, int(task * inputs / conv.in.c) * in_block, dw);
    });
  }
};

}  // namespace lamina::detail
