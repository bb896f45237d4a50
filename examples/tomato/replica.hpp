/// What one replica of a training does, whatever it computes on.
#pragma once
#include <lamina/parallel.hpp>

#include "pictures.hpp"
#include "training.hpp"

namespace tomato {

inline lamina::ParallelOptions parallel(const TrainSettings& s) {
  using lamina::Parallel;
  return {.parallel = s.parallel == "exact" ? Parallel::exact : s.parallel == "fast" ? Parallel::fast : s.parallel == "dataparallel" ? Parallel::dataparallel : Parallel::mirrored};
}

/// Returns the program's exit code. Throws lamina::Error.
template <class D, class T> int train_replica(D device, T, lamina::AnyCommunicator rank, const Pictures& pictures, const TrainSettings& s, const std::string& command, lamina::StopOnSignal& signals) {
  using namespace lamina;
  rank.agree(same_settings(s, pictures.leaves, rank.size()) + "; " + same_pictures(pictures.leaves) + "; epochs " + std::to_string(s.epochs) + "; stop after " + std::to_string(s.stop_after));
  AugmentationOptions changes = augmentation(s);
  if constexpr (std::is_same_v<D, Cpu>) changes.prefetch = 0;      // its threads are all at work: one more would only take their cores
  AugmentationIterator train(pictures.train, changes);
  EvaluationIterator validation(pictures.validation, evaluation(s.size, s.threads));
  if (rank.rank() == 0 && !train.hint().empty()) std::printf("note: %s\n", printable(train.hint()).c_str());
  const Recipe r = recipe(s);
  DataParallel<ModelBase<D, T>> model(program<D, T>(s.size), {.batch = std::max(train.batch_size(), validation.batch_size()), .seed = s.seed, .init = r.init, .loss = r.loss},
                                      rank, parallel(s), std::move(device));
  return train_model(model.base(), s, command, pictures.leaves, train, validation, r, signals, rank.size());
}

}  // namespace tomato
