/// Every word of kernels means what words.hpp says, against loops over whole numbers: what the emulator does is what a GPU does.
#include "../support/gpu.hpp"

#include <lamina/cuda/kernel.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "../support/device_data.hpp"

using namespace lamina;
using lamina_test::Gpu;

namespace lamina::words_test::inline LAMINA_SIMT {
using namespace simt;

/// out (64, 5): of every lane of two warps.
struct Exchanges {
  static constexpr int threads = 64, shared_bytes = 0;
  LAMINA_DEVICE static void run(int* out) {
    const int t = thread_index();
    const int words[5] = {shuffle_xor(t, 5), shuffle_down(t, 3), shuffle(t, 7), int(shuffle_xor(float(t) / 4, 1) * 4), int(ballot(t % 3 == 0))};
    for (int k = 0; k < 5; ++k) store(&out[t * 5 + k], words[k]);
  }
};

/// out (2 blocks along x, 2 along y, 64) = the numbers of the block, backwards, and where it is; sum += 1 of every lane.
struct Blocks {
  static constexpr int threads = 64, shared_bytes = 64 * sizeof(int);
  LAMINA_DEVICE static void run(int* out, int* sum) {
    const int t = thread_index(), b = block_index().y * grid_size().x + block_index().x;
    int* const shared = reinterpret_cast<int*>(shared_memory());
    store(&shared[t], 1000 * b + t);
    sync_block();
    store(&out[b * 64 + t], load(&shared[63 - t]));
    atomic_add(sum, 1);
  }
};

/// out (32, 8 halves) = the rows of in (32, 8 halves) by way of shared memory, those of odd lanes zero.
struct Copies {
  static constexpr int threads = 32, shared_bytes = 32 * 16;
  LAMINA_DEVICE static void run(const Vec4* in, Vec4* out) {
    const int t = thread_index();
    Vec4* const shared = reinterpret_cast<Vec4*>(shared_memory());
    if (t < 16) copy_async(&shared[t], &in[t], t % 2 == 0);
    else copy_async_again(&shared[t], &in[t], t % 2 == 0);
    copy_commit();
    copy_wait<0>();
    sync_block();
    store(&out[t], load(&shared[t]));
  }
};

/// out (2, 32, 4 words): four 8x8 matrices of in (32 rows of 8 halves), as they are and transposed.
struct FourMatrices {
  static constexpr int threads = 32, shared_bytes = 32 * 16;
  LAMINA_DEVICE static void run(const Vec4* in, unsigned* out) {
    const int t = thread_index();
    Vec4* const shared = reinterpret_cast<Vec4*>(shared_memory());
    store(&shared[t], load(&in[t]));
    sync_warp();
    unsigned m[2][4];
    load_matrices(m[0], &shared[t]);
    load_matrices_transposed(m[1], &shared[t]);
    for (int k = 0; k < 8; ++k) store(&out[k / 4 * 128 + t * 4 + k % 4], m[k / 4][k % 4]);
  }
};

/// d (16, 8) += a (16, 16) b (16, 8).
struct Product {
  static constexpr int threads = 32, shared_bytes = 0;
  LAMINA_DEVICE static void run(const float* a, const float* b, float* d) {
    const int g = thread_index() / 4, t = thread_index() % 4;
    unsigned pa[4], pb[2];
    float sum[4];
    for (int r = 0; r < 4; ++r) {
      const float* const of = a + (g + 8 * (r % 2)) * 16 + 2 * t + 8 * (r / 2);
      pa[r] = pack_bf16(load(of), load(of + 1));
      sum[r] = load(d + (g + 8 * (r / 2)) * 8 + 2 * t + r % 2);
    }
    for (int r = 0; r < 2; ++r) pb[r] = pack_bf16(load(b + (2 * t + 8 * r) * 8 + g), load(b + (2 * t + 8 * r + 1) * 8 + g));
    multiply_add(sum, pa, pb[0], pb[1]);
    for (int r = 0; r < 4; ++r) store(d + (g + 8 * (r / 2)) * 8 + 2 * t + r % 2, sum[r]);
  }
};

/// Bits of the nearest bf16, and the float of those.
struct Rounding {
  static constexpr int threads = 32, shared_bytes = 0;
  LAMINA_DEVICE static void run(const float* in, float* out, int* bits, int n) {
    for (int i = thread_index(); i < n; i += threads) {
      const auto rounded = to_bf16(load(&in[i]));
      store(&bits[i], int(rounded)), store(&out[i], from_bf16(rounded));
    }
  }
};
/// out (64, 4): of every lane of two warps; words of 8 bytes too.
struct Votes {
  static constexpr int threads = 64, shared_bytes = 0;
  LAMINA_DEVICE static void run(int* out) {
    const int t = thread_index();
    const int words[4] = {shuffle_up(t, 3), int(shuffle_down(double(t) / 8, 1) * 8), any(t == 40) + 2 * any(t < 0), all(t != 40) + 2 * all(t >= 0)};
    for (int k = 0; k < 4; ++k) store(&out[t * 4 + k], words[k]);
  }
};

/// Sums of the numbers of 64 lanes: of an unsigned and a signed one, and of one in shared memory.
struct Sums {
  static constexpr int threads = 64, shared_bytes = 4;
  LAMINA_DEVICE static void run(unsigned* natural, std::int64_t* large, int* out) {
    const int t = thread_index();
    int* const shared = reinterpret_cast<int*>(shared_memory());
    if (t == 0) store(shared, 7);
    sync_block();
    atomic_add(natural, unsigned(t));
    atomic_add(large, std::int64_t(-t) << 33);
    atomic_add(shared, t);
    sync_block();
    if (t == 0) store(out, load(shared));
  }
};

/// out (32, 6 words): one 8x8 matrix of in (16 rows of 8 halves), two, and those transposed.
struct FewMatrices {
  static constexpr int threads = 32, shared_bytes = 16 * 16;
  LAMINA_DEVICE static void run(const Vec4* in, unsigned* out) {
    const int t = thread_index();
    Vec4* const shared = reinterpret_cast<Vec4*>(shared_memory());
    if (t < 16) store(&shared[t], load(&in[t]));
    sync_warp();
    unsigned one[1], two[2], across[2], one_across[1];
    load_matrices(one, &shared[t % 8]);
    load_matrices(two, &shared[t % 16]);
    load_matrices_transposed(across, &shared[t % 16]);
    load_matrices_transposed(one_across, &shared[t % 8]);
    const unsigned words[6] = {one[0], two[0], two[1], across[0], across[1], one_across[0]};
    for (int k = 0; k < 6; ++k) store(&out[t * 6 + k], words[k]);
  }
};

/// d (16, 8) += a (16, 8) b (8, 8), of tf32; b comes a column after the other.
struct FloatProduct {
  static constexpr int threads = 32, shared_bytes = (16 + 8) * 8 * 4;
  LAMINA_DEVICE static void run(const float* a, const float* b, float* d) {
    const int t = thread_index();
    unsigned* const left = reinterpret_cast<unsigned*>(shared_memory());
    unsigned* const right = left + 128;
    for (int i = t; i < 128; i += threads) store(&left[i], to_tf32(load(a + i)));
    for (int i = t; i < 64; i += threads) store(&right[i], to_tf32(load(b + i)));
    sync_warp();
    unsigned rows[4], columns[2];
    load_matrices(rows, &left[t % 16 * 8 + t / 16 * 4]);
    load_matrices(columns, &right[t % 8 * 8 + t / 8 % 2 * 4]);
    float sum[4];
    for (int r = 0; r < 4; ++r) sum[r] = load(d + (t / 4 + 8 * (r / 2)) * 8 + t % 4 * 2 + r % 2);
    multiply_add_tf32(sum, rows, columns[0], columns[1]);
    for (int r = 0; r < 4; ++r) store(d + (t / 4 + 8 * (r / 2)) * 8 + t % 4 * 2 + r % 2, sum[r]);
  }
};

/// Bits of the nearest tf32; products and sums rounded once.
struct FloatRounding {
  static constexpr int threads = 32, shared_bytes = 0;
  LAMINA_DEVICE static void run(const float* in, unsigned* bits, float* squares, int n) {
    for (int i = thread_index(); i < n; i += threads) {
      const float v = load(&in[i]);
      store(&bits[i], to_tf32(v)), store(&squares[i], float(fma(double(v), double(v), 0.)) + fma(v, v, -1.f));
    }
  }
};

struct Square { const float* x; float* y; LAMINA_HD void operator()(Index i) const { y[i] = x[i] * x[i]; } };

}  // namespace lamina::words_test::inline LAMINA_SIMT

namespace {
using namespace lamina::words_test;
using simt::Vec4;

template <class T> using Array = lamina_test::Tensor<Gpu, T>;
std::vector<std::uint16_t> counted(int n) {
  std::vector<std::uint16_t> v;
  for (int i = 0; i < n; ++i) v.push_back(std::uint16_t(i + 1));
  return v;
}
}  // namespace

TEST_CASE("lanes of a warp exchange words and votes") {
  Gpu dev;
  const Array<int> out(dev, std::vector<int>(64 * 5, -1));
  dev.launch<Exchanges>({}, out.data());
  const std::vector<int> found = out.get();
  for (int t = 0; t < 64; ++t) {
    CAPTURE(t);
    const int* const of = &found[std::size_t(t) * 5];
    CHECK(of[0] == (t ^ 5));
    CHECK(of[1] == (t % 32 + 3 < 32 ? t + 3 : t));
    CHECK(of[2] == t / 32 * 32 + 7);
    CHECK(of[3] == (t ^ 1));
    unsigned votes = 0;
    for (int lane = 0; lane < 32; ++lane) votes |= unsigned((t / 32 * 32 + lane) % 3 == 0) << lane;
    CHECK(unsigned(of[4]) == votes);
  }
}

TEST_CASE("a block meets at its barrier, and knows where it is; a sum of whole numbers misses nobody") {
  Gpu dev;
  const Array<int> out(dev, std::vector<int>(4 * 64, -1)), sum(dev, std::vector{5});
  dev.launch<Blocks>({2, 2, 1}, out.data(), sum.data());
  const std::vector<int> found = out.get();
  for (int i = 0; i < 4 * 64; ++i) CHECK(found[std::size_t(i)] == 1000 * (i / 64) + 63 - i % 64);
  CHECK(sum.get()[0] == 5 + 4 * 64);
}

TEST_CASE("a copy is there when it was waited for, and zero where it is not inside") {
  Gpu dev;
  const Array<std::uint16_t> in(dev, counted(256)), out(dev, std::vector<std::uint16_t>(256, 0xFFFF));
  dev.launch<Copies>({}, reinterpret_cast<const Vec4*>(in.data()), reinterpret_cast<Vec4*>(out.data()));
  const auto found = out.get();
  for (int i = 0; i < 256; ++i) CHECK(found[std::size_t(i)] == (i / 8 % 2 == 0 ? i + 1 : 0));
}

TEST_CASE("matrices come to the lanes that multiply them") {
  Gpu dev;
  const Array<std::uint16_t> in(dev, counted(256));
  const Array<unsigned> out(dev, std::vector<unsigned>(256, 0));
  dev.launch<FourMatrices>({}, reinterpret_cast<const Vec4*>(in.data()), out.data());
  const auto found = out.get();
  const auto element = [](int q, int row, int column) { return unsigned((q * 8 + row) * 8 + column + 1); };
  for (int t = 0; t < 32; ++t)
    for (int q = 0; q < 4; ++q) {
      CAPTURE(t);
      CHECK(found[std::size_t(t * 4 + q)] == (element(q, t / 4, t % 4 * 2) | element(q, t / 4, t % 4 * 2 + 1) << 16));
      CHECK(found[std::size_t(128 + t * 4 + q)] == (element(q, t % 4 * 2, t / 4) | element(q, t % 4 * 2 + 1, t / 4) << 16));
    }
}

TEST_CASE("a warp multiplies and adds") {
  Gpu dev;
  std::vector<float> a, b, d, expected;
  for (int i = 0; i < 256; ++i) a.push_back(float(i % 11 - 5));
  for (int i = 0; i < 128; ++i) b.push_back(float(i % 7 - 3)), d.push_back(float(i));
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 8; ++j) {
      float sum = d[std::size_t(i * 8 + j)];
      for (int k = 0; k < 16; ++k) sum += a[std::size_t(i * 16 + k)] * b[std::size_t(k * 8 + j)];
      expected.push_back(sum);
    }
  const Array<float> on_a(dev, a), on_b(dev, b), on_d(dev, d);
  dev.launch<Product>({}, on_a.data(), on_b.data(), on_d.data());
  CHECK(on_d.get() == expected);
}

TEST_CASE("bf16 is rounded to the nearest, ties to even, and a NaN stays one") {
  Gpu dev;
  const std::vector<float> in{0, -0.f, 1, 1.00390625f, 1.01171875f, 1.00390637f, -3.1415926f, 3.4e38f, 1e-40f, INFINITY, -INFINITY, NAN};
  const std::vector<int> bits{0, 0x8000, 0x3F80, 0x3F80, 0x3F82, 0x3F81, 0xC049, 0x7F80, 1, 0x7F80, 0xFF80, 0x7FFF};     // by hand
  const Array<float> on_in(dev, in), out(dev, in);
  const Array<int> on_bits(dev, std::vector<int>(in.size(), -1));
  dev.launch<Rounding>({}, on_in.data(), out.data(), on_bits.data(), int(in.size()));
  CHECK(on_bits.get() == bits);
  for (std::size_t i = 0; i < in.size(); ++i) {
    CHECK(int(bf16(in[i]).bits) == bits[i]);
    if (in[i] == in[i]) CHECK(out.get()[i] == float(bf16(in[i])));
  }
}

TEST_CASE("a function of every number, and memory that is zero") {
  Gpu dev;
  std::vector<float> x, squares;
  for (int i = 0; i < 1000; ++i) x.push_back(float(i)), squares.push_back(float(i) * float(i));
  const Array<float> on_x(dev, x);
  const Buffer<Gpu, float> y(dev, 1001);
  const long before = dev.machine().counters.launches;
  parallel_for(dev, 1000, Square{on_x.data(), y.data()});
  CHECK(dev.machine().counters.launches - before == 1);
  parallel_for(dev, 0, Square{on_x.data(), y.data()});
  std::vector<float> found(1001, -1);
  dev.download(found.data(), y.data(), y.bytes());
  CHECK(found.back() == 0);
  found.pop_back();
  CHECK(found == squares);
}

TEST_CASE("lanes look up, and vote") {
  Gpu dev;
  const Array<int> out(dev, std::vector<int>(64 * 4, -1));
  dev.launch<Votes>({}, out.data());
  const std::vector<int> found = out.get();
  for (int t = 0; t < 64; ++t) {
    CAPTURE(t);
    const int* const of = &found[std::size_t(t) * 4];
    CHECK(of[0] == (t % 32 < 3 ? t : t - 3));
    CHECK(of[1] == (t % 32 < 31 ? t + 1 : t));
    CHECK(of[2] == (t >= 32));
    CHECK(of[3] == (t < 32) + 2);
  }
}

TEST_CASE("numbers of 4 and 8 bytes are summed, in shared memory too") {
  Gpu dev;
  const Array<unsigned> natural(dev, std::vector{~0u});
  const Array<std::int64_t> large(dev, std::vector<std::int64_t>{5});
  const Array<int> out(dev, std::vector{0});
  dev.launch<Sums>({}, natural.data(), large.data(), out.data());
  CHECK(natural.get()[0] == 63 * 32 - 1);
  CHECK(large.get()[0] == 5 - (std::int64_t(63 * 32) << 33));
  CHECK(out.get()[0] == 7 + 63 * 32);
}

TEST_CASE("one matrix and two come like four") {
  Gpu dev;
  const Array<std::uint16_t> in(dev, counted(128));
  const Array<unsigned> out(dev, std::vector<unsigned>(32 * 6, 0));
  dev.launch<FewMatrices>({}, reinterpret_cast<const Vec4*>(in.data()), out.data());
  const auto found = out.get();
  for (int t = 0; t < 32; ++t) {
    CAPTURE(t);
    const unsigned* const of = &found[std::size_t(t) * 6];
    const auto element = [](int q, int row, int column) { return unsigned((q * 8 + row) * 8 + column + 1); };
    const auto along = [&](int q) { return element(q, t / 4, t % 4 * 2) | element(q, t / 4, t % 4 * 2 + 1) << 16; };
    const auto across = [&](int q) { return element(q, t % 4 * 2, t / 4) | element(q, t % 4 * 2 + 1, t / 4) << 16; };
    CHECK((of[0] == along(0) && of[1] == along(0) && of[2] == along(1)));
    CHECK((of[3] == across(0) && of[4] == across(1) && of[5] == across(0)));
  }
}

TEST_CASE("a warp multiplies and adds floats of tf32") {
  Gpu dev;
  std::vector<float> a, b, d, expected;
  for (int i = 0; i < 128; ++i) a.push_back(float(i % 11 - 5)), d.push_back(float(i));
  for (int i = 0; i < 64; ++i) b.push_back(float(i % 7 - 3) / 4);
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 8; ++j) {
      float sum = d[std::size_t(i * 8 + j)];
      for (int k = 0; k < 8; ++k) sum += a[std::size_t(i * 8 + k)] * b[std::size_t(j * 8 + k)];
      expected.push_back(sum);
    }
  const Array<float> on_a(dev, a), on_b(dev, b), on_d(dev, d);
  dev.launch<FloatProduct>({}, on_a.data(), on_b.data(), on_d.data());
  CHECK(on_d.get() == expected);
}

TEST_CASE("tf32 is rounded to ten bits, ties away from zero; a product and its sum once") {
  Gpu dev;
  const std::vector<float> in{0, 1, 1 + 0x1p-11f, -1 - 0x1p-11f, 1 + 0x1p-12f, 3.1415926f, INFINITY};
  const std::vector<unsigned> bits{0, 0x3F800000, 0x3F802000, 0xBF802000, 0x3F800000, 0x40490000, 0x7F800000};            // by hand
  const Array<float> on_in(dev, in), squares(dev, in);
  const Array<unsigned> on_bits(dev, std::vector<unsigned>(in.size(), 1));
  dev.launch<FloatRounding>({}, on_in.data(), on_bits.data(), squares.data(), int(in.size()));
  const auto found = on_bits.get();
  for (std::size_t i = 0; i < in.size(); ++i) {
    CHECK((found[i] & ~0x1FFFu) == bits[i]);                                                                               // the lower bits are nobody's
    CHECK(tf32(in[i]).bits == bits[i]);
  }
  CHECK(squares.get()[4] == float((1 + 0x1p-12) * (1 + 0x1p-12)) + (0x1p-11f + 0x1p-24f));                                 // 2^-24 would be lost by a product that is rounded
}
