/// `tomato train`: a folder of leaves, or the generated ones, becomes a trained network with its report.
#pragma once
#include "device.hpp"
#include "pictures.hpp"
#include "replicas.hpp"
#include "training.hpp"

namespace tomato {

/// Returns the program's exit code. Throws lamina::Error.
template <class D, class T> int train_on(D device, T, const TrainSettings& s, const std::string& command) {
  using namespace lamina;
  Pictures pictures(s);
  make_folder(s.out);
  const FolderLock lock(s.out);
  say_what(pictures.leaves);
  pictures.look_through(s);
  AugmentationIterator train(pictures.train, augmentation(s));
  EvaluationIterator validation(pictures.validation, evaluation(s.size, s.threads));
  if (!train.hint().empty()) std::printf("note: %s\n", printable(train.hint()).c_str());
  const Recipe r = recipe(s);
  ModelBase<D, T> model(program<D, T>(s.size), {.batch = std::max(train.batch_size(), validation.batch_size()), .seed = s.seed, .init = r.init, .loss = r.loss}, std::move(device));
  StopOnSignal signals;
  return train_model(model, s, command, pictures.leaves, train, validation, r, signals, 1);
}
inline int train(const TrainSettings& s, const std::string& command) {
  if (has_replicas(s)) return train_replicas(s, command);
  return on_device(s, [&](auto device, auto number) { return train_on(std::move(device), number, s, command); });
}

}  // namespace tomato
