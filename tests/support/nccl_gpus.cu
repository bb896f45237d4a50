/// The ranks of NCCL on hardware: a thread for each GPU of this machine. It ends with 77 where there are fewer than two.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <lamina/nccl.hpp>

#include "check_communicator.hpp"

using namespace lamina;
using namespace lamina_test;

template class lamina::NcclRank<Cuda>;

namespace {
template <class T> std::vector<T> summed(Nccl& rank, Cuda& gpu, const std::vector<T>& mine, bool exact) {
  std::vector<T> all(mine.size());
  const Buffer<Cuda, T> there(gpu, Index(mine.size()));
  gpu.upload(there.data(), mine.data(), there.bytes());
  rank.queued()->all_reduce(there.data(), there.count(), exact);
  gpu.download(all.data(), there.data(), there.bytes());
  return all;
}
template <class T> void check_gpu_sums(Nccl& rank, Cuda& gpu) {
  for (const Index n : {Index(1), Index(17), Index(1001), Index(1) << 20}) {
    const std::vector<T> mine = numbers<T>(rank.rank(), n), tree = sums<T>(rank.size(), n), other = summed(rank, gpu, mine, false);
    CHECK(same_bits(summed(rank, gpu, mine, true), tree));
    double error = 0;
    for (std::size_t i = 0; i < other.size(); ++i) error = std::max(error, std::abs(double(other[i]) - double(tree[i])));
    CHECK(error < 0.1);
  }
}
}  // namespace

TEST_CASE("sums of all GPUs of this machine, and a rank that does not come") {
  LocalGroup(Cuda::count()).run([](auto& host) {
    Cuda gpu(host.rank());
    Nccl rank(host, gpu);
    check_gpu_sums<float>(rank, gpu), check_gpu_sums<double>(rank, gpu);
  });
  CHECK_THROWS_AS(LocalGroup(Cuda::count(), {.deadline = 10}).run([](auto& host) {
    Cuda gpu(host.rank());
    Nccl rank(host, gpu, {.deadline = 5});
    if (rank.rank() > 0) summed(rank, gpu, numbers<float>(rank.rank(), 100), true);
  }), Error);
}

int main(int argc, char** argv) {
  if (Cuda::count() < 2) return std::puts("skipped: this machine has fewer than two GPUs that a driver knows of"), 77;
  return doctest::Context(argc, argv).run();
}
