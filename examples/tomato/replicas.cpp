#include "replicas.hpp"

#include <algorithm>
#include <cstdlib>
#include <optional>

#if defined(LAMINA_TOMATO_MPI)
#include <lamina/mpi.hpp>
#endif
#if defined(LAMINA_WITH_NCCL)
#include <lamina/nccl.hpp>
#endif

#include "device.hpp"
#include "replica.hpp"

namespace tomato {

namespace {

/// A number that whoever started this program left in its environment; 0: nobody did.
int from_environment(std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (const char* text = std::getenv(name); text && std::atoi(text) > 0) return std::atoi(text);
  return 0;
}
/// How many programs mpirun has started, or srun, of which this is one.
int programs_started() { return from_environment({"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}); }

/// Threads of one of so many replicas on this machine.
int threads_of(const TrainSettings& s, int replicas_here) { return s.threads ? s.threads : std::max(1, lamina::detail::Threads(0).count() / std::max(1, replicas_here)); }

/// Place, counted from 0, and number of the replicas on this machine.
struct Here { int place, count; };

#if defined(__CUDACC__)
/// Through NCCL, where Lamina was built with it and every replica has a GPU of its own; else through the hosts.
template <class T> int train_on_gpu(const lamina::Cuda& gpu, T number, lamina::AnyCommunicator& rank, Here here, const Pictures& pictures, const TrainSettings& s, const std::string& command,
                                    lamina::StopOnSignal& signals) {
  const bool mine = here.count <= lamina::Cuda::count();
  std::vector<char> own(std::size_t(rank.size()));
  rank.all_gather(std::span(&mine, 1), own, "GPUs");
  const bool all = std::count(own.begin(), own.end(), 1) == rank.size();
  if (rank.rank() == 0 && !all) std::printf("note: replicas share GPUs: they learn the same, and no faster than one\n");
#if defined(LAMINA_WITH_NCCL)
  if (all) {
    lamina::Nccl through(rank, gpu, {.deadline = s.deadline});
    return train_replica(gpu, number, through, pictures, s, command, signals);
  }
#endif
  return train_replica(gpu, number, rank, pictures, s, command, signals);
}
#endif

int train_one(lamina::AnyCommunicator& rank, Here here, const Pictures& pictures, const TrainSettings& s, const std::string& command, lamina::StopOnSignal& signals) {
  return on_device(s, [&](auto device, auto number) {
#if defined(__CUDACC__)
    if constexpr (std::is_same_v<decltype(device), lamina::Cuda>) return train_on_gpu(device, number, rank, here, pictures, s, command, signals);
    else
#endif
      return train_replica(std::move(device), number, rank, pictures, s, command, signals);
  }, here.place);
}

/// What a program does before its replicas begin: of several programs the first one.
struct Prepared {
  lamina::FolderLock lock;
  Prepared(const TrainSettings& s, const Leaves& leaves) : lock((make_folder(s.out), s.out)) { say_what(leaves); }
};

int train_threads(const TrainSettings& s, const std::string& command) {
  TrainSettings of_replica = s;
  of_replica.threads = threads_of(s, s.replicas);
  Pictures pictures(s);
  const Prepared prepared(s, pictures.leaves);
  pictures.look_through(s);
  lamina::StopOnSignal signals;
  int code = 0;
  lamina::LocalGroup(s.replicas, {.deadline = s.deadline}).run([&](auto& ranks) {
    lamina::AnyCommunicator rank(ranks);
    const int mine = train_one(rank, {rank.rank(), rank.size()}, pictures, of_replica, command, signals);
    if (rank.rank() == 0) code = mine;
  });
  return code;
}

#if defined(LAMINA_TOMATO_MPI)
int train_programs(TrainSettings s, const std::string& command) {
  const Here here{from_environment({"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"}), from_environment({"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_TASKS_PER_NODE"})};
  s.threads = threads_of(s, here.count);
  lamina::Mpi ranks({.deadline = s.deadline});
  int code = 0;
  lamina::guarded(ranks, [&] {
    lamina::AnyCommunicator rank(ranks);
    Pictures pictures(s);
    std::optional<Prepared> prepared;
    if (rank.rank() == 0) prepared.emplace(s, pictures.leaves);
    pictures.look_through(s, rank.rank() == 0);
    lamina::StopOnSignal signals;
    code = train_one(rank, here, pictures, s, command, signals);
  });
  return code;
}
#else
int train_programs(const TrainSettings&, const std::string&) {
  throw lamina::Error("this is one of ", programs_started(), " programs that were started together, and it was built without MPI: build it where MPI is (on Debian: apt-get install libopenmpi-dev), or say --replicas");
}
#endif

}  // namespace

bool has_replicas(const TrainSettings& s) {
  const int programs = programs_started();
  if (programs > 1 && s.replicas > 1) throw lamina::Error("--replicas ", s.replicas, " are threads of one program, and ", programs, " programs were started together: say one or the other");
  if (programs <= 1 && s.replicas == 1) return false;
  if (!s.tune.empty()) throw lamina::Error("--tune with replicas: one by itself times kernels, and replicas would time each other's");
  return true;
}

int train_replicas(const TrainSettings& s, const std::string& command) { return programs_started() > 1 ? train_programs(s, command) : train_threads(s, command); }

}  // namespace tomato
