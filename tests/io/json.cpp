#include <doctest/doctest.h>
#include <lamina/core/random.hpp>
#include <lamina/io/json.hpp>
#include <nlohmann/json.hpp>

using namespace lamina;
using detail::Json;

TEST_CASE("what is written is what nlohmann-json writes, and it refuses what that refuses") {
  const std::string pieces[] = {"a", "\"", "\\", "/", "\n", "\t", "\x01", "\x1f", "\x7f", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x8d\x85", "\xc0\x80", "\xed\xa0\x80", "\xed\x9f\xbf",
                                "\xf4\x90\x80\x80", "\xf4\x8f\xbf\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xe2\x82", "\x80", "\xff", std::string(1, '\0')};
  const Random random(1, Stream::shuffle);
  int refused = 0;
  for (Index i = 0; i < 20000; ++i) {
    std::string s;
    for (Index k = 0; k < 1 + i % 4; ++k) s += i % 3 ? pieces[random.below(8 * i + k, std::size(pieces))] : std::string(1, char(random.below(8 * i + k, 256)));
    std::string theirs;
    try {
      theirs = nlohmann::json(s).dump();
    } catch (const nlohmann::json::type_error&) {
      ++refused;
      REQUIRE_FALSE(detail::is_utf8(s));
      REQUIRE_THROWS_WITH_AS(detail::json_text(s), doctest::Contains("is not UTF-8"), Error);
      continue;
    }
    REQUIRE(detail::json_text(s) == theirs);
  }
  CHECK(refused > 1000);
  CHECK(detail::json_list({}) == "[]");
  CHECK(detail::json_list({"a", "b\"c"}) == R"(["a","b\"c"])");
}

TEST_CASE("a tree has keys, items, texts and numbers") {
  const Json j = detail::parse_json(R"({"a":[1,-2,2.50,"x",null,true,{}],"b":{"c":18446744073709551615}})");
  REQUIRE(j.is(Json::Kind::object));
  REQUIRE(j.items.size() == 2);
  CHECK((j.items[0].key == "a" && j.items[1].key == "b"));
  std::string all;
  for (const Json& item : j.find("a")->items) all += item.written() + " ";
  CHECK(all == "1 -2 2.50 \"x\" null true an object ");
  CHECK(j.find("a")->items[0].natural == 1);
  CHECK_FALSE(j.find("a")->items[1].is(Json::Kind::natural));
  CHECK(j.find("b")->find("c")->natural == 18446744073709551615u);
  CHECK(j.find("d") == nullptr);
  CHECK(detail::parse_json("7").natural == 7);
  CHECK(detail::parse_json_list(R"(["a","\u00e9"])") == std::vector<std::string>{"a", "\xc3\xa9"});
}

TEST_CASE("what is wrong with a text is said") {
  CHECK_THROWS_WITH_AS(detail::parse_json("[1,]"), "is not JSON from byte 4 on", Error);
  CHECK_THROWS_WITH_AS(detail::parse_json(""), doctest::Contains("is not JSON from byte"), Error);
  CHECK_THROWS_WITH_AS(detail::parse_json("1 2"), doctest::Contains("is not JSON from byte"), Error);
  CHECK_THROWS_WITH_AS(detail::parse_json(std::string(17, '[')), "nests deeper than 16 levels", Error);
  CHECK(detail::parse_json(std::string(16, '[') + std::string(16, ']')).is(Json::Kind::array));
  CHECK_THROWS_WITH_AS(detail::parse_json_list("{}"), "is not a list", Error);
  CHECK_THROWS_WITH_AS(detail::parse_json_list("[1]"), "holds 1 where a text is due", Error);
}
