/// How do replicas scale, and where does the time of their steps go?
/// bench_parallel [--net leaf|vgg11|resnet18|mobilenetv2] [--size 64] [--batch 32] [--replicas 0] [--threads 1] [--data memory|pictures] [--steps 5] [--rounds 15]
///                [--csv FILE] [--svg FILE] [--markdown FILE]
/// 1, 2, 4 ... replicas, as threads of this program; 0 is one for each core. One of N programs that mpirun started is one of N replicas, and the first of them prints. Strong scaling divides a
/// batch; in weak scaling it is one batch for each. Beside them stands one model with the threads of all. Each round goes through all ways to train, begins with another of them, and takes the median
/// of some steps of each; what is printed are medians of rounds, and ratios are those of one round. Lines are added to the CSV.
/// Then follows what scaling_model.hpp makes of it, here and for many GPUs: those figures are predictions, and all that there is with --rounds 0. The links here are measured; those of GPUs are given:
/// --gpu-fixed-us 67 --gpu-image-us 1.39 are W(64) in bf16 on an H200 (results/gpu.md); --gpus 8 --within-gb 450 --between-gb 50 NVLink's bytes a direction and InfiniBand's 400 Gbit/s for each GPU,
/// at their peaks; --start-us 10 --within-us 1.9 --between-us 8.5 what NCCL reckons with for its rings and trees by LL128 when it chooses between them (src/graph/tuning.cc).
#include "parallel_ways.hpp"

#include <lamina/parallel/local_group.hpp>
#include <lamina/parallel/solo.hpp>
#if defined(LAMINA_BENCH_MPI)
#include <lamina/mpi.hpp>
#endif

#include <map>

#include "parallel_report.hpp"

using namespace lamina;

namespace {

/// What all ranks do together, with a communicator for each number of replicas of which this rank is one.
bench::Measured measure(const bench::ParallelWork& work, const std::vector<int>& counts, AnyCommunicator& all, std::map<int, AnyCommunicator>& groups, bool one_process) {
  const ProgramView<Cpu, float>& program = bench::model_of({.net = work.net, .mode = "train", .size = work.size, .batch = 1, .threads = 1}).model->program();
  bench::Measured m{work, bench::ways_of(work, counts), {}, {}, {}, program.parameters};
  m.buckets = bench::buckets(program, ParallelOptions().bucket);
  if (!work.rounds) return m;
  m.rounds.resize(m.ways.size());
  for (const int n : counts)
    if (n > 1) m.sums.push_back({n, {1, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20}, {}});

  std::map<int, bench::TimedCommunicator> timed;
  for (auto& [n, group] : groups) timed.emplace(n, group);
  std::vector<std::unique_ptr<bench::Training>> trainings;
  for (const bench::Way& way : m.ways) {
    trainings.emplace_back();
    if (all.rank() >= way.ranks()) continue;
    const ModelBase<Cpu>::Options options{.batch = way.batch, .seed = 1};
    if (way.one_model) trainings.back() = std::make_unique<bench::TrainingOf<ModelBase<Cpu>>>(nullptr, work, way.batch, program, options, Cpu(work.threads * way.replicas));
    else
      trainings.back() = std::make_unique<bench::TrainingOf<DataParallel<ModelBase<Cpu>>>>(
          &timed.at(way.replicas), work, way.batch, program, options, timed.at(way.replicas), ParallelOptions{.parallel = way.parallel, .bucket = way.overlap ? ParallelOptions().bucket : program.parameters}, Cpu(work.threads));
  }

  for (int round = -1; round < work.rounds; ++round) {       // one is to warm up
    for (std::size_t k = 0; k < m.ways.size(); ++k) {
      const std::size_t w = (k + std::size_t(round + 1)) % m.ways.size();
      all.barrier("the next way");
      if (!trainings[w]) continue;
      std::vector<bench::StepSeconds> steps;
      double begin = 0, worked = 0, busy = 0;
      for (int i = -2; i < work.steps; ++i) {                // two bring its memory back into the caches
        if (i == 0) begin = bench::now(), worked = bench::processor_seconds(), busy = bench::busy_seconds();
        const bench::StepSeconds s = trainings[w]->step();
        if (i >= 0) steps.push_back(s);
      }
      bench::StepSeconds mine, mean;
      for (const auto part : bench::step_seconds) mine.*part = bench::quantile(steps, part, 0.5);
      const int ranks = m.ways[w].ranks();
      begin = bench::now() - begin, worked = (bench::processor_seconds() - worked) * (one_process ? 1 : ranks), busy = bench::busy_seconds() - busy;
      mine.processor = worked / work.steps, mine.others = std::max(0.0, busy - worked) / (begin * double(sysconf(_SC_NPROCESSORS_ONLN)));
      std::vector<bench::StepSeconds> of_all(static_cast<std::size_t>(ranks));
      groups.at(ranks).all_gather(std::span(&mine, 1), of_all, "what a step took");
      for (const auto part : bench::step_seconds)
        for (const bench::StepSeconds& s : of_all) mean.*part += s.*part / ranks;
      if (round >= 0) m.rounds[w].push_back(mean);
    }
    for (bench::Sums& sums : m.sums) {
      all.barrier("the next sums");
      if (all.rank() >= sums.ranks) continue;
      AnyCommunicator& group = groups.at(sums.ranks);
      sums.rounds.emplace_back();
      for (const Index count : sums.counts) {
        std::vector<float> x(std::size_t(count), 1e-30f);
        const int times = int(std::clamp<Index>((1 << 18) / count, 3, 20));
        group.finish(group.begin(std::span(x), "to begin with"));
        const double begin = bench::now();
        for (int i = 0; i < times; ++i) group.finish(group.begin(std::span(x), "a sum"));
        sums.rounds.back().push_back((bench::now() - begin) / times);
      }
    }
  }
  all.barrier("the end");
  return m;
}

/// Of programs that mpirun started; 0: it did not.
int programs_started() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_SIZE"})
    if (const char* text = std::getenv(name); text && std::atoi(text) > 1) return std::atoi(text);
  return 0;
}

void run_threads(const bench::ParallelWork& work, const bench::Gpus& gpus) {
  const int most = work.replicas > 0 ? work.replicas : detail::Threads(0).count();
  std::vector<int> counts;
  for (int n = 1; n < most; n *= 2) counts.push_back(n);
  counts.push_back(most);
  const LocalGroupOptions patient{.deadline = 600};
  std::map<int, std::unique_ptr<LocalGroup>> inner;
  for (const int n : counts)
    if (n > 1) inner.emplace(n, std::make_unique<LocalGroup>(n, patient));
  LocalGroup(most, patient).run([&](auto& ranks) {
    guarded(ranks, [&] {
      Solo solo;
      AnyCommunicator all(ranks);
      std::map<int, AnyCommunicator> groups;
      groups.emplace(1, solo);
      for (auto& [n, group] : inner)
        if (all.rank() < n) groups.emplace(n, group->rank(all.rank()));
      const bench::Measured m = measure(work, counts, all, groups, true);
      if (all.rank() == 0) bench::report(m, "threads", gpus);
    });
  });
}

#if defined(LAMINA_BENCH_MPI)
void run_programs(const bench::ParallelWork& work, const bench::Gpus& gpus) {
  Mpi ranks({.deadline = 600});
  guarded(ranks, [&] {
    Solo solo;
    AnyCommunicator all(ranks);
    std::map<int, AnyCommunicator> groups;
    groups.emplace(1, solo), groups.emplace(ranks.size(), ranks);
    const bench::Measured m = measure(work, {1, ranks.size()}, all, groups, false);
    if (all.rank() == 0) bench::report(m, "MPI", gpus);
  });
}
#else
void run_programs(const bench::ParallelWork&, const bench::Gpus&) { throw Error("this is one of several programs that were started together, and it was built without MPI"); }
#endif

}  // namespace

int main(int argc, char** argv) try {
  bench::ParallelWork work;
  bench::Gpus gpus;
  bool understood = true;
  for (int i = 1; i < argc; ++i) {
    const auto is = [&](const char* option) { return !std::strcmp(argv[i], option) && i + 1 < argc; };
    const auto number = [&] { ++i; return bench::number(argv[i - 1], argv[i], 0.0, 1e9); };
    const auto count = [&](int least) { ++i; return bench::number(argv[i - 1], argv[i], least, 1 << 20); };
    if (is("--net")) work.net = argv[++i];
    else if (is("--size")) work.size = bench::size_of(argv[++i]);
    else if (is("--batch")) work.batch = bench::batch_of(argv[++i]);
    else if (is("--replicas")) work.replicas = count(0);
    else if (is("--threads")) work.threads = count(1);
    else if (is("--data")) work.data = argv[++i];
    else if (is("--steps")) work.steps = count(1);
    else if (is("--rounds")) work.rounds = count(0);
    else if (is("--csv")) work.csv = argv[++i];
    else if (is("--svg")) work.svg = argv[++i];
    else if (is("--markdown")) work.markdown = argv[++i];
    else if (is("--gpu-fixed-us")) gpus.compute.fixed = 1e-6 * number();
    else if (is("--gpu-image-us")) gpus.compute.sample = 1e-6 * number();
    else if (is("--gpus")) gpus.machines.ranks = count(0);
    else if (is("--start-us")) gpus.machines.start = 1e-6 * number();
    else if (is("--within-us")) gpus.machines.within.alpha = 1e-6 * number();
    else if (is("--within-gb")) gpus.machines.within.beta = 1e9 * number();
    else if (is("--between-us")) gpus.machines.between.alpha = 1e-6 * number();
    else if (is("--between-gb")) gpus.machines.between.beta = 1e9 * number();
    else understood = false;
  }
  if (!understood || (work.data != "memory" && work.data != "pictures"))
    return std::fprintf(stderr, "bench_parallel [--net leaf|vgg11|resnet18|mobilenetv2] [--size 64] [--batch 32] [--replicas 0] [--threads 1] [--data memory|pictures] [--steps 5] [--rounds 15]\n"
                                "               [--csv FILE] [--svg FILE] [--markdown FILE] [--gpu-fixed-us US] [--gpu-image-us US] [--gpus N]\n"
                                "               [--start-us US] [--within-us US] [--within-gb GB] [--between-us US] [--between-gb GB]\n"), 2;
  if (programs_started()) run_programs(work, gpus);
  else run_threads(work, gpus);
} catch (const Error& e) {
  return std::fprintf(stderr, "bench_parallel: %s\n", e.what()), 1;
}
