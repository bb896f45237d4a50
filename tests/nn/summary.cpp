/// The table of a network reads as the network was written.
#include <doctest/doctest.h>

#include <lamina/nn/summary.hpp>

using namespace lamina;

namespace {
template <class L> std::string written() { return detail::written(name<L>().s); }
struct Net : Network<Input<8, 8, 3>, Conv<4, 3>, ReLU, MaxPool<2>, Flatten, Dense<2>> {};
}  // namespace

TEST_CASE("layers are spelled as they are written") {
  CHECK(written<Conv<32, 3>>() == "Conv<32, 3>");
  CHECK(written<Conv<32, 3, 2>>() == "Conv<32, 3, 2>");
  CHECK(written<Conv<32, 3, 1, 0>>() == "Conv<32, 3, 1, 0>");
  CHECK(written<Conv<32, 3, 1, 1, no_bias>>() == "Conv<32, 3, 1, 1, false>");
  CHECK(written<Conv<32, 3, 1, 1, true, 4>>() == "Conv<32, 3, 1, 1, true, 4>");
  CHECK(written<DepthwiseConv<3>>() == "DepthwiseConv<3>");
  CHECK(written<Dense<10>>() == "Dense<10>");
  CHECK(written<Dense<10, no_bias>>() == "Dense<10, false>");
  CHECK(written<MaxPool<2>>() == "MaxPool<2>");
  CHECK(written<MaxPool<3, 2, 1>>() == "MaxPool<3, 2, 1>");
  CHECK(written<AvgPool<2>>() == "AvgPool<2>");
  CHECK(written<AvgPool<3, 2, same>>() == "AvgPool<3, 2, -1>");
  CHECK(written<ReLU>() == "ReLU");
  CHECK(written<LeakyReLU<20>>() == "LeakyReLU<20>");
}

TEST_CASE("rows and sums, by hand") {
  const auto rows = summary_rows<Net>();
  REQUIRE(rows.size() == 5);
  CHECK(rows[0].output == "8x8x4");
  CHECK(rows[0].parameters == 3 * 3 * 3 * 4 + 4);
  CHECK(rows[0].bytes == 8 * 8 * 4 * 4);
  CHECK(rows[0].multiply_adds == 8 * 8 * 4 * 27);
  CHECK(rows[3].bytes == 0);
  CHECK(rows[4].parameters == 4 * 4 * 4 * 2 + 2);
  CHECK(summary<Net>().find("parameters 242 (968 bytes)") != std::string::npos);
}
