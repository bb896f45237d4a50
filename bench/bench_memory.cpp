/// How much memory do training and prediction take, planned and measured?
/// bench_memory [--batch N]... [--threads 0] [--csv]    without --batch: 1 and 32, for every network of bench/networks
/// Planned, as the program of the network has it: parameters, as many gradients, state (batch norm's running values), the workspace of a training step and what it would be if
/// every tensor had a place of its own, the arena, and a predictor's workspace. Measured, each in a process of its own, which has the program, the threads and a batch of
/// pictures beside them: the most that was resident in three training steps by SGD with momentum (one more copy of the parameters), what was resident after three predictions,
/// when the model was gone, and the most before, when the predictor was made of it.
#include "networks/networks.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <set>

using namespace lamina;

namespace {

constexpr double mebibyte = 1 << 20;

/// Bytes.
struct Taken {
  double parameters = 0, gradients = 0, state = 0, workspace = 0, without_reuse = 0, arena = 0, predictor = 0;
  double train_peak = 0, predict = 0, predict_peak = 0;
};
constexpr const char* names[] = {"parameters", "gradients", "state", "workspace", "no reuse", "arena", "predictor", "train peak", "predict", "its peak"};
constexpr const char* fields[] = {"parameters", "gradients", "state", "training_workspace", "workspace_without_reuse", "arena", "predictor_workspace", "training_peak_rss",
                                  "prediction_rss", "prediction_peak_rss"};
constexpr double Taken::* numbers[] = {&Taken::parameters, &Taken::gradients, &Taken::state, &Taken::workspace, &Taken::without_reuse, &Taken::arena, &Taken::predictor, &Taken::train_peak, &Taken::predict,
                                     &Taken::predict_peak};

/// What a batch of a training step would take if no tensor had the place of another.
double without_reuse(const ProgramView<Cpu, float>& program, Index batch) {
  const PlanView& plan = program.training;
  std::set<int> ids{plan.y, plan.dy};
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    const Uses& u = plan.uses[i];
    ids.insert({u.x, u.y, u.z, u.dx, u.dy, u.dz, u.saved, u.codes, u.scratch});
  }
  double sum = 0;
  for (int id : ids)
    if (id > 0) sum += double(batch * plan.tensors[id].size);
  return sum;
}

Taken train(const bench::Work& work) {
  const bench::Made made = bench::model_of(work);
  auto& model = *made.model;
  const ProgramView<Cpu, float>& program = model.program();
  const double number = sizeof(float), batch = work.batch;
  Taken row{.parameters = number * double(program.parameters), .gradients = number * double(program.parameters), .state = number * double(program.state),
          .workspace = batch * double(program.training.bytes) + double(program.at_once * model.device().threads() * program.training.inner), .without_reuse = without_reuse(program, work.batch), .arena = double(model.device().arena_bytes()),
          .predictor = batch * double(made.inference.bytes)};
  const std::vector<float> x = bench::noise(work);
  std::vector<std::int32_t> label(std::size_t(work.batch));
  for (std::size_t i = 0; i < label.size(); ++i) label[i] = std::int32_t(i % bench::classes);
  OptimizerState<Sgd, Cpu, float> sgd(model.device(), {.momentum = bench::momentum}, program.parameters);
  for (int step = 0; step < 3; ++step) {
    model.forward_training({.n = work.batch, .x = x.data(), .label = label.data()});
    model.learn(sgd, bench::rate);
  }
  row.train_peak = bench::peak_rss_mb() * mebibyte;
  return row;
}

Taken predict(const bench::Work& work) {
  bench::Made made = bench::model_of(work);
  const bench::Predict predictor = made.predictor();
  made = {};
  const std::vector<float> x = bench::noise(work);
  for (int k = 0; k < 3; ++k) predictor(x.data(), work.batch);
  return {.predict = bench::rss_mb() * mebibyte, .predict_peak = bench::peak_rss_mb() * mebibyte};
}

/// f() in a process of its own, so that its memory is its own. This one has no threads, as fork() wants it.
template <class F> Taken in_own_process(const F& f) {
  int ends[2];
  if (pipe(ends) != 0) throw Error("there is no pipe to a process of its own");
  const pid_t child = fork();
  if (child == 0) {
    try {
      const Taken row = f();
      _exit(write(ends[1], &row, sizeof row) == ssize_t(sizeof row) ? 0 : 1);
    } catch (const Error& e) {
      std::fprintf(stderr, "bench_memory: %s\n", e.what());
      _exit(1);
    }
  }
  close(ends[1]);
  Taken row;
  const bool whole = child > 0 && read(ends[0], &row, sizeof row) == ssize_t(sizeof row);
  close(ends[0]);
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || !whole) throw Error("a process of its own came to no end");
  return row;
}

}  // namespace

int main(int argc, char** argv) try {
  std::vector<int> batches;
  int threads = 0;
  bool csv = false;
  for (int i = 1; i < argc; ++i) {
    const auto is = [&](const char* option) { return !std::strcmp(argv[i], option) && i + 1 < argc; };
    if (is("--batch")) batches.push_back(bench::batch_of(argv[++i]));
    else if (is("--threads")) threads = bench::threads_of(argv[++i]);
    else if (!std::strcmp(argv[i], "--csv")) csv = true;
    else return std::fprintf(stderr, "bench_memory [--batch N]... [--threads 0] [--csv]\n"), 2;
  }
  if (batches.empty()) batches = {1, 32};

  std::printf(csv ? "net,size,batch" : "%-28s", "MiB");
  for (const char* name : csv ? fields : names) std::printf(csv ? ",%s" : " %10s", name);
  std::printf("\n");
  constexpr struct { const char* net; int size; } networks[] = {{"leaf", 64}, {"leaf", 128}, {"leaf", 256}, {"vgg11", 64}, {"resnet18", 64}, {"mobilenetv2", 64}};
  for (const auto& [net, size] : networks)
    for (int batch : batches) {
      std::fflush(stdout);               // before fork(), so that it is printed once
      const bench::Work work{.net = net, .mode = "train", .size = size, .batch = batch, .threads = threads};
      Taken row = in_own_process([&] { return train(work); });
      const Taken prediction = in_own_process([&] { return predict(work); });
      row.predict = prediction.predict, row.predict_peak = prediction.predict_peak;
      if (csv) std::printf("%s,%d,%d", net, size, batch);
      else std::printf("%-12s %4d, batch %-4d", net, size, batch);
      for (double Taken::* number : numbers) std::printf(csv ? ",%.0f" : " %10.1f", row.*number / (csv ? 1 : mebibyte));
      std::printf("\n");
    }
  if (!csv) std::printf("a process that has done nothing: %.1f\n", bench::rss_mb());
} catch (const Error& e) {
  return std::fprintf(stderr, "bench_memory: %s\n", e.what()), 1;
}
