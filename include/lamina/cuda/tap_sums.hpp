/// The sum of a 3x3 convolution on tensor cores: a thread block makes a tile of pixels and a block of channels.
#pragma once
#include "tile.hpp"

namespace lamina::kernels::inline LAMINA_SIMT {

struct TapTile {
  int in, out;         // channels that are summed over at a time, and that come out: multiples of 16
  bool several;        // whether it takes several times `in` channels
  int tile_h, tile_w;  // pixels, before pooling
  int warps, split;    // of so many warps, `split` share the channels that come out, the others the pixels
  int pictures = 1;    // such tiles of so many pictures, one after another
  int stages = 3;      // of weights, a tap each. 9: all of them stay, and a thread block makes tile after tile
  int blocks = 0;      // that a multiprocessor shall hold, if it matters
  bool wide = false;   // numbers of tf32, else of bf16
  constexpr int threads() const { return warps * 32; }
  constexpr bool resident() const { return stages == 9; }
  constexpr bool valid(bool paired) const { return in % 16 == 0 && out % (16 * split) == 0 && tile_h % 2 == 0 && tile_w % 8 == 0 && pictures * tile_h * tile_w % ((paired ? 32 : 16) * warps / split) == 0 && !(paired && pictures > 1) && !(resident() && several); }
};

/// Sums over nine taps and all channels: the tiles are pixels with a border of one, `out` channels a pixel come out.
/// Backward, the same sum runs over dy with the taps turned round and the weights read across.
/// A warp's rows of 16 pixels are patches of 2 x 8, or, `Paired`, the left or the right pixels of 8 pooling windows: a pair of such patches leaves all of a window in one lane.
template <TapTile T, bool Backward, bool Paired = false> struct TapSums {
  static_assert(T.valid(Paired));
  static constexpr int patches_across = T.tile_w / 8, patches = T.pictures * T.tile_h * T.tile_w / 16 / (T.warps / T.split), channels = T.out / T.split;  // of a warp
  static constexpr int width = T.tile_w == 8 && Paired ? 12 : T.tile_w + 2;  // 12: else the banks would meet where a patch has windows in two rows
  static constexpr int pixels = T.pictures * (T.tile_h + 2) * width;
  using Number = NumberOf<T.wide>;
  using Tile = Rows<Number, T.in, Rowed::along, Paired ? 2 : 1>;
  static constexpr int rows = Backward ? T.out : T.in, columns = Backward ? T.in : T.out;  // of the weights of a step: channels in, channels out
  using Weights = Rows<Number, columns, Backward ? Rowed::along : Rowed::across>;
  static constexpr bool resident = T.resident();
  static constexpr int stages = T.stages;  // one barrier a step: the weights being copied are never those a slower warp still reads
  static constexpr int threads = T.threads(), tile_bytes = Tile::bytes(pixels), stage_bytes = Weights::bytes(rows);
  static constexpr int tiles = T.several || resident ? 2 : 1, tiles_bytes = tile_bytes * tiles, shared_bytes = tiles_bytes + stages * stage_bytes;

  float sum[patches][channels / 8][4];

  LAMINA_DEVICE static int first_patch() { return thread_index() / 32 / T.split * patches; }
  LAMINA_DEVICE static int first_channel() { return thread_index() / 32 % T.split * channels; }
  LAMINA_DEVICE static Tile tile(int block) { return {reinterpret_cast<Number*>(shared_memory() + block % tiles * tile_bytes)}; }
  LAMINA_DEVICE static Weights stage(int step) { return {reinterpret_cast<Number*>(shared_memory() + tiles_bytes + step % stages * stage_bytes)}; }

  /// Where a patch begins in the tile, which has two rows of border between pictures.
  LAMINA_DEVICE static int patch_row(int patch) { return patch / patches_across * 2 + patch / (patches_across * T.tile_h / 2) * (T.pictures > 1 ? 2 : 0); }
  /// Of window `i` of 8 of a pair of this warp's patches.
  LAMINA_DEVICE static int window_row(int pair, int i) { return (first_patch() * 4 + pair * 8 + i) / (T.tile_w / 2); }
  LAMINA_DEVICE static int window_column(int pair, int i) { return (first_patch() * 4 + pair * 8 + i) % (T.tile_w / 2); }

  /// A step is a tap of a block of channels that are summed over. w: (9, C, K), at the first of the channels that come out.
  LAMINA_DEVICE static void copy_step(int step, const Number* w, Extent size) {
    const int block = step / 9 * T.in, tap = Backward ? 8 - step % 9 : step % 9;
    const Number* from = w + (Backward ? tap * size.c * size.k + block : (tap * size.c + block) * size.k);
    for (int i = thread_index(); i < rows * Weights::chunks; i += threads)
      copy_async(stage(step).chunk(i / Weights::chunks, i % Weights::chunks), from + i / Weights::chunks * size.k + i % Weights::chunks * in_chunk<Number>, true);
  }

  /// The sums begin with the bias, if there is one, at the first of the channels that come out.
  LAMINA_DEVICE void begin(const float* bias) {
    LAMINA_UNROLL
    for (int j = 0; j < channels / 8; ++j)
      LAMINA_UNROLL
      for (int e = 0; e < 2; ++e) {
        const float b = bias ? load(bias + first_channel() + j * 8 + thread_index() % 4 * 2 + e) : 0.f;
        LAMINA_UNROLL
        for (int m = 0; m < patches; ++m) sum[m][j][e] = sum[m][j][e + 2] = b;
      }
  }

  /// Tile 0 must have been begun; the first group of copies takes it along. ahead(block, tap) begins the tiles of the blocks that follow.
  template <class Ahead> LAMINA_DEVICE void run(const Number* w, Extent size, int blocks, Ahead ahead) {
    const int steps = 9 * (T.several ? blocks : 1);
    int pixel[patches];
    rows_of(pixel);
    for (int step = 0; step < stages - 1; ++step) copy_step(step, w, size), copy_commit();
    LAMINA_NO_UNROLL
    for (int step = 0; step < steps; ++step) {
      copy_wait<stages - 2>();
      sync_block();
      if (step + stages - 1 < steps) copy_step(step + stages - 1, w, size);
      const int block = step / 9, tap = step % 9;
      if (T.several && block + 1 < blocks) ahead(block + 1, tap);
      copy_commit();
      multiply(tile(block), stage(step), pixel, tap);
    }
    copy_wait<0>();
  }

  /// Of tiles 0 to `last`, where all weights stay: tile 0 must have been begun, ahead(tile, tap) begins those that follow, and done(tile) takes the sums.
  template <class Ahead, class Done> LAMINA_DEVICE void run_resident(const Number* w, Extent size, const float* bias, int last, Ahead ahead, Done done) {
    int pixel[patches];
    rows_of(pixel);
    for (int tap = 0; tap < 9; ++tap) {
      copy_step(tap, w, size);
      if (tap % 3 == 2) copy_commit();
    }
    LAMINA_NO_UNROLL
    for (int i = 0; i <= last; ++i) {
      if (i == 0) copy_wait<2>();
      else copy_wait<0>();
      sync_block();
      begin(bias);
      LAMINA_NO_UNROLL
      for (int tap = 0; tap < 9; ++tap) {
        if (i == 0 && (tap == 3 || tap == 6)) {            // the first tile need not wait for all weights
          if (tap == 3) copy_wait<2>();
          else copy_wait<1>();
          sync_block();
        }
        if (i < last) ahead(i + 1, tap);
        if (tap == 0) copy_commit();
        multiply(tile(i), stage(tap), pixel, tap);
      }
      done(i);
    }
    copy_wait<0>();
  }

 private:
  /// This lane's row of each patch, at tap 0.
  LAMINA_DEVICE static void rows_of(int (&pixel)[patches]) {
    LAMINA_UNROLL
    for (int m = 0; m < patches; ++m) {
      const int patch = first_patch() + m, row = thread_index() % 16;
      if constexpr (!Paired) pixel[m] = (patch_row(patch) + row / 8) * width + patch % patches_across * 8 + row % 8;
      else pixel[m] = (window_row(m / 2, row % 8) * 2 + row / 8) * width + window_column(m / 2, row % 8) * 2 + m % 2;
    }
  }

  LAMINA_DEVICE void multiply(Tile tile, Weights weights, const int (&pixel)[patches], int tap) {
    const int lane = thread_index() % 32, shift = tap / 3 * width + tap % 3;
    constexpr int together = T.several && Tile::chunks % 4 == 0 ? 4 : Tile::chunks;  // chunks of straight code: where tiles come and go there are fewer registers
    LAMINA_NO_UNROLL
    for (int first = 0; first < Tile::chunks; first += together)
      LAMINA_UNROLL
      for (int chunk = first; chunk < first + together; chunk += 2) {
        unsigned a[patches][4];
        LAMINA_UNROLL
        for (int m = 0; m < patches; ++m) load_matrices(a[m], tile.chunk(pixel[m] + shift, chunk + lane / 16));
        LAMINA_UNROLL
        for (int j = 0; j < channels / 8; j += 2) {
          unsigned b[4];
          if constexpr (Backward) right_along(b, weights, first_channel() + j * 8, chunk);
          else right_across<Number>(b, weights, first_channel() + j * 8, [&](int term) { return chunk * in_chunk<Number> + term; });
          LAMINA_UNROLL
          for (int m = 0; m < patches; ++m) {
            multiply_add_of<Number>(sum[m][j], a[m], b[0], b[1]);
            multiply_add_of<Number>(sum[m][j + 1], a[m], b[2], b[3]);
          }
        }
      }
  }
};

}  // namespace lamina::kernels::inline LAMINA_SIMT
