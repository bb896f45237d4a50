/// Layers that learn together with those of other replicas in the same process end with the bits of layers whose gradients are added first, and where one goes wrong the others say so.
#include <doctest/doctest.h>

#include <lamina/cpu/conv_relu_pool.hpp>
#include <lamina/cpu/dense.hpp>
#include <lamina/train/adagrad.hpp>
#include <lamina/train/rmsprop.hpp>
#include <lamina/train/sgd.hpp>

#include "replicas_train.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
/// Two layers that learn at once, with a bias and without, among others that do not.
struct Net : Network<Input<9, 8, 3>, Conv<16, 3>, ReLU, Flatten, Dense<64>, ReLU, Dense<96, false>, ReLU, Dense<32>, ReLU, Dense<5>> {};
using M = Model<Net, Cpu>;

/// One of several ranks, which counts what they do together, or does nothing in the memory of others.
class Watched final : public SharedRanks {
 public:
  Watched(LocalGroup::Rank& rank, bool shares) : ranks_(rank), shares_(shares) {}
  int count = 0;

  int rank() const { return ranks_.rank(); }
  int size() const { return ranks_.size(); }
  template <class T> void all_reduce(std::span<T> x, std::string_view name) { ranks_.all_reduce(x, name); }
  template <class T> Index begin(std::span<T> x, std::string_view name) { return ranks_.begin(x, name); }
  void finish(Index begun) { ranks_.finish(begun); }
  void finish() { ranks_.finish(); }
  template <class R> void broadcast(R&& x, int root, std::string_view name) { ranks_.broadcast(x, root, name); }
  template <class F, class R> void all_gather(const F& mine, R&& all, std::string_view name) { ranks_.all_gather(mine, all, name); }
  void barrier(std::string_view name) { ranks_.barrier(name); }
  void agree(std::string_view words) { ranks_.agree(words); }
  void abort(std::string_view reason) noexcept { ranks_.abort(reason); }
  void abandon() noexcept { ranks_.abandon(); }
  SharedRanks* shared() { return shares_ ? this : nullptr; }
  void work_together(const void* mine, std::size_t bytes, std::string_view name, detail::FunctionRef<const void* const*> part) override { ++count, ranks_.work_together(mine, bytes, name, part); }

 private:
  LocalGroup::Rank& ranks_;
  bool shares_;
};

struct Way { bool shares; ParallelOptions options; int threads = 1; };
/// What each replica ends with; `layers` of the network learn together.
template <class O> std::vector<Trained<float>> trained(int ranks, const Way& way, const O& how, int layers) {
  std::vector<Trained<float>> found(static_cast<std::size_t>(ranks));
  LocalGroup(ranks).run([&](auto& rank) {
    Watched watched(rank, way.shares);
    DataParallel<M> model({.batch = largest_batch, .seed = 3}, watched, way.options, Cpu(way.threads));
    found[std::size_t(rank.rank())] = train(model, how);
    CHECK(watched.count == layers * Index(std::size(batches)));
    const float* const dw = model.gradients();
    CHECK(std::count(dw, dw + model.program().parameters, 0.0f) == model.program().parameters);
  });
  return found;
}
void check_same(const std::vector<Trained<float>>& found, const Trained<float>& expected) {
  for (const Trained<float>& t : found) {
    CHECK(differences(t.w, expected.w) == 0);
    CHECK(differences(t.remembered, expected.remembered) == 0);
    CHECK(t.totals.loss() == expected.totals.loss());
  }
}
template <class O> void check_optimizer(const O& how) {
  M one({.batch = largest_batch, .seed = 3}, Cpu(1));
  const Trained<float> expected = train(one, how);
  for (const int ranks : {2, 4, 8}) {
    INFO("replicas: " << ranks);
    for (const bool shares : {true, false}) check_same(trained(ranks, {shares, {.bucket = 1000}}, how, shares ? 3 : 0), expected);
  }
}
}  // namespace

TEST_CASE("with any optimizer, whatever it remembers, replicas that learn together are one model") {
  check_optimizer(Sgd{.weight_decay = 0.01});
  check_optimizer(Sgd{.momentum = 0.9, .nesterov = true, .form = Form::keras});
  check_optimizer(Adam{});
  check_optimizer(Adam{.weight_decay = 0.01, .amsgrad = true, .form = Form::keras});
  check_optimizer(RMSprop{.momentum = 0.5, .centered = true});
  check_optimizer(Adagrad{.form = Form::keras});
}

TEST_CASE("fast replicas, of any number, have the bits of those whose gradients are added first") {
  for (const int ranks : {2, 3, 5, 7}) {
    INFO("replicas: " << ranks);
    const ParallelOptions fast{.parallel = Parallel::fast, .bucket = 1000};
    check_same(trained(ranks, {true, fast}, Adam{}, 3), trained(ranks, {false, fast}, Adam{}, 0)[0]);
  }
}

TEST_CASE("layers with fewer parameters than a bucket, and other ways to divide a batch, learn by themselves") {
  const Trained<float> expected = trained(2, {false, {.bucket = 1000}}, Adam{}, 0)[0];
  check_same(trained(2, {true, {.bucket = 5000}}, Adam{}, 2), expected);
  check_same(trained(2, {true, {}}, Adam{}, 0), expected);
  for (const Parallel parallel : {Parallel::dataparallel, Parallel::mirrored}) trained(3, {true, {.parallel = parallel, .bucket = 1000}}, Adam{}, 0);
}

TEST_CASE("replicas of several threads learn together") {
  const Trained<float> expected = trained(2, {false, {.bucket = 1000}}, Adam{}, 0)[0];
  check_same(trained(2, {true, {.bucket = 1000}, 3}, Adam{}, 3), expected);
}

TEST_CASE("steps of several batches come between steps that are taken together") {
  const auto steps = [](auto& model) {
    OptimizerState<Adam, Cpu, float> optimizer(model.device(), Adam{}, model.program().parameters);
    model.zero_gradients();
    for (int i = 0; i < 3; ++i) {
      const Samples a(model, 21, 3 * i), b(model, 13, 3 * i + 1), c(model, 5, 3 * i + 2);
      model.forward_training(a.batch()), model.learn(optimizer, 0.01);
      model.backpropagate(b.batch(), 18), model.backpropagate(c.batch(), 18, 13);
      optimizer.step(model.parameters(), model.gradients(), 0.01);
      model.zero_gradients();
    }
    return std::vector<float>(model.parameters(), model.parameters() + model.program().parameters);
  };
  std::vector<std::vector<float>> found(4);
  for (const bool shares : {true, false})
    LocalGroup(2).run([&](auto& rank) {
      Watched watched(rank, shares);
      DataParallel<M> model({.batch = 21, .seed = 3}, watched, {.bucket = 1000}, Cpu(1));
      found[std::size_t(2 * shares + rank.rank())] = steps(model);
      CHECK(watched.count == (shares ? 9 : 0));
    });
  for (const auto& w : found) CHECK(differences(w, found[0]) == 0);
}

namespace {
/// Plain descent, which fails where it is told to.
struct Breaks {
  double rate = 0.01;
  bool fails = false;
  struct Clock { double rate; Index step; };
  void check() const {}
  Index slots() const { return 1; }
  Clock clock(double now, Index step) const { return {now, step}; }
  template <class T> void update(const Clock& now, T& p, T g, T* s, Index) const {
    if (fails && now.step == 2) throw Error("the optimizer is broken");
    s[0] = g, p -= T(now.rate) * g;
  }
};
template <class F> std::vector<std::string> complaints(const F& f) {
  std::vector<std::string> said(3, "nothing");
  CHECK_THROWS(LocalGroup(3, {.deadline = 5}).run([&](auto& rank) {
    try {
      DataParallel<M> model({.batch = 21, .seed = 3}, rank, {.parallel = Parallel::fast, .bucket = 1000}, Cpu(1));
      f(model);
    } catch (const Error& e) {
      said[std::size_t(rank.rank())] = e.what();
      throw;
    }
  }));
  return said;
}
}  // namespace
TEST_CASE("where the step of one rank fails, or is another one, all ranks say so") {
  const auto broken = complaints([](auto& model) { train(model, Breaks{.fails = model.rank() == 1}); });
  CHECK(broken[1] == "the optimizer is broken");
  for (const std::size_t r : {0u, 2u}) {
    CHECK(broken[r].find("cannot go on with work_together \"weights\"") != std::string::npos);
    CHECK(broken[r].find(": rank 1 gave up, in work_together \"weights\"") != std::string::npos);
    CHECK(broken[r].ends_with(": the optimizer is broken"));
  }
  const auto others = complaints([](auto& model) { model.rank() == 2 ? train(model, Sgd{}) : train(model, Adam{}); });
  for (const std::string& words : others) {                            // of (96 + 1) x 32 parameters, and of two numbers remembered or none
    CHECK(words.find("37248 bytes each) and rank 2 to work_together \"weights\"") != std::string::npos);
    CHECK(words.find("12416 bytes each)") != std::string::npos);
  }
}
