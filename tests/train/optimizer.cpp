#include <doctest/doctest.h>
#include <lamina/cpu/cpu.hpp>
#include <lamina/train/adagrad.hpp>
#include <lamina/train/adam.hpp>
#include <lamina/train/clip.hpp>
#include <lamina/train/rmsprop.hpp>
#include <lamina/train/sgd.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "../support/golden.hpp"
#include "plain_device.hpp"

using namespace lamina;
using lamina_test::PlainDevice;
using nlohmann::json;

static_assert(Optimizer<Sgd> && Optimizer<Adam> && Optimizer<AdamW> && Optimizer<RMSprop> && Optimizer<Adagrad> && !Optimizer<Clip>);

namespace {

/// The options of a recorded case. Asking for one marks it as read, so that none is passed over.
class Options {
 public:
  explicit Options(json options) : options_(std::move(options)) { for (const char* told : {"name", "op", "form", "lr_halves_after"}) left_.erase(told); }
  double operator()(const char* name, double otherwise) { left_.erase(name); return options_.value(name, otherwise); }
  bool flag(const char* name) { left_.erase(name); return options_.value(name, false); }
  std::string text(const char* name) const { return options_.at(name); }
  bool all_read() const { return left_.empty(); }
  std::string left() const { return left_.dump(); }

 private:
  json options_, left_ = options_;
};

/// The largest error, absolute or relative whichever is smaller, over twenty steps from p0 on the recorded gradients, the rate halved after ten.
template <class T, class D, class Opt> double worst(D dev, const Opt& opt, const Clip& how, const std::vector<double>& p0, const std::vector<double>& gradients, const std::vector<double>& trajectory) {
  const Index n = Index(p0.size());
  const Extent whole[] = {{0, n}};
  OptimizerState<Opt, D, T> state(dev, opt, n);
  std::vector<T> p(p0.begin(), p0.end());
  double most = 0;
  for (Index t = 0; t < 20; ++t) {
    std::vector<T> g(gradients.begin() + t * n, gradients.begin() + (t + 1) * n);
    clip(dev, how, g.data(), n, whole);
    state.step(p.data(), g.data(), opt.rate * (t >= 10 ? 0.5 : 1));
    for (Index i = 0; i < n; ++i) {
      const double expected = trajectory[std::size_t(t * n + i)], error = std::abs(double(p[std::size_t(i)]) - expected) / std::max(1.0, std::abs(expected));
      most = error <= most ? most : error;   // a NaN is an error
    }
  }
  CHECK(state.steps() == 20);
  return most;
}

/// Calls f(optimizer, clip) for a recorded case.
template <class F> void with_case(Options& o, F f) {
  const std::string op = o.text("op");
  const bool keras = o.text("form") == "keras";
  const Form form = keras ? Form::keras : Form::torch;
  const double rate = o(keras ? "learning_rate" : "lr", 0), decay = o("weight_decay", 0);
  Clip how;
  if (const double c = o("clipvalue", 0); c > 0) how = Clip::value(c);
  if (const double c = o("clipnorm", 0); c > 0) how = Clip::norm(c);
  if (const double c = o("global_clipnorm", 0); c > 0) how = Clip::global_norm(c);
  if (op == "SGD")
    f(Sgd{.rate = rate, .momentum = o("momentum", 0), .nesterov = o.flag("nesterov"), .dampening = o("dampening", 0), .weight_decay = decay, .form = form}, how);
  else if (op == "Adam") f(Adam{.rate = rate, .weight_decay = decay, .amsgrad = o.flag("amsgrad"), .form = form}, how);
  else if (op == "AdamW") f(AdamW{.rate = rate, .weight_decay = decay, .form = form}, how);
  else if (op == "RMSprop")
    f(RMSprop{.rate = rate, .rho = o(keras ? "rho" : "alpha", by_form), .momentum = o("momentum", 0), .centered = o.flag("centered"), .weight_decay = decay, .form = form}, how);
  else if (op == "Adagrad") f(Adagrad{.rate = rate, .weight_decay = decay, .form = form}, how);
  else FAIL("an optimizer that is not tested: " << op);
}

/// Every recorded optimizer of a file, in double and in float.
void compare(const char* name, double allowed, double allowed_in_float) {
  const auto file = lamina_test::golden_file(name);
  if (!file) return;
  int done = 0;
  for (const json& recorded : lamina_test::cases(*file)) {
    if (recorded["op"] == "clip_grad_norm") continue;   // tests/train/clip.cpp
    Options options(recorded);
    const std::string label = options.text("name");
    CAPTURE(label);
    const std::vector<double> p0 = file->at(label + "/p0").as<double>(), gradients = file->at(label + "/gradients").as<double>(), path = file->at(label + "/trajectory").as<double>();
    with_case(options, [&](const auto& opt, const Clip& how) {
      CHECK(worst<double>(PlainDevice(), opt, how, p0, gradients, path) <= allowed);
      CHECK(worst<float>(PlainDevice(), opt, how, p0, gradients, path) <= allowed_in_float);
      CHECK(worst<float>(Cpu(1), opt, how, p0, gradients, path) <= allowed_in_float);     // in vectors
    });
    CHECK_MESSAGE(options.all_read(), "options passed over: " << options.left());
    ++done;
  }
  CHECK(done > 0);
}

template <class Opt> std::vector<double> walk(const Opt& opt, std::vector<double> gradients, double p = 1) {
  PlainDevice dev;
  OptimizerState<Opt, PlainDevice, double> state(dev, opt, 1);
  std::vector<double> path;
  for (double g : gradients) state.step(&p, &g, opt.rate), path.push_back(p);
  return path;
}

}  // namespace

TEST_CASE("optimizers follow PyTorch's trajectories (golden/optimizers_torch)") { compare("optimizers_torch.safetensors", 1e-13, 2e-6); }
TEST_CASE("optimizers follow Keras's trajectories (golden/optimizers_keras)") { compare("optimizers_keras.safetensors", 1e-6, 2e-6); }

TEST_CASE("steps by hand") {
  const auto near = [](const std::vector<double>& path, const std::vector<double>& expected) {
    REQUIRE(path.size() == expected.size());
    for (std::size_t i = 0; i < path.size(); ++i) CHECK(path[i] == doctest::Approx(expected[i]).epsilon(1e-12));
  };
  near(walk(Sgd{.rate = 0.5}, {1, -2}), {0.5, 1.5});
  near(walk(Sgd{.rate = 0.5, .momentum = 0.5}, {1, 1}), {0.5, 0.5 - 0.5 * 1.5});
  near(walk(Sgd{.rate = 0.5, .momentum = 0.5, .nesterov = true}, {1, 1}), {1 - 0.5 * 1.5, 0.25 - 0.5 * (1 + 0.5 * 1.5)});
  near(walk(Sgd{.rate = 0.5, .weight_decay = 0.1}, {1}), {1 - 0.5 * 1.1});
  near(walk(Sgd{.rate = 0.5, .weight_decay = 0.1, .decay = Decay::decoupled}, {1}), {0.95 - 0.5});
  near(walk(Sgd{.rate = 0.5, .weight_decay = 0.1, .form = Form::keras}, {0}), {0.95});
  near(walk(Sgd{.rate = 0.5, .weight_decay = 0.1, .decay = Decay::l2, .form = Form::keras}, {1}), {1 - 0.5 * 1.1});
  near(walk(Adam{.rate = 0.5}, {3}), {1 - 0.5 * 3 / (3 + 1e-8)});                          // the first step has the length of the rate
  near(walk(Adam{.rate = 0.5, .epsilon = 3}, {3}), {1 - 0.5 / 2});
  near(walk(Adam{.rate = 0.5, .epsilon = 3 * std::sqrt(1e-3), .form = Form::keras}, {3}), {1 - 0.5 / 2});
  near(walk(AdamW{.rate = 0.5}, {0}), {1 - 0.5 * 0.01});
  near(walk(AdamW{.rate = 0.5, .form = Form::keras}, {0}), {1 - 0.5 * 0.004});
  near(walk(AdamW{.rate = 0.5, .weight_decay = 0}, {0}), {1});
  near(walk(RMSprop{.rate = 0.5}, {2}), {1 - 0.5 * 2 / (0.1 * 2 + 1e-8)});                 // rho is 0.99
  near(walk(RMSprop{.rate = 0.5, .rho = 0.75, .epsilon = 3, .form = Form::keras}, {2}), {1 - 0.5 * 2 / 2});
  near(walk(Adagrad{.rate = 0.5, .epsilon = 0}, {3, 4}), {0.5, 0.5 - 0.5 * 4 / 5});
  near(walk(Adagrad{.rate = 0.5, .epsilon = 1}, {3}), {1 - 0.5 * 3 / 4});
  near(walk(Adagrad{.rate = 0.5, .initial_accumulator = 7, .epsilon = 0}, {3}), {1 - 0.5 * 3 / 4});
  near(walk(Adagrad{.rate = 0.5, .form = Form::keras}, {3}), {1 - 0.5 * 3 / std::sqrt(9.1 + 1e-7)});
}

TEST_CASE("the variance of a centered RMSprop is never below 0") {
  PlainDevice dev;
  std::vector<float> p(100, 0.0f), g;
  for (int i = 0; i < 100; ++i) g.push_back(1 + 0.37f * float(i));
  OptimizerState<RMSprop, PlainDevice, float> state(dev, RMSprop{.rho = 0.9, .centered = true}, 100);
  for (int t = 0; t < 500; ++t) state.step(p.data(), g.data(), 1e-6);   // v and u^2 both tend to g^2, and their difference is rounding
  for (float v : p) CHECK(std::isfinite(v));
}

TEST_CASE("a step allocates nothing and launches once; its numbers come from device memory") {
  PlainDevice dev;
  OptimizerState<Adam, PlainDevice, float> state(dev, Adam{.amsgrad = true}, 7);
  CHECK(state.state_count() == 21);
  std::vector<float> p(7, 1.0f), g(7, 1.0f);
  const PlainDevice before = dev;
  state.step(p.data(), g.data(), 1e-3);
  CHECK(dev.allocations == before.allocations);
  CHECK(dev.launches == before.launches + 1);
  CHECK(dev.uploads == before.uploads + 1);
  const std::vector<float> once = p;
  state.set_clock(0);                          // a captured update() run again at the rate 0
  state.update(p.data(), g.data());
  CHECK(p == once);
  CHECK(state.steps() == 2);
}

TEST_CASE_TEMPLATE("a saved state goes on to the bit", Opt, Sgd, Adam, AdamW, RMSprop, Adagrad) {
  Opt opt{};
  if constexpr (requires { opt.momentum; }) opt.momentum = 0.9;
  if constexpr (requires { opt.dampening; }) opt.dampening = 0.5;   // its first step is not like the others
  PlainDevice dev;
  const Index n = 5;
  const auto gradient = [&](int t) { std::vector<float> g; for (int i = 0; i < n; ++i) g.push_back(std::sin(float(t * 7 + i))); return g; };
  OptimizerState<Opt, PlainDevice, float> whole(dev, opt, n), first(dev, opt, n), second(dev, opt, n);
  std::vector<float> p(5, 1.0f), q = p, zero(5, 0.0f);
  for (int t = 0; t < 6; ++t) whole.step(p.data(), gradient(t).data(), 0.01);
  for (int t = 0; t < 3; ++t) first.step(q.data(), gradient(t).data(), 0.01);
  std::vector<float> r = q;
  second.step(zero.data(), gradient(9).data(), 0.01);               // it must forget this one
  std::copy(first.state(), first.state() + first.state_count(), second.state());
  second.restore(first.steps());
  for (int t = 3; t < 6; ++t) second.step(r.data(), gradient(t).data(), 0.01);
  CHECK(r == p);
  CHECK(second.steps() == 6);
  second.reset();
  for (int t = 0; t < 3; ++t) second.step(zero.data(), gradient(t).data(), 0.01);
  CHECK(std::equal(first.state(), first.state() + first.state_count(), second.state()));   // no state depends on p here
}

TEST_CASE("plain SGD remembers nothing") {
  CHECK(Sgd{}.slots() == 0);
  CHECK(Sgd{.momentum = 0.9}.slots() == 1);
  CHECK(RMSprop{.momentum = 0.9, .centered = true}.slots() == 3);
}

TEST_CASE("options that make no sense are refused") {
  PlainDevice dev;
  const auto make = [&](auto opt) { OptimizerState<decltype(opt), PlainDevice, float> state(dev, opt, 3); };
  CHECK_THROWS_WITH_AS(make(Adam{.beta1 = 1}), "Adam{.beta1 = 1}: it is at least 0 and less than 1", Error);
  CHECK_THROWS_AS(make(Adam{.beta2 = -0.1}), Error);
  CHECK_THROWS_AS(make(AdamW{.beta2 = 1.5}), Error);
  CHECK_THROWS_AS(make(Sgd{.momentum = -1}), Error);
  CHECK_THROWS_AS(make(Sgd{.nesterov = true}), Error);
  CHECK_THROWS_AS(make(Sgd{.momentum = 0.9, .nesterov = true, .dampening = 0.1}), Error);
  CHECK_THROWS_AS(make(Sgd{.momentum = 0.9, .dampening = 0.1, .form = Form::keras}), Error);
  CHECK_THROWS_AS(make(RMSprop{.rho = 1}), Error);
  CHECK_THROWS_AS(make(Adagrad{.weight_decay = -1}), Error);
  OptimizerState<Sgd, PlainDevice, float> state(dev, Sgd{}, 3);
  float p[3] = {}, g[3] = {};
  CHECK_THROWS_AS(state.step(p, g, std::numeric_limits<double>::quiet_NaN()), Error);
  CHECK_THROWS_AS(state.step(p, g, -0.1), Error);
  CHECK(state.steps() == 0);
}

namespace {
/// Three steps of n parameters on the CPU, whole vectors and what is left, end as on a device that knows numbers alone.
template <class Opt> void check_vectors(const Opt& opt) {
  for (Index n : {1, 15, 16, 37, 20'000}) {
    INFO(name<Opt>().s << " of " << n);
    Cpu cpu(2);
    PlainDevice plain;
    OptimizerState<Opt, Cpu, float> in_vectors(cpu, opt, n);
    OptimizerState<Opt, PlainDevice, float> alone(plain, opt, n);
    std::vector<float> p(static_cast<std::size_t>(n)), g(p.size());
    for (std::size_t i = 0; i < p.size(); ++i) p[i] = float(std::sin(double(i))), g[i] = float(std::cos(3.0 * double(i)));
    std::vector<float> expected = p;
    for (int t = 0; t < 3; ++t) in_vectors.step(p.data(), g.data(), 0.01), alone.step(expected.data(), g.data(), 0.01);
    for (std::size_t i = 0; i < p.size(); ++i) REQUIRE(p[i] == doctest::Approx(expected[i]).epsilon(1e-6));
  }
}
}  // namespace

TEST_CASE("in vectors as alone") {
  check_vectors(Sgd{.momentum = 0.9, .nesterov = true}), check_vectors(Sgd{});
  check_vectors(Adam{.weight_decay = 0.01}), check_vectors(Adam{.amsgrad = true, .form = Form::keras}), check_vectors(AdamW{});
  check_vectors(RMSprop{.momentum = 0.5, .centered = true}), check_vectors(Adagrad{});
}
