/// The mean and the deviation of each channel over a whole training set.
#pragma once
#include "iterator.hpp"

namespace lamina {

/// What Keras's ImageDataGenerator.fit() finds for featurewise_center and featurewise_std_normalization, of rescaled pictures: the `mean` and the `deviation` that iterators take.
/// Of pictures with one channel the first is theirs.
struct ChannelStatistics {
  std::array<double, 3> mean{0, 0, 0};
  std::array<double, 3> deviation{1, 1, 1};     // sqrt(mean of (x - mean)^2) + 1e-6, so that a channel of one value can be divided by it
};

/// Options of channel_statistics(); each means what it means in AugmentationOptions.
struct StatisticsOptions {
  Size size{64, 64};
  double rescale = 1 / 255.0;
  Interpolation interpolation = Interpolation::nearest;
  int workers = 0;
};

/// Of the pictures of a store, which are then kept there for the iterators that share it:
///   const auto pictures = std::make_shared<PictureStore>(leaves.train, Size{64, 64});
///   const auto [mean, deviation] = channel_statistics(*pictures);
///   AugmentationIterator train(pictures, {.batch = 32, .horizontal_flip = true, .mean = mean, .deviation = deviation});
/// Whole numbers are summed, so the bits are the same for any number of workers. Throws Error, with the name of the file, if a picture cannot be decoded.
[[gnu::cold]] inline ChannelStatistics channel_statistics(PictureStore& store, double rescale = 1 / 255.0, int workers = 0) {
  struct Sums {
    std::uint64_t values[3] = {}, squares[3] = {};
    std::vector<std::uint8_t> room;
  };
  const detail::Threads threads(workers);
  tbb::task_arena arena(threads.count());
  std::vector<Sums> sums(std::size_t(threads.count()));
  const Index pixels = Index(store.shape().h) * store.shape().w, samples = store.dataset().size();
  const int channels = store.shape().c;
  const auto failure = detail::run_all(arena, samples, [&](Index sample) {
    Sums& s = sums[detail::thread_number()];
    const std::uint8_t* x = store.at(sample, s.room);
    for (Index i = 0; i < pixels; ++i)
      for (int k = 0; k < channels; ++k, ++x) s.values[k] += *x, s.squares[k] += std::uint64_t(*x) * *x;
  });
  if (failure) std::rethrow_exception(failure);
  ChannelStatistics found;
  for (int k = 0; k < channels; ++k) {
    std::uint64_t values = 0, squares = 0;
    for (const Sums& s : sums) values += s.values[k], squares += s.squares[k];
    const double n = double(pixels) * double(samples), mean = double(values) / n, variance = double(squares) / n - mean * mean;
    found.mean[std::size_t(k)] = mean * rescale;
    found.deviation[std::size_t(k)] = std::sqrt(std::max(variance, 0.0)) * std::abs(rescale) + 1e-6;
  }
  return found;
}

/// Of the pictures of a dataset, of which none are kept.
[[gnu::cold]] inline ChannelStatistics channel_statistics(const Dataset& dataset, const StatisticsOptions& options = {}) {
  PictureStore store(dataset, options.size, options.interpolation, 0);
  return channel_statistics(store, options.rescale, options.workers);
}

}  // namespace lamina
