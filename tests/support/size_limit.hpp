/// A disk that is full, as far as a test can tell.
#pragma once
#include <sys/resource.h>

#include <csignal>

namespace lamina_test {

/// Files of at most `bytes` bytes may be written while this lives: the next write fails with EFBIG, as a full disk does with ENOSPC.
struct SizeLimit {
  explicit SizeLimit(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    rlimit now = before;
    now.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &now);
  }
  ~SizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, SIG_DFL);
  }
  rlimit before = {};
};

}  // namespace lamina_test
