#include <lamina/data/channel_statistics.hpp>

#include <doctest/doctest.h>

#include <cmath>

#include "../support/temporary.hpp"
#include "pictures.hpp"

using namespace lamina;
using lamina_test::noise, lamina_test::says, lamina_test::sentence;

TEST_CASE("channel statistics: by hand") {
  Dataset d{{"a"}, {}};
  d.add({1, 2, 3, {0, 10, 7, 100, 10, 7}}, 0);
  d.add({1, 2, 3, {0, 30, 7, 100, 30, 7}}, 0);
  const auto [mean, deviation] = channel_statistics(d, {.size = {1, 2}, .rescale = 1});
  CHECK(mean == std::array<double, 3>{50, 20, 7});
  CHECK(deviation == std::array<double, 3>{50 + 1e-6, 10 + 1e-6, 1e-6});
  const ChannelStatistics turned = channel_statistics(d, {.size = {1, 2}, .rescale = -0.5});
  CHECK(turned.mean == std::array<double, 3>{-25, -10, -3.5});
  CHECK(turned.deviation[0] == 25 + 1e-6);
  Dataset grey{{"a"}, {}};
  grey.add({1, 2, 1, {10, 30}}, 0);
  CHECK(channel_statistics(grey, {.size = {1, 2}, .rescale = 1}).mean == std::array<double, 3>{20, 0, 0});
  CHECK(channel_statistics(grey, {.size = {1, 2}, .rescale = 1}).deviation == std::array<double, 3>{10 + 1e-6, 1, 1});
}

TEST_CASE("channel statistics: what an iterator makes of pictures with them has mean 0 and deviation 1, for any number of workers") {
  Dataset d{{"a", "b"}, {}};
  for (int i = 0; i < 30; ++i) d.add(noise(i % 3 ? 16 : 23, 12, 3, std::uint64_t(i)), i % 2);
  const auto pictures = std::make_shared<PictureStore>(d, Size{16, 12});
  const ChannelStatistics s = channel_statistics(*pictures, 1 / 255.0, 3);
  for (const int workers : {1, 2}) {
    const ChannelStatistics same = channel_statistics(d, {.size = {16, 12}, .workers = workers});
    CHECK((same.mean == s.mean && same.deviation == s.deviation));
  }
  EvaluationIterator it(pictures, {.size = {16, 12}, .batch = 30, .mean = s.mean, .deviation = s.deviation});
  it.start(0, 0);
  Batch b;
  REQUIRE(it.next(b));
  double sum[3] = {}, squares[3] = {};
  constexpr Index n = 30 * 16 * 12;
  for (Index i = 0; i < 3 * n; ++i) sum[i % 3] += double(b.x[i]), squares[i % 3] += double(b.x[i]) * double(b.x[i]);
  for (int k = 0; k < 3; ++k) {
    CHECK(std::abs(sum[k] / n) < 1e-6);
    CHECK(squares[k] / n == doctest::Approx(1).epsilon(2e-5));                   // but for the 1e-6
  }
}

TEST_CASE("channel statistics: the first file that is no picture is named") {
  const lamina_test::TemporaryFolder t;
  Dataset d{{"a"}, {}};
  for (int i = 0; i < 8; ++i) {
    const auto path = t.path / (std::to_string(i) + ".png");
    lamina_test::write(path, i == 3 || i == 6 ? lamina_test::Bytes{1, 2, 3} : lamina_test::png(noise(8, 8, 3)));
    d.samples.push_back({path, 0, nullptr, path.filename().string(), 0});
  }
  for (int again = 0; again < 5; ++again) CHECK(says(sentence([&] { channel_statistics(d, {.size = {8, 8}, .workers = 2}); }), "3.png"));
}
