/// Checks of a whole network: gradients against finite differences, and one device against another.
#pragma once
#include <doctest/doctest.h>
#include <lamina/train/model.hpp>

#include <cmath>
#include <vector>

namespace lamina_test {

using lamina::Index;

/// n pictures with labels, and what a model of Net makes of them in double.
template <class Net, class D> class ModelOnTrial {
 public:
  using Model = lamina::Model<Net, D, double>;
  static constexpr Index n = 3;

  explicit ModelOnTrial(D dev = D()) : model_({.batch = n, .seed = 7}, dev), x_(std::size_t(n * size(Net::input))), w_(std::size_t(Model::parameter_count)) {
    const lamina::Random random(1, lamina::Stream::test);
    for (std::size_t i = 0; i < x_.size(); ++i) x_[i] = float(random.uniform(Index(i), -1, 1));
    for (Index i = 0; i < n; ++i) label_[i] = std::int32_t(i % size(Net::output));
    get(w_, model_.parameters());
    for (std::size_t i = 0; i < w_.size(); ++i) w_[i] += 0.1 * random.at(1).uniform(Index(i), -1, 1);
    set(w_);
  }
  void set(const std::vector<double>& w) { model_.device().upload(model_.parameters(), w.data(), w.size() * sizeof(double)); }
  void get(std::vector<double>& to, const double* from) { model_.device().download(to.data(), from, to.size() * sizeof(double)); }
  lamina::Batch batch() const { return {.n = n, .x = x_.data(), .label = label_}; }

  /// The mean loss, and its gradient (parameter_count).
  double loss(std::vector<double>* gradient = nullptr) {
    model_.zero_gradients(), model_.reset_totals();
    model_.forward_training(batch());
    if (gradient) model_.backward(), gradient->resize(w_.size()), get(*gradient, model_.gradients());
    std::vector<double> losses(std::size_t(n), 0.0);
    get(losses, model_.losses());
    return (losses[0] + losses[1] + losses[2]) / double(n);
  }
  /// All numbers that a step and an evaluation leave behind.
  std::vector<double> traces() {
    std::vector<double> all, state(static_cast<std::size_t>(Model::state_count)), scores(static_cast<std::size_t>(n * size(Net::output)));
    all.push_back(loss(&all));
    const double* y = model_.forward(x_.data(), n);
    get(scores, y), get(state, model_.state());
    all.insert(all.end(), scores.begin(), scores.end());
    all.insert(all.end(), state.begin(), state.end());
    return all;
  }
  Model& model() { return model_; }
  const std::vector<double>& parameters() const { return w_; }

 private:
  Model model_;
  std::vector<float> x_;
  std::int32_t label_[n];
  std::vector<double> w_;
};

/// The gradients of every parameter (300 of them at most), by central differences.
template <class Net, class D> void check_model(D dev = D()) {
  INFO(lamina::name<Net>().s << " on " << lamina::name<D>().s);
  ModelOnTrial<Net, D> trial(dev);
  std::vector<double> gradient, w = trial.parameters();
  trial.loss(&gradient);
  double worst = 0;
  constexpr double eps = 1e-6;
  for (std::size_t i = 0; i < w.size(); i += w.size() / 300 + 1) {
    const double v = w[i];
    w[i] = v + eps, trial.set(w);
    const double up = trial.loss();
    w[i] = v - eps, trial.set(w);
    const double down = trial.loss();
    w[i] = v;
    const double error = std::abs((up - down) / (2 * eps) - gradient[i]) / (1e-8 + 1e-4 * std::abs(gradient[i]));
    worst = error <= worst ? worst : error;
  }
  CHECK(worst <= 1);
}

/// Two devices agree within `tolerance` on everything a step leaves behind.
template <class Net, class A, class B> void check_same(double tolerance, A a = A(), B b = B()) {
  INFO(lamina::name<Net>().s << ", " << lamina::name<A>().s << " and " << lamina::name<B>().s);
  const auto one = ModelOnTrial<Net, A>(a).traces(), other = ModelOnTrial<Net, B>(b).traces();
  REQUIRE(one.size() == other.size());
  double worst = 0;
  for (std::size_t i = 0; i < one.size(); ++i) {
    const double error = std::abs(one[i] - other[i]);
    worst = error <= worst ? worst : error;
  }
  CHECK(worst <= tolerance);
}

}  // namespace lamina_test
