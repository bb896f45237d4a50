/// What replicas compare, so that none trains something else unnoticed: what fit() was told, before the first step, and the parameters, after each epoch.
#pragma once
#include <algorithm>
#include <charconv>
#include <concepts>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "../core/batch.hpp"
#include "../core/error.hpp"
#include "../core/fingerprint.hpp"
#include "../core/number_text.hpp"
#include "../nn/loss.hpp"
#include "clip.hpp"
#include "schedule.hpp"

namespace lamina::detail {

[[gnu::cold]] inline std::string hexadecimal(std::uint64_t v) {
  char s[16];
  return {s, std::to_chars(s, s + sizeof s, v, 16).ptr};
}

[[gnu::cold]] inline std::string words_of_clip(const Clip& clip) {
  static constexpr const char* kinds[] = {"none", "of values at ", "of each tensor's norm at ", "of the global norm at "};
  std::string s = kinds[int(clip.kind)];
  if (clip.kind != Clip::Kind::none) s += number_text(clip.limit);
  if (clip.added != 0) s += " + " + number_text(clip.added);
  return s;
}

/// By what it does to made-up parameters in a few steps, in the numbers of the model, so that options of any optimizer count, and what lies between them in memory does not. Gradients are of many
/// sizes, since epsilon is nothing beside a large one; a late step has the clock of a long training.
template <class T, class Opt> [[gnu::cold]] std::uint64_t fingerprint_of_optimizer(const Opt& optimizer) {
  constexpr Index n = 12;
  double first = 0;
  if constexpr (requires { optimizer.initial(); }) first = optimizer.initial();
  std::vector<T> p(n), slots(std::size_t(std::max<Index>(optimizer.slots(), 1) * n), T(first));
  for (Index i = 0; i < n; ++i) p[std::size_t(i)] = i % 3 ? T(i - 6) / T(4) : T(0);
  Fingerprint print;
  print.add(optimizer.slots());
  for (const Index step : {1, 2, 3, 1000}) {
    const auto now = optimizer.clock(0.1, step);
    T g = T(1.7) / T(step);
    for (Index i = 0; i < n; ++i, g *= T(-0.2)) optimizer.update(now, p[std::size_t(i)], g, slots.data() + i, n);
    for (const T v : p) print.add(v);
    for (const T v : slots) print.add(v);
  }
  return print.value();
}

/// A loss is tried on the host, whatever device the model is on.
struct OnHost {
  template <class F> friend void parallel_for(OnHost&, Index n, const F& f) { for (Index i = 0; i < n; ++i) f(i); }
};

/// By its constants, and by what it says of made-up scores and targets.
template <class T, class Loss> [[gnu::cold]] std::uint64_t fingerprint_of_loss(const Loss& loss, Index classes) {
  constexpr Index n = 3;
  Fingerprint print;
  const std::vector<double> given = loss.constants(classes);
  for (const double v : given) print.add(v);
  OnHost host;
  std::vector<T> y(std::size_t(n * classes)), dy(y.size()), target(y.size()), constants(given.begin(), given.end()), losses(n);
  std::vector<std::int32_t> label(n);
  for (Index i = 0; i < n * classes; ++i) y[std::size_t(i)] = T(i * 7 % 11) / T(4) - T(1);
  for (Index i = 0; i < n; ++i) label[std::size_t(i)] = std::int32_t(i % classes), target[std::size_t(i * classes + i % classes)] = 1;
  const T norm = n;
  const LossStep<T> step{n, classes, n, y.data(), label.data(), target.data(), constants.data(), losses.data(), dy.data(), &norm};
  if constexpr (requires { loss.evaluate(host, step); }) {
    loss.evaluate(host, step);
    for (const T v : losses) print.add(v);
    for (const T v : dy) print.add(v);
  }
  return print.value();
}

/// By the rates of moments that come, in a training of so many steps an epoch; where it learns from the validation, also by those after losses that fall ever more slowly and then no more.
template <class S> [[gnu::cold]] std::uint64_t fingerprint_of_schedule(const S& schedule, double base, Index steps_per_epoch, Index epochs) {
  Fingerprint print;
  if constexpr (Schedule<S> && std::copy_constructible<S>) {
    S tried = schedule;
    const auto at = [&](Index epoch, Index step) {
      print.add(double(std::as_const(tried)(base, Moment{.step = epoch * steps_per_epoch + step, .epoch = epoch, .steps_per_epoch = steps_per_epoch, .epochs = epochs})));
    };
    const Index looks = std::min<Index>(epochs, 1000);
    for (Index i = 0; i < looks; ++i)
      for (const Index step : {Index(0), std::min<Index>(1, steps_per_epoch - 1), steps_per_epoch / 2, steps_per_epoch - 1}) at(looks > 1 ? i * (epochs - 1) / (looks - 1) : 0, step);
    if constexpr (requires { tried.observe(0.0), tried.restore(tried.state()); })
      for (Index i = 0; epochs > 0 && i < 400; ++i) tried.observe(1 + 1 / double(1 + std::min<Index>(i, 100))), at(0, 0);
  }
  return print.value();
}

/// A source of batches, as far as it says what it hands out.
template <class S> [[gnu::cold]] std::string words_of_source(const char* what, const S& source) {
  std::string s = sentence({"; ", what, " samples ", source.samples(), " in batches of ", source.batch_size()});
  if constexpr (FingerprintedSource<S>) s += sentence({"; ", what, " data, or the seed or options of their iterator (fingerprint ", hexadecimal(source.fingerprint()), ")"});
  return s;
}

template <class Train, class Val> [[gnu::cold]] std::string words_of_sources(const Train& train, const Val& val) { return words_of_source("training", train) + words_of_source("validation", val); }

/// Throws Error on all ranks if what they are told to train is not the same. What a checkpoint brings may be on rank 0 alone.
template <class R, class Train, class Val> [[gnu::cold]] void agree_on_training(R& run, const Train& train, const Val& val) {
  using T = typename R::Model::Parameter;
  const auto& o = run.options;
  run.model.communicator().agree(sentence({"samples ", run.samples, "; batches ", run.batches, "; epochs ", o.epochs, "; accumulate ", o.accumulate, "; stop after ", o.stop_after, "; rate ",
                                           number_text(run.base_rate), "; clipping ", words_of_clip(o.clip), "; numbers of the optimizer ", run.optimizer.state_count(), "; options of the optimizer (fingerprint ",
                                           hexadecimal(fingerprint_of_optimizer<T>(run.optimizer.optimizer())), "); options of the loss (fingerprint ",
                                           hexadecimal(fingerprint_of_loss<T>(run.model.loss(), size(run.model.program().output))), ")"}));
  run.model.communicator().agree("fit" + words_of_sources(train, val));
}
/// The same of the schedule, once what it has learned is that of rank 0 everywhere.
template <class R> [[gnu::cold]] void agree_on_schedule(R& run) {
  const Index steps = (run.batches + run.options.accumulate - 1) / run.options.accumulate;
  run.model.communicator().agree(sentence({"rates of the schedule (fingerprint ", hexadecimal(fingerprint_of_schedule(run.schedule, run.base_rate, steps, run.options.epochs)), ")"}));
}

/// Throws Error on all ranks if the parameters, of which `tensors` says where they lie, are not the same: replicas keep them so however they divide batches.
template <class M> [[gnu::cold]] void agree_on_parameters(M& model, std::span<const Extent> tensors, Index epoch) {
  using T = typename M::Parameter;
  if (model.size() == 1) return;
  const T* const w = model.parameters();
  std::vector<T> there;
  Fingerprint print;
  for (const Extent& t : tensors) {
    const std::size_t bytes = std::size_t(t.count) * sizeof(T);
    there.resize(std::size_t(t.count));
    model.device().download(there.data(), w + t.offset, bytes);
    print.add_bytes(there.data(), bytes);
  }
  const std::uint64_t mine = print.value();
  std::vector<std::uint64_t> all(std::size_t(model.size()));
  model.communicator().all_gather(std::span(&mine, 1), all, sentence({"parameters after epoch ", epoch}));
  for (std::size_t r = 1; r < all.size(); ++r) {
    if (all[r] == all[0]) continue;
    const std::string reason = sentence({"parameters after epoch ", epoch, " are not the same on ranks 0 and ", r, ", which began with the same: look for what one rank alone does, such as a callback that writes "
                                         "to them, or a schedule or an optimizer that goes by something that other ranks do not have"});
    model.communicator().abort(reason);
    throw Error(reason);
  }
}

}  // namespace lamina::detail
