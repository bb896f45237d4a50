/// Everything a program on the CPU and a GPU needs: for a file that nvcc compiles.
#pragma once
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#error "Lamina's kernels need a GPU of compute capability 8.0 or later: with CMake set CMAKE_CUDA_ARCHITECTURES, else give nvcc -arch=native or -arch=sm_80"
#endif
#include "cuda/cuda.hpp"
#include "cuda/verbs.hpp"
#include "lamina.hpp"
#include "io/tuning_file.hpp"
