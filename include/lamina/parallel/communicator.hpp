/// What ranks, the replicas of a network, say to each other: sums, copies, and that something is wrong.
#pragma once
#include <concepts>
#include <cstddef>
#include <exception>
#include <span>
#include <string_view>

#include "../core/tree.hpp"

namespace lamina {

/// One of size() ranks. All of them call the same operations in the same order, with as many numbers each and the same name, which is for people ("gradients of step 7"). Before anything moves
/// they compare what they are about to do; if one of them does something else, does not come in time, throws or dies, the operation throws Error on all others, which says who and where, and
/// so does every later one. The memory of an operation that threw holds anything.
///
/// Sums are in the order of tree_sum(), so the same on all ranks, to the bit.
template <class C>
concept Communicator = requires(C& c, const C& constant, std::span<float> floats, std::span<double> doubles, std::span<const std::byte> mine, std::span<std::byte> bytes, std::string_view words, int root, Index begun) {
  { constant.rank() } -> std::same_as<int>;
  { constant.size() } -> std::same_as<int>;

  c.all_reduce(floats, words);                             // each x[i] becomes the sum of the x[i] of all ranks
  c.all_reduce(doubles, words);
  { c.begin(floats, words) } -> std::same_as<Index>;       // an all_reduce that goes on by itself; its memory must stay, and nobody may touch it, until
  { c.begin(doubles, words) } -> std::same_as<Index>;
  c.finish(begun);                                         // it and those begun before it are done; or
  c.finish();                                              // all are
  c.broadcast(bytes, root, words);                         // each becomes that of one rank
  c.all_gather(mine, bytes, words);                        // (n) of each rank -> (size, n), the same on all
  c.barrier(words);                                        // all have come
  c.agree(words);                                          // the words, such as "network LeafNet; batch 32", are the same on all ranks

  { c.abort(words) } noexcept;                             // tells all others that this rank gives up, and why
  { c.abandon() } noexcept;                                // for a destructor of whoever owns memory: if something is begun and not done, gives up, and returns once nobody touches the memory
};

/// f(), of which the other ranks are told what it throws.
template <Communicator C, class F> void guarded(C& c, const F& f) {
  try {
    f();
  } catch (const std::exception& e) {
    c.abort(e.what());
    throw;
  } catch (...) {
    c.abort("it threw something that is no std::exception");
    throw;
  }
}

}  // namespace lamina
