/// How do replicas on GPUs scale?
/// bench_parallel_gpu [--net leaf|resnet18] [--size 64] [--batch 256] [--gpus 0] [--rounds 5] [--steps 50]
/// 1, 2, 4 ... GPUs of this machine, 0 being all of them, with a replica each, in bf16, through NCCL where Lamina was built with it and else through the host. Strong scaling divides a batch; in weak
/// scaling it is one batch for each. Beside the replicas stands one model with the batch of one of them: what a step takes longer than that one's is what its sums cost and what nothing hides.
/// Each round goes through all ways to train; a time is that of the slowest rank over some steps, and medians of rounds are printed as lines of JSON. The batch lies on the GPU.
/// The first argument --share: so many replicas, --gpus, share the first GPU and talk through the host, which shows that they work and not how fast they are.
#include <lamina/cuda.hpp>
#include <lamina/parallel.hpp>
#if defined(LAMINA_WITH_NCCL)
#include <lamina/nccl.hpp>
#endif

#include <memory>

#include "networks/leaf.hpp"
#include "timed.hpp"

using namespace lamina;

namespace {

struct Options { std::string net = "leaf"; int size = 64, batch = 256, gpus = 0, rounds = 5, steps = 50; bool share = false; };

struct Way { bool weak; int replicas; const char* kind; Parallel parallel; bool overlap; };

/// What is the same for all models.
class Training {
 public:
  virtual ~Training() = default;
  virtual double seconds(int steps) = 0;      // of a step
};
template <class M> class TrainingOf : public Training {
 public:
  template <class... Args> TrainingOf(const Options& o, Index batch, Args&&... args)
      : model_(std::forward<Args>(args)...), adam_(model_.device(), {.rate = bench::rate}, model_.program().parameters), x_(std::size_t(batch * size(model_.program().input))), label_(std::size_t(batch)) {
    const Random random(1, Stream::picture);
    for (std::size_t i = 0; i < x_.size(); ++i) x_[i] = i < 1 << 20 ? float(random.uniform(Index(i), -1, 1)) : x_[i - (1 << 20)];
    for (std::size_t i = 0; i < label_.size(); ++i) label_[i] = std::int32_t(i % bench::classes);
    batch_ = {.n = batch, .x = x_.data(), .label = label_.data()};
    for (int i = 0; i < 3; ++i) step();       // launched, recorded, replayed
  }
  double seconds(int steps) override {
    model_.device().wait();
    const double begin = bench::now();
    for (int i = 0; i < steps; ++i) step();
    model_.device().wait();
    return (bench::now() - begin) / steps;
  }

 private:
  void step() {
    if (begun_) model_.repeat();
    else model_.forward_training(batch_), begun_ = true;
    model_.learn(adam_, bench::rate);
  }
  M model_;
  OptimizerState<Adam, Cuda, float> adam_;
  std::vector<float> x_;
  std::vector<std::int32_t> label_;
  Batch batch_;
  bool begun_ = false;
};

double median(std::vector<double> x) {
  std::sort(x.begin(), x.end());
  return x.at(x.size() / 2);
}

template <class Net> void measure(const Options& o) {
  const int most = o.gpus;
  std::vector<Way> ways;
  for (int n = 1; n <= most; n *= 2)
    for (const bool weak : {false, true}) {
      if (n == 1 && weak) continue;
      ways.push_back({weak, n, "one model, the batch of a replica", Parallel::exact, true});
      if (n > 1)
        for (const Parallel parallel : {Parallel::exact, Parallel::fast})
          for (const bool overlap : {true, false})
            if (parallel == Parallel::fast || shares % n == 0) ways.push_back({weak, n, parallel == Parallel::exact ? overlap ? "exact" : "exact, one bucket" : overlap ? "fast" : "fast, one bucket", parallel, overlap});
    }
  std::map<int, std::unique_ptr<LocalGroup>> groups;
  for (const Way& w : ways) groups.try_emplace(w.replicas, std::make_unique<LocalGroup>(w.replicas, LocalGroupOptions{.deadline = 600}));
  LocalGroup(most, {.deadline = 600}).run([&](auto& all) {
    Cuda gpu(o.share ? 0 : all.rank());
    std::vector<std::vector<double>> found(ways.size());
    for (std::size_t w = 0; w < ways.size(); ++w) {
      const Way& way = ways[w];
      all.barrier("the next way");
      if (all.rank() >= way.replicas) continue;
      auto& host = groups.at(way.replicas)->rank(all.rank());
      const Index batch = way.weak ? Index(o.batch) * way.replicas : o.batch, mine = first_of_share(1, batch, way.replicas);
      AnyCommunicator rank(host);
#if defined(LAMINA_WITH_NCCL)
      std::unique_ptr<Nccl> nccl;
      if (!o.share) nccl = std::make_unique<Nccl>(host, gpu), rank = AnyCommunicator(*nccl);
#endif
      std::unique_ptr<Training> training;
      if (way.kind[0] == 'o') training = std::make_unique<TrainingOf<Model<Net, Cuda, bf16>>>(o, mine, typename Model<Net, Cuda, bf16>::Options{.batch = mine, .seed = 1}, gpu);
      else {
        ParallelOptions options{.parallel = way.parallel};
        if (!way.overlap) options.bucket = Index(1) << 40;
        training = std::make_unique<TrainingOf<DataParallel<Model<Net, Cuda, bf16>>>>(o, batch, typename Model<Net, Cuda, bf16>::Options{.batch = batch, .seed = 1}, rank, options, gpu);
      }
      for (int round = 0; round < o.rounds; ++round) {
        host.barrier("the next round");
        const double step = training->seconds(o.steps);
        std::vector<double> of_all(static_cast<std::size_t>(way.replicas));
        host.all_gather(std::span(&step, 1), of_all, "seconds");
        found[w].push_back(*std::max_element(of_all.begin(), of_all.end()));
      }
      if (all.rank() == 0)
        std::printf("{\"net\": \"%s\", \"size\": %d, \"scaling\": \"%s\", \"replicas\": %d, \"batch\": %td, \"kind\": \"%s\", \"through\": \"%s\", \"step_us_median\": %.2f, \"images_per_s\": %.0f, \"device\": \"%s\"}\n",
                    o.net.c_str(), o.size, way.weak ? "weak" : "strong", way.replicas, batch, way.kind, rank.queued() ? "NCCL" : "the host", 1e6 * median(found[w]), double(batch) / median(found[w]),
                    gpu.name().c_str()), std::fflush(stdout);
    }
  });
}

void run(const Options& o) {
  const auto with = [&]<class Net>(std::type_identity<Net>, const char* name) { return o.net == name && o.size == Net::input.h && (measure<Net>(o), true); };
  if (with(std::type_identity<bench::Leaf<64>>(), "leaf") || with(std::type_identity<bench::Leaf<128>>(), "leaf") || with(std::type_identity<bench::Leaf<256>>(), "leaf") ||
      with(std::type_identity<zoo::ResNet18<64, bench::classes>>(), "resnet18")) return;
  throw Error("there is no network ", o.net, " for pictures of ", o.size, " x ", o.size, " in bench_parallel_gpu");
}

}  // namespace

int main(int argc, char** argv) try {
  Options o;
  bool understood = true;
  for (int i = 1; i < argc; ++i) {
    const auto is = [&](const char* option) { return !std::strcmp(argv[i], option) && i + 1 < argc; };
    if (!std::strcmp(argv[i], "--share")) o.share = true;
    else if (is("--net")) o.net = argv[++i];
    else if (is("--size")) o.size = std::atoi(argv[++i]);
    else if (is("--batch")) o.batch = std::atoi(argv[++i]);
    else if (is("--gpus")) o.gpus = std::atoi(argv[++i]);
    else if (is("--rounds")) o.rounds = std::atoi(argv[++i]);
    else if (is("--steps")) o.steps = std::atoi(argv[++i]);
    else understood = false;
  }
  if (!understood || o.batch < 1 || o.gpus < 0 || o.rounds < 1 || o.steps < 1)
    return std::fprintf(stderr, "bench_parallel_gpu [--net leaf|resnet18] [--size 64] [--batch 256] [--gpus 0] [--rounds 5] [--steps 50] [--share]\n"), 2;
  if (!Cuda::count()) return std::printf("bench_parallel_gpu: this machine has no GPU that a driver knows of, so there is nothing to measure\n"), 0;
  if (!o.gpus) o.gpus = Cuda::count();
  if (!o.share && o.gpus > Cuda::count()) throw Error("--gpus ", o.gpus, ": this machine has ", Cuda::count(), "; with --share replicas share the first");
  run(o);
} catch (const Error& e) {
  return std::fprintf(stderr, "bench_parallel_gpu: %s\n", e.what()), 1;
}
