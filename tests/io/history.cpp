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
  CHECK(parse_history("epoch,loss,accuracy,val_loss,val_accuracy,lr\r\n1,3,0,0,0,0\r\n\r\n2,4,0,0,0,0", 2, "x")[1].loss == 4);
  CHECK(parse_history("epoch,lr,val_accuracy,val_loss,accuracy,loss\n1,1,2,3,4,5\n", 1, "x")[0].val_loss == 3);
  CHECK(parse_history("epoch,loss,accuracy,val_loss,val_accuracy,lr\n", 0, "x").empty());

  const lamina_test::TemporaryFolder folder;
  const auto path = folder.path / "history.csv";
  write_file_whole(path, "epoch,new,val_loss,loss,accuracy,val_accuracy,lr\n1,9,0.25,nan,0.5,0.5,0.5\n");
  const auto history = read_history(path, 1);
  CHECK(history[0].val_loss == 0.25);
  CHECK(std::isnan(history[0].loss));
  CHECK(history[0].seconds == 0);
}

TEST_CASE("a training whose history was deleted goes on, and can be taken up again") {
  const lamina_test::TemporaryFolder folder;
  const auto path = folder.path / "history.csv";
  auto run = read_history(path, 2);
  CHECK(run.empty());
  run.push_back(epochs(3)[2]);
  write_history(path, run);
  CHECK(read_file_whole(path).find("\n1,nan,nan,nan,nan,nan,nan,nan,nan,nan,nan,nan,nan\n2,nan,") != std::string::npos);
  CHECK(read_history(path, 2).empty());
  const auto back = read_history(path, 3);
  REQUIRE(back.size() == 1);
  CHECK(back[0].epoch == 3);
  CHECK(history_text(back) == read_file_whole(path));
  CHECK_THROWS_AS(read_history(path, 4), Error);
}

TEST_CASE("what is wrong with a table is said") {
  const auto complains = [](const std::string& text, const char* words, Index done = 2) { CHECK_THROWS_WITH_AS(parse_history(text, done, "f.csv"), doctest::Contains(words), Error); };
  const std::string names = "epoch,loss,accuracy,val_loss,val_accuracy,lr\n", one = "1,0,0,0,0,0\n", two = "2,0,0,0,0,0\n", three = "3,0,0,0,0,0\n";
  CHECK(parse_history(names + one + two + three, 2, "f.csv").size() == 2);
  complains(names + one + "2\n", "f.csv, line 3: 1 numbers for 6 columns");
  complains(names + "1,2,3,4,5,6,7\n", "f.csv, line 2: 7 numbers for 6 columns");
  complains(names + "1,2,3,4,5,\n", "f.csv, line 2: 5 numbers for 6 columns");
  complains(names + "1x,0,0,0,0,0\n", "f.csv, line 2: \"1x\" is not a number");
  complains(names + ",0,0,0,0,0\n", "f.csv, line 2: \"\" is not a number");
  complains(names + "\n\n ", "f.csv, line 4");
  complains("loss\n1\n", "f.csv is no history of a training");
  complains("", "f.csv is no history of a training: it is empty; delete it");

  complains(names + one + "7,0,0,0,0,0\n" + three, "f.csv, line 3: the epoch is 7 where 2 belongs, for each has one row, in order; repair the line or delete the file");
  complains(names + one + one, "f.csv, line 3: the epoch is 1 where 2 belongs");
  complains(names + two, "f.csv, line 2: the epoch is 2 where 1 belongs");
  for (const char* wrong : {"1.5", "0", "-1", "nan", "inf", "1e300"}) complains(names + wrong + ",0,0,0,0,0\n", "f.csv, line 2: the epoch is ");
  complains(names + one + three, "f.csv, line 3: the epoch is 3 where 2 belongs", 1);           // what is run again is a table too
  complains(names + one, "f.csv is damaged: it ends after 1 row, and the training has done 2 epochs; repair or delete it");
  complains(names, "it ends after 0 rows, and the training has done 1 epoch;", 1);
  for (const std::string name : {"loss", "accuracy", "val_loss", "val_accuracy", "lr"}) {
    std::string renamed = names;
    renamed.insert(renamed.find("," + name) + 1, "my_");
    complains(renamed + one + two, ("f.csv, line 1: the column " + name + " is missing, or is there twice; repair the line or delete the file").c_str());
  }
  complains("epoch,loss,accuracy,val_loss,val_accuracy,lr,loss\n", "f.csv, line 1: the column loss");
}

TEST_CASE("a history that cannot be read is no history that is not there") {
  const lamina_test::TemporaryFolder folder;
  std::filesystem::create_symlink("loop", folder.path / "loop");
  CHECK_THROWS_WITH_AS(read_history(folder.path / "loop", 1), doctest::Contains("cannot read "), Error);
}
