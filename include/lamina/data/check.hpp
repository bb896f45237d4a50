/// A look at every picture before a training begins: those that cannot be used.
#pragma once
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <string>
#include <vector>

#include "../core/task.hpp"
#include "../core/threads.hpp"
#include "bad_pictures.hpp"
#include "picture_store.hpp"

namespace lamina {

namespace detail {

/// f(task) for every task in [0, tasks), inside the arena.
inline void run_in(tbb::task_arena& arena, Index tasks, TaskRef f) {
  arena.execute([&] { tbb::parallel_for(Index(0), tasks, f, tbb::simple_partitioner{}); });
}
/// Of the thread that runs a task, from 0.
inline std::size_t thread_number() { return std::size_t(tbb::this_task_arena::current_thread_index()); }

/// The names of what `look(sample)` throws at, in the order of the dataset. Throws Shortage where that is not a picture's fault.
[[gnu::cold]] inline std::vector<BadPicture> find_bad(const Dataset& dataset, tbb::task_arena& arena, TaskRef look) {
  std::vector<std::string> problem(dataset.samples.size());
  run_in(arena, dataset.size(), [&](Index i) {
    try {
      look(i);
    } catch (const Shortage&) {
      throw;
    } catch (const Error& e) {
      problem[std::size_t(i)] = e.what();
    }
  });
  std::vector<BadPicture> bad;
  for (std::size_t i = 0; i < problem.size(); ++i)
    if (!problem[i].empty()) bad.push_back({dataset.samples[i].where(), std::move(problem[i]), Index(i)});
  return bad;
}

}  // namespace detail

/// Decodes every picture of the dataset, in parallel, and returns those that cannot be used: what a training would stumble over hours later.
[[gnu::cold]] inline std::vector<BadPicture> check(const Dataset& dataset, int workers = 0) {
  const detail::Threads threads(workers);
  tbb::task_arena arena(threads.count());
  return detail::find_bad(dataset, arena, [&](Index i) {
    if (const Sample& s = dataset.samples[std::size_t(i)]; !s.picture) decode(s);
  });
}
/// The same for the pictures of a store, which keeps those that fit.
[[gnu::cold]] inline std::vector<BadPicture> check(PictureStore& pictures, int workers = 0) {
  const detail::Threads threads(workers);
  tbb::task_arena arena(threads.count());
  std::vector<std::vector<std::uint8_t>> room(std::size_t(threads.count()));
  return detail::find_bad(pictures.dataset(), arena, [&](Index i) { pictures.at(i, room[detail::thread_number()]); });
}

}  // namespace lamina
