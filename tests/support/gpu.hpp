/// The device of tests of kernels: the emulator, or under nvcc a GPU. The same source is both programs; it includes this before other headers, since it gives the words of
/// kernels their meaning.
#pragma once
#if defined(__CUDACC__)
#include <lamina/cuda/cuda.hpp>

#include <memory>

namespace lamina_test {

/// A GPU that counts what is launched on it, and what it replays.
template <class Base> class Counted : public Base {
 public:
  struct Counters { long launches = 0, replays = 0, bank_conflicts = 0; };     // it does not tell of conflicts
  struct Machine { Counters counters; };

  /// The first of several kernels that give the same bits, as in the emulator.
  static constexpr bool races = false;

  /// A GPU draws the order of its blocks itself.
  explicit Counted(unsigned = 1) {}
  template <class Kernel, class... Arguments> void launch(lamina::Grid grid, Arguments... arguments) {
    ++counters().launches;
    Base::template launch<Kernel>(grid, arguments...);
  }
  template <class F> void for_each(lamina::Index n, F f) {
    counters().launches += n > 0;
    Base::for_each(n, f);
  }
  template <class Graph> void replay(Graph& graph) requires lamina::Records<Base> {
    ++counters().replays;
    Base::replay(graph);
  }
  Counted fork() requires lamina::Forks<Base> { return Counted(Base::fork(), machine_); }
  Counters& counters() const { return machine_->counters; }
  Machine& machine() const { return *machine_; }

 private:
  Counted(Base base, std::shared_ptr<Machine> machine) : Base(std::move(base)), machine_(std::move(machine)) {}
  std::shared_ptr<Machine> machine_ = std::make_shared<Machine>();
};
using Gpu = Counted<lamina::Cuda>;
static_assert(lamina::Records<Gpu> == lamina::Records<lamina::Cuda> && lamina::Forks<Gpu> == lamina::Forks<lamina::Cuda>);
inline constexpr bool emulates = false;

}  // namespace lamina_test
#else
#include "emulator/emulated.hpp"

namespace lamina_test {
using Gpu = Emulated;
inline constexpr bool emulates = true;      // and so sees bytes, banks and races too
}  // namespace lamina_test
#endif
