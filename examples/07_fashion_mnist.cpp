// Lesson 7: a data set that comes as IDX files, Fashion-MNIST: 07_fashion_mnist [folder] [epochs]. Debian packs it: apt-get install dataset-fashion-mnist.
#include <cstdio>
#include <filesystem>

#include <lamina/lamina.hpp>
#include <lamina/data/idx.hpp>

#include "whole_number.hpp"

template <int C> using Block = lamina::Sequential<lamina::Conv<C, 3>, lamina::ReLU, lamina::MaxPool<2>>;
struct FashionNet : lamina::Network<lamina::Input<28, 28, 1>,
    Block<16>, Block<32>,
    lamina::Flatten, lamina::Dense<64>, lamina::ReLU, lamina::Dropout<20>, lamina::Dense<10>> {};

int main(int count, char** arguments) try {
  const int epochs = count > 2 ? whole_number(arguments[2], "epochs") : 1;
  const std::filesystem::path folder = count > 1 ? arguments[1] : "/usr/share/datasets/fashion-mnist";
  if (!std::filesystem::exists(folder / "train-images-idx3-ubyte.gz")) {
    std::fprintf(stderr, "there is no Fashion-MNIST in %s: install Debian's package dataset-fashion-mnist, or give the folder of its files\n", folder.c_str());
    return 77;                                                                      // as a test it is skipped
  }
  const std::vector<std::string> names{"t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"};
  const lamina::IdxFiles training(folder / "train-images-idx3-ubyte.gz", folder / "train-labels-idx1-ubyte.gz", names);
  const lamina::IdxFiles test(folder / "t10k-images-idx3-ubyte.gz", folder / "t10k-labels-idx1-ubyte.gz", names);
  std::printf("%td pictures to train with, %td to test\n", training.size(), test.size());

  lamina::AugmentationIterator train(training, {.size = {28, 28}, .batch = 64, .seed = 1, .width_shift = 0.05, .height_shift = 0.05, .horizontal_flip = true});
  lamina::EvaluationIterator val(test, {.size = {28, 28}, .batch = 64});
  lamina::Model<FashionNet, lamina::Cpu> model({.batch = 64, .seed = 1});
  const auto result = lamina::fit(model, train, val, lamina::Adam{.rate = 2e-3}, lamina::Cosine{}, {.epochs = epochs},
                                  lamina::ProgressBar{}, lamina::EpochTimer{});
  if (result.history.back().val_accuracy >= 0.8) return 0;
  throw lamina::Error("fewer than 80 % of the test pictures are told rightly: train longer");
} catch (const lamina::Error& e) {
  std::fprintf(stderr, "07_fashion_mnist: %s\n", e.what());
  return 1;
}
