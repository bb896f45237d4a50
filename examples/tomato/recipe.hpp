/// Recipes: the defaults a training begins with. `pytorch` and `keras` are the study's two sequential systems; `lamina` is the best known here in the same time.
#pragma once
#include <algorithm>
#include <functional>

#include <lamina/lamina.hpp>

#include "settings.hpp"

namespace tomato {

/// All but the pictures. One type of each, so that the training is compiled once for each size and not once for each recipe.
struct Recipe {
  lamina::Init init;
  lamina::CrossEntropy<> loss;
  lamina::Adam optimizer;
  std::function<double(double, const lamina::Moment&)> schedule;
};

inline Recipe recipe(const TrainSettings& s) {
  using namespace lamina;
  const auto rate = [&](double usual) { return s.rate > 0 ? s.rate : usual; };
  if (s.recipe == "pytorch") return {Init::torch, {}, {.rate = rate(1e-3), .form = Form::torch}, ExponentialDecay{.rate = 0.9}};
  if (s.recipe == "keras") return {Init::glorot_uniform, {}, {.rate = rate(1e-3), .form = Form::keras}, ExponentialDecay{.rate = 0.9, .per = Per::epoch_smoothly}};
  // Adam's second moment knows too little at first for the full rate: with a warm-up of one epoch, however few its steps, now and then a training never leaves the start.
  const auto schedule = [](double base, const Moment& m) { return Cosine{.warm_up_steps = std::min<Index>(300, m.epochs * m.steps_per_epoch / 5)}(base, m); };
  return {Init::glorot_uniform, {.smoothing = 0.05}, {.rate = rate(2e-3), .weight_decay = 0.02, .decay = Decay::decoupled}, schedule};
}

/// What each recipe does to a training picture. Shear 0.2 and zoom 0.2 mean to `keras` what they mean there: degrees, and a factor for either side, between pixels.
/// To `pytorch` they mean what torchvision's RandomAffine takes them for: degrees, and one factor for both sides, by the nearest pixel; the border is mirrored, as
/// grid_sample does for padding_mode="reflection".
inline lamina::AugmentationOptions augmentation(const TrainSettings& s) {
  lamina::AugmentationOptions a{.size = {s.size, s.size}, .batch = s.batch, .seed = s.seed, .workers = s.threads};
  a.horizontal_flip = true;
  if (s.recipe == "lamina") {
    a.vertical_flip = true, a.crop_padding = s.size / 16;      // whole pixels: what blurs or stretches a leaf costs accuracy
  } else if (s.recipe == "pytorch") {
    a.shear = 0.2, a.scale = 0.2, a.interpolation_order = 0, a.fill_mode = lamina::FillMode::reflect;
  } else {
    a.shear = 0.2, a.zoom = 0.2;
  }
  return a;
}

}  // namespace tomato
