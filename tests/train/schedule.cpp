#include <doctest/doctest.h>
#include <lamina/train/schedule.hpp>

#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "../support/golden.hpp"

using namespace lamina;
using nlohmann::json;

static_assert(Schedule<Constant> && Schedule<ExponentialDecay> && Schedule<InverseTimeDecay> && Schedule<StepDecay> && Schedule<MultiStep> && Schedule<PiecewiseConstant>);
static_assert(Schedule<Polynomial> && Schedule<Cosine> && Schedule<OneCycle> && Schedule<LinearWarmup<>> && Schedule<LinearWarmup<Cosine>> && Schedule<ReduceOnPlateau>);

namespace {
template <class S> concept Observes = requires(S& s) { s.observe(1.0); };

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
using Curve = std::function<double(double, const Moment&)>;

/// The recorded steps as epochs of so many batches each.
Moment batch(Index step, Index per_epoch) { return {.step = step, .epoch = step / per_epoch, .steps_per_epoch = per_epoch, .epochs = 9}; }
/// The recorded steps as epochs, seen at some batch of each.
Moment whole_epoch(Index epoch, Index per_epoch, Index at = 0) { return {.step = epoch * per_epoch + at, .epoch = epoch, .steps_per_epoch = per_epoch, .epochs = 50}; }

void compare(const Curve& curve, double base, const std::vector<double>& expected, double allowed, const std::function<Moment(Index)>& moment) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(i);
    const double found = curve(base, moment(Index(i)));
    CHECK_MESSAGE(std::abs(found - expected[i]) <= allowed, found, " instead of ", expected[i]);
  }
}

/// The schedules that a recorded PyTorch curve is, with its steps as batches and with its steps as epochs.
struct Pair { std::vector<Curve> by_batch, by_epoch; };
Pair torch_schedules(const std::string& name, const json& o) {
  const auto real = [&](const char* key) { return o.at(key).get<double>(); };
  const auto count = [&](const char* key) { return o.at(key).get<Index>(); };
  if (name == "exponential")
    return {{ExponentialDecay{.rate = real("gamma"), .per = Per::batch}, ExponentialDecay{.rate = real("gamma"), .decay_steps = 1}}, {ExponentialDecay{.rate = real("gamma")}}};
  if (name == "step")
    return {{StepDecay{.every = real("step_size"), .factor = real("gamma"), .per = Per::batch}}, {StepDecay{.every = real("step_size"), .factor = real("gamma")}}};
  if (name == "multi_step")
    return {{MultiStep{.milestones = o.at("milestones"), .factor = real("gamma"), .per = Per::batch}}, {MultiStep{.milestones = o.at("milestones"), .factor = real("gamma")}}};
  if (name == "polynomial")
    return {{Polynomial{.power = real("power"), .decay_steps = count("total_iters")}}, {Polynomial{.power = real("power"), .epochs = real("total_iters"), .per = Per::epoch}}};
  if (name == "cosine") return {{Cosine{.end = real("eta_min"), .decay_steps = count("t_max")}}, {Cosine{.end = real("eta_min"), .epochs = real("t_max"), .per = Per::epoch}}};
  if (name == "cosine_warmup")
    return {{Cosine{.warm_up_steps = count("warmup_steps"), .warm_up_from = real("start_factor"), .decay_steps = count("t_max")}},
            {Cosine{.warm_up_epochs = real("warmup_steps"), .warm_up_from = real("start_factor"), .epochs = real("t_max"), .per = Per::epoch}}};
  if (name == "one_cycle")
    return {{OneCycle{.up = real("pct_start"), .div_factor = real("div_factor"), .final_div_factor = real("final_div_factor"), .total_steps = count("total_steps")}}, {}};
  return {};
}

Curve keras_schedule(const std::string& name, const json& o) {
  const auto real = [&](const char* key) { return o.at(key).get<double>(); };
  const auto count = [&](const char* key) { return o.at(key).get<Index>(); };
  const bool staircase = o.value("staircase", false);
  if (name == "ExponentialDecay") return ExponentialDecay{.rate = real("decay_rate"), .decay_steps = count("decay_steps"), .staircase = staircase};
  if (name == "InverseTimeDecay") return InverseTimeDecay{.rate = real("decay_rate"), .decay_steps = count("decay_steps"), .staircase = staircase};
  if (name == "PiecewiseConstantDecay") return PiecewiseConstant{.boundaries = o.at("boundaries"), .values = o.at("values")};
  if (name == "PolynomialDecay") return Polynomial{.power = real("power"), .end = real("end_learning_rate"), .decay_steps = count("decay_steps")};
  if (name != "CosineDecay") return {};
  const double base = o.value("warmup_target", real("initial_learning_rate"));
  return Cosine{.end = real("alpha") * base, .warm_up_steps = o.value("warmup_steps", Index(0)), .warm_up_from = real("initial_learning_rate") / base, .decay_steps = count("decay_steps")};
}

std::vector<double> rates(ReduceOnPlateau plateau, double base, const std::vector<double>& losses) {
  std::vector<double> all;
  for (double loss : losses) plateau.observe(loss), all.push_back(plateau(base, {}));
  return all;
}
}  // namespace

TEST_CASE("the curves of PyTorch (golden/schedules_torch)") {
  const auto file = lamina_test::golden_json("schedules_torch.json");
  if (!file) return;
  for (const auto& entry : file->items()) {
    const std::string& name = entry.key();
    const json& recorded = entry.value();
    CAPTURE(name);
    const json& o = recorded["options"];
    const double base = recorded["lr"];
    if (name == "reduce_on_plateau") {
      REQUIRE(o["threshold_mode"] == "rel");
      const ReduceOnPlateau plateau{.factor = o["factor"], .patience = o["patience"], .threshold = o["threshold"], .cooldown = o["cooldown"], .min_rate = o["min_lr"]};
      const std::vector<double> found = rates(plateau, base, recorded["metric"]), expected = recorded["lr_after_epoch"];
      REQUIRE(found.size() == expected.size());
      for (std::size_t i = 0; i < found.size(); ++i) CHECK(std::abs(found[i] - expected[i]) <= 1e-12);
      continue;
    }
    const std::vector<double> expected = recorded["lr_per_step"];
    const auto [by_batch, by_epoch] = torch_schedules(name, o);
    CHECK_MESSAGE(!by_batch.empty(), "a schedule that is not tested");
    for (const Curve& c : by_batch) compare(c, base, expected, 1e-12, [](Index i) { return batch(i, 5); });
    for (const Curve& c : by_epoch)
      for (Index at : {0, 6}) compare(c, base, expected, 1e-12, [at](Index i) { return whole_epoch(i, 7, at); });
  }
}

TEST_CASE("the curves of Keras (golden/schedules_keras)") {
  const auto file = lamina_test::golden_json("schedules_keras.json");
  if (!file) return;
  for (const auto& entry : file->items()) {
    const std::string& name = entry.key();
    const json& recorded = entry.value();
    CAPTURE(name);
    const json& o = recorded["options"];
    const Curve curve = keras_schedule(recorded["schedule"], o);
    REQUIRE_MESSAGE(bool(curve), "a schedule that is not tested");
    const double base = o.contains("warmup_target") ? o["warmup_target"].get<double>() : o.value("initial_learning_rate", 99.0);   // piecewise: has none
    compare(curve, base, recorded["lr_per_step"], 1e-7, [](Index i) { return batch(i, 5); });
  }
}

TEST_CASE("exponential decay: three ways for time to run") {
  const Moment m{.step = 25, .epoch = 2, .steps_per_epoch = 10, .epochs = 4};
  CHECK(ExponentialDecay{.rate = 0.5}(8, m) == doctest::Approx(2));
  CHECK(ExponentialDecay{.rate = 0.5, .per = Per::epoch_smoothly}(8, m) == doctest::Approx(8 * std::pow(0.5, 2.5)));
  CHECK(ExponentialDecay{.rate = 0.5, .per = Per::batch}(8, m) == doctest::Approx(8 * std::pow(0.5, 25)));
  CHECK(ExponentialDecay{.rate = 0.5, .decay_steps = 10}(8, m) == ExponentialDecay{.rate = 0.5, .per = Per::epoch_smoothly}(8, m));
  CHECK(ExponentialDecay{.rate = 0.5, .decay_steps = 10, .staircase = true}(8, m) == ExponentialDecay{.rate = 0.5}(8, m));
}

TEST_CASE("without a length a schedule spans the whole training") {
  const auto at = [](Index step) { return Moment{.step = step, .epoch = step / 10, .steps_per_epoch = 10, .epochs = 4}; };
  CHECK(Polynomial{}(8, at(10)) == doctest::Approx(6));
  CHECK(Polynomial{.end = 4}(8, at(20)) == doctest::Approx(6));
  CHECK(Polynomial{}(8, at(40)) == 0);
  CHECK(Polynomial{.end = 4}(8, at(60)) == 4);                             // and stays there
  CHECK(Polynomial{.per = Per::epoch}(8, at(19)) == doctest::Approx(6));
  CHECK(Cosine{}(8, at(0)) == 8);
  CHECK(Cosine{}(8, at(20)) == doctest::Approx(4));
  CHECK(Cosine{.end = 1}(8, at(40)) == doctest::Approx(1));
  const Cosine warm{.warm_up_epochs = 1};
  CHECK(warm(8, at(0)) == 0);
  CHECK(warm(8, at(5)) == doctest::Approx(4));
  CHECK(warm(8, at(10)) == 8);
  CHECK(warm(8, at(25)) == doctest::Approx(4));                            // half of the 30 that are left
  CHECK(warm(8, at(40)) == doctest::Approx(0));
  CHECK(Cosine{.warm_up_steps = 20, .warm_up_from = 0.5}(8, at(10)) == doctest::Approx(6));
  const OneCycle cycle{.up = 0.5};
  CHECK(cycle(8, at(0)) == doctest::Approx(8.0 / 25));
  CHECK(cycle(8, at(19)) == doctest::Approx(8));
  CHECK(cycle(8, at(39)) == doctest::Approx(8.0 / 25 / 1e4));
}

TEST_CASE("steps, milestones and pieces") {
  const auto at = [](Index step) { return Moment{.step = step, .epoch = step / 10, .steps_per_epoch = 10, .epochs = 4}; };
  CHECK(StepDecay{.every = 2, .factor = 0.5}(8, at(19)) == 8);
  CHECK(StepDecay{.every = 2, .factor = 0.5}(8, at(20)) == 4);
  CHECK(MultiStep{.milestones = {3, 1}, .factor = 0.5}(8, at(9)) == 8);
  CHECK(MultiStep{.milestones = {3, 1}, .factor = 0.5}(8, at(10)) == 4);
  CHECK(MultiStep{.milestones = {3, 1}, .factor = 0.5}(8, at(30)) == 2);
  const PiecewiseConstant pieces{.boundaries = {10}, .values = {3, 5}};
  CHECK(pieces(8, at(10)) == 3);
  CHECK(pieces(8, at(11)) == 5);
  CHECK(InverseTimeDecay{.rate = 1, .decay_steps = 10}(8, at(15)) == doctest::Approx(8 / 2.5));
  CHECK(InverseTimeDecay{.rate = 1, .decay_steps = 10, .staircase = true}(8, at(15)) == 4);
  CHECK_THROWS_WITH_AS((PiecewiseConstant{.boundaries = {1}, .values = {1}}(8, at(0))),
                       "PiecewiseConstant has 1 boundaries and 1 values: it needs one value more than boundaries", Error);
}

TEST_CASE("a linear warm-up goes before any schedule") {
  const auto at = [](Index step) { return Moment{.step = step, .epoch = step / 10, .steps_per_epoch = 10, .epochs = 4}; };
  const LinearWarmup<StepDecay> warm{.epochs = 2, .from = 0.5, .schedule = {.every = 1, .factor = 0.5}};
  CHECK(warm(8, at(0)) == 4);
  CHECK(warm(8, at(10)) == doctest::Approx(8 * 0.75 * 0.5));
  CHECK(warm(8, at(20)) == 2);
  CHECK(LinearWarmup<>{.steps = 4}(8, at(1)) == doctest::Approx(2));
  CHECK(LinearWarmup<>{.epochs = 0}(8, at(0)) == 8);
  LinearWarmup<ReduceOnPlateau> plateau{.epochs = 1, .schedule = {.factor = 0.5, .patience = 0}};
  for (int i = 0; i < 2; ++i) plateau.observe(1);
  CHECK(plateau(8, at(20)) == 4);
  LinearWarmup<ReduceOnPlateau> other;
  other.restore(plateau.state());
  CHECK(other.schedule.now == plateau.schedule.now);
  static_assert(Observes<LinearWarmup<ReduceOnPlateau>> && !Observes<LinearWarmup<>>);
}

TEST_CASE("reduce on plateau: PyTorch waits one epoch longer than Keras") {
  const std::vector<double> flat(7, 1.0);
  CHECK(rates({.factor = 0.5, .patience = 2}, 8, flat) == std::vector<double>{8, 8, 8, 4, 4, 4, 2});
  CHECK(rates({.factor = 0.5, .patience = 2, .form = Form::keras}, 8, flat) == std::vector<double>{8, 8, 4, 4, 2, 2, 1});
  CHECK(rates({.factor = 0.5, .patience = 1, .cooldown = 2}, 8, flat) == std::vector<double>{8, 8, 4, 4, 4, 4, 2});   // bad, bad, two of cooling, bad, bad
  CHECK(rates({.factor = 0.5, .patience = 2, .cooldown = 2, .form = Form::keras}, 8, flat) == std::vector<double>{8, 8, 4, 4, 4, 2, 2});
  CHECK(rates({.factor = 0.5, .patience = 1, .cooldown = 3, .form = Form::keras}, 8, {1, 1, 1, 1, 1}) == std::vector<double>{8, 4, 4, 4, 2});
  CHECK(rates({.factor = 0.5, .patience = 0, .form = Form::keras}, 8, {1, 0.5, 0.5}) == std::vector<double>{8, 8, 4});
}

TEST_CASE("reduce on plateau: what counts as better") {
  CHECK(rates({.factor = 0.5, .patience = 0, .threshold = 0.1}, 8, {10, 9.1}).back() == 4);                        // less than 10 (1 - 0.1) it is not
  CHECK(rates({.factor = 0.5, .patience = 0, .threshold = 0.1}, 8, {10, 8.9}).back() == 8);
  CHECK(rates({.factor = 0.5, .patience = 1, .threshold = 0.1, .form = Form::keras}, 8, {10, 9.8}).back() == 8);   // less than 10 - 0.1
  CHECK(rates({.factor = 0.5, .patience = 1, .threshold = 0.1, .form = Form::keras}, 8, {10, 9.95}).back() == 4);
  CHECK(rates({.factor = 0.5, .patience = 0, .threshold = 0.1, .mode = Mode::max}, 8, {10, 11.1}).back() == 8);
  CHECK(rates({.factor = 0.5, .patience = 0, .threshold = 0.1, .mode = Mode::max}, 8, {10, 10.9}).back() == 4);
  CHECK(rates({.factor = 0.5, .patience = 0}, 8, {not_a_number, 5, 4}) == std::vector<double>{4, 4, 4});
  CHECK(rates({.factor = 0.5, .patience = 0}, 8, {5, not_a_number, 4}) == std::vector<double>{8, 4, 4});
  CHECK(rates({.factor = 0.5, .patience = 0, .min_rate = 3}, 8, {1, 1, 1, 1}) == std::vector<double>{8, 4, 3, 3});
  CHECK(rates({.factor = 0.5, .patience = 0, .min_rate = 30}, 8, {1, 1}).back() == 8);                             // it never grows
}

TEST_CASE("reduce on plateau: a restored state goes on") {
  const ReduceOnPlateau plateau{.factor = 0.5, .patience = 1, .cooldown = 1};
  const std::vector<double> losses = {5, 4, 4, 4, 4, 4, 3, 3, 3, 3};
  ReduceOnPlateau whole = plateau;
  for (double loss : losses) whole.observe(loss);
  CHECK(whole.now.reductions > 1);
  for (std::size_t cut = 0; cut < losses.size(); ++cut) {
    ReduceOnPlateau first = plateau, second = plateau;
    for (std::size_t i = 0; i < cut; ++i) first.observe(losses[i]);
    second.restore(first.state());
    for (std::size_t i = cut; i < losses.size(); ++i) second.observe(losses[i]);
    CHECK(second.now == whole.now);
  }
  CHECK_THROWS_AS(whole.restore({1, 2}), Error);
}

TEST_CASE("options that make no sense are refused in a sentence") {
  const Moment m{.step = 3, .epoch = 1, .steps_per_epoch = 2, .epochs = 4};
  CHECK_THROWS_WITH_AS(OneCycle{.up = 2}(0.1, m), "OneCycle{.up = 2}: it is from 0 to 1", Error);
  CHECK_THROWS_WITH_AS(OneCycle{.div_factor = 0}(0.1, m), "OneCycle{.div_factor = 0}: it is more than 0", Error);
  CHECK_THROWS_WITH_AS(OneCycle{.final_div_factor = -1}(0.1, m), "OneCycle{.final_div_factor = -1}: it is more than 0", Error);
  CHECK_THROWS_WITH_AS(ReduceOnPlateau{.factor = -1}(0.1, m), "ReduceOnPlateau{.factor = -1}: it is from 0 to 1", Error);
  CHECK_THROWS_WITH_AS(StepDecay{.every = 0}(0.1, m), "StepDecay{.every = 0}: it is more than 0", Error);
  CHECK_THROWS_WITH_AS(StepDecay{.every = not_a_number}(0.1, m), "StepDecay{.every = nan}: it is more than 0", Error);
  CHECK_THROWS_WITH_AS(InverseTimeDecay{.decay_steps = 0}(0.1, m), "InverseTimeDecay{.decay_steps = 0}: it is more than 0", Error);
  CHECK_THROWS_WITH_AS(LinearWarmup<StepDecay>{.schedule = {.every = -2}}(0.1, m), "StepDecay{.every = -2}: it is more than 0", Error);
}
