#include <lamina/data/image_archive.hpp>
#include <lamina/data/picture_store.hpp>

#include <doctest/doctest.h>
#include <sys/wait.h>

#include "../support/size_limit.hpp"
#include "../support/temporary.hpp"
#include "decoded.hpp"
#include "tar_writer.hpp"

using namespace lamina;
using lamina_test::Bytes, lamina_test::noise, lamina_test::odd_h, lamina_test::odd_w, lamina_test::png, lamina_test::says, lamina_test::sentence;
using lamina_test::Tar, lamina_test::TemporaryFolder, lamina_test::write;
namespace fs = std::filesystem;

namespace {
constexpr int count = 12;
constexpr Size small{9, 7};
/// A folder of pictures that decoded.hpp counts, and a file beside it.
struct Pictures {
  TemporaryFolder t;
  fs::path folder = t.path / "data", file = t.path / "pictures";
  Pictures() {
    for (int i = 0; i < count; ++i) write(folder / (i % 2 ? "a" : "b") / (std::to_string(i) + ".png"), png(noise(odd_h, odd_w, 3, std::uint64_t(i))));
  }
  PictureStore store(Size s = small, Interpolation how = Interpolation::lanczos, int workers = 2) const { return {ImageFolder(folder), s, how, CacheFile{file, workers}}; }
};
/// How many pictures f decodes.
template <class F> int decodes(const F& f) {
  const int before = lamina_test::decoded;
  f();
  return lamina_test::decoded - before;
}
bool right(PictureStore store) {
  bool all = store.keeps_all();
  std::vector<std::uint8_t> expected(std::size_t(lamina::size(store.shape())));
  for (Index i = 0; i < store.dataset().size(); ++i) {
    const Picture p = decode(store.dataset().samples[std::size_t(i)]);
    resize(p.pixels.data(), p.size(), p.c, store.picture_size(), store.interpolation(), expected.data());
    all = all && std::memcmp(store.at(i, nullptr), expected.data(), expected.size()) == 0;
  }
  return all;
}
std::size_t files(const fs::path& folder) { return std::size_t(std::distance(fs::directory_iterator(folder), {})); }
}  // namespace

TEST_CASE("cache file: made once, for any number of threads, and found again by the next store") {
  const Pictures p;
  for (const int workers : {1, 3, 0}) {
    fs::remove(p.file);
    CHECK(decodes([&] { p.store(small, Interpolation::lanczos, workers); }) == count);
    CHECK(fs::file_size(p.file) == 4096 + count * 9 * 7 * 3);
    CHECK(decodes([&] { p.store(); }) == 0);
    CHECK(right(p.store()));
  }
  CHECK(files(p.t.path) == 2);
  CHECK(p.store().at(3, nullptr) != p.store().at(3, nullptr));                     // each has a mapping of its own
}

TEST_CASE("cache file: another size, interpolation, file or name makes it anew") {
  const Pictures p;
  const auto remade = [&](Size s = small, Interpolation how = Interpolation::lanczos) {
    const int n = decodes([&] { p.store(s, how); });
    CHECK(right(p.store(s, how)));
    return n == count;
  };
  CHECK(remade());
  CHECK(!remade());
  CHECK(remade({7, 9}));
  CHECK(remade());
  CHECK(remade(small, Interpolation::bilinear));
  CHECK(remade());
  const fs::path one = p.folder / "a/3.png", other = p.folder / "a/5.png";
  const auto time = fs::last_write_time(one);
  fs::last_write_time(one, time + std::chrono::milliseconds(1));
  CHECK(remade());
  fs::rename(one, p.folder / "a/4.png");
  CHECK(remade());
  write(other, png(noise(odd_h, odd_w, 3, 99)));
  CHECK(remade());
  CHECK(!remade());
  Dataset fewer = ImageFolder(p.folder);
  fewer.samples.pop_back();
  CHECK(decodes([&] { PictureStore(fewer, small, Interpolation::lanczos, CacheFile{p.file}); }) == count - 1);

  const auto archive = p.t.path / "a.tar";
  Tar tar;
  for (int i = 0; i < count; ++i) tar.add((i % 2 ? "a/" : "b/") + std::to_string(i), "").add((i % 2 ? "a/" : "b/") + std::to_string(i) + ".png", png(noise(odd_h, odd_w, 3, std::uint64_t(i))));
  write(archive, tar.end().bytes);
  const auto of_archive = [&] { return PictureStore(ImageArchive(archive), small, Interpolation::lanczos, CacheFile{p.file}); };
  CHECK(decodes(of_archive) == count);
  CHECK(decodes(of_archive) == 0);
  CHECK(right(of_archive()));
  fs::last_write_time(archive, time);
  CHECK(decodes(of_archive) == count);
  Dataset memory{{"a", "b"}, {}};
  memory.add(noise(30, 30, 1), 0), memory.add(noise(9, 7, 1), 1);
  const auto of_memory = [&] { return PictureStore(memory, small, Interpolation::lanczos, CacheFile{p.file}); };
  CHECK(right(of_memory()));
  Bytes before = detail::read_file(p.file);
  of_memory();
  CHECK(detail::read_file(p.file) == before);
  memory.samples.clear(), memory.add(noise(30, 30, 1, 7), 0), memory.add(noise(9, 7, 1), 1);
  of_memory();
  CHECK(detail::read_file(p.file) != before);
}

TEST_CASE("cache file: one that is damaged or cut off anywhere is made anew, and a file of another kind is left alone") {
  const Pictures p;
  p.store();
  const Bytes good = detail::read_file(p.file);
  const auto remade = [&](const Bytes& bytes) {
    write(p.file, bytes);
    const int n = decodes([&] { p.store(); });
    CHECK(detail::read_file(p.file) == good);
    return n == count;
  };
  for (const std::size_t at : {std::size_t(16), std::size_t(24), std::size_t(32), std::size_t(40), std::size_t(47), std::size_t(4096), std::size_t(5000), good.size() - 1}) {
    Bytes b = good;
    b[at] ^= 1;
    CHECK(remade(b));
  }
  for (const std::size_t n : {std::size_t(0), std::size_t(16), std::size_t(30), std::size_t(4096), good.size() - 1}) CHECK(remade({good.begin(), good.begin() + std::ptrdiff_t(n)}));
  Bytes longer = good;
  longer.push_back(0);
  CHECK(remade(longer));
  CHECK(!remade(good));
  for (const char* text : {"Dear reader", "l", "A letter that is longer than what such a file begins with"}) {
    const Bytes letter = Tar::of(text);
    write(p.file, letter);
    CHECK(sentence([&] { p.store(); }) == p.file.string() + " is no file of pictures that Lamina has kept, and is left as it is: give another name");
    CHECK(detail::read_file(p.file) == letter);
  }
  fs::remove(p.file), fs::create_directory(p.file);
  CHECK(says(sentence([&] { p.store(); }), "is left as it is"));
  fs::remove(p.file);
  const fs::path partial = p.t.path / "pictures.partial";
  const std::string in_the_way = "the file of pictures " + p.file.string() + " cannot be made: " + partial.string() + " is in the way and is none that Lamina has begun; take it away, or give another name";
  for (const char* text : {"Dear reader", "l"}) {
    const Bytes letter = Tar::of(text);
    write(partial, letter);
    CHECK(sentence([&] { p.store(); }) == in_the_way);
    CHECK(detail::read_file(partial) == letter);
  }
  fs::remove(partial), fs::create_directory(partial);
  CHECK(sentence([&] { p.store(); }) == in_the_way);
  fs::remove(partial), fs::create_symlink("elsewhere", partial);
  CHECK(sentence([&] { p.store(); }) == in_the_way);
  fs::remove(partial);
  REQUIRE(::mkfifo(partial.c_str(), 0600) == 0);
  CHECK(sentence([&] { p.store(); }) == in_the_way);
  fs::remove(partial);
  for (const Bytes& begun : {good, Bytes(), Bytes(10), Bytes(9000)}) {                // of a run that was killed
    write(partial, begun);
    CHECK(right(p.store()));
    CHECK(files(p.t.path) == 2);
    fs::remove(p.file);
  }
}

TEST_CASE("cache file: what cannot be made is one sentence, and nothing is left of it") {
  const Pictures p;
  {
    const lamina_test::SizeLimit full(5000);
    const std::string s = sentence([&] { p.store(); });
    CHECK(says(s, "the file of pictures " + p.file.string() + " cannot be used or made: "));
    CHECK(says(s, "a limit on the size of files is set (ulimit -f), or the file system has one; or train without it"));
  }
  CHECK(files(p.t.path) == 1);
  CHECK(says(sentence([&] { PictureStore(ImageFolder(p.folder), small, Interpolation::nearest, CacheFile{p.t.path / "no/where"}); }), "check the path and make its folder first; or train without it"));
  for (const auto& [name, side] : {std::pair("a/5.png", 500), std::pair("a/7.png", 1000)}) {    // damaged at the end: the second is found out later than the first
    Bytes b = png(noise(side, side, 3));
    b.back() ^= 1;
    write(p.folder / name, b);
  }
  write(p.folder / "b/2.png", {});
  for (const int workers : {1, 2, 8}) CHECK(says(sentence([&] { p.store(small, Interpolation::lanczos, workers); }), "the picture " + (p.folder / "a/5.png").string() + " cannot be used"));
  CHECK(files(p.t.path) == 1);
}

TEST_CASE("cache file: two processes at once make it once, and one that is killed leaves nothing that another trips over") {
  const Pictures p;
  const auto child = [&](const auto& f) {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(f());
    return pid;
  };
  const auto code = [](pid_t pid) {
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  };
  for (int round = 0; round < 10; ++round) {
    fs::remove(p.file);
    const auto made = [&] { return decodes([&] { p.store(small, Interpolation::lanczos, 1); }); };
    const pid_t one = child(made), two = child(made);
    const int first = code(one), second = code(two);
    CHECK(first + second == count);
    CHECK((first == 0 || second == 0));
    CHECK(right(p.store()));
    CHECK(files(p.t.path) == 2);
  }
  for (int round = 0; round < 10; ++round) {
    fs::remove(p.file);
    const pid_t killed = child([&] { return p.store(small, Interpolation::lanczos, 1), 0; });
    ::usleep(useconds_t(2000 * round));
    ::kill(killed, SIGKILL);
    code(killed);
    CHECK(right(p.store()));
    CHECK(files(p.t.path) == 2);
  }
}
