/// Inference has rules of its own: a batch norm becomes part of the weights of the convolution before it, ReLU and ReLU6 of what it stores; where the device pools what it
/// convolves, the pool too.
#pragma once
#include <cmath>
#include <span>

#include "program.hpp"

namespace lamina {

template <class... Ls> struct Folded;   // no rule

namespace detail {
template <class L> inline constexpr bool is_conv = false;
template <auto... A> inline constexpr bool is_conv<Conv<A...>> = true;
template <auto... A> inline constexpr bool is_conv<DepthwiseConv<A...>> = true;
template <class A> inline constexpr Clamp clamp_of{};            // of no layer
template <Clamping A> inline constexpr Clamp clamp_of<A> = A::clamp;

/// A convolution as it is, but for a bias that it has in any case.
template <class C> struct WithBias;
template <int Out, int K, int Stride, int Pad, bool Bias, int Groups> struct WithBias<Conv<Out, K, Stride, Pad, Bias, Groups>> { using type = Conv<Out, K, Stride, Pad, true, Groups>; };
template <int K, int Stride, int Pad, bool Bias, int Multiplier> struct WithBias<DepthwiseConv<K, Stride, Pad, Bias, Multiplier>> { using type = DepthwiseConv<K, Stride, Pad, true, Multiplier>; };

/// The work of the layers Ls, which begin with the convolution C and the norm B, or void, as L does it, a layer that begins with C with a bias: its parameters are made of theirs on the host.
template <class L, class C, class B, class... Ls> struct Folding : Chain<Ls...> {
  using conv = typename WithBias<C>::type;
  static constexpr Needs needs(Shape in) { return Folding::Chain::needs(in, Needs{}); }
  static constexpr Shape accepts(Shape in) { return C::accepts(in); }
  static constexpr Index folded(Shape in) { return conv::parameters(in).place(); }
  /// to: zeros.
  template <class T> [[gnu::cold]] static void fold(Shape in, const T* w, const T* state, T* to) {
    const int o = C::out(in).c;
    const Index count = C::weights(in);
    T* const bias = conv::bias(to, in);
    std::copy_n(w, count, to);
    if (const T* b = C::bias(w, in)) std::copy_n(b, o, bias);
    if constexpr (!std::is_void_v<B>) {
      const T *gamma = w + lamina::places<C>(in).parameters, *beta = gamma + room(o), *mean = state, *variance = state + room(o);
      for (int k = 0; k < o; ++k) {
        const T scale = gamma[k] / std::sqrt(variance[k] + T(B::spec.epsilon));
        for (Index i = k; i < count; i += o) to[i] *= scale;
        bias[k] = (bias[k] - mean[k]) * scale + beta[k];
      }
    }
  }

  template <class D, class T> static constexpr int ways = L::template ways<D, T>;
  template <class D, class T> static constexpr int way(Shape in) { return L::template way<D, T>(in); }
  template <class D, class T, int W> static Index arena(const D& dev, Shape in, Index n) { return L::template arena<D, T, W>(dev, in, n); }
  template <class D, class T, int W> requires requires(const D& dev) { L::template forward_arena<D, T, W>(dev, Shape(), 1); }
  static Index forward_arena(const D& dev, Shape in, Index n) { return L::template forward_arena<D, T, W>(dev, in, n); }
  template <class D, class T, int W> static Index prepared(const D& dev, Shape in) { return L::template prepared<D, T, W>(dev, in); }
  template <class D, class T, int W> requires requires(D& dev, const T* w, T* to) { L::template prepare<D, T, W>(dev, Shape(), w, w, to); }
  static void prepare(D& dev, Shape in, const T* w, const T* state, T* to) { L::template prepare<D, T, W>(dev, in, w, state, to); }
};

/// A convolution C with the norm B behind it, or void, and the activation A, or void.
template <class C, class B, class A, class... Ls> struct FoldedConv : Folding<typename WithBias<C>::type, C, B, Ls...> {
  using conv = typename WithBias<C>::type;
  template <class D, class T, int W = 0> static void forward(D& dev, const Step<T>& s) {
    conv_forward(dev, Way<W>(), C::spec(s.in), s.in, C::out(s.in), s.n, s.x, s.weights(), conv::bias(s.w, conv::template ready<D, T, W>(dev, s.in)), s.y, clamp_of<A>);
  }
};
template <class D, class T> concept Folds = D::template fuses<T>(ConvClamp{});
}  // namespace detail

template <class C> requires (detail::is_conv<C>) struct Folded<C> : detail::FoldedConv<C, void, void, C> {};
template <class C, Clamping A> requires (detail::is_conv<C>) struct Folded<C, A> : detail::FoldedConv<C, void, A, C, A> {};
template <class C, detail::IsNorm B> requires (detail::is_conv<C>) struct Folded<C, B> : detail::FoldedConv<C, B, void, C, B> {};
template <class C, detail::IsNorm B, Clamping A> requires (detail::is_conv<C>) struct Folded<C, B, A> : detail::FoldedConv<C, B, A, C, B, A> {};
/// y = pool(relu(norm(conv(x)))): as Fused does the rest, with the weights and biases of both.
template <auto... C, detail::IsNorm B, auto... P>
struct Folded<Conv<C...>, B, ReLU, MaxPool<P...>>
    : detail::Folding<Fused<typename detail::WithBias<Conv<C...>>::type, ReLU, MaxPool<P...>>, Conv<C...>, B, Conv<C...>, B, ReLU, MaxPool<P...>> {
  using pooled = Fused<typename detail::WithBias<Conv<C...>>::type, ReLU, MaxPool<P...>>;
  template <class D, class T, int W = 0> requires (D::template fuses<T>(pooled::kernel)) static void forward(D& dev, const Step<T>& s) { pooled::template forward<D, T, W>(dev, s); }
};

namespace detail {
template <class... Ls> inline constexpr int layers_of<Folded<Ls...>> = sizeof...(Ls);

template <class D, class T, class A, class B, class C, class E> constexpr auto longest_folded() {
  if constexpr (Folds<D, T> && requires(D& dev, const Step<T>& s) { Folded<A, B, C, E>::forward(dev, s); }) return std::type_identity<Folded<A, B, C, E>>();
  else if constexpr (LayerOn<Fused<A, B, C>, D, T> || !Folds<D, T>) return longest<D, T, A, B, C>();
  else if constexpr (Layer<Folded<A, B, C>>) return std::type_identity<Folded<A, B, C>>();
  else if constexpr (Layer<Folded<A, B>>) return std::type_identity<Folded<A, B>>();
  else if constexpr (Layer<Folded<A>>) return std::type_identity<Folded<A>>();
  else return longest<D, T, A, B, C>();
}
template <class D, class T, class... A, class... B, class... C, class... E> List<typename decltype(longest_folded<D, T, A, B, C, E>())::type...> fold(List<A...>, List<B...>, List<C...>, List<E...>);
template <class D, class T, class Layers> constexpr auto fold(Layers layers) {
  using Next = decltype(next(layers));
  using Third = decltype(next(Next{}));
  return decltype(fold<D, T>(layers, Next{}, Third{}, decltype(next(Third{})){})){};
}
}  // namespace detail

/// What a network becomes for inference alone.
template <class D, class T> struct InferenceView {
  std::span<const Row<OpOn<D, T>>> steps;
  PlanView plan;
  Shape input, output;
  Index at_once;                       // samples that go together through steps that are joined
};
template <class Net, class D, class T> struct Inference {
  static constexpr auto steps = detail::fold<D, T>(typename Net::layers{});
  static constexpr auto traced = trace(ops_on<D, T>(steps), Net::input);
  static constexpr auto table = depth_first<D, T>(bind<D, T, detail::Purpose::inference, traced>(steps), false);
  static constexpr auto plan = lamina::plan(table, sizeof(T), false);
  static constexpr Checked<decltype(detail::device_error<Net::table, D, T>(typename Net::layers{}))> checked{};
  static constexpr InferenceView<D, T> view{{table.rows, std::size_t(table.count)}, plan.view(), Net::input, Net::output, table.at_once};
};

}  // namespace lamina
