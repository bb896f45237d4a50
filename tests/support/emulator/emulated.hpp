/// The GPU's device, emulated: the same verbs launch the same kernels, which run on the host, lane by lane.
#pragma once
#include "words.hpp"

#include <lamina/core/error.hpp>
#include <lamina/cuda/rules.hpp>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

namespace lamina_test {

/// A copy shares the machine and the arena of what it was copied from.
class Emulated : public lamina::CudaRules {
 public:
  explicit Emulated(unsigned seed = 1) : shared_(std::make_shared<Shared>(seed)) {}

  std::string name() const { return "an emulated GPU"; }
  void* allocate(std::size_t bytes) {
    if (!bytes) return nullptr;
    const std::size_t whole = (bytes + 255) / 256 * 256;
    void* const p = std::aligned_alloc(256, whole);
    if (!p) throw lamina::Error("no memory for ", bytes, " bytes");
    std::memset(p, 0, whole);
    shared_->machine.global.add(p, bytes, true, "device memory");
    return p;
  }
  void deallocate(void* p, std::size_t) {
    if (!p) return;
    shared_->machine.global.remove(p);
    std::free(p);
  }
  void upload(void* to, const void* from, std::size_t bytes) { if (bytes) std::memcpy(to, from, bytes); }
  void download(void* to, const void* from, std::size_t bytes) { if (bytes) std::memcpy(to, from, bytes); }
  void reserve(std::size_t bytes) {
    if (bytes <= shared_->bytes) return;
    bytes = std::max(bytes, lamina::least_arena);
    deallocate(std::exchange(shared_->arena, nullptr), std::exchange(shared_->bytes, 0));
    shared_->arena = static_cast<std::byte*>(allocate(bytes));
    shared_->bytes = bytes;
  }
  std::byte* arena() const { return shared_->arena; }
  void wait() {}

  template <class Kernel, class... Arguments> void launch(lamina::Grid grid, Arguments... arguments) {
    shared_->machine.launch({grid.x, grid.y, grid.z}, Kernel::threads, Kernel::shared_bytes, [=] { Kernel::run(arguments...); }, shared_->seed);
  }
  /// Functors have no words: what they touch is not counted.
  template <class F> void for_each(lamina::Index n, F f) {
    ++shared_->machine.counters.launches;
    for (lamina::Index i = 0; i < n; ++i) f(i);
  }
  lamina::simt::Machine& machine() const { return shared_->machine; }

 private:
  struct Shared {
    lamina::simt::Machine machine;
    unsigned seed;
    std::byte* arena = nullptr;
    std::size_t bytes = 0;
    explicit Shared(unsigned s) : seed(s) {}
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;
    ~Shared() { std::free(arena); }
  };
  std::shared_ptr<Shared> shared_;
};

}  // namespace lamina_test
