/// What tensor cores multiply, bf16 or tf32: how they lie in shared memory, and how they come from there to the lanes. An instruction sums two chunks of 16 bytes of each row:
/// 16 terms of the one type, 8 of the other.
#pragma once
#include "kernel.hpp"
#include "words.hpp"

namespace lamina::kernels::inline LAMINA_SIMT {

using namespace simt;

template <bool Wide> using NumberOf = std::conditional_t<Wide, tf32, bf16>;
/// Numbers of a chunk of 16 bytes.
template <class T> inline constexpr int in_chunk = 16 / int(sizeof(T));
/// 1, as it lies in memory.
template <TensorNumber T> inline constexpr unsigned one = std::is_same_v<T, bf16> ? 0x3F80 : 0x3F800000;

/// How a factor lies in memory and in shared memory: rows along the side that is summed over, or rows across it.
enum class Rowed { along, across };

/// Rows of `Width` numbers in shared memory. Of chunks of 16 bytes ldmatrix reads one each of 8 rows at a time, neighbours or, `Stride` 2, every other one; plain rows would put those into the
/// same banks, so chunk i of a row lies at i ^ key, where the 8 rows cover all 32 banks. Every other row of less than 128 bytes: the chunks of whole lines of 128 are mixed.
/// No ldmatrix turns numbers of 4 bytes: of rows across, lanes read eight neighbours each of four rows, and so chunks move by two.
template <class T, int Width, Rowed R = Rowed::along, int Stride = 1> struct Rows {
  static constexpr int chunks = Width / in_chunk<T>, moved = R == Rowed::across && sizeof(T) == 4 ? 2 : 1;      // chunks that stay side by side
  static constexpr int units = chunks / moved, places = 8 / moved;                                             // of a row, of a line of 128 bytes
  static constexpr int keys = (units & -units) < places ? (units & -units) : places;                           // a power of two that divides chunks: i ^ key stays in the row
  static constexpr int rows_per_key = units < places ? places / units : Stride;                                // rows that share one line
  static constexpr bool lines = Stride == 2 && chunks < 8;
  static constexpr int bytes(int rows) { return lines ? (rows * chunks * 16 + 127) / 128 * 128 : rows * chunks * 16; }
  static_assert(chunks % 2 == 0 && (Stride == 1 || (Stride == 2 && R == Rowed::along && (chunks < 8 ? 8 % chunks : chunks % 8) == 0)));

  T* data;
  LAMINA_DEVICE T* chunk(int row, int i) const {
    if constexpr (lines) return data + ((row * chunks + i) ^ (row / rows_per_key % (2 * chunks))) * in_chunk<T>;
    else return data + (row * chunks + (i ^ (row / rows_per_key % keys * moved))) * in_chunk<T>;
  }
  LAMINA_DEVICE T* number(int row, int i) const { return chunk(row, i / in_chunk<T>) + i % in_chunk<T>; }
};

LAMINA_DEVICE unsigned word(const void* p) { return load(static_cast<const unsigned*>(p)); }

/// 16 rows of the first factor from `row` on, two chunks of terms from `chunk` on, of rows along.
template <class R> LAMINA_DEVICE void left_along(unsigned (&a)[4], R rows, int row, int chunk) {
  const int lane = thread_index() % 32;
  load_matrices(a, rows.chunk(row + lane % 16, chunk + lane / 16));
}
/// 16 columns of the second factor.
template <class R> LAMINA_DEVICE void right_along(unsigned (&b)[4], R rows, int column, int chunk) {
  const int lane = thread_index() % 32;
  load_matrices(b, rows.chunk(column + lane / 16 * 8 + lane % 8, chunk + lane / 8 % 2));
}
/// The same of rows across: term k lies in row of_term(k), and in it the rows or columns of the factor, from the `first` on, side by side.
template <class T, class R, class Row> LAMINA_DEVICE void left_across(unsigned (&a)[4], R rows, int first, const Row& of_term) {
  const int lane = thread_index() % 32, g = lane / 4, t = lane % 4;
  if constexpr (sizeof(T) == 2) load_matrices_transposed(a, rows.chunk(of_term(lane / 16 * 8 + lane % 8), first / 8 + lane / 8 % 2));
  else
    LAMINA_UNROLL
    for (int r = 0; r < 4; ++r) a[r] = word(rows.number(of_term(t + r / 2 * 4), first + g + r % 2 * 8));
}
template <class T, class R, class Row> LAMINA_DEVICE void right_across(unsigned (&b)[4], R rows, int first, const Row& of_term) {
  const int lane = thread_index() % 32, g = lane / 4, t = lane % 4;
  if constexpr (sizeof(T) == 2) load_matrices_transposed(b, rows.chunk(of_term(lane % 16), first / 8 + lane / 16));
  else
    LAMINA_UNROLL
    for (int r = 0; r < 4; ++r) b[r] = word(rows.number(of_term(t + r % 2 * 4), first + g + r / 2 * 8));
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

/// Word i of lane t goes to word t of lane i, among the four lanes of a quad. A tensor-core result has two channels in each lane of a quad;
/// with four such words a lane gets eight channels of one pixel, and stores fill whole sectors.
LAMINA_DEVICE void transpose_quad(unsigned (&word)[4]) {
  LAMINA_UNROLL
  for (int step = 1; step < 4; step *= 2) {
    const bool high = thread_index() & step;
    LAMINA_UNROLL
    for (int i = 0; i < 4; ++i) {
      if (i & step) continue;
      const unsigned got = shuffle_xor(high ? word[i] : word[i + step], step);
      (high ? word[i] : word[i + step]) = got;
    }
  }
}

/// Stores Eights times eight channels of a pixel, rounded, of which the lanes of a quad have two each of every eight: sum(j, e) of the j-th eight. Whole sectors leave.
template <int Eights, TensorNumber T, class Sum> LAMINA_DEVICE void store_pixel(T* pixel, bool inside, const Sum& sum) {
  const int t = thread_index() % 4;
  LAMINA_UNROLL
  for (int j = 0; j < Eights; j += 4) {
    unsigned word[4] = {};
    LAMINA_UNROLL
    for (int i = 0; i < 4 && j + i < Eights; ++i) {
      if constexpr (std::is_same_v<T, bf16>) word[i] = pack_bf16(sum(j + i, 0), sum(j + i, 1));
      else if (inside) store_two(pixel + (j + i) * 8 + t * 2, sum(j + i, 0), sum(j + i, 1));
    }
    if constexpr (std::is_same_v<T, bf16>) {
      transpose_quad(word);
      if (inside && j + t < Eights) store(reinterpret_cast<Vec4*>(pixel + (j + t) * 8), Vec4{word[0], word[1], word[2], word[3]});
    }
  }
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
