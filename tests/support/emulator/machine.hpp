/// The emulated GPU: runs a block's lanes as fibers, each up to the next place where lanes must meet, in an order drawn from a seed.
#pragma once
#include <deque>
#include <exception>
#include <numeric>
#include <random>
#include <utility>

#include "device_memory.hpp"
#include "fiber.hpp"
#include "shared_memory.hpp"

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
  DeviceMemory global;
  Meetings met;
  Place block, grid;
  int current = 0;    // the lane that runs, 0 .. threads - 1
  unsigned queue = 0;
  Clock clock;        // what launches come after

  static Machine& running() { return *running_; }
  Lane& lane() { return lanes_[std::size_t(current)]; }

  /// Runs `kernel()` for every lane of every block; `seed` draws the order of lanes, warps and blocks.
  template <class F> void launch(Place blocks, int threads, std::size_t shared_bytes, const F& kernel, unsigned seed = 1) {
    launch(blocks, threads, shared_bytes, [](const void* f) { (*static_cast<const F*>(f))(); }, &kernel, seed);
  }
  void launch(Place grid_blocks, int threads, std::size_t shared_bytes, void (*kernel)(const void*), const void* arguments, unsigned seed) {
    if (threads < 32 || threads % 32 || threads > 1024 || shared_bytes > 227 * 1024) fail("%d threads or %zu bytes of shared memory cannot be launched", threads, shared_bytes);
    if (grid_blocks.x < 1 || grid_blocks.y < 1 || grid_blocks.z < 1 || grid_blocks.y > 65535 || grid_blocks.z > 65535)
      fail("a grid of %d x %d x %d blocks cannot be launched", grid_blocks.x, grid_blocks.y, grid_blocks.z);
    running_ = this;
    kernel_ = kernel, arguments_ = arguments;
    random_.seed(seed);
    grid = grid_blocks;
    while (int(lanes_.size()) < threads) lanes_.emplace_back();
    threads_ = threads;
    ++counters.launches;
    begin_operation();
    shared.begin_launch(shared_bytes);
    met = {};
    std::vector<int> order(std::size_t(grid.x) * std::size_t(grid.y) * std::size_t(grid.z));
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random_);
    for (int b : order) {
      block = {b % grid.x, b / grid.x % grid.y, b / grid.x / grid.y};
      try { run_block(); }
      catch (const Error& e) { throw Error(std::string(e.what()) + " [block " + std::to_string(block.x) + "," + std::to_string(block.y) + "," + std::to_string(block.z) + "]"); }
    }
  }

  /// The next of its queue: what is touched from now on is touched by it.
  void begin_operation() {
    global.begin_operation(queue, clock);
    ++clock.done[queue];
  }

  /// The running lane waits until every lane that must meet it is here and the work is done.
  void wait(const Meeting& at) {
    Lane& l = lane();
    l.at = at;
    l.state = Lane::State::waiting;
    l.fiber.yield();
  }

 private:
  void run_block() {
    ++counters.blocks;
    shared.begin_block();
    global.begin_block();
    met.next_block();
    const int warps = threads_ / 32;
    for (int i = 0; i < threads_; ++i) {
      Lane& l = lanes_[std::size_t(i)];
      l.state = Lane::State::ready;
      l.copies.clear(), l.groups.clear(), l.accesses.clear();
      l.fiber.start(&run_lane, std::size_t(i));
    }
    std::iota(lane_order_, lane_order_ + 32, 0);
    std::shuffle(lane_order_, lane_order_ + 32, random_);
    int warp_order[32];
    std::iota(warp_order, warp_order + warps, 0);
    for (int done = 0; done < warps;) {
      std::shuffle(warp_order, warp_order + warps, random_);
      int at_barrier = 0;
      done = 0;
      for (int i = 0; i < warps; ++i) {
        Lane* const lanes = &lanes_[std::size_t(warp_order[i]) * 32];
        const bool left = all_done(lanes) || run_warp(warp_order[i], lanes);
        done += left;
        at_barrier += !left && lanes[0].state == Lane::State::waiting && !lanes[0].at.meet;
      }
      if (at_barrier + done == warps && at_barrier > 0) {
        if (done) fail("%d warps wait at the barrier of line %u, %d have left the kernel", at_barrier, first_waiting().at.line, done);
        for (int i = 0; i < threads_; ++i)
          if (lanes_[std::size_t(i)].at.line != lanes_[0].at.line) fail("warps wait at different barriers: lines %u and %u", lanes_[0].at.line, lanes_[std::size_t(i)].at.line);
        met.meet_block();
        for (int i = 0; i < threads_; ++i) lanes_[std::size_t(i)].state = Lane::State::ready;
      }
    }
    for (int i = 0; i < threads_; ++i)
      if (!lanes_[std::size_t(i)].copies.empty() || !lanes_[std::size_t(i)].groups.empty()) fail("lane %d leaves with asynchronous copies it never waited for", i);
  }

  /// Until the warp stands at the block's barrier, or is done (then true), or (drawn) lets another warp go first.
  bool run_warp(int w, Lane* lanes) {
    for (;;) {
      for (int i : lane_order_) {
        if (lanes[i].state != Lane::State::ready) continue;
        current = w * 32 + i;
        ++counters.switches;
        lanes[i].fiber.resume();
        if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
      }
      count_accesses(lanes);
      if (all_done(lanes)) return true;
      const Meeting& at = lanes[0].at;
      void* hands[32];
      for (int i = 0; i < 32; ++i) {
        if (lanes[i].state == Lane::State::done) fail("lane %d has left, others of its warp wait at line %u", w * 32 + i, first_waiting().at.line);
        if (lanes[i].at.meet != at.meet || lanes[i].at.line != at.line)
          fail("divergence: lane %d at %s, line %u; lane %d at %s, line %u", w * 32, at.name, at.line, w * 32 + i, lanes[i].at.name, lanes[i].at.line);
        hands[i] = lanes[i].at.hand;
      }
      if (!at.meet) return false;
      current = w * 32;
      at.meet(hands);
      for (int i = 0; i < 32; ++i) lanes[i].state = Lane::State::ready;
      if (random_() % 8 == 0) return false;
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
          if (left[i]->line == first.line && left[i]->shared == first.shared && left[i]->writes == first.writes && left[i]->bytes == first.bytes) same[together++] = left[i];
          else left[others++] = left[i];
        if (first.shared) count_wavefronts(same, together, counters);
        else (first.writes ? counters.written_bytes : counters.read_bytes) += 32L * distinct_sectors(same, together);
        count = others;
      }
    }
    for (int i = 0; i < 32; ++i) lanes[i].accesses.clear();
  }

  static bool all_done(const Lane* lanes) {
    return std::all_of(lanes, lanes + 32, [](const Lane& l) { return l.state == Lane::State::done; });
  }
  const Lane& first_waiting() const {
    return *std::find_if(lanes_.begin(), lanes_.begin() + threads_, [](const Lane& l) { return l.state == Lane::State::waiting; });
  }
  static void run_lane() {
    Machine& m = *running_;
    m.lane().fiber.arrived();
    try { m.kernel_(m.arguments_); }
    catch (...) { m.error_ = std::current_exception(); }
    m.lane().state = Lane::State::done;
    for (;;) m.lane().fiber.yield(true);
  }

  inline static thread_local Machine* running_ = nullptr;
  void (*kernel_)(const void*) = nullptr;
  const void* arguments_ = nullptr;
  std::exception_ptr error_;
  std::mt19937 random_;
  std::vector<Lane> lanes_;
  int threads_ = 0;
  int lane_order_[32];
};

}  // namespace lamina::simt
