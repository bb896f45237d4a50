/// A trained network for prediction alone.
#pragma once
#include <utility>

#include "../core/device.hpp"
#include "../core/error.hpp"
#include "../nn/infer.hpp"
#include "inputs.hpp"
#include "passes.hpp"

namespace lamina {

/// The weights of a model as they were when it was made, ready for inference: batch norm is part of the convolutions, and what a device makes of weights before it
/// computes is made once. There is no memory for gradients. Scores are those of Model::forward within rounding.
///   Predictor<LeafNet, Cpu> predict(model, {.batch = 1});   const float* scores = predict(x, 1);
template <class Net, Device D, class T = float> class Predictor {
  using P = Inference<Net, D, T>;

 public:
  struct Options { Index batch = 32; };    // the largest number of samples it is ever given

  /// Throws Error if the batch is not positive. The model is not kept.
  template <class M> explicit Predictor(M& model, Options options = {}) : Predictor(model, options, D(model.device())) {}
  template <class M> Predictor(M& model, Options options, D device)
      : device_(std::move(device)), batch_(positive(options.batch)), ready_(device_, numbers()), low_(device_, std::is_same_v<T, Master<T>> ? 0 : numbers()), inputs_(device_, batch_, size(P::view.input), 0),
        passes_(device_, P::view.steps, {batch_, P::view.at_once, P::view.plan.bytes, P::view.plan.inner}, false) {
    static_assert(std::is_same_v<typename M::Network, Net>, "a Predictor is made from a model of its network");
    Index at = 0;
    for (const auto& r : P::view.steps) {
      const Master<T> *w = model.parameters() + r.w, *state = model.state() + r.state_at;
      if constexpr (std::is_same_v<T, Master<T>>)
        if (r.prepare) r.prepare(device_, r.in, w, state, ready_.data() + at);
      if (!r.prepare) {
        copy(w, r.place.parameters, ready_.data() + at);
        copy(state, r.place.state, ready_.data() + at + r.place.parameters);
      }
      at += numbers(r);
    }
    if constexpr (!std::is_same_v<T, Master<T>>) copy(ready_.data(), at, low_.data());
  }

  /// Class scores (N, classes) of n pictures x (N, H, W, C) in host memory; they hold until the next call. Throws Error if there are more than the batch.
  const T* operator()(const float* x, Index n) {
    if (n < 1 || n > batch_) throw Error("a batch of ", n, " samples does not go into a predictor made for 1 to ", batch_, ": say Predictor(model, {.batch = ...})");
    const PlanView& plan = P::view.plan;
    const T* const on_device = inputs_.pictures(device_, x, n);
    Index at = 0;
    passes_.forward(plan, on_device, n, [&](std::size_t i, Step<T>& s) {
      s.w = ready_.data() + at, s.low = low_.data() + at, s.state = ready_.data() + at + P::view.steps[i].place.parameters;
      at += numbers(P::view.steps[i]);
    });
    return passes_.at(plan, plan.y, on_device, n);
  }

  Index batch() const { return batch_; }
  D& device() { return device_; }

 private:
  [[gnu::cold]] static Index positive(Index batch) {
    if (batch < 1) throw Error("a predictor for batches of ", batch, " samples: say Predictor(model, {.batch = ...}) with at least 1");
    return batch;
  }
  template <class To> void copy(const Master<T>* from, Index count, To* to) { parallel_for(device_, count, detail::CopyAs<Master<T>, To>{from, to}); }
  Index numbers(const auto& r) const { return r.prepared ? room(r.prepared(device_, r.in)) : room(r.place.parameters) + room(r.place.state); }
  Index numbers() const {
    Index n = 0;
    for (const auto& r : P::view.steps) n += numbers(r);
    return n;
  }

  D device_;
  Index batch_;
  Buffer<D, Master<T>> ready_;             // weights, step after step
  Buffer<D, T> low_;                       // the same as T, where T is not what they are kept in
  detail::Inputs<D, T> inputs_;
  detail::Passes<D, T> passes_;
};

}  // namespace lamina
