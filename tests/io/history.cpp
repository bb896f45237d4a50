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
  CHECK(history_table(back) == history_table(epochs(3)));
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
  const std::string text = csv_text({{"a", "b b"}, {{nan, infinite}, {-infinite, 0.1}}});
  CHECK(text == "a,b b\nnan,inf\n-inf,0.1\n");
  CHECK(std::isnan(parse_csv(text, "x").rows[0][0]));
  CHECK(parse_csv("a\r\n1\r\n\r\n2", "x").rows == std::vector<std::vector<double>>{{1}, {2}});
  CHECK(parse_csv("", "x").columns.empty());

  const lamina_test::TemporaryFolder folder;
  const auto path = folder.path / "history.csv";
  write_file_whole(path, "epoch,new,val_loss,loss\n1,9,0.25,nan\n");
  const auto history = read_history(path, 1);
  CHECK(history[0].val_loss == 0.25);
  CHECK(std::isnan(history[0].loss));
  CHECK(history[0].accuracy == 0);
}

TEST_CASE("what is wrong with a table is said") {
  CHECK_THROWS_WITH_AS(parse_csv("a,b\n1,2\n3\n", "f.csv"), doctest::Contains("f.csv, line 3: 1 numbers for 2 columns"), Error);
  CHECK_THROWS_WITH_AS(parse_csv("a\n1x\n", "f.csv"), doctest::Contains("f.csv, line 2: \"1x\" is not a number"), Error);
  CHECK_THROWS_WITH_AS(parse_csv("a\n\n\n ", "f.csv"), doctest::Contains("f.csv, line 4"), Error);
  CHECK_THROWS_WITH_AS(csv_text({{"a,b"}, {}}), doctest::Contains("rename it"), Error);
  CHECK_THROWS_WITH_AS(csv_text({{"a", "b"}, {{1}}}), doctest::Contains("1 numbers for 2 columns"), Error);
  const lamina_test::TemporaryFolder folder;
  write_file_whole(folder.path / "h", "loss\n1\n");
  CHECK_THROWS_WITH_AS(read_history(folder.path / "h", 1), doctest::Contains("is no history of a training"), Error);
}
