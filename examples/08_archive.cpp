// Lesson 8: more pictures than memory holds, in a tar archive that stays on the disk. `08_archive --make pictures.tar 100000` draws some, `08_archive pictures.tar [epochs]` trains with them;
// without arguments it does both with a few. An archive of a folder is made by: tar -C folder -cf pictures.tar .
#include <cstdio>
#include <cstring>
#include <filesystem>

#include <sys/resource.h>

#include <lamina/lamina.hpp>
#include <lamina/data/image_archive.hpp>

#include "stripes.hpp"
#include "whole_number.hpp"

template <int C> using Block = lamina::Sequential<lamina::Conv<C, 3>, lamina::ReLU, lamina::MaxPool<2>>;
struct StripeNet : lamina::Network<lamina::Input<32, 32, 3>, Block<8>, Block<16>, Block<32>, lamina::Flatten, lamina::Dense<10>> {};

// A callback: the most memory that the program has had so far, early in the first epoch and after each.
struct PeakMemory {
  template <class R> void step(R& run) { if (run.step == 50) print(); }
  template <class R> void epoch(R&) { print(); }
  static void print() {
    rusage use = {};
    getrusage(RUSAGE_SELF, &use);
    std::printf("  peak memory %.1f MB\n", double(use.ru_maxrss) / 1024);
  }
};

int main(int count, char** arguments) try {
  if (count > 1 && arguments[1][0] == '-') {
    if (count != 4 || std::strcmp(arguments[1], "--make") != 0) throw lamina::Error("say --make ARCHIVE PICTURES, or ARCHIVE [EPOCHS], or nothing");
    return make_archive(arguments[2], whole_number(arguments[3], "pictures")), 0;
  }
  const int epochs = count > 2 ? whole_number(arguments[2], "epochs") : 3;
  if (count == 1) make_archive("stripes.tar", 4000);
  const lamina::ImageArchive pictures(count > 1 ? arguments[1] : "stripes.tar");
  const std::vector<lamina::BadPicture> bad = lamina::check(pictures);               // before an hour of training finds them one by one
  for (const lamina::BadPicture& b : bad) std::printf("%s\n", b.problem.c_str());
  auto [training, validation] = lamina::without(pictures, bad).split({.validation = 0.1, .seed = 1});
  std::printf("%td pictures to train with, %td to validate\n", training.size(), validation.size());

  // With cache_bytes = 0 every picture is read and decoded when its batch is made, a few batches ahead of the training.
  lamina::AugmentationIterator train(std::move(training), {.size = {32, 32}, .batch = 32, .seed = 1, .cache_bytes = 0});
  lamina::EvaluationIterator val(std::move(validation), {.size = {32, 32}, .batch = 32, .cache_bytes = 0});
  lamina::Model<StripeNet, lamina::Cpu> model({.batch = 32, .seed = 1});
  const auto result = lamina::fit(model, train, val, lamina::Adam{.rate = 3e-3}, lamina::Constant{}, {.epochs = epochs}, lamina::ProgressBar{}, PeakMemory{});
  if (result.history.back().val_accuracy >= 0.8) return 0;
  throw lamina::Error("fewer than 80 % of the pictures kept for validation are told rightly: train longer");
} catch (const lamina::Error& e) {
  std::fprintf(stderr, "08_archive: %s\n", e.what());
  return 1;
}
