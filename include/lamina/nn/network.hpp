/// A network: an input, a list of layers, and everything that follows from the two before the program runs.
#pragma once
#include "batch_norm.hpp"
#include "conv.hpp"
#include "dense.hpp"
#include "dropout.hpp"
#include "plan.hpp"
#include "pointwise.hpp"
#include "pool.hpp"
#include "residual.hpp"
#include "softmax.hpp"
#include "verdict.hpp"

namespace lamina {

namespace detail {
template <int H, int W, int C> struct InputOptions {
  static_assert(H > 0 && W > 0 && C > 0, "Input<H, W, C>: height, width and channels are at least 1");
  static_assert(double(H) * W * C < 0x7fffffff, "Input<H, W, C>: a picture has fewer than 2^31 numbers");
};
template <class In> inline constexpr bool is_input = false;
template <class In> struct NetworkInput { static_assert(is_input<In>, "Network<Input<H, W, C>, layers...> begins with its input"); };
template <int Layers> struct NetworkOptions { static_assert(Layers > 0, "Network<Input<H, W, C>, layers...> has at least one layer"); };
}  // namespace detail

/// What a network begins with: pictures of H x W pixels with C channels, (N, H, W, C).
template <int H, int W, int C> struct Input {
  static constexpr detail::InputOptions<H, W, C> checked{};
  static constexpr Shape shape{H, W, C};
};

namespace detail {
template <int H, int W, int C> inline constexpr bool is_input<Input<H, W, C>> = true;
template <class In> constexpr Shape input_shape() {
  if constexpr (is_input<In>) return In::shape;
  else return {64, 64, 3};             // so that one mistake is not followed by others
}
}  // namespace detail

/// struct LeafNet : Network<Input<64, 64, 3>, Conv<32, 3>, ReLU, ...> {};   Inside another network it is a layer, without its input.
template <class In, class... Ls> struct Network {
  static constexpr detail::NetworkInput<In> has_input{};
  static constexpr detail::NetworkOptions<Flat<Ls...>::size> has_layers{};
  using parts = List<Ls...>;
  using layers = std::conditional_t<(Flat<Ls...>::size > 0), Flat<Ls...>, List<Flatten>>;
  static constexpr auto table = trace(ops(layers{}), detail::input_shape<In>());
  static constexpr Checked<decltype(detail::error_in<table>(layers{}))> checked{};  // first: nothing below means anything if the layers do not fit

  static constexpr Shape input = detail::input_shape<In>(), output = table.out;
  /// Learned numbers; floating-point operations of a forward pass per sample, a multiply-add counting as two.
  static constexpr Index parameters = count_parameters(table), flops = table.flops;
  /// Bytes that a training step of `batch` samples takes for activations and gradients, layer by layer. Where layers are fused it takes less: Program::workspace.
  static constexpr Index workspace(Index batch) { return batch * plan(table, sizeof(float), true).bytes; }
};

namespace detail {
template <class Net> inline constexpr bool is_network = requires { typename Net::layers; Net::input; };
template <class Net> struct IsNetwork { static_assert(is_network<Net>, "what a model is made of is a network: struct Net : Network<Input<H, W, C>, layers...> {};"); };
/// Net, and in the place of what is none a network that does nothing, so that one mistake is not followed by others.
template <class Net> using NetworkOf = std::conditional_t<is_network<Net>, Net, Network<Input<1, 1, 2>, Flatten>>;
}  // namespace detail

}  // namespace lamina
