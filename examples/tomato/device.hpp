/// Where the trainer computes: on the CPU, or on a GPU in a program that nvcc compiled.
#pragma once
#include <lamina/lamina.hpp>
#if defined(__CUDACC__)
#include <lamina/cuda.hpp>

#include <algorithm>
#include <cstdio>
#include <memory>
#endif

#include "printable.hpp"
#include "settings.hpp"

namespace tomato {

/// f(device, T()) with the device and the numbers that the command line asks for. Of several GPUs of this machine it is the place-th, going round.
template <class Settings, class F> auto on_device(const Settings& s, F f, [[maybe_unused]] int place = 0) {
  if (s.device == "cpu" && !s.tune.empty()) throw lamina::Error("--tune is for --device cuda: the CPU has one kernel for each work");
  if (s.device == "cpu" && s.precision == "fp32") return f(lamina::Cpu(s.threads), float());
  if (s.device == "cpu") throw lamina::Error("--precision ", s.precision, " is for --device cuda: the CPU computes in fp32");
#if defined(__CUDACC__)
  lamina::Cuda gpu(place % std::max(lamina::Cuda::count(), 1));
  const auto races = s.tune.empty() ? nullptr : std::make_shared<lamina::TuningFile>(s.tune);
  if (races) gpu.tune(races);
  auto answer = s.precision == "fp32" ? f(gpu, float()) : s.precision == "tf32" ? f(gpu, lamina::tf32()) : f(gpu, lamina::bf16());
  if (races && !races->problem().empty()) std::fprintf(stderr, "tomato: the next run will have to time kernels again: %s\n", printable(races->problem()).c_str());
  return answer;
#else
  throw lamina::Error("this program was built without CUDA: build it with cmake -DLAMINA_CUDA=ON where nvcc is, or say --device cpu");
#endif
}

}  // namespace tomato
