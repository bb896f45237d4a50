#include <lamina/core/error.hpp>

#include <doctest/doctest.h>

using namespace lamina;

TEST_CASE("the sentence of an error") {
  CHECK(std::string(Error("a batch of ", 5, " samples").what()) == "a batch of 5 samples");
  CHECK(std::string(Error(std::string("of ") + "a string", ", ", std::string_view("a view"), ", ", text("a text")).what()) == "of a string, a view, a text");
  CHECK(std::string(Error(0.1, " ", 2.0f, " ", 1e-9, " ", -1.5).what()) == "0.1 2 1e-09 -1.5");
  CHECK(std::string(Error(Shape{2, 3, 4}, " is no ", Shape{5}).what()) == "2x3x4 is no 5");
  CHECK(std::string(Error(std::size_t(18'446'744'073'709'551'615u), " ", std::int64_t(-1)).what()) == "18446744073709551615 -1");
  CHECK(std::string(Error(std::string(500, 'x')).what()).size() == 500);
}

TEST_CASE("an error is a std::runtime_error") {
  CHECK_THROWS_AS(throw Error("x"), std::runtime_error);
  static_assert(std::is_base_of_v<std::runtime_error, Error>);
}
