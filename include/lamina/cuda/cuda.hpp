/// The GPU as a device: its memory, its stream, and how kernels are launched on it.
#pragma once
#include <cuda_runtime.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <source_location>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

#include "../core/error.hpp"
#include "../version.hpp"
#include "rules.hpp"
#include "tuning.hpp"
#include "words.hpp"

namespace lamina {

namespace detail {
/// Throws Error, with the words of the call and the place, unless it went well.
inline void check(cudaError_t status, const char* call, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  if (status == cudaSuccess) return;
  cudaGetLastError();                       // else the next launch would be blamed for it too
  throw Error(call, " at ", file, ":", line, ": ", cudaGetErrorString(status), " (", cudaGetErrorName(status), ")");
}
}  // namespace detail

namespace kernels::inline LAMINA_SIMT {
/// How many blocks of a kernel, or of a functor's loop, a multiprocessor shall hold at least, if it says so: its lanes then get the registers that this leaves them.
template <class Kernel> constexpr int blocks_of() {
  if constexpr (requires { Kernel::blocks; }) return Kernel::blocks;
  else return 0;
}
template <class Kernel, class... Arguments> __global__ void __launch_bounds__(Kernel::threads, blocks_of<Kernel>()) entry(Arguments... arguments) { Kernel::run(arguments...); }

template <class F> struct ForEach {
  static constexpr int threads = 256, shared_bytes = 0, blocks = blocks_of<F>();
  LAMINA_DEVICE static void run(Index n, F f) {
    const Index i = Index(blockIdx.x) * threads + threadIdx.x;
    if (i < n) f(i);
  }
};
}  // namespace kernels::inline LAMINA_SIMT

/// One GPU with a stream. A copy shares the memory, the stream and the arena of what it was copied from.
class Cuda : public CudaRules {
 public:
  /// A place in a device's stream: behind all that was launched there so far.
  using Event = std::shared_ptr<std::remove_pointer_t<cudaEvent_t>>;

  /// Throws Error if there is no such GPU, or no driver.
  explicit Cuda(int number = 0) : own_(std::make_shared<Own>(std::make_shared<Card>(number))) {}

  /// For people.
  std::string name() const {
    cudaDeviceProp properties;
    detail::check(cudaGetDeviceProperties(&properties, card().number), "cudaGetDeviceProperties");
    return properties.name;
  }
  /// How many GPUs there are; 0 where there is no driver.
  static int count() {
    int n = 0;
    return cudaGetDeviceCount(&n) == cudaSuccess ? n : 0;
  }

  /// From now on kernels that do the same work, bit for bit, race when it is first done: each is launched two dozen times, for milliseconds in all, and the quickest does it from then on, here
  /// and on all copies and forks. `kept`, a TuningFile for example, is asked first and told afterwards. Works that were done before, and are recorded by now, stay with who did them.
  void tune(std::shared_ptr<Tuning> kept = nullptr) { card().tuner = std::make_unique<Tuner>(std::move(kept)); }
  Tuner* tuner() const { return card().tuner.get(); }
  bool recording() const { return card().recording; }
  Processors processors() const { return card().processors; }
  /// All that a time depends on.
  std::string described() const {
    int driver = 0, runtime = 0;
    cudaDeviceProp p;
    detail::check(cudaGetDeviceProperties(&p, card().number), "cudaGetDeviceProperties");
    detail::check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
    detail::check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
    return detail::sentence({p.name, ", compute capability ", p.major, ".", p.minor, ", ", p.multiProcessorCount, " multiprocessors, driver ", driver, ", runtime ", runtime, ", Lamina ", version.major, ".",
                             version.minor, ".", version.patch});
  }
  /// Seconds that the GPU takes for what f() launches. Waits until it is done.
  template <class F> double seconds(const F& f) {
    refuse_recording("nothing can be timed");
    const Event begin = mark(cudaEventDefault);
    f();
    const Event end = mark(cudaEventDefault);
    float ms = 0;
    detail::check(cudaEventSynchronize(end.get()), "cudaEventSynchronize");
    detail::check(cudaEventElapsedTime(&ms, begin.get(), end.get()), "cudaEventElapsedTime");
    return 1e-3 * ms;
  }

  Index free_bytes() const {
    use();
    std::size_t free = 0, all = 0;
    detail::check(cudaMemGetInfo(&free, &all), "cudaMemGetInfo");
    return Index(free);
  }
  /// The memory is zero. Throws Error if there is not so much.
  void* allocate(std::size_t bytes) {
    refuse_recording("memory cannot be allocated");
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
    wait();  // another queue may be the first to use it
    return p;
  }
  void deallocate(void* p, std::size_t) { if (p) cudaFree(p); }
  void upload(void* to, const void* from, std::size_t bytes) { copy(to, from, bytes, cudaMemcpyHostToDevice, "nothing can be uploaded"); }
  void download(void* to, const void* from, std::size_t bytes) { copy(to, from, bytes, cudaMemcpyDeviceToHost, "nothing can be downloaded"); }
  /// Memory of the host that the GPU reads by itself. Throws Error if there is not so much.
  void* allocate_host(std::size_t bytes) {
    refuse_recording("memory cannot be allocated");
    if (!bytes) return nullptr;
    use();
    void* p = nullptr;
    if (cudaHostAlloc(&p, bytes, cudaHostAllocDefault) == cudaSuccess) return p;
    cudaGetLastError();
    throw Error("the host has no ", bytes, " bytes at once that a GPU could read: take a smaller batch");
  }
  /// Waits for the GPU, which may still read it.
  void deallocate_host(void* p, std::size_t) {
    if (p) cudaSetDevice(card().number), cudaDeviceSynchronize(), cudaFreeHost(p);
  }
  /// Uploads while the host goes on: `from`, memory of allocate_host(), stays as it is until somebody has waited for a mark() behind this.
  void upload_later(void* to, const void* from, std::size_t bytes) {
    refuse_recording("nothing can be uploaded");
    use();
    if (bytes) detail::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream()), "cudaMemcpyAsync");
  }
  /// Makes the arena at least this large. Called when a model is made, never in a step.
  void reserve(std::size_t bytes) {
    if (bytes <= own_->bytes) return;
    bytes = std::max(bytes, least_arena);
    wait();
    deallocate(std::exchange(own_->arena, nullptr), std::exchange(own_->bytes, 0));
    own_->arena = static_cast<std::byte*>(allocate(bytes));
    own_->bytes = bytes;
  }
  std::byte* arena() const { return own_->arena; }

  /// Until all that was launched on this device's stream is done.
  void wait() {
    refuse_recording("nobody can wait");
    use();
    if (card().watch) return watched([&] { return cudaStreamQuery(stream()); }, "cudaStreamQuery");
    detail::check(cudaStreamSynchronize(stream()), "cudaStreamSynchronize");
  }
  /// While the host waits for this GPU, f(seconds) is called again and again with how long it has waited, and may throw: then the wait is over. Without f the host sleeps.
  void while_waiting(std::function<void(double)> f) { card().watch = std::move(f); }
  cudaStream_t stream() const { return own_->stream; }
  /// Makes it the GPU that CUDA and its libraries mean in this thread. What is done by this class does it by itself.
  void use() const { detail::check(cudaSetDevice(card().number), "cudaSetDevice"); }

  template <class Kernel, class... Arguments> void launch(Grid grid, Arguments... arguments) {
    use();
    auto* const entry = &kernels::entry<Kernel, Arguments...>;
    if constexpr (Kernel::shared_bytes > 48 * 1024)
      detail::check(cudaFuncSetAttribute(entry, cudaFuncAttributeMaxDynamicSharedMemorySize, Kernel::shared_bytes), "cudaFuncSetAttribute");
    entry<<<dim3(unsigned(grid.x), unsigned(grid.y), unsigned(grid.z)), Kernel::threads, Kernel::shared_bytes, stream()>>>(arguments...);
    detail::check(cudaGetLastError(), "a launch");
  }
  template <class F> void for_each(Index n, F f) {
    if (n) launch<kernels::ForEach<F>>(Grid{int(pieces(n, kernels::ForEach<F>::threads))}, n, f);
  }

  /// What was launched while it was recorded. Of the memory that it uses nothing may be freed while it is replayed.
  class Graph {
    friend Cuda;
    struct Destroy { void operator()(cudaGraphExec_t g) const { cudaGraphExecDestroy(g); } };
    std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, Destroy> graph_;
  };
  /// What f() launches on this device, and on those that wait for it meanwhile, is kept and not run. By the end of f() this device must have been told to wait for the others.
  /// Within f() memory is neither allocated nor copied from or to the host, and nobody waits.
  template <class F> Graph record(const F& f) {
    refuse_recording("no other can be");
    use();
    detail::check(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
    card().recording = true;
    const auto end = [&](cudaGraph_t* captured) {
      card().recording = false;
      return cudaStreamEndCapture(stream(), captured);
    };
    cudaGraph_t captured = nullptr;
    try { f(); }
    catch (...) {
      end(&captured);
      if (captured) cudaGraphDestroy(captured);
      cudaGetLastError();
      throw;
    }
    detail::check(end(&captured), "cudaStreamEndCapture");
    Graph g;
    cudaGraphExec_t graph = nullptr;
    const cudaError_t status = cudaGraphInstantiate(&graph, captured, 0);
    cudaGraphDestroy(captured);
    detail::check(status, "cudaGraphInstantiate");
    g.graph_.reset(graph);
    return g;
  }
  /// Runs what was recorded, as one launch, after what this device was given before and before what it is given next.
  void replay(const Graph& g) {
    refuse_recording("no other can be replayed");
    use();
    detail::check(cudaGraphLaunch(g.graph_.get(), stream()), "cudaGraphLaunch");
  }

  /// The same GPU with a stream and an arena of its own: what is launched there runs beside what is launched here, but for what wait_for() says.
  Cuda fork() {
    refuse_recording("no stream can be made");
    Cuda beside(own_->card);
    beside.replica = replica;
    return beside;
  }
  Event mark(unsigned flags = cudaEventDisableTiming) {
    use();
    cudaEvent_t event = nullptr;
    detail::check(cudaEventCreateWithFlags(&event, flags), "cudaEventCreateWithFlags");
    const Event owned(event, [](cudaEvent_t e) { cudaEventDestroy(e); });
    detail::check(cudaEventRecord(event, stream()), "cudaEventRecord");
    return owned;
  }
  /// What is launched here from now on comes after that place.
  void wait_for(const Event& event) {
    use();
    detail::check(cudaStreamWaitEvent(stream(), event.get(), 0), "cudaStreamWaitEvent");
  }
  /// Until that place is reached.
  void wait_until(const Event& event) {
    refuse_recording("nobody can wait");
    use();
    if (card().watch) return watched([&] { return cudaEventQuery(event.get()); }, "cudaEventQuery");
    detail::check(cudaEventSynchronize(event.get()), "cudaEventSynchronize");
  }

 private:
  struct Card {
    int number;
    bool recording = false;
    std::unique_ptr<Tuner> tuner;
    std::function<void(double)> watch;
    Processors processors;
    explicit Card(int which) : number(which) {
      if (const int n = count(); which < 0 || which >= n) throw Error("there is no GPU ", which, ": this machine has ", n, " that a driver knows of; train with Cpu, or look at nvidia-smi");
      const auto attribute = [&](int& value, cudaDeviceAttr which_one) { detail::check(cudaDeviceGetAttribute(&value, which_one, which), "cudaDeviceGetAttribute"); };
      attribute(processors.count, cudaDevAttrMultiProcessorCount);
      attribute(processors.shared_bytes, cudaDevAttrMaxSharedMemoryPerMultiprocessor);
      attribute(processors.block_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin);
    }
  };
  struct Own {
    std::shared_ptr<Card> card;
    cudaStream_t stream = nullptr;
    std::byte* arena = nullptr;
    std::size_t bytes = 0;
    explicit Own(std::shared_ptr<Card> of) : card(std::move(of)) {
      detail::check(cudaSetDevice(card->number), "cudaSetDevice");
      detail::check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    }
    Own(const Own&) = delete;
    Own& operator=(const Own&) = delete;
    ~Own() {
      cudaFree(arena);
      cudaStreamDestroy(stream);
    }
  };
  explicit Cuda(std::shared_ptr<Card> card) : own_(std::make_shared<Own>(std::move(card))) {}

  Card& card() const { return *own_->card; }
  void refuse_recording(const char* what) const {
    if (card().recording) throw Error("while a graph is recorded ", what);
  }
  /// Until status() says something else than cudaErrorNotReady.
  template <class Status> void watched(const Status& status, const char* call) const {
    const auto begin = std::chrono::steady_clock::now();
    for (;;) {
      const cudaError_t now = status();
      if (now != cudaErrorNotReady) return detail::check(now, call);
      cudaGetLastError();                     // a launch would be blamed for it
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      card().watch(seconds);
      if (seconds < 1e-3) std::this_thread::yield();
      else std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
  void copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, const char* refusal) {
    refuse_recording(refusal);
    if (!bytes) return;
    use();
    if (card().watch) wait();                 // else cudaMemcpyAsync waits, for what came before, where nobody can watch
    detail::check(cudaMemcpyAsync(to, from, bytes, kind, stream()), "cudaMemcpyAsync");
    if (kind == cudaMemcpyDeviceToHost || pinned(from)) wait();
  }
  /// From other memory of the host CUDA has taken a copy by the time that cudaMemcpyAsync returns.
  static bool pinned(const void* p) {
    cudaPointerAttributes a;
    return cudaPointerGetAttributes(&a, p) != cudaSuccess || a.type != cudaMemoryTypeUnregistered;
  }
  std::shared_ptr<Own> own_;
};

}  // namespace lamina
