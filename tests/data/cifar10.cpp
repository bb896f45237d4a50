#include <lamina/data/cifar10.hpp>

#include <doctest/doctest.h>

#include "../support/temporary.hpp"
#include "pictures.hpp"

using namespace lamina;
using lamina_test::Bytes, lamina_test::says, lamina_test::sentence, lamina_test::write;

namespace {
/// Records of these labels; the byte of channel c at pixel i of record r is r + 50 c + i mod 256.
Bytes records(const std::vector<int>& labels) {
  Bytes b;
  for (std::size_t r = 0; r < labels.size(); ++r) {
    b.push_back(std::uint8_t(labels[r]));
    for (std::size_t c = 0; c < 3; ++c)
      for (std::size_t i = 0; i < 1024; ++i) b.push_back(std::uint8_t(r + 50 * c + i));
  }
  return b;
}
void write_text(const std::filesystem::path& path, const std::string& text) { write(path, {text.begin(), text.end()}); }
}  // namespace

TEST_CASE("CIFAR-10: the planes of a picture become pixels, in the order of the files, under the names beside them") {
  const lamina_test::TemporaryFolder t;
  write(t.path / "1.bin", records({3, 0, 9})), write(t.path / "2.bin", records({1}));
  const Cifar10 plain{t.path / "1.bin", t.path / "2.bin"};
  CHECK(plain.classes[9] == "truck");
  CHECK(plain.name == t.path.string());
  REQUIRE(plain.size() == 4);
  CHECK(plain.samples[2].label == 9);
  CHECK(plain.samples[2].name == "truck/2");
  const Picture& p = *plain.samples[2].picture;
  CHECK(p.shape() == Shape{32, 32, 3});
  for (std::size_t i : {0, 1, 33, 1023})
    for (std::size_t c = 0; c < 3; ++c) CHECK(p.pixels[3 * i + c] == std::uint8_t(2 + 50 * c + i));
  CHECK(plain.samples[3].picture->pixels[0] == 0);
  write_text(t.path / "batches.meta.txt", "a\nb\nc\r\nd\ne\nf\ng\nh\ni\nj\n\n");
  const Cifar10 named(t.path / "1.bin");
  CHECK(named.classes == std::vector<std::string>{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"});
  CHECK(named.size() == 3);
}

TEST_CASE("CIFAR-10: every malformed file is one sentence with the path and what to do") {
  const lamina_test::TemporaryFolder t;
  const auto file = t.path / "1.bin";
  const auto complaint = [&](const Bytes& bytes) { return write(file, bytes), sentence([&] { Cifar10 c(file); }); };
  CHECK(says(sentence([&] { Cifar10 c(file); }), "there is no file " + file.string()));
  CHECK(complaint(records({1})) == "");
  Bytes b = records({1, 2});
  b.pop_back();
  CHECK(complaint(b) == "the file " + file.string() + " has 6145 bytes, and pictures of CIFAR-10 take 3073 each: it was not copied whole, or is not of the binary version; copy it again");
  b.insert(b.end(), 2, 0);
  CHECK(says(complaint(b), "has 6147 bytes"));
  CHECK(says(complaint({}), "has 0 bytes"));
  CHECK(complaint(records({1, 10})) == "label 1 of " + file.string() + " is 10 and there are ten classes, counted from 0: the file is damaged, copy it again");
  for (const char* names : {"", "a\nb\n", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk"}) {
    write_text(t.path / "batches.meta.txt", names);
    CHECK(says(complaint(records({1})), "classes, and CIFAR-10 has ten, a line each"));
  }
  CHECK(says(sentence([] { Cifar10 c(std::vector<std::filesystem::path>{}); }), "no files of CIFAR-10 were given"));
}
