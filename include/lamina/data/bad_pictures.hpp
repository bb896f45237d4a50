/// Pictures that cannot be used, and a dataset without them.
#pragma once
#include "dataset.hpp"

namespace lamina {

/// A picture that cannot be used, the sentence that says why, and its place in the dataset.
struct BadPicture {
  std::filesystem::path path;
  std::string problem;
  Index sample = 0;
};

/// The dataset without these pictures, in its order and with all its classes: as if they had never been there. Its fingerprint is of what is left, so that a training is gone on with where
/// the same pictures are left out, and where they were taken away. Throws Error if a class has no picture left.
[[gnu::cold]] inline Dataset without(Dataset dataset, const std::vector<BadPicture>& bad) {
  const std::vector<Index> had = dataset.count();
  std::vector<char> gone(dataset.samples.size());
  for (const BadPicture& b : bad) gone.at(std::size_t(b.sample)) = true;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < gone.size(); ++i)
    if (!gone[i]) std::swap(dataset.samples[kept++], dataset.samples[i]);
  dataset.samples.resize(kept);
  const std::vector<Index> left = dataset.count();
  for (std::size_t c = 0; c < had.size(); ++c)
    if (had[c] && !left[c]) throw Error("of the class ", dataset.classes[c], " in ", dataset.name, " no picture can be used: repair them, or train without that class");
  return dataset;
}

}  // namespace lamina
