/// Several ranks of NCCL on one GPU: each is a process that says it is another machine, so that NCCL, which refuses two ranks on one GPU of a machine, takes them and sends what they say through
/// sockets. It ends with 77 where there is no GPU.
#define DOCTEST_CONFIG_DISABLE
#include <lamina/cuda/verbs.hpp>
#include <lamina/nccl.hpp>
#include <lamina/parallel.hpp>

#include <csignal>

#include "check_communicator.hpp"
#include "learned.hpp"
#include "forked_ranks.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
void require(bool holds, const char* what) {
  if (!holds) throw Error("not so: ", what);
}
void as_a_machine_of_its_own(int rank) {
  setenv("NCCL_HOSTID", std::to_string(rank).c_str(), 1);
  setenv("NCCL_SOCKET_IFNAME", "lo", 0);
  setenv("NCCL_IB_DISABLE", "1", 0);
}
template <class T> void check_sums(NcclRank<Cuda>& rank, Cuda& gpu) {
  for (const Index n : {Index(1), Index(17), Index(1001), Index(1) << 20})
    for (const bool exact : {true, false}) {
      std::vector<T> x = numbers<T>(rank.rank(), n);
      const std::vector<T> tree = sums<T>(rank.size(), n);
      const Buffer<Cuda, T> there(gpu, n);
      gpu.upload(there.data(), x.data(), there.bytes());
      rank.queued()->all_reduce(there.data(), n, exact);
      gpu.download(x.data(), there.data(), there.bytes());
      double error = 0;
      for (std::size_t i = 0; i < x.size(); ++i) error = std::max(error, std::abs(double(x[i]) - double(tree[i])));
      require(exact ? same_bits(x, tree) : error < 0.1, exact ? "exact sums have the bits of the tree" : "other sums are near");
    }
}
template <class Net, class T> void check_replicas(ForkedRank& host) {
  Model<Net, Cuda, T> one({.batch = 16, .seed = 1});
  const std::vector<float> expected = learned(one);
  Cuda gpu;
  NcclRank<Cuda> rank(host, gpu);
  DataParallel<Model<Net, Cuda, T>> model({.batch = 16, .seed = 1}, rank, {.bucket = 1000}, gpu);
  require(same_bits(learned(model), expected), "replicas end with the bits of one model");
}
bool all_well(int ranks) {
  const auto ended = in_processes(ranks, [](ForkedRank& host) {
    as_a_machine_of_its_own(host.rank());
    {
      Cuda gpu;
      NcclRank<Cuda> rank(host, gpu);
      check_sums<float>(rank, gpu), check_sums<double>(rank, gpu);
    }
    check_replicas<LeafOfHalves, float>(host);
    check_replicas<NormsOfHalves, bf16>(host);
  });
  bool well = true;
  for (int r = 0; r < ranks; ++r) well = well && ended[std::size_t(r)] == 0;
  std::printf("%d ranks: %s\n", ranks, well ? "exact sums, other sums, and replicas with the bits of one model, their steps graphs" : "FAILED");
  return well;
}
/// The last rank dies: the other ends with an error, and does not wait for ever.
bool a_rank_dies() {
  const auto begin = std::chrono::steady_clock::now();
  const auto ended = in_processes(2, [](ForkedRank& host) {
    as_a_machine_of_its_own(host.rank());
    Cuda gpu;
    NcclRank<Cuda> rank(host, gpu, {.deadline = 10});
    check_sums<float>(rank, gpu);
    if (rank.rank() == 1) std::raise(SIGKILL);
    check_sums<float>(rank, gpu);
  });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const bool well = ended[0] == 1 && ended[1] == 128 + SIGKILL && seconds < 60;
  std::printf("a rank is killed: the other ended with %d, %.1f s after both had begun: %s\n", ended[0], seconds, well ? "as it should" : "FAILED");
  return well;
}
}  // namespace

int main() {
  const auto gpus = in_processes(1, [](ForkedRank&) { require(Cuda::count() > 0, "this machine has a GPU that a driver knows of"); });      // not here: what forks has no use for a GPU
  if (gpus[0] != 0) return std::puts("skipped"), 77;
  const bool well = all_well(2) & all_well(4) & a_rank_dies();
  return well ? 0 : 1;
}
