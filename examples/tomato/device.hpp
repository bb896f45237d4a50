/// Where the trainer computes: on the CPU, or on a GPU in a program that nvcc compiled.
#pragma once
#include <lamina/lamina.hpp>
#if defined(__CUDACC__)
#include <lamina/cuda.hpp>
#endif

#include "settings.hpp"

namespace tomato {

/// f(device, T()) with the device and the numbers that the command line asks for.
template <class F> int on_device(const TrainSettings& s, F f) {
  if (s.device == "cpu" && s.precision == "fp32") return f(lamina::Cpu(s.threads), float());
  if (s.device == "cpu") throw lamina::Error("--precision ", s.precision, " is for --device cuda: the CPU computes in fp32");
#if defined(__CUDACC__)
  if (s.precision == "fp32") return f(lamina::Cuda(), float());
  return s.precision == "tf32" ? f(lamina::Cuda(), lamina::tf32()) : f(lamina::Cuda(), lamina::bf16());
#else
  throw lamina::Error("this program was built without CUDA: build it with cmake -DLAMINA_CUDA=ON where nvcc is, or train with --device cpu");
#endif
}

}  // namespace tomato
