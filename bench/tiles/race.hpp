/// What the races of tiles share: one kernel in several configurations, each alone on the GPU, its result beside the first one's.
#pragma once
#include <lamina/cuda/cuda.hpp>
#include <lamina/cuda/slab_sum.hpp>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

namespace tiles {

using namespace lamina;

inline void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) std::printf("%s: %s\n", what, cudaGetErrorString(status)), std::exit(1);
}

__global__ inline void fill(std::uint32_t* p, std::size_t n, unsigned seed, int kind) {
  for (std::size_t i = blockIdx.x * std::size_t(blockDim.x) + threadIdx.x; i < n; i += std::size_t(gridDim.x) * blockDim.x) {
    std::uint64_t z = (i + 1) * 0x9E3779B97F4A7C15u + seed * 0xD1B54A32D192ED03u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u, z = (z ^ z >> 27) * 0x94D049BB133111EBu, z ^= z >> 31;
    std::uint32_t word = 0;
    if (kind == 0)       // two bf16 in (-1, 1)
      for (int e = 0; e < 2; ++e) word |= unsigned(kernels::to_bf16(float(int(z >> 20 * e & 0xFFFF) - 32768) / 32768)) << 16 * e;
    else if (kind == 1)  // four codes
      for (int e = 0; e < 4; ++e) word |= (z >> 8 * e & 7) < 4 || (z >> 8 * e & 7) == 7 ? unsigned(z >> 8 * e & 3) << 8 * e : 255u << 8 * e;
    else word = __float_as_uint(float(int(z & 0xFFFF) - 32768) / 32768);
    p[i] = word;
  }
}
/// Words that differ, and of floats the largest difference in millionths of 1 + |value|.
__global__ inline void differ(const std::uint32_t* a, const std::uint32_t* b, std::size_t n, bool floats, unsigned long long* result) {
  for (std::size_t i = blockIdx.x * std::size_t(blockDim.x) + threadIdx.x; i < n; i += std::size_t(gridDim.x) * blockDim.x) {
    if (a[i] != b[i] && !floats) atomicAdd(result, 1ull);
    if (!floats) continue;
    const float u = __uint_as_float(a[i]), v = __uint_as_float(b[i]), d = 1e6f * fabsf(u - v) / (1 + fabsf(v));
    atomicMax(result, d < 1e15f ? static_cast<unsigned long long>(d) : 1000000000000000ull);
  }
}

class Words {
 public:
  Words() = default;
  explicit Words(std::size_t bytes) : n_((bytes + 3) / 4) { check(cudaMalloc(&p_, n_ * 4 + 64), "cudaMalloc"); }
  Words(std::size_t bytes, unsigned seed, int kind) : Words(bytes) { fill<<<2048, 256>>>(p_, n_, seed, kind); }
  Words(Words&& o) noexcept : p_(std::exchange(o.p_, nullptr)), n_(o.n_) {}
  Words& operator=(Words&& o) noexcept { return std::swap(p_, o.p_), std::swap(n_, o.n_), *this; }
  ~Words() { cudaFree(p_); }
  template <class T> T* as() const { return reinterpret_cast<T*>(p_); }
  std::size_t size() const { return n_; }
  void set(int byte) { cudaMemset(p_, byte, n_ * 4); }
  void copy(const Words& o) { cudaMemcpy(p_, o.p_, n_ * 4, cudaMemcpyDeviceToDevice); }

 private:
  std::uint32_t* p_ = nullptr;
  std::size_t n_ = 0;
};

struct Result { std::string kernel, config; int size, batch; double us, tflops; bool right; };
inline std::vector<Result>& results() {
  static std::vector<Result> all;
  return all;
}

/// One kernel of one layer; its configurations write to `out`.
class Race {
 public:
  Race(std::string kernel, int size, int batch, double flops, std::vector<Words*> out, bool floats) : kernel_(std::move(kernel)), size_(size), batch_(batch), flops_(flops), out_(std::move(out)), floats_(floats) {}
  const std::string& kernel() const { return kernel_; }

  /// Prepares one kernel; false if the GPU cannot have a block of it.
  template <class K, class... A> static bool fits(int& registers, int& resident) {
    auto* const entry = &kernels::entry<K, A...>;
    cudaFuncAttributes a{};
    check(cudaFuncGetAttributes(&a, entry), "cudaFuncGetAttributes");
    registers = a.numRegs, resident = 0;
    if (cudaFuncSetAttribute(entry, cudaFuncAttributeMaxDynamicSharedMemorySize, K::shared_bytes) != cudaSuccess) return cudaGetLastError(), false;
    check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, entry, K::threads, K::shared_bytes), "occupancy");
    return resident > 0;
  }
  template <class K, class... A> static double time(Grid g, A... a) {
    constexpr int turns = 20;
    cudaEvent_t event[turns + 1];
    for (auto& e : event) check(cudaEventCreate(&e), "cudaEventCreate");
    for (int i = -3; i < turns; ++i) {
      if (i >= 0) cudaEventRecord(event[i]);
      kernels::entry<K, A...><<<dim3(unsigned(g.x), unsigned(g.y), unsigned(g.z)), K::threads, K::shared_bytes>>>(a...);
    }
    cudaEventRecord(event[turns]);
    check(cudaDeviceSynchronize(), "kernel");
    std::vector<float> ms(turns);
    for (int i = 0; i < turns; ++i) cudaEventElapsedTime(&ms[std::size_t(i)], event[i], event[i + 1]);
    for (auto& e : event) cudaEventDestroy(e);
    std::sort(ms.begin(), ms.end());
    return 1e3 * ms[turns / 2];
  }
  void report(const std::string& config, double us, int registers, int resident, bool checked = true) {
    char verdict[64] = "";
    bool right = true;
    if (checked) {
      Words result(8);
      result.set(0);
      if (reference_.empty())
        for (Words* o : out_) reference_.emplace_back(o->size() * 4), reference_.back().copy(*o), std::snprintf(verdict, sizeof verdict, "first");
      else {
        for (std::size_t i = 0; i < out_.size(); ++i) differ<<<1024, 256>>>(out_[i]->as<std::uint32_t>(), reference_[i].as<std::uint32_t>(), out_[i]->size(), floats_, result.as<unsigned long long>());
        unsigned long long n = 0;
        check(cudaMemcpy(&n, result.as<void>(), 8, cudaMemcpyDeviceToHost), "compare");
        right = floats_ ? n < 2000 : n == 0;
        std::snprintf(verdict, sizeof verdict, floats_ ? "%s, to %llu millionths" : "%s, %llu words differ", right ? "same" : "WRONG", n);
      }
    }
    const double tflops = 1e-6 * flops_ / us;
    std::printf("%-8s %4d %4d  %-64s %9.2f us %7.1f TFLOP/s %4d registers %2d blocks  %s\n", kernel_.c_str(), size_, batch_, config.c_str(), us, tflops, registers, resident, verdict);
    std::fflush(stdout);
    results().push_back({kernel_, config, size_, batch_, us, tflops, right});
  }
  /// A kernel that makes the result by itself.
  template <class K, class... A> void run(const std::string& config, Grid g, A... a) {
    int registers = 0, resident = 0;
    if (!fits<K, A...>(registers, resident)) return std::printf("%-8s %4d %4d  %-64s does not fit\n", kernel_.c_str(), size_, batch_, config.c_str()), void();
    for (Words* o : out_) o->set(0xFF);
    const double us = time<K>(g, a...);
    report(config, us, registers, resident);
  }

 private:
  std::string kernel_;
  int size_, batch_;
  double flops_;
  std::vector<Words*> out_;
  bool floats_;
  std::vector<Words> reference_;
};

inline std::string words(std::initializer_list<std::pair<const char*, int>> all) {
  std::string s;
  for (const auto& [name, value] : all) s += std::string(name) + " " + std::to_string(value) + ", ";
  return s.substr(0, s.size() - 2);
}
inline double flops(kernels::Extent e) { return 2.0 * 9 * e.n * e.h * e.w * e.c * e.k; }
inline std::size_t pixels(kernels::Extent e) { return std::size_t(e.n) * std::size_t(e.h) * std::size_t(e.w); }

/// Extents of LeafNet's block 1, 2 or 3.
inline kernels::Extent block(int number, int size, int batch) {
  const int side = size >> (number - 1);
  return number == 1 ? kernels::Extent{batch, side, side, 3, 32} : number == 2 ? kernels::Extent{batch, side, side, 32, 64} : kernels::Extent{batch, side, side, 64, 128};
}
inline int tiles_of(int pixels, int tile) { return (pixels + tile - 1) / tile; }

void race_first(int size, int batch);
void race_forward(int size, int batch);
void race_data(int size, int batch);
void race_weights(int size, int batch);

}  // namespace tiles
