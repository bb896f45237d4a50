/// A program that trains the network of 14 layers on a folder of pictures.
#include <lamina/lamina.hpp>

template <int C> using Block = lamina::Sequential<lamina::Conv<C, 3>, lamina::ReLU, lamina::MaxPool<2>>;
struct LeafNet : lamina::Network<lamina::Input<64, 64, 3>, Block<32>, Block<64>, Block<128>, lamina::Flatten, lamina::Dense<128>, lamina::ReLU, lamina::Dropout<20>,
                                 lamina::Dense<10>> {};

int main() {
  const auto leaves = lamina::ImageFolder("leaves").split({.validation = 0.1, .seed = 1});
  lamina::AugmentationIterator train(leaves.train, {.size = {64, 64}, .batch = 32, .shear = 0.2, .zoom = 0.2, .horizontal_flip = true});
  lamina::EvaluationIterator val(leaves.validation, {.size = {64, 64}, .batch = 128});
  lamina::Model<LeafNet, lamina::Cpu> model({.batch = 128, .seed = 1});
  lamina::fit(model, train, val, lamina::Adam{.rate = 1e-3}, lamina::ExponentialDecay{.rate = 0.9}, {.epochs = 15}, lamina::EpochTimer{}, lamina::ProgressBar{},
              lamina::Checkpoint{"run"});
}
