/// Threads that help each other with their tasks.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "task.hpp"

namespace lamina::detail {

/// Several threads of one process, each with a place of its own. One that waits for others takes tasks of theirs meanwhile: so what holds up one of them, or is more work than the others have, holds up
/// nobody else for longer than a task takes. Each is helped by the few places behind its own, so that it needs no memory for workers by the dozen.
class SharedTasks {
 public:
  explicit SharedTasks(int places) : places_(std::size_t(places)), workers_(std::min(places, 4)) {}
  /// Threads that may be at work on the tasks of one.
  int workers() const { return workers_; }

  /// f(task, worker) for every task in [0, tasks), called by the thread of this place, which is worker 0, and by those that help; worker in [0, workers()). Throws what one of the tasks threw.
  void run(int place, Index tasks, FunctionRef<Index, int> f) {
    Place& mine = places_[std::size_t(place)];
    if (mine.f) {                                                                             // a task that shares out tasks of its own
      for (Index task = 0; task < tasks; ++task) f(task, 0);
      return;
    }
    mine.f = &f, mine.done = 0;
    mine.tasks.store(tasks, std::memory_order_release);
    const std::uint64_t first = mine.ticket.load(std::memory_order_relaxed) / next_job * next_job + next_job;
    mine.ticket.store(first, std::memory_order_release);
    for (Index task; (task = Index(mine.ticket.fetch_add(1, std::memory_order_acq_rel) - first)) < tasks;) mine.do_task(task, 0);
    while (mine.done.load(std::memory_order_acquire) < tasks) std::this_thread::yield();
    mine.ticket.store(first + (next_job - 1), std::memory_order_release);                     // none of the tasks of a job to come is taken for one of this
    mine.f = nullptr;
    if (mine.failure) std::rethrow_exception(std::exchange(mine.failure, nullptr));
  }

  /// Does one task of another place, for the thread of this one; false if there is none.
  bool help(int place) {
    for (int worker = 1; worker < workers_; ++worker) {
      Place& other = places_[(std::size_t(place) + places_.size() - std::size_t(worker)) % places_.size()];
      std::uint64_t ticket = other.ticket.load(std::memory_order_acquire);
      const Index task = Index(ticket % next_job);
      // Where the job has ended meanwhile the ticket is another; and where it is the same the job does not end before this task does.
      if (task >= other.tasks.load(std::memory_order_acquire) || !other.ticket.compare_exchange_strong(ticket, ticket + 1, std::memory_order_acq_rel, std::memory_order_relaxed)) continue;
      other.do_task(task, worker);
      return true;
    }
    return false;
  }

 private:
  static constexpr std::uint64_t next_job = std::uint64_t(1) << 32;

  struct alignas(64) Place {
    std::atomic<std::uint64_t> ticket = next_job - 1;  // which job, and which of its tasks is next: between two jobs none
    std::atomic<Index> tasks = 0, done = 0;            // of that job
    const FunctionRef<Index, int>* f = nullptr;        // null between two jobs
    std::mutex failing;
    std::exception_ptr failure;

    void do_task(Index task, int worker) {
      try {
        (*f)(task, worker);
      } catch (...) {
        const std::lock_guard lock(failing);
        failure = std::current_exception();
      }
      done.fetch_add(1, std::memory_order_release);
    }
  };
  std::vector<Place> places_;
  int workers_;
};

}  // namespace lamina::detail
