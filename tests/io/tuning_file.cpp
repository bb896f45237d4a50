#include <lamina/io/tuning_file.hpp>

#include <doctest/doctest.h>

#include <fstream>
#include <string>
#include <vector>

#include "../support/temporary.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
const std::string head = "# Lamina: who won which race of kernels, format 1\n";
const Race race{"a GPU, driver 1", "a work, 8x8x16 to 16 channels, 2 pictures", {"large", "small"}};
/// The check sum by a program of its own (Python): FNV-1a of 64 bits over all before the last tab.
const std::string line = "a GPU, driver 1\ta work, 8x8x16 to 16 channels, 2 pictures\tlarge | small\tsmall\t12.50 us, 10.00 us\t383e39bd3d285a75\n";

struct Folder : TemporaryFolder {
  const std::filesystem::path file = path / "gpu.tuning";
  std::string text() const { return read_file_whole(file); }
  void write(const std::string& bytes) const { std::ofstream(file) << bytes; }
  int winner(const Race& r = race) const { return TuningFile(file).winner(r); }
};
}  // namespace

TEST_CASE("a race is kept as a line, and read back") {
  const Folder folder;
  TuningFile file(folder.file);
  CHECK(folder.text() == head);
  CHECK(file.winner(race) == -1);
  file.keep(race, 1, {12.5e-6, 10e-6});
  CHECK(folder.text() == head + line);
  CHECK(file.winner(race) == 1);
  CHECK(folder.winner() == 1);
  file.keep(race, 0, {8e-6, 10e-6});                             // later knows better
  CHECK(folder.winner() == 0);
  CHECK(folder.text().size() < head.size() + line.size() + 5);
  CHECK(file.problem() == "");
}

TEST_CASE("another GPU, driver, work or field of runners is another race") {
  const Folder folder;
  folder.write(head + line);
  CHECK(folder.winner() == 1);
  CHECK(folder.winner({"a GPU, driver 2", race.work, race.runners}) == -1);
  CHECK(folder.winner({"a GPU", race.work, race.runners}) == -1);
  CHECK(folder.winner({race.device, "a work, 8x8x16 to 16 channels, 3 pictures", race.runners}) == -1);
  CHECK(folder.winner({race.device, race.work, {"large", "small", "other"}}) == -1);
  CHECK(folder.winner({race.device, race.work, {"small", "large"}}) == -1);
}

TEST_CASE("a damaged line counts for nothing, and stays as it is") {
  const Folder folder;
  const std::string foreign = "another GPU\tits work\ta | b\ta\t1.00 us, 2.00 us\t0\n", words = "nobody knows\n";
  for (std::string damaged : {line.substr(0, line.size() - 2) + "\n", "b" + line.substr(1), line.substr(0, line.rfind('\t')) + "\n", std::string("\n")}) {
    CAPTURE(damaged);
    folder.write(head + foreign + damaged + words);
    TuningFile file(folder.file);
    CHECK(file.winner(race) == -1);
    file.keep(race, 1, {12.5e-6, 10e-6});
    CHECK(folder.text() == head + foreign + damaged + words + line);
    CHECK(folder.winner() == 1);
  }
  std::string winner = line;                                     // the other runner in the winner's place
  winner.replace(winner.find("\tsmall\t"), 7, "\tlarge\t");
  folder.write(head + winner);
  CHECK(folder.winner() == -1);
}

TEST_CASE("a file that was cut off is as good as what is left of it") {
  const Folder folder;
  const std::string whole = head + line;
  for (std::size_t bytes = 0; bytes <= whole.size(); ++bytes) {
    CAPTURE(bytes);
    folder.write(whole.substr(0, bytes));
    TuningFile file(folder.file);
    CHECK(file.winner(race) == (bytes + 1 < whole.size() ? -1 : 1));
    if (bytes % 16) continue;
    file.keep(race, 0, {1e-6, 2e-6});
    CHECK(folder.text().starts_with(head));
    CHECK(folder.winner() == 0);
  }
}

TEST_CASE("what is no such file is left alone") {
  const Folder folder;
  folder.write("precious\n");
  CHECK_THROWS_WITH_AS(TuningFile(folder.file), (folder.file.string() + " is not a file of races, it begins with other words: give another name to tune with").c_str(), Error);
  CHECK(folder.text() == "precious\n");
  CHECK_THROWS_WITH_AS(TuningFile(folder.path), ("cannot read " + folder.path.string() + ": it is a folder; give a file").c_str(), Error);
  CHECK_THROWS_WITH_AS(TuningFile(folder.path / "none" / "x"), doctest::Contains("cannot write " ), Error);
}

TEST_CASE("programs that share a file take in each other's lines") {
  const Folder folder;
  TuningFile one(folder.file), other(folder.file);
  const Race second{race.device, "another work", race.runners};
  one.keep(race, 1, {2e-6, 1e-6});
  other.keep(second, 0, {1e-6, 2e-6});
  CHECK(folder.winner() == 1);
  CHECK(folder.winner(second) == 0);
  CHECK(other.winner(race) == 1);
}

TEST_CASE("where it can no longer be written, all goes on, and the reason is kept until it can") {
  const Folder folder;
  TuningFile file(folder.file);
  std::filesystem::create_directory(folder.file.string() + ".partial");     // in the way of whoever writes
  file.keep(race, 1, {2e-6, 1e-6});
  CHECK(file.problem().starts_with("cannot write " + folder.file.string() + ": "));
  CHECK(folder.text() == head);
  std::filesystem::remove(folder.file.string() + ".partial");
  file.keep({race.device, "another work", race.runners}, 0, {1e-6, 2e-6});
  CHECK(file.problem() == "");
  CHECK(folder.winner() == 1);                                  // what could not be written then is now
}
