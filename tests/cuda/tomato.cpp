// The trainer on a GPU: an epoch of a few leaves, beside the CPU's.
#include "../support/gpu.hpp"
#include <lamina/cuda/verbs.hpp>

#include <lamina/io/picture.hpp>

#include <doctest/doctest.h>

#include "../../examples/tomato/predict.hpp"
#include "../../examples/tomato/replica.hpp"
#include "../../examples/tomato/train.hpp"
#include "../support/integers.hpp"
#include "../support/temporary.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
/// Class folders of drawn leaves, one of each disease to learn from and one to validate on.
struct Leaves : TemporaryFolder {
  Leaves() {
    for (int disease = 0; disease < int(tomato::diseases.size()); ++disease)
      for (int i = 0; i < 2; ++i) {
        const std::filesystem::path of_class = path / (i < 1 ? "train" : "val") / tomato::diseases[std::size_t(disease)];
        std::filesystem::create_directories(of_class);
        const auto pixels = tomato::draw_leaf(disease, 64, Random(7, Stream::test, 0, std::uint32_t(disease * 2 + i)));
        write_file_whole(of_class / ("leaf " + std::to_string(i) + ".png"), png_bytes(pixels.data(), {64, 64, 3}));
      }
  }
  /// Trains an epoch of three steps, and returns the rows of the run's history.
  template <class T, class D> std::vector<EpochRow> train(D device, const char* run, long stop_after = 0) const {
    const tomato::TrainSettings s{.data = path, .out = path / run, .epochs = 1, .batch = 4, .threads = 2, .stop_after = stop_after};
    CHECK(tomato::train_on(device, T(), s, "tomato train") == 0);
    return std::filesystem::exists(s.out / "history.csv") ? read_history(s.out / "history.csv", 1) : std::vector<EpochRow>();
  }
  /// The same by replicas, in threads that share the device.
  template <class T> void train_replicas(int count, const char* run) const {
    const tomato::TrainSettings s{.data = path, .out = path / run, .epochs = 1, .batch = 4, .threads = 1};
    const tomato::Pictures pictures(s);
    tomato::make_folder(s.out);
    StopOnSignal signals;
    LocalGroup(count).run([&](auto& rank) { CHECK(tomato::train_replica(Gpu(), T(), rank, pictures, s, "tomato train", signals) == 0); });
  }
  /// What a run's network says of two pictures.
  template <class T, class D> Evaluation answer(D device, const char* run) const {
    return tomato::ask_on(device, T(), path / run, 2, [&](const std::vector<std::string>& names) {
      Dataset set = ImageFolder(path / "val", names);
      set.samples.resize(2);
      return set;
    }).evaluation;
  }
  std::string checkpoint(const char* run) const { return read_file_whole(path / run / "last.safetensors"); }
};
}  // namespace

TEST_CASE("an epoch of leaves: in float as on the CPU, in bf16 alike, resumed to the bit, and to the bit by replicas") {
  const Leaves leaves;
  const auto cpu = leaves.train<float>(Cpu(2), "cpu"), gpu = leaves.train<float>(Gpu(), "gpu"), low = leaves.train<bf16>(Gpu(), "low");
  REQUIRE(cpu.size() == 1);
  REQUIRE(gpu.size() == 1);
  REQUIRE(low.size() == 1);
  CHECK(gpu[0].loss == doctest::Approx(cpu[0].loss).epsilon(1e-4));
  CHECK(gpu[0].val_loss == doctest::Approx(cpu[0].val_loss).epsilon(1e-4));
  CHECK(low[0].loss == doctest::Approx(cpu[0].loss).epsilon(0.02));
  CHECK(low[0].val_loss == doctest::Approx(cpu[0].val_loss).epsilon(0.02));

  const std::vector<float> scores = leaves.answer<float>(Cpu(2), "cpu").scores;
  CHECK(scores.size() == 2 * tomato::classes);
  CHECK(largest_error(leaves.answer<float>(Gpu(), "cpu").scores, scores) < 1e-5);
  CHECK(largest_error(leaves.answer<bf16>(Gpu(), "cpu").scores, scores) < 0.02);

  leaves.train<bf16>(Gpu(), "parts", 1);
  leaves.train<bf16>(Gpu(), "parts");
  CHECK(leaves.checkpoint("parts") == leaves.checkpoint("low"));
  leaves.train_replicas<bf16>(2, "replicas");
  CHECK(leaves.checkpoint("replicas") == leaves.checkpoint("low"));
}
