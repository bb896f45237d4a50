/// Which tiles suit a GPU? Races configurations of each kernel of the blocks of LeafNet, each alone: bench_gpu_tiles [F1 F2 ...]
#include "tiles/race.hpp"

int main() {
  cudaDeviceProp p;
  tiles::check(cudaGetDeviceProperties(&p, 0), "cudaGetDeviceProperties");
  std::printf("%s, %d multiprocessors\n", p.name, p.multiProcessorCount);
  const int rows[][2] = {{64, 64}, {64, 256}, {256, 256}};
  for (const auto& [size, batch] : rows) tiles::race_first(size, batch), tiles::race_forward(size, batch), tiles::race_data(size, batch), tiles::race_weights(size, batch);
  std::printf("\nBest\n");
  const auto& all = tiles::results();
  for (const auto& r : all) {
    bool best = r.right;
    for (const auto& o : all) best &= !(o.kernel == r.kernel && o.size == r.size && o.batch == r.batch && o.right && o.us < r.us);
    if (best) std::printf("%-8s %4d %4d  %-64s %9.2f us %7.1f TFLOP/s\n", r.kernel.c_str(), r.size, r.batch, r.config.c_str(), r.us, r.tflops);
  }
}
