#include "../support/gpu.hpp"

#include <lamina/cuda/conv.hpp>

#include "../support/plain_conv.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
constexpr Clamp relu{0}, relu6{0, 6};
}  // namespace

TEST_CASE_TEMPLATE("convolution of integers is a plain loop, bit for bit", T, float, bf16) {
  for (const Case& c : {Case{{7, 5, 3}, 8, 3, 1, 1},           {{9, 11, 1}, 4, 3, 1, 0, 1, true, 2, relu}, {{8, 6, 4}, 16, 1, 1, 0, 1, false}, {{13, 9, 5}, 7, 5, 1, 2, 1, true, 2, relu6},
                        {{14, 15, 3}, 9, 7, 2, 3, 1, false},   {{10, 7, 6}, 12, 3, 2, 1},                  {{11, 11, 4}, 6, 3, 3, 0},          {{6, 9, 8}, 8, 3, 1, 1, 8},
                        {{7, 8, 8}, 12, 3, 1, 1, 4},           {{8, 7, 33}, 31, 3, 1, 1, 1, true, 5},      {{1, 1, 5}, 4, 1, 1, 0},            {{7, 8, 3}, 4, 3, 2, same},
                        {{10, 11, 3}, 4, 2, 2, same},          {{2, 3, 3}, 4, 5, 1, same},                 {{5, 4, 6}, 24, 3, 1, 1, 6, false}, {{6, 5, 2}, 3, 5, 2, 4},
                        {{9, 7, 2}, 3, 2, 3, 0},               {{4, 3, 12}, 6, 1, 2, 0, 3, true, 9}})
    check<T, 0>(c);
}

TEST_CASE("convolution on tensor cores is a plain loop, bit for bit") {
  for (const Case& c : {Case{{9, 7, 16}, 16, 3, 1, 1},             {{8, 9, 32}, 64, 3, 2, 1, 1, false},      {{7, 6, 64}, 80, 1, 2, 0, 1, false, 3}, {{6, 7, 48}, 136, 3, 1, 1, 1, true, 1, relu},
                        {{11, 8, 16}, 32, 5, 3, 2, 1, true, 3},    {{10, 11, 8}, 24, 3, 2, same, 1, true, 3, relu6}, {{5, 4, 16}, 8, 2, 3, 0},        {{1, 1, 40}, 16, 3, 2, 1},
                        {{12, 12, 24}, 16, 7, 2, 3, 1, false},     {{4, 5, 128}, 16, 3, 1, 0},
                        {{3, 4, 72}, 520, 3, 2, 1, 1, true, 1, relu}})          // many terms: in slices
    check<bf16, 3>(c);
  for (const Case& c : {Case{{9, 7, 12}, 20, 3, 1, 1, 1, true, 1, relu}, {{10, 7, 4}, 8, 5, 3, 2, 1, false}, {{1, 1, 36}, 16, 3, 2, 1}, {{3, 4, 40}, 268, 3, 2, 1, 1, true, 1, relu6}}) check<tf32, 3>(c);
}
namespace {
/// The kernels of way 3 with tiles of one size, and the gradients of the weights in three slabs of each share.
template <kernels::TileShape S, class T> void check_tiles(const Case& c) {
  INFO("tiles of " << S.m << " x " << S.n << ", k " << c.k << " stride " << c.stride << " on " << text(c.in).s << " to " << c.filters);
  using namespace lamina::kernels;
  const Data<T> data{c};
  const Result<T> expected = data.plain();
  const Shape in = data.in, out = data.out;
  const TensorPixels g(data.spec, in, out, c.n);
  const Slabs slabs(Shares{c.n}, 3);
  Gpu dev;
  const Tensor<Gpu, T> x(dev, stored<T>(data.x)), w(dev, stored<T>(data.w)), dy(dev, stored<T>(data.dy)), y(dev, c.n * size(out)), dx(dev, c.n * size(in));
  const Tensor<Gpu, float> b(dev, data.b), dw(dev, data.dw), db(dev, data.db), parts(dev, slabs.count * (data.weights + out.c));
  const Index tiles = pieces(out.c, S.n), terms = Index(c.k) * c.k * in.c, largest = c.n * pieces(in.h, c.stride) * pieces(in.w, c.stride);
  dev.launch<ConvTensorForward<TileSums<T, S, Rowed::along, Rowed::across>, Picture::deep>>(Grid{int(pieces(g.pixels, S.m) * tiles)}, g, x.data(), w.data(), b.data(), Bounds<float>(c.clamp), y.data(), parts.data());
  dev.launch<ConvTensorInputGradient<TileSums<T, S, Rowed::along, Rowed::along>>>(Grid{int(pieces(largest, S.m) * pieces(in.c, S.n)), c.stride * c.stride}, g, int(c.n), w.data(), dy.data(), dx.data(), parts.data());
  dev.launch<ConvTensorWeightGradient<TileSums<T, S, Rowed::across, Rowed::across>, Picture::deep>>(Grid{int(pieces(terms + 1, S.m) * tiles), slabs.count}, g, x.data(), dy.data(), parts.data(), dw.data(), db.data(), false, slabs);
  lamina::detail::add_parts<float>(dev, parts.data(), slabs, data.weights + out.c, dw.data(), data.weights, db.data());
  CHECK(same_bits(y.get(), expected.y));
  CHECK(same_bits(dx.get(), expected.dx));
  CHECK(dw.get() == expected.dw);
  CHECK(db.get() == expected.db);
}
}  // namespace

TEST_CASE("convolution on tensor cores with every size of tiles") {
  for (const Case& c : {Case{{9, 17, 24}, 72, 3, 1, 1, 1, true, 1}, {{9, 8, 32}, 136, 3, 2, 1}}) {
    using namespace lamina::detail;
    check_tiles<small_tile, bf16>(c), check_tiles<gathered_tile, bf16>(c), check_tiles<wide_tile, bf16>(c), check_tiles<tall_tile, bf16>(c), check_tiles<weight_tile, bf16>(c);
  }
  using namespace lamina::detail;
  const Case c{{9, 7, 20}, 68, 3, 2, 1};
  check_tiles<small_tile, tf32>(c), check_tiles<gathered_tile, tf32>(c), check_tiles<wide_tile, tf32>(c), check_tiles<tall_tile, tf32>(c), check_tiles<weight_tile, tf32>(c);
}
TEST_CASE("convolution of few channels on tensor cores is a plain loop, bit for bit") {
  for (const Case& c : {Case{{9, 7, 3}, 64, 3, 1, 1, 1, false}, {{14, 13, 3}, 16, 7, 2, 3}, {{6, 7, 1}, 8, 5, 1, 2, 1, true, 3, relu}, {{8, 5, 13}, 24, 3, 2, same}}) check<bf16, 4>(c);
  for (const Case& c : {Case{{9, 7, 3}, 68, 3, 1, 1, 1, false, 1}, {{8, 5, 5}, 12, 3, 2, same, 1, true, 2, relu}}) check<tf32, 4>(c);
}

TEST_CASE_TEMPLATE("convolution of every channel by itself is a plain loop, bit for bit", T, float, bf16) {
  for (const Case& c : {Case{{6, 9, 8}, 8, 3, 1, 1, 8},       {{7, 8, 37}, 37, 3, 2, 1, 37, true, 5, relu}, {{9, 5, 16}, 16, 5, 1, 2, 16, false}, {{5, 6, 33}, 33, 3, 1, same, 33}, {{3, 3, 4}, 4, 3, 1, 0, 4},
                        {{8, 2, 24}, 24, 3, 2, same, 24, true, 9}, {{4, 4, 5}, 5, 7, 1, 3, 5},            {{13, 12, 16}, 16, 3, 3, 1, 16},      {{9, 10, 3}, 3, 4, 2, 1, 3},        {{3, 4, 8}, 8, 3, 1, 3, 8}})
    check<T, 1>(c);
}

TEST_CASE_TEMPLATE("convolution in tiles is a plain loop, bit for bit", T, float, double, bf16) {
  for (const Case& c : {Case{{9, 7, 5}, 7, 3, 1, 1},   {{8, 9, 16}, 70, 3, 2, 1, 1, false}, {{7, 6, 65}, 3, 1, 2, 0, 1, true, 3, relu}, {{11, 8, 3}, 5, 5, 3, 2, 1, true, 2, relu6}, {{5, 4, 2}, 1, 2, 3, 0},
                        {{7, 8, 3}, 4, 3, 2, same}})
    check<T, 2>(c);
}
