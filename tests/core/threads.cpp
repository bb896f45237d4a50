#include <lamina/core/threads.hpp>

#include <doctest/doctest.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>

using namespace lamina;

namespace {
/// Whether so many tasks are at work at the same time in an arena of so many threads, within ten seconds.
bool meet(int threads) {
  tbb::task_arena arena(threads);
  std::atomic<int> there = 0;
  std::atomic<bool> met = true;
  arena.execute([&] {
    tbb::parallel_for(0, threads, [&](int) {
      ++there;
      const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
      while (there < threads && std::chrono::steady_clock::now() < end) std::this_thread::yield();
      if (there < threads) met = false;
    }, tbb::simple_partitioner{});
  });
  return met;
}

/// What is written to the standard error stream meanwhile.
template <class F> std::string complaints(const F& f) {
  std::FILE* const file = std::tmpfile();
  std::fflush(stderr);
  const int before = ::dup(STDERR_FILENO);
  ::dup2(::fileno(file), STDERR_FILENO);
  f();
  std::fflush(stderr);
  ::dup2(before, STDERR_FILENO);
  ::close(before);
  std::rewind(file);
  std::string words(4096, '\0');
  words.resize(std::fread(words.data(), 1, words.size(), file));
  std::fclose(file);
  return words;
}
}  // namespace

TEST_CASE("as many threads run as are asked for, whoever else asks for how many, and nothing is said of it") {
  const std::string words = complaints([] {
    const detail::Threads one(1);
    CHECK(one.count() == 1);
    CHECK(meet(1));
    const int many = detail::Threads(0).count() + 3;
    const detail::Threads more(many);
    CHECK(more.count() == many);
    CHECK(meet(many));
    {
      const detail::Threads most(many + 2), few(2);
      CHECK(meet(many + 2));
    }
    CHECK(meet(many));
  });
  CHECK(words == "");
}
