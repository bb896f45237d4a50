/// The ways to train that bench_parallel compares, and one step of each.
#pragma once
#include "networks/networks.hpp"

#include <lamina/parallel/data_parallel.hpp>

#include <memory>
#include <optional>

#include "timed.hpp"

namespace bench {

/// What the command line says.
struct ParallelWork {
  std::string net = "leaf", data = "memory", csv, svg, markdown;
  int size = 64, batch = 32, replicas = 0, threads = 1, steps = 5, rounds = 15;
};

/// One of so many replicas, each with some threads, or one model with the threads of all.
struct Way {
  enum class Scaling { strong, weak, calibration } scaling;
  int replicas;
  bool one_model;
  lamina::Parallel parallel = lamina::Parallel::exact;
  bool overlap = true;                   // sums of gradients go on beside backward
  lamina::Index batch = 0;               // of all replicas

  const char* group() const { return scaling == Scaling::strong ? "strong" : scaling == Scaling::weak ? "weak" : "part of the batch"; }
  std::string kind(int threads) const {
    if (one_model) return "one model, threads: " + std::to_string(threads * replicas);
    return std::string(parallel == lamina::Parallel::exact ? "exact" : "fast") + (overlap ? "" : ", one bucket");
  }
  int ranks() const { return one_model ? 1 : replicas; }
};

/// Those of bench_parallel for these numbers of replicas. `exact` needs one that divides the shares of a batch.
inline std::vector<Way> ways_of(const ParallelWork& work, const std::vector<int>& counts) {
  using enum Way::Scaling;
  using lamina::Parallel;
  std::vector<Way> ways;
  for (const auto scaling : {strong, weak})
    for (const int n : counts) {
      const lamina::Index batch = scaling == weak ? lamina::Index(work.batch) * n : work.batch;
      if (n == 1 && scaling == weak) continue;       // is the same
      ways.push_back({scaling, n, true, Parallel::exact, true, batch});
      for (const Parallel parallel : {Parallel::exact, Parallel::fast})
        for (const bool overlap : {true, false})
          if ((parallel == Parallel::fast || lamina::shares % n == 0) && (n > 1 || (overlap && parallel == Parallel::exact))) ways.push_back({scaling, n, false, parallel, overlap, batch});
    }
  ways.push_back({calibration, 1, false, Parallel::exact, true, std::max(work.batch / 2, 1)});
  return ways;
}

/// Seconds of one step. Where a model updates a layer while it has its gradients at hand, as one by itself does, backward has that in it.
struct StepSeconds {
  double step = 0, data = 0, forward = 0, backward = 0, update = 0, waited = 0;      // waited: for the other ranks
  double processor = 0;                  // of all threads of all ranks
  double others = 0;                     // no seconds: the share of all processors that other programs took
};
inline constexpr double StepSeconds::* step_seconds[] = {&StepSeconds::step,   &StepSeconds::data,   &StepSeconds::forward,   &StepSeconds::backward,
                                                         &StepSeconds::update, &StepSeconds::waited, &StepSeconds::processor, &StepSeconds::others};

/// Batches of noise in memory, the same in every run, or of pictures that threads of the iterator change and convert.
class Batches {
 public:
  Batches(const ParallelWork& work, lamina::Index batch) : shape_{work.size, work.size, 3}, n_(batch) {
    if (work.data == "memory") {
      x_ = noise({.net = work.net, .mode = "train", .size = work.size, .batch = int(batch)}), label_.resize(std::size_t(n_));
      for (std::size_t i = 0; i < label_.size(); ++i) label_[i] = std::int32_t(i % classes);
      return;
    }
    lamina::Dataset set;
    set.name = "drawn pictures";
    for (int c = 0; c < classes; ++c) set.classes.push_back(std::to_string(c));
    const lamina::Random random(1, lamina::Stream::picture);
    for (lamina::Index i = 0; i < 4 * n_; ++i) {
      std::vector<std::uint8_t> pixels(std::size_t(lamina::size(shape_)));
      for (std::size_t k = 0; k < pixels.size(); ++k) pixels[k] = std::uint8_t(random.below(i * std::ssize(pixels) + lamina::Index(k), 256));
      set.add({work.size, work.size, 3, std::move(pixels)}, std::int32_t(i % classes));
    }
    lamina::AugmentationOptions options{.size = {work.size, work.size}, .batch = n_, .seed = 1, .workers = work.threads};
    options.rotation = 20, options.horizontal_flip = true;
    pictures_ = std::make_unique<lamina::AugmentationIterator>(set, options);
  }
  template <class M> void divide(const M& model) {
    if (pictures_) model.divide(*pictures_);
  }
  lamina::Batch next() {
    lamina::Batch b{.n = n_, .x = x_.data(), .label = label_.data()};
    if (!pictures_) return b;
    if (!begun_) pictures_->start(0, 0), begun_ = true;
    while (!pictures_->next(b)) pictures_->start(++epoch_, 0);
    return b;
  }

 private:
  lamina::Shape shape_;
  lamina::Index n_, epoch_ = 0;
  bool begun_ = false;
  std::vector<float> x_;
  std::vector<std::int32_t> label_;
  std::unique_ptr<lamina::AugmentationIterator> pictures_;
};

class Training {
 public:
  virtual ~Training() = default;
  virtual StepSeconds step() = 0;
};

/// M: a model by itself or a replica.
template <class M> class TrainingOf : public Training {
 public:
  template <class... Args> TrainingOf(const TimedCommunicator* ranks, const ParallelWork& work, lamina::Index batch, Args&&... args)
      : ranks_(ranks), model_(std::forward<Args>(args)...), batches_(work, batch), state_(model_.device(), {.momentum = momentum}, model_.program().parameters) {
    if constexpr (replicated) batches_.divide(model_);
    model_.zero_gradients();
    model_.reset_totals();
  }
  StepSeconds step() override {
    StepSeconds s;
    const double begin = now(), waited = this->waited();
    lamina::Batch b = batches_.next();
    if constexpr (replicated) b = model_.part_of(b);
    const double there = now();
    model_.set_clock(clock_++);
    model_.forward_training(b);
    const double forward = now(), waited_forward = this->waited() - waited;
    if constexpr (replicated) {
      TimedOptimizer<State> timed{state_};
      model_.learn(timed, rate);
      model_.exchange(false);
      s.update = timed.seconds;
    } else model_.learn(state_, rate);
    const double end = now();
    s.waited = this->waited() - waited;
    s.step = end - begin, s.data = there - begin, s.forward = forward - there - waited_forward, s.backward = end - forward - s.update - (s.waited - waited_forward);
    return s;
  }

 private:
  static constexpr bool replicated = lamina::detail::ReplicatedModel<M>;
  double waited() const { return ranks_ ? ranks_->waited() : 0; }

  using State = lamina::OptimizerState<lamina::Sgd, lamina::Cpu, float>;
  const TimedCommunicator* ranks_;           // or null
  M model_;
  Batches batches_;
  State state_;
  std::uint32_t clock_ = 0;
};

}  // namespace bench
