#include <lamina/cpu/batch_norm.hpp>
#include <lamina/cpu/conv_relu_pool.hpp>
#include <lamina/cpu/dense.hpp>
#include <lamina/cpu/pool.hpp>
#include <lamina/nn/program.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "../support/nets.hpp"

using namespace lamina;

namespace {
/// A workspace in which every stretch remembers who wrote it last.
template <std::size_t N> class Workspace {
 public:
  explicit Workspace(const Plan<N>& plan) : plan_(plan) {}

  void write(int id) {
    if (id <= 0) return;
    fits(id);
    std::erase_if(written_, [&](int other) { return overlap(id, other); });
    written_.push_back(id);
  }
  void read(int id) {
    if (id > 0 && std::find(written_.begin(), written_.end(), id) == written_.end()) ++lost;
  }
  bool overlap(int a, int b) const {
    if (a <= 0 || b <= 0) return false;
    const Tensor &s = plan_.tensors[a], &t = plan_.tensors[b];
    return s.inner == t.inner && s.at < t.at + t.size && t.at < s.at + s.size;
  }
  /// A tensor that is written while another is read lies elsewhere.
  void apart(int a, int b) { if (overlap(a, b)) ++clashes; }
  int lost = 0, clashes = 0, outside = 0;

 private:
  void fits(int id) {
    const Tensor& t = plan_.tensors[id];
    if (t.at < 0 || t.at % 64 || t.at + t.size > (t.inner ? plan_.inner : plan_.bytes)) ++outside;
  }
  const Plan<N>& plan_;
  std::vector<int> written_;
};

/// Acts out a step, reading and writing as the layers do.
template <class O, std::size_t N> void act(const Table<O, N>& net, const Plan<N>& plan, bool training) {
  Workspace<N> memory(plan);
  const auto large_enough = [&](int id, Index bytes) { if (id > 0 && plan.tensors[id].size < bytes) ++memory.outside; };
  const auto compute = [&](const Row<O>& r, std::vector<int> from, std::vector<int> to) {
    for (int id : from) memory.read(id);
    for (std::size_t i = 0; i < to.size(); ++i) {
      for (int id : from) if (!(i == 0 && r.need.elementwise)) memory.apart(to[i], id);
      for (std::size_t j = 0; j < i; ++j) memory.apart(to[i], to[j]);
    }
    for (int id : to) memory.write(id);
  };
  for (int i = 0; i < net.count; ++i) {
    const Row<O>& r = net.rows[i];
    const Uses& u = plan.uses[i];
    large_enough(u.y, size(r.out) * 4), large_enough(u.codes, r.need.codes), large_enough(u.saved, r.need.saved * 4), large_enough(u.scratch, r.need.scratch * 4);
    if (r.role == Role::view || r.role == Role::split) REQUIRE(u.y == u.x);
    else compute(r, {u.x, u.z}, {u.y, u.saved, u.codes});
  }
  memory.read(plan.y);
  if (training) {
    memory.apart(plan.dy, plan.y);
    memory.write(plan.dy);
    for (int i = net.count; i-- > 0;) {
      const Row<O>& r = net.rows[i];
      const Uses& u = plan.uses[i];
      large_enough(u.dx, size(r.in) * 4);
      if (!r.wants_dx && !r.place.parameters) continue;
      if (u.dx == u.dy) { memory.read(u.dy); continue; }        // nothing to do
      if (r.need.apart) {
        large_enough(u.dz, size(r.in) * 4);
        compute(r, {u.dy, u.y}, {u.dz}), compute(r, {u.x, u.dz}, {u.dx});
      } else compute(r, {u.dy, u.dz, u.saved, u.codes, keeps(r.need.keep, Keep::input) ? u.x : -1, keeps(r.need.keep, Keep::output) ? u.y : -1}, {u.dx, u.scratch});
    }
  }
  CHECK(memory.lost == 0);
  CHECK(memory.clashes == 0);
  CHECK(memory.outside == 0);
}

/// Steps that are joined run all at once, each with samples of its own: what they use lies apart, unless it is inner, or one element by element over another.
template <class O, std::size_t N> void act_joined(const Table<O, N>& net, const Plan<N>& plan, bool back) {
  int clashes = 0;
  const auto ids = [&](int i) {
    const Uses& u = plan.uses[i];
    return back ? std::vector<int>{u.x, u.codes, u.dy, u.dx} : std::vector<int>{u.x, u.y, u.z, u.saved, u.codes};
  };
  for (int i = 0, begin = 0; i < net.count; ++i) {
    if (!(back ? net.rows[i].joined_back : net.rows[i].joined)) begin = i;
    for (int k = begin; k < i; ++k)
      for (int a : ids(k))
        for (int b : ids(i))
          if (a > 0 && b > 0 && plan.tensors[a].home != plan.tensors[b].home && !plan.tensors[a].inner && Workspace<N>(plan).overlap(a, b)) ++clashes;
  }
  CHECK(clashes == 0);
}

/// What no plan can do without: the most that lives at one time. Says how far above it this one is.
template <class O, std::size_t N> double above_bound(const Table<O, N>& net, const Plan<N>& plan) {
  Index most = 0;
  for (int time = 0; time <= 2 * net.count; ++time) {
    Index live = 0;
    for (int i = 1; i < plan.count; ++i)
      if (const Tensor& t = plan.tensors[i]; t.home == i && !t.inner && t.first <= time && time <= t.last) live += t.size;
    most = std::max(most, live);
  }
  return double(plan.bytes) / double(most) - 1;
}

template <class Net, class D> void check(double above_in_training, double above_in_inference = 0.02) {
  using P = Program<Net, D, float>;
  INFO(name<Net>().s << " on " << name<D>().s);
  act(P::table, P::training, true), act(P::table, P::inference, false);
  act_joined(P::table, P::training, false), act_joined(P::table, P::training, true), act_joined(P::table, P::inference, false);
  CHECK(above_bound(P::table, P::training) <= above_in_training);
  CHECK(above_bound(P::table, P::inference) <= above_in_inference);
  CHECK(P::inference.bytes < P::training.bytes);
}

/// A device on which a sum has two gradients, as on a GPU.
struct SumsNorms : Cpu {
  using Cpu::fuses;
  template <class T> static constexpr bool fuses(NormAddRelu) { return true; }
};
template <class... A> void batch_norm_add_relu_forward(SumsNorms&, A...) {}
template <class... A> void batch_norm_add_relu_backward(SumsNorms&, A...) {}

template <class Net> void check(double above_fused, double above_unfused) { check<Net, Cpu>(above_fused), check<Net, Unfused<Cpu>>(above_unfused); }
}  // namespace

using namespace lamina_test;

TEST_CASE("nothing is overwritten before its last use, and little room is lost") {
  check<LeafNet>(0, 0.03);
  check<ResNet18>(0.02, 0.02);
  check<ResNet110>(0.02, 0.02);
  check<SmallLeaf>(0.1, 0.1);
  check<SmallRes>(0.1, 0.1);
  check<Branchy>(0.1, 0.1);
  check<ResNet18, SumsNorms>(0.02), check<SmallRes, SumsNorms>(0.1);
  check<Overlap, Cpu>(0.1, 0.34), check<Overlap, Unfused<Cpu>>(0.1);       // four joined steps leave two tensors, of which the small one comes first
}

TEST_CASE("the workspace is linear in the batch, and fusion makes it smaller") {
  static_assert(LeafNet::workspace(32) == 32 * Program<LeafNet, Unfused<Cpu>, float>::training.bytes);
  static_assert(Program<LeafNet, Cpu, float>::workspace(32) == 32 * Program<LeafNet, Cpu, float>::workspace(1));
  static_assert(Program<LeafNet, Cpu, float>::training.bytes < Program<LeafNet, Unfused<Cpu>, float>::training.bytes / 2);
  static_assert(Program<LeafNet, Cpu, double>::training.bytes > Program<LeafNet, Cpu, float>::training.bytes * 3 / 2);
}

TEST_CASE("a plan by hand") {   // Dense<32> on 16 numbers in float, with ReLU and Dense<16>: all tensors are multiples of 64 bytes
  struct Net : Network<Input<1, 1, 16>, Dense<32>, ReLU, Dense<16>> {};
  constexpr auto p = plan(Net::table, 4, true);
  static_assert(p.uses[0].x == 0 && p.uses[0].dx == -1);                                       // the input is not ours, and nobody wants its gradient
  static_assert(p.tensors[p.uses[1].y].at == p.tensors[p.uses[0].y].at);                       // ReLU overwrites
  static_assert(p.tensors[p.uses[1].dx].at == p.tensors[p.uses[1].dy].at);                     // and its gradient too
  static_assert(p.bytes == 128 + 128 + 64);          // most in the backward of the last layer: its input, the gradient of that, the gradient of its output; y is gone
}

TEST_CASE("the heap: first fit, and neighbours join") {
  Heap<4> heap;
  CHECK(heap.take(64) == 0);
  CHECK(heap.take(128) == 64);
  CHECK(heap.take(64) == 192);
  heap.give(0, 64);
  CHECK(heap.take(128) == 256);      // does not fit into the hole
  CHECK(heap.take(64) == 0);         // this does
  heap.give(0, 64), heap.give(192, 64), heap.give(64, 128);
  CHECK(heap.count == 2);            // one hole of 256, and the one without end
  CHECK(heap.take(256) == 0);
  CHECK(heap.top == 384);
}
