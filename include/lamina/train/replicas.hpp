/// What training and evaluation do differently where a model is one of several replicas (parallel/data_parallel.hpp).
#pragma once
#include "../core/batch.hpp"
#include "../core/shares.hpp"

namespace lamina::detail {

template <class M> concept ReplicatedModel = requires(M& model) { { model.exchange(false) } -> std::same_as<bool>; };

/// Whether callbacks are called here, who print and write.
template <class M> bool leads(const M& model) {
  if constexpr (ReplicatedModel<M>) return model.rank() == 0;
  else return true;
}
/// Whether nobody else has to be told of a stop.
template <class M> bool by_itself(const M& model) {
  if constexpr (ReplicatedModel<M>) return model.size() == 1;
  else return true;
}
/// Brings the totals of the model up to date; returns whether somebody wants to stop.
template <class M> bool exchange(M& model, bool stop) {
  if constexpr (ReplicatedModel<M>) return model.exchange(stop);
  else return stop;
}
/// What is to be worked on here.
template <class M> Batch part_of(const M& model, const Batch& b) {
  if constexpr (ReplicatedModel<M>) return model.part_of(b);
  else return b;
}

/// While it lives a source that can do so hands out no more of each batch than is worked on here.
template <class M, BatchSource S> class Divides {
  static constexpr bool whether = ReplicatedModel<M> && DividedSource<S>;

 public:
  Divides(S& source, const M& model) : source_(source) {
    if constexpr (whether) model.divide(source);
  }
  Divides(const Divides&) = delete;
  Divides& operator=(const Divides&) = delete;
  ~Divides() {
    if constexpr (whether) source_.hand_out(Portion());
  }

 private:
  [[maybe_unused]] S& source_;
};

}  // namespace lamina::detail
