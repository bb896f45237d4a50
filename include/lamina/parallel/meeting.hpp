/// Where the ranks of one process wait for each other.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "../core/shared_tasks.hpp"
#include "operation.hpp"

namespace lamina::detail {

/// Each rank comes with its work; once all have come with the same they do it, each its part, and part. Whoever does not come in time, gives up or ends makes it fail, for good and for all.
class Meeting {
 public:
  Meeting(int size, double deadline) : deadline_(deadline), tasks_(size), ranks_(std::size_t(size)) {}
  int size() const { return int(ranks_.size()); }
  SharedTasks& tasks() { return tasks_; }

  /// Returns when all ranks have come with the same operation. Throws Error on all of them if that is not to be.
  void come(int rank, const Request& work) {
    std::unique_lock lock(mutex_);
    Rank& me = ranks_[std::size_t(rank)];
    me.work = work;
    for (int r = 0; r < size() && failure_.empty(); ++r)
      if (ranks_[std::size_t(r)].ended) fail(sentence({"rank ", r, " has ended, ", whereabouts(r)}));
    if (!failure_.empty()) give_up(rank, work);
    me.here = true;
    if (++here_ == size()) {
      for (int r = 1; r < size(); ++r)
        if (const Operation &one = ranks_[0].work.operation, &other = ranks_[std::size_t(r)].work.operation; !(one == other)) {
          fail(disagreement(0, one, r, other));
          give_up(rank, work);
        }
      here_ = 0;
      for (Rank& r : ranks_) r.here = false, ++r.done;
      ++meetings_;
      wake_.notify_all();
      return;
    }
    const std::uint64_t meeting = meetings_;
    look_out(lock, work.idle ? rank : nobody, [&] { return meetings_ != meeting || failed_; });
    const auto end = end_of_patience();
    while (meetings_ == meeting && failure_.empty())
      if (wake_.wait_until(lock, end) == std::cv_status::timeout && meetings_ == meeting && failure_.empty()) fail(late());
    // Once all have come they use each other's memory: nobody may leave then.
    if (meetings_ == meeting) give_up(rank, work);
  }

  /// Returns when all ranks have done their part. Only the library's own work lies between, and an optimizer's: it takes what it takes. A rank that failed in its part says why; then it throws Error on
  /// the others.
  void part(int rank, const char* reason = nullptr) {
    std::unique_lock lock(mutex_);
    const Request& work = ranks_[std::size_t(rank)].work;
    if (reason) {
      if (failure_.empty()) fail(sentence({"rank ", rank, " gave up, in ", words(work.operation), ": ", *reason ? reason : "no reason is given"}));
      broken_ = true;
    }
    const std::uint64_t parting = partings_;
    if (++parted_ == size()) {
      parted_ = 0;
      ++partings_;
      wake_.notify_all();
    }
    look_out(lock, work.idle ? rank : nobody, [&] { return partings_ != parting; });
    wake_.wait(lock, [&] { return partings_ != parting; });
    if (broken_ && !reason) give_up(rank, work);
  }

  /// The memory of a rank, between come() and part().
  const Request& work(int rank) const { return ranks_[std::size_t(rank)].work; }

  void abort(int rank, std::string_view reason) noexcept {
    const std::lock_guard lock(mutex_);
    if (failure_.empty()) fail(sentence({"rank ", rank, " gave up, ", whereabouts(rank), ": ", reason.empty() ? "no reason is given" : reason}));
  }
  /// The rank comes no more.
  void end(int rank) {
    const std::lock_guard lock(mutex_);
    ranks_[std::size_t(rank)].ended = true;
    if (here_ > 0 && failure_.empty()) fail(sentence({"rank ", rank, " has ended, ", whereabouts(rank)}));
    wake_.notify_all();
  }
  /// For one that has ended: returns once all have, or after the deadline. Those that have not.
  std::vector<int> wait_for_ends() {
    std::unique_lock lock(mutex_);
    std::vector<int> others;
    const auto all_ended = [&] {
      others.clear();
      for (int r = 0; r < size(); ++r)
        if (!ranks_[std::size_t(r)].ended) others.push_back(r);
      return others.empty();
    };
    wake_.wait_until(lock, end_of_patience(), all_ended);
    return others;
  }
  double deadline() const { return deadline_; }

  /// Before a rank sleeps, from which it takes some 30 us to wake, it looks for a while whether what it waits for is there. Between two looks it helps others with their tasks, or lets others have its core.
  template <class F> void look_out(int rank, const F& there) {
    const auto later = [] { return std::chrono::steady_clock::now() + std::chrono::microseconds(500); };
    for (auto end = later(); !there();) {
      if (rank != nobody && tasks_.help(rank)) end = later();
      else if (std::chrono::steady_clock::now() < end) std::this_thread::yield();
      else return;
    }
  }

 private:
  struct Rank {
    Request work;                        // the last it came with
    std::uint64_t done = 0;           // operations
    bool here = false, ended = false;
  };

  static constexpr int nobody = -1;

  template <class F> void look_out(std::unique_lock<std::mutex>& lock, int rank, const F& there) {
    if (there()) return;
    lock.unlock();
    look_out(rank, there);
    lock.lock();
  }
  std::chrono::steady_clock::time_point end_of_patience() const {
    return std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::duration<double>(deadline_));
  }
  std::string whereabouts(int rank) const {
    const Rank& r = ranks_[std::size_t(rank)];
    return r.here ? "in " + words(r.work.operation) : r.done ? "after " + words(r.work.operation) : "before its first operation";
  }
  std::string late() const {
    int r = 0;
    while (ranks_[std::size_t(r)].here) ++r;
    return sentence({"rank ", r, " did not come within ", deadline_, " s, it was last seen ", whereabouts(r)});
  }
  void fail(std::string reason) {
    failure_ = std::move(reason);
    failed_ = true;
    wake_.notify_all();
  }
  [[noreturn, gnu::cold]] void give_up(int rank, const Request& work) const {
    throw Error("rank ", rank, " of ", size(), " cannot go on with ", words(work.operation), ": ", failure_);
  }

  const double deadline_;             // seconds
  SharedTasks tasks_;                 // of the ranks
  std::mutex mutex_;                  // over all that follows
  std::condition_variable wake_;
  std::vector<Rank> ranks_;
  int here_ = 0, parted_ = 0;         // ranks
  std::atomic<std::uint64_t> meetings_ = 0, partings_ = 0;
  std::string failure_;
  std::atomic<bool> failed_ = false;  // there is a failure_
  bool broken_ = false;               // a rank failed in its part
};

}  // namespace lamina::detail
