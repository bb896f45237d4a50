#include <doctest/doctest.h>
#include <lamina/io/history.hpp>

#include <cmath>
#include <limits>

#include "../support/temporary.hpp"

using namespace lamina;

namespace {
std::vector<EpochRow> epochs(Index n) {
  std::vector<EpochRow> history;
  for (Index i = 1; i <= n; ++i) {
    const double v = double(i);
    history.push_back({.epoch = i, .loss = 1 / (3 * v), .accuracy = 0.1 + 0.2 * v, .val_loss = 1e-300 / v, .val_accuracy = v / 7, .rate = 1e-3, .seconds = 1e22 * v, .wait = 0.1, .forward = 5e-324,
                       .backward = 2, .update = -0.0, .validation = 3, .images_per_second = 123456.789});
  }
  return history;
}
}  // namespace

TEST_CASE("a history reads back to the bit") {
  const lamina_test::TemporaryFolder folder;
  const auto path = folder.path / "history.csv";
  write_history(path, epochs(3));
  const auto back = read_history(path, 3);
  CHECK(history_text(back) == history_text(epochs(3)));
  CHECK(back[2].loss == epochs(3)[2].loss);
  CHECK(back[2].forward == 5e-324);
  CHECK(std::signbit(back[0].update));
  CHECK(read_file_whole(path).find("epoch,loss,accuracy,val_loss,val_accuracy,lr,seconds,wait,forward,backward,update,validation,images_per_second\n1,0.3333333333333333,") == 0);
}

TEST_CASE("what is run again after a resume is left out") {
  const lamina_test::TemporaryFolder folder;
  const auto path = folder.path / "history.csv";
  CHECK(read_history(path, 5).empty());
  write_history(path, epochs(7));
  auto resumed = read_history(path, 4);
  CHECK(resumed.size() == 4);
  CHECK(read_history(path, 0).empty());
  for (const EpochRow& e : epochs(7)) if (e.epoch > 4) resumed.push_back(e);
  const std::string whole = read_file_whole(path);
  write_history(path, resumed);
  CHECK(read_file_whole(path) == whole);
}

TEST_CASE("numbers that are none are kept, columns go by their names") {
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinite = std::numeric_limits<double>::infinity();
  const std::string text = history_text({{.epoch = 1, .loss = nan, .accuracy = infinite, .val_loss = -infinite, .val_accuracy = 0.1}});
  CHECK(text.ends_with("\n1,nan,inf,-inf,0.1,0,0,0,0,0,0,0,0\n"));
  CHECK(history_text(parse_history(text, 1, "x")) == text);
  CHECK(parse_history("epoch,loss\r\n1,3\r\n\r\n2,4", 2, "x")[1].loss == 4);
  CHECK(parse_history("epoch\n1\n2\n", 2, "x").size() == 2);
  CHECK(parse_history("epoch\n0\n-1\nnan\ninf\n1e300\n", 9, "x").empty());
  CHECK(parse_history("", 1, "x").empty());

  const lamina_test::TemporaryFolder folder;
  const auto path = folder.path / "history.csv";
  write_file_whole(path, "epoch,new,val_loss,loss\n1,9,0.25,nan\n");
  const auto history = read_history(path, 1);
  CHECK(history[0].val_loss == 0.25);
  CHECK(std::isnan(history[0].loss));
  CHECK(history[0].accuracy == 0);
}

TEST_CASE("what is wrong with a table is said") {
  const auto parse = [](const char* text) { return parse_history(text, 9, "f.csv"); };
  CHECK_THROWS_WITH_AS(parse("epoch,b\n1,2\n3\n"), doctest::Contains("f.csv, line 3: 1 numbers for 2 columns"), Error);
  CHECK_THROWS_WITH_AS(parse("epoch\n1,2\n"), doctest::Contains("f.csv, line 2: 2 numbers for 1 columns"), Error);
  CHECK_THROWS_WITH_AS(parse("epoch\n1x\n"), doctest::Contains("f.csv, line 2: \"1x\" is not a number"), Error);
  CHECK_THROWS_WITH_AS(parse("epoch,b\n1,\n"), doctest::Contains("f.csv, line 2: 1 numbers for 2 columns"), Error);
  CHECK_THROWS_WITH_AS(parse("epoch,b\n,1\n"), doctest::Contains("f.csv, line 2: \"\" is not a number"), Error);
  CHECK_THROWS_WITH_AS(parse("epoch\n\n\n "), doctest::Contains("f.csv, line 4"), Error);
  CHECK_THROWS_WITH_AS(parse("loss\n1\n"), doctest::Contains("f.csv is no history of a training"), Error);
}
