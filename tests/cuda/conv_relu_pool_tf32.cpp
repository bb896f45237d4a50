/// The conv block in tf32.
#include "../support/gpu.hpp"
#include "../support/pooled_block.hpp"

#include <lamina/cuda/conv_relu_pool.hpp>
#include <lamina/cuda/conv_tiles.hpp>

using namespace lamina;
using namespace lamina_test;

namespace {
constexpr int way(Shape in, int filters, ConvReluPool k = pooled_block) { return Gpu::way<tf32>(k, in, k.conv.over(in, filters)); }

/// Whole numbers, bit for bit, in one order of lanes, warps and blocks. Returns how often banks of shared memory waited for each other.
template <Shape in, int filters> long check_block(Index n, Asked asked = {}, double scale = 1) {
  PooledBlock p(in, filters, n);
  for (double& x : p.x) x *= scale;
  FewMultiprocessors dev;
  check_whole<tf32>(run_block<way(in, filters), tf32>(dev, p, asked), p, asked);
  return dev.counters().bank_conflicts;
}
}  // namespace

TEST_CASE("the ways are those of bf16, and others go through tiles") {
  static_assert(way({16, 16, 48}, 64) == Gpu::way<bf16>(pooled_block, {16, 16, 48}, {16, 16, 64}) && way({64, 64, 3}, 32) == 3);
  constexpr int tiles = detail::tiled_way<tf32>;
  static_assert(way({64, 64, 16}, 24) == tiles && way({64, 64, 5}, 32) == tiles && way({64, 64, 16}, 32, {{5, 1, same}, {2, 2, 0}}) == tiles && tiles < detail::PooledWay::first);
  static_assert(way({64, 64, 16}, 32, {{3, 1, 1}, {3, 2, 0}}) == 0 && way({64, 64, 1}, 8) == 0);
}
TEST_CASE("in tf32 whole numbers are right to the bit, on tiles that stand out of the picture") {
  check_block<Shape(7, 13, 16), 16>(2);
  check_block<Shape(5, 3, 32), 32>(3, {.bias = false});
}
TEST_CASE("in tf32 channels go in several blocks, and a warp has several windows") {
  check_block<Shape(5, 6, 48), 96>(1);
  check_block<Shape(9, 18, 64), 64>(1, {.dx = false});
}
TEST_CASE("in tf32 large tiles, and few channels") {
  check_block<Shape(17, 18, 16), 32>(1);
  check_block<Shape(9, 10, 3), 20>(2);
}
TEST_CASE("in tf32 pictures of 1 to 4 channels") {
  check_block<Shape(11, 21, 3), 32>(2, {.dx = false});
  check_block<Shape(6, 9, 1), 16>(5, {.bias = false});
  check_block<Shape(5, 18, 4), 48>(1);
}
TEST_CASE("in tf32 what comes out is rounded") { check_block<Shape(4, 5, 32), 16>(1, {}, 101); }      // sums above 2048
TEST_CASE("in tf32 numbers lie so that the banks of shared memory do not wait for each other") { CHECK(check_block<Shape(8, 16, 32), 32>(1) == 0); }
TEST_CASE("in tf32 fractions are right to two roundings, and their sums have the same bits in any schedule") {
  const PooledBlock p({6, 12, 32}, 16, 2, true);
  FewMultiprocessors one(1), other(2);
  const BlockResult r = run_block<way({6, 12, 32}, 16), tf32>(one, p);
  check_near(r, p, true, 0x1p-11);
  CHECK(run_block<way({6, 12, 32}, 16), tf32>(other, p) == r);
}
