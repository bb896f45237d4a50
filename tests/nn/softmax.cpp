#include <lamina/nn/softmax.hpp>

#include "../support/check_layer.hpp"

using namespace lamina;
using lamina_test::check_layer;

TEST_CASE("softmax") {
  check_layer<Softmax>({10});
  check_layer<Softmax>({3, 4, 5}, {.scale = 4});
  check_layer<Softmax>({1});
  check_layer<Softmax>({2, 1, 130});
}

TEST_CASE("softmax of logits that exp() cannot take") {
  const float x[4] = {1000, 1000, -1000, 1000};
  float y[4];
  detail::SoftmaxOf<float>{x, y, 2}(0), detail::SoftmaxOf<float>{x, y, 2}(1);
  CHECK(y[0] == 0.5f);
  CHECK(y[1] == 0.5f);
  CHECK(y[2] == 0);
  CHECK(y[3] == 1);
}
