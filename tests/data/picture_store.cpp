#include <lamina/data/picture_store.hpp>

#include <doctest/doctest.h>

#include "../support/temporary.hpp"
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
  detail::PictureStore store(d, {6, 4}, Interpolation::nearest, 2 * 6 * 4 * 3 + 5);     // room for two
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
  detail::PictureStore store(d, {6, 4}, Interpolation::lanczos, 1000);
  CHECK(store.shape() == Shape{6, 4, 1});
  std::vector<std::uint8_t> room;
  CHECK(store.at(0, room) == d.samples[0].picture->pixels.data());
  const Picture small = resize(*d.samples[1].picture, {6, 4}, Interpolation::lanczos);
  CHECK(std::memcmp(store.at(1, room), small.pixels.data(), 24) == 0);
}

TEST_CASE("picture store: no pictures, or pictures of different channels, are errors") {
  Dataset d{{"a", "b"}, {}, "leaves"};
  const auto complaint = [&] { return sentence([&] { detail::PictureStore(d, {6, 4}, Interpolation::nearest, 1000); }); };
  CHECK(says(complaint(), "leaves holds no pictures"));
  d.add(noise(6, 4, 4), 0);
  CHECK(says(complaint(), "4 channels"));
  d.samples.clear();
  d.add(noise(6, 4, 3), 0), d.add(noise(6, 4, 1), 0);
  CHECK(says(complaint(), "the picture a/1 has 1 channels and those before it have 3"));
}

TEST_CASE("picture store: memory that there is not is an error that says how much, and for what") {
  Dataset d{{"a", "b"}, {}, "leaves"};
  d.add(noise(1, 1, 3), 0);
  d.samples.assign(200'000, d.samples[0]);                                            // 161 terabytes, more than a process has addresses
  CHECK(sentence([&] { detail::PictureStore(d, {16384, 16384}, Interpolation::nearest, std::size_t(1) << 60); }) ==
        "there is no memory to keep the pictures of leaves, 161061273600000 bytes: give less to cache_bytes");
}
