/// The roofs of this machine, measured: what its cores multiply and add at most, and what they read and write to memory at most, with the threads of a device.
#pragma once
#include <lamina/cpu/cpu.hpp>

#include <unistd.h>

#include <algorithm>
#include <chrono>

namespace bench {

namespace detail {
/// The shortest of the rounds that go into `seconds`, and of three. The shortest, since a roof is what nothing disturbed.
template <class F> double shortest(double seconds, const F& round) {
  const auto now = [] { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); };
  const double begin = now();
  double least = 1e30;
  for (int k = 0; k < 3 || now() - begin < seconds; ++k) {
    const double start = now();
    round();
    least = std::min(least, now() - start);
  }
  return least;
}

/// What was computed goes here, so that the compiler computes it.
inline volatile float sink;
inline void use(lamina::simd::Floats v) {
  float sum = 0;
  for (int k = 0; k < lamina::simd::width; ++k) sum += v[k];
  sink = sum;
}
}  // namespace detail

/// Floating-point operations a second of multiply-adds in registers, each counting as two, in vectors as wide as the kernels': a = a * b + c in chains that do not wait for
/// each other. Two instructions a cycle that take four cycles each need eight chains; there are as many as the registers hold beside b and c.
inline double fma_roof(lamina::Cpu dev, double seconds = 0.3) {
  using namespace lamina::simd;
  constexpr int chains = registers * 3 / 4;
  constexpr lamina::Index steps = 1 << 15;
  const lamina::Index tasks = 32 * dev.threads();            // so many that it matters little who takes the last
  const volatile float factor = 0.999f, summand = 0.001f;    // no constants for the compiler, and every chain stays near 1
  const double least = detail::shortest(seconds, [&] {
    dev.run(tasks, [&](lamina::Index, int) {
      const Floats b = all(factor), c = all(summand);
      Floats a[chains];
#pragma GCC unroll 24
      for (int k = 0; k < chains; ++k) a[k] = all(1 + 0.01f * float(k));   // two that begin alike would be one for the compiler
      for (lamina::Index step = 0; step < steps; ++step)
#pragma GCC unroll 24
        for (int k = 0; k < chains; ++k) a[k] = a[k] * b + c;
      Floats sum = a[0];
      for (int k = 1; k < chains; ++k) sum += a[k];
      detail::use(sum);
    });
  });
  return 2.0 * double(tasks * steps) * chains * width / least;
}

/// Bytes a second.
struct MemoryRoof {
  double read = 0;              // the sums of three arrays, side by side
  double triad = 0;             // a = b + s c of McCalpin's STREAM, written past the caches
  double array_bytes = 0;       // of the three together, four times the largest cache, so that memory has to bring most of them in every round
  double most() const { return std::max(read, triad); }
};

inline MemoryRoof memory_roof(lamina::Cpu dev, double seconds = 0.3) {
  using namespace lamina::simd;
  using lamina::Index;
  long cache = 0;
#if defined(_SC_LEVEL4_CACHE_SIZE)
  for (int level : {_SC_LEVEL2_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE, _SC_LEVEL4_CACHE_SIZE}) cache = std::max(cache, sysconf(level));
#endif
  constexpr Index task = 1 << 16, vectors = task / width;    // numbers, vectors of a task
  const Index tasks = std::max(Index(512) << 20, 4 * Index(cache)) / 3 / (4 * task), count = tasks * task;
  const lamina::Buffer<lamina::Cpu, float> a(dev, count), b(dev, count), c(dev, count);
  dev.run(tasks, [&](Index t, int) {
    for (auto* array : {&a, &b, &c}) std::fill_n(array->data() + t * task, task, 1.f);
  });

  const double read = detail::shortest(seconds, [&] {
    dev.run(tasks, [&](Index t, int) {
      const float *const from_a = a.data() + t * task, *const from_b = b.data() + t * task, *const from_c = c.data() + t * task;
      Floats sum_a{}, sum_b{}, sum_c{};
      for (Index v = 0; v < vectors; ++v) sum_a += load(from_a + v * width), sum_b += load(from_b + v * width), sum_c += load(from_c + v * width);
      detail::use(sum_a + sum_b + sum_c);
    });
  });
  const volatile float factor = 0.5f;
  const double triad = detail::shortest(seconds, [&] {
    dev.run(tasks, [&](Index t, int) {
      const Floats s = all(factor);
      float* const to = a.data() + t * task;
      const float *const from_b = b.data() + t * task, *const from_c = c.data() + t * task;
      for (Index v = 0; v < vectors; ++v) stream(to + v * width, load(from_b + v * width) + s * load(from_c + v * width));
      end_stream();
    });
  });
  const double bytes = 3 * 4.0 * double(count);
  return {bytes / read, bytes / triad, bytes};
}

}  // namespace bench
