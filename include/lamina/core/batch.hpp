/// Where data and training meet: a batch of samples in host memory, and what hands them out.
#pragma once
#include <concepts>
#include <type_traits>

#include "changes.hpp"
#include "shares.hpp"

namespace lamina {

/// N samples. The memory belongs to the source and holds until the next call of next() or start().
struct Batch {
  Index n = 0;
  Index first = 0;                        // place of the first sample in the order of the epoch
  const float* x = nullptr;               // (N, H, W, C)
  const std::int32_t* label = nullptr;    // (N) class of each, or null
  const float* target = nullptr;          // (N, classes) soft targets, or null. A sample of such a batch counts as one of the class with the largest share, the first of several
  const Pictures* pictures = nullptr;     // where x is null: the same as bytes, with what makes x of them
  Index whole = 0;                        // samples of the batch that all replicas together work on, of which these are a part, or none; 0: these are the whole
};
namespace detail {
constexpr Index whole(const Batch& b) { return b.whole ? b.whole : b.n; }
}  // namespace detail

/// A source of batches, epoch after epoch. What it hands out is a function of (its seed, epoch, batch) alone.
template <class S>
concept BatchSource = requires(S& s, const S& c, Batch& batch, Index epoch, Index first_batch) {
  { c.shape() } -> std::same_as<Shape>;         // of one sample
  { c.samples() } -> std::same_as<Index>;       // in an epoch
  { c.batches() } -> std::same_as<Index>;       // in an epoch
  { c.batch_size() } -> std::same_as<Index>;    // the largest
  s.start(epoch, first_batch);                  // begins an epoch, at any batch of it
  { s.next(batch) } -> std::same_as<bool>;      // false once the epoch is over
};

/// One that hands out pictures as bytes to a taker, from the next start() on; to nobody: numbers again. It returns whom it handed them out to before. Where that is somebody else a running
/// epoch ends, and what was kept is forgotten. Where no kernel makes such pictures, numbers come all the same.
template <class S>
concept PictureSource = BatchSource<S> && requires(S& s, const void* taker) { { s.hand_out_pictures(taker) } -> std::same_as<const void*>; };

/// One that hands out a portion of each batch (see shares.hpp) from the next start() on. n may be 0 then. samples(), batches() and
/// batch_size() stay those of the whole.
template <class S>
concept DividedSource = BatchSource<S> && requires(S& s, const Portion& portion) { s.hand_out(portion); };

/// One that says what decides what it hands out, data, options and seed, as a number: sources with the same hand out the same, whichever parts of it and however they make it. Replicas compare it
/// before they train, since batches of which each takes a part have to be the same batches; of other sources they compare the numbers of samples alone.
template <class S>
concept FingerprintedSource = BatchSource<S> && requires(const S& s) { { s.fingerprint() } -> std::same_as<std::uint64_t>; };

/// What a source may say of itself, `using View = EvaluationView;`: that what it hands out is changed at random and shuffled, for training alone, or as it is and in order, for validation and prediction.
/// fit() and evaluate() then refuse to compile with the one in the place of the other. A source that says nothing is taken for either.
struct TrainingView {};
struct EvaluationView {};
namespace detail {
template <class S, class View> constexpr bool hands_out() {
  if constexpr (requires { typename S::View; }) return std::is_same_v<typename S::View, View>;
  else return true;
}
}  // namespace detail

}  // namespace lamina
