/// The GPU as a device: its memory, its stream, and how kernels are launched on it.
#pragma once
#include <cuda_runtime.h>

#include <algorithm>
#include <memory>
#include <source_location>
#include <string>
#include <utility>

#include "../core/error.hpp"
#include "rules.hpp"
#include "words.hpp"

namespace lamina {

namespace detail {
/// Throws Error, with the words of the call and the place, unless it went well.
inline void check(cudaError_t status, const char* call, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  if (status != cudaSuccess) throw Error(call, " at ", file, ":", line, ": ", cudaGetErrorString(status), " (", cudaGetErrorName(status), ")");
}
}  // namespace detail

namespace kernels::inline LAMINA_SIMT {
template <class Kernel, class... Arguments> __global__ void __launch_bounds__(Kernel::threads) entry(Arguments... arguments) { Kernel::run(arguments...); }

template <class F> struct ForEach {
  static constexpr int threads = 256, shared_bytes = 0;
  LAMINA_DEVICE static void run(Index n, F f) {
    const Index i = Index(blockIdx.x) * threads + threadIdx.x;
    if (i < n) f(i);
  }
};
}  // namespace kernels::inline LAMINA_SIMT

/// One GPU with a stream. A copy shares the stream and the arena of what it was copied from.
class Cuda : public CudaRules {
 public:
  /// Throws Error if there is no such GPU, or no driver.
  explicit Cuda(int number = 0) : shared_(std::make_shared<Shared>(number)) {}

  /// For people.
  std::string name() const {
    cudaDeviceProp properties;
    detail::check(cudaGetDeviceProperties(&properties, shared_->number), "cudaGetDeviceProperties");
    return properties.name;
  }
  /// How many GPUs there are; 0 where there is no driver.
  static int count() {
    int n = 0;
    return cudaGetDeviceCount(&n) == cudaSuccess ? n : 0;
  }

  /// The memory is zero. Throws Error if there is not so much.
  void* allocate(std::size_t bytes) {
    if (!bytes) return nullptr;
    use();
    void* p = nullptr;
    if (cudaMalloc(&p, bytes) != cudaSuccess) {
      cudaGetLastError();
      std::size_t free = 0, all = 0;
      cudaMemGetInfo(&free, &all);
      throw Error("the GPU has no ", bytes, " bytes at once, ", free, " of its ", all, " are free: take a smaller batch, or a smaller network");
    }
    detail::check(cudaMemsetAsync(p, 0, bytes, stream()), "cudaMemsetAsync");
    return p;
  }
  void deallocate(void* p, std::size_t) { if (p) cudaFree(p); }
  void upload(void* to, const void* from, std::size_t bytes) {
    if (!bytes) return;
    detail::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream()), "cudaMemcpyAsync");
    wait();
  }
  void download(void* to, const void* from, std::size_t bytes) {
    if (!bytes) return;
    detail::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream()), "cudaMemcpyAsync");
    wait();
  }
  /// Makes the arena at least this large. Called when a model is made, never in a step.
  void reserve(std::size_t bytes) {
    if (bytes <= shared_->bytes) return;
    bytes = std::max(bytes, least_arena);
    wait();
    deallocate(std::exchange(shared_->arena, nullptr), std::exchange(shared_->bytes, 0));
    shared_->arena = static_cast<std::byte*>(allocate(bytes));
    shared_->bytes = bytes;
  }
  std::byte* arena() const { return shared_->arena; }

  /// Until all that was launched is done.
  void wait() { detail::check(cudaStreamSynchronize(stream()), "cudaStreamSynchronize"); }
  cudaStream_t stream() const { return shared_->stream; }

  template <class Kernel, class... Arguments> void launch(Grid grid, Arguments... arguments) {
    auto* const entry = &kernels::entry<Kernel, Arguments...>;
    if constexpr (Kernel::shared_bytes > 48 * 1024)
      detail::check(cudaFuncSetAttribute(entry, cudaFuncAttributeMaxDynamicSharedMemorySize, Kernel::shared_bytes), "cudaFuncSetAttribute");
    entry<<<dim3(unsigned(grid.x), unsigned(grid.y), unsigned(grid.z)), Kernel::threads, Kernel::shared_bytes, stream()>>>(arguments...);
    detail::check(cudaGetLastError(), "a launch");
  }
  template <class F> void for_each(Index n, F f) {
    if (n) launch<kernels::ForEach<F>>(Grid{int(pieces(n, kernels::ForEach<F>::threads))}, n, f);
  }

 private:
  void use() const { detail::check(cudaSetDevice(shared_->number), "cudaSetDevice"); }
  struct Shared {
    int number;
    cudaStream_t stream = nullptr;
    std::byte* arena = nullptr;
    std::size_t bytes = 0;
    explicit Shared(int which) : number(which) {
      if (const int n = count(); which < 0 || which >= n) throw Error("there is no GPU ", which, ": this machine has ", n, " that a driver knows of; train with Cpu, or look at nvidia-smi");
      detail::check(cudaSetDevice(which), "cudaSetDevice");
      detail::check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    }
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;
    ~Shared() {
      cudaFree(arena);
      cudaStreamDestroy(stream);
    }
  };
  std::shared_ptr<Shared> shared_;
};

}  // namespace lamina
