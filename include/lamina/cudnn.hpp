/// Everything a program on a GPU needs, with cuDNN as one more runner of convolutions: for a file that nvcc compiles, of a program that is linked with libcudnn (lamina::cudnn in CMake).
#pragma once
#include "cuda.hpp"
#include "cuda/cudnn.hpp"

namespace lamina {

/// lamina::Model<Net, lamina::CudaWithCudnn> is one with lamina::Cuda in every bit, until gpu.tune(file, lamina::Bits::any) lets cuDNN race.
using CudaWithCudnn = WithCudnn<Cuda>;

}  // namespace lamina
