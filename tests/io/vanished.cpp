/// A picture that goes away while a training runs ends it with its name; once it is back, the training goes on from its last checkpoint to the same bits.
#include <doctest/doctest.h>
#include <lamina/lamina.hpp>

#include <fstream>

#include "../data/pictures.hpp"
#include "../support/temporary.hpp"

using namespace lamina;

namespace {
struct Net : Network<Input<8, 8, 3>, Conv<4, 3>, ReLU, MaxPool<2>, Flatten, Dense<2>> {};

std::string bytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
/// A callback of fit(): f() after the first epoch.
template <class F> struct AfterFirst {
  F f;
  template <class R> void epoch(R& run) { if (run.epoch == 1) f(); }
};
}  // namespace

TEST_CASE("a picture that vanishes in a training is an error with its name, and the checkpoint before stays good") {
  const lamina_test::TemporaryFolder pictures, whole, interrupted;
  for (int i = 0; i < 40; ++i)
    lamina_test::write(pictures.path / (i % 2 ? "left" : "right") / (std::to_string(i) + ".png"), lamina_test::png(lamina_test::noise(9, 8, 3, std::uint64_t(i))));
  const auto one = pictures.path / "left/17.png", away = pictures.path / "left/.17";
  const auto train = [&](const std::filesystem::path& run, auto after_first) {
    const ImageFolder folder(pictures.path);
    AugmentationIterator batches(folder, {.size = {8, 8}, .batch = 8, .horizontal_flip = true, .cache_bytes = 0});      // each epoch reads all files anew
    EvaluationIterator validation(folder.split({.validation = 0.5}).validation, {.size = {8, 8}});
    Model<Net, Cpu> model({.batch = 32, .seed = 1}, Cpu(1));
    Checkpoint checkpoint(run, folder.classes, "a", "forty pictures");
    fit(model, batches, validation, Adam{}, Constant{}, FitOptions{.epochs = 3}, checkpoint, AfterFirst<decltype(after_first)>{after_first});
  };
  train(whole.path, [] {});
  const std::string said = lamina_test::sentence([&] { train(interrupted.path, [&] { std::filesystem::rename(one, away); }); });
  CHECK(said == "there is no file " + one.string() + ": it was taken away, or it is a link that leads nowhere");
  CHECK(read_safetensors(interrupted.path / "last.safetensors").metadata.at("epoch") == "1");
  std::filesystem::rename(away, one);
  train(interrupted.path, [] {});
  CHECK(bytes(interrupted.path / "last.safetensors") == bytes(whole.path / "last.safetensors"));
}
