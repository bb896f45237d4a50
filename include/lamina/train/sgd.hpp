/// Stochastic gradient descent, with momentum and Nesterov's variant of it.
#pragma once
#include "optimizer.hpp"

namespace lamina {

/// v = momentum v + a g; p -= b v, or p -= b (a g + momentum v) with nesterov (Sutskever et al. 2013).
/// Form::torch: a = 1 - dampening (1 in the first step), b = rate. Form::keras: a = rate, b = 1. They part as soon as the rate changes.
/// Keras's own velocity is -v. Without momentum p -= rate g, and nothing is remembered.
struct Sgd {
  double rate = 0.01;
  double momentum = 0;
  bool nesterov = false;
  double dampening = 0;              // PyTorch has it, Keras does not
  double weight_decay = 0;
  Decay decay = Decay::by_form;
  Form form = Form::torch;

  struct Clock { double a, b; WeightDecay decay; };

  void check() const {
    detail::require_option("Sgd", "momentum", momentum, 0, 1);
    detail::require_option("Sgd", "dampening", dampening, 0, 1);
    detail::require_option("Sgd", "weight_decay", weight_decay, 0, 1e30);
    if (nesterov && (momentum == 0 || dampening != 0))
      throw Error("Sgd{.nesterov = true} needs a momentum above 0 and no dampening, and has ", momentum, " and ", dampening);
    if (form == Form::keras && dampening != 0) throw Error("Sgd{.dampening = ", dampening, "} exists in Form::torch only");
  }
  Index slots() const { return momentum != 0 ? 1 : 0; }
  Clock clock(double now, Index step) const {
    const WeightDecay shared = WeightDecay::of(weight_decay, decay, form, now);
    if (momentum == 0) return {1, now, shared};
    if (form == Form::keras) return {now, 1, shared};
    return {step == 1 ? 1 : 1 - dampening, now, shared};
  }
  static constexpr bool vectors = true;
  template <class T> LAMINA_HD void update(const Clock& now, T& p, T g, T* s, Index) const {
    using S = typename Number<T>::Scalar;
    T move = S(now.a) * (g + S(now.decay.l2) * p);
    if (momentum != 0) {
      const T v = S(momentum) * s[0] + move;
      s[0] = v;
      move = nesterov ? move + S(momentum) * v : v;
    }
    p = p - S(now.decay.shrink) * p - S(now.b) * move;
  }
};

}  // namespace lamina
