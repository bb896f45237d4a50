/// A trained network for prediction alone.
#pragma once
#include <algorithm>
#include <utility>
#include <vector>

#include "../core/device.hpp"
#include "../core/error.hpp"
#include "../nn/infer.hpp"
#include "batch_that_fits.hpp"
#include "inputs.hpp"
#include "passes.hpp"
#include "recordings.hpp"

namespace lamina {

/// The weights of a model as they were when it was made, ready for inference: batch norm is part of the convolutions, and what a device makes of weights before it
/// computes is made once. There is no memory for gradients. Scores are those of Model::forward within rounding.
///   Predictor<LeafNet, Cpu> predict(model, {.batch = 1});   const float* scores = predict(x, 1);
template <class Net, Device D, class T = float> class Predictor {
  using P = Inference<Net, D, T>;
  static constexpr bool has_low = !std::is_same_v<T, Master<T>>;

 public:
  struct Options { Index batch = 32; };    // the largest number of samples it is ever given

  /// Throws Error if the batch is not positive, or larger than what fits into the device's memory. The model is not kept; it may be on another device.
  template <class M> explicit Predictor(M& model, Options options = {}) : Predictor(model, options, D(model.device())) {}
  template <class M> Predictor(M& model, Options options, D device)
      : device_(alone(std::move(device))), batch_(fitting(positive(options.batch))), ready_(device_, numbers()), low_(device_, has_low ? numbers() : 0), inputs_(device_, batch_, size(P::view.input), 0),
        passes_(device_, P::view.steps, {batch_, P::view.at_once, P::view.plan.bytes, P::view.plan.inner}, false) {
    static_assert(std::is_same_v<typename M::Network, Net>, "a Predictor is made from a model of its network");
    const std::vector<Master<T>> w = on_host(model, model.parameters(), model.program().parameters), state = on_host(model, model.state(), model.program().state);
    Index at = 0;
    for (const auto& r : P::view.steps) {
      put(r, w.data() + r.w, state.data() + r.state_at, ready_.data() + at);
      at += numbers(r);
    }
    if constexpr (has_low) parallel_for(device_, at, detail::CopyAs<Master<T>, T>{ready_.data(), low_.data()});
  }

  /// Class scores (N, classes), in the device's memory, of n pictures x (N, H, W, C) in host memory; they hold until the next call. Throws Error if there are more than the batch.
  const T* operator()(const float* x, Index n) {
    if (n < 1 || n > batch_) throw Error("a batch of ", n, " samples does not go into a predictor made for 1 to ", batch_, ": say Predictor(model, {.batch = ...})");
    const PlanView& plan = P::view.plan;
    const T* const on_device = inputs_.upload_pictures(device_, x, n);
    recordings_.play(device_, {.pass = detail::Pass::inference, .n = n}, [&] {
      Index at = 0;
      inputs_.convert_pictures(device_, x, n);
      passes_.forward(plan, on_device, n, [&](std::size_t i, Step<T>& s) {
        s.w = ready_.data() + at, s.low = has_low ? low_.data() + at : nullptr, s.state = ready_.data() + at + P::view.steps[i].place.parameters;
        at += numbers(P::view.steps[i]);
      });
    });
    return passes_.at(plan, plan.y, on_device, n);
  }

  Index batch() const { return batch_; }
  D& device() { return device_; }

 private:
  /// A predictor is no replica, whatever the model was.
  static D alone(D device) {
    if constexpr (Replicates<D>) device.replica = Replica();
    return device;
  }
  using Row = lamina::Row<OpOn<D, T>>;

  [[gnu::cold]] static Index positive(Index batch) {
    if (batch < 1) throw Error("a predictor for batches of ", batch, " samples: say Predictor(model, {.batch = ...}) with at least 1");
    return batch;
  }
  [[gnu::cold]] Index fitting(Index batch) const {
    return detail::batch_that_fits(device_, "predictor", batch, P::view.steps, [&](Index n) {
      Index arena = 0;
      for (const Row& r : P::view.steps)
        if (r.arena) arena = std::max(arena, r.arena(device_, r.in, n));
      const Index of_sample = P::view.plan.bytes + size(P::view.input) * Index(sizeof(float) + (has_low ? sizeof(T) : 0)) + Index(sizeof(std::int32_t));
      return numbers() * Index(sizeof(Master<T>) + (has_low ? sizeof(T) : 0)) + n * of_sample + arena;
    });
  }
  template <class M> [[gnu::cold]] static std::vector<Master<T>> on_host(M& model, const typename M::Parameter* from, Index count) {
    std::vector<typename M::Parameter> there(static_cast<std::size_t>(count));
    model.device().download(there.data(), from, there.size() * sizeof there[0]);
    return {there.begin(), there.end()};
  }
  /// A step's parameters and state, from host memory to where it reads them.
  [[gnu::cold]] void put(const Row& r, const Master<T>* w, const Master<T>* state, Master<T>* to) {
    std::vector<Master<T>> folded(static_cast<std::size_t>(r.fold ? r.folded(r.in) : 0));
    if (r.fold) r.fold(r.in, w, state, folded.data()), w = folded.data();
    if constexpr (!has_low)
      if (r.prepare) return r.prepare(device_, r.in, w, state, to);
    device_.upload(to, w, std::size_t(r.fold ? r.folded(r.in) : r.place.parameters) * sizeof *w);
    if (!r.fold) device_.upload(to + r.place.parameters, state, std::size_t(r.place.state) * sizeof *state);
  }
  /// How many those are.
  Index numbers(const Row& r) const { return room(r.prepared ? r.prepared(device_, r.in) : r.folded ? r.folded(r.in) : r.place.parameters + r.place.state); }
  Index numbers() const {
    Index n = 0;
    for (const Row& r : P::view.steps) n += numbers(r);
    return n;
  }

  D device_;
  Index batch_;
  Buffer<D, Master<T>> ready_;             // weights, step after step
  Buffer<D, T> low_;                       // the same as T, where T is not what they are kept in
  detail::Inputs<D, T> inputs_;
  detail::Passes<D, T> passes_;
  detail::Recordings<D> recordings_;
};

}  // namespace lamina
