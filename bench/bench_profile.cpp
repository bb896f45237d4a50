/// Where does the time of a training step go, and how far is each part from the roofs?
/// bench_profile [--net leaf|vgg11|resnet18|mobilenetv2] [--size 64] [--batch 32] [--threads 0] [--seconds 3] [--csv]
/// Forward and backward of every step of the network, in turn, a whole batch at a time and every tensor in memory of its own, then SGD with momentum for all parameters: the
/// medians of many turns. bench_train times the same work as fit() runs it, where tensors share memory and a dense layer is updated while its gradients are at hand. The loss
/// is left out. Operations are those of the direct formulas, of which Winograd's does fewer; bytes are those of the step's tensors, each once. What lies in a cache is not
/// brought from memory. So either share may be above 100 %.
#include "networks/networks.hpp"

using namespace lamina;

namespace {

/// One line of the table: `run` is timed.
struct Part {
  const char* pass;
  std::string name, shapes;
  double flops, bytes;                     // of a batch
  std::function<void()> run;
  std::vector<double> seconds = {};
  double median() {
    std::sort(seconds.begin(), seconds.end());
    return seconds[seconds.size() / 2];
  }
};

void print(const Part& part, double seconds, double whole, int threads, const bench::Work& work, double fma, double memory) {
  const char* const form = work.listed ? "%s,\"%s\",%s,%.6f,%.4f,%.3f,%.3f,%.4f,%.3f,%.4f\n" : "%-8s  %-44s  %-26s %9.3f %6.1f %9.2f %9.1f %6.0f %8.1f %6.0f\n";
  const double percent = work.listed ? 1 : 100;
  std::printf(form, part.pass, part.name.c_str(), part.shapes.c_str(), 1e3 * seconds, percent * seconds / whole, 1e6 * seconds * threads / work.batch, part.flops / seconds / 1e9,
              percent * part.flops / seconds / fma, part.bytes / seconds / 1e9, percent * part.bytes / seconds / memory);
}

}  // namespace

int main(int argc, char** argv) try {
  const bench::Work work = bench::Work::of("bench_profile", "train", argc, argv, "--csv");
  bench::Made made = bench::model_of(work);
  bench::Parts parts(made.model->program(), work.batch, Cpu(work.threads));
  made = {};                               // only its program is needed
  Cpu& device = parts.device();
  const Index parameters = parts.program().parameters;
  OptimizerState<Sgd, Cpu, float> sgd(device, {.momentum = bench::momentum}, parameters);

  std::vector<Part> table;
  for (std::size_t i = 0; i < parts.count(); ++i)
    if (parts.has_forward(i)) table.push_back({"forward", parts.name(i), parts.shapes(i), parts.flops(i, false), parts.bytes(i, false), [&, i] { parts.forward(i); }});
  for (std::size_t i = parts.count(); i-- > 0;)
    if (parts.has_backward(i)) table.push_back({"backward", parts.name(i), parts.shapes(i), parts.flops(i, true), parts.bytes(i, true), [&, i] { parts.backward(i); }});
  table.push_back({"update", "SGD with momentum", std::to_string(parameters), 4 * double(parameters), 6 * 4 * double(parameters), [&] {
    sgd.step(parts.parameters(), parts.gradients(), 0);    // at a rate of 0 the network stays what it is
    parallel_for(device, parameters, detail::Zero<float>{parts.gradients()});
  }});

  const auto now = [] { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); };
  double begin = 0;
  for (int turn = -2; turn < 3 || now() - begin < work.seconds; ++turn) {    // two are to warm up
    if (turn == 0) begin = now();
    for (Part& part : table) {
      const double start = now();
      part.run();
      if (turn >= 0) part.seconds.push_back(now() - start);
    }
  }

  const double fma = bench::fma_roof(device);
  const bench::MemoryRoof memory = bench::memory_roof(device);
  Part sum{"step", "", "", 0, 0, {}};
  double whole = 0;
  for (Part& part : table) whole += part.median(), sum.flops += part.flops, sum.bytes += part.bytes;
  if (work.listed) std::printf("pass,step,shapes,ms,share_of_time,core_us_per_image,gflop_per_s,share_of_fma_roof,gb_per_s,share_of_memory_roof\n");
  else
    std::printf("%s %d x %d, batch %d, threads %d, median of %zu\nroofs: %.1f GFLOP/s; memory %.1f GB/s (read %.1f, triad %.1f, arrays of %.2f GB)\n\n%-8s  %-44s  %-26s %9s %6s %9s %9s %6s %8s %6s\n",
                work.net.c_str(), work.size, work.size, work.batch, device.threads(), table[0].seconds.size(), fma / 1e9, memory.most() / 1e9, memory.read / 1e9,
                memory.triad / 1e9, memory.array_bytes / 1e9, "pass", "step", "shapes", "ms", "% time", "us/image*", "GFLOP/s", "% FMA", "GB/s", "% mem");
  for (Part& part : table) print(part, part.median(), whole, device.threads(), work, fma, memory.most());
  print(sum, whole, whole, device.threads(), work, fma, memory.most());
  if (!work.listed) std::printf("\n%.1f images/s    * microseconds of one core: the time of all threads\n", work.batch / whole);
} catch (const Error& e) {
  return std::fprintf(stderr, "bench_profile: %s\n", e.what()), 1;
}
