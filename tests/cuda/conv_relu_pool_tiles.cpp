/// Tiles of the conv block's kernels that no way takes and bench_gpu_tiles races.
#include "../support/gpu.hpp"
#include "../support/pooled_block.hpp"

#include <lamina/cuda/conv_relu_pool.hpp>

using namespace lamina;
using namespace lamina_test;

namespace {
/// Forward by tile F, the gradients by D and W, on few thread blocks that make many tiles.
template <kernels::TapTile F, kernels::TapTile D, kernels::WeightTile W> void check_tiles(Shape in, int filters, Index n) {
  const PooledBlock p(in, filters, n);
  const kernels::Extent size = detail::pooled_extent(p.in, p.mid, n);
  for (unsigned seed = 1; seed <= 2; ++seed) {
    CAPTURE(seed);
    Gpu dev(seed);
    const kernels::Slabs slabs(Shares{n}, 2);
    reserve_poisoned(dev, slabs.count * detail::slab_numbers(size) * Index(sizeof(float)));
    float* const partials = reinterpret_cast<float*>(dev.arena());
    const OnDevice<Gpu, bf16> x(dev, p.x), w(dev, p.w), dy(dev, p.dy);
    const OnDevice<Gpu, float> b(dev, p.b);
    OnDevice<Gpu, bf16> y(dev, Index(p.dy.size())), dx(dev, Index(p.x.size()));
    OnDevice<Gpu, std::uint8_t> codes(dev, std::vector<std::uint8_t>(p.dy.size(), 99));
    OnDevice<Gpu, float> dw(dev, p.dw), db(dev, p.db);
    const std::uint8_t* const won = codes.data();
    dev.template launch<kernels::PooledConvForward<F>>(Grid{2, filters / F.out}, x.data(), w.data(), b.data(), y.data(), codes.data(), size);
    dev.template launch<kernels::PooledConvDataGradient<D>>(Grid{3, in.c / D.out}, dy.data(), won, w.data(), dx.data(), size);
    dev.template launch<kernels::PooledConvWeightGradient<W>>(Grid{slabs.count, filters / W.k, in.c / W.c}, x.data(), dy.data(), won, partials, slabs, size);
    detail::add_slabs(dev, size, slabs, partials, dw.data(), db.data());
    dev.wait();
    const auto floats = [](const std::vector<bf16>& v) { return std::vector<float>(v.begin(), v.end()); };
    check_whole({floats(y.get()), floats(dx.get()), dw.get(), db.get(), codes.get()}, p);
  }
}
}  // namespace

TEST_CASE("all weights stay in shared memory, tile after tile") {
  check_tiles<kernels::TapTile{16, 32, false, 8, 16, 4, 1, 1, 9}, kernels::TapTile{32, 16, false, 8, 8, 4, 1, 1, 9}, kernels::WeightTile{16, 32, 8, 8, 2, 1}>({11, 18, 16}, 32, 3);
}
TEST_CASE("weights of more channels in a thread block, shared by warps") {
  check_tiles<kernels::TapTile{32, 64, false, 8, 8, 4, 2, 1, 9}, kernels::TapTile{64, 32, false, 8, 8, 4, 2, 1, 9}, kernels::WeightTile{32, 64, 8, 8, 2, 2}>({9, 7, 32}, 64, 2);
}
