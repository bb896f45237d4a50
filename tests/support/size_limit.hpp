/// A disk that is full, as far as a test can tell.
#pragma once
#include <sys/resource.h>

namespace lamina_test {

/// Files of at most `bytes` bytes may be written while this lives: the next write fails with EFBIG, as a full disk does with ENOSPC.
struct SizeLimit {
  explicit SizeLimit(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before);
    rlimit now = before;
    now.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &now);
  }
  ~SizeLimit() { setrlimit(RLIMIT_FSIZE, &before); }
  rlimit before = {};
};

}  // namespace lamina_test
