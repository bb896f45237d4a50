/// A program for a GPU, which is content without one.
#include <lamina/cuda.hpp>

#include <cstdio>

struct Square { float* p; LAMINA_HD void operator()(lamina::Index i) const { p[i] *= p[i]; } };

int main() try {
  if (!lamina::Cuda::count()) return std::puts("no GPU"), 0;
  lamina::Cuda device;
  float three = 3;
  const lamina::Buffer<lamina::Cuda, float> memory(device, 1);
  device.upload(memory.data(), &three, sizeof three);
  parallel_for(device, 1, Square{memory.data()});
  device.download(&three, memory.data(), sizeof three);
  return three != 9;
} catch (const lamina::Error& e) {
  return std::fprintf(stderr, "%s\n", e.what()), 1;
}
