#include <lamina/cpu/dense.hpp>
#include <lamina/nn/dense.hpp>

#include "../support/check_layer.hpp"

using namespace lamina;
using lamina_test::check_layer;

TEST_CASE("dense") {
  check_layer<Dense<5>>({7});
  check_layer<Dense<1>>({1});
  check_layer<Dense<33, no_bias>>({16});
  check_layer<Dense<10>>({130});
}

TEST_CASE("dense: more than one block of inputs and of outputs") {
  check_layer<Dense<65>>({515});
  check_layer<Dense<130, no_bias>>({257});
}

TEST_CASE("what a dense layer says about itself") {
  static_assert(Dense<128>::parameters({8192}).count() == 8192 * 128 + 128 && Dense<128, no_bias>::parameters({8192}).count() == 8192 * 128);
  static_assert(Dense<10>::accepts({4, 5, 3}) == Shape{60} && Dense<10>::accepts({60}) == Shape{60} && Dense<10>::out({60}) == Shape{10});
  static_assert(Dense<10>::needs({60}).flops == 1200);
}
