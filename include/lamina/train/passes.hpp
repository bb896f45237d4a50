/// How a batch goes through the steps of a program, there and back: step after step, or, through steps that are joined, a few samples at a time, so that what one step
/// leaves for the next is still in the cache.
#pragma once
#include <algorithm>
#include <type_traits>
#include <utility>
#include <vector>

#include "../core/device.hpp"
#include "../core/tree.hpp"
#include "../nn/program.hpp"

namespace lamina::detail {

template <class T> struct Zero { T* p; LAMINA_HD void operator()(Index i) const { p[i] = 0; } };
/// to[i] += the sum of so many parts, as a tree.
template <class T> struct AddTree {
  Index terms, apart;
  const T* parts;
  T* to;
  LAMINA_HD void operator()(Index i) const {
    T sum[shares];                                                // bounds that are constants: on a GPU they are registers then
    for (Index t = 0; t < shares; ++t) sum[t] = t < terms ? parts[t * apart + i] : T(0);
    to[i] += tree_sum_at<shares>(sum);
  }
};

/// The steps and the memory they work in.
template <Device D, class T> class Passes {
 public:
  using Rows = std::span<const Row<OpOn<D, T>>>;
  struct Sizes { Index batch, at_once, bytes, inner; };          // samples; bytes for each sample of the batch, and for each at work

  /// `prepares`: weights are made ready in every pass.
  [[gnu::cold]] Passes(D& device, Rows rows, Sizes sizes, bool prepares)
      : device_(device), beside_(fork(device)), rows_(rows), sizes_(sizes), prepares_(prepares), working_(sizes.at_once * own_threads()), arena_(reserve()), workspace_(device, sizes.batch * sizes.bytes),
        inner_(device, sizes.at_once * threads() * sizes.inner), ready_(device, numbers()), moments_(device, sizes.batch * moments()), steps_(rows.size()), parts_(rows.size()) {}

  /// The address of a tensor of n samples; x is the input of the network.
  T* at(const PlanView& plan, int id, const T* x, Index n) const {
    if (id < 0) return nullptr;
    if (id == 0) return const_cast<T*>(x);                        // the plan overwrites it nowhere
    const Tensor& t = plan.tensors[id];
    return reinterpret_cast<T*>((t.inner ? inner_ : workspace_).data() + n * t.at);
  }

  /// fill(i, step) says of step i what is not in the plan: where its parameters lie, and what the batch is.
  template <class Fill> void forward(const PlanView& plan, const T* x, Index n, const Fill& fill) {
    bool measured = false;                                        // whether the step that comes next was, by the stretch before it
    for (std::size_t i = 0, end; i < rows_.size(); i = end) {
      Master<T>* ready = ready_.data();
      for (end = i; end < rows_.size() && (end == i || rows_[end].joined); ++end) {
        const auto& r = rows_[end];
        Step<T>& s = steps_[end] = step(plan, end, x, n);
        fill(end, s);
        if constexpr (std::is_same_v<T, Master<T>>)
          if (prepares_ && r.prepare) {
            r.prepare(device_, r.in, s.w, s.state, ready);
            s.w = std::exchange(ready, ready + room(r.prepared(device_, r.in)));
          }
      }
      const bool apart = n > working_, measures = apart && end < rows_.size() && rows_[end].measured && steps_[i].training, sliced = apart && (end - i > 1 || measures);
      if (rows_[i].settles && steps_[i].training && (measured || sliced)) {
        if (!measured) rows_[i].measure(device_, steps_[i], moments_.data());
        rows_[i].settle(device_, steps_[i], moments_.data());
        steps_[i].settled = true;
      }
      if (measures) steps_[end] = step(plan, end, x, n);
      if (sliced) forward_in_slices(plan, i, end, n, measures);
      else
        for (std::size_t k = i; k < end; ++k)
          if (rows_[k].forward && !idle(rows_[k], n)) rows_[k].forward(device_, steps_[k]);
      measured = measures;
    }
  }

  /// A step that can learns at once, if there is a learner; its parameters are `at` in the block w. `anew`: the gradients are written, whatever they were, on a device that can.
  /// `updates`: but for those of weights that wait() for an update. done(i) is called once the gradients of steps i, i + 1, ... are launched.
  template <class Fill, class Done> void backward(const PlanView& plan, const T* x, Index n, const Learner<Master<T>>* learner, Master<T>* w, bool anew, bool updates, const Fill& fill, const Done& done) {
    write_gradients(anew);
    if constexpr (Replicates<D> && Forks<D>) beside_.replica = device_.replica;
    beside_works_ = false;
    for (std::size_t end = rows_.size(), i; end > 0; end = i) {
      for (i = end; i-- > 0;) {
        const auto& r = rows_[i];
        Step<T>& s = steps_[i] = step(plan, i, x, n);
        fill(i, s);
        if (!keeps(r.need.keep, Keep::input)) s.x = nullptr;      // by now another tensor may lie there
        if (!keeps(r.need.keep, Keep::output)) s.y = nullptr;
        if (!r.joined_back || n <= working_) break;
      }
      const auto& r = rows_[i];
      if (!r.wants_dx && !r.place.parameters) continue;
      const auto learn = learner ? learn_of(r) : nullptr;
      if (idle(r, n) && !learn) {
        done(i);
        continue;
      }
      if (anew && !r.gradients_by_verbs && r.place.parameters) parallel_for(device_, r.place.parameters, Zero<Master<T>>{steps_[i].dw});
      if (r.gathers) gather(plan, i, end, n);
      else if (learn) learn(device_, steps_[i], *learner, w + r.w, r.w);
      else if (updates && wait(i)) {
        Step<T> of_input = steps_[i];
        of_input.dw = nullptr;
        r.backward(device_, of_input);
      } else if (r.aside) beside_works_ = true, halves(r, steps_[i]);
      else if (by_share(r)) backward_by_share(plan, i, n);
      else if (r.backward) r.backward(device_, steps_[i]);
      done(i);
    }
    if constexpr (Forks<D>)
      if (std::exchange(beside_works_, false)) device_.wait_for(beside_.mark());
    write_gradients(false);
  }
  /// f(device) of the second queue, if gradients are being made there.
  template <class F> void beside(const F& f) {
    if constexpr (Forks<D>)
      if (beside_works_) f(beside_);
  }
  /// Whether what the gradients of step i are made of is there until the end of backward, and the device can update its weights with them.
  bool wait(std::size_t i) const { return rows_[i].aside && rows_[i].updates.outputs > 0; }
  const Step<T>& step(std::size_t i) const { return steps_[i]; }

 private:
  /// With no samples here, those of other replicas are all there are: only what mixes samples has anything to do.
  static bool idle(const Row<OpOn<D, T>>& r, Index n) { return n == 0 && !r.need.statistics && !r.place.state; }
  /// How a step learns at once; null if it does not.
  auto learn_of(const Row<OpOn<D, T>>& r) const {
    const Replica on = replica(device_);
    return !on.work_together ? r.learn : on.joins_step(r.place.parameters) ? r.learn_together : nullptr;
  }
  void write_gradients(bool whether) {
    if constexpr (WritesGradients<D>) device_.writes_gradients = whether;
    if constexpr (WritesGradients<D> && Forks<D>) beside_.writes_gradients = whether;
  }
  int threads() const {
    if constexpr (Slices<D>) return device_.threads();
    else return 1;
  }
  /// But for those of others that help.
  int own_threads() const {
    if constexpr (requires { device_.own_threads(); }) return device_.own_threads();
    else return threads();
  }
  /// Room in the arena for the whole batch and for the workers, each with a few samples; returns what a worker has.
  [[gnu::cold]] Index reserve() {
    Index whole = 0, worker = 0;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      const auto& r = rows_[i];
      if (!r.arena) continue;
      whole = std::max(whole, r.arena(device_, r.in, sizes_.batch));
      if constexpr (Slices<D>)
        if (r.gathers || r.joined || r.measured || (i + 1 < rows_.size() && (rows_[i + 1].joined || rows_[i + 1].measured))) worker = std::max(worker, r.arena(device_.alone(nullptr), r.in, sizes_.at_once));
    }
    worker = (worker + 63) / 64 * 64;
    device_.reserve(std::size_t(std::max(whole, threads() * worker)));
    if (std::any_of(rows_.begin(), rows_.end(), [](const auto& r) { return r.aside; })) beside_.reserve(std::size_t(whole));
    return worker;
  }
  /// The most that weights made ready and the parts of gradients take, of steps that are joined.
  [[gnu::cold]] Index numbers() const {
    Index ready = 0, back = 0, most = 0;
    for (const auto& r : rows_) {
      ready = (r.joined ? ready : 0) + (r.prepare && prepares_ ? room(r.prepared(device_, r.in)) : 0);
      back = by_share(r) ? shares * r.place.parameters : (r.joined_back ? back : 0) + (r.gathers ? shares * room(r.part(device_, r.in)) + (r.turn ? room(r.turned(device_, r.in)) : 0) : 0);
      most = std::max(most, std::max(ready, back));
    }
    return most;
  }

  /// The most that a sample leaves for a step that is measured.
  [[gnu::cold]] Index moments() const {
    Index most = 0;
    for (const auto& r : rows_)
      if (r.settles) most = std::max(most, r.parts(device_, r.in));
    return most;
  }

  Step<T> step(const PlanView& plan, std::size_t i, const T* x, Index n) const {
    const auto& r = rows_[i];
    const Uses& u = plan.uses[i];
    const auto of = [&](int id) { return at(plan, id, x, n); };
    Step<T> s{};
    s.in = r.in, s.out = r.out, s.n = n, s.x = of(u.x), s.y = of(u.y), s.z = of(u.z), s.dy = of(u.dy), s.dx = of(u.dx), s.dz = of(u.dz);
    s.saved = of(u.saved), s.codes = reinterpret_cast<std::uint8_t*>(of(u.codes)), s.scratch = of(u.scratch);
    return s;
  }

  /// Samples [begin, begin + count) of step i for a worker, whose inner tensors hold no others.
  Step<T> slice(const PlanView& plan, std::size_t i, Index begin, Index count, int worker) const {
    const auto& r = rows_[i];
    const Uses& u = plan.uses[i];
    Step<T> s = steps_[i];
    const bool apart = s.n > working_;
    const auto move = [&](auto*& p, int id, Index each) {
      if (!p) return;
      if (apart && plan.tensors[id].inner) p = reinterpret_cast<std::remove_reference_t<decltype(p)>>(inner_.data() + sizes_.at_once * (worker * sizes_.inner + plan.tensors[id].at));
      else p += begin * each;
    };
    move(s.x, u.x, size(r.in)), move(s.z, u.z, size(r.in)), move(s.dx, u.dx, size(r.in));
    move(s.y, u.y, size(r.out)), move(s.dy, u.dy, size(r.out)), move(s.dz, u.dz, size(r.out));
    move(s.saved, u.saved, r.need.saved), move(s.codes, u.codes, r.need.codes), move(s.scratch, u.scratch, r.need.scratch);
    s.n = count, s.first += begin;
    return s;
  }

  /// measures: the step behind them is told what it wants to know of each few.
  void forward_in_slices(const PlanView& plan, std::size_t i, std::size_t end, Index n, bool measures) {
    const Index parts = measures ? rows_[end].parts(device_, rows_[end].in) : 0;
    if constexpr (Slices<D>)
      device_.run((n + sizes_.at_once - 1) / sizes_.at_once, [&](Index task, int worker) {
        D alone = device_.alone(device_.arena() + worker * arena_);
        const Index begin = task * sizes_.at_once, count = std::min(sizes_.at_once, n - begin);
        for (std::size_t k = i; k < end; ++k)
          if (rows_[k].forward) rows_[k].forward(alone, slice(plan, k, begin, count, worker));
        if (measures) rows_[end].measure(alone, slice(plan, end, begin, count, worker), moments_.data() + begin * parts);
      });
  }

  /// The way to what comes before goes on at once; the gradients of parameters are summed beside it.
  void halves(const Row<OpOn<D, T>>& r, Step<T> s) {
    if constexpr (Forks<D>) {
      Step<T> of_weights = s;
      of_weights.dx = nullptr, s.dw = nullptr;
      beside_.wait_for(device_.mark());
      r.backward(beside_, of_weights);
      r.backward(device_, s);
    }
  }

  /// Whether a layer that does not know of shares adds to its gradients, sample by sample.
  static bool by_share(const Row<OpOn<D, T>>& r) {
    return Replicates<D> && r.backward && r.place.parameters && !r.gradients_by_verbs && !r.need.statistics && !r.place.state;
  }
  /// Such a layer is given one share after another, and its gradients are those of all of them in a tree.
  void backward_by_share(const PlanView& plan, std::size_t i, Index n) {
    const auto& r = rows_[i];
    const Shares cut = cut_of(device_, n);
    const Index count = r.place.parameters;
    Master<T> *const dw = steps_[i].dw, *const parts = ready_.data();
    for (Index share = 0; share < cut.count; ++share) {
      Step<T> s = slice(plan, i, cut.begin(share), cut.begin(share + 1) - cut.begin(share), 0);
      s.dw = parts + share * count;
      parallel_for(device_, count, Zero<Master<T>>{s.dw});
      if (s.n) r.backward(device_, s);
    }
    parallel_for(device_, count, AddTree<Master<T>>{cut.count, count, parts, dw});
  }

  /// The gradients of steps [i, end).
  void gather(const PlanView& plan, std::size_t i, std::size_t end, Index n) {
    if constexpr (Slices<D>) {
      Master<T>* free = ready_.data();
      for (std::size_t k = i; k < end; ++k) {
        const auto& r = rows_[k];
        parts_[k] = std::exchange(free, free + shares * room(r.part(device_, r.in)));
        if (!r.turn || !steps_[k].dx) continue;
        r.turn(device_, r.in, steps_[k].w, free);
        steps_[k].w = std::exchange(free, free + room(r.turned(device_, r.in)));
      }
      const Shares cut = cut_of(device_, n);
      device_.run(cut.count, [&](Index share, int worker) {
        D alone = device_.alone(device_.arena() + worker * arena_);
        const auto part = [&](std::size_t k) { return parts_[k] + share * rows_[k].part(device_, rows_[k].in); };
        for (std::size_t k = i; k < end; ++k) parallel_for(alone, rows_[k].part(device_, rows_[k].in), Zero<T>{part(k)});
        const Index last = cut.begin(share + 1);
        for (Index begin = cut.begin(share); begin < last; begin += sizes_.at_once)
          for (std::size_t k = end; k-- > i;) rows_[k].gather(alone, slice(plan, k, begin, std::min(sizes_.at_once, last - begin), worker), part(k));
      });
      for (std::size_t k = i; k < end; ++k) rows_[k].finish(device_, steps_[k], parts_[k]);
    }
  }

  struct Nothing {
    explicit Nothing(D&) {}
    void reserve(std::size_t) {}
  };
  static auto fork(D& device) {
    if constexpr (Forks<D>) return device.fork();
    else return Nothing(device);
  }

  D& device_;
  decltype(fork(std::declval<D&>())) beside_;                     // its second queue, if it has one
  Rows rows_;
  Sizes sizes_;
  bool prepares_;
  Index working_, arena_;                                         // samples that go through joined steps whole, since there are so few; bytes of a worker's arena
  Buffer<D, std::byte> workspace_, inner_;
  Buffer<D, Master<T>> ready_;                                    // of devices that store other numbers than they compute with only parts of gradients
  Buffer<D, T> moments_;
  std::vector<Step<T>> steps_;
  std::vector<T*> parts_;
  bool beside_works_ = false;                                     // gradients are being made there
};

}  // namespace lamina::detail
