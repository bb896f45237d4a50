/// Ranks that are processes of one machine, forked from one, which talk through memory that they share: for tests where there is no MPI.
#pragma once
#include <lamina/parallel/operations.hpp>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <exception>
#include <thread>
#include <vector>

namespace lamina_test {

class ForkedTransport {
 public:
  static constexpr std::size_t room = 1 << 20;                       // bytes of one rank in one operation
  struct Shared { std::atomic<int> here, turn; std::atomic<bool> aborted; std::byte slots[8][room]; };

  /// Before processes are forked.
  static Shared* make() { return static_cast<Shared*>(mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)); }
  ForkedTransport(Shared* shared, int rank, int ranks) : shared_(shared), rank_(rank), ranks_(ranks) {}
  int rank() const { return rank_; }
  int size() const { return ranks_; }

  void perform(const lamina::detail::Request& work) {
    const auto& o = work.operation;
    if (o.bytes > room) throw lamina::Error("an operation of ", o.bytes, " bytes in a test");
    const bool gathers = o.action == lamina::detail::Action::all_gather;
    if (o.bytes) std::memcpy(shared_->slots[rank_], gathers ? work.in : work.out, o.bytes);
    meet();
    switch (o.action) {
      case lamina::detail::Action::all_reduce_floats: sum<float>(work); break;
      case lamina::detail::Action::all_reduce_doubles: sum<double>(work); break;
      case lamina::detail::Action::broadcast: std::memcpy(work.out, shared_->slots[o.root], o.bytes); break;
      case lamina::detail::Action::all_gather:
        for (int r = 0; r < ranks_; ++r) std::memcpy(work.out + std::size_t(r) * o.bytes, shared_->slots[r], o.bytes);
        break;
      default: break;
    }
    meet();
  }
  void abort(std::string_view) noexcept { shared_->aborted = true; }

 private:
  template <class T> void sum(const lamina::detail::Request& work) {
    for (std::size_t i = 0; i < work.operation.bytes / sizeof(T); ++i) {
      T terms[8];
      for (int r = 0; r < ranks_; ++r) terms[r] = reinterpret_cast<const T*>(shared_->slots[r])[i];
      for (int step = 1; step < ranks_; step *= 2)
        for (int r = 0; r + step < ranks_; r += 2 * step) terms[r] += terms[r + step];
      reinterpret_cast<T*>(work.out)[i] = terms[0];
    }
  }
  void meet() {
    const int turn = shared_->turn;
    if (++shared_->here == ranks_) {
      shared_->here = 0, ++shared_->turn;
      return;
    }
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (shared_->turn == turn) {
      if (shared_->aborted) throw lamina::Error("another rank has given up");
      if (std::chrono::steady_clock::now() > end) throw lamina::Error("another rank does not come");
      std::this_thread::yield();
    }
  }

  Shared* shared_;
  int rank_, ranks_;
};
using ForkedRank = lamina::detail::Operations<ForkedTransport>;
static_assert(lamina::Communicator<ForkedRank>);

/// f(rank) in so many processes; returns how each ended, what it threw being 1.
template <class F> std::vector<int> in_processes(int ranks, const F& f) {
  ForkedTransport::Shared* const shared = ForkedTransport::make();
  std::vector<pid_t> processes;
  for (int r = 0; r < ranks; ++r) {
    std::fflush(nullptr);
    const pid_t process = fork();
    if (process == 0) {
      int code = 0;
      try {
        ForkedRank rank(std::in_place, shared, r, ranks);
        f(rank);
      } catch (const std::exception& e) {
        std::printf("rank %d: %s\n", r, e.what()), code = 1;
      }
      std::fflush(nullptr);
      _exit(code);
    }
    processes.push_back(process);
  }
  std::vector<int> ended;
  for (const pid_t p : processes) {
    int status = 0;
    waitpid(p, &status, 0);
    ended.push_back(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  }
  munmap(shared, sizeof *shared);
  return ended;
}

}  // namespace lamina_test
