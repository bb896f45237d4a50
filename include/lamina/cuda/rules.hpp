/// Which steps a GPU has kernels for, and which kernel runs which shape.
#pragma once
#include "conv_relu_pool_ways.hpp"
#include "conv_taps_ways.hpp"
#include "kernel.hpp"

namespace lamina {

struct CudaRules {
  static constexpr bool runs_kernels = true, changes_pictures = true;
  /// Sums over a batch are planned for so many multiprocessors, those of the largest GPUs, whatever GPU it is: they have the same order on all.
  static constexpr int multiprocessors = 132;
  /// Samples are a dimension of some launches, and pixels are counted in 32 bits.
  static constexpr Index most_samples = 65535, most_pixels = 0x7FFFFFFF;
  /// Of several kernels that give the same bits (tuning.hpp) all are compiled, and each work has the quickest; else there is but the first of each.
  static constexpr bool races = true;
  /// Verbs write the gradients of parameters, where they would add to them: dw =, db =.
  bool writes_gradients = false;
  Replica replica;                             // of this copy

  template <class T> static constexpr bool fuses(ConvReluPool k) { return k.groups == 1 && k.pool.pad == 0 && k.pool.stride >= k.pool.k && k.pool.k <= 15; }
  /// 0: any shape. Above, in bf16 and tf32: 3x3 convolutions that end in 2x2 pooling, on tensor cores (conv_relu_pool_ways.hpp). Many weights and 2x2 pooling: 1, and in tf32 a number that those left.
  template <class T> static constexpr int ways(ConvReluPool) { return TensorNumber<T> ? detail::PooledWay::end : 2; }
  template <class T> static constexpr int way(ConvReluPool k, Shape in, Shape mid) {
    if (const int pooled = TensorNumber<T> ? detail::pooled_way(k, in, mid) : 0; std::is_same_v<T, bf16> || pooled > 0) return pooled;
    return k.groups == 1 && k.pool.k == 2 && many_weights(k.conv, in, mid) ? detail::tiled_way<T> : 0;
  }

  template <class T> static constexpr int chunk = 16 / int(sizeof(T));       // channels that move at once

  template <class T> static constexpr bool fuses(ConvClamp) { return true; }
  template <class T> static constexpr bool fuses(AddRelu) { return true; }
  template <class T> static constexpr bool fuses(DenseRelu) { return true; }
  template <class T> static constexpr bool fuses(NormClamp) { return true; }
  template <class T> static constexpr bool fuses(NormAddRelu) { return true; }
  template <class T> static constexpr bool fuses(NormReluPool k) { return k.pool.pad == 0 && k.pool.stride >= k.pool.k; }

  /// 0: any shape. 1: few outputs. 2: many weights. 3: on tensor cores.
  template <class T> static constexpr int ways(DenseSpec) { return TensorNumber<T> ? 4 : 3; }
  template <class T> static constexpr int way(DenseSpec, Shape in, Shape out) {
    const bool tensor = TensorNumber<T> && in.c % chunk<T> == 0 && out.c % chunk<T> == 0, few = tensor ? out.c <= 16 && in.c <= 2048 : out.c <= 32;
    return few ? 1 : tensor ? 3 : Index(in.c) * out.c >= 8192 ? 2 : 0;
  }

  /// Whether dense_update does what an optimizer would with the gradient of this way.
  template <class T, int W> static constexpr bool updates(DenseSpec, Way<W>) { return TensorNumber<T> && W == 3; }

  static constexpr bool many_weights(Window v, Shape in, Shape out) { return Index(v.k) * v.k * in.c * out.c >= 512; }
  /// 0: any shape. 1: every channel by itself. 2: many weights. On tensor cores: 3, channels and filters in chunks; 4, few channels; above, in bf16, 3x3 of stride 1 (conv_taps_ways.hpp).
  template <class T> static constexpr int ways(ConvSpec) { return std::is_same_v<T, bf16> ? detail::TapsWay::end : TensorNumber<T> ? detail::TapsWay::first : 3; }
  template <class T> static constexpr int way(ConvSpec c, Shape in, Shape out) {
    if (c.groups > 1) return c.groups == in.c && out.c == in.c;
    if (const int taps = std::is_same_v<T, bf16> ? detail::taps_way(c, in, out) : 0) return taps;
    if (TensorNumber<T> && out.c % chunk<T> == 0) return in.c % chunk<T> == 0 ? 3 : 4;
    return many_weights(c.window, in, out) ? 2 : 0;
  }
};

}  // namespace lamina
