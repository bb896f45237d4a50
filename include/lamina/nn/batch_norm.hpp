/// Batch normalisation: Ioffe and Szegedy 2015.
#pragma once
#include "../core/device.hpp"
#include "../core/layer.hpp"

namespace lamina {

namespace detail {
template <class T> NormBy norm_by(const Step<T>& s) { return !s.training ? NormBy::running : s.settled ? NormBy::settled : NormBy::batch; }

/// What a step that begins with the norm B lets be done before it: the step that makes its x takes the moments of a few samples along, whose parts are put together when it
/// begins. A device that has batch_norm_measure() can do that.
template <class B> struct Measured {
  template <class D, class T> static Index parts(const D& dev, Shape in) { return batch_norm_parts(dev, T(), Index(in.h) * in.w, in.c); }
  template <class D, class T> requires requires(D& dev, T* p) { batch_norm_measure(dev, 1, 1, 1, p, p); } static void measure(D& dev, const Step<T>& s, T* parts) {
    batch_norm_measure(dev, s.n, Index(s.in.h) * s.in.w, s.in.c, s.x, parts);
  }
  template <class D, class T> static void settle(D& dev, const Step<T>& s, const T* parts) {
    batch_norm_settle(dev, B::spec, s.n, Index(s.in.h) * s.in.w, s.in.c, parts, s.state, s.statistics);
  }
};
}  // namespace detail

/// y = gamma (x - mean) / sqrt(var + eps) + beta, over the batch and the image. Parameters: weight = gamma (C), bias = beta (C). State: running_mean (C),
/// running_var (C). Statistics of one batch: mean (C), 1 / sqrt(var + eps) (C). The momentum, the weight of the new batch, is in thousandths, eps in millionths.
template <int Momentum, int Epsilon, bool Unbiased> struct BatchNormalization : detail::Measured<BatchNormalization<Momentum, Epsilon, Unbiased>> {
  static constexpr NormSpec spec{Momentum * 1e-3, Epsilon * 1e-6, Unbiased};
  static constexpr bool gradients_by_verbs = true;
  static constexpr Shape out(Shape in) { return in; }
  static constexpr Tensors parameters(Shape in) { return {"weight", Dims(in.c), "bias", Dims(in.c)}; }
  static constexpr Tensors state(Shape in) { return {"running_mean", Dims(in.c), "running_var", Dims(in.c)}; }
  static constexpr Needs needs(Shape in) { return {.flops = 4 * size(in), .keep = Keep::input, .statistics = 2 * room(in.c), .elementwise = true}; }
  static void init(Shape in, const Initializer&, float* w, float* state) {
    for (int c = 0; c < in.c; ++c) w[c] = state[room(in.c) + c] = 1;
  }
  template <class D, class T> static void forward(D& dev, const Step<T>& s) {
    batch_norm_forward(dev, spec, s.n, Index(s.in.h) * s.in.w, s.in.c, s.x, s.w, s.state, s.statistics, s.y, detail::norm_by(s));
  }
  template <class D, class T> static void backward(D& dev, const Step<T>& s) {
    batch_norm_backward(dev, s.n, Index(s.in.h) * s.in.w, s.in.c, s.x, s.w, s.statistics, s.dy, s.dx, s.dw);
  }
  template <class D, class T> static Index arena(const D& dev, Shape in, Index n) { return batch_norm_arena(dev, T(), n, Index(in.h) * in.w, in.c); }
};

/// PyTorch's: momentum 0.1 of the new batch, eps 1e-5, unbiased running variance.
struct BatchNorm : BatchNormalization<100, 10, true> {};
/// Keras 3's: momentum 0.99 of the old, eps 1e-3, biased running variance.
struct KerasBatchNorm : BatchNormalization<10, 1000, false> {};

}  // namespace lamina
