/// What a device that runs kernels is to the verbs beside this file. A kernel is an empty type with
///   static constexpr int threads, shared_bytes;           of a block
///   LAMINA_DEVICE static void run(arguments...);          written in the words of words.hpp, by every lane
/// and a verb launches it: dev.template launch<Kernel>(Grid{...}, arguments...). Verbs never wait; what they launch runs in the order in which they do.
#pragma once
#include <type_traits>

#include "../core/device.hpp"
#include "../core/precision.hpp"

namespace lamina {

/// Blocks of a launch.
struct Grid { int x = 1, y = 1, z = 1; };

/// Cuda, and in the tests of the library its emulator.
template <class D> concept RunsKernels = Device<D> && requires { requires D::runs_kernels; };

/// What tensor cores multiply.
template <class T> concept TensorNumber = std::is_same_v<T, bf16> || std::is_same_v<T, tf32>;

/// Bytes that an arena has at least, once it is reserved: for what works without a model. So it need not grow, and move, for that.
inline constexpr std::size_t least_arena = 2048;

/// n / each, rounded up.
constexpr Index pieces(Index n, Index each) { return (n + each - 1) / each; }

namespace detail {
/// A functor that can take so many neighbours at once.
template <class F> concept TakesSeveral = requires(const F f) { f.several(Index(F::together)); };
/// All of [0, n), as many at a time; a functor of a lane.
template <class F> struct Several {
  F f; Index n;
  LAMINA_HD void operator()(Index lane) const {
    Index i = lane * F::together;
    if (i + F::together <= n) f.several(i);
    else for (; i < n; ++i) f(i);
  }
};
}  // namespace detail

/// f(i) for i in [0, n), in any order and at the same time.
template <RunsKernels D, class F> void parallel_for(D& dev, Index n, F f) {
  if constexpr (detail::TakesSeveral<F>) dev.for_each(pieces(n, F::together), detail::Several<F>{f, n});
  else dev.for_each(n, f);
}

}  // namespace lamina
