/// The end of a process that waits for what does not come, where nobody is left who could be told by an exception.
#pragma once
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>

#include "../core/start_thread.hpp"

namespace lamina::detail {

/// Ends the process with exit code 1 and these words on the standard error stream. Nothing is cleaned up: threads of it may be anywhere, in a stream's lock too, so that only what is free is written out.
[[noreturn, gnu::cold]] inline void end_process(const std::string& words) noexcept {
  if (!::ftrylockfile(stdout)) std::fflush(stdout), ::funlockfile(stdout);
  [[maybe_unused]] const auto ignored = ::write(STDERR_FILENO, words.data(), words.size());
  std::_Exit(1);
}

/// While it is there a clock runs, and when it has run out the process ends: for a call that waits by itself for as long as it likes.
class EndsInTime {
 public:
  EndsInTime(double seconds, const std::string& words)
      : thread_(start_thread([this, seconds, words] {
          std::unique_lock lock(mutex_);
          if (!wake_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return over_; })) end_process(words);
        })) {}
  EndsInTime(const EndsInTime&) = delete;
  EndsInTime& operator=(const EndsInTime&) = delete;
  ~EndsInTime() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool over_ = false;
  std::thread thread_;          // begins when the rest is there
};

}  // namespace lamina::detail
