/// Threads: our own, and those that oneTBB has for us.
#pragma once
#include <tbb/global_control.h>
#include <tbb/info.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <vector>

#include "start_thread.hpp"

namespace lamina::detail {

/// Throws Error if there are not so many more.
[[gnu::cold]] inline void try_threads(int n) {
  std::mutex gate;
  std::vector<std::thread> threads;
  const auto end = [&] { for (std::thread& t : threads) t.join(); };
  try {
    const std::lock_guard all_wait(gate);
    while (int(threads.size()) < n) threads.push_back(start_thread([&] { const std::lock_guard wait(gate); }));
  } catch (...) {
    end();
    throw;
  }
  end();
}

/// While this lives, `count()` threads may run at once. More than there are cores run only where they are asked for, and of several limits oneTBB takes the smallest:
/// so there is one in a program, the largest that anybody asks for, and it is there before the first task is.
class Threads {
 public:
  /// 0 takes one for each core. Throws Error if they cannot be started: oneTBB finds that out in the midst of its work and ends the program.
  [[gnu::cold]] explicit Threads(int asked) : count_(asked > 0 ? asked : tbb::info::default_concurrency()) {
    Limit& l = limit();
    const std::lock_guard lock(l.mutex);
    if (count_ > l.tried) try_threads(count_ - 1 + spare), l.tried = count_;
    l.asked.push_back(count_);
    l.set();
  }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  [[gnu::cold]] ~Threads() {
    Limit& l = limit();
    const std::lock_guard lock(l.mutex);
    l.asked.erase(std::find(l.asked.begin(), l.asked.end(), count_));
    l.set();
  }
  int count() const { return count_; }

 private:
  static constexpr int spare = 4;      // for what else the program starts before oneTBB does, such as a thread of each iterator
  struct Limit {
    std::mutex mutex;
    std::vector<int> asked;
    std::optional<tbb::global_control> control;
    int now = 0, tried = 1;
    void set() {
      int most = tbb::info::default_concurrency();
      for (const int n : asked) most = std::max(most, n);
      if (most == now) return;
      now = most;
      if (most > tbb::info::default_concurrency()) control.emplace(tbb::global_control::max_allowed_parallelism, std::size_t(most));
      else control.reset();
    }
  };
  static Limit& limit() {
    static Limit l;
    return l;
  }

  int count_;
};

}  // namespace lamina::detail
