/// Adam, AdamW and AMSGrad.
#pragma once
#include "optimizer.hpp"

namespace lamina {

/// m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; p -= size m / (sqrt(v) / root + epsilon) in step t (Kingma and Ba 2015).
/// Form::torch, their Algorithm 1: size = rate / (1 - beta1^t), root = sqrt(1 - beta2^t), epsilon 1e-8.
/// Form::keras, their "epsilon hat": size = rate sqrt(1 - beta2^t) / (1 - beta1^t), root = 1, epsilon 1e-7;
/// in the first step that epsilon acts as 3.2e-6 would above.
/// With amsgrad the largest v so far takes the place of v (Reddi et al. 2018).
struct Adam {
  double rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = by_form;          // 1e-8 in PyTorch, 1e-7 in Keras
  double weight_decay = 0;
  Decay decay = Decay::by_form;
  bool amsgrad = false;
  Form form = Form::torch;

  struct Clock { double size, root, epsilon; WeightDecay decay; };

  void check() const { check("Adam"); }
  void check(const char* name) const {
    detail::require_option(name, "beta1", beta1, 0, 1);
    detail::require_option(name, "beta2", beta2, 0, 1);
    detail::require_option(name, "weight_decay", weight_decay, 0, 1e30);
    detail::require_epsilon(name, epsilon);
  }
  Index slots() const { return amsgrad ? 3 : 2; }
  Clock clock(double now, Index step) const {
    const double first = 1 - std::pow(beta1, double(step)), second = std::sqrt(1 - std::pow(beta2, double(step)));
    const bool keras = form == Form::keras;
    return {.size = keras ? now * second / first : now / first, .root = keras ? 1 : second, .epsilon = detail::given(epsilon, form, 1e-8, 1e-7),
            .decay = WeightDecay::of(weight_decay, decay, form, now)};
  }
  static constexpr bool vectors = true;
  template <class T> LAMINA_HD void update(const Clock& now, T& p, T g, T* s, Index n) const {
    using S = typename Number<T>::Scalar;
    g += S(now.decay.l2) * p;
    const T m = s[0] + S(1 - beta1) * (g - s[0]);
    T v = S(beta2) * s[n] + S(1 - beta2) * g * g;
    s[0] = m;
    s[n] = v;
    if (amsgrad) s[2 * n] = v = s[2 * n] > v ? s[2 * n] : v;
    p = p - S(now.decay.shrink) * p - S(now.size) * m / (Number<T>::root(v) / S(now.root) + S(now.epsilon));
  }
};

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
struct AdamW {
  double rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = by_form;          // 1e-8 in PyTorch, 1e-7 in Keras
  double weight_decay = by_form;     // 0.01 in PyTorch, 0.004 in Keras
  bool amsgrad = false;
  Form form = Form::torch;

  using Clock = Adam::Clock;

  LAMINA_HD Adam adam() const {
    const double amount = weight_decay >= 0 ? weight_decay : form == Form::keras ? 0.004 : 0.01;
    return {.rate = rate, .beta1 = beta1, .beta2 = beta2, .epsilon = epsilon, .weight_decay = amount, .decay = Decay::decoupled,
            .amsgrad = amsgrad, .form = form};
  }
  void check() const { adam().check("AdamW"); }
  Index slots() const { return adam().slots(); }
  Clock clock(double now, Index step) const { return adam().clock(now, step); }
  static constexpr bool vectors = true;
  template <class T> LAMINA_HD void update(const Clock& now, T& p, T g, T* s, Index n) const { adam().update(now, p, g, s, n); }
};

}  // namespace lamina
