/// A thread that does begun operations in their order, while the one that began them goes on.
#pragma once
#include <cfenv>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <vector>

#include "../core/start_thread.hpp"
#include "../core/task.hpp"
#include "operation.hpp"

namespace lamina::detail {

/// One thread gives it work. After a failure it does nothing more, and throws what the work threw at whoever waits.
class Queue {
 public:
  /// perform(work) does it.
  explicit Queue(FunctionRef<const Request&> perform) : perform_(perform) {}
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;
  ~Queue() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  /// The work is done with the caller's rounding and its treatment of numbers too small for a normal float.
  void begin(const Request& work) {
    if (!thread_.joinable()) thread_ = start_thread([this] { do_work(); });
    std::unique_lock lock(mutex_);
    if (failure_) std::rethrow_exception(failure_);
    if (done_ == jobs_.size()) jobs_.clear(), first_ += done_, done_ = 0;    // the memory stays
    jobs_.emplace_back().work = work;
    std::fegetenv(&jobs_.back().environment);
    lock.unlock();
    wake_.notify_all();
  }
  /// Waits until so many of all that was ever begun are done.
  void wait_for(std::uint64_t count) {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [&] { return first_ + done_ >= count || failure_; });
    if (failure_) std::rethrow_exception(failure_);
  }
  /// Whether that is so, or will never be.
  bool has_done(std::uint64_t count) const {
    const std::lock_guard lock(mutex_);
    return first_ + done_ >= count || failure_;
  }
  /// Waits until nothing is being done, whether it succeeded or not.
  void settle() noexcept {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [&] { return done_ == jobs_.size() || failure_; });
  }
  std::uint64_t begun() const {
    const std::lock_guard lock(mutex_);
    return first_ + jobs_.size();
  }
  bool busy() const {
    const std::lock_guard lock(mutex_);
    return done_ < jobs_.size() && !failure_;
  }

 private:
  struct Job {
    Request work;
    std::fenv_t environment;
  };

  void do_work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return ending_ || done_ < jobs_.size(); });
      if (ending_) return;
      const Job job = jobs_[done_];
      lock.unlock();
      std::exception_ptr failure;
      try {
        std::fesetenv(&job.environment);
        perform_(job.work);
      } catch (...) {
        failure = std::current_exception();
      }
      lock.lock();
      if (failure) failure_ = failure;
      else ++done_;
      wake_.notify_all();
      if (failure) return;
    }
  }

  FunctionRef<const Request&> perform_;
  mutable std::mutex mutex_;            // over all that follows
  std::condition_variable wake_;
  std::vector<Job> jobs_;
  std::uint64_t first_ = 0;             // done before jobs_[0]
  std::size_t done_ = 0;                // of jobs_
  bool ending_ = false;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace lamina::detail
