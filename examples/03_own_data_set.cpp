// Lesson 3: a data set of one's own. On disk it is a folder of class folders; anything else hands out batches itself.
#include <cstdio>
#include <filesystem>

#include <lamina/lamina.hpp>
#include <lamina/io/picture.hpp>

#include "shapes.hpp"

struct Net : lamina::Network<lamina::Input<32, 32, 3>, lamina::Conv<8, 3, 2>, lamina::ReLU, lamina::Conv<16, 3, 2>, lamina::ReLU, lamina::GlobalAvgPool, lamina::Dense<3>> {};

// A source of batches is any type with these members; what it hands out depends on (epoch, batch) alone. Here: points, and on which side of a line they lie.
class Points {
 public:
  lamina::Shape shape() const { return {2}; }
  lamina::Index samples() const { return 512; }
  lamina::Index batches() const { return 16; }
  lamina::Index batch_size() const { return 32; }
  void start(lamina::Index epoch, lamina::Index first_batch) { epoch_ = epoch, at_ = first_batch; }
  bool next(lamina::Batch& batch) {
    if (at_ == batches()) return false;
    const lamina::Random random(5, lamina::Stream::picture, std::uint32_t(at_), std::uint32_t(epoch_));
    for (int i = 0; i < 32; ++i) {
      x_[2 * i] = float(random(2 * i)), x_[2 * i + 1] = float(random(2 * i + 1));
      label_[i] = x_[2 * i] > x_[2 * i + 1];
    }
    batch = {.n = 32, .first = 32 * at_++, .x = x_, .label = label_};
    return true;
  }

 private:
  lamina::Index epoch_ = 0, at_ = 0;
  float x_[64];
  std::int32_t label_[32];
};
struct Line : lamina::Network<lamina::Input<1, 1, 2>, lamina::Dense<2>> {};

int main() {
  // Pictures in folders: shapes/cross/0.png, shapes/disc/1.png, ...
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / "lamina_lesson_3";
  const lamina::Dataset drawn = draw_shapes(120);
  for (const lamina::Sample& s : drawn.samples) {
    std::filesystem::create_directories((folder / s.name).parent_path());
    lamina::write_file_whole(folder / (s.name + ".png"), lamina::png_bytes(s.picture->pixels.data(), {32, 32, 3}));
  }
  const lamina::ImageFolder shapes(folder);
  std::printf("%td pictures of %zu classes; the first class is %s\n", shapes.size(), shapes.classes.size(), shapes.classes[0].c_str());
  std::filesystem::remove_all(folder);

  Points train, val;
  lamina::Model<Line, lamina::Cpu> model({.batch = 32, .seed = 1});
  const auto result = lamina::fit(model, train, val, lamina::Sgd{.rate = 1, .momentum = 0.9}, lamina::Constant{}, {.epochs = 5}, lamina::ProgressBar{});
  return result.history.back().val_accuracy < 0.95;
}
