#include <lamina/cpu/batch_norm.hpp>
#include <lamina/cpu/conv_relu_pool.hpp>
#include <lamina/cpu/dense.hpp>
#include <lamina/cpu/pool.hpp>
#include <lamina/nn/summary.hpp>
#include <lamina/nn/zoo.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "../support/check_model.hpp"

using namespace lamina;
using lamina_test::check_model;
using zoo::MobileNetV2, zoo::ResNet18, zoo::Vgg11;

namespace {
/// Multiply-adds of the convolutions and dense layers alone, in millions: what torchvision and the papers count.
template <class Net> constexpr Index millions() {
  Index flops = 0;
  for (const auto& r : Net::table.rows)
    if (r.place.parameters && r.parameters(r.in).first.rank > 1) flops += r.need.flops;
  return (flops / 2 + 500'000) / 1'000'000;
}

/// The shapes a picture goes through, each named when it changes.
template <class Net> std::string shapes() {
  std::string all, last;
  for (const SummaryRow& r : summary_rows<Net>())
    if (r.output != last) all += (all.empty() ? "" : " ") + (last = r.output);
  return all;
}
}  // namespace

TEST_CASE("parameters") {   // "num_params" of VGG11_Weights, ResNet18_Weights and MobileNet_V2_Weights in torchvision 0.15 and later
  static_assert(Vgg11<224, 1000>::parameters == 132'863'336);
  static_assert(ResNet18<224, 1000>::parameters == 11'689'512);
  static_assert(MobileNetV2<224, 1000>::parameters == 3'504'872);

  constexpr Index vgg_features = 9'220'480, dense = (4 * 512 * 4096 + 4096) + (4096 * 4096 + 4096) + (4096 * 10 + 10);   // features: 132,863,336 less its three dense layers
  static_assert(vgg_features == 132'863'336 - (49 * 512 * 4096 + 4096) - (4096 * 4096 + 4096) - (4096 * 1000 + 1000));
  static_assert(Vgg11<64, 10>::parameters == vgg_features + dense);
  static_assert(ResNet18<32, 10>::parameters == 11'689'512 - (49 - 9) * 3 * 64 - 513 * (1000 - 10));
  static_assert(MobileNetV2<32, 10>::parameters == 3'504'872 - 1281 * (1000 - 10));
}

TEST_CASE("multiply-adds") {   // "_ops" there, in milliards: 7.609, 1.814, 0.301. He et al., table 1: 1.8; Sandler et al., table 4: 0.300
  static_assert(millions<Vgg11<224, 1000>>() == 7609);
  static_assert(millions<ResNet18<224, 1000>>() == 1814);
  static_assert(millions<MobileNetV2<224, 1000>>() == 301);
}

TEST_CASE("the shapes of every stage: table 1 of Simonyan and Zisserman, table 1 of He et al., table 2 of Sandler et al.") {
  CHECK(shapes<Vgg11<224, 1000>>() ==
        "224x224x64 112x112x64 112x112x128 56x56x128 56x56x256 28x28x256 28x28x512 14x14x512 7x7x512 25088 4096 1000");
  CHECK(shapes<Vgg11<64, 10>>() == "64x64x64 32x32x64 32x32x128 16x16x128 16x16x256 8x8x256 8x8x512 4x4x512 2x2x512 2048 4096 10");
  CHECK(shapes<ResNet18<224, 1000>>() == "112x112x64 56x56x64 28x28x128 14x14x256 7x7x512 512 1000");
  CHECK(shapes<ResNet18<128, 10>>() == "64x64x64 32x32x64 16x16x128 8x8x256 4x4x512 512 10");
  CHECK(shapes<ResNet18<127, 10>>() == "127x127x64 64x64x128 32x32x256 16x16x512 512 10");
  CHECK(shapes<ResNet18<32, 10>>() == "32x32x64 16x16x128 8x8x256 4x4x512 512 10");
  CHECK(shapes<MobileNetV2<224, 1000>>() ==
        "112x112x32 112x112x16 "
        "112x112x96 56x56x96 56x56x24 56x56x144 56x56x24 "
        "56x56x144 28x28x144 28x28x32 28x28x192 28x28x32 28x28x192 28x28x32 "
        "28x28x192 14x14x192 14x14x64 14x14x384 14x14x64 14x14x384 14x14x64 14x14x384 14x14x64 "
        "14x14x384 14x14x96 14x14x576 14x14x96 14x14x576 14x14x96 "
        "14x14x576 7x7x576 7x7x160 7x7x960 7x7x160 7x7x960 7x7x160 "
        "7x7x960 7x7x320 7x7x1280 1280 1000");
  CHECK(shapes<MobileNetV2<32, 10>>().starts_with("32x32x32 32x32x16 32x32x96 16x16x96 16x16x24 "));
  CHECK(shapes<MobileNetV2<32, 10>>().ends_with(" 2x2x320 2x2x1280 1280 10"));
}

TEST_CASE("the blocks, layer by layer") {
  static_assert(std::is_same_v<Flat<zoo::VggBlock<5, 2>>, List<Conv<5, 3>, ReLU, Conv<5, 3>, ReLU, MaxPool<2>>>);
  using Plain = Conv<6, 3, 1, 1, no_bias>;
  static_assert(std::is_same_v<Flat<zoo::BasicBlock<6, 6>>, List<Split, Plain, BatchNorm, ReLU, Plain, BatchNorm, Add, ReLU>>);
  static_assert(std::is_same_v<Flat<zoo::BasicBlock<4, 6, 2>>,
                               List<Split, Conv<6, 3, 2, 1, no_bias>, BatchNorm, ReLU, Plain, BatchNorm, Swap, Conv<6, 1, 2, 0, no_bias>, BatchNorm, Add, ReLU>>);
  using Depthwise = Sequential<DepthwiseConv<3, 1, 1, no_bias>, BatchNorm, ReLU6>;
  static_assert(std::is_same_v<Flat<zoo::InvertedResidual<4, 4>>,
                               Flat<Split, Conv<24, 1, 1, 0, no_bias>, BatchNorm, ReLU6, Depthwise, Conv<4, 1, 1, 0, no_bias>, BatchNorm, Add>>);
  static_assert(std::is_same_v<Flat<zoo::InvertedResidual<4, 6, 1, 1>>, Flat<Depthwise, Conv<6, 1, 1, 0, no_bias>, BatchNorm>>);
  static_assert(std::is_same_v<Flat<zoo::InvertedResiduals<4, 6, 3, 2>>, Flat<zoo::InvertedResidual<4, 6, 2>, zoo::InvertedResidual<6, 6>, zoo::InvertedResidual<6, 6>>>);
}

TEST_CASE("how often what shapes do not show") {
  const auto count = [](const std::vector<SummaryRow>& rows, const char* layer) {
    int n = 0;
    for (const SummaryRow& r : rows) n += r.layer == layer;
    return n;
  };
  const auto vgg = summary_rows<Vgg11<224, 1000>>(), resnet = summary_rows<ResNet18<224, 1000>>(), mobile = summary_rows<MobileNetV2<224, 1000>>();
  CHECK(std::pair{count(vgg, "ReLU"), count(vgg, "Dropout<50>")} == std::pair{10, 2});
  CHECK(std::pair{count(resnet, "ReLU"), count(resnet, "Add")} == std::pair{17, 8});
  CHECK(std::pair{count(mobile, "ReLU6"), count(mobile, "Add")} == std::pair{35, 10});          // of 17 blocks: tables 1 and 2
  CHECK(std::pair{count(mobile, "Dropout<20>"), count(resnet, "MaxPool<3, 2, 1>")} == std::pair{1, 1});
}

namespace {
struct SmallVgg : Network<Input<9, 8, 3>, zoo::VggBlock<4, 1>, zoo::VggBlock<5, 2>, Flatten, Dense<4>, ReLU, Dropout<50>, Dense<3>> {};
struct SmallRes : Network<Input<9, 8, 2>, zoo::ConvNorm<4, 3>, ReLU, zoo::BasicBlock<4, 4>, zoo::BasicBlock<4, 6, 2>, zoo::BasicBlock<6, 5>, GlobalAvgPool, Dense<3>> {};
struct SmallMobile : Network<Input<9, 8, 2>, zoo::ConvNorm<3, 3>, ReLU6, zoo::InvertedResidual<3, 2, 1, 1>, zoo::InvertedResiduals<2, 4, 3, 2>,
                             zoo::InvertedResidual<4, 5, 1, 2>, GlobalAvgPool, Dropout<20>, Dense<3>> {};
}  // namespace

TEST_CASE_TEMPLATE("gradients of the blocks, in small", Net, SmallVgg, SmallRes, SmallMobile) { check_model<Net, Cpu>(); }

namespace {
/// A batch norm right before a 1x1 convolution that has one too: what its bias adds is taken away again with the mean, and the loss does not depend on
/// it. MobileNetV2's blocks end that way, and nothing else here does.
template <class Net> inline constexpr int idle_biases = 0;
template <int Size, int Classes> inline constexpr int idle_biases<MobileNetV2<Size, Classes>> = 17;
}  // namespace

TEST_CASE_TEMPLATE("a step in double: every tensor learns, and its gradient is as long as the loss is steep", Net, Vgg11<32, 10>, ResNet18<16, 10>,
                   MobileNetV2<32, 10>) {
  INFO(name<Net>().s);
  Model<Net, Cpu, double> model({.batch = 2, .seed = 1});
  const Random random(1, Stream::test);
  std::vector<float> x(std::size_t(2 * size(Net::input)));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = float(random.uniform(Index(i), -1, 1));
  const std::int32_t label[] = {3, 7};
  const auto loss = [&] {
    model.reset_totals();
    model.forward_training({.n = 2, .x = x.data(), .label = label});
    return model.totals().loss() / 2;
  };
  const double first = loss();
  CHECK(first > 0);
  CHECK(first < 10);
  model.backward();

  int idle = 0;
  const auto tensors = model.tensors();
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (!tensors[i].learned) continue;
    INFO(tensors[i].name);
    const double* dw = model.gradients() + tensors[i].at;
    const Index count = tensors[i].dims.count();
    double square = 0;
    for (Index k = 0; k < count; ++k) square += dw[k] * dw[k];
    const double length = std::sqrt(square);
    CHECK(std::isfinite(length));
    if (length < 1e-9) ++idle;
    if (length < 1e-9 || i % 7) continue;
    const auto walk = [&](double far) { for (Index k = 0; k < count; ++k) model.parameters()[tensors[i].at + k] += far * dw[k] / length; };   // along the gradient
    constexpr double eps = 1e-8;                 // further, and one of a million ReLUs turns
    walk(eps);
    const double up = loss();
    walk(-2 * eps);
    const double down = loss();
    walk(eps);
    CHECK((up - down) / (2 * eps) == doctest::Approx(length).epsilon(1e-5));
  }
  CHECK(idle == idle_biases<Net>);
}

TEST_CASE("symbols stay short") { CHECK(std::string(typeid(Model<MobileNetV2<224, 1000>, Cpu>*).name()).size() < 150); }
