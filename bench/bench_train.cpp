/// How fast is training? bench_train [--net leaf|vgg11|resnet18|mobilenetv2] [--size 64] [--batch 32] [--threads 0] [--seconds 3] [--json]
/// The steps of fit() on one batch in memory: forward pass, cross-entropy, the gradients of all parameters, SGD with momentum.
/// bench/compare runs the same in PyTorch, Keras and oneDNN.
#include "networks/networks.hpp"

using namespace lamina;

namespace {

/// One batch, over and over, in an epoch that no run comes to the end of.
class Resident {
 public:
  explicit Resident(const bench::Work& work) : size_(work.size), n_(work.batch), x_(bench::noise(work)), label_(std::size_t(n_)) {
    for (std::size_t i = 0; i < label_.size(); ++i) label_[i] = std::int32_t(i % bench::classes);
  }
  Shape shape() const { return {size_, size_, 3}; }
  Index samples() const { return n_ * batches(); }
  Index batches() const { return 1 << 30; }
  Index batch_size() const { return n_; }
  void start(Index, Index first) { at_ = first; }
  bool next(Batch& batch) {
    batch = {.n = n_, .first = n_ * at_++, .x = x_.data(), .label = label_.data()};
    return true;
  }

 private:
  int size_;
  Index n_, at_ = 0;
  std::vector<float> x_;
  std::vector<std::int32_t> label_;
};

/// The callback that times the steps and ends the run.
struct Clock {
  bench::Steps& steps;
  double& loss;            // mean of the last step
  double sum = 0;          // of the losses of all samples so far
  void step(auto& run) {
    const Totals totals = run.model.totals();
    loss = (totals.loss() - sum) / double(run.model.batch());
    sum = totals.loss();
    if (!steps.next()) run.stop("there were enough steps");
  }
};

}  // namespace

int main(int argc, char** argv) try {
  const bench::Work work = bench::Work::of("bench_train", "train", argc, argv);
  const auto model = bench::model_of(work).model;
  Resident train(work), validation = train;
  double loss = 0;
  bench::Steps steps(work.seconds);
  fit(*model, train, validation, Sgd{.rate = bench::rate, .momentum = bench::momentum}, Constant{}, {}, Clock{steps, loss});
  bench::report(work, bench::lamina_peer(*model, loss), steps, bench::direct(work, model->program(), model->device()));
} catch (const Error& e) {
  return std::fprintf(stderr, "bench_train: %s\n", e.what()), 1;
}
