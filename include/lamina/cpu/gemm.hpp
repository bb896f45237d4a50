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
/// Eigen's blocking, on memory that is already there: Eigen itself would allocate in every product.
template <class T> class GemmBlocking : public Eigen::internal::level3_blocking<T, T> {
 public:
  GemmBlocking(Index m, Index n, Index k, std::byte* memory) {
    Index kc = k, mc = n, nc = m;                         // the row-major product is the column-major one of the transposes
    Eigen::internal::computeProductBlockingSizes<T, T, 1>(kc, mc, nc, Index(1));
    this->m_mc = mc, this->m_nc = nc, this->m_kc = kc;
    this->m_blockA = reinterpret_cast<T*>(memory);
    this->m_blockB = reinterpret_cast<T*>(memory + whole_lines(mc * kc * Index(sizeof(T))));
  }
  Index bytes() const { return whole_lines(this->m_mc * this->m_kc * Index(sizeof(T))) + whole_lines(this->m_nc * this->m_kc * Index(sizeof(T))); }
};
}  // namespace detail

/// Bytes of memory a product of this size asks for.
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
