/// Products of matrices of bf16 or tf32 on tensor cores, and with them the dense layer: 64 x 64 tiles of y, of dx and of dw.
#pragma once
#include "fragments.hpp"
#include "places.hpp"
#include "slabs.hpp"

namespace lamina::kernels::inline LAMINA_SIMT {

/// Of the gradients of a ReLU in a word, those that flow: where its output y is not 0.
template <TensorNumber T> LAMINA_DEVICE unsigned flowing(unsigned gradients, unsigned y) {
  if constexpr (std::is_same_v<T, bf16>) return (from_bf16(uint16_t(y)) <= 0 ? 0u : gradients & 0xFFFFu) | (from_bf16(uint16_t(y >> 16)) <= 0 ? 0u : gradients & 0xFFFF0000u);
  else return number_of<T>({y}, 0) <= 0 ? 0u : gradients;
}

template <TensorNumber T> LAMINA_DEVICE void only_flowing(unsigned (&words)[4], const unsigned (&y)[4]) {
  LAMINA_UNROLL
  for (int e = 0; e < 4; ++e) words[e] = flowing<T>(words[e], y[e]);
}

/// A row-major matrix in device memory; its columns are a multiple of a chunk.
template <class T> struct Matrix { const T* data; int rows, columns; };

/// A row of a matrix, if it is below the end.
struct SampleOf { int row, end; };

/// Down x Columns of a matrix in shared memory.
template <class T, int Down, int Columns, Rowed R> struct Tile : Rows<T, Columns, R> {
  using Lines = Rows<T, Columns, R>;
  static constexpr int rows = Down, bytes = Lines::bytes(Down);
  using Lines::chunks;

  /// Begins to copy what lies at (row, column) of m; zeros beyond it.
  template <int Threads> LAMINA_DEVICE void copy(Matrix<T> m, int row, int column) const {
    copy_rows<Threads>(m, column, [&](int r, int i) { return SampleOf{row + r + i, m.rows}; });
  }
  /// Of rows r + i, for i below `Threads / chunks`, those that at(r, i) names; zeros where it has none.
  template <int Threads, class At> LAMINA_DEVICE void copy_rows(Matrix<T> m, int column, const At& at) const {
    constexpr unsigned step = Threads / chunks;
    const unsigned t = unsigned(thread_index()), i = t % chunks;
    const int c = column + int(i) * in_chunk<T>;
    LAMINA_UNROLL
    for (unsigned r = 0; r < rows; r += step) {
      const SampleOf from = at(int(r), int(t / chunks));
      const bool inside = from.row < from.end && c < m.columns;
      copy_async(this->chunk(int(t / chunks + r), int(i)), m.data + (inside ? Index(from.row) * m.columns + c : 0), inside);
    }
  }
};

/// The samples of a batch as the side of a product that is summed over: each share has steps of its own, the last of which are filled up with zeros.
struct ShareSteps {
  Slabs shares;
  int each;                              // steps of a share
  Divisor by_each;
  ShareSteps(const Shares& s, int of_step) : shares(s, 1), each(int(std::max<Index>(pieces(pieces(s.n, s.of), of_step), 1))), by_each(each) {}
  LAMINA_DEVICE int count() const { return shares.shares * each; }
  /// Samples [first, end) begin at a step, as far as its share goes.
  LAMINA_DEVICE Slabs::Range samples(int step, int of_step) const {
    const int share = by_each(step);
    if (share >= shares.shares) return {0, 0};
    return {shares.begin(share) + by_each.rest(step, share) * of_step, shares.begin(share + 1)};
  }
};

/// Which factor is a gradient that flows where the matrix of a third tile is above 0.
enum class Masked { none, first, second };

/// 64 x Columns sums of a(m, k) b(k, n), `depth` of k at a time. Four warps have 32 x Columns / 2 each: element e of `sum[i][j]` is at row(i, e), column(j) + e % 2.
template <class T, Rowed A, Rowed B, Masked M = Masked::none, int Columns = 64> struct Product {
  static_assert(B == Rowed::across || Columns == 64);
  static constexpr int threads = 128, stages = 3, side = 64, wide = Columns / 16, depth = 128 / int(sizeof(T)), step = 2 * in_chunk<T>;
  template <Rowed R, int Side> using Factor = Tile<T, R == Rowed::along ? Side : depth, R == Rowed::along ? depth : Side, R>;
  using First = Factor<A, 64>;
  using Second = Factor<B, Columns>;
  using Mask = std::conditional_t<M == Masked::second, Second, First>;
  using Out = Tile<T, 64, Columns, Rowed::across>;
  static constexpr int stage_bytes = First::bytes + Second::bytes + (M == Masked::none ? 0 : Mask::bytes), shared_bytes = stages * stage_bytes;
  static_assert(Out::bytes <= shared_bytes);

  float sum[2][wide][4];

  LAMINA_DEVICE void operator+=(const Product& o) {
    LAMINA_UNROLL
    for (int i = 0; i < 2; ++i)
      LAMINA_UNROLL
      for (int j = 0; j < wide; ++j)
        LAMINA_UNROLL
        for (int e = 0; e < 4; ++e) sum[i][j][e] += o.sum[i][j][e];
  }
  LAMINA_DEVICE static T* at(int stage, int bytes) { return reinterpret_cast<T*>(shared_memory() + stage % stages * stage_bytes + bytes); }
  LAMINA_DEVICE static First first(int stage) { return {at(stage, 0)}; }
  LAMINA_DEVICE static Second second(int stage) { return {at(stage, First::bytes)}; }
  LAMINA_DEVICE static Mask mask(int stage) { return {at(stage, First::bytes + Second::bytes)}; }
  LAMINA_DEVICE static int first_row() { return thread_index() / 64 * 32; }
  LAMINA_DEVICE static int first_column() { return thread_index() / 32 % 2 * (Columns / 2); }
  LAMINA_DEVICE static int row(int i, int e) { return first_row() + i * 16 + e / 2 * 8 + thread_index() % 32 / 4; }
  LAMINA_DEVICE static int column(int j) { return first_column() + j * 8 + thread_index() % 4 * 2; }

  template <class F> LAMINA_DEVICE void each(F f) {           // f(two neighbouring sums, row, column)
    LAMINA_UNROLL
    for (int i = 0; i < 2; ++i)
      LAMINA_UNROLL
      for (int e = 0; e < 4; e += 2)
        LAMINA_UNROLL
        for (int j = 0; j < wide; ++j) f(sum[i][j][e], sum[i][j][e + 1], row(i, e), column(j));
  }
  LAMINA_DEVICE void clear() { each([](float& left, float& right, int, int) { left = right = 0; }); }

  /// 16 rows and a step of k, or for B 16 columns and a step of k.
  LAMINA_DEVICE static void load_first(unsigned (&a)[4], First s, int i, int k) {
    const int r = first_row() + i * 16;
    if constexpr (A == Rowed::along) left_along(a, s, r, k / in_chunk<T>);
    else left_across<T>(a, s, r, [k](int term) { return k + term; });
  }
  LAMINA_DEVICE static void load_second(unsigned (&b)[4], Second s, int j, int k) {
    const int c = first_column() + j * 8;
    if constexpr (B == Rowed::along) right_along(b, s, c, k / in_chunk<T>);
    else right_across<T>(b, s, c, [k](int term) { return k + term; });
  }

  /// begin(step) begins the copies of a step into its tiles, and done() is called behind each `step` of k. In the end the tiles are free.
  template <class Begin> LAMINA_DEVICE void run(int steps, Begin begin) { run(steps, begin, [] {}); }
  template <class Begin, class Done> LAMINA_DEVICE void run(int steps, const Begin& begin, const Done& done) {
    for (int s = 0; s < stages - 1; ++s) {
      if (s < steps) begin(s);
      copy_commit();
    }
    LAMINA_NO_UNROLL
    for (int s = 0; s < steps; ++s) {
      copy_wait<stages - 2>();
      sync_block();
      if (s + stages - 1 < steps) begin(s + stages - 1);
      copy_commit();
      LAMINA_UNROLL
      for (int k = 0; k < depth; k += step) {
        unsigned a[2][4], b[wide / 2][4], y[4];
        LAMINA_UNROLL
        for (int i = 0; i < 2; ++i) {
          load_first(a[i], first(s), i, k);
          if constexpr (M == Masked::first) load_first(y, mask(s), i, k), only_flowing<T>(a[i], y);
        }
        LAMINA_UNROLL
        for (int j = 0; j < wide / 2; ++j) {
          load_second(b[j], second(s), j * 2, k);
          if constexpr (M == Masked::second) load_second(y, mask(s), j * 2, k), only_flowing<T>(b[j], y);
        }
        LAMINA_UNROLL
        for (int i = 0; i < 2; ++i)
          LAMINA_UNROLL
          for (int j = 0; j < wide; ++j) multiply_add_of<T>(sum[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
        done();
      }
    }
    copy_wait<0>();
    sync_block();
  }

  /// The sums over the samples of a batch: those of the shares, added as a tree. begin(step, samples) is told of the samples with each r-th of the `depth` rows.
  template <class Begin> LAMINA_DEVICE void run_shares(const ShareSteps& of, const Begin& begin) {
    ShareTree<Product> tree;
    int left = of.each;
    clear();
    run((of.count() * step + depth - 1) / depth, [&](int stage) {
      begin(stage, [&](int r, int i) {
        const Slabs::Range samples = of.samples(int(unsigned(stage * depth + r + i) / step), step);
        return SampleOf{samples.begin + int(unsigned(r + i) % step), samples.end};
      });
    }, [&] {
      if (--left > 0 || tree.count == of.shares.shares) return;
      left = of.each;
      tree.add(*this);
      clear();
    });
    *this = tree.sum();
  }

  /// The sums, rounded, to (row, column) of `to` (rows, columns), by way of shared memory: whole rows leave.
  LAMINA_DEVICE void write(T* to, int rows, int columns, int at_row, int at_column) {
    const Out tile{at(0, 0)};
    each([&](float left, float right, int r, int c) { store_two(tile.number(r, c), left, right); });
    sync_block();
    LAMINA_UNROLL
    for (int i = 0; i < Out::rows * Out::chunks / threads; ++i) {
      const int chunk = i * threads + thread_index(), r = chunk / Out::chunks, c = chunk % Out::chunks;
      if (at_row + r < rows && at_column + c * in_chunk<T> < columns)
        store(reinterpret_cast<Vec4*>(to + Index(at_row + r) * columns + at_column + c * in_chunk<T>), load(reinterpret_cast<const Vec4*>(tile.chunk(r, c))));
    }
  }
};

struct alignas(8) TwoFloats { float left, right; };

/// y = x w + b within bounds, or parts (slices, N, O) of x w without b: slice z sums `steps` times P::depth of the inputs. grid: (tiles of outputs, tiles of samples, slices)
template <TensorNumber T, int Columns> struct DenseForward {
  using P = Product<T, Rowed::along, Rowed::across, Masked::none, Columns>;
  static constexpr int threads = P::threads, shared_bytes = P::shared_bytes, blocks = sizeof(T) == 4 ? 4 : 0;      // tf32: nvcc 13 wants seven on sm_100, and spills

  LAMINA_DEVICE static void run(int n, int c, int o, int steps,
                                const T* x, const T* w, const float* b,   // (N, C), (C, O), (O) or null
                                Bounds<float> bounds, T* y, float* parts) {  // (N, O), null where parts are made
    const auto block = block_index();
    const int i0 = block.y * P::side, o0 = block.x * Columns, c0 = block.z * steps * P::depth, left = (c - c0 + P::depth - 1) / P::depth;
    P p;
    p.clear();
    p.run(left < steps ? left : steps, [&](int step) {
      P::first(step).template copy<threads>({x, n, c}, i0, c0 + step * P::depth);
      P::second(step).template copy<threads>({w, c, o}, c0 + step * P::depth, o0);
    });
    if (y) {
      p.each([&](float& left_sum, float& right_sum, int, int column) {
        const bool add = b && o0 + column < o;
        left_sum = bounds(add ? left_sum + load(b + o0 + column) : left_sum);
        right_sum = bounds(add ? right_sum + load(b + o0 + column + 1) : right_sum);
      });
      p.write(y, n, o, i0, o0);
    } else {
      p.each([&](float left_sum, float right_sum, int row, int column) {
        if (i0 + row < n && o0 + column < o) store(reinterpret_cast<TwoFloats*>(parts + (Index(block.z) * n + i0 + row) * o + o0 + column), TwoFloats{left_sum, right_sum});
      });
    }
  }
};

/// dx = dy w^T, dw += x^T dy, db += the sums of dy over the samples, or dw and db = them; with Relu, dy only where y > 0. grid: blocks of dx, then of dw, then of db
template <TensorNumber T, bool Relu> struct DenseBackward {
  using X = Product<T, Rowed::along, Rowed::along, Relu ? Masked::first : Masked::none>;
  static constexpr int columns = 32;         // of dw: the sums that the tree over the shares keeps open are registers
  using W = Product<T, Rowed::across, Rowed::across, Relu ? Masked::second : Masked::none, columns>;
  static constexpr int threads = X::threads, shared_bytes = X::shared_bytes, side = X::side, depth = X::depth;
  static_assert(W::shared_bytes <= shared_bytes);
  struct Tiles { int samples, inputs, outputs; bool x; };

  LAMINA_DEVICE static void run(int n, int c, int o, Tiles tiles,
                                const T* x, const T* w,     // (N, C), (C, O)
                                const T* dy, const T* y,    // (N, O)
                                T* dx, float* dw, float* db, bool writes,   // (N, C); (C, O), (O) or null
                                ShareSteps batch) {
    int block = block_index().x;
    const int of_x = tiles.x ? tiles.samples * tiles.inputs : 0, of_w = tiles.outputs * tiles.inputs;
    if (block < of_x) return input_gradient(n, c, o, block % tiles.samples * side, block / tiles.samples * side, w, dy, y, dx);
    block -= of_x;
    if (block < of_w) return weight_gradient(n, c, o, block / tiles.outputs * side, block % tiles.outputs * columns, x, dy, y, dw, writes, batch);
    bias_gradient(o, (block - of_w) * side, dy, y, db, writes, batch.shares);
  }

 private:
  LAMINA_DEVICE static void input_gradient(int n, int c, int o, int i0, int c0, const T* w, const T* dy, const T* y, T* dx) {
    X p;
    p.clear();
    p.run((o + depth - 1) / depth, [&](int step) {
      X::first(step).template copy<threads>({dy, n, o}, i0, step * depth);
      X::second(step).template copy<threads>({w, c, o}, c0, step * depth);
      if constexpr (Relu) X::mask(step).template copy<threads>({y, n, o}, i0, step * depth);
    });
    p.write(dx, n, c, i0, c0);
  }
  LAMINA_DEVICE static void weight_gradient(int n, int c, int o, int c0, int o0, const T* x, const T* dy, const T* y, float* dw, bool writes, const ShareSteps& batch) {
    W p;
    multiply(p, n, c, o, c0, o0, x, dy, y, batch);
    p.each([&](float left, float right, int row, int column) {
      if (c0 + row >= c || o0 + column >= o) return;
      auto* const at = reinterpret_cast<TwoFloats*>(dw + Index(c0 + row) * o + o0 + column);
      const TwoFloats before = writes ? TwoFloats{0, 0} : load(at);
      store(at, TwoFloats{before.left + left, before.right + right});
    });
  }

 public:
  /// p = x^T dy of a tile.
  LAMINA_DEVICE static void multiply(W& p, int n, int c, int o, int c0, int o0, const T* x, const T* dy, const T* y, const ShareSteps& batch) {
    p.run_shares(batch, [&](int stage, const auto& samples) {
      W::first(stage).template copy_rows<threads>({x, n, c}, c0, samples);
      W::second(stage).template copy_rows<threads>({dy, n, o}, o0, samples);
      if constexpr (Relu) W::mask(stage).template copy_rows<threads>({y, n, o}, o0, samples);
    });
  }
  /// 64 outputs: a thread adds a chunk of outputs of every second sample of a share, or of each.
  LAMINA_DEVICE static void bias_gradient(int o, int o0, const T* dy, const T* y, float* db, bool writes, const Slabs& cut) {
    constexpr int each = in_chunk<T>, chunks = side / each, rows = threads / chunks, of_share = rows / int(lamina::shares);
    const int first = thread_index() / chunks, chunk = thread_index() % chunks, share = first / of_share;
    float* const sums = reinterpret_cast<float*>(shared_memory());   // (rows, 64)
    float sum[each] = {};
    if (o0 + chunk * each < o && share < cut.shares) {
      for (int i = cut.begin(share) + first % of_share; i < cut.begin(share + 1); i += of_share) {
        const Index at = Index(i) * o + o0 + chunk * each;
        Vec4 d = load(reinterpret_cast<const Vec4*>(dy + at));
        if constexpr (Relu) {
          const Vec4 v = load(reinterpret_cast<const Vec4*>(y + at));
          d = {flowing<T>(d.x, v.x), flowing<T>(d.y, v.y), flowing<T>(d.z, v.z), flowing<T>(d.w, v.w)};
        }
        const unsigned words[4] = {d.x, d.y, d.z, d.w};
        LAMINA_UNROLL
        for (int e = 0; e < each; ++e) sum[e] += number_of<T>(words, e);
      }
    }
    LAMINA_UNROLL
    for (int e = 0; e < each; ++e) store(sums + first * side + chunk * each + e, sum[e]);
    sync_block();
    const int column = thread_index();
    if (column >= side || o0 + column >= o) return;
    float of[lamina::shares];
    LAMINA_UNROLL
    for (int s = 0; s < int(lamina::shares); ++s) {
      of[s] = load(sums + s * of_share * side + column);
      LAMINA_UNROLL
      for (int r = 1; r < of_share; ++r) of[s] += load(sums + (s * of_share + r) * side + column);
    }
    store(db + o0 + column, (writes ? 0.f : load(db + o0 + column)) + tree_sum_at<shares>(of));
  }
};

}  // namespace lamina::kernels::inline LAMINA_SIMT
