/// What a network becomes on a device: its steps with the functions that run them, and where everything lies, for training and for inference.
#pragma once
#include <span>

#include "fuse.hpp"
#include "plan.hpp"
#include "verdict.hpp"

namespace lamina {

/// The steps that a device would rather take a few samples through before the next few, and how many samples those are, are marked in the table. In training they must not
/// mix samples, but for the first of them, if it can be measured before; and backwards it is those whose gradients are gathered share by share.
template <class D, class T, std::size_t N> constexpr Table<OpOn<D, T>, N> depth_first(Table<OpOn<D, T>, N> t, bool training) {
  if constexpr (Slices<D>) {
    const auto shallow = [&](const auto& r) { return D::template depth_first<T>(r.place.parameters, r.in); };
    const auto mixes = [&](const auto& r) { return training && (r.need.statistics || r.place.state); };
    Index bytes = 0, most = 0;               // that a sample has in a stretch of such steps
    for (int i = 0; i < t.count; ++i) {
      auto& r = t.rows[i];
      const bool leads = i > 0 && shallow(t.rows[i - 1]) && (!mixes(t.rows[i - 1]) || t.rows[i - 1].settles);
      r.joined = leads && shallow(r) && !mixes(r);
      r.measured = leads && training && r.settles && shallow(r);
      most = r.measured && bytes > most ? bytes : most;
      r.joined_back = training && r.joined && t.rows[i - 1].gathers && r.gathers && r.x == t.rows[i - 1].y;
      bytes = size(r.out) * Index(sizeof(T)) + (r.joined ? bytes : 0);
      most = r.joined && bytes > most ? bytes : most;
    }
    t.at_once = D::at_once(most);
  }
  return t;
}

/// Marks the steps whose backward a device with a second queue does in two halves: with few parameters there is nothing to be done beside.
template <class D, class T, std::size_t N> constexpr Table<OpOn<D, T>, N> halve(Table<OpOn<D, T>, N> t) {
  if constexpr (Forks<D>)
    for (int i = 0; i < t.count; ++i) t.rows[i].aside = t.rows[i].halves && t.rows[i].wants_dx && t.rows[i].place.parameters >= 4096;
  return t;
}

/// The tables of a program without the type of its network: all that a model reads, so that a model's code is compiled once for all networks.
template <class D, class T> struct ProgramView {
  std::span<const Row<OpOn<D, T>>> steps;
  std::span<const Row<Op>> layers;     // as the network lists them, nothing fused
  PlanView training, inference;
  Shape input, output;
  Index parameters = 0, state = 0, statistics = 0;   // numbers in the blocks, room between tensors included
  Index at_once = 1;                                 // samples that go together through steps that are joined

  /// Bytes for a batch of at most n samples, and for `working` of them that are within joined steps.
  constexpr Index workspace(Index n) const { return n * (training.bytes > inference.bytes ? training.bytes : inference.bytes); }
  constexpr Index inner(Index working) const { return working * (training.inner > inference.inner ? training.inner : inference.inner); }
};

namespace detail {
template <const auto& table, class D, class T, class Layers> constexpr auto device_error(Layers layers) {
  constexpr int idle = first_idle<D, T>(Layers{});
  if constexpr (idle < 0) return NetworkError<>{};
  else {
    constexpr int number = int(std::count_if(table.rows, table.rows + table.count, [](const auto& r) { return r.layer <= idle && r.role != Role::split; }));
    return [&]<class L>(List<L>) {
      return NetworkError<List<At<number>, L>, said(Misfit::no_functions, text("layer ", number, " ", name<L>(), " lacks forward(device, step) or backward(device, step), or its device cannot call them"))>{};
    }(decltype(nth<std::size_t(idle)>(layers)){});
  }
}
}  // namespace detail

template <class Net, class D, class T> struct Program {
  static constexpr auto layers = Net::table;         // a copy, since the name of the network's own is the whole list
  static constexpr auto steps = fuse<D, T>(typename Net::layers{});
  static constexpr auto traced = trace(ops_on<D, T>(steps), Net::input);
  static constexpr auto table = halve<D, T>(depth_first<D, T>(bind<D, T, detail::Purpose::training, traced>(steps), true));
  static constexpr auto training = plan(table, sizeof(T), true), inference = plan(table, sizeof(T), false);
  static_assert(table.block.parameters == layers.block.parameters && table.block.state == layers.block.state,
                "a fused layer must have the parameters of its parts");
  static constexpr Checked<decltype(detail::device_error<layers, D, T>(typename Net::layers{}))> checked{};   // last: g++ goes on after an error and would find others in the table

  static constexpr ProgramView<D, T> view{{table.rows, std::size_t(table.count)}, {layers.rows, std::size_t(layers.count)}, training.view(), inference.view(),
                                          Net::input, Net::output, table.block.parameters, table.block.state, table.statistics, table.at_once};
  static constexpr Index workspace(Index n) { return view.workspace(n); }
};

}  // namespace lamina
