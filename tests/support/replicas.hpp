/// Replicas as threads, each with its part of a batch, which learn in the midst of a pass what the others have.
#pragma once
#include <lamina/core/device.hpp>
#include <lamina/core/tree.hpp>

#include <barrier>
#include <cstring>
#include <thread>
#include <vector>

namespace lamina_test {

/// f(rank, replica, first sample, samples) on so many threads, each with as many of the shares of a batch. gathers: moments are those of all.
template <class F> void on_replicas(int count, lamina::Index batch, lamina::Index shares, bool gathers, const F& f) {
  struct Meeting {
    std::barrier<> all;
    std::vector<const void*> brought;
  } meeting{std::barrier<>(count), std::vector<const void*>(std::size_t(count))};
  struct Member {
    Meeting* meeting;
    int rank;
    static void gather(void* member, const void* mine, std::size_t bytes, void* all) {
      const auto [m, rank] = *static_cast<Member*>(member);
      m->brought[std::size_t(rank)] = mine;
      m->all.arrive_and_wait();
      for (std::size_t r = 0; r < m->brought.size(); ++r) std::memcpy(static_cast<char*>(all) + r * bytes, m->brought[r], bytes);
      m->all.arrive_and_wait();
    }
  };
  std::vector<std::thread> threads;
  for (int rank = 0; rank < count; ++rank)
    threads.emplace_back([&, rank] {
      const lamina::Index each = shares / count, first = lamina::first_of_share(rank * each, batch, shares);
      Member member{&meeting, rank};
      f(rank, lamina::Replica{rank * each, each, shares, batch, false, gathers ? &Member::gather : nullptr, &member}, first, lamina::first_of_share((rank + 1) * each, batch, shares) - first);
    });
  for (std::thread& t : threads) t.join();
}

/// The sum of what the ranks have, as a tree.
template <class T> std::vector<T> sum_of_ranks(std::vector<std::vector<T>> of) {
  lamina::tree_sum<T>(int(of.size()), lamina::Index(of[0].size()), [&](int rank) { return of[std::size_t(rank)].data(); });
  return of[0];
}

}  // namespace lamina_test
