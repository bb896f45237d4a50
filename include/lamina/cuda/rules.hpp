/// Which steps a GPU has kernels for, and which kernel runs which shape.
#pragma once
#include "kernel.hpp"

namespace lamina {

struct CudaRules {
  static constexpr bool runs_kernels = true;

  template <class T> static constexpr bool fuses(ConvReluPool k) { return k.groups == 1 && k.pool.pad == 0 && k.pool.stride >= k.pool.k && k.pool.k <= 15; }
  template <class T> static constexpr bool fuses(AddRelu) { return true; }
  template <class T> static constexpr bool fuses(NormClamp) { return true; }
  template <class T> static constexpr bool fuses(NormReluPool k) { return k.pool.pad == 0 && k.pool.stride >= k.pool.k; }
};

}  // namespace lamina
