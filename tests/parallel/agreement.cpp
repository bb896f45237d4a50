/// Replicas that are told to train different things are told so before the first step, and those whose parameters part at the end of the epoch.
#include <doctest/doctest.h>

#include <lamina/lamina.hpp>
#include <lamina/parallel.hpp>

#include <functional>

#include "../support/halves.hpp"
#include "replicas_train.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
struct Net : Network<Input<8, 8, 1>, Flatten, Dense<8>, ReLU, Dropout<20>, Dense<3>> {};
using One = Model<Net, Cpu>;

/// Three classes of small pictures.
Dataset pictures(std::uint64_t seed = 1) {
  Dataset all{{"a", "b", "c"}, {}, "made up"};
  for (int i = 0; i < 60; ++i) {
    Picture p{8, 8, 1, std::vector<std::uint8_t>(64)};
    const Random random(seed, Stream::picture, std::uint32_t(i));
    for (std::size_t k = 0; k < 64; ++k) p.pixels[k] = std::uint8_t(random.below(Index(k), 200) + (Index(k) / 22 == i % 3 ? 50 : 0));
    all.add(std::move(p), i % 3);
  }
  return all;
}

/// An optimizer of somebody's own: not of vectors, with room between its options, five slots, which begin with another number than 0.
struct Own {
  double rate = 0.01;
  char kind = 0;
  double pull = 0.5, first = 0.25;
  struct Clock { double rate; };
  void check() const {}
  Index slots() const { return 5; }
  double initial() const { return first; }
  Clock clock(double now, Index) const { return {now}; }
  template <class T> LAMINA_HD void update(const Clock& now, T& p, T g, T* s, Index n) const {
    s[4 * n] += T(pull) * (g - s[4 * n]);
    p -= T(now.rate) * (kind ? g : s[4 * n]);
  }
};

/// What a rank is told.
template <class Opt = Adam, class Sched = std::function<double(double, const Moment&)>> struct Told {
  ParallelOptions parallel = {};
  CrossEntropy<> loss = {};
  Dataset data = pictures();
  SplitOptions split = {.validation = 0.2, .seed = 1};
  AugmentationOptions train = {.size = {8, 8}, .batch = 12, .seed = 1, .horizontal_flip = true};
  EvaluationOptions val = {.size = {8, 8}, .batch = 12};
  Opt optimizer = {};
  Sched schedule = Sched(Constant{});
  FitOptions fit = {.epochs = 2, .clip = Clip::global_norm(1)};
};

struct Nothing { template <class R> void epoch(R&) {} };
/// The parameters of each rank after a training in which each has changed what it was told.
template <class T = Told<>, class Callback = Nothing> auto train_two(const std::function<void(std::type_identity_t<T>&, bool)>& change, T told = {}, Callback callback = {}) {
  std::vector<std::vector<float>> w(2);
  std::string errors[2];
  try {
    LocalGroup(2, {.deadline = 20}).run([&](auto& rank) {
      T mine = told;
      change(mine, rank.rank() == 1);
      try {
        DataParallel<One> model({.batch = 16, .seed = 1, .loss = mine.loss}, rank, mine.parallel, Cpu(1));
        const auto parts = mine.data.split(mine.split);
        AugmentationIterator train(parts.train, mine.train);
        EvaluationIterator val(parts.validation, mine.val);
        fit(model, train, val, mine.optimizer, mine.schedule, mine.fit, callback);
        w[std::size_t(rank.rank())].assign(model.parameters(), model.parameters() + One::parameter_count);
      } catch (const Error& e) {
        errors[rank.rank()] = e.what();
        throw;
      }
    });
  } catch (const Error&) {}
  struct Ended { std::vector<std::vector<float>> w; std::string errors[2]; };
  return Ended{w, {errors[0], errors[1]}};
}
template <class T = Told<>> void agree(T told, const std::function<void(std::type_identity_t<T>&, bool)>& change = [](T&, bool) {}) {
  const auto ended = train_two<T>(change, std::move(told));
  CHECK(ended.errors[0] == "");
  CHECK(ended.errors[1] == "");
  CHECK(ended.w[0].size() > 0);
  CHECK(differences(ended.w[0], ended.w[1]) == 0);
}
/// Both ranks are told both, and the words, where rank 1 alone is told something else.
template <class T = Told<>> void differ(const char* words, const std::function<void(std::type_identity_t<T>&)>& other, T told = {}) {
  INFO(words);
  const auto ended = train_two<T>([&](T& mine, bool odd) { if (odd) other(mine); }, std::move(told));
  for (const std::string& error : ended.errors) {
    CAPTURE(error);
    CHECK(error.find("ranks 0 and 1") != std::string::npos);
    CHECK(error.find(words) != std::string::npos);
  }
}
}  // namespace

TEST_CASE("ranks that are told the same train, in each way to divide batches, and what changes no result may differ") {
  for (const Parallel parallel : {Parallel::exact, Parallel::fast, Parallel::dataparallel, Parallel::mirrored}) agree(Told<>{.parallel = {parallel}});
  agree<>({}, [](Told<>& t, bool odd) { if (odd) t.train.workers = 1, t.train.prefetch = 1, t.train.cache_bytes = 0, t.val.workers = 2; });
  agree(Told<>{.loss = {.smoothing = 0.1, .class_weights = {1, 2, 3}}, .fit = {.epochs = 2, .accumulate = 2}});
}
TEST_CASE("other data are noticed") {
  const char *train = "training data, or the seed or options of their iterator", *val = "validation data, or the seed or options of their iterator";
  differ<>(train, [](auto& t) { t.train.seed = 2; });
  differ<>(train, [](auto& t) { t.split.seed = 2; });
  differ<>(train, [](auto& t) { t.train.horizontal_flip = false; });
  differ<>(train, [](auto& t) { t.train.brightness = 0.1; });
  differ<>(train, [](auto& t) { t.data = pictures(2); });
  differ<>(val, [](auto& t) { t.val.mean[2] = 0.1; });
  differ<>("training samples 48 in batches of 13", [](auto& t) { t.train.batch = 13; });
  differ<>("epochs 3", [](auto& t) { t.fit.epochs = 3; });
}
TEST_CASE("another loss is noticed") {
  differ<>("options of the loss", [](auto& t) { t.loss.smoothing = 0.3; });
  differ<>("options of the loss", [](auto& t) { t.loss.class_weights = {1, 2, 3}; });
  differ<>("options of the loss", [](auto& t) { t.loss.class_weights[2] = 3.5; }, Told<>{.loss = {.class_weights = {1, 2, 3}}});
}
TEST_CASE("another optimizer, rate or clipping is noticed") {
  differ<>("rate 0.0010000000000000002", [](auto& t) { t.optimizer.rate = std::nextafter(1e-3, 1.0); });
  differ<>("options of the optimizer", [](auto& t) { t.optimizer.beta1 = 0.5; });
  differ<>("options of the optimizer", [](auto& t) { t.optimizer.beta2 = 0.9991; });
  differ<>("options of the optimizer", [](auto& t) { t.optimizer.weight_decay = 1e-6; });
  differ<>("options of the optimizer", [](auto& t) { t.optimizer.decay = Decay::decoupled; }, Told<>{.optimizer = {.weight_decay = 0.1}});
  differ<>("options of the optimizer", [](auto& t) { t.optimizer.epsilon = 2e-11; }, Told<>{.optimizer = {.epsilon = 1e-11}});
  differ<>("numbers of the optimizer", [](auto& t) { t.optimizer.amsgrad = true; });
  differ<>("clipping of the global norm at 0.01", [](auto& t) { t.fit.clip.limit = 0.01; });
  differ<>("clipping of the global norm at 1 + 1e-06", [](auto& t) { t.fit.clip = Clip::torch_global_norm(1); });
  differ<>("clipping of values at 1", [](auto& t) { t.fit.clip = Clip::value(1); });
  differ<>("clipping none", [](auto& t) { t.fit.clip = {}; });
}
TEST_CASE("another schedule is noticed, and one that learns from the validation before it has learned anything") {
  const char* rates = "rates of the schedule";
  differ<>(rates, [](auto& t) { t.schedule = ExponentialDecay{.rate = 0.1}; });
  differ<>(rates, [](auto& t) { t.schedule = Cosine{}; });
  using Plateau = Told<Adam, ReduceOnPlateau>;
  const Plateau plateau{.schedule = {.factor = 0.5}};
  agree(plateau);
  differ<Plateau>(rates, [](auto& t) { t.schedule.patience = 11; }, plateau);
  differ<Plateau>(rates, [](auto& t) { t.schedule.factor = 0.4; }, plateau);
  differ<Plateau>(rates, [](auto& t) { t.schedule.threshold = 1e-3; }, plateau);
  differ<Plateau>(rates, [](auto& t) { t.schedule.cooldown = 1; }, plateau);
  differ<Plateau>(rates, [](auto& t) { t.schedule.min_rate = 1e-5; }, plateau);
  differ<Plateau>(rates, [](auto& t) { t.schedule.mode = Mode::max; }, plateau);
}
TEST_CASE("an optimizer of one's own is compared by what it does, not by what lies between its options") {
  using Mine = Told<Own>;
  const std::function<void(Mine&, bool)> fill_room = [](Mine& t, bool odd) {
    std::memset(static_cast<void*>(&t.optimizer), odd ? 0xff : 0, sizeof t.optimizer);
    t.optimizer.rate = 0.01, t.optimizer.kind = 1, t.optimizer.pull = 0.5, t.optimizer.first = 0.25;
  };
  agree<Mine>({}, fill_room);
  differ<Mine>("options of the optimizer", [](auto& t) { t.optimizer.pull = 0.25; });
  differ<Mine>("options of the optimizer", [](auto& t) { t.optimizer.first = 0.5; });
  differ<Mine>("options of the optimizer", [](auto& t) { t.optimizer.kind = 1; });
}

namespace {
/// A callback is rank 0's.
struct Meddles {
  template <class R> void step(R& run) { if (run.step == 2) run.model.parameters()[3] += 1e-6f; }
};
/// A schedule that goes by what it should not know.
struct ByRank {
  bool odd = false;
  double operator()(double base, const Moment& m) const { return odd && m.step == 3 ? base * 1.001 : base; }
};
}  // namespace
TEST_CASE("parameters that part are noticed at the end of the epoch") {
  const auto check = [](const auto& ended) {
    for (const std::string& error : ended.errors) {
      CAPTURE(error);
      CHECK(error.find("parameters after epoch 1 are not the same on ranks 0 and 1, which began with the same: look for") != std::string::npos);
    }
  };
  for (const Parallel parallel : {Parallel::exact, Parallel::fast, Parallel::dataparallel, Parallel::mirrored})
    check(train_two<>([](auto&, bool) {}, Told<>{.parallel = {parallel}}, Meddles{}));
  check(train_two<Told<Adam, ByRank>>([](auto& t, bool odd) { t.schedule.odd = odd; }, {.train = {.size = {8, 8}, .batch = 6}, .schedule = {}}));      // of eight steps it differs in one at which nobody looks before
}
