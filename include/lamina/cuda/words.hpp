/// The words that kernels are written in. nvcc gives them the meaning of the GPU; for any other compiler somebody must have given them one before: the tests of the library do,
/// whose emulator runs the very same kernels on the host.
#pragma once

#if defined(__CUDACC__)
#include "gpu_words.hpp"
#elif !defined(LAMINA_SIMT)
#error "lamina/cuda: kernels are compiled by nvcc (name the file .cu, or give nvcc -x cu)"
#endif
