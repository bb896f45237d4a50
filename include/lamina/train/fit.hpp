/// Training: epochs of steps, each followed by a validation, with callbacks that watch, save and stop.
#pragma once
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "agreement.hpp"
#include "clip.hpp"
#include "evaluate.hpp"
#include "optimizer.hpp"
#include "replicas.hpp"
#include "schedule.hpp"

namespace lamina {

struct FitOptions {
  Index epochs = 1;              // in all, those before a resume included
  Index accumulate = 1;          // batches whose gradients make one step
  Clip clip = {};                // of the gradients, before each step
  Index stop_after = 0;          // steps of this call after which it stops as a signal would stop it; 0: none
};

/// One epoch as it is told to people and to history.csv.
struct EpochRow {
  Index epoch = 0;                                     // from 1
  double loss = 0, accuracy = 0;                       // over the training batches, while they were learned
  double val_loss = 0, val_accuracy = 0;
  double rate = 0;                                     // of the last step
  double seconds = 0;                                  // the sum of the next five and what is left over
  double wait = 0, forward = 0, backward = 0, update = 0, validation = 0;
  double images_per_second = 0;                        // of training, validation not counted
};

/// Where a training stands: everything that a checkpoint saves, and what callbacks look at.
template <class M, class Opt, class Sched> struct Run {
  using Model = M;
  M& model;
  OptimizerState<Opt, typename M::DeviceType, typename M::Parameter>& optimizer;
  Sched& schedule;
  double base_rate;
  FitOptions options;
  Index samples, batches;                              // of an epoch
  std::function<std::string()> handed_out;             // what is handed out for training and for validation, as far as the sources say what that is
  Index epoch = 0, batch = 0, step = 0;                // whole epochs done, batches of this one done, steps done in all
  std::vector<EpochRow> history = {};
  EpochRow now = {};                                   // the epoch under way; where it is taken up in its midst, start() may say what its beginning took
  Evaluation validation = {};                          // of the last whole epoch, or of what was resumed
  std::string stopped = {};                            // why it ended before the last epoch, if it did
  void stop(std::string why) { if (stopped.empty()) stopped = std::move(why); }
};

namespace detail {
class Stopwatch {
 public:
  /// Seconds since the last lap.
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    const double s = std::chrono::duration<double>(now - last_).count();
    last_ = now;
    return s;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

/// A callback is any object with some of: start(run), resumed(run), step(run), epoch(run), finish(run).
template <class R, class C>
concept Callback = requires(R& run, C& c) { c.start(run); } || requires(R& run, C& c) { c.resumed(run); } || requires(R& run, C& c) { c.step(run); } ||
                   requires(R& run, C& c) { c.epoch(run); } || requires(R& run, C& c) { c.finish(run); };
template <class R, class C> void call_start(R& run, C& c) { if constexpr (requires { c.start(run); }) c.start(run); }
template <class R, class C> void call_resumed(R& run, C& c) { if constexpr (requires { c.resumed(run); }) c.resumed(run); }
template <class R, class C> void call_step(R& run, C& c) { if constexpr (requires { c.step(run); }) c.step(run); }
template <class R, class C> void call_epoch(R& run, C& c) { if constexpr (requires { c.epoch(run); }) c.epoch(run); }
template <class R, class C> void call_finish(R& run, C& c) { if constexpr (requires { c.finish(run); }) c.finish(run); }
}  // namespace detail

namespace detail {
/// The run of rank 0, which a callback may have taken back to a checkpoint, becomes that of all ranks. What its callbacks alone look at stays with it.
template <class R, class Train, class Val> [[gnu::cold]] void share_start(R& run, const Train& train, const Val& val) {
  auto& model = run.model;
  agree_on_training(run, train, val);
  model.synchronise();
  model.broadcast(run.optimizer.state(), run.optimizer.state_count(), "optimizer");
  struct Start { Index epoch, batch, step, optimizer_steps, scheduled; Totals totals; } start{run.epoch, run.batch, run.step, run.optimizer.steps(), 0, model.totals()};
  std::vector<double> schedule;
  if constexpr (requires { run.schedule.restore(schedule); }) schedule = run.schedule.state(), start.scheduled = std::ssize(schedule);
  model.communicator().broadcast(std::span(&start, 1), 0, "start");
  run.epoch = start.epoch, run.batch = start.batch, run.step = start.step;
  run.optimizer.restore(start.optimizer_steps);
  model.reset_totals(start.totals);
  schedule.resize(std::size_t(start.scheduled));
  if (!schedule.empty()) model.communicator().broadcast(schedule, 0, "schedule");
  if constexpr (requires { run.schedule.restore(schedule); }) run.schedule.restore(schedule);
  agree_on_schedule(run);
}
}  // namespace detail

/// What fit() ends with.
struct FitResult {
  std::vector<EpochRow> history;
  Evaluation validation;              // of the last whole epoch
  std::string stopped;                // empty, or why it ended before the last epoch
  Index steps = 0;
};

namespace detail {
template <class M, BatchSource Train, BatchSource Val, class Opt, class Sched, class... Callbacks>
[[gnu::cold]] FitResult fit_base(M& model, Train& train, Val& val, Opt optimizer, Sched schedule, FitOptions options, Callbacks&... callbacks) {
  const Index parameters = model.program().parameters;
  check_source(model, train), check_source(model, val);
  if (train.batch_size() > model.batch() || val.batch_size() > model.batch())
    throw Error("batches of ", std::max(train.batch_size(), val.batch_size()), " samples do not go into a model made for ", model.batch(), ": say Model({.batch = ...})");
  if (options.epochs < 0 || options.accumulate < 1 || options.stop_after < 0)
    throw Error("FitOptions{.epochs = ", options.epochs, ", .accumulate = ", options.accumulate, ", .stop_after = ", options.stop_after, "}: they are at least 0, 1 and 0");
  const HandsOutPictures<M, Train> train_as_bytes(train, model);
  const HandsOutPictures<M, Val> val_as_bytes(val, model);
  const Divides<M, Train> divided(train, model);
  OptimizerState<Opt, typename M::DeviceType, typename M::Parameter> state(model.device(), optimizer, parameters);
  static_assert((Callback<Run<M, Opt, Sched>, Callbacks> && ...), "a callback of fit() is an object with some of: start(run), resumed(run), step(run), epoch(run), finish(run)");
  Run<M, Opt, Sched> run{model, state, schedule, optimizer.rate, options, train.samples(), train.batches(), [&] { return detail::words_of_sources(train, val); }};
  std::vector<Extent> tensors;
  for (const NamedTensor& t : model.tensors()) if (t.learned) tensors.push_back({t.at, t.dims.count()});
  model.zero_gradients();
  model.reset_totals();
  if (leads(model)) (call_start(run, callbacks), ...);
  if constexpr (ReplicatedModel<M>) share_start(run, train, val);
  if (run.epoch) run.validation = evaluate_base(model, val);      // of what it goes on with
  if (leads(model)) (call_resumed(run, callbacks), ...);
  model.set_clock(std::uint32_t(run.step));

  Index steps = 0;                    // of this call
  bool stopping = exchange(model, !run.stopped.empty());
  while (run.epoch < options.epochs && !stopping) {
    Stopwatch epoch_watch, watch;
    if (!run.batch) run.now = {};
    run.now.epoch = run.epoch + 1;
    const auto trained = [&] { return run.now.wait + run.now.forward + run.now.backward + run.now.update; };
    double images = run.now.images_per_second * trained();
    train.start(run.epoch, run.batch);
    Batch handed_out;
    while (!stopping && train.next(handed_out)) {
      const Batch b = part_of(model, handed_out);
      run.now.wait += watch.lap();
      const Index group = run.batch / options.accumulate * options.accumulate, first = group * train.batch_size();
      const Index end = std::min((group + options.accumulate) * train.batch_size(), run.samples);
      run.now.rate = schedule(run.base_rate, Moment{.step = run.step, .epoch = run.epoch, .steps_per_epoch = (run.batches + options.accumulate - 1) / options.accumulate, .epochs = options.epochs});
      model.forward_training(b, end - first, b.first - first);
      run.now.forward += watch.lap();
      const bool at_once = options.accumulate == 1 && options.clip.kind == Clip::Kind::none;
      at_once ? model.learn(state, run.now.rate) : model.backward();
      run.now.backward += watch.lap();
      images += double(whole(b));
      ++run.batch;
      if (run.batch % options.accumulate && run.batch < run.batches) continue;
      if (!at_once) {
        clip(model.device(), options.clip, model.gradients(), parameters, tensors);
        state.step(model.parameters(), model.gradients(), run.now.rate);
        model.zero_gradients();
      }
      model.set_clock(std::uint32_t(++run.step));
      run.now.update += watch.lap();
      stopping = exchange(model, !run.stopped.empty());      // a stop of this step's callbacks comes to other replicas with the next
      if (leads(model)) (call_step(run, callbacks), ...);
      if (by_itself(model)) stopping = !run.stopped.empty();
      if (++steps == options.stop_after) run.stop("it was told to stop after " + std::to_string(steps) + " steps"), stopping = true;
      watch.lap();
    }
    if (!stopping && run.batch != run.batches)
      throw Error("a source of batches said that an epoch has ", run.batches, " and handed out ", run.batch, ": its batches() and its next() have to agree");
    if (run.batch < run.batches) {
      run.now.seconds += epoch_watch.lap(), run.now.images_per_second = images / trained();
      break;
    }
    const Totals t = model.totals();
    run.now.loss = t.loss() / double(t.samples), run.now.accuracy = double(t.correct) / double(t.samples);
    run.now.images_per_second = images / trained();
    if constexpr (ReplicatedModel<M>) agree_on_parameters(model, tensors, run.epoch + 1);
    watch.lap();
    run.validation = evaluate_base(model, val);
    run.now.validation = watch.lap();
    run.now.val_loss = run.validation.loss, run.now.val_accuracy = run.validation.accuracy;
    if constexpr (requires { schedule.observe(0.0); }) schedule.observe(run.now.val_loss);
    run.now.seconds += epoch_watch.lap();
    model.reset_totals();
    run.batch = 0;
    ++run.epoch;
    run.history.push_back(run.now);
    if (leads(model)) (call_epoch(run, callbacks), ...);
    stopping = exchange(model, stopping || !run.stopped.empty());
  }
  if (stopping) run.stop("rank 0 has stopped");
  if (leads(model)) (call_finish(run, callbacks), ...);
  return {std::move(run.history), std::move(run.validation), std::move(run.stopped), run.step};
}
}  // namespace detail

namespace detail {
template <class S> struct TrainsOn {
  static_assert(hands_out<S, TrainingView>(), "pictures are trained on in another order each time: give an AugmentationIterator, which changes nothing unless it is told to, and not one for evaluation");
};
}  // namespace detail

/// Trains `model` on `train` and validates it on `val` after each epoch. The callbacks are called in their order at the start (where a checkpoint may take the
/// run back to where it was), once all have, after each step, after each epoch and at the end. Throws Error if the pictures do not have the network's shape.
template <class M, BatchSource Train, BatchSource Val, class Opt, class Sched, class... Callbacks>
FitResult fit(M& model, Train& train, Val& val, Opt optimizer, Sched schedule, FitOptions options, Callbacks&&... callbacks) {
  [[maybe_unused]] constexpr detail::TrainsOn<Train> shuffled{};
  [[maybe_unused]] constexpr detail::Evaluates<Val> as_they_are{};
  return detail::fit_base(model.base(), train, val, std::move(optimizer), std::move(schedule), options, callbacks...);
}

}  // namespace lamina
