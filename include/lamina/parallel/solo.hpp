/// One rank that has nobody to talk to.
#pragma once
#include <mutex>

#include "operations.hpp"

namespace lamina {

namespace detail {

class Alone {
 public:
  static constexpr int rank() { return 0; }
  static constexpr int size() { return 1; }
  void perform(const Request& work) {
    if (const std::lock_guard lock(mutex_); !reason_.empty()) throw Error(words(work.operation), " cannot be: this rank gave up, ", reason_);
    if (work.in && work.in != work.out) std::memcpy(work.out, work.in, work.operation.bytes);
  }
  void abort(std::string_view reason) noexcept {
    const std::lock_guard lock(mutex_);
    if (reason_.empty()) reason_ = reason.empty() ? "without a reason" : reason;
  }

 private:
  std::mutex mutex_;
  std::string reason_;
};

}  // namespace detail

/// A program for many ranks runs as one with it: sums and copies are what they were.
class Solo : public detail::Operations<detail::Alone> {
 public:
  Solo() : Operations(std::in_place) {}
};
static_assert(Communicator<Solo>);

}  // namespace lamina
