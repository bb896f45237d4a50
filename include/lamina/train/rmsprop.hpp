/// RMSprop.
#pragma once
#include "optimizer.hpp"

namespace lamina {

/// v = rho v + (1 - rho) g^2; d = sqrt(v + inside) + outside; p -= rate g / d (Hinton 2012).
/// Form::torch: inside = 0, outside = epsilon. Form::keras: inside = epsilon, outside = 0, as TensorFlow has it.
/// With centered, u = rho u + (1 - rho) g and v - u^2 takes the place of v (Graves 2013).
/// With momentum, w = momentum w + a g / d and p -= b w, where a = 1, b = rate in Form::torch and a = rate, b = 1 in Form::keras.
struct RMSprop {
  double rate = 1e-3;                // PyTorch's own default is 0.01
  double rho = by_form;              // 0.99 in PyTorch, which calls it alpha; 0.9 in Keras
  double momentum = 0;
  double epsilon = by_form;          // 1e-8 in PyTorch, 1e-7 in Keras
  bool centered = false;
  double weight_decay = 0;
  Decay decay = Decay::by_form;
  Form form = Form::torch;

  struct Clock { double a, b, rho, inside, outside; WeightDecay decay; };

  void check() const {
    detail::require_option("RMSprop", "rho", detail::given(rho, form, 0.99, 0.9), 0, 1);
    detail::require_option("RMSprop", "momentum", momentum, 0, 1);
    detail::require_option("RMSprop", "weight_decay", weight_decay, 0, 1e30);
    detail::require_epsilon("RMSprop", epsilon);
  }
  Index slots() const { return 1 + (centered ? 1 : 0) + (momentum != 0 ? 1 : 0); }
  Clock clock(double now, Index) const {
    const bool keras = form == Form::keras;
    const double small = detail::given(epsilon, form, 1e-8, 1e-7);
    return {.a = keras ? now : 1, .b = keras ? 1 : now, .rho = detail::given(rho, form, 0.99, 0.9), .inside = keras ? small : 0, .outside = keras ? 0 : small,
            .decay = WeightDecay::of(weight_decay, decay, form, now)};
  }
  static constexpr bool vectors = true;
  template <class T> LAMINA_HD void update(const Clock& now, T& p, T g, T* s, Index n) const {
    using S = typename Number<T>::Scalar;
    g += S(now.decay.l2) * p;
    const S keep = S(now.rho), take = S(1 - now.rho);
    T v = s[0] = keep * s[0] + take * g * g;
    if (centered) {
      const T u = s[n] = keep * s[n] + take * g;
      v = v > u * u ? v - u * u : T{};          // rounding can take it below 0
    }
    T move = S(now.a) * g / (Number<T>::root(v + S(now.inside)) + S(now.outside));
    if (momentum != 0) {                        // each slot by its own number: else a GPU keeps them in memory
      move = S(momentum) * (centered ? s[2 * n] : s[n]) + move;
      if (centered) s[2 * n] = move;
      else s[n] = move;
    }
    p = p - S(now.decay.shrink) * p - S(now.b) * move;
  }
};

}  // namespace lamina
