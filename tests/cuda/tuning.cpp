/// Who runs a work: by the estimate, and after races whose times are told by a clock of the test. Nothing is timed here.
#include "../support/racing.hpp"

#include <lamina/cuda/conv_taps.hpp>
#include <lamina/io/tuning_file.hpp>

#include <doctest/doctest.h>

#include <limits>

#include "../support/temporary.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
constexpr Shape in{8, 16, 16};
constexpr ConvSpec spec{{3, 1, 1}, 1};
constexpr int way = Racing::way<bf16>(spec, in, in);           // of four warps, or of two

/// A convolution on a device, and the threads of whatever was launched for it.
struct Convolution {
  Racing dev;
  std::shared_ptr<std::vector<int>> threads = std::make_shared<std::vector<int>>();
  /// A launch takes seconds_of(how many it is the so-many-th of, its threads).
  template <class F> Convolution(std::shared_ptr<Tuning> kept, F seconds_of) {
    dev.tune(std::move(kept), [seen = threads, seconds_of](const Launched& l) { return seen->push_back(l.threads), seconds_of(int(seen->size()), l.threads); });
  }
  /// The threads of the launches of one pass over n pictures.
  std::vector<int> run(Index n = 1, bool recorded = false) {
    const Buffer<Racing, bf16> x(dev, n * size(in)), w(dev, 9 * in.c * in.c), y(dev, n * size(in));
    threads->clear();
    const auto forward = [&] { conv_forward(dev, Way<way>(), spec, in, in, n, x.data(), w.data(), static_cast<const float*>(nullptr), y.data()); };
    if (recorded) dev.record(forward);
    else forward();
    dev.wait();
    return *threads;
  }
};
double many_are_quick(int, int threads) { return threads == 128 ? 1e-5 : 2e-5; }
double few_are_quick(int, int threads) { return threads == 64 ? 1e-5 : 2e-5; }

/// What it is told.
struct Told : Tuning {
  std::vector<Race> races;
  std::vector<int> won;
  std::vector<std::vector<double>> times;
  int winner(const Race&) override { return -1; }
  void keep(const Race& race, int winner, const std::vector<double>& seconds) override { races.push_back(race), won.push_back(winner), times.push_back(seconds); }
};
}  // namespace

TEST_CASE("by the estimate, the first runs unless another is a fifth quicker") {
  const auto best = [](std::vector<double> cycles) {
    std::vector<Runner> all;
    for (const double c : cycles) all.push_back({"", c});
    return detail::estimated(all);
  };
  const double never = std::numeric_limits<double>::infinity();
  CHECK(best({100, 81, 99}) == 0);
  CHECK(best({100, 79, 78}) == 2);
  CHECK(best({100, 78, 79}) == 1);
  CHECK(best({never, 200, never}) == 1);
  CHECK(detail::estimated(std::vector<Runner>{{"", 81}, {"", 100}}, 1) == 1);
  CHECK(detail::estimated(std::vector<Runner>{{"", 79}, {"", 100}}, 1) == 0);
}

TEST_CASE("the estimate of a tile") {
  constexpr kernels::TapTile tile{16, 16, false, 8, 16, 4, 1}, stays{16, 16, false, 8, 16, 4, 1, 1, 9, 2};
  const auto cycles = [](kernels::TapTile t, kernels::Extent size, int shared_bytes = 16000) { return detail::tap_cycles(t, shared_bytes, size, size.c, size.k, {}); };
  // By hand: 4 warps of 2 patches, nine taps, each 4 products of 1.5 cycles and 3 reads of 4; with 4 of 8 patches at work it takes twice that. 180 pixels with the border, 9 x 16 x 16 weights, of 2 bytes,
  // 24 in a cycle; and once the latency.
  CHECK(cycles(tile, {1, 8, 16, 16, 16}) == doctest::Approx(2 * 4 * 9 * (4 * 1.5 + 3 * 4) + 180 * 16 * 2 / 24. + 9 * 16 * 16 * 2 / 24. + 1500));
  CHECK(cycles(tile, {132, 8, 16, 16, 16}) == cycles(tile, {1, 8, 16, 16, 16}));           // one for each multiprocessor
  CHECK(cycles(tile, {133, 8, 16, 16, 16}) > cycles(tile, {132, 8, 16, 16, 16}));
  CHECK(cycles(tile, {132, 9, 16, 16, 16}) == cycles(tile, {264, 8, 16, 16, 16}));         // what is outside the picture is work too
  CHECK(cycles(stays, {1320, 8, 16, 16, 16}) < cycles(tile, {1320, 8, 16, 16, 16}));
  CHECK(cycles(tile, {1, 8, 16, 16, 16}, 228 << 10) == std::numeric_limits<double>::infinity());
}

namespace {
/// How high the tile is that a device launches for pictures of so many rows.
template <class D> int height(D dev, int h) {
  using kernels::TapTile;
  CHECK(dev.tuner() == nullptr);
  int found = 0;
  detail::with_tap_tile<detail::TapsForward>(detail::TapTiles<TapTile{16, 16, false, 16, 16, 8, 1}, TapTile{16, 16, false, 8, 16, 4, 1}>(), dev, "a work", {1320, h, 16, 16, 32}, 16, 32,
                                             [&]<TapTile T>(Grid grid) {
                                               found = T.tile_h;
                                               CHECK(grid.x == 2);
                                               CHECK(grid.y == (h + T.tile_h - 1) / T.tile_h);
                                             });
  return found;
}
}  // namespace

TEST_CASE("without races, a device whose type races launches the quickest by the estimate, and others the first") {
  CHECK(height(Racing(), 8) == 8);
  CHECK(height(Racing(), 16) == 16);
  CHECK(height(Emulated(), 8) == 16);
}

TEST_CASE("the quickest of a race is launched from then on") {
  const auto told = std::make_shared<Told>();
  Convolution few(told, few_are_quick), many(nullptr, many_are_quick);
  CHECK(few.run().size() == 2 * 6 * 4 + 1);                      // each of two runners in six rounds four times, and then who won
  CHECK(few.run() == std::vector<int>{64});
  CHECK(many.run().back() == 128);
  CHECK(many.run() == std::vector<int>{128});
  CHECK(few.run(2).size() > 1);                                  // another batch is another race
  CHECK(few.run(2) == std::vector<int>{64});
  Racing copy = few.dev.fork();
  CHECK(copy.tuner() == few.dev.tuner());

  REQUIRE(told->races.size() == 2);
  CHECK(told->races[0].device == "an emulated GPU, version 1");
  CHECK(told->races[0].work == "conv forward, 3x3 by 1 of 8x16x16 with a border of 1 to 16 channels, 1 picture");
  CHECK(told->races[1].work == "conv forward, 3x3 by 1 of 8x16x16 with a border of 1 to 16 channels, 2 pictures");
  CHECK(told->races[0].runners == std::vector<std::string>{"8x16 pixels of 1, 16 to 16 channels, 4/1 warps, 3 stages, 0 blocks", "8x16 pixels of 1, 16 to 16 channels, 2/1 warps, 3 stages, 0 blocks"});
  CHECK(told->won == std::vector<int>{1, 1});
  CHECK(told->times[0][0] == doctest::Approx(2e-5));
  CHECK(told->times[0][1] == doctest::Approx(1e-5));
}

TEST_CASE("medians win: a slow beginning and a few hindered launches count for nothing") {
  // 64 threads are the quicker, but in the first round, and in two of the others.
  Convolution c(nullptr, [](int number, int threads) {
    const int round = (number - 1) / 8;
    return threads == 64 ? round < 3 ? 1. : 1e-6 : 2e-6;
  });
  CHECK(c.run().back() == 64);
}

TEST_CASE("nobody races while a graph is recorded: the estimate holds, and the race is run later") {
  Convolution c(nullptr, few_are_quick);
  CHECK(c.run(1, true) == std::vector<int>{128});
  CHECK(c.run(1).size() > 1);
  CHECK(c.run(1, true) == std::vector<int>{64});
  CHECK_THROWS_WITH_AS(c.dev.record([&] { c.dev.seconds([] {}); }), "while a graph is recorded nothing can be timed", Error);
}

TEST_CASE("who does not fit on the GPU does not race") {
  Convolution c(nullptr, few_are_quick);
  const double never = std::numeric_limits<double>::infinity();
  std::vector<int> ran;
  const auto winner = [&](std::vector<Runner> all, int n) { return c.dev.tuner()->winner(c.dev, {"a work", in, 16, n}, all, 1, [&](int i) { ran.push_back(i); }); };
  CHECK(winner({{"first", never}, {"second", 5}}, 1) == 1);
  CHECK(winner({{"first", never}, {"second", never}}, 2) == 1);
  CHECK(ran.empty());
  CHECK(winner({{"first", never}, {"second", 5}, {"third", 6}}, 3) == 1);
  CHECK(ran.size() == 48);
  CHECK(std::count(ran.begin(), ran.end(), 0) == 0);
}

TEST_CASE("what a race found is read back, on the same GPU only") {
  const TemporaryFolder folder;
  const auto path = folder.path / "gpu.tuning";
  CHECK(Convolution(std::make_shared<TuningFile>(path), few_are_quick).run().size() > 1);
  Convolution again(std::make_shared<TuningFile>(path), many_are_quick);
  CHECK(again.run() == std::vector<int>{64});
  CHECK(again.run(2).size() > 1);
  Convolution other(std::make_shared<TuningFile>(path), many_are_quick);
  other.dev.set_described("an emulated GPU, version 2");
  CHECK(other.run().back() == 128);
}
