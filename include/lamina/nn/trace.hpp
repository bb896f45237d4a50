/// A flat list of layers becomes a table of constants, one row a step. From here on the compiler works on numbers in arrays and no longer on types.
#pragma once
#include <array>

#include "../core/text.hpp"
#include "sequential.hpp"

namespace lamina {

/// The nearest shape to `in` that a layer can take.
template <Layer L> constexpr Shape accepts(Shape in) {
  if constexpr (requires { L::accepts(in); }) return L::accepts(in);
  else return in;
}

/// What a layer takes in the blocks of parameters and of state. A fused layer says it itself, for its parts.
struct Places { Index parameters = 0, state = 0; };
template <Layer L> constexpr Places places(Shape in) {
  Places p;
  if constexpr (requires { L::places(in); }) p = L::places(in);
  if constexpr (requires { L::parameters(in); }) p.parameters = L::parameters(in).place();
  if constexpr (requires { L::state(in); }) p.state = L::state(in).place();
  return p;
}

/// A layer as a value.
struct Op {
  Role role = Role::layer;
  int layers = 1;                      // of how many layers of the list it does the work
  bool is_layer = true;
  bool wide = false;                   // it looks at more than one pixel at a time
  const Text* name = nullptr;
  Shape (*out)(Shape) = nullptr;
  Needs (*needs)(Shape) = nullptr;
  Shape (*accepts)(Shape) = nullptr;
  Places (*places)(Shape) = nullptr;
  Tensors (*parameters)(Shape) = nullptr;
  Tensors (*state)(Shape) = nullptr;
  void (*init)(Shape, const Initializer&, float*, float*) = nullptr;
};
template <Layer L> constexpr Op op(int layers = 1) {
  Op o{.layers = layers, .name = &detail::name_of<L>, .out = &L::out, .needs = &L::needs, .accepts = &accepts<L>, .places = &places<L>};
  if constexpr (requires { L::role; }) o.role = L::role;
  if constexpr (requires { L::window; }) o.wide = L::window.k > 1;
  if constexpr (requires { &L::parameters; }) o.parameters = &L::parameters;
  if constexpr (requires { &L::state; }) o.state = &L::state;
  if constexpr (requires { &L::init; }) o.init = &L::init;
  return o;
}

namespace detail {
template <class L> struct NoLayer {
  static constexpr Shape out(Shape in) { return in; }
  static constexpr Needs needs(Shape) { return {}; }
};
}  // namespace detail
/// What is no layer is marked as such, and does nothing, so that one error does not become many.
template <class L> constexpr Op op(int layers = 1) {
  Op o = op<detail::NoLayer<L>>(layers);
  o.is_layer = false;
  return o;
}

template <class... Ls> constexpr std::array<Op, sizeof...(Ls)> ops(List<Ls...>) { return {op<Ls>()...}; }

/// A step in its place. O is Op, or OpOn<Device, T> with the functions that run it.
/// Every member has a default: nvcc 13 takes what only `= {}` made for uninitialised, when it copies a constexpr table.
template <class O> struct Row : O {
  int layer = 0;                       // index of its first layer in the list
  Shape in, out;
  Needs need;
  Places place;                        // what it takes in the blocks
  Index w = 0, state_at = 0, statistics = 0;  // where its parameters, state and batch statistics begin
  int x = 0, y = 0, z = -1;            // the edges it joins; z is the second x of Add, the second y of Split
  bool wants_dx = false;               // something before it learns
  bool joined = false, joined_back = false;   // a few samples go through it and the step before it, there and back, before the next few do
  bool aside = false;                  // the gradients of its parameters are summed beside the steps that come after it on the way back
  bool measured = false;               // when a few have gone through the step before it, what it wants to know of them is measured
};

/// What can be wrong with a network.
enum class Misfit : char {
  none,
  no_layer,                            // what stands in it is no layer
  no_branch, open_branch,              // an Add or a Swap without a Split before it, a Split without an Add behind it
  no_functions,                        // a device cannot run it
  branches, picture, flat, groups, image,   // what a layer gets: two shapes for a sum, pixels for a vector, a vector for pixels, channels, fewer pixels than a window has
  scores, probabilities, one_class     // what a loss gets
};

template <class O, std::size_t N> struct Table {
  Row<O> rows[N] = {};
  int count = 0, edges = 1;            // edge 0 is the input of the network
  Places block;                        // the blocks of parameters and of state: numbers, room between tensors included
  Index statistics = 0, flops = 0;
  Index at_once = 1;                   // samples that go together through steps that are joined
  Shape out;
  Misfit wrong = Misfit::none;
  int misfit = -1, number = 0;         // the first layer where something is: its index, its number as people count
  Shape got, accepts;                  // what it gets, and the nearest it could take
  constexpr void blame(Misfit what, int i, int counted, Shape x = {}, Shape nearest = {}) {
    if (wrong == Misfit::none && what != Misfit::none) wrong = what, misfit = i, number = counted, got = x, accepts = nearest;
  }
};

namespace detail {
/// What is wrong if a layer gets x and takes `accepts`.
constexpr Misfit misfit(const auto& op, Shape x, Shape accepts) {
  if (accepts == x) return Misfit::none;
  if (op.role == Role::add) return Misfit::branches;
  if (size(x) == size(accepts)) return x.h * x.w == 1 ? Misfit::flat : Misfit::picture;
  return x.c != accepts.c ? Misfit::groups : Misfit::image;
}
}  // namespace detail

/// Runs a shape through the network.
template <class O, std::size_t N> constexpr Table<O, N> trace(const std::array<O, N>& ops, Shape in) {
  Table<O, N> t;
  Shape shapes[2 * N + 1] = {in};      // of each edge
  Shape pictures[2 * N + 1] = {};      // of each edge that was made of a picture made flat: that picture
  int stack[N + 1] = {}, top = 0;      // the edges at hand: a layer takes the top one and puts back its own
  int split[N + 1] = {}, at[N + 1] = {};   // the Split of each: its index, its number
  int number = 0;
  for (int i = 0; i < int(N); i += ops[std::size_t(i)].layers) {
    const O& op = ops[std::size_t(i)];
    const bool alone = top == 0 && (op.role == Role::swap || op.role == Role::add);
    if (alone) t.blame(Misfit::no_branch, i, number + 1);
    if (op.role == Role::swap) {
      if (!alone) std::swap(stack[top], stack[top - 1]);
      continue;
    }
    const Shape x = shapes[stack[top]];
    Row<O>& r = t.rows[t.count++];
    r = {op, i, x, op.out(x), op.needs(x), op.places(x), t.block.parameters, t.block.state, t.statistics};
    r.wants_dx = t.block.parameters > 0;
    r.x = stack[top];
    if (op.role == Role::add) r.z = stack[alone ? top : --top];
    r.y = t.edges++;
    shapes[r.y] = r.out;
    const Shape picture = pictures[r.x];
    pictures[r.y] = op.role == Role::view && picture == Shape() ? x : r.out.h * r.out.w == 1 ? picture : Shape();
    if (op.role == Role::split) {
      r.z = t.edges++;
      shapes[r.z] = r.out;
      pictures[r.z] = picture;
      split[top] = i, at[top] = number + 1;
      stack[top++] = r.z;
    }
    stack[top] = r.y;
    t.block.parameters += r.place.parameters;
    t.block.state += r.place.state;
    t.statistics += r.need.statistics;
    t.flops += r.need.flops;
    number += op.role != Role::split;
    const bool flat = op.wide && picture.h * picture.w > 1;
    const Shape accepts = op.role == Role::add ? shapes[r.z] : flat ? picture : op.accepts(x);
    t.blame(!op.is_layer ? Misfit::no_layer : flat ? Misfit::flat : detail::misfit(op, x, accepts), i, number, x, accepts);
  }
  if (top > 0) t.blame(Misfit::open_branch, split[top - 1], at[top - 1]);
  t.out = shapes[stack[top]];
  return t;
}

/// The learned numbers, without the room between tensors.
template <std::size_t N> constexpr Index count_parameters(const Table<Op, N>& t) {
  Index n = 0;
  for (int i = 0; i < t.count; ++i) if (t.rows[i].place.parameters) n += t.rows[i].parameters(t.rows[i].in).count();
  return n;
}

}  // namespace lamina
