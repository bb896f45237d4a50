/// The recipes `pytorch` and `keras` mean what the study's scripts say to those frameworks (bench/peers/study_torch.py, study_keras.py), of which bench/study --follow compares an epoch step by step.
#include "../../examples/tomato/recipe.hpp"

#include <doctest/doctest.h>

using namespace lamina;

namespace {
tomato::TrainSettings of(const char* recipe) {
  tomato::TrainSettings s;
  s.recipe = recipe;
  return s;
}
}  // namespace

TEST_CASE("recipe pytorch: Adam and ExponentialLR once an epoch, RandomAffine by the nearest pixel") {
  const tomato::Recipe r = tomato::recipe(of("pytorch"));
  CHECK(r.init == Init::torch);
  CHECK(r.loss.smoothing == 0);
  CHECK(r.loss.class_weights.empty());
  CHECK((r.optimizer.form == Form::torch && r.optimizer.beta1 == 0.9 && r.optimizer.beta2 == 0.999 && r.optimizer.weight_decay == 0 && !r.optimizer.amsgrad));
  CHECK(r.optimizer.clock(r.optimizer.rate, 1).epsilon == 1e-8);
  for (const Index epoch : {0, 1, 14})                       // ExponentialLR(optimizer, 0.9): the same rate for all steps of an epoch
    for (const Index batch : {0, 277}) CHECK(r.schedule(r.optimizer.rate, {.step = epoch * 278 + batch, .epoch = epoch, .steps_per_epoch = 278, .epochs = 15}) == doctest::Approx(1e-3 * std::pow(0.9, double(epoch))).epsilon(1e-12));
  const AugmentationOptions a = tomato::augmentation(of("pytorch"));
  CHECK((a.shear == 0.2 && a.scale.low == 0.8 && a.scale.high == 1.2 && a.zoom.off() && a.interpolation_order == 0 && a.horizontal_flip && !a.vertical_flip && a.rescale == 1 / 255.0));
}

TEST_CASE("recipe keras: its Adam and ExponentialDecay step by step, ImageDataGenerator's shear and zoom between pixels") {
  const tomato::Recipe r = tomato::recipe(of("keras"));
  CHECK(r.init == Init::glorot_uniform);
  CHECK(r.loss.smoothing == 0);
  CHECK(r.loss.class_weights.empty());
  CHECK((r.optimizer.form == Form::keras && r.optimizer.beta1 == 0.9 && r.optimizer.beta2 == 0.999 && r.optimizer.weight_decay == 0 && !r.optimizer.amsgrad));
  CHECK(r.optimizer.clock(r.optimizer.rate, 1).epsilon == 1e-7);
  for (const Index step : {0, 1, 277, 278, 4169})            // ExponentialDecay(1e-3, decay_steps=278, decay_rate=0.9)
    CHECK(r.schedule(r.optimizer.rate, {.step = step, .epoch = step / 278, .steps_per_epoch = 278, .epochs = 15}) == doctest::Approx(1e-3 * std::pow(0.9, double(step) / 278)).epsilon(1e-12));
  const AugmentationOptions a = tomato::augmentation(of("keras"));
  CHECK((a.shear == 0.2 && a.zoom.low == 0.8 && a.zoom.high == 1.2 && a.scale.off() && a.interpolation_order == 1 && a.fill_mode == FillMode::nearest && a.horizontal_flip && !a.vertical_flip && a.rescale == 1 / 255.0));
}
