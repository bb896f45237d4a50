/// NCCL on hardware: a rank by itself on one GPU, and a thread for each GPU of this machine. It ends with 77 where there is no GPU.
#define DOCTEST_CONFIG_IMPLEMENT
#include "gpu.hpp"

#include <doctest/doctest.h>

#include <lamina/cuda/verbs.hpp>
#include <lamina/nccl.hpp>
#include <lamina/parallel.hpp>

#include "check_communicator.hpp"
#include "learned.hpp"

using namespace lamina;
using namespace lamina_test;

template class lamina::NcclRank<Cuda>;

namespace {
template <class T> std::vector<T> summed(NcclRank<Cuda>& rank, Cuda& gpu, const std::vector<T>& mine, bool exact) {
  std::vector<T> all(mine.size());
  const Buffer<Cuda, T> there(gpu, Index(mine.size()));
  gpu.upload(there.data(), mine.data(), there.bytes());
  rank.queued()->all_reduce(there.data(), there.count(), exact);
  gpu.download(all.data(), there.data(), there.bytes());
  return all;
}
template <class T> void check_gpu_sums(NcclRank<Cuda>& rank, Cuda& gpu) {
  for (const Index n : {Index(1), Index(17), Index(1001), Index(1) << 20}) {
    const std::vector<T> mine = numbers<T>(rank.rank(), n), tree = sums<T>(rank.size(), n), other = summed(rank, gpu, mine, false);
    CHECK(same_bits(summed(rank, gpu, mine, true), tree));
    double error = 0;
    for (std::size_t i = 0; i < other.size(); ++i) error = std::max(error, std::abs(double(other[i]) - double(tree[i])));
    CHECK(error < 0.1);
  }
}

template <class Net, class T> void check_one() {
  Model<Net, Gpu, T> one({.batch = 16, .seed = 1});
  const std::vector<float> expected = learned(one);
  for (const Parallel parallel : {Parallel::exact, Parallel::fast}) {
    Solo solo;
    Gpu gpu;
    NcclRank<Gpu> rank(solo, gpu, {.by_itself = true});
    DataParallel<Model<Net, Gpu, T>> model({.batch = 16, .seed = 1}, rank, {.parallel = parallel, .bucket = 1000}, gpu);
    CHECK(same_bits(learned(model), expected));
    CHECK(gpu.counters().replays == replayed);
  }
}
template <class Net, class T> void check_replicas() {
  Model<Net, Cuda, T> one({.batch = 16, .seed = 1});
  const std::vector<float> expected = learned(one);
  LocalGroup(Cuda::count()).run([&](auto& host) {
    Cuda gpu(host.rank());
    NcclRank<Cuda> rank(host, gpu);
    DataParallel<Model<Net, Cuda, T>> model({.batch = 16, .seed = 1}, rank, {.bucket = 1000}, gpu);
    CHECK(same_bits(learned(model), expected));
  });
}
}  // namespace

TEST_CASE("a rank by itself: its step is a graph with NCCL's sums in it") {
  check_one<LeafOfHalves, float>();
  check_one<LeafOfHalves, bf16>();
  check_one<NormsOfHalves, float>();
}
TEST_CASE("ranks that share a GPU are refused, and told why" ) {
  std::string said;
  try {
    LocalGroup(2, {.deadline = 20}).run([](auto& host) {
      Cuda gpu;
      NcclRank<Cuda> rank(host, gpu, {.deadline = 20});
    });
  } catch (const Error& e) {
    said = e.what();
  }
  MESSAGE(said);
  CHECK(said.find("each rank needs a GPU of its own") != std::string::npos);
}
TEST_CASE("sums of all GPUs, and a rank that does not come") {
  if (Cuda::count() < 2) return;
  LocalGroup(Cuda::count()).run([](auto& host) {
    Cuda gpu(host.rank());
    NcclRank<Cuda> rank(host, gpu);
    check_gpu_sums<float>(rank, gpu), check_gpu_sums<double>(rank, gpu);
  });
  CHECK_THROWS_AS(LocalGroup(Cuda::count(), {.deadline = 10}).run([](auto& host) {
    Cuda gpu(host.rank());
    NcclRank<Cuda> rank(host, gpu, {.deadline = 5});
    if (rank.rank() > 0) summed(rank, gpu, numbers<float>(rank.rank(), 100), true);
  }), Error);
}
TEST_CASE("replicas end with the bits of one model") {
  if (Cuda::count() < 2 || shares % Cuda::count() != 0) return;
  check_replicas<LeafOfHalves, float>();
  check_replicas<NormsOfHalves, bf16>();
}

int main(int argc, char** argv) {
  if (!Cuda::count()) return std::puts("skipped: this machine has no GPU that a driver knows of"), 77;
  return doctest::Context(argc, argv).run();
}
