#include <lamina/data/decode_sample.hpp>
#include <lamina/data/image_archive.hpp>

#include <doctest/doctest.h>

#include "../support/temporary.hpp"
#include "tar_writer.hpp"

using namespace lamina;
using lamina_test::Bytes, lamina_test::noise, lamina_test::png, lamina_test::says, lamina_test::sentence, lamina_test::Tar, lamina_test::TemporaryFolder, lamina_test::write;
using Names = std::vector<std::string>;

namespace {
Names names(const Dataset& d) {
  Names all;
  for (const Sample& s : d.samples) all.push_back(s.name);
  return all;
}
std::vector<std::int32_t> labels(const Dataset& d) {
  std::vector<std::int32_t> all;
  for (const Sample& s : d.samples) all.push_back(s.label);
  return all;
}
/// The sentence about an archive of these bytes, which it calls a.tar.
std::string complaint(const Bytes& bytes, const Names& expected = {}) {
  const TemporaryFolder t;
  write(t.path / "a.tar", bytes);
  std::string s = sentence([&] { ImageArchive(t.path / "a.tar", expected); });
  for (std::size_t at; (at = s.find(t.path.string() + "/")) != s.npos;) s.erase(at, t.path.string().size() + 1);
  return s;
}
std::string complaint(Tar& tar, const Names& expected = {}) { return complaint(tar.end().bytes, expected); }
const Bytes picture = png(noise(5, 4, 3));
}  // namespace

TEST_CASE("archive of class folders: classes, order, names and fingerprint are those of the folder, however tar packs it") {
  const TemporaryFolder t;
  const std::string far = std::string(90, 'd') + "/" + std::string(95, 'f') + ".png";
  int seed = 0;
  for (const std::string& file : {std::string("a-b/1.png"), std::string("a/z.PNG"), std::string("a/b/1.png"), std::string("a/10.png"), std::string("a/9.png"), "B/" + far, std::string("B/x.png")})
    write(t.path / "folder" / file, png(noise(4, 5, 3, std::uint64_t(++seed))));
  for (const char* file : {"a/notes.txt", "a/.hidden.png", "a/.git/1.png", ".cache/1.png", "root.png"}) write(t.path / "folder" / file, {1});
  const ImageFolder folder(t.path / "folder");
  REQUIRE(folder.classes == Names{"B", "a", "a-b"});
  Tar own;                                                                         // in no order
  const auto bytes = [&](const std::string& name) { return detail::read_file(t.path / "folder" / name); };
  own.pax({{"comment", "global"}, {"path", "nonsense"}}, 'g').add("root.png", "1").add("./a/", {}, {.kind = '5'}).add("a/b/", {}, {.kind = '0'}).add(".cache/1.png", "1");
  own.pax({{"path", "B/" + far}, {"mtime", "1.5"}}).add("B/cut", bytes("B/" + far));
  own.add("a/notes.txt", "1").add("1.png", bytes("a/b/1.png"), {.prefix = "./a/b"});
  own.add("././@LongLink", Tar::of(std::string("a-b/1.png") + '\0'), {.kind = 'L', .gnu = true});
  own.add("a-b/other", bytes("a-b/1.png"), {.gnu = true, .base_256 = true});
  own.pax({{"path", "c/wrong.png"}, {"size", "9"}}).add("a/link.png", {}, {.kind = '2'}).add("a/9.png", bytes("a/9.png"));
  own.add("a/hard.png", {}, {.kind = '1', .said = 700}).add("a/device.png", {}, {.kind = '3', .said = 9}).add("a/.hidden.png", "1").add("a/.git/1.png", "1");
  own.add("a/z.PNG", bytes("a/z.PNG"), {.kind = '\0'}).add("/B/x.png", bytes("B/x.png"), {.kind = '7'});
  own.pax({{"size", std::to_string(bytes("a/10.png").size())}}).add("a/10.png", bytes("a/10.png"), {.said = 0});
  write(t.path / "own.tar", own.end().bytes);
  Names archives{"own.tar"};
  const std::string run = "cd " + t.path.string() + " && tar -C folder -cf ";
  for (const std::string format : {"ustar", "gnu", "pax"})
    if (std::system((run + format + ".tar --format=" + format + " . 2>/dev/null").c_str()) == 0) archives.push_back(format + ".tar");
  if (archives.size() < 4) MESSAGE("skipped in part: the system has no tar that makes all formats");
  for (const std::string& name : archives) {
    CAPTURE(name);
    const ImageArchive d(t.path / name);
    CHECK(d.classes == folder.classes);
    CHECK(names(d) == names(folder));
    CHECK(labels(d) == labels(folder));
    CHECK(d.fingerprint() == folder.fingerprint());
    REQUIRE(d.size() == folder.size());
    for (std::size_t i = 0; i < d.samples.size(); ++i) {
      CHECK(d.samples[i].archive->read(d.samples[i].offset, d.samples[i].bytes) == detail::read_file(folder.samples[i].path));
      CHECK(decode(d.samples[i]).pixels == decode(folder.samples[i]).pixels);
    }
    CHECK(d.samples[0].where() == (t.path / name).string() + ": " + folder.samples[0].name);
    CHECK(names(ImageArchive(t.path / name, {"a", "B", "a-b"})) == names(ImageFolder(t.path / "folder", {"a", "B", "a-b"})));
  }
}

TEST_CASE("archive of labels: pictures with the label beside them, in the order of the shards") {
  const TemporaryFolder t;
  Tar one, two;
  one.add("s/9.cls", "2\n").add("s/9.json", "{}").add("s/9.jpg", picture).add("s/10.png", picture);
  one.add("s/10.seg.png", picture).add("s/10.cls", "0\r\n").add("s/._10.png", "mac").add("readme", "x").end();
  two.add("a.JPEG", picture).add("a.cls", "5").add("links/b.cls", {}, {.kind = '2'}).end();
  write(t.path / "shards/shard-001.tar", two.bytes), write(t.path / "shards/shard-000.tar", one.bytes), write(t.path / "shards/notes.txt", {1});
  const ImageArchive folder(t.path / "shards"), list(std::vector{t.path / "shards/shard-001.tar", t.path / "shards/shard-000.tar"}), named(t.path / "shards", {"a", "b", "c", "d", "e", "f", "g"});
  CHECK(folder.classes == Names{"0", "1", "2", "3", "4", "5"});
  CHECK(names(folder) == Names{"s/9.jpg", "s/10.png", "a.JPEG"});
  CHECK(labels(folder) == std::vector<std::int32_t>{2, 0, 5});
  CHECK(names(list) == Names{"a.JPEG", "s/9.jpg", "s/10.png"});
  CHECK(folder.name == (t.path / "shards").string());
  CHECK(list.name == (t.path / "shards/shard-001.tar").string() + " and 1 more");
  CHECK(named.classes.size() == 7);
  CHECK(decode(folder.samples[2]).pixels == noise(5, 4, 3).pixels);
  const auto files = [&](const char* a, const char* b) { return sentence([&] { ImageArchive(std::vector{t.path / a, t.path / b}); }); };
  CHECK(says(files("shards/shard-000.tar", "shards/../shards/shard-000.tar"), "are one file: give it once"));
  CHECK(says(files("shards/shard-000.tar", "shards/shard-002.tar"), "there is no file " + (t.path / "shards/shard-002.tar").string() + ": check the path"));
  CHECK(says(sentence([&] { ImageArchive(t.path / "nowhere.tar"); }), "there is no file"));
  std::filesystem::create_directory(t.path / "empty");
  CHECK(says(sentence([&] { ImageArchive(t.path / "empty"); }), "holds no archives (.tar): give an archive, or a folder of archives"));
  CHECK(says(sentence([] { ImageArchive(std::vector<std::filesystem::path>{}); }), "no archives of pictures were given"));
}

TEST_CASE("archive: what is wrong with its pictures and labels is one sentence") {
  const auto keyed = [](const char* text) { return Tar().add("1.png", picture).add("1.cls", text); };
  for (const char* text : {"", "cat", "-1", "1.5", "3 4", "1000000", "99999999999999", "                                   1"}) {
    CAPTURE(text);
    Tar t = keyed(text);
    CHECK(complaint(t) == "the label 1.cls in a.tar is no number from 0 to 999999: write the number of the class into it, as text");
  }
  Tar t = keyed("7");
  CHECK(complaint(t, {"a", "b"}) == "the picture a.tar: 1.png has the label 7 and there are 2 classes, counted from 0: correct the label, or name all classes");
  t = keyed("7").add("x/2.b.png", picture).add("x/2.png", picture);
  CHECK(complaint(t) == "the picture a.tar: x/2.png has no label x/2.cls beside it: add it, or pack the archive again with tar --sort=name");
  t = keyed("7").add("2.webp", "?").add("2.cls", "1");
  CHECK(complaint(t) == "the archive a.tar holds the label 2.cls and no picture 2 (jpg, jpeg, png) beside it: add it, or pack the archive again with tar --sort=name");
  t = keyed("7").add("1.jpg", picture);
  CHECK(complaint(t) == "the archive a.tar holds the pictures 1.png and 1.jpg beside one label: take one of them away");
  t = keyed("7").add("1.cls", "7");
  CHECK(says(complaint(t), "holds 1.cls twice"));
  t = keyed("7").add("2.png", picture).add("2.cls", "1").add("1.png", picture).add("1.cls", "3");
  CHECK(complaint(t) == "the archive a.tar holds the pictures 1.png and 1.png of one key: take one away, or pack it again");
  t = keyed("7").add("2.png", picture).add("2.cls", "1").add("1.jpg", picture).add("1.cls", "3");
  CHECK(says(complaint(t), "of one key"));

  t = Tar().add("./a/./1.png", picture).add(".//b//1.png", picture).add("c/.", {}, {.kind = '5'}).add("c/./d/././1.png", picture).add("a/../f/1.png", picture);
  const TemporaryFolder folder;
  write(folder.path / "a.tar", t.end().bytes);
  const ImageArchive dots(folder.path / "a.tar");                                    // parts of a name that mean nothing
  CHECK(dots.classes == std::vector<std::string>{"a", "b", "c"});
  REQUIRE(dots.size() == 3);
  CHECK((dots.samples[0].name == "a/1.png" && dots.samples[1].name == "b/1.png" && dots.samples[2].name == "c/d/1.png"));
  t = Tar().add("root.png", picture);
  CHECK(says(complaint(t), "a.tar holds no class folders"));
  t = Tar().add("train/a/1.png", picture).add("train/b/1.png", picture);
  CHECK(says(complaint(t), "a.tar holds one class folder, train, and a classifier needs two or more: was the folder above it meant, or one below?"));
  t = Tar().add("a/1.png", picture).add("b/", {}, {.kind = '5'});
  CHECK(complaint(t) == "the class folder b in a.tar holds no pictures (png, jpg, jpeg): put some into it or take the folder away");
  t = Tar().add("a/1.png", picture).add("b/1.png", picture);
  CHECK(says(complaint(t, {"a", "c"}), "a.tar has no folder for the class c"));
  t = Tar().add("a/1.png", picture).add("b/1.png", picture);
  CHECK(says(complaint(t, {"a"}), "a.tar has a folder b, which is none of the 1 known classes"));
  t = Tar().add("a/1.png", picture).add("b/1.png", picture).add("./a/1.png", picture);
  CHECK(complaint(t) == "the picture a/1.png is in a.tar and again in a.tar: take one away");
}

TEST_CASE("archive: one that is damaged, cut off, compressed or no archive is one sentence that says where") {
  Tar good;
  good.add("a/1.png", picture).add("b/1.png", picture).add("c/1.png", picture);
  const std::size_t member = good.bytes.size() / 3;
  CHECK(complaint(good) == "");
  for (std::size_t n = 0; n < good.bytes.size() - 1024; n += n % 512 == 511 ? 1 : 73) {
    CAPTURE(n);
    Bytes cut(good.bytes.begin(), good.bytes.begin() + std::ptrdiff_t(n));
    CHECK(complaint(cut) == "the archive a.tar ends too soon, in the member at byte " + std::to_string(n / member * member) + ": it was not copied whole, copy it again");
  }
  for (std::size_t at : {std::size_t(0), std::size_t(130), std::size_t(150), std::size_t(345)}) {
    Bytes b = good.bytes;
    b[member + at] ^= 1;
    CHECK(says(complaint(b), "the archive a.tar is damaged at byte " + std::to_string(member) + " (a"));
    b[at] ^= 1;
    CHECK(says(complaint(b), "a.tar is no tar archive, or is damaged from the start"));
  }
  Tar t = Tar().add("a/1.png", picture).add("b/1.png", picture, {.said = 100'000});
  CHECK(says(complaint(t), "ends too soon, in the member at byte " + std::to_string(member)));
  t = Tar().add("a/1.png", picture).add("b/1.png", picture, {.base_256 = true, .said = std::uint64_t(1) << 62});
  CHECK(says(complaint(t), "ends too soon, in the member at byte " + std::to_string(member)));
  t = Tar().add("a/1.png", picture, {.base_256 = true, .said = std::uint64_t(1) << 63});
  t.bytes[124] = 0xff, t.bytes[148] = '9';
  CHECK(says(complaint(t), "a.tar is no tar archive"));
  for (const auto& [kind, words] : {std::pair('S', "holds a/1.png with its holes left out: pack it again"), std::pair('M', "holds a/1.png in part, the rest is in another volume: pack it again")}) {
    t = Tar().add("a/1.png", picture, {.kind = kind});
    CHECK(says(complaint(t), words));
  }
  t = Tar().pax({{"GNU.sparse.major", "1"}}).add("a/1.png", picture);
  CHECK(says(complaint(t), "holds a file with its holes left out, at byte 0"));
  for (const std::string records : {"x", "8 path=a\n", "5 a=b\nx", "7 pathx\n", "0 a=b\n", "99999999999999999999 a=b\n", "18446744073709551615 a=b\n", "8 size=\n", "9 size=x\n", "11 path=a/1"}) {
    CAPTURE(records);
    t = Tar().add("a/0.png", picture).add("x", Tar::of(records), {.kind = 'x'}).add("a/1.png", picture);
    CHECK(says(complaint(t), "the archive a.tar is damaged at byte " + std::to_string(member) + " (a pax header"));
  }
  t = Tar().add("x", Bytes((1 << 20) + 1), {.kind = 'L'}).add("a/1.png", picture);
  CHECK(says(complaint(t), "a header has a name that is too long"));
  Bytes joined = good.bytes;
  joined.insert(joined.end(), 9000, 0), joined.insert(joined.end(), good.bytes.begin(), good.bytes.end());
  CHECK(complaint(joined) == "the archive a.tar goes on after its end, which is at byte " + std::to_string(3 * member) + ": if archives were joined, give each as a file of its own");
  for (const std::string_view begin : {"\x1f\x8b\x08", "BZh9", "\xfd" "7zXZ", "\x28\xb5\x2f\xfd"}) {
    Bytes b = Tar::of(begin);
    b.resize(2000, 7);
    CHECK(says(complaint(b), "the archive a.tar is compressed, and its pictures cannot be read one by one: unpack it once"));
  }
  CHECK(says(complaint(Bytes(700, 'x')), "a.tar is no tar archive, or is damaged from the start"));
  CHECK(says(complaint(Bytes(1024)), "a.tar holds no class folders"));
}

TEST_CASE("archive: one that is changed, replaced or taken away while it is in use is one sentence") {
  const TemporaryFolder t;
  const auto path = t.path / "a.tar";
  const Bytes good = Tar().add("a/1.png", picture).add("b/1.png", png(noise(5, 4, 3, 2))).end().bytes;
  write(path, good);
  const ImageArchive d(path);
  CHECK(decode(d.samples[1]).pixels == noise(5, 4, 3, 2).pixels);
  const std::string expected = "the file " + path.string() + " was changed or replaced while it was in use: leave it as it is until the training ends, and start again";
  const auto last = std::filesystem::last_write_time(path);
  std::filesystem::last_write_time(path, last + std::chrono::seconds(1));
  CHECK(sentence([&] { decode(d.samples[1]); }) == expected);
  std::filesystem::last_write_time(path, last);
  CHECK(decode(d.samples[1]).pixels == noise(5, 4, 3, 2).pixels);
  write(t.path / "other.tar", good);
  std::filesystem::rename(t.path / "other.tar", path);
  std::filesystem::last_write_time(path, last);
  CHECK(sentence([&] { decode(d.samples[1]); }) == expected);
  std::filesystem::resize_file(path, 700);
  CHECK(sentence([&] { decode(d.samples[1]); }) == expected);
  std::filesystem::remove(path);
  CHECK(says(sentence([&] { decode(d.samples[1]); }), "the file " + path.string() + " cannot be read (No such file or directory)"));
}

TEST_CASE("archive: a picture that cannot be used is named with its archive") {
  const TemporaryFolder t;
  write(t.path / "a.tar", Tar().add("a/1.png", "no picture").add("b/1.png", Bytes()).end().bytes);
  const ImageArchive d(t.path / "a.tar");
  CHECK(says(sentence([&] { decode(d.samples[0]); }), "the picture " + (t.path / "a.tar").string() + ": a/1.png cannot be used: it is neither a JPEG nor a PNG"));
  CHECK(says(sentence([&] { decode(d.samples[1]); }), "a.tar: b/1.png cannot be used: the file is empty"));
  Sample large = d.samples[0];
  large.bytes = std::uint64_t(1) << 40;
  CHECK(says(sentence([&] { decode(large); }), "it takes 1099511627776 bytes, more than any picture"));
  large.bytes = 5000;
  CHECK(says(sentence([&] { decode(large); }), "were asked for: index it again"));
}
