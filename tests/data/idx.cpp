#include <lamina/data/idx.hpp>

#include <doctest/doctest.h>

#include "../support/temporary.hpp"
#include "pictures.hpp"

using namespace lamina;
using lamina_test::Bytes, lamina_test::says, lamina_test::sentence, lamina_test::write;

namespace {
/// A file of the format: the magic number, the dimensions, bytes 0, 1, 2, ...
Bytes idx(std::uint32_t magic, const std::vector<std::uint32_t>& dimensions, int count, int modulus) {
  Bytes b;
  const auto put = [&](std::uint32_t v) { for (int shift = 24; shift >= 0; shift -= 8) b.push_back(std::uint8_t(v >> shift)); };
  put(magic);
  for (const std::uint32_t d : dimensions) put(d);
  for (int i = 0; i < count; ++i) b.push_back(std::uint8_t(i % modulus));
  return b;
}
/// RFC 1952 with a name and a comment.
Bytes gzip(const Bytes& bytes, bool named = true) {
  int n = 0;
  std::uint8_t* const packed = stbi_zlib_compress(const_cast<std::uint8_t*>(bytes.data()), int(bytes.size()), &n, 8);
  Bytes b{0x1f, 0x8b, 8, std::uint8_t(named ? 4 + 8 + 16 + 2 : 0), 0, 0, 0, 0, 0, 3};
  if (named) b.insert(b.end(), {3, 0, 'a', 'b', 'c', 'n', 0, 'c', 'c', 0, 0, 0});
  b.insert(b.end(), packed + 2, packed + n - 4);                                   // without zlib's header and sum
  std::free(packed);
  for (const std::uint32_t v : {detail::crc32(bytes.data(), bytes.size()), std::uint32_t(bytes.size())})
    for (int shift = 0; shift < 32; shift += 8) b.push_back(std::uint8_t(v >> shift));
  return b;
}
const Bytes pictures = idx(0x803, {20, 3, 2}, 120, 251), labels = idx(0x801, {20}, 20, 10);

std::string complaint(const Bytes& x, const Bytes& y, const std::vector<std::string>& names = {}) {
  const lamina_test::TemporaryFolder t;
  write(t.path / "x", x), write(t.path / "y", y);
  std::string s = sentence([&] { IdxFiles(t.path / "x", t.path / "y", names); });
  for (std::size_t at; (at = s.find(t.path.string() + "/")) != s.npos;) s.erase(at, t.path.string().size() + 1);
  return s;
}
Bytes changed(Bytes b, std::size_t at, std::uint8_t to) { return b[at] = to, b; }
Bytes first(const Bytes& b, std::size_t n) { return {b.begin(), b.begin() + std::ptrdiff_t(n)}; }
}  // namespace

TEST_CASE("IDX: pictures and labels lie in memory as in the files, packed or not") {
  const lamina_test::TemporaryFolder t;
  write(t.path / "x", pictures), write(t.path / "y", labels), write(t.path / "x.gz", gzip(pictures)), write(t.path / "y.gz", gzip(labels, false));
  const IdxFiles plain(t.path / "x", t.path / "y"), packed(t.path / "x.gz", t.path / "y.gz"), named(t.path / "x", t.path / "y", {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"});
  CHECK(plain.classes == std::vector<std::string>{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"});
  CHECK(plain.name == (t.path / "x").string());
  CHECK(plain.count() == std::vector<Index>(10, 2));
  REQUIRE(plain.size() == 20);
  CHECK(plain.samples[13].label == 3);
  CHECK(plain.samples[13].name == "3/13");
  CHECK(plain.samples[13].picture->shape() == Shape{3, 2, 1});
  CHECK(plain.samples[13].picture->pixels == Bytes{78, 79, 80, 81, 82, 83});       // by hand: 13 * 6
  CHECK(plain.fingerprint() == packed.fingerprint());
  for (std::size_t i = 0; i < 20; ++i) CHECK(packed.samples[i].picture->pixels == plain.samples[i].picture->pixels);
  CHECK(named.classes.size() == 11);
  CHECK(named.samples[13].name == "d/13");
}

TEST_CASE("IDX: every malformed file is one sentence with the path and what to do") {
  CHECK(complaint(pictures, labels) == "");
  CHECK(complaint(labels, labels) == "the file x begins with the number 2049 and an IDX file of pictures (idx3-ubyte) with 2051: give that file");
  CHECK(complaint(pictures, pictures) == "the file y begins with the number 2051 and an IDX file of labels (idx1-ubyte) with 2049: give that file");
  CHECK(complaint({}, labels) == "the file x has 0 bytes and is no IDX file of pictures (idx3-ubyte): copy it again");
  CHECK(complaint(first(pictures, 135), labels) == "the file x has 135 bytes of the 136 that its header speaks of: it was not copied whole, copy it again");
  CHECK(says(complaint(first(pictures, 9), labels), "the file x has 9 bytes of the 17"));
  CHECK(says(complaint(pictures, first(labels, 7)), "the file y has 7 bytes of the 9"));
  Bytes longer = pictures;
  longer.push_back(0);
  CHECK(complaint(longer, labels) == "the file x goes on for 1 bytes after the 136 that its header speaks of: it is damaged, copy it again");
  CHECK(complaint(pictures, idx(0x801, {19}, 19, 10)) == "x holds 20 pictures and y holds 19 labels: give the two files of one set");
  CHECK(complaint(pictures, changed(labels, 8 + 5, 10)) == "label 5 of y is 10 and there are 10 classes, counted from 0: name all classes, or copy the file again");
  CHECK(says(complaint(pictures, labels, {"a", "b"}), "label 2 of y is 2 and there are 2 classes"));
  CHECK(says(complaint(idx(0x803, {0, 3, 2}, 0, 1), labels), "the file x holds no pictures"));
  CHECK(says(complaint(idx(0x803, {20, 0, 2}, 0, 1), labels), "the file x holds no pictures"));
  CHECK(says(complaint(idx(0x803, {0xffffffff, 0xffffffff, 0xffffffff}, 9, 9), labels), "the file x has 25 bytes of the 9223372036854775823"));
  CHECK(says(complaint(idx(0x803, {1, 1, 16385}, 16385, 9), idx(0x801, {1}, 1, 1)), "the pictures of x are 1x16385 and cannot be used"));
  const lamina_test::TemporaryFolder t;
  CHECK(sentence([&] { IdxFiles(t.path / "x", t.path / "y"); }) == "there is no file " + (t.path / "x").string() + ": check the path");
  CHECK(says(sentence([&] { IdxFiles(t.path, t.path / "y"); }), "is not a regular file"));
}

TEST_CASE("IDX: a packed file that is damaged anywhere is one sentence, or unpacks to the same") {
  const Bytes packed = gzip(pictures);
  CHECK(complaint(packed, labels) == "");
  for (std::size_t n = 2; n < packed.size(); ++n) CHECK(says(complaint(first(packed, n), labels), "the file x cannot be unpacked ("));
  int refused = 0;
  for (std::size_t at = 2; at < packed.size(); ++at) {
    const std::string s = complaint(changed(packed, at, std::uint8_t(packed[at] ^ 0x10)), labels);
    CHECK((s.empty() || says(s, "the file x cannot be unpacked (")));
    refused += !s.empty();
  }
  CHECK(refused > int(packed.size()) - 24);                                        // time, system, the texts and their sum may be anything
  Bytes bomb = packed;
  for (std::size_t i = 1; i <= 4; ++i) bomb[bomb.size() - i] = 0x7f;
  CHECK(says(complaint(bomb, labels), "larger than it can be"));
}

TEST_CASE("IDX: Fashion-MNIST as Debian packs it") {
  const std::filesystem::path folder = "/usr/share/datasets/fashion-mnist";
  if (!std::filesystem::exists(folder)) {
    MESSAGE("skipped: the package dataset-fashion-mnist is not there");
    return;
  }
  const IdxFiles train(folder / "train-images-idx3-ubyte.gz", folder / "train-labels-idx1-ubyte.gz"), test(folder / "t10k-images-idx3-ubyte.gz", folder / "t10k-labels-idx1-ubyte.gz");
  CHECK(train.count() == std::vector<Index>(10, 6000));                            // github.com/zalandoresearch/fashion-mnist
  CHECK(test.count() == std::vector<Index>(10, 1000));
  CHECK(train.samples[0].picture->shape() == Shape{28, 28, 1});
}
