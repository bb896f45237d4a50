/// The emulated GPU: runs a block's lanes as fibers, each up to the next place where lanes must meet, in an order drawn from a seed.
#pragma once
#include <deque>
#include <exception>
#include <functional>
#include <numeric>
#include <random>
#include <utility>

#include "fiber.hpp"
#include "memory.hpp"

namespace lamina::simt {

struct Place { int x = 1, y = 1, z = 1; };

/// Where a lane waits: what for, at which source line, with what in hand. `meet` does the work of all 32 lanes at once.
struct Meeting {
  using Work = void (*)(void* const (&hands)[32]);
  const char* name = nullptr;
  std::uint32_t line = 0;
  Work meet = nullptr;  // nullptr: the barrier of the whole block
  void* hand = nullptr;
};

struct AsyncCopy { void* to; const void* from; bool inside; };

struct Lane {
  enum class State { ready, waiting, done };
  Fiber fiber;
  State state = State::done;
  Meeting at;
  std::vector<Access> accesses;                // since its warp last met
  std::vector<AsyncCopy> copies;               // begun, not yet in a group
  std::deque<std::vector<AsyncCopy>> groups;   // committed, oldest first, not yet waited for
};

class Machine {
 public:
  Counters counters;
  SharedMemory shared;
  GlobalMemory global;
  Meetings met;
  Place block, grid;
  int current = 0;  // the lane that runs, 0 .. threads - 1

  static Machine& running() { return *running_; }
  Lane& lane() { return lanes_[current]; }

  /// Runs `kernel()` for every lane of every block; `seed` draws the order of lanes, warps and blocks.
  void launch(Place grid_blocks, int threads, std::size_t shared_bytes, std::function<void()> kernel, unsigned seed = 1) {
    if (threads % 32 || threads > 1024 || shared_bytes > 227 * 1024) fail("%d threads or %zu bytes of shared memory cannot be launched", threads, shared_bytes);
    running_ = this;
    kernel_ = std::move(kernel);
    random_.seed(seed);
    grid = grid_blocks;
    while (int(lanes_.size()) < threads) lanes_.emplace_back();
    threads_ = threads;
    ++counters.launches;
    global.begin_launch();
    std::vector<int> order(std::size_t(grid.x) * grid.y * grid.z);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random_);
    for (int b : order) {
      block = {b % grid.x, b / grid.x % grid.y, b / grid.x / grid.y};
      try { run_block(shared_bytes); }
      catch (const Error& e) { throw Error(std::string(e.what()) + " [block " + std::to_string(block.x) + "," + std::to_string(block.y) + "," + std::to_string(block.z) + "]"); }
    }
    global.end_launch(counters);
  }

  /// The running lane waits until every lane that must meet it is here and the work is done.
  void wait(Meeting at) {
    lane().at = at;
    lane().state = Lane::State::waiting;
    lane().fiber.yield();
  }

 private:
  void run_block(std::size_t shared_bytes) {
    ++counters.blocks;
    shared.reset(shared_bytes);
    global.begin_block();
    const int warps = threads_ / 32;
    met = {1, 1, std::vector<std::uint32_t>(warps, 1)};
    for (int i = 0; i < threads_; ++i) {
      lanes_[i].state = Lane::State::ready;
      lanes_[i].copies.clear(), lanes_[i].groups.clear(), lanes_[i].accesses.clear();
      lanes_[i].fiber.start(&run_lane);
    }
    std::iota(lane_order_, lane_order_ + 32, 0);
    std::shuffle(lane_order_, lane_order_ + 32, random_);
    std::vector<int> warp_order(warps);
    std::iota(warp_order.begin(), warp_order.end(), 0);
    for (int done = 0; done < warps;) {
      std::shuffle(warp_order.begin(), warp_order.end(), random_);
      int at_barrier = 0;
      done = 0;
      for (int w : warp_order) {
        run_warp(w);
        done += all_done(w);
        at_barrier += !all_done(w) && lanes_[w * 32].state == Lane::State::waiting && !lanes_[w * 32].at.meet;
      }
      if (at_barrier + done == warps && at_barrier > 0) {
        if (done) fail("%d warps wait at the barrier of line %u, %d have left the kernel", at_barrier, first_waiting().at.line, done);
        for (int i = 0; i < threads_; ++i)
          if (lanes_[i].at.line != lanes_[0].at.line) fail("warps wait at different barriers: lines %u and %u", lanes_[0].at.line, lanes_[i].at.line);
        met.block = ++met.now;
        for (int i = 0; i < threads_; ++i) lanes_[i].state = Lane::State::ready;
      }
    }
    for (int i = 0; i < threads_; ++i)
      if (!lanes_[i].copies.empty() || !lanes_[i].groups.empty()) fail("lane %d leaves with asynchronous copies it never waited for", i);
  }

  /// Until the warp stands at the block's barrier, or is done, or (drawn) lets another warp go first.
  void run_warp(int w) {
    Lane* const lanes = &lanes_[w * 32];
    for (;;) {
      for (int i : lane_order_) {
        if (lanes[i].state != Lane::State::ready) continue;
        current = w * 32 + i;
        ++counters.switches;
        lanes[i].fiber.resume();
        if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
      }
      count_accesses(lanes);
      if (all_done(w)) return;
      const Meeting& at = lanes[0].at;
      for (int i = 0; i < 32; ++i) {
        if (lanes[i].state == Lane::State::done) fail("lane %d has left, others of its warp wait at line %u", w * 32 + i, first_waiting().at.line);
        if (lanes[i].at.meet != at.meet || lanes[i].at.line != at.line)
          fail("divergence: lane %d at %s, line %u; lane %d at %s, line %u", w * 32, at.name, at.line, w * 32 + i, lanes[i].at.name, lanes[i].at.line);
      }
      if (!at.meet) return;
      void* hands[32];
      for (int i = 0; i < 32; ++i) hands[i] = lanes[i].at.hand;
      current = w * 32;
      at.meet(hands);
      for (int i = 0; i < 32; ++i) lanes[i].state = Lane::State::ready;
      if (random_() % 8 == 0) return;
    }
  }

  /// The k-th access of each lane since the warp last met is taken for one instruction, where the source line agrees.
  void count_accesses(Lane* lanes) {
    for (std::size_t k = 0;; ++k) {
      const Access* left[32];
      int count = 0;
      for (int i = 0; i < 32; ++i)
        if (k < lanes[i].accesses.size()) left[count++] = &lanes[i].accesses[k];
      if (count == 0) break;
      while (count > 0) {
        const Access* same[32];
        int together = 0, others = 0;
        const Access first = *left[0];
        for (int i = 0; i < count; ++i)
          if (left[i]->line == first.line && left[i]->shared == first.shared && left[i]->writes == first.writes) same[together++] = left[i];
          else left[others++] = left[i];
        if (first.shared) count_wavefronts(same, together, counters);
        else (first.writes ? counters.written_bytes : counters.read_bytes) += 32L * distinct_sectors(same, together);
        count = others;
      }
    }
    for (int i = 0; i < 32; ++i) lanes[i].accesses.clear();
  }

  bool all_done(int w) const {
    return std::all_of(&lanes_[w * 32], &lanes_[w * 32] + 32, [](const Lane& l) { return l.state == Lane::State::done; });
  }
  const Lane& first_waiting() const {
    return *std::find_if(lanes_.begin(), lanes_.end(), [](const Lane& l) { return l.state == Lane::State::waiting; });
  }
  static void run_lane() {
    Machine& m = *running_;
    try { m.kernel_(); }
    catch (...) { m.error_ = std::current_exception(); }
    m.lane().state = Lane::State::done;
    for (;;) m.lane().fiber.yield();
  }

  inline static thread_local Machine* running_ = nullptr;
  std::function<void()> kernel_;
  std::exception_ptr error_;
  std::mt19937 random_;
  std::vector<Lane> lanes_;
  int threads_ = 0;
  int lane_order_[32];
};

}  // namespace simt
