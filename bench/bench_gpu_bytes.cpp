/// How many bytes of device memory does a training step move on a GPU, and how many must it?
/// bench_gpu_bytes [--size 64|128|256]
/// No GPU is needed: tests/support/emulator runs the kernels and counts distinct 32-byte sectors. A step is that of bench_gpu: W(S, B), bf16, cross-entropy, all gradients and Adam. Times
/// are predictions, not measurements: what moving those bytes, and the direct work on tensor cores, would take at the rates that the makers of the GPUs state.
#include "../tests/support/launches.hpp"
#include <lamina/cuda/verbs.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "networks/leaf.hpp"
#include "parts.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
struct Roof { const char* gpu; double bytes, flops; };         // a second
constexpr Roof roofs[] = {{"A100", 2.0e12, 312e12}, {"H100", 3.35e12, 990e12}, {"H200", 4.8e12, 990e12}};
constexpr Index batches[] = {64, 256};

double bytes(const LaunchBytes& l) { return l.read + l.written; }

template <int Size> void print() {
  using Net = bench::Leaf<Size>;
  const auto& program = Program<Net, Itemised, bf16>::view;
  const IdealBytes ideal = ideal_bytes(program);
  double flops = 0;
  for (const auto& r : program.steps) flops += bench::direct_flops(r, false) + bench::direct_flops(r, true);
  const CarriedSteps steps = CarriedSteps::of<Net>();
  const std::vector<LaunchBytes> some = steps.with<Net>(batches[0]), many = steps.with<Net>(batches[1]);

  std::printf("\n## W(%d, B)\n\n%lld parameters. The ideal plan: %.0f bytes a sample and %.1f MB.\n\n", Size, static_cast<long long>(program.parameters), ideal.of_sample, 1e-6 * ideal.of_parameters);
  std::printf("| batch | launches | read, MB | written, MB | moved | ideal plan | ratio | GFLOP |");
  for (const Roof& r : roofs) std::printf(" %s: memory, tensor cores, us |", r.gpu);
  std::printf("\n|---|---|---|---|---|---|---|---|---|---|---|\n");
  for (const auto* launches : {&some, &many}) {
    const Index n = launches == &some ? batches[0] : batches[1];
    double read = 0, written = 0;
    bool counted = true;
    for (const LaunchBytes& l : *launches) read += l.read, written += l.written, counted = counted && l.counted;
    if (!counted) throw Error("a launch of this step is a functor, whose bytes nobody counts");
    const double must = ideal.of_sample * double(n) + ideal.of_parameters;
    std::printf("| %d | %zu | %.1f | %.1f | %.1f | %.1f | %.3f | %.1f |", int(n), launches->size(), 1e-6 * read, 1e-6 * written, 1e-6 * (read + written), 1e-6 * must, (read + written) / must,
                1e-9 * flops * double(n));
    for (const Roof& r : roofs) std::printf(" %.0f, %.0f |", 1e6 * (read + written) / r.bytes, 1e6 * flops * double(n) / r.flops);
    std::printf("\n");
  }
  std::printf("\n| launch | blocks | read, MB | written, MB | moved with 256, MB | a sample, KB |\n|---|---|---|---|---|---|\n");
  for (std::size_t i = 0; i < some.size(); ++i) {
    const LaunchBytes& l = some[i];
    std::printf("| `%s` | %d | %.2f | %.2f | ", l.kernel.c_str(), int(l.blocks), 1e-6 * l.read, 1e-6 * l.written);
    if (some.size() == many.size()) std::printf("%.2f | %.1f |\n", 1e-6 * bytes(many[i]), 1e-3 * (bytes(many[i]) - bytes(l)) / double(batches[1] - batches[0]));
    else std::printf("| |\n");
  }
  std::fflush(stdout);
}
}  // namespace

int main(int argc, char** argv) try {
  const int size = argc == 3 && !std::strcmp(argv[1], "--size") ? std::atoi(argv[2]) : 0;
  if (argc > 1 && size != 64 && size != 128 && size != 256) throw Error("bench_gpu_bytes [--size 64|128|256]");
  if (!size || size == 64) print<64>();
  if (!size || size == 128) print<128>();
  if (!size || size == 256) print<256>();
} catch (const std::exception& e) {
  return std::fprintf(stderr, "bench_gpu_bytes: %s\n", e.what()), 1;
}
