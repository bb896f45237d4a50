#include <lamina/core/random.hpp>
#include <lamina/cpu/cpu.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <thread>
#include <vector>

using namespace lamina;

TEST_CASE("every task runs once, on a worker there is") {
  for (int threads : {1, 2, 3, 8})
    for (Index tasks : {0, 1, 2, 7, 1000}) {
      Cpu dev(threads);
      CHECK(dev.threads() == threads);
      std::vector<std::atomic<int>> runs(static_cast<std::size_t>(tasks));
      std::atomic<bool> in_range = true;
      dev.run(tasks, [&](Index task, int worker) {
        ++runs[std::size_t(task)];
        if (worker < 0 || worker >= threads) in_range = false;
      });
      for (auto& r : runs) REQUIRE(r == 1);
      CHECK(in_range);
    }
}

TEST_CASE("two tasks at a time never have the same worker number") {
  Cpu dev(4);
  std::atomic<int> busy[4] = {}, clashes = 0;
  dev.run(2000, [&](Index, int worker) {
    if (busy[worker]++) ++clashes;
    std::this_thread::yield();
    --busy[worker];
  });
  CHECK(clashes == 0);
}

TEST_CASE("parallel_for does every i once") {
  Cpu dev(3);
  for (Index n : {0, 1, 8191, 8192, 8193, 100'000}) {
    std::vector<int> times(static_cast<std::size_t>(n));
    parallel_for(dev, n, [t = times.data()](Index i) { ++t[i]; });
    CHECK(times == std::vector<int>(std::size_t(n), 1));
  }
}

TEST_CASE("sums: exact on integers, the same bits for any number of threads") {
  const Random random(1, Stream::test);
  for (Index n : {0, 1, 5, 1024, 1025, 262'144, 262'145, 1'000'000}) {
    Cpu one(1);
    CHECK(sum(one, n, [](Index i) { return double(i); }) == double(n) * double(n - 1) / 2);
    if (n > 300'000) continue;
    const double expected = sum(one, n, random);
    for (int threads : {2, 3, 8}) {
      Cpu dev(threads);
      CHECK(sum(dev, n, random) == expected);
    }
  }
}

TEST_CASE("memory begins on a cache line; the arena only grows, and copies share it") {
  Cpu dev(2);
  for (std::size_t bytes : {0, 1, 63, 4096}) {
    void* p = dev.allocate(bytes);
    CHECK(reinterpret_cast<std::uintptr_t>(p) % 64 == 0);
    dev.deallocate(p, bytes);
  }
  CHECK(dev.arena() == nullptr);
  dev.reserve(1000);
  std::byte* first = dev.arena();
  CHECK(reinterpret_cast<std::uintptr_t>(first) % 64 == 0);
  dev.reserve(10);
  CHECK(dev.arena() == first);
  Cpu copy = dev;
  copy.reserve(5000);
  CHECK(dev.arena() == copy.arena());
  CHECK(dev.arena_bytes() == 5000);
}

TEST_CASE("upload and download") {
  Cpu dev(1);
  Buffer<Cpu, float> there(dev, 3);
  const float here[3] = {1, 2, 3};
  float back[3] = {};
  dev.upload(there.data(), here, there.bytes());
  dev.download(back, there.data(), there.bytes());
  CHECK(std::equal(back, back + 3, here));
  dev.upload(nullptr, nullptr, 0);
  static_assert(Device<Cpu> && Device<Unfused<Cpu>>);
}

TEST_CASE("memory that there is not is an error that says how much") {
  Cpu dev(1);
  CHECK_THROWS_WITH_AS((Buffer<Cpu, float>(dev, Index(1) << 56)), "there is no memory for 288230376151711744 bytes at once: take a smaller batch, or a smaller network", Error);
  CHECK_THROWS_AS(dev.reserve(std::size_t(1) << 60), Error);
  CHECK(dev.arena_bytes() == 0);
  dev.reserve(100);
  CHECK(dev.arena_bytes() == 100);
}

TEST_CASE("a number of threads that makes no sense") {
  CHECK_THROWS_WITH_AS(Cpu(-1), "Cpu(-1): the number of threads is 0, one for each core, or more", Error);
  CHECK(Cpu().threads() >= 1);
}

TEST_CASE("numbers too small for a normal one are zero in a task, and not outside") {
  Cpu dev(3);
  const volatile float small = 1e-30f, tiny = 1e-39f;
  for (Index tasks : {1, 100}) {
    std::vector<float> product(std::size_t(tasks), 1), sum(std::size_t(tasks), 1);
    dev.run(tasks, [&](Index task, int) { product[std::size_t(task)] = small * small, sum[std::size_t(task)] = tiny + tiny; });
    for (Index i = 0; i < tasks; ++i) {
      CHECK(product[std::size_t(i)] == 0);
      CHECK(sum[std::size_t(i)] == 0);
    }
    CHECK(small * 1e-9f > 0);
  }
}
