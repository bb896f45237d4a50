#include "../support/gpu.hpp"
#include <lamina/cuda/verbs.hpp>
#include <lamina/lamina.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "../support/device_data.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
constexpr int steps = 3;

/// A compiler that has instructions for a b + c rounds once where it takes one, here and there.
#if defined(__FMA__)
constexpr bool rounds_alike = false;
#else
constexpr bool rounds_alike = emulates;
#endif

/// What some steps leave of n parameters.
template <class T> struct Left {
  std::vector<T> p, state, g;
  std::vector<bf16> low;
};
/// The parameters as whole blocks, and gradients that differ from step to step.
template <class D, class Opt, class T> Left<T> left(const Opt& opt, Index n, bool cleared) {
  D dev;
  OptimizerState<Opt, D, T> state(dev, opt, n);
  const Random random(5, Stream::test);
  const auto numbers = [&](std::uint32_t which) {
    std::vector<T> v(static_cast<std::size_t>(n));
    for (Index i = 0; i < n; ++i) v[std::size_t(i)] = T(random.at(which).uniform(i, -1, 1));
    return v;
  };
  Left<T> all{numbers(0), std::vector<T>(std::size_t(state.state_count())), std::vector<T>(std::size_t(n)), std::vector<bf16>(std::size_t(n))};
  Buffer<D, T> p(dev, n), g(dev, n);
  Buffer<D, bf16> low(dev, n);
  const auto get = [&](auto& to, const auto* from) { if (!to.empty()) dev.download(to.data(), from, to.size() * sizeof to[0]); };
  dev.upload(p.data(), all.p.data(), p.bytes());
  for (int step = 0; step < steps; ++step) {
    const std::vector<T> gradient = numbers(std::uint32_t(step) + 1);
    dev.upload(g.data(), gradient.data(), g.bytes());
    state.set_clock(0.01 * (step + 1));
    if constexpr (std::is_same_v<T, float>) state.update_and_clear(p.data(), g.data(), low.data(), cleared);
    else state.update_and_clear(p.data(), g.data(), static_cast<T*>(nullptr), cleared);
    get(all.g, g.data());
    CHECK(all.g == (cleared ? std::vector<T>(std::size_t(n)) : gradient));
  }
  get(all.p, p.data()), get(all.state, state.state()), get(all.low, low.data());
  return all;
}

template <class T> void agree(T a, T b) {
  if constexpr (rounds_alike) CHECK(std::memcmp(&a, &b, sizeof a) == 0);
  else CHECK(double(a) == doctest::Approx(double(b)).epsilon(1e-5));
}
template <class T, class Opt> void check(const Opt& opt) {
  for (const Index n : {1, 3, 4, 66, 1280})                              // none, some, all a multiple of what a load fetches
    for (const bool cleared : {false, true}) {
      const Left<T> found = left<Gpu, Opt, T>(opt, n, cleared), expected = left<Cpu, Opt, T>(opt, n, cleared);
      for (std::size_t i = 0; i < found.p.size(); ++i) agree(found.p[i], expected.p[i]);
      for (std::size_t i = 0; i < found.state.size(); ++i) agree(found.state[i], expected.state[i]);
      if constexpr (std::is_same_v<T, float>)
        for (std::size_t i = 0; i < found.low.size(); ++i) CHECK(found.low[i].bits == bf16(found.p[i]).bits);
    }
}
}  // namespace

TEST_CASE("every optimizer leaves what it leaves on the CPU") {
  const auto both = [](const auto& opt) { check<float>(opt), check<double>(opt); };
  both(Sgd{});
  both(Sgd{.momentum = 0.9, .nesterov = true, .weight_decay = 0.1, .form = Form::keras});
  both(Adam{.weight_decay = 0.1});
  both(Adam{.amsgrad = true, .form = Form::keras});
  both(AdamW{});
  both(RMSprop{});
  both(RMSprop{.momentum = 0.5, .centered = true});
  both(Adagrad{});
}
