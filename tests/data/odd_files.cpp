/// What becomes of odd files: decoded to pixels that are all defined, or refused by name, and neither takes much memory.
#include <doctest/doctest.h>
#include <lamina/data/image_folder.hpp>
#include <lamina/data/iterator.hpp>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "../support/temporary.hpp"
#include "odd_files.hpp"

using namespace lamina;
using lamina_test::Bytes, lamina_test::odd_files, lamina_test::OddFile, lamina_test::png, lamina_test::PngForm, lamina_test::says, lamina_test::sentence;

namespace {

/// The pixels, where memory that nobody wrote to holds this byte: 0 and 1 say how a row of a PNG is filtered, and most others that it is damaged.
Bytes pixels_over(const Bytes& file, int byte) {
#if defined(M_PERTURB)
  mallopt(M_PERTURB, byte ^ 0xFF);                                                // malloc turns them round
#endif
  const Picture p = decode(file, "x");
#if defined(M_PERTURB)
  mallopt(M_PERTURB, 0);
#endif
  REQUIRE(p.c == 3);
  REQUIRE(p.pixels.size() == std::size_t(size(p.shape())));
  return p.pixels;
}

/// Bytes that f takes at its peak, in a process of its own, beyond what that has before.
template <class F> Index peak_of(const F& f) {
  const auto peak = [] {
    rusage used;
    ::getrusage(RUSAGE_SELF, &used);
    return Index(used.ru_maxrss) * 1024;
  };
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const Index before = peak();
    f();
    const Index more = peak() - before;
    ::_exit(::write(ends[1], &more, sizeof more) == ssize_t(sizeof more) ? 0 : 1);
  }
  Index more = -1;
  REQUIRE(::read(ends[0], &more, sizeof more) == ssize_t(sizeof more));
  int status = 0;
  ::waitpid(child, &status, 0);
  ::close(ends[0]), ::close(ends[1]);
  REQUIRE(status == 0);
  return more;
}
}  // namespace

TEST_CASE("odd files: each is decoded to defined pixels, or refused by name and with the reason") {
  for (const OddFile& f : odd_files()) {
    CAPTURE(f.name);
    const std::string said = sentence([&] { decode(f.bytes, f.name); });
    if (!f.refusal) {
      CHECK(said == "");
      const Bytes pixels = pixels_over(f.bytes, 0);
      for (const int byte : {1, 0x55, 0xAA}) CHECK(pixels_over(f.bytes, byte) == pixels);
    } else {
      CHECK(says(said, "the picture " + f.name + " cannot be "));
      CHECK(says(said, f.refusal));
    }
  }
}

TEST_CASE("odd files: a PNG of any kind has the pixels that were put in, of 16 bits the upper eight, and black where its palette has no colour") {
  for (const auto& named : lamina_test::png_forms()) {
    CAPTURE(named.first);
    const PngForm& form = named.second;
    const Picture p = decode(png(form), named.first);
    REQUIRE(p.size() == form.size);
    const std::uint8_t* x = p.pixels.data();
    for (int i = 0; i < p.h; ++i)
      for (int j = 0; j < p.w; ++j)
        for (const int level : lamina_test::colour(form, i, j)) REQUIRE(*x++ == level);
  }
}

TEST_CASE("odd files: in a folder, all that cannot be used are named before the first epoch, and the others are trained on without them") {
  const lamina_test::TemporaryFolder t;
  const auto odd = t.path / "a", more = t.path / "b";
  lamina_test::write_odd_files(odd);
  lamina_test::write(more / "good.png", png(PngForm{}));
  std::set<std::string> expected;
  for (const OddFile& f : odd_files())
    if (f.refusal) expected.insert((odd / f.name).string());

  const auto here = [&](const char* name, auto make) { make((more / name).c_str()), expected.insert((more / name).string()); };
  here("pipe.png", [](const char* path) { REQUIRE(::mkfifo(path, 0600) == 0); });
  here("socket.jpg", [](const char* path) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    REQUIRE(std::string(path).size() < sizeof address.sun_path);
    std::strcpy(address.sun_path, path);
    const int s = ::socket(AF_UNIX, SOCK_STREAM, 0);
    REQUIRE(::bind(s, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    ::close(s);
  });
  here("loop.png", [](const char* path) { std::filesystem::create_symlink("loop.png", path); });
  here("nowhere.png", [](const char* path) { std::filesystem::create_symlink("nowhere", path); });
  here("zero.png", [](const char* path) { std::filesystem::create_symlink("/dev/zero", path); });
  if (::geteuid() != 0)
    here("closed.jpg", [](const char* path) {
      lamina_test::write(path, png(PngForm{}));
      std::filesystem::permissions(path, std::filesystem::perms::none);
    });
  std::filesystem::create_symlink("good.png", more / "link.png");                 // to a picture: it is one
  std::filesystem::create_directory(more / "folder.jpg");                         // a folder is looked into
  lamina_test::write(more / "folder.jpg/inside.png", png(PngForm{}));
  lamina_test::write(more / "notes.txt", {'x'});                                  // by its name it is none, and is passed over
  lamina_test::write(more / ".hidden.png", {'x'});

  const ImageFolder all(t.path);
  const std::vector<BadPicture> bad = check(all);
  std::set<std::string> named;
  for (const BadPicture& b : bad) {
    named.insert(b.path.string());
    CHECK(says(b.problem, b.path.string()));
    CHECK(all.samples[std::size_t(b.sample)].path == b.path);
  }
  CHECK(bad.size() == named.size());
  CHECK(named == expected);

  const Dataset rest = without(all, bad);
  CHECK(rest.size() == all.size() - Index(bad.size()));
  CHECK(rest.classes == all.classes);
  CHECK(check(rest).empty());
  for (const BadPicture& b : bad) std::filesystem::remove(b.path);
  CHECK(rest.fingerprint() == ImageFolder(t.path).fingerprint());                 // as if they had never been there
  AugmentationIterator pictures(rest, {.size = {16, 16}, .batch = 7, .exif_orientation = true, .scaled_decoding = true});
  pictures.start(0, 0);
  Batch batch;
  Index n = 0;
  while (pictures.next(batch)) n += batch.n;
  CHECK(n == rest.size());
}

TEST_CASE("odd files: a dataset without its bad pictures has one of each class, or there is none") {
  Dataset d{{"a", "b"}, {}, "leaves"};
  for (int i = 0; i < 3; ++i) d.add(lamina_test::noise(4, 4, 3), i == 1);
  const Dataset rest = without(d, {{"", "", 0}});
  REQUIRE(rest.size() == 2);
  CHECK(rest.samples[0].name == d.samples[1].name);
  CHECK(rest.samples[1].name == d.samples[2].name);
  CHECK(without(d, {}).fingerprint() == d.fingerprint());
  CHECK(sentence([&] { without(d, {{"", "", 1}}); }) == "of the class b in leaves no picture can be used: repair them, or train without that class");
}

TEST_CASE("odd files: a header of 60000 pixels a side, and data that unpack to 180 or 500 MB, take little memory; so does such a header of a large file") {
  for (const OddFile& f : odd_files())
    if (f.name.starts_with("60000") || f.name.starts_with("bomb") || f.name == "swollen.png") {
      CAPTURE(f.name);
      CHECK(peak_of([&] { sentence([&] { decode(f.bytes, f.name); }); }) < 100 << 20);
      if (!f.name.starts_with("60000")) continue;
      const lamina_test::TemporaryFolder t;
      lamina_test::write(t.path / f.name, f.bytes);
      std::filesystem::resize_file(t.path / f.name, 500 << 20);                    // of which the disk holds what was written
      CHECK(peak_of([&] { sentence([&] { decode(t.path / f.name); }); }) < 100 << 20);
      CHECK(says(sentence([&] { decode(t.path / f.name); }), f.refusal));
      const Sample member{{}, 0, nullptr, f.name, 500 << 20, std::make_shared<const Archive>(t.path / f.name)};
      CHECK(peak_of([&] { sentence([&] { decode(member); }); }) < 100 << 20);
      CHECK(says(sentence([&] { decode(member); }), f.refusal));
    }
}
