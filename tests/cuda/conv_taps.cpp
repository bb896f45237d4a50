#include "../support/gpu.hpp"

#include <lamina/cuda/conv.hpp>

#include "../support/plain_conv.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
constexpr int way(Shape in, int filters, ConvSpec spec = {{3, 1, 1}, 1}) { return Gpu::way<bf16>(spec, in, spec.window.over(in, filters)); }
constexpr detail::TapsWay numbered(Shape in, int filters) { return detail::TapsWay::numbered(way(in, filters)); }

/// Has a batch's tiles shared out among so few thread blocks that each gets several.
template <int Count> struct Multiprocessors : Gpu {
  using Gpu::Gpu;
  static constexpr int multiprocessors = Count;
};
struct Options { int pad = 1; bool bias = true; Clamp clamp = {}; unsigned seeds = 2; };

template <Shape in, int filters, int multiprocessors = 1> void check_taps(Index n, Options o = {}) {
  for (unsigned seed = 1; seed <= o.seeds; ++seed) {
    CAPTURE(seed);
    check<bf16, way(in, filters), Multiprocessors<multiprocessors>>({in, filters, 3, 1, o.pad, 1, o.bias, n, o.clamp}, seed);
  }
}
}  // namespace

TEST_CASE("a way is a pair of blocks of channels and a tile") {
  using detail::TapsTile;
  for (const int w : {way({64, 64, 64}, 64), way({16, 8, 48}, 96), way({8, 8, 16}, 512)}) CHECK(detail::TapsWay::numbered(w).number() == w);
  static_assert(numbered({64, 64, 64}, 128).tile == TapsTile::large && numbered({8, 16, 16}, 16).tile == TapsTile::flat && numbered({8, 8, 16}, 16).tile == TapsTile::narrow);
  static_assert(numbered({14, 14, 96}, 96).tile == TapsTile::large && numbered({24, 24, 96}, 96).tile == TapsTile::narrow);
  static_assert(way({16, 16, 24}, 16) == 3 && way({16, 16, 16}, 24) == 3 && way({7, 16, 16}, 16) == 3 && way({9, 9, 16}, 16) == 3);
  static_assert(way({16, 16, 16}, 16, {{3, 2, 1}, 1}) == 3 && way({16, 16, 16}, 16, {{5, 1, 2}, 1}) == 3 && way({16, 16, 16}, 16, {{3, 1, 0}, 1}) == 3 && way({16, 16, 16}, 16, {{3, 1, same}, 1}) > 4);
  static_assert(way({16, 16, 16}, 16, {{3, 1, 1}, 2}) == 0 && Gpu::way<float>(ConvSpec{{3, 1, 1}, 1}, {16, 16, 16}, {16, 16, 16}) == 2);
}

TEST_CASE("tiles that stand out of the picture") {
  check_taps<Shape(14, 13, 16), 16>(3, {.clamp = {0}});
  check_taps<Shape(17, 31, 16), 32>(1, {.pad = same, .bias = false});
}
TEST_CASE("flat tiles, and tiles of two pictures, of which one may be missing") {
  check_taps<Shape(8, 15, 32), 16>(3, {.clamp = {0, 6}});
  check_taps<Shape(8, 8, 16), 32>(5);
  check_taps<Shape(8, 8, 32), 16>(2, {.bias = false});
}
TEST_CASE("channels in one block of 64, and in several") {
  check_taps<Shape(16, 16, 64), 64>(1, {.seeds = 1});
  check_taps<Shape(8, 8, 128), 16, 4>(3, {.seeds = 1});
  check_taps<Shape(8, 13, 48), 96>(1, {.seeds = 1});
}
