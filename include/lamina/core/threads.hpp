/// The threads that oneTBB has for us.
#pragma once
#include <tbb/global_control.h>
#include <tbb/info.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <vector>

namespace lamina::detail {

/// While this lives, `count()` threads may run at once. More than there are cores run only where they are asked for, and of several limits oneTBB takes the smallest:
/// so there is one in a program, the largest that anybody asks for, and it is there before the first task is.
class Threads {
 public:
  /// 0 takes one for each core.
  [[gnu::cold]] explicit Threads(int asked) : count_(asked > 0 ? asked : tbb::info::default_concurrency()) {
    Limit& l = limit();
    const std::lock_guard lock(l.mutex);
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
  struct Limit {
    std::mutex mutex;
    std::vector<int> asked;
    std::optional<tbb::global_control> control;
    int now = 0;
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
