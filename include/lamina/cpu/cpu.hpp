/// The CPU as a device: its threads, its memory, and the verbs that need no kernel of their own.
#pragma once
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "../core/device.hpp"
#include "../core/error.hpp"
#include "../core/shared_tasks.hpp"
#include "../core/task.hpp"
#include "../core/threads.hpp"
#include "flush.hpp"
#include "simd.hpp"

namespace lamina {

/// Bytes of the CPU's arena that begin on a cache line.
constexpr Index whole_lines(Index bytes) { return (bytes + 63) / 64 * 64; }

/// The CPU, with oneTBB for its threads. A copy shares the threads and the arena of what it was copied from.
class Cpu {
 public:
  static constexpr bool host_memory = true;
  Replica replica;                              // of this copy

  /// threads = 0 takes one for each core. The results have the same bits for any number. Throws Error if the number is negative.
  explicit Cpu(int threads = 0) : shared_(std::make_shared<Shared>(threads)) {}

  /// For people.
  std::string name() const { return "CPU, " + std::to_string(own_threads()) + " threads"; }
  /// That may be at work at once: its own, and those of other replicas that help.
  int threads() const { return helped() ? replica.tasks->workers() : own_threads(); }
  int own_threads() const { return alone_ ? 1 : shared_->threads.count(); }

  /// As many numbers as formulas work on at once. (When nvcc compiles for the GPU it reads what is for the CPU too, and objects to vectors in formulas that are for both.)
#if defined(__CUDA_ARCH__)
  template <class T> using Vector = T;
#else
  template <class T> using Vector = std::conditional_t<std::is_same_v<T, float>, simd::Floats, T>;
#endif

  /// Winograd's convolution ends in 2x2 pools, or in none: before others it is quicker by itself. So it is where filters are many, since what a window's gradients take then
  /// is more than what three of four zeros save.
  template <class T> static constexpr bool fuses(ConvReluPool k) {
    const bool winograd = sizeof(T) == sizeof(float) && k.conv.k == 3 && k.conv.stride == 1 && k.filters > 0 && k.filters % 32 == 0;
    return k.groups == 1 && k.pool.pad == 0 && k.pool.stride >= k.pool.k && k.pool.k <= 15 && (!winograd || (k.pool.k == 2 && k.pool.stride == 2 && k.filters < 256));
  }
  template <class T> static constexpr bool fuses(ConvClamp) { return std::floating_point<T>; }
  template <class T> static constexpr bool fuses(AddRelu) { return true; }
  template <class T> static constexpr bool fuses(NormClamp) { return true; }
  template <class T> static constexpr bool fuses(NormReluPool k) { return k.pool.pad == 0 && k.pool.stride >= k.pool.k; }

  /// Winograd's error grows with the sums: of 512 channels it stays below 5e-6 of the largest, of 1,024 it does not.
  static constexpr bool winograd_takes(int in_channels, int out_channels) { return in_channels % 32 == 0 && out_channels % 32 == 0 && in_channels <= 512 && out_channels <= 512; }

  /// 0: any shape. 1: 3x3 by Winograd. 1 + C: 3x3 of a picture with C channels. Both of the last end in 2x2 pooling. 6: any kernel and stride, in vectors.
  template <class T> static constexpr int ways(ConvReluPool) { return sizeof(T) == sizeof(float) ? 7 : 1; }
  template <class T> static constexpr int way(ConvReluPool k, Shape in, Shape mid) {
    if (sizeof(T) != sizeof(float) || k.groups != 1 || mid.c % 16) return 0;
    if (k.conv.k == 3 && k.conv.stride == 1 && k.conv.before(in.h) <= 1 && k.pool.k == 2 && k.pool.stride == 2 && mid.h >= 2 && mid.w >= 2) {
      if (in.c <= 4) return 1 + in.c;
      if (winograd_takes(in.c, mid.c)) return 1;
    }
    return (in.c % 16 == 0 || in.c <= 4) && size(mid) <= Index(1) << 20 ? 6 : 0;
  }

  static constexpr Index few_sums = Index(3) << 16;      // stay in the second cache beside what is added to them; Winograd's weight gradient has 36 for each pair of channels
  /// 0: any shape. 1: every channel by itself. 2: 1x1. 3: 3x3 by Winograd. 4: any kernel and stride, in vectors. 5: 3x3 by Winograd with few weights. 6: 1x1 in vectors.
  template <class T> static constexpr int ways(ConvSpec) { return sizeof(T) == sizeof(float) ? 7 : 3; }
  template <class T> static constexpr int way(ConvSpec c, Shape in, Shape out) {
    const Window v = c.window;
    if (c.groups > 1) return c.groups == in.c && out.c == in.c ? 1 : 0;
    if (v.k == 1 && v.stride == 1 && v.before(in.h) == 0) return sizeof(T) == sizeof(float) ? 6 : 2;
    if (sizeof(T) != sizeof(float) || out.c % 16 || (in.c % 16 && in.c > 4)) return 0;
    const bool winograd = v.k == 3 && v.stride == 1 && v.before(in.h) <= 2 && winograd_takes(in.c, out.c);
    return !winograd ? 4 : Index(36) * in.c * out.c > few_sums ? 3 : 5;
  }
  /// 0: any shape. 1: in vectors. 2: at most 16 outputs.
  template <class T> static constexpr int ways(DenseSpec) { return sizeof(T) == sizeof(float) ? 3 : 1; }
  template <class T> static constexpr int way(DenseSpec, Shape in, Shape out) {
    return sizeof(T) != sizeof(float) ? 0 : in.c % 16 == 0 && out.c % 32 == 0 ? 1 : out.c <= 16 ? 2 : 0;
  }

  /// The memory is zero. Throws Error if there is not so much. What nobody writes to costs nothing: large blocks come from the system as they are asked for, in whole huge pages.
  void* allocate(std::size_t bytes) {
    const bool large = bytes >= huge_page / 2;
    const std::size_t line = large ? huge_page : 64;
    if (large) bytes = (bytes + huge_page - 1) / huge_page * huge_page;
    void* const whole = std::calloc(1, bytes + line + sizeof whole);
    if (!whole) throw Error("there is no memory for ", bytes, " bytes at once: take a smaller batch, or a smaller network");
    void* const p = reinterpret_cast<void*>((reinterpret_cast<std::uintptr_t>(whole) + sizeof whole + line - 1) / line * line);
    static_cast<void**>(p)[-1] = whole;
#if defined(__linux__)
    if (large) madvise(p, bytes, MADV_HUGEPAGE);                   // fewer misses of the address cache; if it is refused nothing is lost
#endif
    return p;
  }
  static void deallocate(void* p, std::size_t) { if (p) std::free(static_cast<void**>(p)[-1]); }
  void upload(void* to, const void* from, std::size_t bytes) { if (bytes) std::memcpy(to, from, bytes); }
  void download(void* to, const void* from, std::size_t bytes) { if (bytes) std::memcpy(to, from, bytes); }

  /// Makes the arena at least this large. Called when a model is made, never in a step.
  void reserve(std::size_t bytes) {
    if (bytes <= shared_->bytes) return;
    deallocate(std::exchange(shared_->arena, nullptr), std::exchange(shared_->bytes, 0));
    shared_->arena = static_cast<std::byte*>(allocate(bytes));
    shared_->bytes = bytes;
  }
  std::byte* arena() const { return alone_ ? arena_ : shared_->arena; }
  std::size_t arena_bytes() const { return shared_->bytes; }

  /// f(task, worker) for every task in [0, tasks), worker in [0, threads()). Numbers too small for a normal one are zero meanwhile.
  [[gnu::noinline]] void run(Index tasks, detail::FunctionRef<Index, int> f) {
    if (tasks == 1 || alone_) {
      const detail::FlushToZero flush;
      for (Index task = 0; task < tasks; ++task) f(task, 0);
      return;
    }
    const auto by = [&](Index task, int worker) {
      const detail::FlushToZero flush;
      f(task, worker);
    };
    if (helped()) return replica.tasks->run(replica.place, tasks, by);
    const auto one = [&](Index task) { by(task, tbb::this_task_arena::current_thread_index()); };
    shared_->crew.execute([&, each = detail::TaskRef(one)] { tbb::parallel_for(Index(0), tasks, each, tbb::simple_partitioner{}); });
  }

  /// The calling thread by itself, in the midst of a task, with an arena of its own. The few samples it works on are no part of a batch to it.
  Cpu alone(std::byte* arena) const {
    Cpu one = *this;
    one.alone_ = true, one.arena_ = arena, one.replica = Replica();
    return one;
  }

  /// Whether a few samples had better go through a step and its neighbours before the next few do: its weights stay in the second cache, and a sample is large enough
  /// to use them often.
  template <class T> static constexpr bool depth_first(Index parameters, Shape in) { return parameters <= Index(1) << 18 && Index(in.h) * in.w >= 64; }
  /// How many samples those are, of so many bytes.
  static constexpr Index at_once(Index bytes) { return std::clamp<Index>((1 << 19) / std::max<Index>(bytes, 1), 1, 8); }

 private:
  static constexpr std::size_t huge_page = std::size_t(1) << 21;
  /// Replicas of one thread each help one another.
  bool helped() const { return replica.tasks && !alone_ && shared_->threads.count() == 1; }

  struct Shared {
    detail::Threads threads;
    tbb::task_arena crew;
    std::byte* arena = nullptr;
    std::size_t bytes = 0;
    [[gnu::cold]] explicit Shared(int asked) : threads(checked(asked)), crew(threads.count()) {}
    static int checked(int asked) {
      if (asked < 0) throw Error("Cpu(", asked, "): the number of threads is 0, one for each core, or more");
      return asked;
    }
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;
    ~Shared() { deallocate(arena, bytes); }
  };
  std::shared_ptr<Shared> shared_;
  bool alone_ = false;                          // one thread in the midst of a task, with this arena
  std::byte* arena_ = nullptr;
};

namespace detail {
/// Elements a task of an elementwise verb handles.
inline constexpr Index grain = 8192;
}  // namespace detail

/// f(i) for i in [0, n), in any order and at the same time.
template <class F> void parallel_for(Cpu& dev, Index n, F f) {
  dev.run((n + detail::grain - 1) / detail::grain, [&](Index task, int) {
    const Index begin = task * detail::grain, end = begin + detail::grain < n ? begin + detail::grain : n;
    const F own = f;                       // which nothing that it writes can be
    for (Index i = begin; i < end; ++i) own(i);
  });
}

/// The sum of f(i) over [0, n), with the same bits for any number of threads: at most 256 stretches, whose bounds follow from n, are added one after another.
template <class F> double sum(Cpu& dev, Index n, F f) {
  constexpr Index most = 256;
  const Index each = (n + most - 1) / most > 1024 ? (n + most - 1) / most : 1024, tasks = (n + each - 1) / each;
  double partial[most] = {};
  dev.run(tasks, [&](Index task, int) {
    const Index begin = task * each, end = begin + each < n ? begin + each : n;
    double s = 0;
    for (Index i = begin; i < end; ++i) s += double(f(i));
    partial[task] = s;
  });
  double s = 0;
  for (Index i = 0; i < tasks; ++i) s += partial[i];
  return s;
}

}  // namespace lamina
