/// A block's share of a product of matrices of bf16 or tf32 on tensor cores: the sums of a tile, whose factors pass through shared memory a few numbers of the summed side at a time.
#pragma once
#include "fragments.hpp"

namespace lamina::kernels::inline LAMINA_SIMT {

/// The size of a tile, how many terms go into it at a time (of tf32 half as many), of how many stages of panels, and how its sums are shared among four warps: `across` of them lie side by side.
struct TileShape {
  int m, n, depth, stages, across;
  constexpr int warp_m() const { return m / (4 / across); }
  constexpr int warp_n() const { return n / across; }
};

/// The sums of a tile.
template <TensorNumber T, TileShape S, Rowed A, Rowed B> struct TileSums {
  using Number = T;
  static constexpr int M = S.m, N = S.n, Depth = S.depth * 2 / int(sizeof(T)), Stages = S.stages;
  static constexpr int m = M, n = N, depth = Depth, stages = Stages, threads = 128;
  static constexpr int warp_m = S.warp_m(), warp_n = S.warp_n(), blocks = M * N > 128 * 64 ? 2 : M * N > 64 * 64 ? 3 : 4;    // of a multiprocessor, by their registers
  using First = Rows<T, A == Rowed::along ? Depth : M, A>;
  using Second = Rows<T, B == Rowed::along ? Depth : N, B>;
  using Out = Rows<T, N, Rowed::across>;
  static constexpr int first_rows = A == Rowed::along ? M : Depth, second_rows = B == Rowed::along ? N : Depth;
  static constexpr int first_bytes = First::bytes(first_rows), stage_bytes = first_bytes + Second::bytes(second_rows);
  static constexpr int shared_bytes = Stages * stage_bytes;
  static_assert(Out::bytes(M) <= shared_bytes);

  float sum[warp_m / 16][warp_n / 8][4];

  LAMINA_DEVICE static First first(int stage) { return {reinterpret_cast<T*>(shared_memory() + stage % Stages * stage_bytes)}; }
  LAMINA_DEVICE static Second second(int stage) { return {reinterpret_cast<T*>(shared_memory() + stage % Stages * stage_bytes + first_bytes)}; }
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
      for (int k = 0; k < Depth; k += 2 * in_chunk<T>) {
        const auto row_of = [k](int term) { return k + term; };
        unsigned a[warp_m / 16][4], b[warp_n / 16][4];
        LAMINA_UNROLL
        for (int i = 0; i < warp_m / 16; ++i) {
          const int at = row() + i * 16;
          if constexpr (A == Rowed::along) left_along(a[i], a_panel, at, k / in_chunk<T>);
          else left_across<T>(a[i], a_panel, at, row_of);
        }
        LAMINA_UNROLL
        for (int j = 0; j < warp_n / 16; ++j) {
          const int at = column() + j * 16;
          if constexpr (B == Rowed::along) right_along(b[j], b_panel, at, k / in_chunk<T>);
          else right_across<T>(b[j], b_panel, at, row_of);
        }
        LAMINA_UNROLL
        for (int i = 0; i < warp_m / 16; ++i)
          LAMINA_UNROLL
          for (int j = 0; j < warp_n / 8; ++j) multiply_add_of<T>(sum[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
      }
    }
    copy_wait<0>();
    sync_block();
  }

  /// Rounds the sums, by way of shared memory, so that whole rows leave: put(row, number in it, a chunk of numbers).
  template <class Put> LAMINA_DEVICE void write(const Put& put) {
    const Out panel{reinterpret_cast<T*>(shared_memory())};
    each([&](float left, float right, int r, int c) { store_two(panel.number(r, c), left, right); });
    sync_block();
    LAMINA_UNROLL
    for (int i = 0; i < M * Out::chunks / threads; ++i) {
      const int at = i * threads + thread_index(), r = at / Out::chunks, c = at % Out::chunks;
      put(r, c * in_chunk<T>, load(reinterpret_cast<const Vec4*>(panel.chunk(r, c))));
    }
  }
};

/// How the lanes of a block fill a panel: lane t has chunks t % lanes, + lanes, ... of rows t / lanes, + step, ...: eight lanes never meet in a bank.
template <class P, int Count, int Threads> struct Filling {
  static constexpr int lanes = P::chunks < 8 ? P::chunks : 8, across = P::chunks / lanes, step = Threads / lanes, down = Count / step;
  static_assert(Count % step == 0);
  LAMINA_DEVICE static int row(int i) { return thread_index() / lanes + i * step; }
  LAMINA_DEVICE static int chunk(int i) { return thread_index() % lanes + i * lanes; }
};

}  // namespace lamina::kernels::inline LAMINA_SIMT
