#include <doctest/doctest.h>
#include <lamina/io/file.hpp>

#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "../support/size_limit.hpp"
#include "../support/temporary.hpp"

using namespace lamina;
using lamina_test::SizeLimit;
namespace fs = std::filesystem;

namespace {

/// A process that ends at once after it took the lock of a folder, which another holds on to for so many seconds: what a killed run is that takes long to end.
pid_t leave_lock_behind(const fs::path& folder, double seconds) {
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const FolderLock lock(folder);
    if (::fork() == 0) {
      if (::write(ready[1], "x", 1) == 1) ::usleep(useconds_t(seconds * 1e6));
      ::_exit(0);
    }
    ::_exit(0);
  }
  ::close(ready[1]);
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  ::close(ready[0]);
  siginfo_t ended = {};
  REQUIRE(::waitid(P_PID, id_t(child), &ended, WEXITED | WNOWAIT) == 0);    // it is a zombie from now on
  return child;
}

double seconds_since(std::chrono::steady_clock::time_point begin) { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); }

std::size_t files_in(const fs::path& folder) { return std::size_t(std::distance(fs::directory_iterator(folder), {})); }

}  // namespace

TEST_CASE("a file is written whole and read back") {
  const lamina_test::TemporaryFolder folder;
  const fs::path path = folder.path / "a file.bin";
  const std::string first("one\0two\n", 8), second(1 << 20, 'x');
  write_file_whole(path, first);
  CHECK(read_file_whole(path) == first);
  write_file_whole(path, second);
  CHECK(read_file_whole(path) == second);
  write_file_whole(path, "");
  CHECK(read_file_whole(path).empty());
  CHECK(files_in(folder.path) == 1);
}

TEST_CASE("files that do not know their size are read") { CHECK(read_file_whole("/proc/self/status").find("Name:") == 0); }

TEST_CASE("what is no file is refused, and not waited for") {
  const lamina_test::TemporaryFolder folder;
  REQUIRE(::mkfifo((folder.path / "pipe").c_str(), 0600) == 0);
  CHECK_THROWS_WITH_AS(read_file_whole(folder.path / "pipe"), doctest::Contains("/pipe: it is a pipe, a device or a socket; give a file"), Error);
  CHECK_THROWS_WITH_AS(read_file_whole("/dev/zero"), doctest::Contains("/dev/zero: it is a pipe, a device or a socket; give a file"), Error);
  REQUIRE(::mkfifo((folder.path / "a.partial").c_str(), 0600) == 0);
  CHECK_THROWS_WITH_AS(write_file_whole(folder.path / "a", "x"), doctest::Contains("it is a pipe or a device: take it away, or give another name"), Error);
}

TEST_CASE("the version before is kept if asked") {
  const lamina_test::TemporaryFolder folder;
  const fs::path path = folder.path / "a";
  write_file_whole(path, "1", {.keep_previous = true});
  CHECK(files_in(folder.path) == 1);
  write_file_whole(path, "2", {.keep_previous = true});
  write_file_whole(path, "3", {.keep_previous = true});
  CHECK(read_file_whole(path) == "3");
  CHECK(read_file_whole(folder.path / "a.previous") == "2");
  CHECK(files_in(folder.path) == 2);
}

TEST_CASE("a failed write leaves the version before, and nothing else") {
  const lamina_test::TemporaryFolder folder;
  const fs::path path = folder.path / "a";
  write_file_whole(path, "before", {.keep_previous = true});
  {
    const SizeLimit limit(1000);
    CHECK_THROWS_WITH_AS(write_file_whole(path, std::string(5000, 'x'), {.keep_previous = true}), doctest::Contains("File too large: a limit on the size of files is set"), Error);
    CHECK_THROWS_WITH_AS(write_file_whole(path, std::string(5000, 'x')), doctest::Contains("(the version before is untouched)"), Error);
    CHECK_THROWS_WITH_AS(write_file_whole(folder.path / "b", std::string(5000, 'x')), doctest::Contains((folder.path / "b").c_str()), Error);
  }
  CHECK(read_file_whole(path) == "before");
  CHECK(files_in(folder.path) == 1);
}

TEST_CASE("a disk that is full is told from other errors") {
  // /dev/full refuses every write with ENOSPC.
  const detail::Descriptor full(::open("/dev/full", O_WRONLY));
  REQUIRE(full.open());
  CHECK_FALSE(detail::write_all(full.number(), "x"));
  CHECK(errno == ENOSPC);
  CHECK(detail::error_text(ENOSPC) == "No space left on device: free some space there, or give another folder");
}

TEST_CASE("what cannot be written is said, with the path") {
  const lamina_test::TemporaryFolder folder;
  CHECK_THROWS_WITH_AS(write_file_whole(folder.path / "no" / "a", "x"), doctest::Contains("/no/a: No such file or directory: check the path and make its folder first"), Error);
  CHECK_THROWS_WITH_AS(write_file_whole(folder.path, "x"), doctest::Contains("something that is not a file has that name"), Error);
  CHECK_THROWS_WITH_AS(write_file_whole("/dev/full", "x"), doctest::Contains("something that is not a file has that name"), Error);
  CHECK_THROWS_WITH_AS(read_file_whole(folder.path / "a"), doctest::Contains("/a: there is no such file; check the path"), Error);
  CHECK_THROWS_WITH_AS(read_file_whole(folder.path), doctest::Contains("it is a folder"), Error);
  fs::create_directory(folder.path / "b.partial"), fs::create_symlink("x", folder.path / "c.partial");
  for (const char* name : {"/b", "/c"})
    CHECK_THROWS_WITH_AS(write_file_whole(folder.path.string() + name, "x"), doctest::Contains((std::string(name) + ".partial is in the way and is not a file; take it away").c_str()), Error);
  if (::geteuid() == 0) return;                                              // nothing is forbidden to root
  fs::permissions(folder.path, fs::perms::owner_read | fs::perms::owner_exec);
  CHECK_THROWS_WITH_AS(write_file_whole(folder.path / "a", "x"), doctest::Contains("Permission denied: change the permissions"), Error);
  fs::permissions(folder.path, fs::perms::owner_all);
}

TEST_CASE("what a killed write has left is in nobody's way") {
  const lamina_test::TemporaryFolder folder;
  const fs::path path = folder.path / "a";
  write_file_whole(folder.path / "a.partial", "a long one that was cut off");
  write_file_whole(path, "x");
  CHECK(read_file_whole(path) == "x");
  CHECK(files_in(folder.path) == 1);
}

TEST_CASE("of two that write one file at once each leaves a whole version or says so") {
  const lamina_test::TemporaryFolder folder;
  const fs::path path = folder.path / "a";
  const std::string version[] = {std::string(70000, 'a'), std::string(50000, 'b')};
  write_file_whole(path, version[0]);
  int refused[2] = {}, torn = 0;
  const auto writer = [&](int k) {
    for (int i = 0; i < 40; ++i) try { write_file_whole(path, version[k]); } catch (const Error& e) {
      refused[k] += std::string(e.what()).find("another program is writing it") != std::string::npos ? 1 : 1000;
    }
  };
  std::thread a(writer, 0), b(writer, 1);
  for (int i = 0; i < 200; ++i) {
    const std::string now = read_file_whole(path);
    torn += now != version[0] && now != version[1];
  }
  a.join(), b.join();
  CHECK(torn == 0);
  CHECK(refused[0] + refused[1] < 80);
  CHECK(files_in(folder.path) == 1);
}

TEST_CASE("a folder has one user at a time") {
  const lamina_test::TemporaryFolder folder;
  {
    const FolderLock lock(folder.path);
    const std::string words = "is in use by another run (pid " + std::to_string(::getpid()) + ")";
    const auto begin = std::chrono::steady_clock::now();
    CHECK_THROWS_WITH_AS(FolderLock{folder.path}, doctest::Contains(words.c_str()), Error);
    CHECK(seconds_since(begin) < 1);
  }
  const FolderLock again(folder.path);
  CHECK_THROWS_WITH_AS(FolderLock{folder.path / "no"}, doctest::Contains("cannot lock the folder"), Error);
}

TEST_CASE("a killed process gives its folder free") {
  const lamina_test::TemporaryFolder folder;
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const FolderLock lock(folder.path);
    if (::write(ready[1], "x", 1) == 1) ::pause();
    ::_exit(1);
  }
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  const std::string words = "(pid " + std::to_string(child) + ")";
  CHECK_THROWS_WITH_AS(FolderLock{folder.path}, doctest::Contains(words.c_str()), Error);
  ::kill(child, SIGKILL);
  CHECK_NOTHROW(FolderLock{folder.path});                                    // in that instant it may still have it
  ::waitpid(child, nullptr, 0);
  CHECK_NOTHROW(FolderLock{folder.path});
  ::close(ready[0]), ::close(ready[1]);
}

TEST_CASE("the lock of a process that is ending is waited for, not for ever") {
  const lamina_test::TemporaryFolder folder;
  pid_t child = leave_lock_behind(folder.path, 0.3);
  CHECK_NOTHROW(FolderLock{folder.path});                                    // a zombie
  ::waitpid(child, nullptr, 0);
  child = leave_lock_behind(folder.path, 0.3);
  ::waitpid(child, nullptr, 0);
  CHECK_NOTHROW(FolderLock{folder.path});                                    // no process
  child = leave_lock_behind(folder.path, 4);
  ::waitpid(child, nullptr, 0);
  const std::string words = "(pid " + std::to_string(child) + ")";
  const auto begin = std::chrono::steady_clock::now();
  CHECK_THROWS_WITH_AS(FolderLock{folder.path}, doctest::Contains(words.c_str()), Error);
  CHECK(seconds_since(begin) > 1.5);
}
