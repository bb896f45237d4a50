/// The device of tests of kernels: the emulator, or under nvcc a GPU. The same source is both programs; it includes this before other headers, since it gives the words of
/// kernels their meaning.
#pragma once
#if defined(__CUDACC__)
#include <lamina/cuda/cuda.hpp>

#include <memory>

namespace lamina_test {

/// A GPU that counts its launches, as the emulator does.
class Gpu : public lamina::Cuda {
 public:
  struct Machine { struct { long launches = 0; } counters; };

  /// A GPU draws the order of its blocks itself.
  explicit Gpu(unsigned = 1) {}
  template <class Kernel, class... Arguments> void launch(lamina::Grid grid, Arguments... arguments) {
    ++machine_->counters.launches;
    Cuda::launch<Kernel>(grid, arguments...);
  }
  template <class F> void for_each(lamina::Index n, F f) {
    machine_->counters.launches += n > 0;
    Cuda::for_each(n, f);
  }
  Machine& machine() const { return *machine_; }

 private:
  std::shared_ptr<Machine> machine_ = std::make_shared<Machine>();
};
inline constexpr bool emulates = false;

}  // namespace lamina_test
#else
#include "emulator/emulated.hpp"

namespace lamina_test {
using Gpu = Emulated;
inline constexpr bool emulates = true;      // and so sees bytes, banks and races too
}  // namespace lamina_test
#endif
