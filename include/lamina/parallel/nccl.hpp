/// Ranks with a GPU each, which talk to each other through NCCL on the GPUs' queues. Under nvcc the words are those of NVIDIA's header; for any other compiler somebody must have given them one
/// before: a test of the library does, whose stand-in moves memory between threads.
#pragma once
#if defined(__CUDACC__)
#if !__has_include(<nccl.h>)
#error "lamina/nccl.hpp needs the header nccl.h of NVIDIA's NCCL: with CMake say -DLAMINA_WITH_NCCL=ON and link lamina::nccl, else give nvcc the folder that it is in"
#endif
#include <nccl.h>
#elif !defined(NCCL_VERSION_CODE)
#error "lamina/nccl.hpp is for files that nvcc compiles (name the file .cu, or give nvcc -x cu)"
#endif
#if NCCL_VERSION_CODE < 21400
#error "lamina/nccl.hpp needs NCCL 2.14 or later, whose calls need not wait"
#endif

#include <chrono>
#include <cmath>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "../core/device.hpp"
#include "any_communicator.hpp"
#include "operation.hpp"

namespace lamina {

/// Options of NcclRank.
struct NcclOptions {
  double deadline = 60;           // seconds that a rank waits for its GPU, which may wait for those of others: more than any of them works between two waits
  bool by_itself = false;         // a rank without others goes through NCCL too: to see whether it works
};

namespace detail {

/// NCCL's communicator of one rank. No call of NCCL waits for others: their end is asked for until a deadline, after which, as after any error, the communicator is aborted, which ends what runs on
/// the GPU, and then the other hosts are asked what they know. One thread uses it; any may call abort().
class NcclComm {
 public:
  /// All ranks, each with its GPU in use. Throws Error on all of them if one fails.
  [[gnu::cold]] NcclComm(const AnyCommunicator& hosts, const NcclOptions& options) : hosts_(hosts), deadline_(options.deadline) {
    if (!(deadline_ > 0) || !std::isfinite(deadline_)) throw Error("a deadline of ", deadline_, " seconds: give a number above 0");
    if (hosts_.size() == 1 && !options.by_itself) return;
    try {
      begin();
    } catch (...) {
      end("it did not begin");
      throw;
    }
  }
  NcclComm(const NcclComm&) = delete;
  NcclComm& operator=(const NcclComm&) = delete;
  [[gnu::cold]] ~NcclComm() {
    if (!comm_) return;
    const bool well = std::uncaught_exceptions() == exceptions_ && settled(ncclCommFinalize(comm_)) == ncclSuccess;
    if (well) ncclCommDestroy(comm_);
    else ncclCommAbort(comm_);
  }

  /// Whether there is anything to do.
  bool begun() const { return hosts_.size() > 1 || comm_; }
  /// call(comm) launches something, and returns what NCCL returned. Throws Error unless that went well.
  template <class F> void launch(const char* name, const F& call) { finish(name, settled(with_comm(call))); }
  /// The same of calls that belong together: calls(comm, note), where note(...) is told what each returned.
  template <class F> void launch_group(const char* name, const F& calls) {
    launch(name, [&](ncclComm_t comm) {
      ncclResult_t first = ncclGroupStart();
      if (first != ncclSuccess) return first;
      calls(comm, [&](ncclResult_t r) { if (first == ncclSuccess && r != ncclInProgress) first = r; });
      const ncclResult_t end = ncclGroupEnd();
      return first == ncclSuccess ? end : first;
    });
  }
  /// The host has waited for the GPU for so many seconds. Throws Error if it need not wait any longer.
  void look(double seconds) {
    const ncclResult_t now = state();
    if (now != ncclSuccess && now != ncclInProgress) finish("an operation on the GPU", now);
    if (seconds > deadline_) finish("an operation on the GPU", ncclInProgress);
  }
  /// Ends all that runs on the GPU; whatever is called later throws Error with the reason.
  void end(std::string_view reason) noexcept {
    const std::lock_guard alone(calls_);
    if (reason_.empty()) reason_ = reason;
    if (comm_) ncclCommAbort(std::exchange(comm_, nullptr));
  }

 private:
  [[gnu::cold]] void begin() {
    int version = 0;
    finish("ncclGetVersion", ncclGetVersion(&version));
    hosts_.agree(sentence({"NCCL ", version}));
    ncclUniqueId id{};
    if (hosts_.rank() == 0) finish("ncclGetUniqueId", ncclGetUniqueId(&id));
    hosts_.broadcast(std::span(&id, 1), 0, "the name of NCCL's ranks");
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    finish("ncclCommInitRankConfig", settled(ncclCommInitRankConfig(&comm_, hosts_.size(), id, hosts_.rank(), &config)));
    hosts_.barrier("all ranks of NCCL have begun");
  }

  template <class F> ncclResult_t with_comm(const F& call) {
    const std::lock_guard alone(calls_);
    if (!comm_) throw Error("rank ", hosts_.rank(), " of ", hosts_.size(), " cannot go on with NCCL: ", reason_);
    return call(comm_);
  }
  ncclResult_t state() {
    ncclResult_t now = ncclSuccess;
    const ncclResult_t asked = with_comm([&](ncclComm_t comm) { return ncclCommGetAsyncError(comm, &now); });
    return asked == ncclSuccess ? now : asked;
  }
  /// What became of it, or ncclInProgress if that takes too long.
  ncclResult_t settled(ncclResult_t now) {
    const auto begin = std::chrono::steady_clock::now();
    while (now == ncclInProgress) {
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      if (seconds > deadline_) break;
      if (seconds < 1e-3) std::this_thread::yield();
      else std::this_thread::sleep_for(std::chrono::microseconds(100));
      now = state();
    }
    return now;
  }
  /// Throws Error unless it went well, and ends all.
  void finish(const char* name, ncclResult_t result) {
    if (result != ncclSuccess) fail(name, result);
  }
  [[noreturn, gnu::cold]] void fail(const char* name, ncclResult_t result) {
    const bool of_others = result == ncclInProgress || result == ncclRemoteError;
    std::string reason = sentence({"rank ", hosts_.rank(), " of ", hosts_.size(), ": ", name});
    if (result == ncclInProgress) reason += sentence({" was not done within ", deadline_, " s"});
    else {
      const char* const last = ncclGetLastError(comm_);
      reason += sentence({" failed, ", ncclGetErrorString(result), last && *last ? ", " : "", last ? last : "", "; with NCCL_DEBUG=INFO in the environment NCCL says more, and each rank needs a GPU of its own"});
    }
    end(reason);
    if (of_others) try {
      hosts_.barrier("NCCL has failed");
    } catch (const std::exception& e) {
      reason += sentence({"; ", e.what()});
    }
    hosts_.abort(reason);
    throw Error(reason);
  }

  AnyCommunicator hosts_;
  const double deadline_;              // seconds
  const int exceptions_ = std::uncaught_exceptions();
  std::mutex calls_;                   // over all that follows
  ncclComm_t comm_ = nullptr;
  std::string reason_;
};

template <class T> inline constexpr ncclDataType_t nccl_type = std::is_same_v<T, float> ? ncclFloat32 : ncclFloat64;

/// x[i] = the sum of the numbers of all ranks in the order of tree_sum(); those of this rank are x, those of rank t others + t n.
template <class T> struct SumOfRanks {
  T* x; const T* others; Index n; int rank, ranks;                        // (n), (ranks, n)
  LAMINA_HD void operator()(Index i) const {
    T open[32];                                                           // branches that are not whole yet, the largest first
    int count = 0;
    for (int t = 0; t < ranks; ++t) {
      open[count++] = t == rank ? x[i] : others[t * n + i];
      for (int k = t; k & 1; k >>= 1) --count, open[count - 1] += open[count];
    }
    for (; count > 1; --count) open[count - 2] += open[count - 1];
    x[i] = open[0];
  }
};
/// What a rank by itself gathers.
struct CopyBytes { const std::byte* from; std::byte* to; LAMINA_HD void operator()(Index i) const { to[i] = from[i]; } };

}  // namespace detail

/// One rank with a GPU of its own: a communicator whose words between hosts go through another, Mpi or a rank of LocalGroup, which outlives it, and whose operations on the GPU's memory through
/// NCCL. They are launched on the stream of `device`, which a model must share. Exact sums are sent to each other part by part and added in the tree, so that their bits are those of any communicator;
/// others are NCCL's own. Where a rank dies, hangs or fails, all end within a deadline or a few: whoever waits for the GPU looks at NCCL meanwhile (while_waiting()).
/// They may be recorded in a graph if all ranks record and replay them together (NCCL's rule). With several GPUs in one process NCCL warns of deadlocks there.
template <Device D> class NcclRank : public QueuedRanks {
 public:
  /// All ranks. Throws Error if there is a rank that fails, or does not come.
  NcclRank(const AnyCommunicator& hosts, const D& device, const NcclOptions& options = {}) : hosts_(hosts), device_(device), beside_(device_.fork()), comm_(in_use(), options) {
    if (comm_.begun()) device_.while_waiting([this](double seconds) { comm_.look(seconds); });
  }
  NcclRank(const NcclRank&) = delete;
  NcclRank& operator=(const NcclRank&) = delete;
  ~NcclRank() override {
    leave();
    device_.while_waiting(nullptr);
  }

  // --- between hosts
  int rank() const { return hosts_.rank(); }
  int size() const { return hosts_.size(); }
  void all_reduce(std::span<float> x, std::string_view name) { hosts_.all_reduce(x, name); }
  void all_reduce(std::span<double> x, std::string_view name) { hosts_.all_reduce(x, name); }
  Index begin(std::span<float> x, std::string_view name) { return hosts_.begin(x, name); }
  Index begin(std::span<double> x, std::string_view name) { return hosts_.begin(x, name); }
  void finish(Index begun) { hosts_.finish(begun); }
  void finish() { hosts_.finish(); }
  template <class R> void broadcast(R&& x, int root, std::string_view name) { hosts_.broadcast(x, root, name); }
  template <class M, class R> void all_gather(const M& mine, R&& all, std::string_view name) { hosts_.all_gather(mine, all, name); }
  void barrier(std::string_view name) { hosts_.barrier(name); }
  void agree(std::string_view words) { hosts_.agree(words); }
  void abort(std::string_view reason) noexcept { comm_.end(reason), hosts_.abort(reason); }
  void abandon() noexcept {
    hosts_.abandon();
    leave();
  }

  // --- on the GPU
  QueuedRanks* queued() { return this; }
  const void* queue() const override { return device_.stream(); }
  void all_reduce(float* x, Index count, bool exact) override { sum(device_, x, count, exact); }
  void all_reduce(double* x, Index count, bool exact) override { sum(device_, x, count, exact); }
  void begin(float* x, Index count, bool exact) override { sum(beside_, x, count, exact); }
  void begin(double* x, Index count, bool exact) override { sum(beside_, x, count, exact); }
  void follow(void* device) override { beside_.wait_for(static_cast<D*>(device)->mark()); }
  void join() override { device_.wait_for(beside_.mark()); }
  void broadcast(void* x, std::size_t bytes) override {
    if (!comm_.begun() || !bytes) return;
    device_.use();
    comm_.launch("ncclBroadcast", [&](ncclComm_t comm) { return ncclBroadcast(x, x, bytes, ncclInt8, 0, comm, device_.stream()); });
  }
  void all_gather(const void* mine, std::size_t bytes, void* all) override {
    if (!bytes) return;
    if (!comm_.begun()) return parallel_for(device_, Index(bytes), detail::CopyBytes{static_cast<const std::byte*>(mine), static_cast<std::byte*>(all)});
    device_.use();
    comm_.launch("ncclAllGather", [&](ncclComm_t comm) { return ncclAllGather(mine, all, bytes, ncclInt8, comm, device_.stream()); });
  }

 private:
  const AnyCommunicator& in_use() {
    device_.use();
    return hosts_;
  }
  /// Until the GPU has done what it was given, or is stopped.
  void leave() noexcept {
    if (std::uncaught_exceptions() > exceptions_) comm_.end("an exception ended it");        // others may never come to what runs on the GPU
    for (D* d : {&beside_, &device_}) try {
      d->wait();
    } catch (...) {
    }
  }
  template <class T> void sum(D& on, T* x, Index count, bool exact) {
    if (!comm_.begun() || !count) return;
    on.use();
    if (!exact) return comm_.launch("ncclAllReduce", [&](ncclComm_t comm) { return ncclAllReduce(x, x, std::size_t(count), detail::nccl_type<T>, ncclSum, comm, on.stream()); });
    const auto part = [&](int r) { return std::span(x + detail::part_begin(count, r, size()), x + detail::part_begin(count, r + 1, size())); };
    const std::span<T> mine = part(rank());
    T* const others = room<T>(Index(mine.size()) * size());
    exchange<T>(on, [&](int r) { return part(r); }, [&](int r) { return std::span(others + r * Index(mine.size()), mine.size()); });
    parallel_for(on, Index(mine.size()), detail::SumOfRanks<T>{mine.data(), others, Index(mine.size()), rank(), size()});
    exchange<T>(on, [&](int) { return mine; }, part);
  }
  /// Each other rank r is sent to(r), and from it comes from(r).
  template <class T, class To, class From> void exchange(const D& on, const To& to, const From& from) {
    comm_.launch_group("a group of ncclSend and ncclRecv", [&](ncclComm_t comm, const auto& note) {
      for (int k = 1; k < size(); ++k) {
        const int r = (rank() + k) % size();
        if (const std::span<T> x = to(r); !x.empty()) note(ncclSend(x.data(), x.size(), detail::nccl_type<T>, r, comm, on.stream()));
        if (const std::span<T> x = from(r); !x.empty()) note(ncclRecv(x.data(), x.size(), detail::nccl_type<T>, r, comm, on.stream()));
      }
    });
  }
  /// Room for so many numbers. What became too small stays: it may be part of a graph.
  template <class T> T* room(Index count) {
    const Index bytes = count * Index(sizeof(T));
    if (rooms_.empty() || rooms_.back()->count() < bytes) rooms_.push_back(std::make_unique<Buffer<D, std::byte>>(device_, bytes));
    return reinterpret_cast<T*>(rooms_.back()->data());
  }

  AnyCommunicator hosts_;
  D device_, beside_;                                           // the second for sums that are begun while the first works
  const int exceptions_ = std::uncaught_exceptions();
  std::vector<std::unique_ptr<Buffer<D, std::byte>>> rooms_;
  detail::NcclComm comm_;                                       // ends first: what it launched uses the rooms
};

}  // namespace lamina
