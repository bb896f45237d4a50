/// Which steps a GPU has kernels for, and which kernel runs which shape.
#pragma once
#include "conv_relu_pool_ways.hpp"
#include "kernel.hpp"

namespace lamina {

struct CudaRules {
  static constexpr bool runs_kernels = true;
  /// Sums over a batch are planned for so many multiprocessors, those of the largest GPUs, whatever GPU it is: they have the same order on all.
  static constexpr int multiprocessors = 132;

  template <class T> static constexpr bool fuses(ConvReluPool k) { return k.groups == 1 && k.pool.pad == 0 && k.pool.stride >= k.pool.k && k.pool.k <= 15; }
  /// 0: any shape. Above: 3x3 convolutions in bf16 that end in 2x2 pooling, on tensor cores (conv_relu_pool_ways.hpp).
  template <class T> static constexpr int ways(ConvReluPool) { return std::is_same_v<T, bf16> ? detail::PooledWay::end : 1; }
  template <class T> static constexpr int way(ConvReluPool k, Shape in, Shape mid) { return std::is_same_v<T, bf16> ? detail::pooled_way(k, in, mid) : 0; }

  template <class T> static constexpr bool fuses(AddRelu) { return true; }
  template <class T> static constexpr bool fuses(DenseRelu) { return true; }
  template <class T> static constexpr bool fuses(NormClamp) { return true; }
  template <class T> static constexpr bool fuses(NormReluPool k) { return k.pool.pad == 0 && k.pool.stride >= k.pool.k; }

  /// 0: any shape. 1: few outputs. 2: many weights. 3: bf16 on tensor cores.
  template <class T> static constexpr int ways(DenseSpec) { return std::is_same_v<T, bf16> ? 4 : 3; }
  template <class T> static constexpr int way(DenseSpec, Shape in, Shape out) {
    const bool tensor = std::is_same_v<T, bf16> && in.c % 8 == 0 && out.c % 8 == 0, few = tensor ? out.c <= 16 && in.c <= 2048 : out.c <= 32;
    return few ? 1 : tensor ? 3 : Index(in.c) * out.c >= 8192 ? 2 : 0;
  }

  /// 0: any shape. 1: every channel by itself. In bf16 on tensor cores: 2, channels and filters in multiples of 8; 3, few channels.
  template <class T> static constexpr int ways(ConvSpec) { return sizeof(T) == 2 ? 4 : 2; }
  template <class T> static constexpr int way(ConvSpec c, Shape in, Shape out) {
    if (c.groups == in.c && out.c == in.c) return 1;
    if (sizeof(T) != 2 || c.groups > 1 || out.c % 8) return 0;
    return in.c % 8 == 0 ? 2 : 3;
  }
};

}  // namespace lamina
