/// Layers that map every number by itself. Such a layer is f, its derivative, and what the derivative is a function of.
#pragma once
#include "../core/device.hpp"
#include "../core/elementwise.hpp"
#include "../core/formula.hpp"
#include "../core/layer.hpp"

namespace lamina {

namespace detail {
template <class F> struct Gradient { template <class T> LAMINA_HD static T f(T kept, T dy) { return dy * F::df(kept); } };
template <class F, class T> using Map = Elementwise<F, T, 1>;
template <class F, class T> using MapGradient = Elementwise<Gradient<F>, T, 2>;    // (kept, dy) -> dx
}  // namespace detail

/// y = F::f(x); dx = dy * F::df(x) if K is Keep::input, dy * F::df(y) if it is Keep::output.
template <class F, Keep K> struct Pointwise {
  static constexpr Shape out(Shape in) { return in; }
  static constexpr Needs needs(Shape in) { return {.flops = size(in), .keep = K, .elementwise = true}; }
  template <class D, class T> static void forward(D& dev, const Step<T>& s) { parallel_for(dev, s.n * size(s.in), detail::Map<F, T>{{s.x}, s.y}); }
  template <class D, class T> static void backward(D& dev, const Step<T>& s) {
    parallel_for(dev, s.n * size(s.in), detail::MapGradient<F, T>{{K == Keep::input ? s.x : s.y, s.dy}, s.dx});
  }
};

/// A layer that is no more than bounds, which whatever comes before it may have a kernel for.
template <class A> concept Clamping = requires { requires std::same_as<std::remove_const_t<decltype(A::clamp)>, Clamp>; };

/// y = max(x, 0), and NaN of NaN. Its derivative can be read off the output, so it may overwrite its input.
struct ReLU : Pointwise<ReLU, Keep::output> {
  static constexpr Clamp clamp{.low = 0};
  template <class T> LAMINA_HD static T f(T x) { return x <= T(0) ? T(0) : x; }
  template <class T> LAMINA_HD static T df(T y) { return y <= T(0) ? T(0) : T(1); }
};

/// y = min(max(x, 0), 6): Howard et al. 2017, MobileNet. The gradient at 0 and at 6 is 0, as in PyTorch.
struct ReLU6 : Pointwise<ReLU6, Keep::output> {
  static constexpr Clamp clamp{.low = 0, .high = 6};
  template <class T> LAMINA_HD static T f(T x) { return x <= T(0) ? T(0) : x >= T(6) ? T(6) : x; }
  template <class T> LAMINA_HD static T df(T y) { return y > T(0) && y < T(6) ? T(1) : T(0); }
};

/// y = x if x > 0, else Percent / 100 * x. PyTorch's default slope is 0.01, LeakyReLU<1>; Keras's is 0.3, LeakyReLU<30>.
template <int Percent = 1> struct LeakyReLU : Pointwise<LeakyReLU<Percent>, Keep::output> {
  static_assert(Percent > 0, "LeakyReLU<Percent>: the slope below 0, in hundredths; for 0 use ReLU");
  template <class T> LAMINA_HD static T f(T x) { return x > T(0) ? x : T(Percent / 100.0) * x; }
  template <class T> LAMINA_HD static T df(T y) { return y > T(0) ? T(1) : T(Percent / 100.0); }
};

/// y = x if x > 0, else exp(x) - 1: Clevert et al. 2016.
struct ELU : Pointwise<ELU, Keep::output> {
  template <class T> LAMINA_HD static T f(T x) { return (x <= T(0) ? T(0) : x) + formula::expm1_below(x); }
  template <class T> LAMINA_HD static T df(T y) { return y > T(0) ? T(1) : y + T(1); }
};

/// y = x / (1 + exp(-x)), also called swish.
struct SiLU : Pointwise<SiLU, Keep::input> {
  template <class T> LAMINA_HD static T f(T x) { return x * formula::sigmoid(x); }
  template <class T> LAMINA_HD static T df(T x) { const T s = formula::sigmoid(x); return s * (T(1) + x * (T(1) - s)); }
};

/// y = x Phi(x), Phi the normal distribution: Hendrycks and Gimpel 2016; exact, as PyTorch and Keras have it by default.
struct GELU : Pointwise<GELU, Keep::input> {
  template <class T> LAMINA_HD static T f(T x) { return x * formula::normal(x).integral; }
  template <class T> LAMINA_HD static T df(T x) {
    const formula::Normal<T> n = formula::normal(x);
    return n.integral + x * n.density;
  }
};

/// y = x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))): the approximation of GELU.
struct GELUTanh : Pointwise<GELUTanh, Keep::input> {
  template <class T> LAMINA_HD static T f(T x) { return T(0.5) * x * (T(1) + formula::tanh(inner(x))); }
  template <class T> LAMINA_HD static T df(T x) {
    const T t = formula::tanh(inner(x)), slope = T(0.79788456080286536) * (T(1) + T(3 * 0.044715) * x * x);
    return T(0.5) * (T(1) + t) + T(0.5) * x * (T(1) - t * t) * slope;
  }
  template <class T> LAMINA_HD static T inner(T x) { return T(0.79788456080286536) * (x + T(0.044715) * x * x * x); }
};

/// y = x min(max(x + 3, 0), 6) / 6: Howard et al. 2019, MobileNetV3.
struct HardSwish : Pointwise<HardSwish, Keep::input> {
  template <class T> LAMINA_HD static T f(T x) { return x <= T(-3) ? T(0) : x >= T(3) ? x : x * (x + T(3)) / T(6); }
  template <class T> LAMINA_HD static T df(T x) { return x <= T(-3) ? T(0) : x >= T(3) ? T(1) : x / T(3) + T(0.5); }
};

/// y = tanh(x).
struct Tanh : Pointwise<Tanh, Keep::output> {
  template <class T> LAMINA_HD static T f(T x) { return formula::tanh(x); }
  template <class T> LAMINA_HD static T df(T y) { return T(1) - y * y; }
};

/// y = 1 / (1 + exp(-x)). Not before CrossEntropy, which has a softmax of its own.
struct Sigmoid : Pointwise<Sigmoid, Keep::output> {
  static constexpr bool probabilities = true;
  template <class T> LAMINA_HD static T f(T x) { return formula::sigmoid(x); }
  template <class T> LAMINA_HD static T df(T y) { return y * (T(1) - y); }
};

}  // namespace lamina
