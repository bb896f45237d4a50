/// Sums over all pixels of a batch, in an order that does not depend on the schedule: every thread block sums a slab of tiles of a share into its own partial, and a second kernel
/// adds the partials of each share in their order, and the shares as a tree.
#pragma once
#include "slabs.hpp"
#include "tile.hpp"

namespace lamina::kernels::inline LAMINA_SIMT {

struct alignas(16) Quad {
  float v[4];
  LAMINA_DEVICE void operator+=(Quad o) {
    LAMINA_UNROLL
    for (int e = 0; e < 4; ++e) v[e] += o.v[e];
  }
};
struct alignas(8) Pair { float first, second; };

/// Walks over the tiles of slab `slab` of `slabs`: neighbours share a border, so a slab is a run of them.
struct Slab {
  int across, down, tile, end;
  int first = 0, last = 0;     // samples of its share, where it has a part of one
  LAMINA_DEVICE Slab(Extent size, int tile_h, int tile_w, int slab, int slabs) {
    across = (size.w + tile_w - 1) / tile_w;
    down = (size.h + tile_h - 1) / tile_h;
    const int64_t tiles = int64_t(size.n) * across * down;
    tile = int(tiles * slab / slabs);
    end = int(tiles * (slab + 1) / slabs);
  }
  /// Of a share's slab; so many pictures have a tile together.
  LAMINA_DEVICE Slab(Extent size, int tile_h, int tile_w, const Slabs& slabs, int slab, int pictures = 1) : Slab(size, tile_h, tile_w, 0, 1) {
    const Slabs::Range s = slabs.samples_of(slab);
    const Slabs::Part part = slabs.part(slab, Index((s.end - s.begin + pictures - 1) / pictures) * across * down);
    first = s.begin, last = s.end, tile = int(part.begin), end = int(part.end);
  }
  LAMINA_DEVICE int n(int pictures = 1) const { return first + tile / (across * down) * pictures; }
  LAMINA_DEVICE int y() const { return tile / across % down; }
  LAMINA_DEVICE int x() const { return tile % across; }
};

/// A warp's sums of a 16 x `columns` block, as multiply_add leaves them, are added to those of the warps before it. `total` is shared, its rows are `Width` floats long, 8 more than a
/// multiple of 16: the rows that a warp's lanes meet at once lie in different banks.
template <int Columns, int Width = Columns + 8> LAMINA_DEVICE void add_block(float* total, const float (&sum)[Columns / 8][4], bool first) {
  const int g = thread_index() % 32 / 4, t = thread_index() % 4;
  LAMINA_UNROLL
  for (int j = 0; j < Columns / 8; ++j)
    LAMINA_UNROLL
    for (int below = 0; below < 2; ++below) {
      Pair* const at = reinterpret_cast<Pair*>(total + (below * 8 + g) * Width + j * 8 + 2 * t);
      const Pair before = first ? Pair{0.f, 0.f} : load(at);
      store(at, Pair{before.first + sum[j][2 * below], before.second + sum[j][2 * below + 1]});
    }
}

/// The bias sums of all threads, of which thread t has those of chunk t % (Channels / Each): added within the warps, and then in the order of the warps, to `before`. `scratch`: a float for each channel
/// of each warp, shared.
template <int Channels, int Threads, int Each> LAMINA_DEVICE void write_bias_sums(float* scratch, float (&sum)[Each], int channels, float* partial, float before = 0) {
  constexpr int chunks = Channels / Each;
  const int lane = thread_index() % 32, warp = thread_index() / 32;
  LAMINA_UNROLL
  for (int e = 0; e < Each; ++e) {
    LAMINA_UNROLL
    for (int other = chunks; other < 32; other *= 2) sum[e] += shuffle_xor(sum[e], other);
    if (lane < chunks) store(scratch + warp * Channels + lane * Each + e, sum[e]);
  }
  sync_block();
  if (thread_index() < channels) {
    float total = before;
    for (int v = 0; v < Threads / 32; ++v) total += load(scratch + v * Channels + thread_index());
    store(partial + thread_index(), total);
  }
}

/// dw[i] += the partials' i-th numbers, or = them; those from `weights` on are the bias's and go to db, if it is wanted. A warp adds the slabs of a share, and then the warps' sums are added.
/// weights and count are multiples of 4. grid: (count / 128, rounded up)
struct SlabSum {
  static constexpr int warps = int(lamina::shares), threads = 32 * warps, shared_bytes = threads * 16;
  LAMINA_DEVICE static void run(const float* partials, Slabs slabs, int weights, int count, float* dw, float* db, bool writes) {
    const int lane = thread_index() % 32, share = thread_index() / 32, i = block_index().x * 128 + lane * 4;
    Quad* const sums = reinterpret_cast<Quad*>(shared_memory());
    const Slabs::Range of = slabs.of_share(share);
    const auto of_slab = [&](int slab) { return load(reinterpret_cast<const Quad*>(partials + Index(slab) * count + i)); };
    store(sums + thread_index(), i < count && share < slabs.shares ? sum_in_order<Quad>(of.begin, of.end, of_slab) : Quad{});
    sync_block();
    if (share > 0 || i >= count || (i >= weights && !db)) return;
    Quad of_share[warps];
    LAMINA_UNROLL
    for (int s = 0; s < warps; ++s) of_share[s] = load(sums + s * 32 + lane);
    Quad* const to = reinterpret_cast<Quad*>(i < weights ? dw + i : db + (i - weights));
    Quad total = writes ? Quad{} : load(to);
    total += tree_sum_at<shares>(of_share);
    store(to, total);
  }
};

}  // namespace lamina::kernels::inline LAMINA_SIMT

namespace lamina::detail {
/// Of a 3x3 convolution: weights, then biases.
inline Index slab_numbers(kernels::Extent size) { return (Index(9) * size.c + 1) * size.k; }
template <class D> void add_slabs(D& dev, kernels::Extent size, const kernels::Slabs& slabs, const float* partials, float* dw, float* db) {
  const int count = int(slab_numbers(size));
  dev.template launch<kernels::SlabSum>(Grid{int(pieces(count, 128))}, partials, slabs, count - size.k, count, dw, db, dev.writes_gradients);
}
}  // namespace lamina::detail
