/// Stands in for NCCL: the calls that Lamina makes, in our own words, between threads of one process whose devices are emulated. It moves what it is told to when a queue comes to it, takes its time
/// with all that may take time, and writes down what NCCL forbids: calls out of place, groups that do not close, sends that nobody receives, and whatever comes after the end of a communicator.
/// A test makes a call fail, a rank hang, or an error come later.
#pragma once
#include <atomic>
#include <chrono>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#define NCCL_VERSION_CODE 23203

enum ncclResult_t { ncclSuccess, ncclUnhandledCudaError, ncclSystemError, ncclInternalError, ncclInvalidArgument, ncclInvalidUsage, ncclRemoteError, ncclInProgress };
enum ncclDataType_t { ncclInt8 = 0, ncclFloat32 = 7, ncclFloat64 = 8 };
enum ncclRedOp_t { ncclSum };
struct ncclUniqueId { char internal[128]; };
struct ncclConfig_t { unsigned magic; int blocking; };
#define NCCL_CONFIG_INITIALIZER {0xcafebeef, INT_MIN}

namespace lamina_test::nccl {

/// A queue of a GPU, to NCCL.
struct Stream {
  struct Stretch { const void* p; std::size_t bytes; bool writes; };
  virtual ~Stream() = default;
  virtual void launch(std::vector<Stretch> memory, std::function<void()> work) = 0;
  virtual void waits(double seconds) = 0;        // what runs has waited so long for others; may throw: the host gives up
};

/// What is to go wrong, and what was done, in one test.
struct Test {
  std::atomic<int> fails_at = -1, fails_on = -1;           // the call, counted from 0 of each rank, and the rank that it fails on
  std::atomic<int> hangs_at = -1;                          // a rank whose communicator never is there, to itself
  std::atomic<int> error_at = -1;                          // a rank that has an asynchronous error from its first operation on
  std::atomic<bool> tells_others = false;                  // ranks learn that others have aborted
  std::mutex mutex;                                        // over all that follows
  std::map<int, std::vector<std::string>> calls;           // of each rank
  std::map<int, std::map<Stream*, std::set<std::string>>> streams;      // of each rank, what it called on each
  std::vector<std::string> faults;
  int alive = 0;                                           // communicators

  void fault(std::string words) {
    const std::lock_guard lock(mutex);
    faults.push_back(std::move(words));
  }
};
inline std::shared_ptr<Test> test = std::make_shared<Test>();

enum class Kind { send, receive, reduce, gather, broadcast };
struct Operation {
  Kind kind; const std::byte* from; std::byte* to; std::size_t bytes; ncclDataType_t type; int peer;
  bool operator==(const Operation& o) const { return kind == o.kind && bytes == o.bytes && type == o.type; }      // as other ranks see it
};

/// All ranks with one name.
struct World {
  struct Sent { std::vector<std::byte> data; std::shared_ptr<bool> taken; };
  struct Met { std::vector<Operation> all; std::vector<std::vector<std::byte>> data; int here = 0; };
  std::mutex mutex;
  int size = 0, came = 0, aborted = 0, finalized = 0;
  std::map<std::pair<int, int>, std::deque<Sent>> sent;    // from one to another
  std::deque<Met> met;                                     // operations of all
};
inline std::mutex worlds_mutex;
inline std::map<std::string, std::shared_ptr<World>> worlds;

}  // namespace lamina_test::nccl

/// A communicator of one rank.
struct ncclComm {
  std::shared_ptr<lamina_test::nccl::World> world;
  int rank = 0, polls = 0;
  bool there = false, finalizing = false, ended = false;
  std::atomic<bool> aborted = false;
  std::size_t collectives = 0;                             // that have begun
  ncclResult_t error = ncclSuccess;
  std::function<void()> pending;                           // a launch that comes to pass while somebody asks
};
using ncclComm_t = ncclComm*;
using cudaStream_t = lamina_test::nccl::Stream*;

namespace lamina_test::nccl {

inline std::deque<std::unique_ptr<ncclComm>> comms;        // for ever: who uses one that is gone is told so
struct Group {
  int depth = 0;
  ncclComm_t comm = nullptr;
  cudaStream_t stream = nullptr;
  std::vector<Operation> operations;
};
inline thread_local Group group;
inline thread_local std::string last_error;

/// Whether the call may be made; one that was to fail does.
inline ncclResult_t called(ncclComm_t comm, const std::string& name, bool wants_ready = true) {
  const std::lock_guard lock(test->mutex);
  auto& of_rank = test->calls[comm->rank];
  of_rank.push_back(name);
  if (comm->ended) test->faults.push_back(name + " after the end");
  if (wants_ready && (!comm->there || comm->pending)) test->faults.push_back(name + " while the communicator is not ready");
  if (comm->rank == test->fails_on && int(of_rank.size()) - 1 == test->fails_at) return last_error = "the cable is loose", ncclSystemError;
  return ncclSuccess;
}

inline std::size_t bytes_of(std::size_t count, ncclDataType_t type) { return count * (type == ncclFloat64 ? 8 : type == ncclFloat32 ? 4 : 1); }
template <class T> void add(std::byte* to, const std::byte* from, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes / sizeof(T); ++i) reinterpret_cast<T*>(to)[i] += reinterpret_cast<const T*>(from)[i];
}

/// What a launch does when its queue comes to it: all operations at once.
class Running {
 public:
  Running(ncclComm_t comm, cudaStream_t stream, std::vector<Operation> operations) : comm_(comm), stream_(stream), operations_(std::move(operations)) {}
  void operator()() const {
    if (comm_->ended && !comm_->aborted) test->fault("something runs after the end");
    if (comm_->ended) return;
    World& w = *comm_->world;
    const std::size_t first = comm_->collectives;
    if (comm_->error != ncclSuccess) wait([] { return false; });
    std::vector<std::shared_ptr<bool>> taken;
    {
      const std::lock_guard lock(w.mutex);
      for (const Operation& o : operations_)
        if (o.kind == Kind::send) w.sent[{comm_->rank, o.peer}].push_back({{o.from, o.from + o.bytes}, taken.emplace_back(std::make_shared<bool>(false))});
        else if (o.kind != Kind::receive) {
          const std::size_t number = comm_->collectives++;
          if (w.met.size() <= number) w.met.resize(number + 1);
          World::Met& m = w.met[number];
          m.all.resize(std::size_t(w.size)), m.data.resize(std::size_t(w.size));
          m.all[std::size_t(comm_->rank)] = o, m.data[std::size_t(comm_->rank)] = {o.from, o.from + o.bytes}, ++m.here;
        }
    }
    std::size_t at = first;
    for (const Operation& o : operations_)
      if (o.kind == Kind::receive) {
        wait([&] {
          auto& from = w.sent[{o.peer, comm_->rank}];
          if (from.empty()) return false;
          if (from.front().data.size() != o.bytes) test->fault("a rank sends what another does not receive");
          else std::memcpy(o.to, from.front().data.data(), o.bytes);
          *from.front().taken = true;
          return from.pop_front(), true;
        });
      } else if (o.kind != Kind::send) {
        const std::size_t number = at++;
        wait([&] { return w.met[number].here == w.size && (do_all(o, w.met[number]), true); });
      }
    for (const auto& t : taken) wait([&] { return *t; });
  }

 private:
  /// Until done(), of which the lock is held; or as long as neither the communicator is aborted nor the host loses its patience.
  template <class F> void wait(const F& done) const {
    const auto begin = std::chrono::steady_clock::now();
    while (!comm_->aborted) {
      {
        const std::lock_guard lock(comm_->world->mutex);
        if (done()) return;
      }
      stream_->waits(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
  /// All have come: this rank's part of it.
  static void do_all(const Operation& mine, const World::Met& m) {
    for (const Operation& o : m.all)
      if (!(o == mine)) return test->fault("ranks do different things at once");
    if (mine.kind == Kind::broadcast) return void(std::memcpy(mine.to, m.data[std::size_t(mine.peer)].data(), mine.bytes));
    std::memset(mine.to, 0, mine.kind == Kind::reduce ? mine.bytes : 0);
    for (std::size_t r = m.data.size(); r-- > 0;)            // in an order that is nobody else's
      if (mine.kind == Kind::gather) std::memcpy(mine.to + r * mine.bytes, m.data[r].data(), mine.bytes);
      else (mine.type == ncclFloat64 ? add<double> : add<float>)(mine.to, m.data[r].data(), mine.bytes);
  }

  ncclComm_t comm_;
  cudaStream_t stream_;
  std::vector<Operation> operations_;
};

/// Launches it once somebody has asked a few times whether it is.
inline ncclResult_t launch(ncclComm_t comm, cudaStream_t stream, std::vector<Operation> operations) {
  if (!comm || operations.empty()) return ncclSuccess;
  std::vector<Stream::Stretch> memory;
  for (const Operation& o : operations) {
    if (o.from) memory.push_back({o.from, o.bytes, false});
    if (o.to) memory.push_back({o.to, o.bytes * (o.kind == Kind::gather ? std::size_t(comm->world->size) : 1), true});
  }
  if (comm->rank == test->error_at) comm->error = ncclRemoteError;
  comm->polls = 2;
  comm->pending = [=] { stream->launch(memory, Running(comm, stream, operations)); };
  return ncclInProgress;
}
inline ncclResult_t add(const char* name, ncclComm_t comm, cudaStream_t stream, Operation o, bool in_group = false) {
  const ncclResult_t r = called(comm, name);
  {
    const std::lock_guard lock(test->mutex);
    test->streams[comm->rank][stream].insert(name);
  }
  if (in_group && !group.depth) test->fault(std::string(name) + " outside of a group");
  if (r != ncclSuccess) return r;
  if (!group.depth) return launch(comm, stream, {o});
  if (group.comm && (group.comm != comm || group.stream != stream)) test->fault("a group of two communicators or streams");
  group.comm = comm, group.stream = stream, group.operations.push_back(o);
  return ncclSuccess;
}
inline const std::byte* in(const void* p) { return static_cast<const std::byte*>(p); }
inline std::byte* out(void* p) { return static_cast<std::byte*>(p); }

}  // namespace lamina_test::nccl

inline ncclResult_t ncclGetVersion(int* version) { return *version = NCCL_VERSION_CODE, ncclSuccess; }
inline const char* ncclGetErrorString(ncclResult_t r) { return r == ncclSystemError ? "unhandled system error" : r == ncclRemoteError ? "remote process exited or there was a network error" : "another error"; }
inline const char* ncclGetLastError(ncclComm_t) { return lamina_test::nccl::last_error.c_str(); }
inline ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  using namespace lamina_test::nccl;
  const std::lock_guard lock(worlds_mutex);
  *id = {};
  std::snprintf(id->internal, sizeof id->internal, "world %zu", worlds.size());
  worlds[id->internal] = std::make_shared<World>();
  return ncclSuccess;
}
inline ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int size, ncclUniqueId id, int rank, ncclConfig_t* config) {
  using namespace lamina_test::nccl;
  const std::lock_guard lock(worlds_mutex);
  *comm = comms.emplace_back(std::make_unique<ncclComm>()).get();
  if (config->magic != 0xcafebeef || config->blocking != 0) test->fault("a communicator that may block");
  const auto world = worlds.find(id.internal);
  if (world == worlds.end() || rank < 0 || rank >= size) return ncclInvalidArgument;
  (*comm)->world = world->second, (*comm)->rank = rank;
  {
    const std::lock_guard alone(test->mutex);
    ++test->alive;
  }
  if (const ncclResult_t r = called(*comm, "ncclCommInitRankConfig", false); r != ncclSuccess) return r;
  const std::lock_guard alone((*comm)->world->mutex);
  (*comm)->world->size = size;
  ++(*comm)->world->came;
  return (*comm)->polls = 3, ncclInProgress;
}
inline ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* now) {
  using namespace lamina_test::nccl;
  if (comm->ended) return test->fault("ncclCommGetAsyncError after the end"), ncclInvalidArgument;
  bool all, others_gone;
  {
    const std::lock_guard lock(comm->world->mutex);
    all = comm->world->came == comm->world->size && comm->rank != test->hangs_at;
    others_gone = test->tells_others && comm->world->aborted > 0;
  }
  *now = ncclInProgress;
  if (comm->error != ncclSuccess && !comm->pending) *now = comm->error;
  else if (others_gone) *now = ncclRemoteError;
  else if (comm->polls > 0) --comm->polls;
  else if (comm->there || all) {
    comm->there = true, *now = ncclSuccess;
    if (comm->pending) std::exchange(comm->pending, nullptr)();
  }
  return ncclSuccess;
}
inline ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  using namespace lamina_test::nccl;
  const ncclResult_t r = called(comm, "ncclCommFinalize");
  comm->finalizing = true, comm->polls = 2;
  const std::lock_guard lock(comm->world->mutex);
  if (++comm->world->finalized == comm->world->size)
    for (const auto& [pair, sent] : comm->world->sent)
      if (!sent.empty()) test->fault("somebody sent what nobody received");
  return r == ncclSuccess ? ncclInProgress : r;
}
inline ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  using namespace lamina_test::nccl;
  called(comm, "ncclCommDestroy");
  if (!comm->finalizing || comm->polls > 0) test->fault("a communicator is destroyed that was not finalized");
  comm->ended = true;
  const std::lock_guard lock(test->mutex);
  return --test->alive, ncclSuccess;
}
inline ncclResult_t ncclCommAbort(ncclComm_t comm) {
  using namespace lamina_test::nccl;
  called(comm, "ncclCommAbort", false);
  comm->ended = comm->aborted = true, comm->pending = nullptr;
  {
    const std::lock_guard lock(comm->world->mutex);
    ++comm->world->aborted;
  }
  const std::lock_guard lock(test->mutex);
  return --test->alive, ncclSuccess;
}
inline ncclResult_t ncclGroupStart() { return ++lamina_test::nccl::group.depth, ncclSuccess; }
inline ncclResult_t ncclGroupEnd() {
  using namespace lamina_test::nccl;
  if (--group.depth < 0) return test->fault("ncclGroupEnd without its beginning"), group.depth = 0, ncclInvalidUsage;
  if (group.depth) return ncclSuccess;
  const Group done = std::exchange(group, {});
  return launch(done.comm, done.stream, done.operations);
}
inline ncclResult_t ncclSend(const void* x, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream) {
  using namespace lamina_test::nccl;
  return add("ncclSend", comm, stream, {Kind::send, in(x), nullptr, bytes_of(count, type), type, peer}, true);
}
inline ncclResult_t ncclRecv(void* x, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream) {
  using namespace lamina_test::nccl;
  return add("ncclRecv", comm, stream, {Kind::receive, nullptr, out(x), bytes_of(count, type), type, peer}, true);
}
inline ncclResult_t ncclAllReduce(const void* x, void* y, std::size_t count, ncclDataType_t type, ncclRedOp_t, ncclComm_t comm, cudaStream_t stream) {
  using namespace lamina_test::nccl;
  return add("ncclAllReduce", comm, stream, {Kind::reduce, in(x), out(y), bytes_of(count, type), type, 0});
}
inline ncclResult_t ncclAllGather(const void* x, void* all, std::size_t count, ncclDataType_t type, ncclComm_t comm, cudaStream_t stream) {
  using namespace lamina_test::nccl;
  return add("ncclAllGather", comm, stream, {Kind::gather, in(x), out(all), bytes_of(count, type), type, 0});
}
inline ncclResult_t ncclBroadcast(const void* x, void* y, std::size_t count, ncclDataType_t type, int root, ncclComm_t comm, cudaStream_t stream) {
  using namespace lamina_test::nccl;
  return add("ncclBroadcast", comm, stream, {Kind::broadcast, in(x), out(y), bytes_of(count, type), type, root});
}
