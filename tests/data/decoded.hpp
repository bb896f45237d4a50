/// How many pictures of one size a test decodes: the times that it asks operator new for their bytes, which are odd enough for nobody else to ask for so many.
#pragma once
#include <atomic>
#include <cstdlib>
#include <new>

namespace lamina_test {
inline constexpr int odd_h = 251, odd_w = 173;     // large enough for decoding to take its time
inline std::atomic<int> decoded{0};          // pictures (251, 173, 3)
}  // namespace lamina_test

void* operator new(std::size_t bytes) {
  if (bytes == std::size_t(lamina_test::odd_h * lamina_test::odd_w * 3)) ++lamina_test::decoded;
  if (void* const p = std::malloc(bytes ? bytes : 1)) return p;
  throw std::bad_alloc();
}
// Not inlined, or g++ 12 takes free() here for one that does not fit operator new.
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
