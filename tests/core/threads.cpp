#include <lamina/core/threads.hpp>

#include <doctest/doctest.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>
#include <sys/resource.h>
#include <sys/wait.h>
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

TEST_CASE("threads that cannot be started are an error that says so") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {                                                                // as nobody, since root has no limit
    const rlimit none = {0, 0};
    std::string words = "no limit can be set here";
    if (::setrlimit(RLIMIT_NPROC, &none) == 0 && (::geteuid() != 0 || ::setuid(65534) == 0)) {
      words = "nothing";
      try {
        detail::try_threads(2);
      } catch (const Error& e) {
        words = e.what();
      }
    }
    ::_exit(::write(ends[1], words.data(), words.size()) != ::ssize_t(words.size()));
  }
  ::close(ends[1]);
  char words[512] = {};
  CHECK(::read(ends[0], words, sizeof words - 1) > 0);
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
  const std::string said = words;
  CHECK((said == "no limit can be set here" || said == "no more threads can be started (Resource temporarily unavailable): ask for fewer, or raise the limit on them (ulimit -u) or on memory (ulimit -v)"));
}
