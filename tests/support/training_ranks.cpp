/// A training with replicas, for tests/parallel/training.sh: training_ranks OUT mpi|threads N [killed|stopped|throws RANK STEP]. It ends with OUT/last.safetensors after 52 steps: four epochs of 13
/// batches, the last of them with 5 samples; with N threads, or N processes of mpirun. One rank may go wrong.
#include <lamina/lamina.hpp>
#include <lamina/mpi.hpp>

#include <lamina/parallel.hpp>

#include <csignal>
#include <string>

using namespace lamina;

namespace {
struct Net : Network<Input<20, 16, 3>, Conv<32, 3, 1, same>, BatchNorm, ReLU, MaxPool<2>, Conv<32, 3>, ReLU, Dropout<30>, Conv<16, 1>, BatchNorm, ReLU, Flatten, Dense<32>, ReLU, Dropout<20>, Dense<4>> {};

struct Fault {
  std::string kind;
  int rank = -1;
  Index step = 0;
  void at(int r, Index s) const {
    if (r != rank || s != step) return;
    if (kind == "killed") std::raise(SIGKILL);
    if (kind == "stopped") std::raise(SIGSTOP);
    throw Error("it was told to go wrong in step ", s);
  }
};

/// Drawn pictures, brighter with every class.
Dataset pictures(Index count, std::uint32_t number) {
  Dataset set;
  set.name = "drawn pictures";
  set.classes = {"a", "b", "c", "d"};
  for (Index i = 0; i < count; ++i) {
    const Random random(7, Stream::test, number, std::uint32_t(i));
    std::vector<std::uint8_t> pixels(20 * 16 * 3);
    for (std::size_t k = 0; k < pixels.size(); ++k) pixels[k] = std::uint8_t(40 * (i % 4) + random.below(Index(k), 130));
    set.add({20, 16, 3, std::move(pixels)}, std::int32_t(i % 4));
  }
  return set;
}

/// An iterator that goes wrong at one step.
struct Faulty : AugmentationIterator {
  Fault fault;
  int rank;
  Index step = 0;
  Faulty(const Dataset& set, const AugmentationOptions& o, Fault f, int r) : AugmentationIterator(set, o), fault(std::move(f)), rank(r) {}
  void start(Index epoch, Index batch) { step = epoch * batches() + batch, AugmentationIterator::start(epoch, batch); }
  bool next(Batch& b) {
    fault.at(rank, step++);
    return AugmentationIterator::next(b);
  }
};

void train(AnyCommunicator rank, const std::string& out, const Fault& fault) {
  AugmentationOptions o{.size = {20, 16}, .batch = 16, .seed = 3, .workers = 1};
  o.horizontal_flip = true, o.rotation = 20;
  Faulty source(pictures(12 * 16 + 5, 1), o, fault, rank.rank());
  EvaluationIterator validation(pictures(37, 2), {.size = {20, 16}, .batch = 16, .workers = 1});
  DataParallel<Model<Net, Cpu>> model({.batch = 16, .seed = 5}, rank, {.bucket = 4096}, Cpu(1));
  Checkpoint checkpoint(out);
  fit(model, source, validation, Adam{.rate = 1e-3}, Cosine{.warm_up_steps = 8}, {.epochs = 4}, checkpoint);
}
}  // namespace

int main(int argc, char** argv) try {
  if (argc != 4 && argc != 7) return std::fputs("training_ranks OUT mpi|threads N [killed|stopped|throws RANK STEP]\n", stderr), 2;
  const std::string out = argv[1], way = argv[2];
  const Fault fault = argc == 7 ? Fault{argv[4], std::stoi(argv[5]), std::stoi(argv[6])} : Fault{};
  std::filesystem::create_directories(out);
  if (way == "threads") LocalGroup(std::stoi(argv[3]), {.deadline = 20}).run([&](auto& rank) { train(AnyCommunicator(rank), out, fault); });
  else {
    Mpi mpi({.deadline = argc == 7 ? 5.0 : 20.0});
    guarded(mpi, [&] { train(AnyCommunicator(mpi), out, fault); });
  }
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
