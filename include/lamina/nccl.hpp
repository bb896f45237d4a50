/// Ranks that are GPUs, which talk to each other through NVIDIA's NCCL: for a file that nvcc compiles, of a program that is linked with libnccl (lamina::nccl in CMake).
#pragma once
#include "cuda.hpp"
#include "parallel.hpp"
#include "parallel/nccl.hpp"

namespace lamina {

/// lamina::Mpi process;                                                        // or lamina::LocalGroup, of a thread for each GPU of this machine
/// lamina::Cuda gpu(process.rank() % lamina::Cuda::count());
/// lamina::Nccl rank(process, gpu);
/// lamina::DataParallel<lamina::Model<LeafNet, lamina::Cuda>> model({.batch = 64, .seed = 1}, rank, {}, gpu);
using Nccl = NcclRank<Cuda>;

}  // namespace lamina
