/// What tensor cores multiply, bf16 or tf32: how rows of them lie in shared memory, and how they come from there to the lanes. An instruction sums two chunks of 16 bytes of each row:
/// 16 terms of the one type, 8 of the other.
#pragma once
#include "kernel.hpp"
#include "words.hpp"

namespace lamina::kernels::inline LAMINA_SIMT {

using namespace simt;

/// Numbers of a chunk of 16 bytes.
template <class T> inline constexpr int in_chunk = 16 / int(sizeof(T));
/// 1, as it lies in memory.
template <TensorNumber T> inline constexpr unsigned one = std::is_same_v<T, bf16> ? 0x3F80 : 0x3F800000;

/// How a factor lies in memory and in its panel: rows along the side that is summed over, or rows across it.
enum class Rowed { along, across };

/// Rows of `Width` numbers in shared memory. Of chunks of 16 bytes ldmatrix reads one each of 8 neighbouring rows at a time; so that those lie in different banks, chunk i of a row lies at i ^ key.
/// No ldmatrix turns numbers of 4 bytes: of rows across, lanes read eight neighbours each of four rows, two chunks, and those lie in different banks.
template <class T, int Width, Rowed R> struct Panel {
  static constexpr int chunks = Width / in_chunk<T>, keys = chunks < 8 ? chunks : 8, rows_per_key = 8 / keys;
  static constexpr bool by_numbers = R == Rowed::across && sizeof(T) == 4;
  static constexpr int bytes(int rows) { return rows * Width * int(sizeof(T)); }
  static_assert((chunks == 4 && !by_numbers) || chunks % 8 == 0);

  T* data;
  LAMINA_DEVICE T* chunk(int row, int i) const { return data + (row * chunks + (i ^ (by_numbers ? row * 2 % 8 : row / rows_per_key % keys))) * in_chunk<T>; }
  LAMINA_DEVICE T* number(int row, int i) const { return chunk(row, i / in_chunk<T>) + i % in_chunk<T>; }
};

LAMINA_DEVICE unsigned word(const void* p) { return load(static_cast<const unsigned*>(p)); }

/// 16 rows of the first factor from `row` on, two chunks of terms from `chunk` on, of a panel along.
template <class P> LAMINA_DEVICE void left_along(unsigned (&a)[4], P panel, int row, int chunk) {
  const int lane = thread_index() % 32;
  load_matrices(a, panel.chunk(row + lane % 16, chunk + lane / 16));
}
/// 16 columns of the second factor.
template <class P> LAMINA_DEVICE void right_along(unsigned (&b)[4], P panel, int column, int chunk) {
  const int lane = thread_index() % 32;
  load_matrices(b, panel.chunk(column + lane / 16 * 8 + lane % 8, chunk + lane / 8 % 2));
}
/// The same of panels across: term k lies in row of_term(k), and rows and columns of the factors, from the `first` on, lie in it side by side.
template <class T, class P, class Row> LAMINA_DEVICE void left_across(unsigned (&a)[4], P panel, int first, const Row& of_term) {
  const int lane = thread_index() % 32, g = lane / 4, t = lane % 4;
  if constexpr (sizeof(T) == 2) load_matrices_transposed(a, panel.chunk(of_term(lane / 16 * 8 + lane % 8), first / 8 + lane / 8 % 2));
  else
    LAMINA_UNROLL
    for (int r = 0; r < 4; ++r) a[r] = word(panel.number(of_term(t + r / 2 * 4), first + g + r % 2 * 8));
}
template <class T, class P, class Row> LAMINA_DEVICE void right_across(unsigned (&b)[4], P panel, int first, const Row& of_term) {
  const int lane = thread_index() % 32, g = lane / 4, t = lane % 4;
  if constexpr (sizeof(T) == 2) load_matrices_transposed(b, panel.chunk(of_term(lane % 16), first / 8 + lane / 16));
  else
    LAMINA_UNROLL
    for (int r = 0; r < 4; ++r) b[r] = word(panel.number(of_term(t + r % 2 * 4), first + g + r / 2 * 8));
}

/// d(16x8) += a b, of 16 or 8 terms.
template <TensorNumber T> LAMINA_DEVICE void multiply_add_of(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  if constexpr (std::is_same_v<T, bf16>) multiply_add(d, a, b0, b1);
  else multiply_add_tf32(d, a, b0, b1);
}

/// Two neighbouring sums, rounded to what is stored.
template <TensorNumber T> LAMINA_DEVICE void store_two(T* to, float left, float right) {
  if constexpr (std::is_same_v<T, bf16>) store(reinterpret_cast<unsigned*>(to), pack_bf16(left, right));
  else store(reinterpret_cast<Vec2*>(to), Vec2{tf32(left).bits, tf32(right).bits});
}

/// Number e of those that lie in words.
template <TensorNumber T, int N> LAMINA_DEVICE float number_of(const unsigned (&words)[N], int e) {
  if constexpr (std::is_same_v<T, bf16>) return from_bf16(uint16_t(words[e / 2] >> 16 * (e % 2)));
  else {
    tf32 v;
    v.bits = words[e];
    return v;
  }
}

}  // namespace lamina::kernels::inline LAMINA_SIMT
