/// What a network becomes on a device: its steps with the functions that run them, and where everything lies, for training and for inference.
#pragma once
#include "fuse.hpp"
#include "plan.hpp"

namespace lamina {

template <class Net, class D, class T> struct Program {
  static constexpr auto table = trace(fuse<D, T>(typename Net::layers{}), Net::input);
  static constexpr auto training = plan(table, sizeof(T), true), inference = plan(table, sizeof(T), false);
  static_assert(table.block.parameters == Net::table.block.parameters && table.block.state == Net::table.block.state,
                "a fused layer must have the parameters of its parts");

  /// Bytes for a batch of at most n samples.
  static constexpr Index workspace(Index n) { return n * (training.bytes > inference.bytes ? training.bytes : inference.bytes); }
};

}  // namespace lamina
