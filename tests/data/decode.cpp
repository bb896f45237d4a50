#include <lamina/data/decode.hpp>

#include <doctest/doctest.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/sanitized.hpp"
#include "../support/temporary.hpp"
#include "odd_files.hpp"

using namespace lamina;
using lamina_test::Bytes, lamina_test::chunk, lamina_test::jpeg, lamina_test::noise, lamina_test::png, lamina_test::png_header, lamina_test::says, lamina_test::sentence, lamina_test::slope;

namespace {
std::string complaint(const Bytes& bytes) { return sentence([&] { decode(bytes, "some/leaf.jpg"); }); }

/// Nothing is closed to root: while this lives, root is the user nobody. `is` tells whether folders can be closed now.
struct Nobody {
  const bool root = ::geteuid() == 0, is = !root || ::seteuid(65534) == 0;
  ~Nobody() { if (root && is) CHECK(::seteuid(0) == 0); }
};
}  // namespace

TEST_CASE("decode: a PNG comes back to the bit, a JPEG nearly, and channels become three") {
  const Picture p = noise(7, 5, 3), s = slope(40, 24);
  CHECK(decode(png(p), "x").pixels == p.pixels);
  const Picture j = decode(jpeg(s), "x");
  REQUIRE(j.shape() == Shape{40, 24, 3});
  for (std::size_t i = 0; i < j.pixels.size(); ++i) REQUIRE(std::abs(j.pixels[i] - s.pixels[i]) <= 8);
  const Picture grey = noise(3, 4, 1), grey_alpha = noise(3, 4, 2), alpha = noise(3, 4, 4);
  const Picture from_grey = decode(png(grey), "x"), from_grey_alpha = decode(png(grey_alpha), "x"), from_alpha = decode(png(alpha), "x");
  for (std::size_t i = 0; i < 12; ++i)
    for (std::size_t k = 0; k < 3; ++k) {
      REQUIRE(from_grey.pixels[3 * i + k] == grey.pixels[i]);
      REQUIRE(from_grey_alpha.pixels[3 * i + k] == grey_alpha.pixels[2 * i]);
      REQUIRE(from_alpha.pixels[3 * i + k] == alpha.pixels[4 * i + k]);
    }
}

TEST_CASE("decode: the sum of a chunk is CRC-32") {
  const std::string nine = "123456789";                                            // its check value, in every catalogue of CRCs
  CHECK(detail::crc32(reinterpret_cast<const std::uint8_t*>(nine.data()), nine.size()) == 0xCBF43926u);
}

TEST_CASE("decode: a file cut short anywhere is refused, by name") {
  for (const Bytes& whole : {jpeg(slope(33, 20)), png(noise(6, 6, 3))}) {
    REQUIRE(complaint(whole) == "");
    for (std::size_t n = 0; n < whole.size(); ++n) {
      const std::string s = complaint(Bytes(whole.begin(), whole.begin() + Index(n)));
      REQUIRE(says(s, "some/leaf.jpg"));
    }
    Bytes filled = whole;                                                          // a download that stopped, in a file made large beforehand
    std::fill(filled.begin() + Index(filled.size() / 2), filled.end(), std::uint8_t(0));
    CHECK(says(complaint(filled), "some/leaf.jpg"));
  }
  const Bytes whole = jpeg(slope(33, 20));
  CHECK(says(complaint(Bytes(whole.begin(), whole.end() - 1)), "cut short"));
  CHECK(complaint(Bytes()) == "the picture some/leaf.jpg cannot be used: the file is empty: copy it again");
}

TEST_CASE("decode: what follows the end of a JPEG is no concern, an end inside a thumbnail is none") {
  Bytes bytes = jpeg(slope(8, 8));
  bytes.insert(bytes.end(), 1000, 0x55);
  CHECK(complaint(bytes) == "");
  Bytes thumbnail = jpeg(slope(8, 8)), cut = jpeg(slope(33, 20));
  Bytes segment{0xFF, 0xE1, std::uint8_t((thumbnail.size() + 2) >> 8), std::uint8_t(thumbnail.size() + 2)};
  segment.insert(segment.end(), thumbnail.begin(), thumbnail.end());
  cut.insert(cut.begin() + 2, segment.begin(), segment.end());
  CHECK(complaint(cut) == "");
  cut.erase(cut.end() - 100, cut.end());
  CHECK(says(complaint(cut), "cut short"));
}

TEST_CASE("decode: one wrong bit anywhere in a PNG is refused") {
  const Bytes whole = png(noise(5, 4, 3));
  for (std::size_t i = 0; i < whole.size(); ++i)
    for (const int bit : {1, 128}) {
      Bytes wrong = whole;
      wrong[i] = std::uint8_t(wrong[i] ^ bit);
      REQUIRE(complaint(wrong) != "");
    }
}

TEST_CASE("decode: a wrong bit in a JPEG is refused or decoded, never worse") {
  const Bytes whole = jpeg(slope(33, 20));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    Bytes wrong = whole;
    wrong[i] = std::uint8_t(wrong[i] ^ 0x55);
    complaint(wrong);
  }
}

TEST_CASE("decode: too large is refused from the header, before anything is made") {
  Bytes wide = png_header(16385, 1), many = png_header(16000, 16000), none = png_header(0, 5);
  CHECK(says(complaint(wide), "16384 pixels along one side"));
  CHECK(says(complaint(many), "50 million pixels"));
  CHECK(says(complaint(none), "no pixels"));
  Bytes j = jpeg(slope(8, 8));
  for (std::size_t i = 2; i + 9 < j.size(); ++i)
    if (j[i] == 0xFF && j[i + 1] == 0xC0) j[i + 5] = 0xFF, j[i + 7] = 0xFF;
  CHECK(says(complaint(j), "16384 pixels along one side"));
}

TEST_CASE("decode: a small PNG with very much data is refused") {
  Bytes bomb = png_header(4, 4);
  for (int i = 0; i < 3; ++i) chunk(bomb, "IDAT", Bytes(400'000, 0));
  chunk(bomb, "IEND", {});
  CHECK(says(complaint(bomb), "more data than its pixels can need"));
  Bytes empty = png_header(4, 4);
  chunk(empty, "IEND", {});
  CHECK(says(complaint(empty), "without any picture"));
}

TEST_CASE("decode: other formats are refused whatever they are called") {
  CHECK(says(complaint({'G', 'I', 'F', '8', '9', 'a', 1, 0, 1, 0, 0, 0, 0}), "neither a JPEG nor a PNG"));
  CHECK(says(complaint({'B', 'M', 0, 0}), "neither a JPEG nor a PNG"));
  CHECK(says(complaint({0xFF, 0xD8}), "neither a JPEG nor a PNG"));
  CHECK(says(complaint({0xFF, 0xD8, 0xFF, 0xD9}), "without any picture"));
}

#if defined(__GLIBC__) && !defined(LAMINA_TEST_SANITIZED)
TEST_CASE("decode: want of memory is a shortage, and never a fault of the picture") {
  const lamina_test::TemporaryFolder t;
  lamina_test::write(t.path / "a.png", png(noise(2000, 1500, 3))), lamina_test::write(t.path / "b.jpg", jpeg(slope(2000, 1500)));
  for (const char* name : {"a.png", "b.jpg"}) {
    int short_of = 0;
    for (const rlim_t megabytes : {0, 1, 2, 4, 8, 12, 16, 24, 32, 48, 400}) {
      CAPTURE(name);
      CAPTURE(megabytes);
      const pid_t child = ::fork();
      if (child == 0) {
        ::mallopt(M_MMAP_THRESHOLD, 1 << 17), ::malloc_trim(0);                    // what was freed before is given back
        long pages = 0;
        std::FILE* const statm = std::fopen("/proc/self/statm", "r");
        if (!statm || std::fscanf(statm, "%ld", &pages) != 1) ::_exit(9);
        std::fclose(statm);
        const rlimit limit{rlim_t(pages) * rlim_t(::sysconf(_SC_PAGESIZE)) + (megabytes << 20), RLIM_INFINITY};
        ::setrlimit(RLIMIT_AS, &limit);
        try {
          ::_exit(decode(t.path / name).pixels.size() == 9'000'000 ? 0 : 8);
        } catch (const Shortage& e) {
          ::_exit(says(e.what(), name) ? 1 : 7);
        } catch (const std::exception&) {
          ::_exit(6);
        }
      }
      int status = 0;
      ::waitpid(child, &status, 0);
      REQUIRE(WIFEXITED(status));
      CHECK(WEXITSTATUS(status) <= 1);
      short_of += WEXITSTATUS(status) == 1;
      if (megabytes == 400) CHECK(status == 0);
    }
    CHECK(short_of >= 4);
  }
}
#endif

TEST_CASE("decode: from a file, a regular one") {
  const lamina_test::TemporaryFolder t;
  const Picture p = noise(4, 3, 3);
  lamina_test::write(t.path / "with a space.png", png(p));
  CHECK(decode(t.path / "with a space.png").pixels == p.pixels);
  const auto of = [&](const char* name) { return sentence([&] { decode(t.path / name); }); };
  CHECK(says(of("missing.png"), "there is no file " + (t.path / "missing.png").string()));
  std::filesystem::create_directory(t.path / "folder.png");
  CHECK(says(of("folder.png"), "is not a regular file"));
  REQUIRE(::mkfifo((t.path / "pipe.png").c_str(), 0600) == 0);
  CHECK(says(of("pipe.png"), "is not a regular file"));                            // opening it would wait for ever
  std::filesystem::create_symlink(t.path / "nowhere", t.path / "link.png");
  CHECK(says(of("link.png"), "leads nowhere"));
  std::filesystem::create_symlink("loop.png", t.path / "loop.png");
  CHECK(says(of("loop.png"), "the file " + (t.path / "loop.png").string() + " is a link that leads in a circle: take it out of the folder"));

  lamina_test::write(t.path / "closed/a.png", png(p));
  lamina_test::write(t.path / "closed.png", png(p));
  using std::filesystem::perms, std::filesystem::permissions;
  permissions(t.path, perms(0755)), permissions(t.path / "closed", perms::none), permissions(t.path / "closed.png", perms::none);
  if (const Nobody nobody; nobody.is) {
    CHECK(says(of("closed/a.png"), "the file " + (t.path / "closed/a.png").string() + " cannot be opened (Permission denied): check that it may be read by this user"));
    CHECK(says(of("closed.png"), "cannot be opened (Permission denied)"));
  }
  permissions(t.path / "closed", perms::owner_all);
}
