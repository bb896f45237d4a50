#include <lamina/data/image_folder.hpp>

#include <set>

#include <doctest/doctest.h>
#include <unistd.h>

#include "../support/temporary.hpp"
#include "pictures.hpp"

using namespace lamina;
using lamina_test::Bytes, lamina_test::says, lamina_test::sentence, lamina_test::TemporaryFolder, lamina_test::write;

namespace {
std::string complaint(const std::filesystem::path& folder, const std::vector<std::string>& classes = {}) {
  return sentence([&] { ImageFolder(folder, classes); });
}
/// Folders with so many (empty) files each.
void fill(const std::filesystem::path& folder, const std::vector<std::pair<std::string, int>>& classes) {
  for (const auto& [name, n] : classes)
    for (int i = 0; i < n; ++i) write(folder / name / (std::to_string(i) + ".jpg"), Bytes(std::size_t(i)));
}
/// Nothing is closed to root: while this lives, root is the user nobody. `is` tells whether folders can be closed now.
struct Nobody {
  const bool root = ::geteuid() == 0, is = !root || ::seteuid(65534) == 0;
  ~Nobody() { if (root && is) CHECK(::seteuid(0) == 0); }
};
std::vector<std::string> names(const Dataset& d) {
  std::vector<std::string> all;
  for (const Sample& s : d.samples) all.push_back(s.name);
  return all;
}
}  // namespace

TEST_CASE("image folder: classes by code point, files at any depth, endings in any case, hidden names passed over") {
  const TemporaryFolder t;
  for (const char* file : {"b/2.png", "b/10.JPG", "b/sub folder/1.jpeg", "B/x.Jpg", "10/x.png", "2/x.png", "b/notes.txt", "b/.hidden.png", "b/.git/1.png", ".cache/1.png", "root.png"})
    write(t.path / file, {1});
  const ImageFolder d(t.path);
  CHECK(d.classes == std::vector<std::string>{"10", "2", "B", "b"});
  CHECK(names(d) == std::vector<std::string>{"10/x.png", "2/x.png", "B/x.Jpg", "b/10.JPG", "b/2.png", "b/sub folder/1.jpeg"});
  CHECK(d.samples[0].label == 0);
  CHECK(d.samples[5].label == 3);
  CHECK(d.samples[5].path == t.path / "b/sub folder/1.jpeg");
  CHECK(d.samples[5].bytes == 1);
  CHECK(d.count() == std::vector<Index>{1, 1, 1, 3});
}

TEST_CASE("image folder: by folder and then by name, as os.walk() is sorted") {
  const TemporaryFolder t;
  for (const char* file : {"b/z.png", "b/a.jpg", "b/a/x.jpg", "b/a-1/y.jpg", "b/a/b/w.jpg", "c/1.png"}) write(t.path / file, {1});
  // Python 3.11: [os.path.join(r, f) for r, _, files in sorted(os.walk(folder), key=lambda x: x[0]) for f in sorted(files)]
  CHECK(names(ImageFolder(t.path)) == std::vector<std::string>{"b/a.jpg", "b/z.png", "b/a/x.jpg", "b/a-1/y.jpg", "b/a/b/w.jpg", "c/1.png"});
}

TEST_CASE("image folder: every mistake is one sentence with the path and what to do") {
  const TemporaryFolder t;
  CHECK(says(complaint(t.path / "missing"), "there is no folder " + (t.path / "missing").string()));
  write(t.path / "file", {1});
  CHECK(says(complaint(t.path / "file"), "is a file, not a folder"));
  CHECK(says(complaint(t.path / "file" / "below"), "there is no folder"));
  CHECK(says(complaint(t.path), "holds no class folders"));
  fill(t.path, {{"a", 2}});
  CHECK(says(complaint(t.path), "holds one class folder, a,"));
  std::filesystem::create_directory(t.path / "b");
  CHECK(says(complaint(t.path), "the class folder " + (t.path / "b").string() + " holds no pictures"));
  fill(t.path, {{"b", 1}});
  CHECK(complaint(t.path) == "");
  std::filesystem::create_symlink("nowhere", t.path / "c");
  CHECK(complaint(t.path) == "");
  std::filesystem::create_symlink("loop", t.path / "loop");
  CHECK(says(complaint(t.path / "loop"), "the folder " + (t.path / "loop").string() + " cannot be read (Too many levels of symbolic links)"));
  CHECK(says(complaint(t.path), "the folder " + (t.path / "loop").string() + " cannot be read"));
  CHECK(says(complaint(t.path / std::string(300, 'x')), "cannot be read (File name too long)"));
}

TEST_CASE("image folder: what this user may not read is one sentence too") {
  const TemporaryFolder t;
  fill(t.path, {{"closed/a", 1}, {"closed/b", 1}, {"class/a", 1}, {"class/b", 1}, {"inner/a/x", 1}, {"inner/b", 1}, {"list/a", 1}, {"list/b", 1}, {"linked/a", 1}, {"linked/b", 1}});
  std::filesystem::create_symlink(t.path / "closed/a", t.path / "linked/c");
  using std::filesystem::perms;
  const auto close = [&](const char* folder, perms left) { std::filesystem::permissions(t.path / folder, left); };
  close("", perms(0755));
  for (const char* folder : {"closed", "class/b", "inner/a/x"}) close(folder, perms::none);
  close("list/b", perms(0444));                                                    // it can be listed but not entered
  {
    const Nobody nobody;
    if (nobody.is) {
      const auto refused = [&](const char* folder, const char* named) {
        CHECK(says(complaint(t.path / folder), "the folder " + (t.path / named).string() + " cannot be read (Permission denied): check that it may be read by this user"));
      };
      refused("closed", "closed");
      refused("closed/a", "closed/a");
      refused("class", "class/b");
      refused("inner", "inner/a");
      refused("list", "list/b");
      refused("linked", "linked/c");
    }
  }
  for (const char* folder : {"closed", "class/b", "inner/a/x", "list/b"}) close(folder, perms::owner_all);
}

TEST_CASE("image folder: with a list of classes the folders have to be these, and keep its numbers") {
  const TemporaryFolder t;
  fill(t.path, {{"a", 1}, {"b", 1}});
  CHECK(says(complaint(t.path, {"a", "b", "c"}), "has no folder for the class c"));
  CHECK(says(complaint(t.path, {"a", "z"}), "has no folder for the class z"));
  fill(t.path, {{"extra", 1}});
  CHECK(says(complaint(t.path, {"a", "b"}), "has a folder extra, which is none of the 2 known classes"));
  const ImageFolder d(t.path, {"extra", "b", "a"});
  CHECK(d.classes == std::vector<std::string>{"extra", "b", "a"});
  CHECK(names(d) == std::vector<std::string>{"extra/0.jpg", "b/0.jpg", "a/0.jpg"});
}

TEST_CASE("split: every class by itself, seeded, nothing lost") {
  const TemporaryFolder t;
  fill(t.path, {{"a", 100}, {"b", 14}, {"c", 4}, {"d", 1}, {"e", 2}});
  const ImageFolder all(t.path);
  const SplitDataset parts = all.split({.validation = 0.1, .seed = 1});
  CHECK(parts.validation.count() == std::vector<Index>{10, 1, 1, 0, 1});           // round(10), round(1.4), at least one, never all
  CHECK(parts.train.count() == std::vector<Index>{90, 13, 3, 1, 1});
  CHECK(parts.train.classes == all.classes);
  CHECK(parts.validation.classes == all.classes);
  std::multiset<std::string> together;
  for (const Dataset* d : {&parts.train, &parts.validation}) {
    const auto n = names(*d);
    together.insert(n.begin(), n.end());
  }
  const auto before = names(all);
  CHECK(together == std::multiset<std::string>(before.begin(), before.end()));
  CHECK(names(all.split({.validation = 0.1, .seed = 1}).validation) == names(parts.validation));
  CHECK(names(all.split({.validation = 0.1, .seed = 2}).validation) != names(parts.validation));
  CHECK(all.split({.validation = 0}).validation.size() == 0);
  CHECK(all.split({.validation = 0.99}).train.count() == std::vector<Index>{1, 1, 1, 1, 1});
  for (const double share : {-0.1, 1.0, double(NAN)}) CHECK(says(sentence([&] { all.split({.validation = share}); }), "validation share"));
}

TEST_CASE("split: Keras's two rules") {
  Dataset d{{"a", "b", "c"}, {}};
  for (int i = 0; i < 25; ++i) d.add(lamina_test::noise(1, 1, 3), i < 10 ? 0 : i < 24 ? 1 : 2, std::to_string(i));
  const auto held = [](const Dataset& all, const SplitOptions& o) {
    const SplitDataset parts = all.split(o);
    std::vector<int> places;
    for (const Sample& s : parts.validation.samples) places.push_back(std::stoi(s.name));
    CHECK(parts.train.size() + parts.validation.size() == all.size());
    return places;
  };
  CHECK(held(d, {.validation = 0.29, .rule = SplitRule::keras_generator}) == std::vector<int>{0, 1, 10, 11, 12, 13});       // int(2.9), int(4.06), int(0.29)
  CHECK(held(d, {.validation = 0.29, .seed = 5, .rule = SplitRule::keras_generator}) == held(d, {.validation = 0.29, .rule = SplitRule::keras_generator}));
  // numpy 2.4: p = list(range(n)); RandomState(seed).shuffle(p); sorted(p[-int(v * n):])
  const auto of = [&](int n, double v, std::uint64_t seed) {
    Dataset part{{"a"}, {}};
    for (int i = 0; i < n; ++i) part.add(lamina_test::noise(1, 1, 3), 0, std::to_string(i));
    return held(part, {.validation = v, .seed = seed, .rule = SplitRule::keras_directory});
  };
  CHECK(of(17, 0.3, 7) == std::vector<int>{3, 4, 6, 9, 15});
  CHECK(of(40, 0.25, 123) == std::vector<int>{2, 17, 19, 22, 28, 30, 32, 33, 34, 36});
  CHECK(of(30, 0.2, 4294967295u) == std::vector<int>{0, 2, 3, 7, 12, 20});
  CHECK(of(1026, 0.004, 42) == std::vector<int>{121, 214, 466, 860});
  CHECK(of(9, 0.1, 0).empty());
  CHECK(held(d, {.validation = 0.29, .rule = SplitRule::keras_directory}).size() == 7);
  CHECK(says(sentence([&] { of(9, 0.1, 4294967296u); }), "takes 0 to 4294967295"));
}

TEST_CASE("split: of one class no picture is preferred") {
  Dataset d{{"a", "b"}, {}};
  for (int i = 0; i < 20; ++i) d.add(lamina_test::noise(1, 1, 3), 0), d.add(lamina_test::noise(1, 1, 3), 1);
  std::vector<int> held(40);
  for (std::uint64_t seed = 0; seed < 400; ++seed)
    for (const Sample& s : d.split({.validation = 0.25, .seed = seed}).validation.samples) ++held[std::size_t(std::stoi(s.name.substr(2)))];
  for (const int n : held) CHECK((n > 60 && n < 140));                             // 100 expected, deviation 8.7
}

TEST_CASE("fingerprint: names, labels and sizes count, the place of the folder does not") {
  const TemporaryFolder t;
  fill(t.path / "one", {{"a", 3}, {"b", 2}});
  fill(t.path / "two", {{"a", 3}, {"b", 2}});
  const auto one = ImageFolder(t.path / "one").fingerprint();
  CHECK(one == ImageFolder(t.path / "two").fingerprint());
  CHECK(one != ImageFolder(t.path / "one", {"b", "a"}).fingerprint());
  write(t.path / "two/a/1.jpg", {1, 2, 3});
  CHECK(one != ImageFolder(t.path / "two").fingerprint());
  std::filesystem::rename(t.path / "one/a/2.jpg", t.path / "one/a/3.jpg");
  CHECK(one != ImageFolder(t.path / "one").fingerprint());
}

TEST_CASE("fingerprint: a picture under another label is other data") {
  Dataset d{{"a", "b"}, {}};
  d.add(lamina_test::noise(2, 2, 3), 0, "leaf");
  const auto before = d.fingerprint();
  d.samples[0].label = 1;
  CHECK(d.fingerprint() != before);
}

TEST_CASE("dataset: pictures in memory are checked when they are added") {
  Dataset d{{"a", "b"}, {}, "leaves"};
  d.add(lamina_test::noise(2, 3, 3), 1);
  CHECK(d.samples[0].name == "b/0");
  CHECK(d.samples[0].bytes == 18);
  CHECK(says(sentence([&] { d.add(lamina_test::noise(2, 3, 3), 2); }), "of class 2 was added to leaves, which has 2 classes"));
  CHECK(says(sentence([&] { d.add({2, 3, 3, Bytes(17)}, 0); }), "with 17 bytes"));
}

TEST_CASE("image folder: the leaves") {
  const std::filesystem::path leaves = std::filesystem::path(LAMINA_SOURCE_DIR) / "../shared/data/tomato-leaf-64";
  if (!std::filesystem::exists(leaves)) {
    MESSAGE("skipped: ", leaves.string(), " is not there");
    return;
  }
  const ImageFolder train(leaves / "train");
  const ImageFolder val(leaves / "val", train.classes);
  CHECK(train.classes.size() == 10);                                               // these numbers: data/README.md
  CHECK(train.size() == 8875);
  CHECK(val.size() == 939);
  CHECK(train.fingerprint() != val.fingerprint());
}
