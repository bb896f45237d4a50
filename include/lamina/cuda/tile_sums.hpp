/// A block's share of a product of bf16 matrices on tensor cores: the sums of a tile, whose factors pass through shared memory a few numbers of the summed side at a time.
#pragma once
#include "../core/precision.hpp"
#include "words.hpp"

namespace lamina::kernels::inline LAMINA_SIMT {

using namespace simt;

/// Rows of `Width` bf16 in shared memory. Of chunks of 16 bytes ldmatrix reads one each of 8 neighbouring rows at a time; so that those lie in different banks, chunk i of a row lies at i ^ key.
template <int Width> struct Panel {
  static constexpr int chunks = Width / 8, keys = chunks < 8 ? chunks : 8, rows_per_key = 8 / keys;
  static constexpr int bytes(int rows) { return rows * Width * 2; }
  static_assert(chunks == 4 || chunks % 8 == 0);

  bf16* data;
  LAMINA_DEVICE bf16* chunk(int row, int i) const { return data + (row * chunks + (i ^ (row / rows_per_key % keys))) * 8; }
};

/// How a factor lies in memory and in its panel: rows along the side that is summed over, or rows across it.
enum class Rowed { along, across };

/// The size of a tile, how many terms go into it at a time, of how many stages of panels, and how its sums are shared among four warps: `across` of them lie side by side.
struct TileShape {
  int m, n, depth, stages, across;
  constexpr int warp_m() const { return m / (4 / across); }
  constexpr int warp_n() const { return n / across; }
};

/// The sums of a tile.
template <TileShape S, Rowed A, Rowed B> struct TileSums {
  static constexpr int M = S.m, N = S.n, Depth = S.depth, Stages = S.stages;
  static constexpr int m = M, n = N, depth = Depth, stages = Stages, threads = 128;
  static constexpr int warp_m = S.warp_m(), warp_n = S.warp_n(), blocks = M * N > 128 * 64 ? 2 : M * N > 64 * 64 ? 3 : 4;    // of a multiprocessor, by their registers
  using First = Panel<A == Rowed::along ? Depth : M>;
  using Second = Panel<B == Rowed::along ? Depth : N>;
  static constexpr int first_rows = A == Rowed::along ? M : Depth, second_rows = B == Rowed::along ? N : Depth;
  static constexpr int first_bytes = First::bytes(first_rows), stage_bytes = first_bytes + Second::bytes(second_rows);
  static constexpr int shared_bytes = Stages * stage_bytes;
  static_assert(M * N * 2 <= shared_bytes);

  float sum[warp_m / 16][warp_n / 8][4];

  LAMINA_DEVICE static First first(int stage) { return {reinterpret_cast<bf16*>(shared_memory() + stage % Stages * stage_bytes)}; }
  LAMINA_DEVICE static Second second(int stage) { return {reinterpret_cast<bf16*>(shared_memory() + stage % Stages * stage_bytes + first_bytes)}; }
  LAMINA_DEVICE static int row() { return thread_index() / 32 / S.across * warp_m; }                 // of the warp's sums
  LAMINA_DEVICE static int column() { return thread_index() / 32 % S.across * warp_n; }

  /// f(left, right, row, column) with the sums at (row, column) and (row, column + 1).
  template <class F> LAMINA_DEVICE void each(const F& f) {
    const int lane = thread_index() % 32;
    LAMINA_UNROLL
    for (int i = 0; i < warp_m / 16; ++i)
      LAMINA_UNROLL
      for (int below = 0; below < 2; ++below)
        LAMINA_UNROLL
        for (int j = 0; j < warp_n / 8; ++j) f(sum[i][j][2 * below], sum[i][j][2 * below + 1], row() + i * 16 + below * 8 + lane / 4, column() + j * 8 + lane % 4 * 2);
  }

  /// begin(stage) begins to fill the panels of a stage with the next terms, `steps` times. In the end the panels are free.
  template <class Begin> LAMINA_DEVICE void run(int steps, const Begin& begin) {
    const int lane = thread_index() % 32;
    each([](float& left, float& right, int, int) { left = right = 0; });
    for (int s = 0; s < Stages - 1; ++s) {
      if (s < steps) begin(s);
      copy_commit();
    }
    LAMINA_NO_UNROLL
    for (int s = 0; s < steps; ++s) {
      copy_wait<Stages - 2>();
      sync_block();
      if (s + Stages - 1 < steps) begin(s + Stages - 1);
      copy_commit();
      const First a_panel = first(s);
      const Second b_panel = second(s);
      LAMINA_UNROLL
      for (int k = 0; k < Depth; k += 16) {
        unsigned a[warp_m / 16][4], b[warp_n / 16][4];
        LAMINA_UNROLL
        for (int i = 0; i < warp_m / 16; ++i) {
          const int at = row() + i * 16;
          if constexpr (A == Rowed::along) load_matrices(a[i], a_panel.chunk(at + lane % 16, k / 8 + lane / 16));
          else load_matrices_transposed(a[i], a_panel.chunk(k + lane / 16 * 8 + lane % 8, at / 8 + lane / 8 % 2));
        }
        LAMINA_UNROLL
        for (int j = 0; j < warp_n / 16; ++j) {
          const int at = column() + j * 16;
          if constexpr (B == Rowed::along) load_matrices(b[j], b_panel.chunk(at + lane / 16 * 8 + lane % 8, k / 8 + lane / 8 % 2));
          else load_matrices_transposed(b[j], b_panel.chunk(k + lane % 16, at / 8 + lane / 16));
        }
        LAMINA_UNROLL
        for (int i = 0; i < warp_m / 16; ++i)
          LAMINA_UNROLL
          for (int j = 0; j < warp_n / 8; ++j) multiply_add(sum[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
      }
    }
    copy_wait<0>();
    sync_block();
  }

  /// Rounds the sums to bf16, by way of shared memory, so that whole rows leave: put(row, chunk, eight numbers).
  template <class Put> LAMINA_DEVICE void write(const Put& put) {
    const Panel<N> panel{reinterpret_cast<bf16*>(shared_memory())};
    each([&](float left, float right, int r, int c) { store(reinterpret_cast<unsigned*>(panel.chunk(r, c / 8) + c % 8), pack_bf16(left, right)); });
    sync_block();
    LAMINA_UNROLL
    for (int i = 0; i < M * N / 8 / threads; ++i) {
      const int at = i * threads + thread_index(), r = at / Panel<N>::chunks, c = at % Panel<N>::chunks;
      put(r, c, load(reinterpret_cast<const Vec4*>(panel.chunk(r, c))));
    }
  }
};

/// How the lanes of a block fill a panel: lane t has chunks t % lanes, + lanes, ... of rows t / lanes, + step, ...: eight lanes never meet in a bank.
template <class P, int Rows, int Threads> struct Filling {
  static constexpr int lanes = P::chunks < 8 ? P::chunks : 8, across = P::chunks / lanes, step = Threads / lanes, down = Rows / step;
  static_assert(Rows % step == 0);
  LAMINA_DEVICE static int row(int i) { return thread_index() / lanes + i * step; }
  LAMINA_DEVICE static int chunk(int i) { return thread_index() % lanes + i * lanes; }
};

}  // namespace lamina::kernels::inline LAMINA_SIMT
