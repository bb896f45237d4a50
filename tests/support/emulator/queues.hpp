/// The queues of an emulated GPU: each does its work in order, and one waits for another only where it was told to. They run when somebody waits for one of them,
/// in an order drawn from a seed, so that what nothing makes wait comes too early in some test.
#pragma once
#include <lamina/core/error.hpp>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "machine.hpp"

namespace lamina_test {

using lamina::simt::Clock, lamina::simt::Machine;

/// A place in a queue that others can wait for.
struct Event {
  bool reached = false;
  Clock clock;                        // what was done by then
  const void* recording = nullptr;    // of an event within a graph: which, its number, and what of the graph comes before it
  std::size_t number = 0;
  std::vector<std::size_t> before;
};

/// What was recorded: work on lanes, each a queue, the first being that which it was recorded on and will be replayed on.
struct Recorded {
  struct Node { std::size_t lane; std::function<void()> work; std::optional<std::size_t> marks, awaits; };
  std::vector<Node> nodes;
  std::vector<unsigned> lanes, uses;  // queues; numbers of buffers
  std::size_t events = 0;
  std::vector<std::vector<std::size_t>> before;  // of each lane, how many nodes of each lane it comes after
  const char* fault = nullptr;
};

class Queues {
 public:
  Machine& machine;

  Queues(Machine& m, unsigned seed) : machine(m), random_(seed) {}
  /// A queue of one's own. It waits for nothing that others were given before.
  unsigned open() {
    const unsigned q = vacant();
    queues_[q].owned = true;
    ++owned_;
    return q;
  }
  void close(unsigned q) { queues_[q].owned = false, --owned_; }

  void add(unsigned q, std::function<void()> work) {
    if (const auto lane = recorded(q)) recording_->nodes.push_back({*lane, std::move(work), {}, {}}), ++recording_->before[*lane][*lane];
    else push(q, {std::move(work), nullptr, nullptr, host_});
  }
  std::shared_ptr<const Event> mark(unsigned q, std::shared_ptr<Event> event = std::make_shared<Event>()) {
    if (const auto lane = recorded(q)) {
      event->recording = recording_.get(), event->number = recording_->events++, event->before = recording_->before[*lane];
      recording_->nodes.push_back({*lane, nullptr, event->number, {}});
    } else push(q, {nullptr, event, nullptr, host_});
    return event;
  }
  /// What q is given from now on comes after what the event's queue had been given. A queue that waits for an event within a recording is recorded too.
  void wait_for(unsigned q, const std::shared_ptr<const Event>& event) {
    auto lane = recorded(q);
    if (!event->recording) {
      if (lane) throw lamina::Error("what is recorded cannot wait for an event of what is not");
      return push(q, {nullptr, nullptr, event, host_});
    }
    if (event->recording != recording_.get()) throw lamina::Error("an event within a recording is for that recording only");
    if (!lane) lane = recorded(enter(q));
    auto& before = recording_->before[*lane];
    for (std::size_t i = 0; i < event->before.size(); ++i) before[i] = std::max(before[i], event->before[i]);
    recording_->nodes.push_back({*lane, nullptr, {}, event->number});
  }

  /// f() with what is given to q, and to queues that wait for it, recorded instead of done.
  template <class F> std::shared_ptr<const Recorded> record(unsigned q, const F& f) {
    if (recording_) throw lamina::Error("a recording within a recording");
    recording_ = std::make_shared<Recorded>();
    enter(q);
    try { f(); }
    catch (...) { recording_ = nullptr; throw; }
    const auto done = std::exchange(recording_, nullptr);
    if (done->fault) throw lamina::Error(done->fault);
    for (std::size_t lane = 1; lane < done->lanes.size(); ++lane)
      if (done->before[0][lane] != done->before[lane][lane]) throw lamina::Error("queue ", done->lanes[lane], " is part of what queue ", q, " records, which must wait for all of it before the recording ends");
    return done;
  }
  Recorded* recording() const { return recording_.get(); }

  void replay(unsigned q, const std::shared_ptr<const Recorded>& graph) {
    std::vector<unsigned> of_lane{q};
    std::vector<std::shared_ptr<Event>> events(graph->events);
    for (auto& e : events) e = std::make_shared<Event>();
    for (std::size_t lane = 1; lane < graph->lanes.size(); ++lane) queues_[of_lane.emplace_back(vacant())].owned = true;
    held_ = true;
    for (const auto& n : graph->nodes)
      push(of_lane[n.lane], {n.work, n.marks ? events[*n.marks] : nullptr, n.awaits ? events[*n.awaits] : nullptr, host_});
    held_ = false;
    for (std::size_t lane = 1; lane < of_lane.size(); ++lane) queues_[of_lane[lane]].owned = false;
    if (owned_ == 1) run(q);
  }

  /// Until the queue has nothing left to do.
  void wait(unsigned q) {
    run(q);
    host_.join(queues_[q].clock);
  }
  /// Until the event is reached.
  void wait_until(const Event& event) {
    while (!event.reached) advance();
    host_.join(event.clock);
  }
  /// Whether the host has waited for it, or for something behind it.
  bool knows(const Event& event) const {
    for (unsigned q = 0; q < Clock::queues; ++q)
      if (host_.done[q] < event.clock.done[q]) return false;
    return event.reached;
  }
  void wait_for_all() { for (unsigned q = 0; q < Clock::queues; ++q) wait(q); }

 private:
  struct Operation { std::function<void()> work; std::shared_ptr<Event> marks; std::shared_ptr<const Event> awaits; Clock host; };  // host: what it had waited for
  struct Queue { std::deque<Operation> waiting; Clock clock; bool owned = false; };

  unsigned vacant() {
    for (unsigned again = 0; again < 2; ++again, wait_for_all())
      for (unsigned q = 0; q < Clock::queues; ++q)
        if (!queues_[q].owned && queues_[q].waiting.empty()) return q;
    throw lamina::Error("the emulator has ", Clock::queues, " queues, and all are in use");
  }
  unsigned enter(unsigned q) {
    recording_->lanes.push_back(q);
    for (auto& b : recording_->before) b.push_back(0);
    recording_->before.emplace_back(recording_->lanes.size());
    return q;
  }
  std::optional<std::size_t> recorded(unsigned q) const {
    if (recording_)
      for (std::size_t lane = 0; lane < recording_->lanes.size(); ++lane)
        if (recording_->lanes[lane] == q) return lane;
    return {};
  }

  void push(unsigned q, Operation o) {
    queues_[q].waiting.push_back(std::move(o));
    if (owned_ == 1 && !held_) run(q);  // alone it need not be late
  }
  void run(unsigned q) {
    while (!queues_[q].waiting.empty()) advance();
  }
  /// Something that some queue has to do.
  void advance() {
    unsigned ready[Clock::queues], count = 0;
    for (unsigned i = 0; i < Clock::queues; ++i)
      if (!queues_[i].waiting.empty() && (!queues_[i].waiting.front().awaits || queues_[i].waiting.front().awaits->reached)) ready[count++] = i;
    if (!count) throw lamina::Error("what is waited for is nothing that a queue will come to");
    try { step(ready[random_() % count]); }
    catch (...) {
      for (Queue& each : queues_) each.waiting.clear();
      throw;
    }
  }
  void step(unsigned q) {
    Queue& queue = queues_[q];
    const Operation o = std::move(queue.waiting.front());
    queue.waiting.pop_front();
    queue.clock.join(o.host);
    if (o.awaits) queue.clock.join(o.awaits->clock);
    if (o.marks) o.marks->reached = true, o.marks->clock = queue.clock;
    if (!o.work) return;
    machine.queue = q, machine.clock = queue.clock;
    o.work();
    queue.clock = machine.clock;
  }

  Queue queues_[Clock::queues];
  std::shared_ptr<Recorded> recording_;
  Clock host_;                                 // what the host has waited for
  std::mt19937 random_;
  unsigned owned_ = 0;
  bool held_ = false;
};

}  // namespace lamina_test
