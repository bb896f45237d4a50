/// Labelled pictures, on disk or in memory, and how they are divided into training and validation.
#pragma once
#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "../core/random.hpp"
#include "archive.hpp"
#include "picture.hpp"

namespace lamina {

/// One picture with its class: pixels in memory if `picture` is set, a part of a file if `archive` is, and else a file. There may be millions: it takes 120 bytes, and what a name
/// of more than 15 characters does.
struct Sample {
  std::string path;                    // of the file that is the picture
  std::int32_t label = 0;
  std::shared_ptr<const Picture> picture;
  std::string name;                    // how it is called in its dataset: "class/file.jpg", wherever the dataset lies
  std::uint64_t bytes = 0;             // of the file, of its part of the archive, or of the pixels
  std::shared_ptr<const Archive> archive = nullptr;
  std::uint64_t offset = 0;            // of its first byte in the archive

  /// What an error message calls it.
  std::string where() const { return picture ? name : archive ? archive->path() + ": " + name : path; }
};

struct SplitDataset;

/// Which pictures are kept for validation. `stratified` draws round(validation * n) of the n of every class, at least one and never all (of a single picture none). The other two are Keras's, to the
/// picture where the samples have the order of an ImageFolder: `keras_generator`, that of ImageDataGenerator, keeps the first int(validation * n) of every class and draws nothing (its first names are
/// seldom typical); `keras_directory`, that of image_dataset_from_directory, the last int(validation * n) of all pictures once numpy's RandomState(seed) has shuffled them, whatever their classes; where that is none it is none, and not all as Keras has it.
enum class SplitRule { stratified, keras_generator, keras_directory };

/// validation: the share that is kept for validation, in [0, 1). seed: which pictures those are.
struct SplitOptions {
  double validation = 0.1;
  std::uint64_t seed = 0;
  SplitRule rule = SplitRule::stratified;
};

/// The names of the classes and the samples; the label of a sample is the place of its class in `classes`.
struct Dataset {
  std::vector<std::string> classes;
  std::vector<Sample> samples;
  std::string name = "dataset";        // what an error message calls it: the folder

  Index size() const { return Index(samples.size()); }

  /// Adds a picture that lies in memory. Throws Error if there is no such class or the pixels are not h * w * c.
  [[gnu::cold]] void add(Picture picture, std::int32_t label, std::string called = "") {
    if (label < 0 || std::size_t(label) >= classes.size())
      throw Error("a picture of class ", label, " was added to ", name, ", which has ", classes.size(), " classes: name its classes first");
    if (picture.h < 1 || picture.w < 1 || Index(picture.pixels.size()) != lamina::size(picture.shape()))
      throw Error("a picture of ", picture.h, "x", picture.w, "x", picture.c, " was added to ", name, " with ", picture.pixels.size(),
                  " bytes: pixels holds h * w * c of them");
    if (called.empty()) called = classes[std::size_t(label)] + "/" + std::to_string(samples.size());
    const std::uint64_t bytes = picture.pixels.size();
    samples.push_back({{}, label, std::make_shared<const Picture>(std::move(picture)), std::move(called), bytes});
  }

  /// How many samples each class has.
  std::vector<Index> count() const {
    std::vector<Index> n(classes.size());
    for (const Sample& s : samples) ++n[std::size_t(s.label)];
    return n;
  }

  /// Divides every class by itself, so that both parts have the classes in the same proportion, or as the rule says. Depends on the seed and on the sorted names alone. Both parts keep their
  /// order and all class names. Throws Error unless 0 <= validation < 1, and if the rule's generator takes no such seed.
  SplitDataset split(const SplitOptions& options = {}) const;

  /// FNV-1a over class names, sample names, labels and byte counts: another number means other data. It does not depend on where the folder lies.
  std::uint64_t fingerprint() const {
    std::uint64_t hash = 0xcbf29ce484222325u;
    const auto eat = [&](const void* data, std::size_t n) {
      for (std::size_t i = 0; i < n; ++i) hash = (hash ^ static_cast<const unsigned char*>(data)[i]) * 0x100000001b3u;
    };
    const auto number = [&](std::uint64_t v) {
      for (int i = 0; i < 8; ++i, v >>= 8) {
        const auto byte = static_cast<unsigned char>(v);
        eat(&byte, 1);
      }
    };
    number(classes.size());
    for (const std::string& c : classes) number(c.size()), eat(c.data(), c.size());
    for (const Sample& s : samples) number(s.name.size()), eat(s.name.data(), s.name.size()), number(std::uint64_t(s.label)), number(s.bytes);
    return hash;
  }
};

/// The two parts of a dataset.
struct SplitDataset { Dataset train, validation; };

namespace detail {
/// Fisher and Yates: every order is equally likely.
template <class T> void shuffle(std::vector<T>& v, const Random& random) {
  for (Index i = Index(v.size()) - 1; i > 0; --i) std::swap(v[std::size_t(i)], v[std::size_t(random.below(i, i + 1))]);
}
/// As RandomState(seed).shuffle() of numpy does it to a list: MT19937, and of its numbers, cut to as many bits as the place has, the first that is no larger than that.
template <class T> void shuffle_as_numpy(std::vector<T>& v, std::uint32_t seed) {
  std::mt19937 random(seed);
  for (std::uint64_t i = v.size(); i-- > 1;) {
    std::uint64_t mask = i, j;
    for (int half = 1; half < 32; half *= 2) mask |= mask >> half;
    do j = random() & mask;
    while (j > i);
    std::swap(v[std::size_t(i)], v[std::size_t(j)]);
  }
}
}  // namespace detail

[[gnu::cold]] inline SplitDataset Dataset::split(const SplitOptions& options) const {
  if (!(options.validation >= 0 && options.validation < 1))
    throw Error("split of ", name, " was asked for a validation share of ", options.validation, ": give a number from 0 to below 1, such as 0.1");
  const bool whole = options.rule == SplitRule::keras_directory;
  if (whole && options.seed >> 32) throw Error("split of ", name, " was asked for seed ", options.seed, ", and numpy's RandomState takes 0 to 4294967295");
  std::vector<std::vector<std::size_t>> of_class(whole ? 1 : classes.size());
  for (std::size_t i = 0; i < samples.size(); ++i) of_class[whole ? 0 : std::size_t(samples[i].label)].push_back(i);
  std::vector<char> held(samples.size());
  for (std::size_t c = 0; c < of_class.size(); ++c) {
    std::vector<std::size_t>& all = of_class[c];
    if (options.rule != SplitRule::stratified) {
      if (whole) detail::shuffle_as_numpy(all, std::uint32_t(options.seed)), std::reverse(all.begin(), all.end());
      for (std::size_t i = 0; i < std::size_t(options.validation * double(all.size())); ++i) held[all[i]] = true;
      continue;
    }
    if (options.validation == 0 || all.size() < 2) continue;
    const Index n = Index(all.size()), wanted = Index(options.validation * double(n) + 0.5), kept = wanted < 1 ? 1 : wanted < n ? wanted : n - 1;
    detail::shuffle(all, Random(options.seed, Stream::split, std::uint32_t(c)));
    for (Index i = 0; i < kept; ++i) held[all[std::size_t(i)]] = true;
  }
  SplitDataset parts{{classes, {}, name + " (training part)"}, {classes, {}, name + " (validation part)"}};
  for (std::size_t i = 0; i < samples.size(); ++i) (held[i] ? parts.validation : parts.train).samples.push_back(Sample(samples[i]));
  return parts;
}

}  // namespace lamina
