/// Matrix products on one thread, by Eigen. This is the only file that includes it.
#pragma once
#if defined(EIGEN_CORE_H) && !defined(EIGEN_NO_CUDA) && defined(__CUDACC__)
#error "define EIGEN_NO_CUDA before Eigen is included: under nvcc Eigen 3.4 turns the host's vectors off, and the two halves of the program then disagree"
#endif
#ifndef EIGEN_NO_CUDA
#define EIGEN_NO_CUDA
#endif
#include <Eigen/Core>

#include "cpu.hpp"

namespace lamina {

/// How a factor lies in memory: row after row, or as the transpose of such a matrix.
enum class Lies { as_is, transposed };

namespace detail {
/// The blocks of a product, on memory that is already there: Eigen itself would allocate in every product. Its own choice of blocks follows the caches of the
/// machine, and with them would go the order of the sums; nor does it grow with the product, so that memory for a tile would not do for a part of one.
template <class T> class GemmBlocking : public Eigen::internal::level3_blocking<T, T> {
 public:
  GemmBlocking(Index m, Index n, Index k, std::byte* memory) {
    this->m_kc = k < 256 ? k : 256;
    this->m_mc = n < 480 ? n : 480;                       // the row-major product is the column-major one of the transposes
    this->m_nc = m < 768 ? m : 768;
    if (!memory) return;                                  // only its size is asked for
    this->m_blockA = reinterpret_cast<T*>(memory);
    this->m_blockB = reinterpret_cast<T*>(memory + whole_lines(this->m_mc * this->m_kc * Index(sizeof(T))));
  }
  Index bytes() const { return whole_lines(this->m_mc * this->m_kc * Index(sizeof(T))) + whole_lines(this->m_nc * this->m_kc * Index(sizeof(T))); }
};
}  // namespace detail

/// Bytes of memory a product of this size asks for; no smaller product asks for more.
template <class T> Index gemm_bytes(Index m, Index n, Index k) { return m && n && k ? detail::GemmBlocking<T>(m, n, k, nullptr).bytes() : 0; }

/// c (m, n) += a (m, k) b (k, n), all row-major, rows lda, ldb, ldc numbers apart. A transposed factor lies as (k, m) or as (n, k).
template <Lies A = Lies::as_is, Lies B = Lies::as_is, class T>
void gemm(Index m, Index n, Index k, const T* a, Index lda, const T* b, Index ldb, T* c, Index ldc, std::byte* memory) {
  if (!m || !n || !k) return;
  detail::GemmBlocking<T> blocking(m, n, k, memory);
  constexpr int left = B == Lies::as_is ? Eigen::ColMajor : Eigen::RowMajor, right = A == Lies::as_is ? Eigen::ColMajor : Eigen::RowMajor;
  Eigen::internal::general_matrix_matrix_product<Index, T, left, false, T, right, false, Eigen::ColMajor, 1>::run(n, m, k, b, ldb, a, lda, c, 1, ldc, T(1), blocking, nullptr);
}

}  // namespace lamina
