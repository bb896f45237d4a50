#include <lamina/core/text.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <string>

using namespace lamina;

struct Outside {};
template <int A, auto... B> struct Numbered {};
namespace lamina { template <class... Ls> struct OfLayers {}; }

TEST_CASE("sentences from text, numbers and shapes") {
  CHECK(std::string(text("got ", Shape{2, 2, 128}, ", needs ", 4).s) == "got 2x2x128, needs 4");
  CHECK(std::string(text(Shape{10}, " ", Shape{1, 2, 3}, " ", Shape{2, 1, 3}).s) == "10 1x2x3 2x1x3");
  CHECK(std::string(text(0, " ", -7, " ", 1'143'242, " ", 3u).s) == "0 -7 1143242 3");
  CHECK(std::string(text(std::numeric_limits<std::int64_t>::max()).s) == "9223372036854775807");
  CHECK(std::string(text(std::numeric_limits<std::uint64_t>::max()).s) == "18446744073709551615");
  CHECK(std::string(text(std::numeric_limits<std::int64_t>::min()).s) == "-9223372036854775808");
  CHECK(std::string(text(text("a"), text("b", 1)).s) == "ab1");
  static_assert(text().empty() && !text("a").empty());
}

TEST_CASE("what does not fit is cut, and ends") {
  const std::string many(500, 'x');
  CHECK(std::string(text(many, "y").s) == std::string(191, 'x'));
}

TEST_CASE("names of types") {
  CHECK(std::string(name<OfLayers<>>().s).starts_with("OfLayers<"));
  CHECK(std::string(name<Outside>().s) == "Outside");
  CHECK(std::string(name<Numbered<7, 2>>().s) == "Numbered<7, 2>");
}

namespace { template <Text T> struct Said { static constexpr const char* s = T.s; }; }
TEST_CASE("a sentence can be a template argument") {
  CHECK(std::string(Said<text("layer ", 3)>::s) == "layer 3");
  static_assert(std::is_same_v<Said<text("a")>, Said<text("a")>> && !std::is_same_v<Said<text("a")>, Said<text("b")>>);
}
