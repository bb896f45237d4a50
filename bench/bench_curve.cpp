/// Does a network learn the same with fused steps and kernels as layer by layer?
/// bench_curve LEAVES [--seed 1] [--epochs 15] [--threads 0] [--csv]    LEAVES/train and LEAVES/val hold class folders; a step's batch is of 32 pictures
/// The study's network twice, from one seed and over the same batches: on Cpu, and on Unfused<Cpu>, where no neighbours are joined and every convolution and dense layer takes the
/// way that takes any shape. The first rows say how far, after so many steps, their losses are from that of the latter in double, in parts of it; the others how both stand after
/// every epoch.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <optional>
#include <string>

#include <lamina/lamina.hpp>

#include "work.hpp"

using namespace lamina;

namespace {

template <int C> using Block = Sequential<Conv<C, 3>, ReLU, MaxPool<2>>;
struct LeafNet : Network<Input<64, 64, 3>, Block<32>, Block<64>, Block<128>, Flatten, Dense<128>, ReLU, Dropout<20>, Dense<10>> {};

/// A network that learns.
template <class D, class T = float> struct Learning {
  Model<LeafNet, D, T> model;
  OptimizerState<Adam, D, T> adam;
  Learning(std::uint64_t seed, int threads) : model({.batch = 128, .seed = seed, .init = Init::torch}, D(threads)), adam(model.device(), Adam{}, model.parameter_count) {}

  /// The mean loss of the batch, before the step.
  double step(const Batch& batch, double rate, Index done) {
    model.set_clock(std::uint64_t(done));
    model.reset_totals();
    model.forward_training(batch);
    model.learn(adam, rate);
    return model.totals().loss() / double(batch.n);
  }
};

}  // namespace

int main(int argc, char** argv) try {
  std::string leaves;
  int epochs = 15, threads = 0;
  std::uint64_t seed = 1;
  bool csv = false;
  for (int i = 1; i < argc; ++i) {
    const auto is = [&](const char* option) { return !std::strcmp(argv[i], option) && i + 1 < argc; };
    if (is("--seed")) seed = bench::number<std::uint64_t>("--seed", argv[++i], 0, ~std::uint64_t(0));
    else if (is("--epochs")) epochs = bench::number("--epochs", argv[++i], 1, 10000);
    else if (is("--threads")) threads = bench::threads_of(argv[++i]);
    else if (!std::strcmp(argv[i], "--csv")) csv = true;
    else if (leaves.empty() && argv[i][0] != '-') leaves = argv[i];
    else leaves.clear(), i = argc;
  }
  if (leaves.empty()) return std::fprintf(stderr, "bench_curve LEAVES [--seed 1] [--epochs 15] [--threads 0] [--csv]\n"), 2;

  const ImageFolder training(leaves + "/train"), held_out(leaves + "/val");
  AugmentationIterator train(training, {.size = {64, 64}, .batch = 32, .seed = seed, .horizontal_flip = true, .workers = threads});
  EvaluationIterator validation(held_out, {.size = {64, 64}, .batch = 128, .workers = threads});
  Learning<Cpu> fused(seed, threads);
  Learning<Unfused<Cpu>> unfused(seed, threads);
  std::optional<Learning<Unfused<Cpu>, double>> exact(std::in_place, seed, threads);
  constexpr Index shown[] = {0, 1, 2, 5, 10, 20, 50, 100};
  const ExponentialDecay decay{.rate = 0.9};

  std::printf(csv ? "step,loss,off,off_unfused\n" : "%8s %12s %12s %12s\n", "steps", "loss", "off by", "unfused");
  Index step = 0;
  for (Index epoch = 0; epoch < epochs; ++epoch) {
    double loss[2] = {};
    train.start(epoch, 0);
    for (Batch batch; train.next(batch); ++step) {
      const double rate = decay(1e-3, {.step = step, .epoch = epoch});
      const double a = fused.step(batch, rate, step), b = unfused.step(batch, rate, step);
      loss[0] += a * double(batch.n), loss[1] += b * double(batch.n);
      if (!exact) continue;
      const double c = exact->step(batch, rate, step);
      if (std::find(std::begin(shown), std::end(shown), step) != std::end(shown))
        std::printf(csv ? "%td,%.9g,%.3g,%.3g\n" : "%8td %12.6f %12.1e %12.1e\n", step, c, std::abs(a - c) / c, std::abs(b - c) / c);
      if (step == std::end(shown)[-1]) exact.reset();
    }
    const Evaluation of_fused = evaluate(fused.model, validation), of_unfused = evaluate(unfused.model, validation);
    if (epoch == 0) std::printf(csv ? "epoch,loss,loss_unfused,val_accuracy,val_accuracy_unfused\n" : "%8s %12s %12s %12s %12s\n", "epoch", "loss", "unfused", "val %", "unfused");
    std::printf(csv ? "%td,%.9g,%.9g,%.9g,%.9g\n" : "%8td %12.4f %12.4f %12.2f %12.2f\n", epoch + 1, loss[0] / double(train.samples()), loss[1] / double(train.samples()), 100 * of_fused.accuracy, 100 * of_unfused.accuracy);
    std::fflush(stdout);
  }
} catch (const Error& e) {
  return std::fprintf(stderr, "bench_curve: %s\n", e.what()), 1;
}
