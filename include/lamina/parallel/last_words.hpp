/// What a process that is one of several says before it is ended from outside, and which of the others are there no more.
#pragma once
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "../core/shape.hpp"

namespace lamina::detail {

/// Where a process runs, as plain bytes. Two that see the same processes under the same numbers are `beside` each other.
struct ProcessPlace {
  char machine[64] = {};                // a number that is drawn when it starts, and the container's
  std::int64_t number = 0;

  static ProcessPlace here() {
    ProcessPlace p;
    p.number = ::getpid();
    char boot[40] = {}, space[24] = {};
    std::ifstream("/proc/sys/kernel/random/boot_id").get(boot, sizeof boot);
    if (*boot && ::readlink("/proc/self/ns/pid", space, sizeof space - 1) > 0) std::snprintf(p.machine, sizeof p.machine, "%s%s", boot, space);
    return p;
  }
  bool beside(const ProcessPlace& other) const { return *machine && !std::strcmp(machine, other.machine); }
};

/// The others that run beside this process, one for each rank.
class Processes {
 public:
  void watch(int self, const std::vector<ProcessPlace>& places) {
    for (std::size_t r = 0; r < places.size(); ++r) {
      const ProcessPlace& p = places[r];
#if defined(SYS_pidfd_open)
      const int file = int(r) != self && p.beside(places[std::size_t(self)]) ? int(::syscall(SYS_pidfd_open, pid_t(p.number), 0)) : -1;
#else
      const int file = -1;
#endif
      files_.push_back({file, POLLIN, 0});
      numbers_.push_back(p.number);
    }
  }
  Processes() = default;
  Processes(const Processes&) = delete;
  Processes& operator=(const Processes&) = delete;
  ~Processes() {
    for (const pollfd& f : files_)
      if (f.fd >= 0) ::close(f.fd);
  }

  int count() const { return int(files_.size()); }
  std::int64_t number(int rank) const { return numbers_[std::size_t(rank)]; }
  /// Whether a rank has ended, as far as can be seen from here. A signal handler may ask.
  bool gone(int rank) const {
    pollfd one = files_[std::size_t(rank)];
    return one.fd >= 0 && ::poll(&one, 1, 0) > 0;
  }

 private:
  std::vector<pollfd> files_;           // readable once the process has ended; -1: it cannot be seen
  std::vector<std::int64_t> numbers_;
};

/// mpirun ends all ranks by SIGTERM as soon as one of them is gone, wherever they are. This answers: it writes who is gone and where this rank is, and lets the signal do what it would have done.
/// A program that handles SIGTERM by itself is left alone.
class LastWords {
 public:
  LastWords(int rank, const Processes& processes) : rank_(rank), processes_(processes) {
    LastWords* nobody = nullptr;
    struct sigaction before;
    if (::sigaction(SIGTERM, nullptr, &before) || before.sa_handler != SIG_DFL || !speaker().compare_exchange_strong(nobody, this)) return;
    struct sigaction ours = {};
    ours.sa_handler = &speak;
    ::sigaction(SIGTERM, &ours, nullptr);
  }
  LastWords(const LastWords&) = delete;
  LastWords& operator=(const LastWords&) = delete;
  ~LastWords() { be_silent(); }

  void be_silent() {
    LastWords* self = this;
    struct sigaction now;
    if (!speaker().compare_exchange_strong(self, nullptr)) return;
    if (!::sigaction(SIGTERM, nullptr, &now) && now.sa_handler == &speak) ::signal(SIGTERM, SIG_DFL);
  }
  /// Where the rank is, or why it cannot go on.
  void say(const std::string& words) {
    const int next = 1 - which_.load(std::memory_order_relaxed);
    words_[next][words.copy(words_[next], sizeof words_[next] - 1)] = 0;
    which_.store(next, std::memory_order_release);
  }

 private:
  static std::atomic<LastWords*>& speaker() {
    static std::atomic<LastWords*> one = nullptr;
    return one;
  }
  /// Only what a signal handler may do.
  static void speak(int) {
    const int kept = errno;
    if (const LastWords* s = speaker()) {
      char line[1024], *end = line;
      const auto add = [&](const char* text) {
        while (*text && end < line + sizeof line - 1) *end++ = *text++;
      };
      const auto add_number = [&](std::int64_t n) {
        char digits[24], *d = digits + sizeof digits;
        *--d = 0;
        do *--d = char('0' + n % 10);
        while (n /= 10);
        add(d);
      };
      add("rank "), add_number(s->rank_), add(" is told to end (SIGTERM), "), add(s->words_[s->which_.load(std::memory_order_acquire)]);
      for (int r = 0; r < s->processes_.count(); ++r)
        if (s->processes_.gone(r)) add("; rank "), add_number(r), add(" (process "), add_number(s->processes_.number(r)), add(") is gone");
      *end++ = '\n';
      [[maybe_unused]] const auto ignored = ::write(STDERR_FILENO, line, std::size_t(end - line));
    }
    errno = kept;
    ::signal(SIGTERM, SIG_DFL);
    ::raise(SIGTERM);                     // takes effect when this returns
  }

  const int rank_;
  const Processes& processes_;
  char words_[2][700] = {"before its first operation", ""};
  std::atomic<int> which_ = 0;
};

}  // namespace lamina::detail
