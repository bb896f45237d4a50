/// The smallest device: host memory, plain loops, and a count of what it was asked for.
#pragma once
#include <lamina/core/device.hpp>

#include <cstdlib>
#include <cstring>

namespace lamina_test {

struct PlainDevice {
  int allocations = 0, uploads = 0, launches = 0;

  void* allocate(std::size_t bytes) { ++allocations; return std::calloc(1, bytes ? bytes : 1); }
  void deallocate(void* p, std::size_t) { std::free(p); }
  void upload(void* to, const void* from, std::size_t bytes) { ++uploads; if (bytes) std::memcpy(to, from, bytes); }
  void download(void* to, const void* from, std::size_t bytes) { if (bytes) std::memcpy(to, from, bytes); }
  void reserve(std::size_t) {}
  template <class T> static constexpr bool fuses(auto) { return false; }
};

template <class F> void parallel_for(PlainDevice& dev, lamina::Index n, F f) {
  ++dev.launches;
  for (lamina::Index i = 0; i < n; ++i) f(i);
}
template <class F> double sum(PlainDevice&, lamina::Index n, F f) {
  double s = 0;
  for (lamina::Index i = 0; i < n; ++i) s += double(f(i));
  return s;
}

}  // namespace lamina_test
