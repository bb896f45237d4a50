#include <lamina/cpu/conv.hpp>
#include <lamina/nn/conv.hpp>

#include "../support/check_layer.hpp"

using namespace lamina;
using lamina_test::check_layer;

TEST_CASE("convolution: sizes of the window") {
  check_layer<Conv<5, 1>>({4, 7, 3});
  check_layer<Conv<4, 2, 1, 1>>({5, 4, 3});
  check_layer<Conv<8, 3>>({7, 5, 3});
  check_layer<Conv<3, 4, 1, 2>>({6, 5, 2});
  check_layer<Conv<7, 5>>({5, 9, 4});
  check_layer<Conv<2, 6, 1, 3>>({7, 8, 2});
  check_layer<Conv<3, 7>>({8, 9, 2});
}

TEST_CASE("convolution: strides and padding") {
  check_layer<Conv<6, 3, 2>>({7, 10, 5});
  check_layer<Conv<6, 3, 2, 0>>({9, 8, 5});
  check_layer<Conv<4, 3, 3, 1>>({10, 11, 3});
  check_layer<Conv<4, 1, 2, 0>>({8, 7, 6});
  check_layer<Conv<3, 5, 2, 4>>({6, 5, 2});      // windows that see nothing but padding
  check_layer<Conv<3, 2, 3, 0>>({9, 7, 2});      // pixels that no window sees
  check_layer<Conv<3, 7, 2, 3>>({12, 9, 3});
}

TEST_CASE("convolution: padding same") {
  check_layer<Conv<4, 3, 1, same>>({5, 6, 3});
  check_layer<Conv<4, 3, 2, same>>({7, 8, 3});
  check_layer<Conv<3, 2, 1, same>>({4, 5, 2});
  check_layer<Conv<3, 4, 3, same>>({8, 7, 2});
  check_layer<Conv<3, 5, 2, same>>({2, 1, 3});   // a window larger than the image
}

TEST_CASE("convolution: groups") {
  check_layer<Conv<6, 3, 1, 1, true, 2>>({5, 7, 4});
  check_layer<Conv<9, 3, 2, 0, false, 3>>({7, 8, 6});
  check_layer<Conv<8, 1, 1, 0, true, 4>>({3, 5, 8});
  check_layer<Conv<6, 3, 1, 1, true, 6>>({5, 4, 6});
}

TEST_CASE("convolution: many channels and no bias") {
  check_layer<Conv<31, 3, 1, 1, no_bias>>({5, 3, 33});
  check_layer<Conv<65, 1, 1, 0, no_bias>>({3, 2, 130});
  check_layer<Conv<1, 3>>({6, 4, 17});
}

TEST_CASE("convolution: an image of one pixel") {
  check_layer<Conv<4, 1>>({1, 1, 5});
  check_layer<Conv<3, 3>>({1, 1, 2});
  check_layer<Conv<3, 7>>({1, 3, 2});
}

TEST_CASE("depthwise convolution") {
  check_layer<DepthwiseConv<3>>({6, 9, 8});
  check_layer<DepthwiseConv<3, 2, 1, no_bias>>({9, 6, 12});
  check_layer<DepthwiseConv<3, 2, same>>({7, 8, 5});
  check_layer<DepthwiseConv<3, 2, 0, no_bias>>({8, 7, 5});
  check_layer<DepthwiseConv<3, 2, 2>>({6, 5, 4});
  check_layer<DepthwiseConv<3, 1, 0>>({5, 7, 3});
  check_layer<DepthwiseConv<3, 1, 2>>({4, 5, 3});
  check_layer<DepthwiseConv<3, 1, 3>>({3, 4, 3});          // rows and columns of taps beyond the image
  check_layer<DepthwiseConv<3, 3, 1>>({7, 8, 3});
  check_layer<DepthwiseConv<5, 1, same>>({5, 4, 3});
  check_layer<DepthwiseConv<3, 1, 1, true, 4>>({5, 4, 6});
  check_layer<DepthwiseConv<2, 2, 0, no_bias, 3>>({6, 7, 17});
}

TEST_CASE("what a convolution says about itself") {
  using C = Conv<32, 3>;                         // by hand: 9 * 3 * 32 weights, 64 * 64 * 2 flops for each
  static_assert(C::out({64, 64, 3}) == Shape{64, 64, 32} && C::needs({64, 64, 3}).flops == 2 * 9 * 3 * 32 * 64 * 64);
  static_assert(C::parameters({64, 64, 3}).count() == 896 && Conv<32, 3, 1, 1, no_bias>::parameters({64, 64, 3}).count() == 864);
  static_assert(Conv<8, 3, 2, same>::out({7, 8, 3}) == Shape{4, 4, 8} && Conv<8, 3, 2, 0>::out({7, 8, 3}) == Shape{3, 3, 8});
  static_assert(Conv<8, 5, 1, 0>::accepts({2, 7, 3}) == Shape{5, 7, 3} && Conv<8, 5>::accepts({1, 1, 3}) == Shape{1, 1, 3});
  static_assert(Conv<8, 3, 1, 1, true, 4>::accepts({5, 5, 6}) == Shape{5, 5, 8});
  static_assert(DepthwiseConv<3, 1, 1, true, 2>::out({5, 5, 6}) == Shape{5, 5, 12} && DepthwiseConv<3, 1, 1, true, 2>::parameters({5, 5, 6}).count() == 9 * 12 + 12);
}
