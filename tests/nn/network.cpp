#include <lamina/cpu/cpu.hpp>
#include <lamina/nn/network.hpp>
#include <lamina/train/model.hpp>

#include <doctest/doctest.h>

#include <string>
#include <typeinfo>

#include "../support/nets.hpp"

using namespace lamina;
using namespace lamina_test;

TEST_CASE("LeafNet, by hand") {   // 3x3 weights and biases of the convolutions; 8 * 8 * 128 numbers into the first dense layer
  static_assert(LeafNet::parameters == (27 * 32 + 32) + (9 * 32 * 64 + 64) + (9 * 64 * 128 + 128) + (8192 * 128 + 128) + (128 * 10 + 10));
  static_assert(LeafNet::parameters == 1'143'242 && LeafNet::input == Shape{64, 64, 3} && LeafNet::output == Shape{10});
  constexpr Index convolutions = 2 * (27 * 32 * 4096 + 9 * 32 * 64 * 1024 + 9 * 64 * 128 * 256), dense = 2 * (8192 * 128 + 128 * 10);
  constexpr Index relus = 4096 * 32 + 1024 * 64 + 256 * 128 + 128, pools = relus - 128, dropout = 128;      // a pool reads every number once
  static_assert(LeafNet::flops == convolutions + dense + relus + pools + dropout);
}

TEST_CASE("networks people know") {
  static_assert(ResNet18::parameters == 11'689'512 && ResNet18::output == Shape{1000});      // torchvision's resnet18
  static_assert(ResNet18::table.block.state == 2 * (64 + 4 * 64 + 5 * 128 + 5 * 256 + 5 * 512));
  static_assert(ResNet18::flops > 2 * Index(1'814'000'000) && ResNet18::flops < 2 * Index(1'850'000'000));  // He et al., table 1: 1.8e9 multiply-adds
  static_assert(ResNet110::parameters == 1'730'714);                                         // He et al., table 6: 1.7 million
}

TEST_CASE("a network in a network is its layers") {
  struct Features : Network<Input<8, 8, 3>, Conv<4, 3>, ReLU, MaxPool<2>> {};
  struct Whole : Network<Input<16, 12, 3>, Features, Features, Flatten, Dense<5>> {};        // with other shapes, and parameters of their own
  static_assert(Whole::layers::size == 8 && Whole::parameters == (27 * 4 + 4) + (36 * 4 + 4) + (4 * 3 * 4 * 5 + 5));
}

TEST_CASE("the table of a network") {
  struct Net : Network<Input<6, 4, 2>, Conv<3, 3>, BatchNorm, ReLU, Flatten, Dense<5>> {};
  constexpr auto& t = Net::table;
  static_assert(t.count == 5 && t.edges == 6 && t.out == Shape{5} && t.misfit < 0);
  static_assert(t.rows[0].w == 0 && t.rows[1].w == room(54) + room(3) && t.rows[4].w == t.rows[1].w + 2 * room(3));   // each tensor on its own lines
  static_assert(t.block.parameters == t.rows[4].w + room(72 * 5) + room(5) && t.block.state == 2 * room(3) && t.statistics == 2 * room(3));
  static_assert(!t.rows[0].wants_dx && t.rows[1].wants_dx && t.rows[4].wants_dx);
  static_assert(t.rows[3].in == Shape{6, 4, 3} && t.rows[3].out == Shape{72} && t.rows[4].x == 4 && t.rows[4].y == 5);
  static_assert(Net::parameters == 54 + 3 + 6 + 72 * 5 + 5);
}

TEST_CASE("what looks odd and fits") {
  struct Small : Network<Input<2, 2, 8>, MaxPool<2>, Conv<4, 3>, Flatten, Dense<5>> {};            // a picture of one pixel, all around it padding
  struct Squeeze : Network<Input<6, 4, 8>, GlobalAvgPool, Flatten, Conv<4, 1>, Conv<8, 3>> {};     // never was more than one pixel when it was made flat
  struct Pixel : Network<Input<2, 2, 8>, Flatten, Conv<4, 1>> {};                                  // a dense layer by another name
  static_assert(Small::output == Shape{5} && Squeeze::output == Shape{8} && Pixel::output == Shape{4});
}

TEST_CASE("layers without parameters at the front want no gradient") {
  struct Net : Network<Input<6, 4, 2>, Tanh, AvgPool<2>, Flatten, Dense<5>, ReLU> {};
  constexpr auto& t = Net::table;
  static_assert(!t.rows[0].wants_dx && !t.rows[1].wants_dx && !t.rows[3].wants_dx && t.rows[4].wants_dx);
}

TEST_CASE("symbols stay short") {   // struct Net : Network<...>, and not using Net = Network<...>
  CHECK(std::string(typeid(Model<ResNet110, Cpu>*).name()).size() < 150);
}
