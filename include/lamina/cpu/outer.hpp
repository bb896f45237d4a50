/// What gradients of weights are made of: sums of products of two rows of numbers.
#pragma once
#include <algorithm>

#include "../core/tree.hpp"
#include "simd.hpp"

namespace lamina::detail {

inline constexpr int outer_rows = simd::width == 16 ? 8 : 4, outer_vectors = 2;      // of sums that stay in registers

/// sum (N, V * width) += a(t) * b (V * width) in each row t: what every kernel that holds its sums in registers repeats.
template <int N, int V, class A> LAMINA_INLINE void add_scaled(simd::Floats (&sum)[N][V], const A& a, const float* b) {
  simd::Floats of_b[V];
#pragma GCC unroll 8
  for (int j = 0; j < V; ++j) of_b[j] = simd::loaded(b + j * simd::width);
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

/// sum (R, V * width) = a (rows, R)^T b (rows, V * width) of so many shares, of which share i has the rows from begin(i) on: the sum of each by itself, and then as a tree, in registers.
/// Before the rows [from, end) of a share are added before(from, end) is called.
template <Index Of, int R, int V, class Begin, class Before>
LAMINA_INLINE void outer_shares(const float* a, Index a_row, const float* b, Index b_row, Index first, const Begin& begin, simd::Floats (&sum)[R][V], const Before& before) {
  if constexpr (Of == 1) {
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i)
      for (int j = 0; j < V; ++j) sum[i][j] = simd::Floats{};
    const Index from = begin(first), end = begin(first + 1);
    before(from, end);
    for (Index t = from; t < end; ++t) add_scaled(sum, [&](int i) LAMINA_INLINE_LAMBDA { return a[t * a_row + i]; }, b + t * b_row);
  } else {
    simd::Floats right[R][V];
    outer_shares<Of / 2>(a, a_row, b, b_row, first, begin, sum, before);
    outer_shares<Of / 2>(a, a_row, b, b_row, first + Of / 2, begin, right, before);
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i)
      for (int j = 0; j < V; ++j) sum[i][j] += right[i][j];
  }
}
/// sum (outer_rows, V * width) = or += that. Where it is not added, it is added to zero: a sum of -0 ends as it would there.
template <Index Of, int V = outer_vectors, class Begin, class Before>
LAMINA_INLINE void add_outer_shares(const float* a, Index a_row, const float* b, Index b_row, const Begin& begin, float* sum, Index sum_row, bool add, const Before& before) {
  constexpr int vectors = std::max(1, 8 / outer_rows);      // at a time: eight sums, which take all of the processor, of four branches stay in 32 registers
  static_assert(V % vectors == 0);
  const auto columns = [&](int first, const auto& before_rows) LAMINA_INLINE_LAMBDA {
    simd::Floats s[outer_rows][vectors];
    outer_shares<Of>(a, a_row, b + first, b_row, 0, begin, s, before_rows);
#pragma GCC unroll 8
    for (int i = 0; i < outer_rows; ++i)
      for (int j = 0; j < vectors; ++j) {
        float* const to = sum + i * sum_row + first + j * simd::width;
        simd::store(to, (add ? simd::load(to) : simd::Floats{}) + s[i][j]);
      }
  };
  columns(0, before);
  for (int j = vectors; j < V; j += vectors) columns(j * simd::width, [](Index, Index) {});
}

}  // namespace lamina::detail
