/// Blocks of channels of the conv block's kernels: what most breakages of them show.
#include "../support/gpu.hpp"
#include "../support/pooled_block.hpp"

#include <lamina/cuda/conv_relu_pool.hpp>

using namespace lamina;
using namespace lamina_test;

namespace {
/// Whole numbers, bit for bit, in one order of lanes, warps and blocks.
template <Shape in, int filters, class D = FewMultiprocessors> void check_block(Index n) {
  const PooledBlock p(in, filters, n);
  D dev;
  check_whole(run_block<Gpu::way<bf16>(pooled_block, in, pooled_block.conv.over(in, filters))>(dev, p), p, {});
}
}  // namespace

TEST_CASE("one slab a tile, more of them than warps that add them") { check_block<Shape(3, 2, 16), 16, Gpu>(9); }
TEST_CASE("channels in one block, several windows to a lane") { check_block<Shape(9, 18, 32), 64>(1); }
TEST_CASE("channels in several blocks") { check_block<Shape(5, 6, 48), 96>(1); }
