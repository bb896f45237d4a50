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
template <int H, int W, int C> struct InputOptions { static_assert(H > 0 && W > 0 && C > 0, "Input<H, W, C>: height, width and channels are at least 1"); };
template <int Layers> struct NetworkOptions { static_assert(Layers > 0, "Network<Input<H, W, C>, layers...> has at least one layer"); };
}  // namespace detail

/// What a network begins with: pictures of H x W pixels with C channels, (N, H, W, C).
template <int H, int W, int C> struct Input {
  static constexpr detail::InputOptions<H, W, C> checked{};
  static constexpr Shape shape{H, W, C};
};

/// struct LeafNet : Network<Input<64, 64, 3>, Conv<32, 3>, ReLU, ...> {};   Inside another network it is a layer, without its input.
template <class In, class... Ls> struct Network {
  static constexpr detail::NetworkOptions<Flat<Ls...>::size> has_layers{};
  using parts = List<Ls...>;
  using layers = std::conditional_t<(Flat<Ls...>::size > 0), Flat<Ls...>, List<Flatten>>;
  static constexpr auto table = trace(ops(layers{}), In::shape);
  static constexpr Checked<decltype(detail::error_in<table>(layers{}))> checked{};  // first: nothing below means anything if the layers do not fit

  static constexpr Shape input = In::shape, output = table.out;
  /// Learned numbers; floating-point operations of a forward pass per sample, a multiply-add counting as two.
  static constexpr Index parameters = count_parameters(table), flops = table.flops;
  /// Bytes that a training step of `batch` samples takes for activations and gradients, layer by layer. Where layers are fused it takes less: Program::workspace.
  static constexpr Index workspace(Index batch) { return batch * plan(table, sizeof(float), true).bytes; }
};

}  // namespace lamina
