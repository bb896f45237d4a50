// What goes wrong on a GPU, on an emulated one.
#include "../support/emulator/emulated.hpp"
#include <lamina/cuda/verbs.hpp>
#include <lamina/lamina.hpp>

#include <doctest/doctest.h>

#include "../support/halves.hpp"
#include "../support/nets.hpp"
#include "../support/temporary.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
/// A GPU that has so much memory free, and counts what it gives.
struct Weighed : Emulated {
  std::shared_ptr<Index> given = std::make_shared<Index>(0);
  explicit Weighed(Index free) { set_free_bytes(free); }
  void* allocate(std::size_t bytes) { return *given += Index(bytes), Emulated::allocate(bytes); }
  void reserve(std::size_t bytes) { *given += Index(bytes), Emulated::reserve(bytes); }
};

/// make(batch, gpu) is refused with the largest batch that fits, and that one fits. Returns it.
template <class Make> Index check_largest_batch(const std::string& what, const Make& make) {
  const auto refusal = [&](Index batch, Index free) -> std::string {
    try {
      make(batch, Weighed(free));
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  CHECK(refusal(64, 1 << 30) == "");
  const std::string words = refusal(50000, 1 << 20);
  CHECK(words.find("a " + what + " for batches of 50000 samples needs ") == 0);
  const std::string before = " MiB and an emulated GPU has 1 MiB free: the largest batch that fits is ";
  REQUIRE(words.find(before) != std::string::npos);
  const Index fits = std::atol(words.substr(words.find(before) + before.size()).c_str());
  CHECK(fits > 1);
  CHECK(refusal(fits, 1 << 20) == "");
  CHECK(refusal(fits + 1, 1 << 20) != "");
  CHECK(refusal(8, 1000).find("not one sample fits, take a smaller network") != std::string::npos);
  return fits;
}
}  // namespace

TEST_CASE("a batch that does not fit is told with the largest that does") {
  struct Sliced : Network<Input<9, 9, 8>, Conv<8, 3, 2>, ReLU, Conv<8, 3>, Flatten, Dense<2>> {};      // its sums take an arena
  const Index of_model = check_largest_batch("model", [](Index batch, Weighed gpu) { Model<Sliced, Weighed, bf16>({.batch = batch}, gpu); });
  Model<Sliced, Emulated, bf16> model({.batch = 2}, Emulated());
  const auto predictor = [&](Index batch, Weighed gpu) { Predictor<Sliced, Weighed, bf16>(model, {.batch = batch}, gpu); };
  const Index of_predictor = check_largest_batch("predictor", predictor);
  CHECK(of_predictor > 3 * of_model);                              // it remembers nothing for the way back
  const Weighed gpu(1 << 20);
  predictor(of_predictor, gpu);
  CHECK(*gpu.given > (1 << 20) * 9 / 10);
  CHECK(*gpu.given <= (1 << 20) + 4096);
}

namespace {
struct Net : Network<Input<8, 8, 1>, Conv<4, 3>, ReLU, MaxPool<2>, Flatten, Dense<2>> {};

/// A GPU of which every graph after the first so many ends as CUDA's do once a kernel has touched what it may not: nothing works any more.
struct Breaking : Emulated {
  int good;
  explicit Breaking(int replays) : good(replays) {}
  void replay(Graph& graph) {
    if (good-- <= 0) throw Error("cudaGraphLaunch: an illegal memory access was encountered");
    Emulated::replay(graph);
  }
};

/// Trains three epochs of four batches into the folder.
template <class D> void train(D gpu, const std::filesystem::path& folder) {
  Model<Net, D> model({.batch = 16, .seed = 1}, gpu);
  Halves train(64, 16, 1), validation(16, 16, 2);
  Checkpoint checkpoint(folder, {"left", "right"});
  fit(model, train, validation, Adam{.rate = 3e-3}, Constant{}, {.epochs = 3}, checkpoint);
}
}  // namespace

TEST_CASE("a GPU that breaks down leaves the last checkpoint as it was, and the same training goes on from there") {
  const TemporaryFolder whole, broken;
  train(Emulated(), whole.path);
  CHECK_THROWS_WITH_AS(train(Breaking(7), broken.path), "cudaGraphLaunch: an illegal memory access was encountered", Error);
  CHECK(read_safetensors(broken.path / "last.safetensors").metadata.at("epoch") == "1");
  train(Emulated(), broken.path);
  CHECK(read_file_whole(broken.path / "last.safetensors") == read_file_whole(whole.path / "last.safetensors"));
}
