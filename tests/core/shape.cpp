#include <lamina/core/shape.hpp>

#include <doctest/doctest.h>

using namespace lamina;

TEST_CASE("shapes") {
  static_assert(size(Shape{64, 48, 3}) == 9216 && size(Shape{7}) == 7 && Shape{7} == Shape{1, 1, 7} && Shape{2, 1, 7} != Shape{1, 2, 7});
  static_assert(size(Shape{100'000, 100'000, 3}) == Index(30'000'000'000));
}

TEST_CASE("where a window goes") {
  static_assert(Window{3, 1, 1}.places(7) == 7 && Window{3, 2, 1}.places(7) == 4 && Window{3, 2, 0}.places(8) == 3 && Window{2, 2, 0}.places(7) == 3 && Window{7, 2, 3}.places(224) == 112);
  static_assert(Window{3, 2, 1}.over({9, 7, 4}, 10) == Shape{5, 4, 10});
  static_assert(Window{3, 2, 1}.before(9) == 1);
}

TEST_CASE("the images a window can be laid on") {
  static_assert(Window{5, 1, 0}.accepts({2, 7, 3}) == Shape{5, 7, 3} && Window{5, 1, 2}.accepts({1, 1, 3}) == Shape{1, 1, 3} && Window{5, 1, 1}.accepts({1, 9, 3}) == Shape{3, 9, 3});
  static_assert(Window{9, 2, same}.accepts({1, 1, 3}) == Shape{1, 1, 3});
}

TEST_CASE("padding same, by its definition") {   // ceil(in / stride) places; the padding is what they need, the odd pixel behind
  for (int in = 1; in < 40; ++in)
    for (int k = 1; k < 9; ++k)
      for (int stride = 1; stride < 6; ++stride) {
        const Window v{k, stride, same};
        const int out = (in + stride - 1) / stride, last = (out - 1) * stride + k, padding = last > in ? last - in : 0;
        REQUIRE(v.places(in) == out);
        REQUIRE(v.before(in) == padding / 2);
        for (int p = 0; p < out; ++p) REQUIRE((p * stride - v.before(in) < in && p * stride - v.before(in) + k > 0));   // each window sees a pixel
      }
}

TEST_CASE("padding same, as Keras pads") {       // golden/layers_keras.safetensors lists these sizes; the first column is what tf.nn does for them
  CHECK(Window{3, 2, same}.before(7) == 1);      // 1 before, 1 behind
  CHECK(Window{3, 2, same}.before(8) == 0);      // 0 before, 1 behind
  CHECK(Window{5, 2, same}.before(10) == 1);     // 1 before, 2 behind
  CHECK(Window{2, 1, same}.before(5) == 0);      // 0 before, 1 behind
}
