#include "../support/gpu.hpp"
#include "../support/pooled_block.hpp"

#include <lamina/cuda/conv_relu_pool.hpp>

using namespace lamina;
using namespace lamina_test;

namespace {
template <Shape in, int filters, class D = FewMultiprocessors> void check_block(Index n, Asked asked) {
  const PooledBlock p(in, filters, n);
  for (unsigned seed = 1; seed <= 2; ++seed) {
    CAPTURE(seed);
    D dev(seed);
    check_whole(run_block<in.c>(dev, p, asked), p, asked);
  }
}
}  // namespace

TEST_CASE("pictures of 1 to 4 channels, whole numbers to the bit") {
  check_block<Shape(11, 21, 3), 32>(2, {.dx = false});
  check_block<Shape(6, 9, 1), 16, Gpu>(9, {.bias = false});
  check_block<Shape(5, 18, 4), 48>(1, {});
}

TEST_CASE("fractions are right to two roundings, and their sums have the same bits in any schedule") {
  const PooledBlock p({10, 12, 3}, 32, 2, true);
  FewMultiprocessors one(1), other(2);
  const BlockResult r = run_block<3>(one, p, {true, false});
  check_near(r, p, false);
  CHECK(run_block<3>(other, p, {true, false}) == r);
}

TEST_CASE("pictures of bytes are scaled in the sums") {
  PooledBlock p({11, 17, 3}, 32, 2);
  for (double& v : p.x) v = std::abs(v) * 127;
  constexpr float scale = 0.5f;
  Gpu dev;
  const Way<3> way;
  reserve_poisoned(dev, conv_relu_pool_arena(dev, way, bf16(), pooled_block, p.in, p.mid, p.n));
  const OnDevice<Gpu, std::uint8_t> x(dev, p.x);
  for (double& v : p.x) v *= scale;                      // what the kernels make of them
  const OnDevice<Gpu, bf16> w(dev, p.w), dy(dev, p.dy);
  const OnDevice<Gpu, float> b(dev, p.b);
  OnDevice<Gpu, bf16> y(dev, Index(p.dy.size()));
  OnDevice<Gpu, std::uint8_t> codes(dev, std::vector<std::uint8_t>(p.dy.size(), 99));
  OnDevice<Gpu, float> dw(dev, p.dw), db(dev, p.db);
  const kernels::Extent size = detail::pooled_extent(p.in, p.mid, p.n);
  detail::first_conv_forward<3>(dev, size, x.data(), scale, w.data(), b.data(), y.data(), codes.data());
  detail::first_conv_backward<3>(dev, size, x.data(), scale, codes.data(), dy.data(), dw.data(), db.data());
  const std::vector<bf16> got = y.get();
  check_whole({{got.begin(), got.end()}, {}, dw.get(), db.get(), codes.get()}, p, {true, false});
}
