/// Convolution.
#pragma once
#include <algorithm>

#include "../core/device.hpp"
#include "../core/layer.hpp"

namespace lamina {

inline constexpr bool no_bias = false;

namespace detail {
/// The assertions on the options of a layer stand in a class of their own: clang forgets the members of a class whose static_assert failed.
template <int Out, int K, int Stride, int Pad, int Groups> struct ConvOptions {
  static_assert(Out > 0 && K > 0 && Stride > 0 && Pad >= same, "Conv<Out, K, Stride, Pad>: Out, K and Stride are at least 1; Pad is at least 0, or same");
  static_assert(Groups > 0 && Out % (Groups > 0 ? Groups : 1) == 0, "Conv<Out, K, Stride, Pad, Bias, Groups>: Groups divides Out");
};
template <int K, int Stride, int Pad, int Multiplier> struct DepthwiseOptions {
  static_assert(K > 0 && Stride > 0 && Pad >= same && Multiplier > 0, "DepthwiseConv<K, Stride, Pad, Bias, Multiplier>: K, Stride and Multiplier are at least 1; Pad is at least 0, or same");
};

/// What Conv and Depthwise share: L says how many channels come out and in how many groups.
template <class L, Window V, bool Bias> struct Convolution {
  static constexpr Window window = V;
  static constexpr bool gradients_by_verbs = true;
  static constexpr Shape accepts(Shape in) { return V.accepts({in.h, in.w, (in.c + L::groups(in) - 1) / L::groups(in) * L::groups(in)}); }
  static constexpr Shape out(Shape in) { return V.over(in, L::channels(in)); }
  static constexpr ConvSpec spec(Shape in) { return {V, L::groups(in)}; }
  static constexpr Index fan_in(Shape in) { return Index(V.k) * V.k * (in.c / L::groups(in)); }
  static constexpr Index weights(Shape in) { return fan_in(in) * L::channels(in); }
  static constexpr Tensors parameters(Shape in) {
    return {"weight", {V.k, V.k, in.c / L::groups(in), L::channels(in)}, Bias ? "bias" : nullptr, Bias ? Dims(L::channels(in)) : Dims()};
  }
  static constexpr Needs needs(Shape in) { return {.flops = 2 * weights(in) * out(in).h * out(in).w, .keep = Keep::input}; }
  template <class P> static P bias(P w, Shape in) { return bias(w, weights(in)); }
  template <class P> static P bias(P w, Index behind) { return Bias ? w + room(behind) : nullptr; }

  static void init(Shape in, const Initializer& fill, float* w, float*) {
    fill.fill(w, weights(in), fan_in(in), Index(V.k) * V.k * (L::channels(in) / L::groups(in)), bias(w, in), L::channels(in));
  }
  template <class D, class T> static constexpr int ways = detail::ways<D, T, ConvSpec>();
  template <class D, class T> static constexpr int way(Shape in) { return detail::way<D, T>(spec(in), in, out(in)); }
  /// Numbers of the weights that forward reads: made ready for the device, or as they are.
  template <class D, class T, int N> static Index ready(const D& dev, Shape in) {
    if constexpr (requires { conv_prepared(dev, Way<N>(), T(), spec(in), in, in); }) return conv_prepared(dev, Way<N>(), T(), spec(in), in, out(in));
    else return weights(in);
  }
  template <class D, class T, int N = 0> static void forward(D& dev, const Step<T>& s) {
    conv_forward(dev, Way<N>(), spec(s.in), s.in, s.out, s.n, s.x, s.weights(), bias(s.w, ready<D, T, N>(dev, s.in)), s.y);
  }
  template <class D, class T, int N> static Index prepared(const D& dev, Shape in) { return room(ready<D, T, N>(dev, in)) + room(out(in).c); }
  template <class D, class T, int N> requires requires(D& dev, T* w) { conv_prepare(dev, Way<N>(), ConvSpec(), Shape(), Shape(), w, w); }
  static void prepare(D& dev, Shape in, const T* w, const T*, T* to) {
    conv_prepare(dev, Way<N>(), spec(in), in, out(in), w, to);
    if (Bias) std::copy_n(bias(w, in), out(in).c, bias(to, ready<D, T, N>(dev, in)));
  }
  template <class D, class T, int N = 0>
  requires requires(D& dev, T* p, Master<T>* dw) { conv_backward(dev, Way<N>(), ConvSpec(), Shape(), Shape(), 1, p, p, p, p, dw, dw); }
  static void backward(D& dev, const Step<T>& s) {
    conv_backward(dev, Way<N>(), spec(s.in), s.in, s.out, s.n, s.x, s.weights(), s.dy, s.dx, s.dw, s.dw ? bias(s.dw, s.in) : nullptr);
  }
  template <class D, class T, int N> requires requires(D& dev, T* p) { conv_gather(dev, Way<N>(), ConvSpec(), Shape(), Shape(), 1, p, p, p, p, p); }
  static void gather(D& dev, const Step<T>& s, T* part) { conv_gather(dev, Way<N>(), spec(s.in), s.in, s.out, s.n, s.x, s.w, s.dy, s.dx, part); }
  template <class D, class T, int N> static Index part(const D& dev, Shape in) { return conv_part(dev, Way<N>(), T(), spec(in), in, out(in)); }
  template <class D, class T, int N> static void finish(D& dev, const Step<T>& s, const T* parts) { conv_finish(dev, Way<N>(), spec(s.in), s.in, s.out, parts, s.dw, bias(s.dw, s.in)); }
  template <class D, class T, int N> requires requires(D& dev, T* w) { conv_turn(dev, Way<N>(), ConvSpec(), Shape(), Shape(), w, w); }
  static void turn(D& dev, Shape in, const T* w, T* to) { conv_turn(dev, Way<N>(), spec(in), in, out(in), w, to); }
  template <class D, class T, int N> static Index turned(const D& dev, Shape in) { return conv_turned(dev, Way<N>(), T(), spec(in), in, out(in)); }
  template <class D, class T, int N = 0> static Index arena(const D& dev, Shape in, Index n) { return conv_arena(dev, Way<N>(), T(), spec(in), in, out(in), n); }
  template <class D, class T, int N> requires requires(const D& dev) { conv_forward_arena(dev, Way<N>(), T(), ConvSpec(), Shape(), Shape(), 1); }
  static Index forward_arena(const D& dev, Shape in, Index n) { return conv_forward_arena(dev, Way<N>(), T(), spec(in), in, out(in), n); }
};
}  // namespace detail

/// (H, W, C) -> (Ho, Wo, Out): y = w * x + b, the cross-correlation every framework calls convolution. Pad is a number of pixels or `same`; Groups splits the
/// channels, each group seeing C / Groups of them. Parameters: weight (K, K, C / Groups, Out), then bias (Out) unless `no_bias`.
template <int Out, int K, int Stride = 1, int Pad = K / 2, bool Bias = true, int Groups = 1>
struct Conv : detail::Convolution<Conv<Out, K, Stride, Pad, Bias, Groups>, Window{K, Stride, Pad}, Bias> {
  static constexpr detail::ConvOptions<Out, K, Stride, Pad, Groups> checked{};
  static constexpr int channels(Shape) { return Out; }
  static constexpr int groups(Shape) { return Groups; }
};

/// (H, W, C) -> (Ho, Wo, C * Multiplier): every channel is convolved by itself. Parameters: weight (K, K, 1, C * Multiplier), then bias unless `no_bias`.
template <int K, int Stride = 1, int Pad = K / 2, bool Bias = true, int Multiplier = 1>
struct DepthwiseConv : detail::Convolution<DepthwiseConv<K, Stride, Pad, Bias, Multiplier>, Window{K, Stride, Pad}, Bias> {
  static constexpr detail::DepthwiseOptions<K, Stride, Pad, Multiplier> checked{};
  static constexpr int channels(Shape in) { return in.c * Multiplier; }
  static constexpr int groups(Shape in) { return in.c; }
};

}  // namespace lamina
