#include "replicas.hpp"

#include <cstdlib>
#include <optional>

#include <lamina/parallel.hpp>
#if defined(LAMINA_TOMATO_MPI)
#include <lamina/mpi.hpp>
#endif

#include "training.hpp"

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

lamina::ParallelOptions parallel(const TrainSettings& s) {
  using lamina::Parallel;
  return {.parallel = s.parallel == "exact" ? Parallel::exact : s.parallel == "fast" ? Parallel::fast : s.parallel == "dataparallel" ? Parallel::dataparallel : Parallel::mirrored};
}

/// The pictures of one program, decoded once for all of its replicas.
struct Pictures {
  Leaves leaves;
  std::shared_ptr<lamina::PictureStore> train, validation;
  explicit Pictures(const TrainSettings& s)
      : leaves(load_leaves(s)), train(std::make_shared<lamina::PictureStore>(leaves.train, lamina::Size{s.size, s.size})),
        validation(std::make_shared<lamina::PictureStore>(leaves.validation, lamina::Size{s.size, s.size})) {}
};

/// What one replica does.
int train_replica(lamina::AnyCommunicator& rank, const Pictures& pictures, TrainSettings s, const std::string& command, lamina::StopOnSignal& signals) {
  using namespace lamina;
  rank.agree(same_settings(s, pictures.leaves, rank.size()) + "; " + same_pictures(pictures.leaves) + "; epochs " + std::to_string(s.epochs) + "; stop after " + std::to_string(s.stop_after));
  AugmentationIterator train(pictures.train, augmentation(s));
  EvaluationIterator validation(pictures.validation, evaluation(s.size, s.threads));
  if (rank.rank() == 0 && !train.hint().empty()) std::printf("note: %s\n", printable(train.hint()).c_str());
  const Recipe r = recipe(s);
  DataParallel<ModelBase<Cpu>> model(program<Cpu, float>(s.size), {.batch = std::max(train.batch_size(), validation.batch_size()), .seed = s.seed, .init = r.init, .loss = r.loss},
                                       rank, parallel(s), Cpu(s.threads));
  return train_model(model.base(), s, command, pictures.leaves, train, validation, r, signals, rank.size());
}

/// What a program does before its replicas begin: of several programs the first one.
struct Prepared {
  lamina::FolderLock lock;
  Prepared(const TrainSettings& s, const Leaves& leaves) : lock((make_folder(s.out), s.out)) { say_what(leaves); }
};

int train_threads(const TrainSettings& s, const std::string& command) {
  TrainSettings of_replica = s;
  of_replica.threads = threads_of(s, s.replicas);
  const Pictures pictures(s);
  const Prepared prepared(s, pictures.leaves);
  refuse_bad_pictures(lamina::AugmentationIterator(pictures.train, augmentation(s)).check(), lamina::EvaluationIterator(pictures.validation, evaluation(s.size, s.threads)).check());
  lamina::StopOnSignal signals;
  int code = 0;
  lamina::LocalGroup(s.replicas, {.deadline = s.deadline}).run([&](auto& ranks) {
    lamina::AnyCommunicator rank(ranks);
    const int mine = train_replica(rank, pictures, of_replica, command, signals);
    if (rank.rank() == 0) code = mine;
  });
  return code;
}

#if defined(LAMINA_TOMATO_MPI)
int programs_here() { return from_environment({"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_TASKS_PER_NODE"}); }

int train_programs(TrainSettings s, const std::string& command) {
  s.threads = threads_of(s, programs_here());
  lamina::Mpi ranks({.deadline = s.deadline});
  int code = 0;
  lamina::guarded(ranks, [&] {
    lamina::AnyCommunicator rank(ranks);
    const Pictures pictures(s);
    std::optional<Prepared> prepared;
    if (rank.rank() == 0) prepared.emplace(s, pictures.leaves);
    refuse_bad_pictures(lamina::AugmentationIterator(pictures.train, augmentation(s)).check(), lamina::EvaluationIterator(pictures.validation, evaluation(s.size, s.threads)).check());
    lamina::StopOnSignal signals;
    code = train_replica(rank, pictures, s, command, signals);
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
  if (s.device != "cpu") throw lamina::Error("replicas are for --device cpu: one GPU trains by itself");
  return true;
}

int train_replicas(const TrainSettings& s, const std::string& command) { return programs_started() > 1 ? train_programs(s, command) : train_threads(s, command); }

}  // namespace tomato
