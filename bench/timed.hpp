/// Where the time of a step of replicas goes, seen from outside: clocks, and a communicator and an optimizer that look at them.
#pragma once
#include <lamina/parallel/any_communicator.hpp>

#include <time.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "work.hpp"

namespace bench {

/// What the threads of this program have worked, seconds.
inline double processor_seconds() {
  timespec t = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}
/// What all processors have worked since the machine started, to a hundredth of a second.
inline double busy_seconds() {
  std::ifstream stat("/proc/stat");
  std::string cpu;
  double user = 0, nice = 0, system = 0, idle = 0, waiting = 0, interrupts = 0, soft = 0;
  stat >> cpu >> user >> nice >> system >> idle >> waiting >> interrupts >> soft;
  return (user + nice + system + interrupts + soft) / double(sysconf(_SC_CLK_TCK));
}

/// Adds up the seconds in which this rank waits in what the ranks do together. What goes on beside it while it computes is not waited for.
class TimedCommunicator final : public lamina::SharedRanks {
 public:
  explicit TimedCommunicator(lamina::AnyCommunicator& ranks) : ranks_(ranks) {}

  double waited() const { return waited_; }

  int rank() const { return ranks_.rank(); }
  int size() const { return ranks_.size(); }
  template <class T> void all_reduce(std::span<T> x, std::string_view name) { timed([&] { ranks_.all_reduce(x, name); }); }
  template <class T> lamina::Index begin(std::span<T> x, std::string_view name) { return ranks_.begin(x, name); }
  void finish(lamina::Index begun) { timed([&] { ranks_.finish(begun); }); }
  void finish() { timed([&] { ranks_.finish(); }); }
  template <class R> void broadcast(R&& x, int root, std::string_view name) { timed([&] { ranks_.broadcast(std::span(x), root, name); }); }
  template <class M, class R> void all_gather(const M& mine, R&& all, std::string_view name) { timed([&] { ranks_.all_gather(mine, std::span(all), name); }); }
  void barrier(std::string_view name) { timed([&] { ranks_.barrier(name); }); }
  void agree(std::string_view words) { ranks_.agree(words); }
  void abort(std::string_view reason) noexcept { ranks_.abort(reason); }
  void abandon() noexcept { ranks_.abandon(); }
  lamina::SharedRanks* shared() { return ranks_.shared() ? this : nullptr; }
  /// What it does itself is not waited for.
  void work_together(const void* mine, std::size_t bytes, std::string_view name, lamina::detail::FunctionRef<const void* const*> part) override {
    timed([&] {
      ranks_.shared()->work_together(mine, bytes, name, [&](const void* const* all) {
        const double begin = now();
        part(all);
        waited_ -= now() - begin;
      });
    });
  }

 private:
  template <class F> void timed(const F& f) {
    const double begin = now();
    f();
    waited_ += now() - begin;
  }
  lamina::AnyCommunicator& ranks_;
  double waited_ = 0;
};
static_assert(lamina::Communicator<TimedCommunicator>);

/// Adds up the seconds of updates, but for those of layers that learn in the midst of backward.
template <class State> struct TimedOptimizer {
  State& state;
  double seconds = 0;
  void set_clock(double learning_rate) { state.set_clock(learning_rate); }
  lamina::Learner<float> learner() const { return state.learner(); }
  void update(lamina::Index at, float* w, const float* dw, lamina::Index count) {
    const double begin = now();
    state.update(at, w, dw, count);
    seconds += now() - begin;
  }
};

}  // namespace bench
