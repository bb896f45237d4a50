/// Numbers too small for a normal float.
#pragma once
#include <cstdint>

#if defined(__SSE__) || defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace lamina::detail {

/// While it lives, this thread takes numbers nearer to 0 than the smallest normal one for 0. The momentum of a weight that has no gradient any more would else end
/// among them and stay there, and many processors need a hundred times as long for each: the 14th epoch of LeafNet with Adam took 35 seconds, 26 of them for updates,
/// where epochs take 7 now (a Xeon, two threads).
class FlushToZero {
 public:
#if defined(__SSE__) || defined(__x86_64__)
  FlushToZero() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }                 // flush results, and take operands for zero
  ~FlushToZero() { _mm_setcsr(before_); }

 private:
  unsigned before_;
#elif defined(__aarch64__)
  FlushToZero() {
    asm volatile("mrs %0, fpcr" : "=r"(before_));
    asm volatile("msr fpcr, %0" : : "r"(before_ | std::uint64_t(1) << 24));
  }
  ~FlushToZero() { asm volatile("msr fpcr, %0" : : "r"(before_)); }

 private:
  std::uint64_t before_;
#else
  FlushToZero() {}
  ~FlushToZero() {}
#endif
 public:
  FlushToZero(const FlushToZero&) = delete;
  FlushToZero& operator=(const FlushToZero&) = delete;
};

}  // namespace lamina::detail
