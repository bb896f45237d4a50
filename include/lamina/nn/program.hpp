/// What a network becomes on a device: its steps with the functions that run them, and where everything lies, for training and for inference.
#pragma once
#include <span>

#include "fuse.hpp"
#include "plan.hpp"

namespace lamina {

/// The tables of a program without the type of its network: all that a model reads, so that a model's code is compiled once for all networks.
template <class D, class T> struct ProgramView {
  std::span<const Row<OpOn<D, T>>> steps;
  std::span<const Row<Op>> layers;     // as the network lists them, nothing fused
  PlanView training, inference;
  Shape input, output;
  Index parameters = 0, state = 0, statistics = 0;   // numbers in the blocks, room between tensors included

  /// Bytes for a batch of at most n samples.
  constexpr Index workspace(Index n) const { return n * (training.bytes > inference.bytes ? training.bytes : inference.bytes); }
};

template <class Net, class D, class T> struct Program {
  static constexpr auto layers = Net::table;         // a copy, since the name of the network's own is the whole list
  static constexpr auto table = trace(fuse<D, T>(typename Net::layers{}), Net::input);
  static constexpr auto training = plan(table, sizeof(T), true), inference = plan(table, sizeof(T), false);
  static_assert(table.block.parameters == layers.block.parameters && table.block.state == layers.block.state,
                "a fused layer must have the parameters of its parts");

  static constexpr ProgramView<D, T> view{{table.rows, std::size_t(table.count)}, {layers.rows, std::size_t(layers.count)}, training.view(), inference.view(),
                                          Net::input, Net::output, table.block.parameters, table.block.state, table.statistics};
  static constexpr Index workspace(Index n) { return view.workspace(n); }
};

}  // namespace lamina
