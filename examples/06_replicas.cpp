// Lesson 6: replicas. Each works on its part of every batch, in a thread or a process of its own; together they end with the bits of one network by itself.
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include <lamina/lamina.hpp>
#include <lamina/parallel.hpp>

#include "shapes.hpp"

template <int C> using Block = lamina::Sequential<lamina::Conv<C, 3>, lamina::BatchNorm, lamina::ReLU, lamina::MaxPool<2>>;
struct ShapeNet : lamina::Network<lamina::Input<32, 32, 3>, Block<8>, Block<16>, lamina::Flatten, lamina::Dense<32>, lamina::ReLU, lamina::Dropout<20>, lamina::Dense<3>> {};
using Model = lamina::Model<ShapeNet, lamina::Cpu>;

int main() {
  const auto [training, validation] = draw_shapes(600).split({.validation = 0.2, .seed = 1});
  const auto pictures = std::make_shared<lamina::PictureStore>(training, lamina::Size{32, 32});             // kept once for all replicas
  const auto validation_pictures = std::make_shared<lamina::PictureStore>(validation, lamina::Size{32, 32});

  // Trains a model, or one of several replicas: it is written once.
  const auto train = [&](auto& model) {
    lamina::AugmentationIterator train(pictures, {.size = {32, 32}, .batch = 24, .seed = 1, .horizontal_flip = true});
    lamina::EvaluationIterator val(validation_pictures, {.size = {32, 32}, .batch = 24});
    lamina::fit(model, train, val, lamina::Adam{.rate = 3e-3}, lamina::Constant{}, {.epochs = 4}, lamina::ProgressBar{});
    return std::vector<float>(model.parameters(), model.parameters() + Model::parameter_count);
  };

  Model alone({.batch = 24, .seed = 1});
  const std::vector<float> expected = train(alone);

  std::vector<float> found;
  lamina::LocalGroup(4).run([&](auto& rank) {                    // four threads; f(rank) runs in each
    lamina::DataParallel<Model> model({.batch = 24, .seed = 1}, rank, {}, lamina::Cpu(1));
    const std::vector<float> weights = train(model);
    if (rank.rank() == 0) found = weights;
  });

  const bool same = std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)) == 0;
  std::printf("four replicas end with %s network as one\n", same ? "the same" : "another");
  return same ? 0 : 1;
}
