/// Threads that help each other do every task once, whoever does it.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <latch>
#include <stdexcept>

#include <lamina/core/shared_tasks.hpp>

using namespace lamina;
using detail::SharedTasks;

namespace {
/// f(place) in a thread for each place.
template <class F> void at_all_places(int places, const F& f) {
  std::vector<std::thread> threads;
  for (int p = 0; p < places; ++p) threads.emplace_back([&f, p] { f(p); });
  for (std::thread& t : threads) t.join();
}
}  // namespace

TEST_CASE("by itself a place does its own tasks in turn") {
  SharedTasks tasks(1);
  std::vector<Index> done;
  tasks.run(0, 5, [&](Index task, int worker) { CHECK(worker == 0); done.push_back(task); });
  CHECK(done == std::vector<Index>{0, 1, 2, 3, 4});
  tasks.run(0, 0, [](Index, int) { FAIL("there is none"); });
  CHECK_FALSE(tasks.help(0));
}

TEST_CASE("who waits does the tasks of one that is held up") {
  SharedTasks tasks(2);
  std::latch held(1), over(1);
  std::vector<int> by(6, -1);
  at_all_places(2, [&](int place) {
    if (place == 0) {
      tasks.run(0, 6, [&](Index task, int worker) {
        by[std::size_t(task)] = worker;
        if (worker == 0) held.count_down(), over.wait();             // the first is all that place 0 comes to
      });
    } else {
      held.wait();
      while (tasks.help(1)) {}
      over.count_down();
    }
  });
  CHECK(by == std::vector<int>{0, 1, 1, 1, 1, 1});
  CHECK_FALSE(tasks.help(1));
}

TEST_CASE("every task of many jobs is done once, and before its job returns") {
  constexpr int places = 6;
  SharedTasks tasks(places);
  CHECK(tasks.workers() == 4);
  std::atomic<int> left = places;
  std::array<std::array<std::atomic<bool>, 4>, places> at_work = {};
  std::atomic<bool> wrong = false;
  at_all_places(places, [&](int place) {
    std::vector<int> times(40);
    for (int job = 0; job < 3000; ++job) {
      const std::size_t n = std::size_t((job * 7 + place * 3) % 40);
      std::fill_n(times.begin(), n, 0);
      tasks.run(place, Index(n), [&](Index task, int worker) {
        ++times[std::size_t(task)];
        if (worker < 0 || worker >= tasks.workers()) wrong = true;
        if (at_work[std::size_t(place)][std::size_t(worker)].exchange(true)) wrong = true;         // nobody else is this worker
        at_work[std::size_t(place)][std::size_t(worker)] = false;
      });
      for (std::size_t i = 0; i < n; ++i) if (times[i] != 1) wrong = true;
      tasks.help(place);
    }
    --left;
    while (left) if (!tasks.help(place)) std::this_thread::yield();
  });
  CHECK_FALSE(wrong);
}

TEST_CASE("what a task throws is thrown where its job was begun, once, after all of its tasks") {
  SharedTasks tasks(2);
  std::atomic<bool> over = false;
  std::atomic<int> done = 0;
  at_all_places(2, [&](int place) {
    if (place == 1) {
      while (!over) if (!tasks.help(1)) std::this_thread::yield();
      return;
    }
    for (int job = 0; job < 100; ++job)
      CHECK_THROWS_WITH_AS(tasks.run(0, 8, [&](Index task, int) { ++done; if (task == 3) throw std::runtime_error("of task 3"); }), "of task 3", std::runtime_error);
    tasks.run(0, 8, [&](Index, int) { ++done; });
    over = true;
  });
  CHECK(done == 808);
}

TEST_CASE("a task that shares out tasks does them itself") {
  SharedTasks tasks(2);
  Index sum = 0;
  tasks.run(0, 3, [&](Index i, int) { tasks.run(0, 4, [&](Index j, int worker) { CHECK(worker == 0); sum += 10 * i + j; }); });
  CHECK(sum == 10 * (0 + 1 + 2) * 4 + 3 * (0 + 1 + 2 + 3));
}
