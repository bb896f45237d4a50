/// One of several ranks, for tests/parallel/mpi.sh: mpirun -np N mpi_ranks WAY [DEADLINE]. `contract` checks what a communicator has to keep; all other ways go wrong in rank 1, some of them
/// before it has come to its Mpi: those whose names begin with "begun" once MPI itself has begun.
#define DOCTEST_CONFIG_IMPLEMENT
#include <lamina/mpi.hpp>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "check_communicator.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
Mpi* ranks = nullptr;

/// Before this process is a rank.
void come_to_mpi(const std::string& way) {
  const auto is_rank_1 = [](const char* name) { return std::getenv(name) && std::string(std::getenv(name)) == "1"; };
  bool wrong = is_rank_1("OMPI_COMM_WORLD_RANK") || is_rank_1("PMI_RANK");
  if (way.starts_with("begun")) {
    int threads = 0, rank = 0;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &threads);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    wrong = rank == 1;
  }
  if (wrong && way.ends_with("late")) std::this_thread::sleep_for(std::chrono::seconds(1));
  while (wrong && way.ends_with("never")) std::this_thread::sleep_for(std::chrono::seconds(1));
}
/// Steps of computing and adding up, until rank 1 does something at step 7. `alone`: while the others compute.
void steps(Mpi& mpi, int signal, bool alone) {
  std::vector<float> x(20'000, 1.0f);
  for (int step = 0; step < 1'000'000; ++step) {
    if (mpi.rank() == 1 && step == 7) {
      std::this_thread::sleep_for(std::chrono::milliseconds(400));      // the others are where they should be
      std::raise(signal);
    }
    if (mpi.rank() != 1 && step == 7 && alone) std::this_thread::sleep_for(std::chrono::seconds(30));
    mpi.begin(std::span(x), "gradients of step " + std::to_string(step));
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    mpi.finish();
  }
}
void run(Mpi& mpi, const std::string& way) {
  if (way == "killed") steps(mpi, SIGKILL, false);
  else if (way == "killed while they compute") steps(mpi, SIGKILL, true);
  else if (way.ends_with("late")) mpi.barrier("all have come");
  else if (way == "stopped") steps(mpi, SIGSTOP, false);
  else if (way == "throws while they compute") go_wrong(mpi, "throws", 1);
  else go_wrong(mpi, way);
}
}  // namespace

TEST_CASE("processes keep the contract") {
  check_contract(*ranks);
  check_sums<float>(*ranks, 300'003);      // more than travels at a time
  std::vector<double> x = numbers<double>(ranks->rank(), 150'001), all(std::size_t(ranks->size()) * x.size());
  ranks->all_gather(x, all, "many numbers");
  for (int r = 0; r < ranks->size(); ++r) CHECK(std::equal(all.begin() + r * 150'001, all.begin() + (r + 1) * 150'001, numbers<double>(r, 150'001).begin()));
  ranks->broadcast(x, ranks->size() - 1, "many numbers");
  CHECK(same_bits(x, numbers<double>(ranks->size() - 1, 150'001)));
}

int main(int argc, char** argv) {
  const std::string way = argc > 1 ? argv[1] : "contract";
  if (way == "killed") std::signal(SIGTERM, SIG_IGN);      // as a program does that handles the signal by itself
  try {
    come_to_mpi(way);
    {
      Mpi mpi({.deadline = argc > 2 ? std::stod(argv[2]) : 60});
      if (way == "contract") {
        ranks = &mpi;
        return doctest::Context(1, argv).run();
      }
      guarded(mpi, [&] { run(mpi, way); });
    }
    if (way.starts_with("begun")) MPI_Finalize();
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
  } catch (...) {
    std::fprintf(stderr, "something else\n");
  }
  return 1;
}
