#include <lamina/parallel/any_communicator.hpp>
#include <lamina/parallel/last_words.hpp>
#include <lamina/parallel/local_group.hpp>
#include <lamina/parallel/solo.hpp>

#include <sys/wait.h>

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <limits>
#include <thread>

#include "support/check_communicator.hpp"

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

using namespace lamina;
using namespace lamina_test;

namespace {
/// What each rank throws when f is run.
template <class F> std::vector<std::string> complaints(LocalGroup& group, const F& f) {
  std::vector<std::string> said(static_cast<std::size_t>(group.size()), "nothing");
  try {
    group.run([&](LocalGroup::Rank& rank) {
      try {
        f(rank);
      } catch (const Error& e) {
        said[std::size_t(rank.rank())] = e.what();
        throw;
      }
    });
  } catch (...) {
  }
  return said;
}
/// What run() throws.
template <class F> std::string thrown(LocalGroup& group, const F& f) {
  try {
    group.run(f);
  } catch (const std::exception& e) {
    return e.what();
  } catch (int) {
    return "an int";
  }
  return "nothing";
}
bool has(const std::string& text, const std::string& words) { return text.find(words) != text.npos; }
double seconds_since(std::chrono::steady_clock::time_point begin) { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); }
}  // namespace

TEST_CASE("the order of a sum shows in the numbers of these tests") {
  const auto tree = sums<float>(8, 1000);
  int different = 0;
  for (Index i = 0; i < 1000; ++i) {
    float in_turn = 0;
    for (int r = 0; r < 8; ++r) in_turn += number<float>(r, i);
    different += in_turn != tree[std::size_t(i)];
  }
  CHECK(different > 300);
}

TEST_CASE("a sum in turn is that of all at once") {
  for (int terms = 1; terms <= 17; ++terms) {
    std::vector<float> all(static_cast<std::size_t>(terms)), sum(static_cast<std::size_t>(std::bit_width(unsigned(terms))));
    for (int t = 0; t < terms; ++t) all[std::size_t(t)] = number<float>(t, 5);
    tree_sum_in_turn(terms, [&](Index t, Index place) { sum.at(std::size_t(place)) = all[std::size_t(t)]; }, [&](Index to, Index from) { sum.at(std::size_t(to)) += sum.at(std::size_t(from)); });
    CHECK(sum[0] == sum_by_definition<float>(0, terms, 5));
  }
}

TEST_CASE("parts cover a span, each number once") {
  for (const Index n : {0, 1, 15, 16, 17, 100, 1000, 123'457})
    for (const int ranks : {1, 2, 3, 4, 8, 13}) {
      CHECK(detail::part_begin(n, 0, ranks) == 0);
      CHECK(detail::part_begin(n, ranks, ranks) == n);
      for (int r = 0; r < ranks; ++r) {
        const Index part = detail::part_begin(n, r + 1, ranks) - detail::part_begin(n, r, ranks);
        CHECK((part >= 0 && part <= n / ranks + 17));
      }
    }
}

TEST_CASE("one rank alone keeps the contract") {
  Solo solo;
  check_contract(solo);
  Solo other;
  other.abort("no more pictures");
  CHECK_THROWS_WITH_AS(other.barrier("end"), "barrier \"end\" (operation 1) cannot be: this rank gave up, no more pictures", Error);
}

TEST_CASE("threads of one process keep the contract") {
  for (const int size : {1, 2, 3, 4, 5, 8}) {
    CAPTURE(size);
    LocalGroup group(size);
    CHECK(group.size() == size);
    std::atomic<int> ended = 0;
    group.run([&](LocalGroup::Rank& rank) {
      check_contract(rank);
      ++ended;
    });
    CHECK(ended == size);
  }
}

TEST_CASE("if one rank goes wrong all throw, and say who and where") {
  for (const int size : {2, 3, 4, 8})
    for (const Way& way : ways_to_go_wrong) {
      CAPTURE(way.name);
      LocalGroup group(size);
      const auto begin = std::chrono::steady_clock::now();
      const auto said = complaints(group, [&](LocalGroup::Rank& rank) { go_wrong(rank, way.name); });
      for (const std::string& words : said) CHECK_MESSAGE(has(words, way.words), words);
      CHECK(seconds_since(begin) < 20);
    }
}

TEST_CASE("what one rank throws ends the others, and run() throws it on") {
  for (const int size : {2, 3, 8})
    for (const Way& way : ways_to_end) {
      CAPTURE(way.name);
      LocalGroup group(size);
      const auto said = complaints(group, [&](LocalGroup::Rank& rank) { go_wrong(rank, way.name); });
      for (int r = 0; r < size; ++r)
        if (const std::string& words = said[std::size_t(r)]; r == 1) CHECK(words == "nothing");
        else CHECK(words == "rank " + std::to_string(r) + " of " + std::to_string(size) + " cannot go on with all_reduce \"gradients of step 7\" (operation 3, 20 bytes of floats): " + way.words);
    }
  LocalGroup group(3), other(3);
  CHECK(thrown(group, [](LocalGroup::Rank& rank) { go_wrong(rank, "throws"); }) == "the disk is full");
  CHECK(thrown(other, [](LocalGroup::Rank& rank) { go_wrong(rank, "throws anything"); }) == "an int");
}

TEST_CASE("a rank that ends while the others go on is missed at once") {
  LocalGroup group(3);
  const auto begin = std::chrono::steady_clock::now();
  const auto said = complaints(group, [](LocalGroup::Rank& rank) { go_wrong(rank, "leaves"); });
  CHECK(said[1] == "nothing");
  for (const int r : {0, 2}) CHECK(has(said[std::size_t(r)], "gradients of step 7\" (operation 3, 20 bytes of floats): rank 1 has ended, after all_reduce \"gradients of step 6\""));
  CHECK(seconds_since(begin) < 20);
}

TEST_CASE("a rank that has ended is missed by those who come later") {
  LocalGroup group(2);
  const auto begin = std::chrono::steady_clock::now();
  const auto said = complaints(group, [](LocalGroup::Rank& rank) {
    if (rank.rank() == 1) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    rank.barrier("start");
  });
  CHECK(said[0] == "rank 0 of 2 cannot go on with barrier \"start\" (operation 1): rank 1 has ended, before its first operation");
  CHECK(seconds_since(begin) < 20);
}

TEST_CASE("a rank that does not come in time is named by all who wait") {
  for (const bool begun : {false, true}) {
    LocalGroup group(4, {.deadline = 0.5});
    std::atomic<int> thrown = 0;
    const auto begin = std::chrono::steady_clock::now();
    const auto said = complaints(group, [&](LocalGroup::Rank& rank) {
      std::vector<float> x(5);
      rank.barrier("start");
      while (rank.rank() == 2 && thrown < 3) std::this_thread::yield();
      try {
        if (begun) rank.begin(std::span(x), "gradients of step 7"), rank.finish();
        else rank.all_reduce(std::span(x), "gradients of step 7");
      } catch (...) {
        ++thrown;
        throw;
      }
    });
    CHECK(seconds_since(begin) >= 0.5);
    CHECK(seconds_since(begin) < 20);
    for (int r = 0; r < 4; ++r)
      CHECK(said[std::size_t(r)] == "rank " + std::to_string(r) + " of 4 cannot go on with all_reduce \"gradients of step 7\" (operation 2, 20 bytes of floats): "
            "rank 2 did not come within 0.5 s, it was last seen after barrier \"start\" (operation 1)");
  }
}

namespace {
/// What a program that runs f in a group with a deadline of half a second writes on its standard error stream, and its exit code: 7 where run() throws.
template <class F> std::pair<std::string, int> program(int ranks, const F& f) {
  int ends[2], status = 0;
  REQUIRE(::pipe(ends) == 0);
  std::fflush(nullptr);
  const pid_t number = ::fork();
  if (number == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    ::alarm(20);
    try {
      LocalGroup(ranks, {.deadline = 0.5}).run(f);
    } catch (...) {
      ::_exit(7);
    }
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string said;
  char part[512];
  for (ssize_t n; (n = ::read(ends[0], part, sizeof part)) > 0;) said.append(part, std::size_t(n));
  ::close(ends[0]);
  CHECK(::waitpid(number, &status, 0) == number);
  return {said, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)};
}
[[noreturn]] void wait_for_ever() {
  for (;;) ::pause();
}
}  // namespace
TEST_CASE("a rank that waits for ever in its own code, once another has failed, does not keep the process") {
  const std::string find = ", such as a callback or a source of data that waits for something, or give the group a longer deadline\n";
  for (const int hangs : {0, 1}) {
    const auto begin = std::chrono::steady_clock::now();
    const auto [said, code] = program(2, [&](LocalGroup::Rank& rank) {
      rank.barrier("start");
      if (rank.rank() == hangs) wait_for_ever();
      rank.barrier("step 7");
    });
    const std::string who = "rank " + std::to_string(hangs), other = "rank " + std::to_string(1 - hangs);
    CHECK(code == 1);
    CHECK(said == who + " did not come to an end within 0.5 s of what failed in " + other + " (" + other + " of 2 cannot go on with barrier \"step 7\" (operation 2): " + who +
          " did not come within 0.5 s, it was last seen after barrier \"start\" (operation 1)). A thread cannot be ended, so this process is: find out what keeps " + who + find);
    CHECK(seconds_since(begin) >= 1);
    CHECK(seconds_since(begin) < 10);
  }
  const auto [said, code] = program(4, [](LocalGroup::Rank& rank) {
    if (rank.rank() == 2) throw 1;
    if (rank.rank() != 3) {                       // in a lock of the stream that is written out
      ::flockfile(stdout);
      wait_for_ever();
    }
  });
  CHECK(code == 1);
  CHECK(said == "ranks 0 and 1 did not come to an end within 0.5 s of what failed in rank 2 (it threw something that is no std::exception). "
        "A thread cannot be ended, so this process is: find out what keeps ranks 0 and 1" + find);
}
TEST_CASE("a rank that is slow to end is waited for") {
  for (const int slow : {0, 1}) {
    const auto [said, code] = program(2, [&](LocalGroup::Rank& rank) {
      if (rank.rank() == slow) std::this_thread::sleep_for(std::chrono::milliseconds(200));
      else throw Error("the disk is full");
    });
    CHECK(said == "");
    CHECK(code == 7);
  }
  // With no failure there is nothing that would have to end.
  const auto [said, code] = program(2, [](LocalGroup::Rank& rank) {
    if (rank.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  });
  CHECK(said == "");
  CHECK(code == 0);
}

TEST_CASE("after a failure every operation fails") {
  LocalGroup group(2);
  complaints(group, [](LocalGroup::Rank& rank) { go_wrong(rank, "size"); });
  std::vector<double> x(1);
  for (int r = 0; r < 2; ++r) {
    CHECK_THROWS_AS(group.rank(r).barrier("again"), Error);
    CHECK_THROWS_AS((group.rank(r).begin(std::span(x), "again"), group.rank(r).finish()), Error);
    CHECK_THROWS_AS(group.rank(r).finish(), Error);
  }
}

TEST_CASE("memory of something begun is let go before its owner goes, and the group ends without an end of its ranks") {
  LocalGroup group(2);
  {
    std::vector<float> x(5);
    group.rank(1).begin(std::span(x), "gradients of step 7");
    group.rank(1).abandon();
  }
  std::string said;
  try {
    group.rank(0).barrier("end");
  } catch (const Error& e) {
    said = e.what();
  }
  CHECK(has(said, "rank 0 of 2 cannot go on with barrier \"end\" (operation 1): rank 1 gave up, "));
  CHECK(has(said, ": it left operations that it had begun"));
  std::vector<float> x(5);
  const auto begin = std::chrono::steady_clock::now();
  {
    LocalGroup left(2);
    left.rank(0).begin(std::span(x), "nobody comes");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));      // while it waits
  }
  CHECK(seconds_since(begin) < 20);
}

TEST_CASE("each rank with a thread that the program has made") {
  LocalGroup group(2);
  std::vector<float> a{1, 2, 3}, b{10, 20, 30};
  std::thread other([&] { group.rank(1).all_reduce(b, "sum"); });
  group.rank(0).all_reduce(a, "sum");
  other.join();
  CHECK(a == std::vector<float>{11, 22, 33});
  CHECK(b == a);
}

TEST_CASE("a process that is told to end says where it is and who is gone, and ends as it would have") {
  const auto child = [](const auto& f) {
    std::fflush(nullptr);
    const pid_t number = ::fork();
    if (number == 0) {
      std::signal(SIGTERM, SIG_DFL);            // doctest has it
      f();
      ::_exit(0);
    }
    return number;
  };
  const auto place = [](pid_t number) {
    detail::ProcessPlace p = detail::ProcessPlace::here();
    p.number = number;
    return p;
  };
  int ends[2], status = 0;
  REQUIRE(::pipe(ends) == 0);
  const pid_t stays = child([] { ::pause(); }), ended = child([] { ::pause(); });
  const pid_t speaks = child([&] {
    ::dup2(ends[1], STDERR_FILENO);
    detail::Processes processes;
    processes.watch(1, {place(stays), place(::getpid()), place(ended), {}});
    ::kill(ended, SIGKILL);
    while (!processes.gone(2)) std::this_thread::yield();
    { const detail::LastWords first(0, processes); }
    detail::LastWords words(1, processes), ignored(7, processes);
    words.say("in one operation");
    words.say("after another");
    ::raise(SIGTERM);
  });
  CHECK(::waitpid(speaks, &status, 0) == speaks);
  CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM));
  const pid_t silent = child([&] {
    ::dup2(ends[1], STDERR_FILENO);
    detail::Processes processes;
    { const detail::LastWords words(1, processes); }
    std::signal(SIGTERM, [](int) { ::_exit(3); });
    const detail::LastWords words(1, processes);
    ::raise(SIGTERM);
  });
  CHECK(::waitpid(silent, &status, 0) == silent);
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 3));
  ::kill(stays, SIGKILL);
  ::waitpid(stays, &status, 0), ::waitpid(ended, &status, 0);
  ::close(ends[1]);
  char said[1024] = {};
  CHECK(::read(ends[0], said, sizeof said - 1) >= 0);
  ::close(ends[0]);
  CHECK(std::string(said) == "rank 1 is told to end (SIGTERM), after another; rank 2 (process " + std::to_string(ended) + ") is gone\n");
}

namespace {
/// A sum that ranks make together: each comes with its numbers and adds up some of those of all, in the memory of all.
void sum_together(SharedRanks& shared, const LocalGroup::Rank& rank, std::vector<float>& mine, std::string_view name) {
  const Index n = Index(mine.size());
  shared.work_together(mine.data(), mine.size() * sizeof(float), name, [&](const void* const* all) {
    for (Index i = rank.rank(); i < n; i += rank.size()) {
      float sum = 0;
      const auto of = [&](int r) -> float& { return static_cast<float*>(const_cast<void*>(all[r]))[i]; };
      for (int r = 0; r < rank.size(); ++r) sum += of(r);
      for (int r = 0; r < rank.size(); ++r) of(r) = sum;
    }
  });
}
}  // namespace
TEST_CASE("ranks of one process work together in the memory of all, among other operations") {
  for (const int size : {1, 2, 3, 8})
    LocalGroup(size).run([&](LocalGroup::Rank& rank) {
      CHECK(AnyCommunicator(rank).shared() == &rank);
      for (int i = 0; i < 50; ++i) {
        std::vector<float> mine(100), begun(1000, 1);
        for (std::size_t k = 0; k < mine.size(); ++k) mine[k] = float(rank.rank() + 1) * float(int(k) + i);
        rank.begin(std::span(begun), "begun");
        sum_together(*AnyCommunicator(rank).shared(), rank, mine, "sums");
        bool right = true;
        for (std::size_t k = 0; k < mine.size(); ++k) right = right && mine[k] == float(size * (size + 1) / 2) * float(int(k) + i);
        CHECK((right && begun[7] == float(size)));
        rank.finish();
      }
    });
  Solo solo;
  CHECK(AnyCommunicator(solo).shared() == nullptr);
}
TEST_CASE("a rank that waits, for whatever it is, does tasks of others meanwhile") {
  const std::pair<const char*, void (*)(LocalGroup::Rank&)> ways[] = {
      {"barrier", [](LocalGroup::Rank& rank) { rank.barrier("all"); }},
      {"together", [](LocalGroup::Rank& rank) { std::vector<float> mine(8); sum_together(rank, rank, mine, "sums"); }},
      {"gather", [](LocalGroup::Rank& rank) { const int one = 1; std::array<int, 2> all; rank.all_gather(std::span(&one, 1), all, "ones"); }},
      {"begun", [](LocalGroup::Rank& rank) { std::vector<float> x(8); rank.finish(rank.begin(std::span(x), "x")); }}};
  for (const auto& way : ways) {
    INFO(way.first);
    std::atomic<int> helped = 0;
    std::atomic<bool> held = false;
    LocalGroup(2).run([&](LocalGroup::Rank& rank) {
      if (rank.rank() == 0)
        rank.tasks()->run(0, 4, [&](Index, int worker) {
          if (worker) ++helped;
          else if (!held.exchange(true))                                  // a task that is held up for as long as there are others
            for (const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20); helped < 3 && std::chrono::steady_clock::now() < end;) std::this_thread::yield();
        });
      else while (!held) std::this_thread::yield();
      way.second(rank);
    });
    CHECK(helped == 3);
  }
}
TEST_CASE("a rank that fails in the midst of what all do together ends all, once nobody touches the memory of others") {
  for (const bool known : {true, false}) {
    LocalGroup group(3);
    std::atomic<int> parts = 0;
    std::atomic<bool> early = false;
    const auto said = complaints(group, [&](LocalGroup::Rank& rank) {
      rank.barrier("start");
      try {
        rank.work_together(nullptr, 12, "weights", [&](const void* const*) {
          if (rank.rank() == 1 && known) ++parts, throw Error("the optimizer is broken");
          if (rank.rank() == 1) ++parts, throw 1;
          std::this_thread::sleep_for(std::chrono::milliseconds(50));
          ++parts;
        });
      } catch (...) {
        if (parts != 3) early = true;
        throw;
      }
    });
    CHECK(!early);
    const std::string why = known ? "the optimizer is broken" : "it threw something that is no std::exception";
    CHECK(said[1] == (known ? why : "nothing"));
    for (const int r : {0, 2})
      CHECK(said[std::size_t(r)] == "rank " + std::to_string(r) + " of 3 cannot go on with work_together \"weights\" (operation 2, 12 bytes each): "
            "rank 1 gave up, in work_together \"weights\" (operation 2, 12 bytes each): " + why);
    CHECK_THROWS_WITH_AS(group.rank(0).barrier("again"), doctest::Contains("rank 1 gave up, in work_together"), Error);
  }
}
TEST_CASE("ranks do together what is the same, or nothing") {
  LocalGroup group(2), late(2, {.deadline = 1});
  const auto said = complaints(group, [&](LocalGroup::Rank& rank) { rank.work_together(nullptr, rank.rank() ? 8 : 12, "weights", [](const void* const*) { CHECK(false); }); });
  for (const std::string& words : said) CHECK(has(words, "rank 0 comes to work_together \"weights\" (operation 1, 12 bytes each) and rank 1 to work_together \"weights\" (operation 1, 8 bytes each)"));
  const auto waited = complaints(late, [&](LocalGroup::Rank& rank) {
    if (rank.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(1300));
    rank.work_together(nullptr, 8, "weights", [](const void* const*) { CHECK(false); });
  });
  for (const std::string& words : waited) CHECK(has(words, "work_together \"weights\" (operation 1, 8 bytes each): rank 1 did not come within 1 s"));
}

#if defined(__SSE2__)
TEST_CASE("what is begun treats numbers near 0 as its thread does") {
  const float least = std::numeric_limits<float>::min();
  LocalGroup group(2);
  group.run([&](LocalGroup::Rank& rank) {
    const float mine = rank.rank() == 0 ? 1.5f * least : -least;
    std::vector<float> kept(40, mine), flushed(40, mine);
    const auto as_it_was = _mm_getcsr();
    rank.begin(std::span(kept), "kept");
    _mm_setcsr(as_it_was | 0x8040);
    rank.begin(std::span(flushed), "flushed");
    rank.finish();
    _mm_setcsr(as_it_was);
    for (int i = 0; i < 40; ++i) CHECK((kept[std::size_t(i)] == 0.5f * least && flushed[std::size_t(i)] == 0));
  });
}
#endif

TEST_CASE("groups and ranks that cannot be") {
  CHECK_THROWS_WITH_AS(LocalGroup(0), "a group of 0 ranks: give it at least one", Error);
  CHECK_THROWS_WITH_AS(LocalGroup(2, {.deadline = 0}), "a deadline of 0 seconds: give a number above 0", Error);
  CHECK_THROWS_WITH_AS(LocalGroup(2, {.deadline = -1}), "a deadline of -1 seconds: give a number above 0", Error);
  LocalGroup group(2);
  CHECK_THROWS_WITH_AS(group.rank(2), "there is no rank 2 among 2, counted from 0", Error);
}
