/// What gradients of weights are made of: sums of products of two rows of numbers.
#pragma once
#include "../core/tree.hpp"
#include "simd.hpp"

namespace lamina::detail {

inline constexpr int outer_rows = simd::width == 16 ? 8 : 4, outer_vectors = 2;      // of sums that stay in registers

/// sum (N, V * width) += a(t) * b (V * width) in each row t: what every kernel that holds its sums in registers repeats.
template <int N, int V, class A> LAMINA_INLINE void add_scaled(simd::Floats (&sum)[N][V], const A& a, const float* b) {
  simd::Floats of_b[V];
#pragma GCC unroll 8
  for (int j = 0; j < V; ++j) of_b[j] = simd::load(b + j * simd::width);
#pragma GCC unroll 8
  for (int t = 0; t < N; ++t) {
    const simd::Floats of_a = simd::all(a(t));
#pragma GCC unroll 8
    for (int j = 0; j < V; ++j) sum[t][j] += of_a * of_b[j];
  }
}

/// So many rows, in each of so many lines, which begin so far apart.
struct Rows { Index count; int lines = 1; Index a_line = 0, b_line = 0; };
/// sum (outer_rows, V * width) = or += a (count, outer_rows)^T b (count, V * width); each has its rows so many numbers apart. a and b may be several such, lines of an image
/// for example. Before row t is added before(t) is called.
template <int V = outer_vectors, class Before> LAMINA_INLINE void add_outer(const float* a, Index a_row, const float* b, Index b_row, Rows rows, float* sum, Index sum_row, bool add, const Before& before) {
  simd::Floats s[outer_rows][V];
#pragma GCC unroll 8
  for (int i = 0; i < outer_rows; ++i)
    for (int j = 0; j < V; ++j) s[i][j] = add ? simd::load(sum + i * sum_row + j * simd::width) : simd::Floats{};
  for (int line = 0; line < rows.lines; ++line, a += rows.a_line - rows.count * a_row, b += rows.b_line - rows.count * b_row)
    for (Index t = 0; t < rows.count; ++t, a += a_row, b += b_row) before(t), add_scaled(s, [&](int i) LAMINA_INLINE_LAMBDA { return a[i]; }, b);
#pragma GCC unroll 8
  for (int i = 0; i < outer_rows; ++i)
    for (int j = 0; j < V; ++j) simd::store(sum + i * sum_row + j * simd::width, s[i][j]);
}
template <int V = outer_vectors> [[gnu::noinline]] void add_outer(const float* a, Index a_row, const float* b, Index b_row, Rows rows, float* sum, Index sum_row, bool add) {
  add_outer<V>(a, a_row, b, b_row, rows, sum, sum_row, add, [](Index) {});
}

/// The same of the rows of so many shares, of which share i has those from begin(i) on: those of each by themselves, and then as a tree.
template <int V = outer_vectors, class Begin, class Before>
LAMINA_INLINE void add_outer_shares(const float* a, Index a_row, const float* b, Index b_row, Index of_shares, const Begin& begin, float* sum, Index sum_row, bool add, const Before& before) {
  constexpr int row = V * simd::width;
  alignas(64) float parts[4][outer_rows * row];
  tree_sum_in_turn(of_shares, [&](Index share, Index place) LAMINA_INLINE_LAMBDA {
    const Index t0 = begin(share);
    add_outer<V>(a + t0 * a_row, a_row, b + t0 * b_row, b_row, {begin(share + 1) - t0}, parts[place], row, false, [&](Index t) LAMINA_INLINE_LAMBDA { before(t0 + t); });
  }, [&](Index to, Index from) LAMINA_INLINE_LAMBDA {
    for (int i = 0; i < outer_rows * row; i += simd::width) simd::store(parts[to] + i, simd::load(parts[to] + i) + simd::load(parts[from] + i));
  });
  for (int i = 0; i < outer_rows; ++i)
    for (int j = 0; j < row; j += simd::width) {
      const simd::Floats s = simd::load(parts[0] + i * row + j);
      simd::store(sum + i * sum_row + j, add ? simd::load(sum + i * sum_row + j) + s : s);
    }
}

}  // namespace lamina::detail
