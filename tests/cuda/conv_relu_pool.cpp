#include "../support/gpu.hpp"
#include "../support/pooled_block.hpp"

#include <lamina/cuda/conv_relu_pool.hpp>

using namespace lamina;
using namespace lamina_test;

namespace {
constexpr int way(Shape in, int filters, ConvReluPool k = pooled_block) { return Gpu::way<bf16>(k, in, k.conv.over(in, filters)); }

/// Whole numbers, bit for bit, in several orders of lanes, warps and blocks.
template <Shape in, int filters, class D = FewMultiprocessors> void check_block(Index n, Asked asked = {}, unsigned seeds = 2) {
  const PooledBlock p(in, filters, n);
  for (unsigned seed = 1; seed <= seeds; ++seed) {
    CAPTURE(seed);
    D dev(seed);
    check_whole(run_block<way(in, filters)>(dev, p, asked), p, asked);
  }
}
}  // namespace

TEST_CASE("a way is a pair of blocks of channels and a tile") {
  for (const int w : {way({32, 32, 32}, 64), way({16, 16, 64}, 128), way({4, 4, 48}, 96)}) CHECK(detail::PooledWay::numbered(w).number() == w);
  static_assert(detail::ChannelBlocks::of(96).block == 32 && detail::ChannelBlocks::of(96).several && !detail::ChannelBlocks::of(64).several);
  static_assert(way({64, 64, 3}, 32) == 3 && way({64, 64, 16}, 32) > 4);
  static_assert(way({64, 64, 5}, 32) == 0 && way({64, 64, 3}, 24) == 0);
  static_assert(way({64, 64, 16}, 32, {{5, 1, same}, {2, 2, 0}}) == 0 && way({64, 64, 16}, 32, {{3, 1, 0}, {2, 2, 0}}) == 0 && way({64, 64, 16}, 32, {{3, 1, 1}, {3, 2, 0}}) == 0);
  static_assert(Gpu::way<float>(pooled_block, {64, 64, 16}, {64, 64, 32}) < Gpu::ways<float>(pooled_block) && Gpu::ways<float>(pooled_block) < detail::PooledWay::first);
}

TEST_CASE("whole numbers are right to the bit, on tiles that stand out of the picture") {
  check_block<Shape(7, 13, 16), 16>(3);
  check_block<Shape(5, 3, 16), 32>(5);
}
TEST_CASE("channels in more blocks than one") {
  check_block<Shape(3, 4, 128), 16>(1, {}, 1);
}
TEST_CASE("large tiles, without a bias, or for a first layer that needs no dx") {
  check_block<Shape(17, 18, 16), 16>(1, {.bias = false}, 1);
  check_block<Shape(17, 18, 16), 16>(1, {.dx = false}, 1);
}
TEST_CASE("fractions are right to two roundings, and their sums have the same bits in any schedule") {
  const PooledBlock p({10, 12, 32}, 32, 3, true);
  FewMultiprocessors one(1), other(2);
  const BlockResult r = run_block<way({10, 12, 32}, 32)>(one, p);
  check_near(r, p, true);
  CHECK(run_block<way({10, 12, 32}, 32)>(other, p) == r);
}

TEST_CASE("NaN comes through, and a gradient flows back to it") {
  PooledBlock p({4, 8, 16}, 16, 1);
  p.x.assign(p.x.size(), -1), p.w.assign(p.w.size(), 1), p.b.assign(16, 0);
  p.x[0] = NAN;
  Gpu dev;
  const BlockResult r = run_block<way({4, 8, 16}, 16)>(dev, p, {true, true});
  for (std::size_t i = 0; i < r.y.size(); ++i) {
    CHECK(std::isnan(r.y[i]) == (i < 16));
    CHECK((r.codes[i] != 255) == (i < 16));
  }
}
