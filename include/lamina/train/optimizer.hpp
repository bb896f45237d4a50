/// What an optimizer is, and its memory: one pass over the whole block of parameters for each step.
#pragma once
#include <algorithm>
#include <atomic>
#include <cmath>
#include <concepts>
#include <cstring>
#include <type_traits>

#include "../core/device.hpp"
#include "../core/error.hpp"
#include "../core/layer.hpp"
#include "../core/number.hpp"

namespace lamina {

/// Whose formula an optimizer follows where PyTorch and Keras differ.
enum class Form { torch, keras };

/// An option of this value has the default of the optimizer's Form. Options are never below 0 otherwise.
inline constexpr double by_form = -1;

/// How weights decay: `l2` adds weight_decay * p to the gradient, `decoupled` takes rate * weight_decay * p off the parameter before the step (Loshchilov and
/// Hutter 2019). PyTorch's optimizers other than AdamW have l2, all of Keras's have decoupled.
enum class Decay { by_form, l2, decoupled };

/// An optimizer is an aggregate of options with
///   double rate;                                         the learning rate that a schedule begins with
///   struct Clock;                                        the numbers of one step that all parameters share, in double
///   void check() const;                                  throws Error for options that make no sense
///   Index slots() const;                                 numbers it remembers for each parameter
///   Clock clock(double rate, Index step) const;          for the step-th step, the first being 1
///   void update(const Clock&, T& p, T g, T* s, Index n) const;   one step of one parameter with its gradient; its slots are s[0], s[n], s[2 n], ...
///   double initial() const;                              optional: what the slots begin with, if not with 0
///   static constexpr bool vectors = true;                optional: T may also be a vector of numbers (see Number), and there are at most 4 slots
/// update() runs on the device, for each parameter by itself; it is a template over T and LAMINA_HD.
template <class O>
concept Optimizer = std::is_trivially_copyable_v<O> && requires(const O& o, double rate, Index step, const typename O::Clock& now, float& p, float* s) {
  { o.rate } -> std::convertible_to<double>;
  { o.slots() } -> std::same_as<Index>;
  { o.clock(rate, step) } -> std::same_as<typename O::Clock>;
  o.check();
  o.update(now, p, 0.0f, s, step);
};

/// Weight decay as the two numbers of one step: the gradient is g + l2 p, and shrink p is taken off the parameter.
struct WeightDecay {
  double l2 = 0, shrink = 0;
  static WeightDecay of(double amount, Decay kind, Form form, double rate) {
    const bool decoupled = kind == Decay::decoupled || (kind == Decay::by_form && form == Form::keras);
    return decoupled ? WeightDecay{0, rate * amount} : WeightDecay{amount, 0};
  }
};

namespace detail {
template <class Opt, class T> struct Update {
  Opt opt;
  const typename Opt::Clock* clock;   // in device memory, so that a captured step can be run again at another rate
  T* p;                               // (n)
  const T* g;                         // (n)
  T* state;                           // (slots, n)
  Index n;
  LAMINA_HD void operator()(Index i) const { opt.update(*clock, p[i], g[i], state + i, n); }
};
/// The same for as many parameters as the device works on at once, V.
template <class Opt, class T, class V> struct UpdateVector {
  Opt opt;
  typename Opt::Clock clock;
  T* p;
  const T* g;
  T* state;                           // (slots, stride)
  Index n, stride;
  static constexpr Index lanes = Number<V>::lanes;
  void operator()(Index i) const { apply(p + i * lanes, g + i * lanes, state + i * lanes, stride); }
  /// What is left behind whole vectors. Apart, so that nothing in their loop depends on where it is.
  [[gnu::cold, gnu::noinline]] void rest() const {
    const Index at = n / lanes * lanes;
    if (at == n) return;
    T to[lanes] = {}, from[lanes] = {}, s[4 * lanes] = {};
    std::copy(p + at, p + n, to), std::copy(g + at, g + n, from);
    for (Index k = 0; k < opt.slots(); ++k) std::copy_n(state + k * stride + at, n - at, s + k * lanes);
    apply(to, from, s, lanes);
    std::copy_n(to, n - at, p + at);
    for (Index k = 0; k < opt.slots(); ++k) std::copy_n(s + k * lanes, n - at, state + k * stride + at);
  }

 private:
  void apply(T* to, const T* from, T* s, Index apart) const {
    const Index slots = opt.slots();
    V of_p, of_g, of_s[4] = {};             // in registers, since every loop over them is unrolled
    std::memcpy(&of_p, to, sizeof(V)), std::memcpy(&of_g, from, sizeof(V));
#pragma GCC unroll 4
    for (Index k = 0; k < 4; ++k) if (k < slots) std::memcpy(&of_s[k], s + k * apart, sizeof(V));
    opt.update(clock, of_p, of_g, of_s, 1);
    std::memcpy(to, &of_p, sizeof(V));
#pragma GCC unroll 4
    for (Index k = 0; k < 4; ++k) if (k < slots) std::memcpy(s + k * apart, &of_s[k], sizeof(V));
  }
};
/// A step whose gradient is zero afterwards, and whose parameter is also left as Low, where that is wanted.
template <class Opt, class T, class Low> struct UpdateAndClear {
  Update<Opt, T> update;
  T* cleared;                         // its g, or null
  Low* low;                           // (n) or null
  LAMINA_HD void operator()(Index i) const {
    update(i);
    if (cleared) cleared[i] = 0;
    if (low) low[i] = update.p[i];
  }
};
template <class Opt> concept TakesVectors = requires { requires Opt::vectors; };
template <class D, class T> struct VectorOf { using type = T; };
template <class D, class T> requires requires { typename D::template Vector<T>; } struct VectorOf<D, T> { using type = typename D::template Vector<T>; };
template <class T> struct Fill { T* to; T value; LAMINA_HD void operator()(Index i) const { to[i] = value; } };

inline double given(double option, Form form, double torch, double keras) { return option >= 0 ? option : form == Form::keras ? keras : torch; }

/// Throws unless low <= value < high.
[[gnu::cold]] inline void require_option(const char* optimizer, const char* option, double value, double low, double high) {
  if (!(value >= low && value < high)) throw Error(optimizer, "{.", option, " = ", value, "}: it is at least ", low, " and less than ", high);
}
/// Throws unless epsilon is the form's own or a number from 0 up.
[[gnu::cold]] inline void require_epsilon(const char* optimizer, double epsilon) {
  if (epsilon != by_form) require_option(optimizer, "epsilon", epsilon, 0, 1e30);
}
}  // namespace detail

/// An optimizer with its memory on a device, for one block of parameters.
template <Optimizer Opt, Device D, class T> class OptimizerState {
  using V = typename detail::VectorOf<D, T>::type;
  static constexpr Index lanes = Number<V>::lanes;
  static constexpr bool vectors = lanes > 1 && detail::TakesVectors<Opt>;

 public:
  /// Throws Error if the options make no sense.
  OptimizerState(D& dev, const Opt& opt, Index parameters)
      : dev_(&dev), opt_((opt.check(), opt)), n_(parameters), state_(dev, opt.slots() * parameters), clock_(dev, 1) {
    reset();
  }

  /// One step: p (parameters) is updated from its gradient g (parameters). Throws Error if the rate is negative or no number.
  void step(T* p, const T* g, double rate) {
    set_clock(rate);
    update(p, g);
  }
  /// The two halves of a step: the host's, which is never part of a CUDA graph, and the device's, which reads nothing but device memory.
  void set_clock(double rate) {
    if (!(rate >= 0 && rate <= most_)) throw Error("a learning rate of ", rate, " in step ", steps_ + 1, ": it is a number from 0 up; look at the schedule");
    const typename Opt::Clock now = opt_.clock(rate, ++steps_);
    dev_->upload(clock_.data(), &now, sizeof now);
  }
  void update(T* p, const T* g) { update(0, p, g, n_); }
  /// Of the parameters at, at + 1, ... alone: p and g point to the first of them.
  void update(Index at, T* p, const T* g, Index count) {
    if constexpr (vectors) {
      const auto f = in_vectors(at, p, g, count);
      parallel_for(*dev_, count / lanes, f);
      parallel_for(*dev_, 1, [&](Index) { f.rest(); });
    } else if constexpr (requires { D::host_memory; }) parallel_for(*dev_, count, detail::Update<Opt, T>{opt_, clock_.data(), p, g, state_.data() + at, n_});
    else pass(at, p, g, count, static_cast<T*>(nullptr), static_cast<T*>(nullptr));
  }
  /// A step that leaves the gradients zero, if they are to be `cleared`, and the parameters in another precision too, unless low is null.
  template <class Low> void update_and_clear(T* p, T* g, Low* low, bool cleared = true) { pass(0, p, g, n_, cleared ? g : nullptr, low); }
  /// Of parameters at, at + 1, ... alone.
  template <class Low> void update_and_clear(Index at, T* p, T* g, Index count, Low* low, bool cleared) { pass(at, p, g, count, cleared ? g : nullptr, low); }
  /// A step of the weights of a dense layer, which begin at `at`, while the device has their gradients at hand; db = that of the bias. Of devices that have a verb for it.
  /// nvcc 13 makes no kernel of dense_update() where a requires-expression has named it before.
  static constexpr bool updates_dense = detail::TakesVectors<Opt>;
  template <class Low> void update_dense(const DenseStep& dense, const Step<Low>& s, Index at, T* p, Low* low, T* db) {
    dense_update(*dev_, opt_, clock_.data(), dense.relu, s.n, Index(s.in.c), Index(dense.outputs), s.x, s.dy, s.y, p, state_.data() + at, n_, low, db);
  }
  /// For layers that update their own parameters, on one thread.
  Learner<T> learner() const requires requires { requires D::host_memory; } {
    return {this, [](const void* self, Index at, T* w, const T* g, Index count) {
      const auto& of = *static_cast<const OptimizerState*>(self);
      if constexpr (vectors) {
        const auto f = of.in_vectors(at, w, g, count);
        for (Index i = 0; i < count / lanes; ++i) f(i);
        f.rest();
      } else {
        const detail::Update<Opt, T> f{of.opt_, of.clock_.data(), w, g, of.state_.data() + at, of.n_};
        for (Index i = 0; i < count; ++i) f(i);
      }
    }, state_.data(), opt_.slots(), n_};
  }

  /// What a checkpoint saves: (slots, parameters) in device memory, and the steps done.
  T* state() const { return state_.data(); }
  Index state_count() const { return state_.count(); }
  Index steps() const { return steps_; }
  /// After the state has been written back: goes on as after that many steps.
  void restore(Index steps) { steps_ = steps; }
  /// As before the first step.
  void reset() {
    double first = 0;
    if constexpr (requires { opt_.initial(); }) first = opt_.initial();
    if (state_.count()) parallel_for(*dev_, state_.count(), detail::Fill<T>{state_.data(), T(first)});
    steps_ = 0;
  }
  const Opt& optimizer() const { return opt_; }
  /// Another for each: a recorded step is that of one optimizer.
  Index id() const { return id_; }

 private:
  detail::UpdateVector<Opt, T, V> in_vectors(Index at, T* p, const T* g, Index count) const { return {opt_, *clock_.data(), p, g, state_.data() + at, count, n_}; }
  /// By the verb of a device that has one.
  template <class Low> void pass(Index at, T* p, const T* g, Index count, T* cleared, Low* low) {
    if constexpr (requires { optimizer_pass(*dev_, opt_, clock_.data(), count, p, g, p, n_, cleared, low); }) optimizer_pass(*dev_, opt_, clock_.data(), count, p, g, state_.data() + at, n_, cleared, low);
    else parallel_for(*dev_, count, detail::UpdateAndClear<Opt, T, Low>{{opt_, clock_.data(), p, g, state_.data() + at, n_}, cleared, low});
  }

  static constexpr double most_ = 1e30;
  D* dev_;
  Opt opt_;
  Index n_, steps_ = 0, id_ = ++made_;
  static inline std::atomic<Index> made_ = 0;
  Buffer<D, T> state_;
  Buffer<D, typename Opt::Clock> clock_;
};

}  // namespace lamina
