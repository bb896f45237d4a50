/// DataParallel has the interface of a model and its meaning: fit, evaluate, accumulated gradients, class weights; PyTorch's and Keras's way of dividing batches; and what ranks do not agree on.
#include <doctest/doctest.h>

#include <lamina/lamina.hpp>
#include <lamina/parallel.hpp>

#include "../support/halves.hpp"
#include "../support/plain_source.hpp"
#include "replicas_train.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
struct Net : Network<Input<8, 8, 1>, Conv<16, 3>, BatchNorm, ReLU, MaxPool<2>, Dropout<20>, Flatten, Dense<32>, ReLU, Dense<2>> {};
using One = Model<Net, Cpu>;
using Many = DataParallel<One>;

struct Told {
  std::vector<float> w, state;
  FitResult fit;
  Evaluation after;
  int steps = 0, epochs = 0;
};
struct Watch {
  int &steps, &epochs;
  double loss = 0;
  template <class R> void step(R& run) { ++steps, loss = run.model.totals().loss(); }
  template <class R> void epoch(R&) { ++epochs; }
};
template <class M> Told run_fit(M& model, const FitOptions& options, Index batch = 24) {
  Told t;
  Halves train(150, batch, 1), val(70, 32, 2);
  t.fit = fit(model, train, val, Adam{.rate = 3e-3}, Constant{}, options, Watch{t.steps, t.epochs});
  t.after = evaluate(model, val);
  t.w.assign(model.parameters(), model.parameters() + model.program().parameters), t.state.assign(model.state(), model.state() + model.program().state);
  return t;
}
void check_fit(const FitOptions& options, const CrossEntropy<>& loss = {}) {
  One one({.batch = 32, .seed = 1, .loss = loss}, Cpu(2));
  const Told expected = run_fit(one, options);
  for (const int ranks : {2, 8}) {
    INFO("replicas: " << ranks);
    std::vector<Told> found(static_cast<std::size_t>(ranks));
    LocalGroup(ranks).run([&](auto& rank) {
      Many model({.batch = 32, .seed = 1, .loss = loss}, rank, {}, Cpu(1));
      found[std::size_t(rank.rank())] = run_fit(model, options);
    });
    for (const Told& t : found) {
      CHECK(differences(t.w, expected.w) == 0);
      CHECK(differences(t.state, expected.state) == 0);
      CHECK(differences(t.after.scores, expected.after.scores) == 0);
      CHECK(t.after.truth == expected.after.truth);
      CHECK(t.after.loss == expected.after.loss);
      CHECK(t.fit.steps == expected.fit.steps);
      REQUIRE(t.fit.history.size() == expected.fit.history.size());
      for (std::size_t e = 0; e < t.fit.history.size(); ++e) {
        CHECK(t.fit.history[e].loss == expected.fit.history[e].loss);
        CHECK(t.fit.history[e].accuracy == expected.fit.history[e].accuracy);
        CHECK(t.fit.history[e].val_loss == expected.fit.history[e].val_loss);
      }
      CHECK(t.steps == (&t == &found[0] ? expected.steps : 0));
      CHECK(t.epochs == (&t == &found[0] ? expected.epochs : 0));
    }
  }
}
}  // namespace

TEST_CASE("fit and evaluate give the bits of one model, and rank 0 calls the callbacks") {
  check_fit({.epochs = 3});
}
TEST_CASE("so they do with accumulated gradients, with clipped ones, and where the training stops in an epoch") {
  check_fit({.epochs = 2, .accumulate = 3});
  check_fit({.epochs = 2, .clip = Clip::global_norm(0.05)});
  check_fit({.epochs = 3, .stop_after = 10});
}
TEST_CASE("so they do where classes have weights") {
  check_fit({.epochs = 2}, {.smoothing = 0.1, .class_weights = {1, 3.7}});
}
TEST_CASE("one rank by itself, and a communicator of any kind") {
  One one({.batch = 32, .seed = 1}, Cpu(1));
  const Told expected = run_fit(one, {.epochs = 1});
  Solo solo;
  AnyCommunicator any(solo);
  Many with_solo({.batch = 32, .seed = 1}, solo, {}, Cpu(1));
  CHECK(differences(run_fit(with_solo, {.epochs = 1}).w, expected.w) == 0);
  Many with_any({.batch = 32, .seed = 1}, any, {}, Cpu(1));
  CHECK(differences(run_fit(with_any, {.epochs = 1}).w, expected.w) == 0);
}

namespace {
struct StopAt {
  Index step_, epoch_;
  template <class R> void step(R& run) { if (run.step == step_) run.stop("enough"); }
  template <class R> void epoch(R& run) { if (run.epoch == epoch_) run.stop("enough"); }
};
}  // namespace
TEST_CASE("a callback of rank 0 that stops the training stops all ranks: a step later, or after the epoch") {
  const auto steps = [](StopAt stop, int ranks = 4) {
    std::vector<FitResult> found(static_cast<std::size_t>(ranks));
    LocalGroup(ranks).run([&](auto& rank) {
      Many model({.batch = 32, .seed = 1}, rank, {}, Cpu(1));
      Halves train(150, 24, 1), val(70, 32, 2);
      found[std::size_t(rank.rank())] = fit(model, train, val, Sgd{}, Constant{}, {.epochs = 5}, stop);
    });
    for (std::size_t r = 1; r < found.size(); ++r) {
      CHECK(found[r].steps == found[0].steps);
      CHECK(found[r].stopped == "rank 0 has stopped");
    }
    CHECK(found[0].stopped == "enough");
    return found[0].steps;
  };
  CHECK(steps({10, -1}) == 11);
  CHECK(steps({10, -1}, 1) == 10);
  CHECK(steps({-1, 2}) == 14);
}

TEST_CASE("fast mode takes any number of replicas, is near to one model, and the same each time") {
  One one({.batch = 32, .seed = 1}, Cpu(1));
  const Told expected = run_fit(one, {.epochs = 1});
  for (const int ranks : {2, 3}) {
    const auto train = [&] {
      std::vector<Told> found(static_cast<std::size_t>(ranks));
      LocalGroup(ranks).run([&](auto& rank) {
        Many model({.batch = 32, .seed = 1}, rank, {.parallel = Parallel::fast}, Cpu(1));
        found[std::size_t(rank.rank())] = run_fit(model, {.epochs = 1});
      });
      for (const Told& t : found) CHECK(differences(t.w, found[0].w) == 0);
      return found[0];
    };
    const Told first = train(), second = train();
    CHECK(differences(first.w, second.w) == 0);
    double error = 0;
    for (std::size_t i = 0; i < expected.w.size(); ++i) error = std::max(error, std::abs(double(first.w[i]) - double(expected.w[i])));
    CHECK(error < 0.05);                     // Adam makes much of gradients that are nearly none
    CHECK(first.fit.history[0].loss == doctest::Approx(expected.fit.history[0].loss).epsilon(1e-4));
  }
}

// --- what the study's two systems do

namespace {
/// y = dense(relu(norm(dense(x)))) with plain loops, and the gradient of the sum of the losses over `weight`.
struct PlainNet {
  static constexpr Index in = 5, hidden = 4, out = 3;
  std::vector<double> w1, b1, gamma, beta, w2, b2;                                       // (in, hidden), (hidden), ...
  std::vector<double> mean = std::vector<double>(hidden), var = std::vector<double>(hidden, 1.0);
  std::vector<double*> all() {
    std::vector<double*> p;
    for (auto* t : {&w1, &b1, &gamma, &beta, &w2, &b2}) for (double& v : *t) p.push_back(&v);
    return p;
  }
  /// The gradient in the order of all(); running values follow.
  std::vector<double> gradient(const float* x, const std::int32_t* label, Index n, double weight) {
    PlainNet g;
    g.w1.resize(in * hidden), g.b1.resize(hidden), g.gamma.resize(hidden), g.beta.resize(hidden), g.w2.resize(hidden * out), g.b2.resize(out);
    std::vector<double> a(std::size_t(n * hidden)), h(a.size()), dh(a.size());
    std::vector<double> m(hidden), v(hidden);
    for (Index i = 0; i < n; ++i)
      for (Index k = 0; k < hidden; ++k) {
        a[std::size_t(i * hidden + k)] = b1[std::size_t(k)];
        for (Index c = 0; c < in; ++c) a[std::size_t(i * hidden + k)] += double(x[i * in + c]) * w1[std::size_t(c * hidden + k)];
        m[std::size_t(k)] += a[std::size_t(i * hidden + k)] / double(n);
      }
    for (Index i = 0; i < n; ++i) for (std::size_t k = 0; k < hidden; ++k) v[k] += std::pow(a[std::size_t(i) * hidden + k] - m[k], 2) / double(n);
    for (std::size_t k = 0; k < hidden; ++k) mean[k] += 0.1 * (m[k] - mean[k]), var[k] += 0.1 * (v[k] * (n > 1 ? double(n) / double(n - 1) : 1) - var[k]);
    const auto normal = [&](Index i, std::size_t k) { return (a[std::size_t(i) * hidden + k] - m[k]) / std::sqrt(v[k] + 1e-5); };
    for (Index i = 0; i < n; ++i) {
      double y[out], sum = 0;
      for (std::size_t k = 0; k < hidden; ++k) h[std::size_t(i) * hidden + k] = std::max(0.0, gamma[k] * normal(i, k) + beta[k]);
      for (std::size_t o = 0; o < out; ++o) {
        y[o] = b2[o];
        for (std::size_t k = 0; k < hidden; ++k) y[o] += h[std::size_t(i) * hidden + k] * w2[k * out + o];
        sum += std::exp(y[o]);
      }
      for (std::size_t o = 0; o < out; ++o) {
        const double d = (std::exp(y[o]) / sum - double(label[i] == std::int32_t(o))) / weight;
        g.b2[o] += d;
        for (std::size_t k = 0; k < hidden; ++k) g.w2[k * out + o] += h[std::size_t(i) * hidden + k] * d, dh[std::size_t(i) * hidden + k] += w2[k * out + o] * d;
      }
    }
    for (std::size_t k = 0; k < hidden; ++k) {
      double product = 0, total = 0;
      for (Index i = 0; i < n; ++i) {
        double& d = dh[std::size_t(i) * hidden + k];
        if (h[std::size_t(i) * hidden + k] <= 0) d = 0;
        product += d * normal(i, k), total += d;
      }
      g.gamma[k] = product, g.beta[k] = total;
      for (Index i = 0; i < n; ++i) {
        const double da = gamma[k] / std::sqrt(v[k] + 1e-5) * (dh[std::size_t(i) * hidden + k] - (total + normal(i, k) * product) / double(n));
        g.b1[k] += da;
        for (std::size_t c = 0; c < in; ++c) g.w1[c * hidden + k] += double(x[std::size_t(i) * in + c]) * da;
      }
    }
    std::vector<double> flat;
    for (double* p : g.all()) flat.push_back(*p);
    return flat;
  }
};
struct Dense2 : Network<Input<1, 1, 5>, Flatten, Dense<4>, BatchNorm, ReLU, Dense<3>> {};

/// Steps over batches of 12 and of 7 samples, by four replicas and by the definition.
void check_recipe(Parallel parallel) {
  using M = Model<Dense2, Cpu, double>;
  constexpr int ranks = 4;
  const double rate = 0.5;
  std::vector<double> w, state;
  PlainNet plain;
  M start({.batch = 12, .seed = 9}, Cpu(1));
  std::size_t at = 0;
  for (auto* t : {&plain.w1, &plain.b1, &plain.gamma, &plain.beta, &plain.w2, &plain.b2}) {
    const NamedTensor tensor = [&] { std::vector<NamedTensor> learned; for (const auto& n : start.tensors()) if (n.learned) learned.push_back(n); return learned[at++]; }();
    t->assign(start.parameters() + tensor.at, start.parameters() + tensor.at + tensor.dims.count());
  }
  std::vector<PlainNet> replicas(ranks, plain);
  for (const Index n : {12, 7, 5}) {
    const Samples s(start, n, n);
    std::vector<double> sum;
    const Index each = (n + ranks - 1) / ranks;
    for (Index r = 0; r < ranks; ++r) {
      const Index first = std::min(r * each, n), count = std::min(first + each, n) - first;
      if (!count) continue;
      const auto g = replicas[std::size_t(r)].gradient(s.x.data() + first * 5, s.label.data() + first, count, parallel == Parallel::mirrored ? double(count) * ranks : double(n));
      sum.resize(g.size());
      for (std::size_t i = 0; i < g.size(); ++i) sum[i] += g[i];
    }
    for (PlainNet& p : replicas) {
      const auto all = p.all();
      for (std::size_t i = 0; i < sum.size(); ++i) *all[i] -= rate * sum[i];
    }
  }
  LocalGroup(ranks).run([&](auto& rank) {
    DataParallel<M> model({.batch = 12, .seed = 9}, rank, {.parallel = parallel}, Cpu(1));
    OptimizerState<Sgd, Cpu, double> optimizer(model.device(), Sgd{}, model.program().parameters);
    model.zero_gradients();
    for (const Index n : {12, 7, 5}) {
      const Samples s(start, n, n);
      model.forward_training(s.batch());
      model.learn(optimizer, rate);
    }
    if (rank.rank() > 0) return;
    for (const NamedTensor& t : model.tensors()) {
      const double* p = (t.learned ? model.parameters() : model.state()) + t.at;
      (t.learned ? w : state).insert((t.learned ? w : state).end(), p, p + t.dims.count());
    }
  });
  const auto expected = replicas[0].all();
  REQUIRE(w.size() == expected.size());
  for (std::size_t i = 0; i < w.size(); ++i) CHECK(w[i] == doctest::Approx(*expected[i]).epsilon(1e-10));
  REQUIRE(state.size() == 8);
  for (std::size_t k = 0; k < 4; ++k) {
    CHECK(state[k] == doctest::Approx(replicas[0].mean[k]).epsilon(1e-10));
    CHECK(state[4 + k] == doctest::Approx(replicas[0].var[k]).epsilon(1e-10));
  }
}
}  // namespace
TEST_CASE("dataparallel is nn.DataParallel: gradients of the mean over the batch, moments of each replica, running values of replica 0") { check_recipe(Parallel::dataparallel); }
TEST_CASE("mirrored is Keras under MirroredStrategy: the mean of the replicas' means, moments of each replica") { check_recipe(Parallel::mirrored); }

TEST_CASE("replicas that divide batches as PyTorch and Keras do are handed out their own samples, and learn what they would of whole batches") {
  Dataset pictures{{"dark", "light"}, {}, "greys"};
  for (int i = 0; i < 25; ++i) pictures.add({8, 8, 1, std::vector<std::uint8_t>(64, std::uint8_t(i % 2 ? 160 + i : 60 + i))}, i % 2);
  for (const Parallel parallel : {Parallel::dataparallel, Parallel::mirrored}) {
    const auto learn = [&](bool divided) {
      std::vector<Told> told(4);
      LocalGroup(4).run([&](auto& rank) {
        DataParallel<One> model({.batch = 8, .seed = 1}, rank, {.parallel = parallel}, Cpu(1));
        AugmentationIterator train(pictures, {.size = {8, 8}, .batch = 8, .rotation = 10, .brightness = {0.7, 1.3}});       // of the last batch, of one, three replicas have nothing
        EvaluationIterator val(pictures, {.size = {8, 8}, .batch = 7});
        const auto run = [&](auto& t, auto& v) { return fit(model, t, v, Adam{}, Constant{}, {.epochs = 2}); };
        PlainSource<AugmentationIterator> whole_train{train};
        PlainSource<EvaluationIterator> whole_val{val};
        Told& mine = told[std::size_t(rank.rank())];
        mine.fit = divided ? run(train, val) : run(whole_train, whole_val);
        mine.w.assign(model.parameters(), model.parameters() + model.program().parameters);
      });
      return told;
    };
    const std::vector<Told> parts = learn(true), whole = learn(false);
    for (std::size_t r = 0; r < 4; ++r) {
      CHECK(differences(parts[r].w, whole[r].w) == 0);
      CHECK(parts[r].fit.history[1].loss == whole[r].fit.history[1].loss);
      CHECK(parts[r].fit.history[1].val_loss == whole[r].fit.history[1].val_loss);
    }
  }
}

TEST_CASE("with moments of its own each replica normalises by itself") {
  using M = Model<Dense2, Cpu, double>;
  const auto gradients = [](const ParallelOptions& options) {
    std::vector<double> g;
    LocalGroup(4).run([&](auto& rank) {
      DataParallel<M> model({.batch = 12, .seed = 9}, rank, options, Cpu(1));
      const Samples s(model, 12, 1);
      model.zero_gradients();
      model.backpropagate(s.batch());
      if (rank.rank() == 0) g.assign(model.gradients(), model.gradients() + model.program().parameters);
    });
    return g;
  };
  const auto own = gradients({.own_moments = true}), theirs = gradients({.parallel = Parallel::dataparallel}), shared = gradients({});      // three samples each in all of them
  double error = 0, apart = 0;
  for (std::size_t i = 0; i < own.size(); ++i) error = std::max(error, std::abs(own[i] - theirs[i])), apart = std::max(apart, std::abs(own[i] - shared[i]));
  CHECK(error < 1e-13);
  CHECK(apart > 1e-3);
}

// --- what goes wrong

TEST_CASE("a replica answers as a model does, by itself, and a predictor is made from it") {
  One one({.batch = 32, .seed = 1}, Cpu(1));
  Halves source(32, 32, 3);
  source.start(0, 0);
  Batch b;
  source.next(b);
  const float* const scores = one.forward(b.x, b.n);
  const std::vector<float> expected(scores, scores + 2 * b.n);
  Predictor<Net, Cpu> predict_one(one, {.batch = 32});
  const float* const predicted = predict_one(b.x, b.n);
  LocalGroup(4).run([&](auto& rank) {
    Many model({.batch = 32, .seed = 1}, rank, {}, Cpu(1));
    static_assert(std::is_same_v<Many::Network, Net> && Many::parameter_count == One::parameter_count && Many::state_count == One::state_count && Many::input == One::input && Many::output == One::output);
    CHECK(model.batch() == 32);
    for (const Index n : {32, 7, 9, 31}) {
      const float* const found = model.forward(b.x, n);
      CHECK(differences(std::vector<float>(found, found + 2 * n), std::vector<float>(expected.begin(), expected.begin() + 2 * n)) == 0);
    }
    CHECK_THROWS_WITH_AS(model.forward(b.x, 33), doctest::Contains("a batch of 33 samples does not go into replicas made for 1 to 32"), Error);
    Predictor<Net, Cpu> predict(model, {.batch = 32});
    const float* const found = predict(b.x, b.n);
    CHECK(differences(std::vector<float>(found, found + 2 * b.n), std::vector<float>(predicted, predicted + 2 * b.n)) == 0);
  });
}
TEST_CASE("ranks that train other networks or other batches, or are too many for the shares, are told so") {
  const auto throws = [](int ranks, const char* words, const auto& f) {
    CHECK_THROWS_WITH_AS(LocalGroup(ranks, {.deadline = 5}).run(f), doctest::Contains(words), Error);
  };
  throws(2, "ranks 0 and 1 do not agree: one has 'batch 32' and the other 'batch 33'", [](auto& rank) { Many model({.batch = 32 + rank.rank()}, rank, {}, Cpu(1)); });
  throws(3, "a batch has 8 shares, which 3 replicas cannot divide: take 1, 2, 4 or 8", [](auto& rank) { Many model({.batch = 32}, rank, {}, Cpu(1)); });
  throws(2, "ranks 0 and 1 do not agree: one has 'network", [](auto& rank) {
    struct Other : Network<Input<8, 8, 1>, Flatten, Dense<2>> {};
    if (rank.rank() == 0) Many model({.batch = 32}, rank, {}, Cpu(1));
    else DataParallel<Model<Other, Cpu>> other({.batch = 32}, rank, {}, Cpu(1));
  });
  throws(2, "one has 'the last word is not 0' and the other 'the last word is not 1'", [](auto& rank) {
    rank.agree(std::string(2000, 'x') + "; the last word is not " + std::to_string(rank.rank()) + "; " + std::string(std::size_t(rank.rank()) * 100, 'y'));
  });
  throws(2, "ranks 0 and 1 do not agree: one has 'samples 150' and the other 'samples 160'", [](auto& rank) {
    Many model({.batch = 32}, rank, {}, Cpu(1));
    Halves train(150 + 10 * rank.rank(), 24, 1), val(70, 32, 2);
    fit(model, train, val, Sgd{}, Constant{}, {.epochs = 1});
  });
  throws(2, "a picture is damaged", [](auto& rank) {
    Many model({.batch = 32}, rank, {}, Cpu(1));
    Halves train(150, 24, 1), val(70, 32, 2);
    if (rank.rank() == 1) throw Error("a picture is damaged");
    fit(model, train, val, Sgd{}, Constant{}, {.epochs = 1});
  });
}
