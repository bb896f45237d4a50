#include <lamina/data/picture_store.hpp>

#include <doctest/doctest.h>

#include <latch>
#include <thread>

#include "../support/temporary.hpp"
#include "decoded.hpp"
#include "pictures.hpp"

using namespace lamina;
using lamina_test::noise, lamina_test::says, lamina_test::sentence;

TEST_CASE("picture store: what is kept survives its file, the rest is read again") {
  const lamina_test::TemporaryFolder t;
  Dataset d{{"a", "b"}, {}};
  for (int i = 0; i < 3; ++i) {
    lamina_test::write(t.path / (std::to_string(i) + ".png"), lamina_test::png(noise(6, 4, 3, std::uint64_t(i))));
    d.samples.push_back({t.path / (std::to_string(i) + ".png"), 0, nullptr, std::to_string(i), 0});
  }
  PictureStore store(d, {6, 4}, Interpolation::nearest, 2 * 6 * 4 * 3 + 5);     // room for two
  std::vector<std::uint8_t> room;
  const auto is = [&](Index i) { return std::memcmp(store.at(i, room), noise(6, 4, 3, std::uint64_t(i)).pixels.data(), 72) == 0; };
  for (const Index i : {2, 0, 1}) CHECK(is(i));
  for (int i = 0; i < 3; ++i) std::filesystem::remove(t.path / (std::to_string(i) + ".png"));
  CHECK(is(0));
  CHECK(is(1));
  CHECK(says(sentence([&] { store.at(2, room); }), "there is no file"));
}

TEST_CASE("picture store: pictures in memory are used where they lie, or resized") {
  Dataset d{{"a", "b"}, {}};
  d.add(noise(6, 4, 1), 0);
  d.add(noise(12, 9, 1), 1);
  PictureStore store(d, {6, 4}, Interpolation::lanczos, 1000);
  CHECK(store.shape() == Shape{6, 4, 1});
  std::vector<std::uint8_t> room;
  CHECK(store.at(0, room) == d.samples[0].picture->pixels.data());
  const Picture small = resize(*d.samples[1].picture, {6, 4}, Interpolation::lanczos);
  CHECK(std::memcmp(store.at(1, room), small.pixels.data(), 24) == 0);
}

namespace {
/// f(thread) on so many threads that begin at once.
template <class F> void at_once(int threads, const F& f) {
  std::latch begin(threads);
  std::vector<std::thread> all;
  for (int t = 0; t < threads; ++t)
    all.emplace_back([&, t] {
      begin.arrive_and_wait();
      f(t);
    });
  for (std::thread& t : all) t.join();
}
/// Files of pictures that decoded.hpp counts.
Dataset files(const std::filesystem::path& folder, int count) {
  Dataset d{{"a", "b"}, {}};
  for (int i = 0; i < count; ++i) {
    const auto path = folder / (std::to_string(i) + ".png");
    lamina_test::write(path, lamina_test::png(noise(lamina_test::odd_h, lamina_test::odd_w, 3, std::uint64_t(i))));
    d.samples.push_back({path, 0, nullptr, path.filename(), 0});
  }
  return d;
}
}  // namespace

TEST_CASE("picture store: what many threads want at once is decoded once if it is kept, and by each if it is not") {
  const lamina_test::TemporaryFolder t;
  constexpr int count = 24, threads = 4, kept = 20;
  const Dataset d = files(t.path, count);
  std::vector<Picture> expected;
  for (const Sample& s : d.samples) expected.push_back(resize(decode(s.path), {9, 7}, Interpolation::lanczos));
  for (int round = 0; round < 5; ++round) {
    PictureStore store(d, {9, 7}, Interpolation::lanczos, kept * 9 * 7 * 3);
    std::atomic<int> wrong = 0;
    const int before = lamina_test::decoded;
    at_once(threads, [&](int) {
      std::vector<std::uint8_t> room;
      for (int i = 0; i < count; ++i) wrong += std::memcmp(store.at(i, room), expected[std::size_t(i)].pixels.data(), 9 * 7 * 3) != 0;
    });
    CHECK(wrong == 0);
    CHECK(lamina_test::decoded - before == kept + threads * (count - kept));
  }
}

TEST_CASE("picture store: a damaged file is an error for all who want it at once, and good again once it is whole") {
  const lamina_test::TemporaryFolder t;
  const Dataset d = files(t.path, 1);
  const auto whole = lamina_test::png(noise(lamina_test::odd_h, lamina_test::odd_w, 3, 0));
  auto damaged = whole;
  damaged[damaged.size() / 2] ^= 1;
  PictureStore store(d, {9, 7});
  for (int round = 0; round < 20; ++round) {
    lamina_test::write(d.samples[0].path, damaged);
    std::atomic<int> named = 0;
    at_once(4, [&](int) {
      std::vector<std::uint8_t> room;
      named += says(sentence([&] { store.at(0, room); }), "0.png");
    });
    CHECK(named == 4);
  }
  lamina_test::write(d.samples[0].path, whole);
  std::vector<std::uint8_t> room;
  CHECK(std::memcmp(store.at(0, room), resize(decode(whole, "0.png"), {9, 7}, Interpolation::nearest).pixels.data(), 9 * 7 * 3) == 0);
}

TEST_CASE("picture store: no pictures, or pictures of different channels, are errors") {
  Dataset d{{"a", "b"}, {}, "leaves"};
  const auto complaint = [&] { return sentence([&] { PictureStore(d, {6, 4}, Interpolation::nearest, 1000); }); };
  CHECK(says(complaint(), "leaves holds no pictures"));
  d.add(noise(6, 4, 4), 0);
  CHECK(says(complaint(), "4 channels"));
  d.samples.clear();
  d.add(noise(6, 4, 3), 0), d.add(noise(6, 4, 1), 0);
  CHECK(says(complaint(), "the picture a/1 has 1 channels and those before it have 3"));
}

TEST_CASE("picture store: pictures of no pixels, or of too many, are an error") {
  Dataset d{{"a", "b"}, {}, "leaves"};
  d.add(noise(6, 4, 3), 0);
  for (const Size size : {Size{0, 4}, Size{6, -1}, Size{16385, 4}, Size{6, 16385}}) CHECK(says(sentence([&] { PictureStore(d, size); }), "a side has 1 to 16384 pixels"));
  CHECK(sentence([&] { PictureStore(d, {0, 4}); }) == "the pictures of leaves cannot be made 0x4: a side has 1 to 16384 pixels");
}

TEST_CASE("picture store: memory that there is not is an error that says how much, and for what") {
  Dataset d{{"a", "b"}, {}, "leaves"};
  d.add(noise(1, 1, 3), 0);
  d.samples.assign(200'000, d.samples[0]);                                            // 161 terabytes, more than a process has addresses
  CHECK(sentence([&] { PictureStore(d, {16384, 16384}, Interpolation::nearest, std::size_t(1) << 60); }) ==
        "there is no memory to keep the pictures of leaves, 161061273600000 bytes: give less to cache_bytes");
}
