/// Adagrad.
#pragma once
#include "optimizer.hpp"

namespace lamina {

/// v += g^2; p -= rate g / (sqrt(v + inside) + outside), with v = initial_accumulator before the first step (Duchi et al. 2011).
/// Form::torch: inside = 0, outside = epsilon. Form::keras: inside = epsilon, outside = 0.
/// PyTorch's lr_decay is the schedule InverseTimeDecay{.rate = lr_decay}.
struct Adagrad {
  double rate = 0.01;                       // Keras's own default is 0.001
  double initial_accumulator = by_form;     // 0 in PyTorch, 0.1 in Keras
  double epsilon = by_form;                 // 1e-10 in PyTorch, 1e-7 in Keras
  double weight_decay = 0;
  Decay decay = Decay::by_form;
  Form form = Form::torch;

  struct Clock { double rate, inside, outside; WeightDecay decay; };

  void check() const {
    detail::require_option("Adagrad", "weight_decay", weight_decay, 0, 1e30);
    detail::require_epsilon("Adagrad", epsilon);
  }
  Index slots() const { return 1; }
  double initial() const { return detail::given(initial_accumulator, form, 0, 0.1); }
  Clock clock(double now, Index) const {
    const double small = detail::given(epsilon, form, 1e-10, 1e-7);
    const bool keras = form == Form::keras;
    return {now, keras ? small : 0, keras ? 0 : small, WeightDecay::of(weight_decay, decay, form, now)};
  }
  static constexpr bool vectors = true;
  template <class T> LAMINA_HD void update(const Clock& now, T& p, T g, T* s, Index) const {
    using S = typename Number<T>::Scalar;
    g += S(now.decay.l2) * p;
    const T v = s[0] = s[0] + g * g;
    p = p - S(now.decay.shrink) * p - S(now.rate) * g / (Number<T>::root(v + S(now.inside)) + S(now.outside));
  }
};

}  // namespace lamina
