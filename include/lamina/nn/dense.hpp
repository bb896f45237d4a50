/// The fully connected layer.
#pragma once
#include "../core/device.hpp"
#include "../core/layer.hpp"

namespace lamina {

namespace detail {
template <int Out> struct DenseOptions { static_assert(Out > 0, "Dense<Out>: Out is at least 1"); };
}

/// (C) -> (Out): y = x w + b. Parameters: weight (C, Out), then bias (Out) unless `no_bias`.
template <int Out, bool Bias = true> struct Dense {
  static constexpr detail::DenseOptions<Out> checked{};
  static constexpr bool gradients_by_verbs = true;
  static constexpr DenseStep dense_step{Out, false};
  static constexpr Shape accepts(Shape in) { return {int(size(in))}; }
  static constexpr Shape out(Shape) { return {Out}; }
  static constexpr Tensors parameters(Shape in) { return {"weight", {in.c, Out}, Bias ? "bias" : nullptr, Bias ? Dims(Out) : Dims()}; }
  static constexpr Needs needs(Shape in) { return {.flops = 2 * Index(in.c) * Out, .keep = Keep::input}; }
  template <class P> static P bias(P w, Shape in) { return Bias ? w + room(Index(in.c) * Out) : nullptr; }

  static void init(Shape in, const Initializer& fill, float* w, float*) { fill.fill(w, Index(in.c) * Out, in.c, Out, bias(w, in), Out); }
  template <class D, class T> static constexpr int ways = detail::ways<D, T, DenseSpec>();
  template <class D, class T> static constexpr int way(Shape in) { return detail::way<D, T>(DenseSpec(), in, out(in)); }
  template <class D, class T, int W = 0> static void forward(D& dev, const Step<T>& s) { dense_forward(dev, Way<W>(), s.n, s.in.c, Out, s.x, s.weights(), bias(s.w, s.in), s.y); }
  template <class D, class T, int W = 0> static void backward(D& dev, const Step<T>& s) {
    dense_backward(dev, Way<W>(), s.n, s.in.c, Out, s.x, s.weights(), s.dy, s.dx, s.dw, s.dw ? bias(s.dw, s.in) : nullptr);
  }
  template <class D, class T, int W = 0>
  requires requires(D& dev, T* w, const T* x, const Learner<T>& learner, Index n) { dense_learn(dev, Way<W>(), n, n, n, x, w, w, x, w, w, learner, n, n); }
  static void learn(D& dev, const Step<T>& s, const Learner<T>& learner, T* w, Index at) {
    dense_learn(dev, Way<W>(), s.n, Index(s.in.c), Index(Out), s.x, w, bias(w, s.in), s.dy, s.dx, bias(s.dw, s.in), learner, at, at + room(Index(s.in.c) * Out));
  }
  template <class D, class T, int W = 0>
  requires requires(D& dev, T* w, const T* x, const Learner<T>& learner, Index n) { dense_learn_together(dev, Way<W>(), n, n, n, x, w, w, x, w, w, learner, n, n); }
  static void learn_together(D& dev, const Step<T>& s, const Learner<T>& learner, T* w, Index at) {
    dense_learn_together(dev, Way<W>(), s.n, Index(s.in.c), Index(Out), s.x, w, bias(w, s.in), s.dy, s.dx, bias(s.dw, s.in), learner, at, at + room(Index(s.in.c) * Out));
  }
  template <class D, class T, int W = 0> static Index arena(const D& dev, Shape in, Index n) { return dense_arena(dev, Way<W>(), T(), n, in.c, Out); }
};

}  // namespace lamina
