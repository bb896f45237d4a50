#include "../support/launches.hpp"
#include <lamina/cuda/verbs.hpp>

#include <doctest/doctest.h>

#include "../support/nets.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
/// W(64, B) of the tables of speed.
struct Leaf : Network<Input<64, 64, 3>, Block<32>, Block<64>, Block<128>, Flatten, Dense<128>, ReLU, Dense<10>> {};
}  // namespace

TEST_CASE("a training step takes few launches and moves little more than it must") {
  constexpr Index n = 64;
  const IdealBytes ideal = ideal_bytes(Program<Leaf, Itemised, bf16>::view);
  const double must = ideal.of_sample * n + ideal.of_parameters;
  CHECK(must == doctest::Approx(87e6).epsilon(0.005));           // the plan's figure
  const std::vector<LaunchBytes> launches = CarriedSteps::of<Leaf>().with<Leaf>(n);
  CHECK(launches.size() <= 20);
  double bytes = 0;
  for (const LaunchBytes& l : launches) {
    CAPTURE(l.kernel);
    CHECK(l.counted);
    bytes += l.read + l.written;
  }
  CHECK(bytes <= 1.2 * must);
}
