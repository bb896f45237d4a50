// Lesson 4: saving, resuming and predicting. A checkpoint is a safetensors file, so NumPy and PyTorch read it too.
#include <cstdio>
#include <filesystem>

#include <lamina/lamina.hpp>

#include "shapes.hpp"

template <int C> using Block = lamina::Sequential<lamina::Conv<C, 3>, lamina::ReLU, lamina::MaxPool<2>>;
struct Net : lamina::Network<lamina::Input<32, 32, 3>, Block<8>, Block<16>, Block<32>, lamina::Flatten, lamina::Dense<3>> {};
using Model = lamina::Model<Net, lamina::Cpu>;

int main() {
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / "lamina_lesson_4";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  const auto [training, validation] = draw_shapes(600).split({.validation = 0.2, .seed = 1});

  // The same call twice: the first is stopped after 20 steps, the second goes on from there and ends as if nothing had happened.
  for (const lamina::Index stop_after : {20, 0}) {
    lamina::AugmentationIterator train(training, {.size = {32, 32}, .batch = 16, .seed = 1});
    lamina::EvaluationIterator val(validation, {.size = {32, 32}, .batch = 16});
    Model model({.batch = 16, .seed = 1});
    lamina::Checkpoint checkpoint(folder, training.classes);
    lamina::fit(model, train, val, lamina::Adam{.rate = 3e-3}, lamina::Cosine{}, {.epochs = 6, .stop_after = stop_after}, checkpoint, lamina::ProgressBar{});
  }

  // Another program would begin here.
  Model model({.batch = 16});
  const auto file = lamina::load_model(folder / "best.safetensors", model);
  const auto classes = lamina::classes_of(file);
  lamina::EvaluationIterator pictures(validation, {.size = {32, 32}, .batch = 16});
  const lamina::Evaluation e = lamina::evaluate(model, pictures);
  std::printf("accuracy %.1f %%\n", 100 * e.accuracy);
  for (lamina::Index i = 0; i < 3; ++i) {
    const auto p = lamina::softmax(e.of(i), e.classes);
    std::printf("%s: %s (%.1f %%)\n", validation.samples[std::size_t(i)].name.c_str(), classes[std::size_t(e.predicted(i))].c_str(), 100 * p[std::size_t(e.predicted(i))]);
  }
  std::filesystem::remove_all(folder);
  return e.accuracy < 0.8;
}
