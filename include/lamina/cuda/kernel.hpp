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

/// Bytes that an arena has at least, once it is reserved: for what works without a model. So it need not grow, and move, for that.
inline constexpr std::size_t least_arena = 2048;

/// n / each, rounded up.
constexpr Index pieces(Index n, Index each) { return (n + each - 1) / each; }

/// f(i) for i in [0, n), in any order and at the same time.
template <RunsKernels D, class F> void parallel_for(D& dev, Index n, F f) { dev.for_each(n, f); }

}  // namespace lamina
