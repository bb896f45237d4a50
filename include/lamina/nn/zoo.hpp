/// Networks people know, as types: VGG-11, ResNet-18 and MobileNetV2, layer for layer those of torchvision, and the blocks they are made of.
/// They take square pictures of Size x Size pixels in three colours and end in one logit for each class.
#pragma once
#include "network.hpp"

namespace lamina::zoo {

/// Pictures with shorter sides than this are those of CIFAR, Tiny ImageNet and the like: a network that would halve them at once leaves them as large as they are.
inline constexpr int large_picture = 128;

/// (H, W, C) -> (H / Stride, W / Stride, Out), rounded up for an odd K: a convolution whose bias is that of the batch norm after it.
template <int Out, int K, int Stride = 1> using ConvNorm = Sequential<Conv<Out, K, Stride, K / 2, no_bias>, BatchNorm>;

// --- Simonyan and Zisserman 2014, "Very Deep Convolutional Networks for Large-Scale Image Recognition"

/// (H, W, C) -> (H / 2, W / 2, Out), rounded down: N convolutions of 3x3, each with its ReLU, then the largest of each 2x2.
template <int Out, int N> using VggBlock = Sequential<Repeat<N, Conv<Out, 3>, ReLU>, MaxPool<2>>;

/// Their configuration A. At 224 pixels its last feature map has 7x7 pixels and it is torchvision's vgg11. torchvision brings pictures of other sizes to 7x7 there
/// too, by averaging or by repeating pixels. Here the classifier reads what there is, Size / 32 x Size / 32 x 512 numbers, rounded down: 2x2x512 at 64 pixels, and
/// its first layer is as much smaller. Size is at least 32.
template <int Size, int Classes>
struct Vgg11 : Network<Input<Size, Size, 3>, VggBlock<64, 1>, VggBlock<128, 1>, VggBlock<256, 2>, VggBlock<512, 2>, VggBlock<512, 2>, Flatten,
                       Dense<4096>, ReLU, Dropout<50>, Dense<4096>, ReLU, Dropout<50>, Dense<Classes>> {};

// --- He et al. 2015, "Deep Residual Learning for Image Recognition"

/// (H, W, In) -> (H / Stride, W / Stride, Out), rounded up: two convolutions of 3x3 beside a shortcut, which is a 1x1 convolution where the shape changes.
template <int In, int Out, int Stride = 1> struct BasicBlock {
  using parts = List<Sum<Sequential<ConvNorm<Out, 3, Stride>, ReLU, ConvNorm<Out, 3>>, ConvNorm<Out, 1, Stride>>, ReLU>;
};
template <int C> struct BasicBlock<C, C, 1> { using parts = List<Residual<ConvNorm<C, 3>, ReLU, ConvNorm<C, 3>>, ReLU>; };

/// What a residual network begins with: to a quarter of the sides for large pictures, and at full size for others.
template <bool Large> struct ResNetStem { using parts = List<ConvNorm<64, 7, 2>, ReLU, MaxPool<3, 2, 1>>; };
template <> struct ResNetStem<false> { using parts = List<ConvNorm<64, 3>, ReLU>; };

/// Their network of 18 layers, torchvision's resnet18. For Size < 128 it begins with one 3x3 convolution of stride 1 and no pooling, as theirs for CIFAR do.
template <int Size, int Classes>
struct ResNet18 : Network<Input<Size, Size, 3>, ResNetStem<(Size >= large_picture)>, BasicBlock<64, 64>, BasicBlock<64, 64>, BasicBlock<64, 128, 2>, BasicBlock<128, 128>,
                          BasicBlock<128, 256, 2>, BasicBlock<256, 256>, BasicBlock<256, 512, 2>, BasicBlock<512, 512>, GlobalAvgPool, Dense<Classes>> {};

// --- Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks"

namespace detail {
template <int In, int Expand> struct Expansion { using parts = List<ConvNorm<In * Expand, 1>, ReLU6>; };
template <int In> struct Expansion<In, 1> { using parts = List<>; };
template <int In, int Out, int Stride, int Expand>
using Bottleneck = Sequential<Expansion<In, Expand>, DepthwiseConv<3, Stride, 1, no_bias>, BatchNorm, ReLU6, ConvNorm<Out, 1>>;
}  // namespace detail

/// (H, W, In) -> (H / Stride, W / Stride, Out), rounded up: 1x1 to Expand times the channels, 3x3 on each of them by itself, 1x1 to Out without an activation; with a
/// shortcut where the shape stays.
template <int In, int Out, int Stride = 1, int Expand = 6> struct InvertedResidual { using parts = List<detail::Bottleneck<In, Out, Stride, Expand>>; };
template <int C, int Expand> struct InvertedResidual<C, C, 1, Expand> { using parts = List<Residual<detail::Bottleneck<C, C, 1, Expand>>>; };

/// N of them; the first has the stride and changes the channels.
template <int In, int Out, int N, int Stride> using InvertedResiduals = Sequential<InvertedResidual<In, Out, Stride>, Repeat<N - 1, InvertedResidual<Out, Out>>>;

/// Their network of width 1, torchvision's mobilenet_v2. For Size < 128 its first convolution has stride 1, so that its last feature map has a sixteenth of the sides
/// and not a thirty-second; the rest is the same.
template <int Size, int Classes>
struct MobileNetV2 : Network<Input<Size, Size, 3>, ConvNorm<32, 3, (Size >= large_picture ? 2 : 1)>, ReLU6, InvertedResidual<32, 16, 1, 1>, InvertedResiduals<16, 24, 2, 2>,
                             InvertedResiduals<24, 32, 3, 2>, InvertedResiduals<32, 64, 4, 2>, InvertedResiduals<64, 96, 3, 1>, InvertedResiduals<96, 160, 3, 2>,
                             InvertedResidual<160, 320>, ConvNorm<1280, 1>, ReLU6, GlobalAvgPool, Dropout<20>, Dense<Classes>> {};

}  // namespace lamina::zoo
