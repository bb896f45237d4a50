/// The trainer's pictures: class folders on disk, or the generated leaves.
#pragma once
#include <lamina/lamina.hpp>

#include "leaves.hpp"
#include "network.hpp"
#include "settings.hpp"

namespace tomato {

/// What there is of that name; a link is what it leads to. Throws lamina::Error if nobody can tell, say because the folder around it may not be searched.
inline std::filesystem::file_status status_of(const std::filesystem::path& path) {
  std::error_code failed;
  const auto status = std::filesystem::status(path, failed);
  if (!std::filesystem::status_known(status)) throw lamina::Error("cannot look at ", path, " (", failed.message(), "): check the path, and that this user may read the folders on it");
  return status;
}
inline bool is_folder(const std::filesystem::path& path) { return std::filesystem::is_directory(status_of(path)); }

/// The share of each class that is kept for validation where nobody says another.
inline constexpr double usual_validation = 0.1;

/// What a run trains and validates on, and where it is from in words.
struct Leaves {
  lamina::Dataset train, validation;
  std::string origin;
  double divided = 0;                      // the share of each class that chance took for validation, if it did
  lamina::Index left_out_train = 0, left_out_validation = 0;   // pictures that could not be used
};

/// `per_class` drawn leaves of each disease; `number` tells one such set from another.
inline lamina::Dataset drawn_leaves(int size, int per_class, std::uint32_t number) {
  lamina::Dataset set;
  set.name = "the generated leaves";
  set.classes.assign(diseases.begin(), diseases.end());
  for (int disease = 0; disease < int(diseases.size()); ++disease)
    for (int i = 0; i < per_class; ++i)
      set.add({size, size, 3, draw_leaf(disease, size, lamina::Random(2026, lamina::Stream::picture, number, std::uint32_t(disease * per_class + i)))}, disease);
  return set;
}

/// Whether it is a folder that holds folders, as one of class folders does.
inline bool holds_folders(const std::filesystem::path& path) {
  std::error_code failed, unknown;
  for (std::filesystem::directory_iterator it(path, failed), end; !failed && it != end; it.increment(failed))
    if (it->is_directory(unknown)) return true;
  return false;
}

/// Throws lamina::Error if of train/ and val/ with class folders the other one is missing.
inline void refuse_half(const std::filesystem::path& data, const char* half, const char* other) {
  if (holds_folders(data / half) && !is_folder(data / other))
    throw lamina::Error(data, " holds a folder ", half, " and none called ", other, ": give that name to the folder of the other pictures, or give ", data / half, " alone");
}

/// Throws lamina::Error if the folder is not as it should be, or has another number of classes than this program was built for.
inline Leaves load_leaves(const TrainSettings& s) {
  Leaves leaves;
  const bool has_both = !s.data.empty() && is_folder(s.data / "train") && is_folder(s.data / "val");
  if (s.validation > 0 && (s.data.empty() || has_both))
    throw lamina::Error("--validation divides a folder that has no val/, and ",
                        s.data.empty() ? "the generated leaves are divided" : s.data.string() + " has one", ": leave it out");
  if (s.data.empty()) {
    leaves = {drawn_leaves(s.size, train_pictures_per_class, 0), drawn_leaves(s.size, validation_pictures_per_class, 1), "generated"};
  } else if (has_both) {
    const lamina::ImageFolder train(s.data / "train");
    leaves = {train, lamina::ImageFolder(s.data / "val", train.classes), s.data.string()};
  } else {
    refuse_half(s.data, "train", "val"), refuse_half(s.data, "val", "train");
    const double share = s.validation > 0 ? s.validation : usual_validation;
    auto [train, validation] = lamina::ImageFolder(s.data).split({.validation = share, .seed = s.seed});
    leaves = {std::move(train), std::move(validation), s.data.string() + ", divided by chance", share};
    if (!leaves.validation.size()) throw lamina::Error(s.data, " has one picture of each class, and none is left for validation: add some, or give a folder with train/ and val/");
  }
  const std::string name = s.data.empty() ? "the set of generated leaves" : s.data.string();
  const std::size_t have = leaves.train.classes.size();
  if (have != std::size_t(classes))
    throw lamina::Error(name, " has ", have, " classes and this program was built for ", classes, ": ", how_to_build(have));
  for (const std::string& c : leaves.train.classes)
    if (!lamina::detail::is_utf8(c)) throw lamina::Error("the name of the class folder ", c, " in ", name, " is not UTF-8, which checkpoints need: rename it");
  return leaves;
}

}  // namespace tomato
