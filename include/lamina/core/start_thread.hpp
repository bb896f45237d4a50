/// A thread of our own.
#pragma once
#include <system_error>
#include <thread>

#include "error.hpp"

namespace lamina::detail {

/// A thread that runs f. Throws Error if the system has none left.
template <class F> std::thread start_thread(const F& f) {
  try {
    return std::thread(f);
  } catch (const std::system_error& e) {
    throw Error("no more threads can be started (", e.what(), "): ask for fewer, or raise the limit on them (ulimit -u) or on memory (ulimit -v)");
  }
}

}  // namespace lamina::detail
