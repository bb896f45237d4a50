/// Learning rates as functions of how far the training is.
#pragma once
#include <algorithm>
#include <cmath>
#include <concepts>
#include <numbers>
#include <vector>

#include "metrics.hpp"
#include "optimizer.hpp"

namespace lamina {

/// How far a training is, before a step.
struct Moment {
  Index step = 0;                // steps done in all
  Index epoch = 0;               // whole epochs done
  Index steps_per_epoch = 1;
  Index epochs = 1;              // of the whole training
};

/// A schedule gives the rate of the next step from the optimizer's rate, `base`, and the moment; a lambda is one too. One that learns from the validation has
/// observe(loss), called after each epoch, and state() and restore(state), a vector of double, for checkpoints.
template <class S>
concept Schedule = requires(const S& s, double base, const Moment& m) {
  { s(base, m) } -> std::convertible_to<double>;
};

/// How time runs, and what its unit is: whole epochs, so that an epoch has one rate; epochs with their fractions, so that the
/// rate changes with every batch; batches.
enum class Per { epoch, epoch_smoothly, batch };

namespace detail {
inline double time(const Moment& m, Per per) {
  if (per == Per::batch) return double(m.step);
  return per == Per::epoch ? double(m.epoch) : double(m.step) / double(m.steps_per_epoch);
}
/// Throws unless low <= value <= high.
[[gnu::cold]] inline void require_within(const char* schedule, const char* option, double value, double low, double high) {
  if (!(value >= low && value <= high)) throw Error(schedule, "{.", option, " = ", value, "}: it is from ", low, " to ", high);
}
/// Throws unless value > 0.
[[gnu::cold]] inline void require_positive(const char* schedule, const char* option, double value) {
  if (!(value > 0)) throw Error(schedule, "{.", option, " = ", value, "}: it is more than 0");
}
/// A length in batches that was given in steps, or else in epochs.
inline double batches(const Moment& m, Index steps, double epochs) { return steps > 0 ? double(steps) : epochs * double(m.steps_per_epoch); }
/// Batches done, or those of the whole epochs done.
inline double batches_done(const Moment& m, Per per) { return per == Per::epoch ? double(m.epoch * m.steps_per_epoch) : double(m.step); }
inline double batches_in_all(const Moment& m) { return double(m.epochs * m.steps_per_epoch); }
/// t / length, from 0 to 1.
inline double part(double t, double length) { return t >= length ? 1 : t <= 0 ? 0 : t / length; }
/// From a to b along half a cosine wave.
inline double along_cosine(double a, double b, double part) { return b + (a - b) * 0.5 * (1 + std::cos(std::numbers::pi * part)); }
}  // namespace detail

/// base
struct Constant {
  double operator()(double base, const Moment&) const { return base; }
};

/// base rate^epoch: PyTorch's ExponentialLR, stepped once an epoch. With decay_steps it is Keras's ExponentialDecay:
/// base rate^(step / decay_steps), the quotient rounded down with staircase. Keras with decay_steps = steps per epoch is Per::epoch_smoothly,
/// and with staircase too Per::epoch.
struct ExponentialDecay {
  double rate = 0.9;
  Per per = Per::epoch;
  Index decay_steps = 0;             // batches; 0: as `per` says
  bool staircase = false;
  double operator()(double base, const Moment& m) const {
    const double t = decay_steps > 0 ? double(m.step) / double(decay_steps) : detail::time(m, per);
    return base * std::pow(rate, staircase ? std::floor(t) : t);
  }
};

/// base / (1 + rate step / decay_steps), the quotient rounded down with staircase: Keras's InverseTimeDecay. Throws Error unless decay_steps > 0.
struct InverseTimeDecay {
  double rate = 0.1;
  Index decay_steps = 1;             // batches
  bool staircase = false;
  double operator()(double base, const Moment& m) const {
    detail::require_positive("InverseTimeDecay", "decay_steps", double(decay_steps));
    const double t = double(m.step) / double(decay_steps);
    return base / (1 + rate * (staircase ? std::floor(t) : t));
  }
};

/// base factor^floor(t / every): PyTorch's StepLR. Throws Error unless every > 0.
struct StepDecay {
  double every = 10;                 // epochs, or batches as `per` says
  double factor = 0.1;
  Per per = Per::epoch;
  double operator()(double base, const Moment& m) const {
    detail::require_positive("StepDecay", "every", every);
    return base * std::pow(factor, std::floor(detail::time(m, per) / every));
  }
};

/// base factor^(milestones reached): PyTorch's MultiStepLR.
struct MultiStep {
  std::vector<double> milestones;    // epochs, or batches as `per` says; in any order
  double factor = 0.1;
  Per per = Per::epoch;
  double operator()(double base, const Moment& m) const {
    double rate = base;
    for (double milestone : milestones) if (detail::time(m, per) >= milestone) rate *= factor;
    return rate;
  }
};

/// values[i] while t <= boundaries[i], then the last value, whatever the optimizer's rate: Keras's PiecewiseConstantDecay, where the
/// boundary itself still has the earlier value. Throws Error unless there is one more value than boundaries.
struct PiecewiseConstant {
  std::vector<double> boundaries;    // rising; batches, or epochs as `per` says
  std::vector<double> values;        // learning rates
  Per per = Per::batch;
  double operator()(double, const Moment& m) const {
    if (values.size() != boundaries.size() + 1)
      throw Error("PiecewiseConstant has ", boundaries.size(), " boundaries and ", values.size(), " values: it needs one value more than boundaries");
    std::size_t i = 0;
    while (i < boundaries.size() && detail::time(m, per) > boundaries[i]) ++i;
    return values[i];
  }
};

/// end + (base - end) (1 - t / length)^power, and `end` afterwards: Keras's PolynomialDecay; with end = 0 PyTorch's PolynomialLR.
struct Polynomial {
  double power = 1;
  double end = 0;                    // learning rate
  double epochs = 0;                 // the length; 0: the whole training
  Index decay_steps = 0;             // or the length in batches
  Per per = Per::epoch_smoothly;     // Per::epoch: one rate for each epoch
  double operator()(double base, const Moment& m) const {
    const double given = detail::batches(m, decay_steps, epochs), length = given > 0 ? given : detail::batches_in_all(m);
    return end + (base - end) * std::pow(1 - detail::part(detail::batches_done(m, per), length), power);
  }
};

/// From base to `end` along half a cosine wave, and `end` afterwards (Loshchilov and Hutter 2017), after a warm-up that rises in a line
/// from warm_up_from * base to base: PyTorch's CosineAnnealingLR and LinearLR; Keras's CosineDecay with end = alpha * base and base = warmup_target.
struct Cosine {
  double end = 0;                    // learning rate
  double warm_up_epochs = 0;
  Index warm_up_steps = 0;           // or in batches
  double warm_up_from = 0;           // part of base
  double epochs = 0;                 // of the wave; 0: all that the warm-up leaves
  Index decay_steps = 0;             // or in batches
  Per per = Per::epoch_smoothly;     // Per::epoch: one rate for each epoch
  double operator()(double base, const Moment& m) const {
    const double t = detail::batches_done(m, per), warm_up = detail::batches(m, warm_up_steps, warm_up_epochs);
    if (t < warm_up) return base * (warm_up_from + (1 - warm_up_from) * t / warm_up);
    const double given = detail::batches(m, decay_steps, epochs);
    return detail::along_cosine(base, end, detail::part(t - warm_up, given > 0 ? given : detail::batches_in_all(m) - warm_up));
  }
};

/// From base / div_factor up to base in the first `up` of the training, down to base / div_factor / final_div_factor in the rest, both
/// along half a cosine wave: PyTorch's OneCycleLR with max_lr = base (Smith and Topin 2018). The momentum stays as it is.
/// Throws Error unless 0 <= up <= 1 and both factors are more than 0.
struct OneCycle {
  double up = 0.3;                   // part of the training: pct_start
  double div_factor = 25;
  double final_div_factor = 1e4;
  Index total_steps = 0;             // batches; 0: the whole training
  double operator()(double base, const Moment& m) const {
    detail::require_within("OneCycle", "up", up, 0, 1);
    detail::require_positive("OneCycle", "div_factor", div_factor), detail::require_positive("OneCycle", "final_div_factor", final_div_factor);
    const double steps = total_steps > 0 ? double(total_steps) : detail::batches_in_all(m), t = double(m.step), top = up * steps - 1, last = steps - 1;
    const double first = base / div_factor;
    if (t <= top) return detail::along_cosine(first, base, detail::part(t, top));
    return detail::along_cosine(base, first / final_div_factor, detail::part(t - top, last - top));
  }
};

/// Another schedule, times a factor that rises in a line from `from` to 1 (Goyal et al. 2017). LinearWarmup<StepDecay>{.epochs = 5, .schedule = {.every = 30}}.
template <Schedule S = Constant> struct LinearWarmup {
  double epochs = 5;
  Index steps = 0;                   // or in batches
  double from = 0;                   // the factor before the first step
  S schedule = {};
  double operator()(double base, const Moment& m) const {
    return schedule(base, m) * (from + (1 - from) * detail::part(double(m.step), detail::batches(m, steps, epochs)));
  }
  void observe(double value) requires requires(S& s) { s.observe(0.0); } { schedule.observe(value); }
  std::vector<double> state() const requires requires(const S& s) { s.state(); } { return schedule.state(); }
  void restore(const std::vector<double>& v) requires requires(S& s) { s.restore(std::vector<double>()); } { schedule.restore(v); }
};

/// base factor^k, no less than min_rate, where k grows by one when the validation loss has not got better for too long; then it waits `cooldown` epochs.
/// Form::torch, ReduceLROnPlateau: better is less than best (1 - threshold), and k grows at the epoch after `patience` bad ones.
/// Form::keras, ReduceLROnPlateau: better is less than best - threshold (its min_delta), and k grows at the `patience`-th bad epoch.
/// Throws Error unless 0 <= factor <= 1.
struct ReduceOnPlateau {
  double factor = 0.1;
  Index patience = 10;               // epochs
  double threshold = 1e-4;
  Index cooldown = 0;                // epochs
  double min_rate = 0;
  Mode mode = Mode::min;             // Mode::max for a value that is to grow
  Form form = Form::torch;

  /// What it remembers.
  struct State {
    double best = 0;
    bool any = false;                // whether there is a best
    Index bad = 0, cooling = 0, reductions = 0;
    friend bool operator==(const State&, const State&) = default;
  };
  State now = {};

  double operator()(double base, const Moment&) const {
    detail::require_within("ReduceOnPlateau", "factor", factor, 0, 1);
    return now.reductions ? std::min(base, std::max(base * std::pow(factor, double(now.reductions)), min_rate)) : base;
  }

  /// Takes the value of one more epoch. One that is no number is never better.
  void observe(double value) {
    const bool keras = form == Form::keras;
    const double margin = keras ? threshold : threshold * now.best;
    const bool better = !std::isnan(value) && (!now.any || (mode == Mode::min ? value < now.best - margin : value > now.best + margin));
    const auto cool = [&] { if (now.cooling > 0) --now.cooling, now.bad = 0; };
    if (keras) cool();
    if (better) now.best = value, now.any = true, now.bad = 0;
    else if (!keras || now.cooling == 0) ++now.bad;
    if (!keras) cool();
    if (now.bad >= (keras ? std::max(patience, Index(1)) : patience + 1)) ++now.reductions, now.cooling = cooldown, now.bad = 0;
  }

  std::vector<double> state() const { return {now.best, double(now.any), double(now.bad), double(now.cooling), double(now.reductions)}; }
  /// Throws Error if this is not the state of one.
  void restore(const std::vector<double>& v) {
    if (v.size() != 5) throw Error("the state of ReduceOnPlateau has 5 numbers, and ", v.size(), " were given: was the checkpoint made with another schedule?");
    now = {v[0], v[1] != 0, Index(v[2]), Index(v[3]), Index(v[4])};
  }
};

}  // namespace lamina
