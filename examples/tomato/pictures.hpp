/// The pictures of a run, looked at one by one before it begins: those that cannot be used end it, or are left out.
#pragma once
#include <cstdio>
#include <memory>

#include "data.hpp"
#include "printable.hpp"

namespace tomato {

/// The pictures of one program, decoded once for all of its replicas.
struct Pictures {
  Leaves leaves;
  std::shared_ptr<lamina::PictureStore> train, validation;

  explicit Pictures(const TrainSettings& s) : leaves(load_leaves(s)) { keep(s.size); }

  /// Decodes all of them. Those that cannot be used are named on standard error, if this program `tells`; then, with --on-bad-image skip, they are left out, and it is as if they had never
  /// been there. Else, or if a class has none that can be used, throws lamina::Error. A picture that goes away later is an error of the training, which keeps its last checkpoint.
  void look_through(const TrainSettings& s, bool tells = true) {
    const auto bad_train = check(*train, s.threads), bad_validation = check(*validation, s.threads);
    const std::size_t count = bad_train.size() + bad_validation.size();
    if (!count) return;
    const bool skip = s.on_bad_image == "skip";
    for (const auto* set : {&bad_train, &bad_validation})
      for (const lamina::BadPicture& bad : *set)
        if (tells || !skip) std::fprintf(stderr, "tomato: %s\n", printable(bad.problem).c_str());
    const std::string found = std::to_string(count) + (count == 1 ? " picture" : " pictures") + " cannot be used";
    if (!skip) throw lamina::Error(found, count == 1 ? ": repair it or take it away" : ": repair them or take them away", ", or leave such out: --on-bad-image skip");
    leaves.train = without(std::move(leaves.train), bad_train), leaves.validation = without(std::move(leaves.validation), bad_validation);
    leaves.left_out_train = lamina::Index(bad_train.size()), leaves.left_out_validation = lamina::Index(bad_validation.size());
    keep(s.size);
    if (tells) std::printf("%s and %s left out: %td training and %td validation pictures remain\n", found.c_str(), count == 1 ? "is" : "are", leaves.train.size(), leaves.validation.size());
  }

 private:
  void keep(int size) {
    train.reset(), validation.reset();
    train = std::make_shared<lamina::PictureStore>(leaves.train, lamina::Size{size, size});
    validation = std::make_shared<lamina::PictureStore>(leaves.validation, lamina::Size{size, size});
  }
};

}  // namespace tomato
