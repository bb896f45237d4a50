/// The words that kernels are written in, on a GPU (sm_80 and up): one line of CUDA or PTX each.
#pragma once
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#define LAMINA_SIMT gpu
#define LAMINA_DEVICE __device__ __forceinline__
#define LAMINA_UNROLL _Pragma("unroll")
#define LAMINA_NO_UNROLL _Pragma("unroll 1")

namespace lamina::simt::inline gpu {

using Vec2 = uint2;
using Vec4 = uint4;
struct Place { int x, y, z; };

/// Known not to be negative: quotients and remainders are then shifts.
LAMINA_DEVICE int thread_index() {
  const int i = threadIdx.x;
  __builtin_assume(i >= 0 && i < 1024);
  return i;
}
LAMINA_DEVICE Place block_index() { return {int(blockIdx.x), int(blockIdx.y), int(blockIdx.z)}; }
LAMINA_DEVICE Place grid_size() { return {int(gridDim.x), int(gridDim.y), int(gridDim.z)}; }
LAMINA_DEVICE unsigned char* shared_memory() {
  extern __shared__ __align__(128) unsigned char bytes[];
  return bytes;
}

template <class T> LAMINA_DEVICE T load(const T* p) { return *p; }
template <class T> LAMINA_DEVICE void store(T* p, std::type_identity_t<T> value) { *p = value; }
/// The number before. Whole numbers of 4 or 8 bytes only: sums of others would depend on the order.
template <class T> LAMINA_DEVICE T atomic_add(T* p, std::type_identity_t<T> value) {
  static_assert(std::is_integral_v<T> && (sizeof(T) == 4 || sizeof(T) == 8));
  using Bits = std::conditional_t<sizeof(T) == 4, unsigned, unsigned long long>;
  return T(atomicAdd(reinterpret_cast<Bits*>(p), Bits(value)));
}

LAMINA_DEVICE void sync_block() { __syncthreads(); }
LAMINA_DEVICE void sync_warp() { __syncwarp(); }
template <class T> LAMINA_DEVICE T shuffle_xor(T v, int mask) { return __shfl_xor_sync(~0u, v, mask); }
template <class T> LAMINA_DEVICE T shuffle_down(T v, int delta) { return __shfl_down_sync(~0u, v, delta); }
template <class T> LAMINA_DEVICE T shuffle_up(T v, int delta) { return __shfl_up_sync(~0u, v, delta); }
template <class T> LAMINA_DEVICE T shuffle(T v, int lane) { return __shfl_sync(~0u, v, lane); }
LAMINA_DEVICE unsigned ballot(bool v) { return __ballot_sync(~0u, v); }
LAMINA_DEVICE bool any(bool v) { return __any_sync(~0u, v); }
LAMINA_DEVICE bool all(bool v) { return __all_sync(~0u, v); }

LAMINA_DEVICE unsigned shared_address(const void* p) { return unsigned(__cvta_generic_to_shared(p)); }

/// 16 bytes from global to shared memory, there when waited for; zeros, and `from` not read, where `inside` is false.
LAMINA_DEVICE void copy_async(void* to, const void* from, bool inside) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(inside ? 16 : 0) : "memory");
}
/// The same by way of the first cache: of what lanes of this multiprocessor copy again soon.
LAMINA_DEVICE void copy_async_again(void* to, const void* from, bool inside) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(inside ? 16 : 0) : "memory");
}
LAMINA_DEVICE void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Waits until at most `Pending` of this lane's latest groups are under way; a sync_block() makes the copies seen by other lanes.
template <int Pending> LAMINA_DEVICE void copy_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory"); }

/// One, two or four 8x8 matrices of 2-byte elements; lane l < 8N gives the address of row l%8 of matrix l/8, 16 bytes, and gets elements (l/4, 2*(l%4) + {0, 1}) of each.
/// Of rows of four 4-byte elements it gets (l/4, l%4).
template <int N> LAMINA_DEVICE void load_matrices(unsigned (&m)[N], const void* row) {
  static_assert(N == 1 || N == 2 || N == 4);
  if constexpr (N == 1) asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(m[0]) : "r"(shared_address(row)) : "memory");
  else if constexpr (N == 2) asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];" : "=r"(m[0]), "=r"(m[1]) : "r"(shared_address(row)) : "memory");
  else asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                    : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3]) : "r"(shared_address(row)) : "memory");
}
/// The same, each matrix transposed on the way.
template <int N> LAMINA_DEVICE void load_matrices_transposed(unsigned (&m)[N], const void* row) {
  static_assert(N == 1 || N == 2 || N == 4);
  if constexpr (N == 1) asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];" : "=r"(m[0]) : "r"(shared_address(row)) : "memory");
  else if constexpr (N == 2) asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];" : "=r"(m[0]), "=r"(m[1]) : "r"(shared_address(row)) : "memory");
  else asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                    : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3]) : "r"(shared_address(row)) : "memory");
}
/// d(16x8) += a(16x16) b(16x8), bf16 in, float sums: mma.sync m16n8k16.
LAMINA_DEVICE void multiply_add(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
/// d(16x8) += a(16x8) b(8x8), words of to_tf32() in, float sums: mma.sync m16n8k8. load_matrices() of rows of floats gives a and, of b's columns, b.
LAMINA_DEVICE void multiply_add_tf32(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

LAMINA_DEVICE float from_bf16(uint16_t bits) { return __uint_as_float(unsigned(bits) << 16); }
LAMINA_DEVICE uint16_t to_bf16(float v) { return __bfloat16_as_ushort(__float2bfloat16_rn(v)); }
LAMINA_DEVICE unsigned pack_bf16(float low, float high) {
  __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return reinterpret_cast<unsigned&>(pair);
}
/// A float of ten bits of fraction, rounded to the nearest, ties away from zero. Of other floats multiply_add_tf32 drops the lower bits.
LAMINA_DEVICE unsigned to_tf32(float v) {
  unsigned word;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(word) : "f"(v));
  return word;
}

/// a b + c, rounded once.
LAMINA_DEVICE float fma(float a, float b, float c) { return __fmaf_rn(a, b, c); }
LAMINA_DEVICE double fma(double a, double b, double c) { return __fma_rn(a, b, c); }

}  // namespace lamina::simt::inline gpu
