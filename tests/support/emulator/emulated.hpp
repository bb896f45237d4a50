/// The GPU's device, emulated: the same verbs launch the same kernels, which run on the host, lane by lane.
#pragma once
#include "words.hpp"

#include <lamina/core/error.hpp>
#include <lamina/cuda/rules.hpp>
#include <lamina/cuda/tuning.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "host_memory.hpp"

namespace lamina_test {

/// A launch, to whoever says how long it takes.
struct Launched { lamina::Grid grid; int threads, shared_bytes; };

/// A copy shares the memory, the queue and the arena of what it was copied from. What a queue does comes to pass when somebody waits for it, and what is wrong with it is thrown there;
/// while there is but one queue, at once.
/// Functors have no words: that they stay within memory, and that queues wait for each other, is not checked of what they touch, nor is it counted.
class Emulated : public lamina::CudaRules {
 public:
  explicit Emulated(unsigned seed = 1) : Emulated(std::make_shared<Shared>(seed)) {}

  /// The first of several kernels that give the same bits: what tests of one of them mean.
  static constexpr bool races = false;

  std::string name() const { return "an emulated GPU"; }
  /// As Cuda does, but that nothing is ever timed: `timer` says how many seconds a launch takes.
  using Timer = std::function<double(const Launched&)>;
  void tune(std::shared_ptr<lamina::Tuning> kept, Timer timer = {}) { shared().tuner = std::make_unique<lamina::Tuner>(std::move(kept)), shared().timer = std::move(timer); }
  lamina::Tuner* tuner() const { return shared().tuner.get(); }
  bool recording() const { return shared().queues.recording(); }
  lamina::Processors processors() const { return shared().processors; }
  void set_processors(lamina::Processors p) { shared().processors = p; }
  std::string described() const { return shared().described; }
  void set_described(std::string s) { shared().described = std::move(s); }
  template <class F> double seconds(const F& f) {
    refuse_recording("nothing can be timed");
    if (!shared().timer) throw lamina::Error("the emulator times nothing: give tune() a timer");
    shared().elapsed = 0;
    f();
    wait();
    return shared().elapsed;
  }
  lamina::Index free_bytes() const { return free_; }
  void set_free_bytes(lamina::Index bytes) { free_ = bytes; }
  void* allocate(std::size_t bytes) {
    refuse_recording("memory cannot be allocated");
    return bytes ? shared().allocate(bytes) : nullptr;
  }
  void deallocate(void* p, std::size_t) { if (p) shared().deallocate(p); }
  void upload(void* to, const void* from, std::size_t bytes) {
    refuse_recording("nothing can be uploaded");
    if (!bytes) return;
    const auto* begin = static_cast<const std::byte*>(from);
    shared().queues.add(queue(), [this_ = &shared(), to, staged = std::vector<std::byte>(begin, begin + bytes)] {
      this_->touch(to, staged.size(), DeviceMemory::Use::write);
      std::memcpy(to, staged.data(), staged.size());
    });
  }
  void download(void* to, const void* from, std::size_t bytes) {
    refuse_recording("nothing can be downloaded");
    if (!bytes) return;
    shared().queues.add(queue(), [this_ = &shared(), to, from, bytes] {
      this_->touch(from, bytes, DeviceMemory::Use::read);
      std::memcpy(to, from, bytes);
    });
    wait();
  }
  void* allocate_host(std::size_t bytes) {
    refuse_recording("memory cannot be allocated");
    if (!bytes) return nullptr;
    void* const p = std::calloc(1, bytes);
    if (!p) throw lamina::Error("no memory for ", bytes, " bytes");
    shared().host.add(p, bytes);
    return p;
  }
  void deallocate_host(void* p, std::size_t) {
    if (!p) return;
    shared().wait_quietly();
    shared().host.remove(p);
    std::free(p);
  }
  void upload_later(void* to, const void* from, std::size_t bytes) {
    refuse_recording("nothing can be uploaded");
    if (!bytes) return;
    const auto behind = std::make_shared<Event>();
    shared().queues.add(queue(), [this_ = &shared(), to, from, staged = shared().host.copy(shared().queues, from, bytes, behind)] {
      if (std::memcmp(from, staged.data(), staged.size())) lamina::simt::fail("host memory was written to before the queue had read it");
      this_->touch(to, staged.size(), DeviceMemory::Use::write);
      std::memcpy(to, from, staged.size());
    });
    shared().queues.mark(queue(), behind);
  }
  void wait_until(const std::shared_ptr<const Event>& event) {
    refuse_recording("nobody can wait");
    shared().wait([&](Queues& q) { q.wait_until(*event); });
  }
  void reserve(std::size_t bytes) {
    if (bytes <= own_->bytes) return;
    bytes = std::max(bytes, lamina::least_arena);
    wait();
    deallocate(std::exchange(own_->arena, nullptr), std::exchange(own_->bytes, 0));
    own_->arena = static_cast<std::byte*>(allocate(bytes));
    own_->bytes = bytes;
  }
  std::byte* arena() const { return own_->arena; }
  void wait() {
    refuse_recording("nobody can wait");
    shared().wait([&](Queues& q) { q.wait(queue()); });
  }

  template <class Kernel, class... Arguments> void launch(lamina::Grid grid, Arguments... arguments) {
    (shared().note_uses(arguments), ...);
    if (shared().timer) shared().elapsed += shared().timer({grid, Kernel::threads, Kernel::shared_bytes});
    shared().queues.add(queue(), [this_ = &shared(), grid, arguments...] {
      this_->machine.launch({grid.x, grid.y, grid.z}, Kernel::threads, Kernel::shared_bytes, [&] { Kernel::run(arguments...); }, this_->next_seed());
    });
  }
  template <class F> void for_each(lamina::Index n, F f) {
    if (!n) return;
    shared().note_uses(f);
    shared().queues.add(queue(), [this_ = &shared(), n, f] {
      ++this_->machine.counters.launches;
      for (lamina::Index i = 0; i < n; ++i) f(i);
    });
  }
  /// Something that a library launches: f() reads and writes these stretches of memory as a whole.
  struct Stretch { const void* p; std::size_t bytes; bool writes; };
  template <class F> void call(std::vector<Stretch> memory, F f) {
    for (const Stretch& s : memory) shared().note_uses(s);
    shared().queues.add(queue(), [this_ = &shared(), memory = std::move(memory), f = std::move(f)] {
      for (const Stretch& s : memory) this_->touch(s.p, s.bytes, s.writes ? DeviceMemory::Use::write : DeviceMemory::Use::read);
      f();
    });
  }

  /// What was launched meanwhile, by this device and by those that were told to wait for it.
  class Graph {
   public:
    Graph(Graph&&) = default;
    Graph& operator=(Graph&&) = default;

   private:
    friend Emulated;
    Graph() = default;
    std::shared_ptr<const Recorded> recorded_;
    std::shared_ptr<void> alive_;
  };
  template <class F> Graph record(const F& f) {
    Graph g;
    g.recorded_ = shared().queues.record(queue(), f);
    g.alive_ = shared().graphs;
    return g;
  }
  /// Throws Error if memory that the graph uses was freed.
  void replay(const Graph& g) {
    refuse_recording("no graph can be replayed");
    for (unsigned serial : g.recorded_->uses)
      if (!shared().machine.global.alive(serial)) throw lamina::Error("a graph is replayed that uses memory which was freed since it was recorded");
    ++shared().machine.counters.replays;
    shared().queues.replay(queue(), g.recorded_);
  }

  /// A device with the same memory and a queue and an arena of its own.
  Emulated fork() {
    refuse_recording("no queue can be opened");
    Emulated beside(own_->shared);
    beside.replica = replica;
    return beside;
  }
  std::shared_ptr<const Event> mark() { return shared().queues.mark(queue()); }
  void wait_for(const std::shared_ptr<const Event>& event) { shared().queues.wait_for(queue(), event); }

  /// Of all that was launched, on any queue; may be set to {}.
  lamina::simt::Counters& counters() const { return machine().counters; }
  lamina::simt::Machine& machine() const {
    own_->shared->wait([](Queues& q) { q.wait_for_all(); });
    return own_->shared->machine;
  }

 private:
  using DeviceMemory = lamina::simt::DeviceMemory;
  struct Shared {
    lamina::simt::Machine machine;
    Queues queues;
    HostMemory host;
    unsigned seed, launches = 0;
    std::shared_ptr<void> graphs = std::make_shared<int>();  // as many more hold it as there are graphs
    std::vector<void*> freed;                                // and not yet handed back: a graph may still think that it is there
    std::exception_ptr error;                                // of a queue, when nobody could be told
    std::unique_ptr<lamina::Tuner> tuner;
    Timer timer;
    double elapsed = 0;                                      // seconds of launches, since somebody wants to know
    lamina::Processors processors;
    std::string described = "an emulated GPU, version 1";

    explicit Shared(unsigned s) : queues(machine, s), seed(s) {}
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;
    ~Shared() {
      wait_quietly();
      for (void* p : freed) std::free(p);
      if (!error) return;
      try { std::rethrow_exception(error); }
      catch (const std::exception& e) { std::fprintf(stderr, "an emulated GPU is gone, and nobody was told: %s\n", e.what()); }
      std::abort();
    }
    unsigned next_seed() { return seed + 1000003 * launches++; }
    void* allocate(std::size_t bytes) {
      hand_back();
      const std::size_t whole = (bytes + 255) / 256 * 256;
      void* const p = std::aligned_alloc(256, whole);
      if (!p) throw lamina::Error("no memory for ", bytes, " bytes");
      std::memset(p, 0, whole);
      machine.global.add(p, bytes, true, "device memory");
      return p;
    }
    void deallocate(void* p) {
      if (queues.recording()) queues.recording()->fault = "memory was freed within a recording";
      wait_quietly();
      machine.global.mark_freed(p);
      freed.push_back(p);
      hand_back();
    }
    /// Addresses are not used again while there are graphs.
    void hand_back() {
      if (graphs.use_count() > 1) return;
      for (void* p : std::exchange(freed, {})) machine.global.remove(p), std::free(p);
    }
    template <class F> void wait(const F& f) {
      if (error) std::rethrow_exception(std::exchange(error, nullptr));
      f(queues);
    }
    void wait_quietly() {
      try { queues.wait_for_all(); }
      catch (...) { if (!error && !std::uncaught_exceptions()) error = std::current_exception(); }
    }
    void touch(const void* p, std::size_t bytes, DeviceMemory::Use use) {
      machine.begin_operation();
      machine.global.touch_all(p, bytes, use);
    }
    /// Where something is recorded, notes the buffers that an argument points into.
    template <class A> void note_uses(const A& argument) {
      if (!queues.recording()) return;
      for (std::size_t i = 0; i + sizeof(void*) <= sizeof(A); i += sizeof(void*)) {
        const void* p = nullptr;
        std::memcpy(&p, reinterpret_cast<const std::byte*>(&argument) + i, sizeof p);
        if (const unsigned serial = machine.global.serial(p)) queues.recording()->uses.push_back(serial);
      }
    }
  };
  struct Own {
    std::shared_ptr<Shared> shared;
    unsigned queue;
    std::byte* arena = nullptr;
    std::size_t bytes = 0;
    explicit Own(std::shared_ptr<Shared> s) : shared(std::move(s)), queue(shared->queues.open()) {}
    Own(const Own&) = delete;
    Own& operator=(const Own&) = delete;
    ~Own() {
      if (arena) shared->deallocate(arena);
      shared->queues.close(queue);
    }
  };
  explicit Emulated(std::shared_ptr<Shared> shared) : own_(std::make_shared<Own>(std::move(shared))) {}

  Shared& shared() const { return *own_->shared; }
  unsigned queue() const { return own_->queue; }
  void refuse_recording(const char* what) const {
    if (shared().queues.recording()) throw lamina::Error("while a graph is recorded ", what);
  }
  std::shared_ptr<Own> own_;
  lamina::Index free_ = lamina::Index(1) << 40;          // as it says
};

}  // namespace lamina_test
