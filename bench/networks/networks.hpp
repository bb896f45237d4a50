/// The networks of bench_train and bench_predict, each compiled in a file of its own, and the pictures they are given.
#pragma once
#include <lamina/lamina.hpp>

#include <functional>
#include <memory>

#include "../parts.hpp"
#include "../roofs.hpp"
#include "../work.hpp"

namespace bench {

/// Scores (N, classes) of pictures (N, H, W, 3).
using Predict = std::function<const float*(const float* x, lamina::Index n)>;
/// A network without its type: as a model for training, what makes a predictor of it, and the plan of what that works in.
struct Made {
  std::shared_ptr<lamina::ModelBase<lamina::Cpu>> model;
  std::function<Predict()> predictor;
  lamina::PlanView inference;
};

/// A network for pictures of (size, size, 3); nothing if it is not compiled for that size.
using Maker = Made(int size, lamina::Index batch, lamina::Cpu device);
Maker leaf, vgg11, resnet18, mobilenetv2;

/// That of Nets whose pictures have this size. Types and no template of them: an alias template of one name in two files would be one name for the linker, too, and then
/// one network the other.
template <class... Nets> Made one_of(int size, lamina::Index batch, lamina::Cpu device) {
  Made made;
  const auto make = [&]<class Net>(std::type_identity<Net>) {
    using Model = lamina::Model<Net, lamina::Cpu>;
    using Predictor = lamina::Predictor<Net, lamina::Cpu>;
    if (size != Net::input.h) return;
    const auto model = std::make_shared<Model>(typename Model::Options{.batch = batch, .seed = 1}, device);
    made = {model, [model, batch] {
      const auto predictor = std::make_shared<Predictor>(*model, typename Predictor::Options{batch});
      return Predict([predictor](const float* x, lamina::Index n) { return (*predictor)(x, n); });
    }, lamina::Inference<Net, lamina::Cpu, float>::view.plan};
  };
  (make(std::type_identity<Nets>()), ...);
  return made;
}

/// Throws lamina::Error if there is no such network.
inline Made model_of(const Work& work) {
  const struct { const char* name; Maker* make; } all[] = {{"leaf", leaf}, {"vgg11", vgg11}, {"resnet18", resnet18}, {"mobilenetv2", mobilenetv2}};
  for (const auto& network : all)
    if (work.net == network.name)
      if (Made made = network.make(work.size, work.batch, lamina::Cpu(work.threads)); made.model) return made;
  throw lamina::Error("there is no network ", work.net, " for pictures of ", work.size, " x ", work.size, ": bench/networks says what there is");
}

/// Pictures (batch, size, size, 3) between -1 and 1, the same in every run: with a mean of 0 most of what a first convolution computes lives through ReLU and pooling.
inline std::vector<float> noise(const Work& work) {
  const lamina::Random random(1, lamina::Stream::picture);
  std::vector<float> x(std::size_t(work.batch) * std::size_t(work.size * work.size * 3));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = float(random.uniform(lamina::Index(i), -1, 1));
  return x;
}

/// What report() says beside the time of a step. The roof is measured now: the steps are over, and it does not disturb them.
inline Direct direct(const Work& work, const lamina::ProgramView<lamina::Cpu, float>& program, lamina::Cpu device) {
  if (work.listed) return {};
  Direct d{.roof = fma_roof(device)};
  for (const auto& layer : program.layers) d.flops += work.batch * (direct_flops(layer, false) + (work.mode == "train" ? direct_flops(layer, true) : 0));
  return d;
}

inline Peer lamina_peer(lamina::ModelBase<lamina::Cpu>& model, double loss = -1) {
  constexpr lamina::Version v = lamina::version;
  Peer peer{"lamina", "", std::to_string(v.major) + "." + std::to_string(v.minor) + "." + std::to_string(v.patch), model.device().threads(), 0, loss};
  for (const lamina::NamedTensor& t : model.tensors()) peer.parameters += t.learned ? t.dims.count() : 0;
  return peer;
}

}  // namespace bench
