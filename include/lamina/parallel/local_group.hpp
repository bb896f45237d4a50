/// Ranks that are threads of one process.
#pragma once
#include <cmath>
#include <memory>

#include "end_process.hpp"
#include "meeting.hpp"
#include "operations.hpp"
#include "shared_ranks.hpp"

namespace lamina {

/// Options of LocalGroup.
struct LocalGroupOptions {
  /// Seconds that ranks wait for one that does not come, and after a failure for all to come to their ends: more than any of them works alone.
  double deadline = 60;
};

namespace detail {

/// Each rank does its part of the work in the memory of all: it adds up a part of a span over all ranks, say, and puts the sum into that of all.
class LocalTransport {
 public:
  LocalTransport(std::shared_ptr<Meeting> meeting, int rank) : meeting_(std::move(meeting)), rank_(rank), all_(std::size_t(size())) {}
  int rank() const { return rank_; }
  int size() const { return meeting_->size(); }

  void perform(const Request& work) {
    meeting_->come(rank_, work);
    if (work.operation.action == Action::barrier) return;
    try {
      do_part(work);
    } catch (const std::exception& e) {
      meeting_->part(rank_, e.what());
      throw;
    } catch (...) {
      meeting_->part(rank_, "it threw something that is no std::exception");
      throw;
    }
    meeting_->part(rank_);
  }
  void abort(std::string_view reason) noexcept { meeting_->abort(rank_, reason); }
  template <class F> void help_until(const F& there) { meeting_->look_out(rank_, there); }
  SharedTasks& tasks() { return meeting_->tasks(); }

 private:
  void do_part(const Request& work) {
    switch (work.operation.action) {
      case Action::all_reduce_floats: reduce_part<float>(work); break;
      case Action::all_reduce_doubles: reduce_part<double>(work); break;
      case Action::broadcast: copy(work.out, meeting_->work(work.operation.root).out, work.operation.bytes); break;
      case Action::all_gather:
        for (int r = 0; r < size(); ++r) copy(work.out + std::size_t(r) * work.operation.bytes, meeting_->work(r).in, work.operation.bytes);
        break;
      case Action::barrier: break;
      case Action::work_together:
        for (int r = 0; r < size(); ++r) all_[std::size_t(r)] = meeting_->work(r).in;
        (*work.part)(all_.data());
        break;
    }
  }
  static void copy(std::byte* to, const std::byte* from, std::size_t bytes) {
    if (to != from && bytes > 0) std::memcpy(to, from, bytes);
  }
  /// Of this part nobody else reads or writes anything, in whose memory it may be.
  template <class T> void reduce_part(const Request& work) {
    const Index n = Index(work.operation.bytes / sizeof(T)), from = part_begin(n, rank_, size()), count = part_begin(n, rank_ + 1, size()) - from;
    const auto at = [&](int r) { return reinterpret_cast<T*>(meeting_->work(r).out) + from; };
    tree_sum<T>(size(), count, at);
    for (int r = 1; r < size(); ++r) copy(reinterpret_cast<std::byte*>(at(r)), reinterpret_cast<const std::byte*>(at(0)), std::size_t(count) * sizeof(T));
  }

  std::shared_ptr<Meeting> meeting_;
  int rank_;
  std::vector<const void*> all_;
};

}  // namespace detail

/// `size` communicators for as many threads. run(f) starts the threads, or a program gives each its rank: group.rank(2).
class LocalGroup {
 public:
  class Rank : public detail::Operations<detail::LocalTransport>, public SharedRanks {
   public:
    Rank(std::shared_ptr<detail::Meeting> meeting, int rank) : Operations(std::in_place, std::move(meeting), rank) {}
    SharedRanks* shared() { return this; }
    detail::SharedTasks* tasks() override { return &transport().tasks(); }
    void work_together(const void* mine, std::size_t bytes, std::string_view name, detail::FunctionRef<const void* const*> part) override {
      run({{detail::Action::work_together, 0, bytes, name}, static_cast<const std::byte*>(mine), nullptr, &part});
    }
  };

  /// Throws Error unless there is a rank and a deadline.
  explicit LocalGroup(int size, const LocalGroupOptions& options = {}) : meeting_(std::make_shared<detail::Meeting>(checked(size, options), options.deadline)) {
    for (int r = 0; r < size; ++r) ranks_.push_back(std::make_unique<Rank>(meeting_, r));
  }

  int size() const { return meeting_->size(); }
  /// For one thread.
  Rank& rank(int r) {
    if (r < 0 || r >= size()) throw Error("there is no rank ", r, " among ", size(), ", counted from 0");
    return *ranks_[std::size_t(r)];
  }

  /// f(rank) for all ranks at once, rank 0 on this thread. Returns when all have ended, and throws what the first threw that threw anything. Once: a rank that has ended comes no more.
  /// A rank that waits for ever in its own code cannot be ended: if another has failed and not all have ended a deadline later, the process ends with exit code 1, as by MPI_Abort, and says so on the
  /// standard error stream.
  template <class F> void run(const F& f) {
    std::mutex mutex;
    std::exception_ptr first;
    // Of all ranks so many were begun.
    const auto failed = [&](Rank& rank, int begun) {
      bool is_first = false;
      {
        const std::lock_guard lock(mutex);
        if (!first) first = std::current_exception(), is_first = true;
      }
      tell(rank);                               // now the others may throw too
      meeting_->end(rank.rank());
      for (int r = begun; r < size(); ++r) meeting_->end(r);
      // Here and not where threads are joined: it may be rank 0 that does not end.
      if (is_first)
        if (const std::vector<int> others = meeting_->wait_for_ends(); !others.empty()) end_all(rank.rank(), others);
    };
    const auto one = [&](Rank& rank) {
      try {
        f(rank);
        rank.abandon();
        meeting_->end(rank.rank());
      } catch (...) {
        failed(rank, size());
      }
    };
    std::vector<std::thread> threads;
    bool started = false;
    try {
      for (int r = 1; r < size(); ++r) threads.push_back(detail::start_thread([&one, &rank = *ranks_[std::size_t(r)]] { one(rank); }));
      started = true;
    } catch (...) {
      failed(*ranks_[0], int(threads.size()) + 1);
    }
    if (started) one(*ranks_[0]);
    for (std::thread& t : threads) t.join();
    if (first) std::rethrow_exception(first);
  }

 private:
  static int checked(int size, const LocalGroupOptions& options) {
    if (size < 1) throw Error("a group of ", size, " ranks: give it at least one");
    if (!(options.deadline > 0) || !std::isfinite(options.deadline)) throw Error("a deadline of ", options.deadline, " seconds: give a number above 0");
    return size;
  }
  /// The others, of the exception that is being handled.
  static void tell(Rank& rank) {
    try {
      guarded(rank, [] { throw; });
    } catch (...) {
    }
  }
  /// Of the exception that is being handled nobody else would hear.
  [[noreturn, gnu::cold]] void end_all(int rank, const std::vector<int>& others) const {
    const std::string who = detail::words(others);
    std::string why = "it threw something that is no std::exception";
    try {
      throw;
    } catch (const std::exception& e) {
      why = e.what();
    } catch (...) {
    }
    detail::end_process(detail::sentence({who, " did not come to an end within ", meeting_->deadline(), " s of what failed in rank ", rank, " (", why,
        "). A thread cannot be ended, so this process is: find out what keeps ", who, ", such as a callback or a source of data that waits for something, or give the group a longer deadline\n"}));
  }

  std::shared_ptr<detail::Meeting> meeting_;
  std::vector<std::unique_ptr<Rank>> ranks_;
};
static_assert(Communicator<LocalGroup::Rank>);

}  // namespace lamina
