#include "../support/gpu.hpp"

#include <lamina/cuda/dense.hpp>
#include <lamina/nn/dense.hpp>

#include "../support/check_layer.hpp"
#include "../support/integers.hpp"

using namespace lamina;
using lamina_test::check_layer;
using lamina_test::Gpu;

namespace {
template <class T> using Guarded = lamina_test::detail::Guarded<Gpu, T>;

template <class T> std::vector<T> as(const std::vector<float>& v) { return {v.begin(), v.end()}; }
template <class T> struct On : Guarded<T> {
  On(Gpu& dev, const std::vector<float>& v) : Guarded<T>(dev, Index(v.size())) { this->set(as<T>(v)); }
};
template <class T> bool same(const std::vector<T>& found, const std::vector<float>& expected) {
  return found.size() == expected.size() && std::memcmp(found.data(), as<T>(expected).data(), found.size() * sizeof(T)) == 0;
}
struct Sizes { Index n, c, o; };

/// Whole numbers in, forward and backward against loops, with and without bias, ReLU and dx.
template <class T, int W> void check_dense(Sizes s, unsigned seed = 1) {
  INFO("N " << s.n << ", C " << s.c << ", O " << s.o << ", way " << W << ", " << sizeof(T) << " bytes");
  using M = Master<T>;
  const auto [n, c, o] = s;
  const auto whole = [](Index count, std::uint32_t number) { return lamina_test::integers<float>(count, number, 2); };
  const auto x = whole(n * c, 1), w = whole(c * o, 2), b = whole(o, 3), dy = whole(n * o, 4), dw = whole(c * o, 5), db = whole(o, 6);
  const auto at = [](const std::vector<float>& v, Index i) { return v[std::size_t(i)]; };
  Gpu dev(seed);
  dev.reserve(std::size_t(dense_arena(dev, Way<W>(), T(), n, c, o)));
  const On<T> on_x(dev, x), on_w(dev, w), on_dy(dev, dy);
  const On<M> on_b(dev, b);
  Guarded<T> y(dev, n * o), dx(dev, n * c);

  for (const bool relu : {false, true}) {
    INFO("relu " << relu);
    const bool bias = !relu;
    std::vector<float> y1, dx1(std::size_t(n * c)), dw1 = dw, db1 = db;
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < o; ++j) {
        float sum = bias ? at(b, j) : 0;
        for (Index k = 0; k < c; ++k) sum += at(x, i * c + k) * at(w, k * o + j);
        y1.push_back(relu && sum < 0 ? 0 : sum);
        if (relu && sum <= 0) continue;
        const float d = at(dy, i * o + j);
        db1[std::size_t(j)] += d;
        for (Index k = 0; k < c; ++k) dw1[std::size_t(k * o + j)] += at(x, i * c + k) * d, dx1[std::size_t(i * c + k)] += at(w, k * o + j) * d;
      }
    y.fill(T(NAN)), dx.fill(T(NAN));
    dev.machine().counters = {};
    dense_forward(dev, Way<W>(), n, c, o, on_x.data(), on_w.data(), bias ? on_b.data() : nullptr, y.data(), relu ? Clamp{.low = 0} : Clamp{});
    CHECK(dev.machine().counters.launches <= (W == 1 ? 1 : 2));
    CHECK_MESSAGE(same(y.get(), y1), "y");
    if constexpr (W == 3) {                                            // the tiles that a large layer gets
      y.fill(T(NAN));
      detail::dense_tensor_forward<64>(dev, {c, 2}, n, c, o, on_x.data(), on_w.data(), bias ? on_b.data() : nullptr, y.data(), relu ? Clamp{.low = 0} : Clamp{});
      CHECK_MESSAGE(same(y.get(), y1), "y of wide tiles");
    }
    for (const int wanted : {0, 1, 2}) {
      const bool wants_dx = wanted != 1, wants_dw = wanted != 2;
      INFO("dx " << wants_dx << ", dw " << wants_dw);
      On<M> on_dw(dev, dw), on_db(dev, db);
      dx.fill(T(NAN));
      T* const to = wants_dx ? dx.data() : nullptr;
      M *const to_w = wants_dw ? on_dw.data() : nullptr, *const to_bias = wants_dw && bias ? on_db.data() : nullptr;
      const long launches = dev.machine().counters.launches;
      if (relu) dense_backward(dev, Way<W>(), n, c, o, on_x.data(), on_w.data(), on_dy.data(), to, to_w, to_bias, static_cast<const T*>(y.data()));
      else dense_backward(dev, Way<W>(), n, c, o, on_x.data(), on_w.data(), on_dy.data(), to, to_w, to_bias);
      if (W > 0) CHECK(dev.machine().counters.launches - launches == 1);
      if (wants_dx) CHECK_MESSAGE(same(dx.get(), dx1), "dx");
      CHECK_MESSAGE(same(on_dw.get(), wants_dw ? dw1 : dw), "dw");
      CHECK_MESSAGE(same(on_db.get(), to_bias ? db1 : db), "db");
    }
    if (W == 3 && !bias && c % 8 == 0 && o % 8 == 0)                   // else lanes leave each other, and the emulator does not tell which of their accesses are one
      CHECK_MESSAGE(dev.machine().counters.bank_conflicts == 0, "tiles lie so that the banks of shared memory do not wait for each other");
  }
}
}  // namespace

TEST_CASE("dense on any shape") {
  for (const Sizes s : {Sizes{1, 1, 1}, {3, 7, 5}, {2, 131, 33}, {5, 200, 3}}) {
    check_dense<float, 0>(s);
    check_dense<double, 0>(s);
    check_dense<bf16, 0>(s);
  }
  check_dense<tf32, 0>({3, 7, 5});
}

TEST_CASE("dense with few outputs") {
  for (const Sizes s : {Sizes{1, 1, 1}, {3, 7, 5}, {9, 129, 10}, {17, 48, 16}, {2, 15, 37}}) {
    check_dense<float, 1>(s);
    check_dense<double, 1>(s);
    check_dense<bf16, 1>(s);
  }
  check_dense<tf32, 1>({9, 129, 10});
}

TEST_CASE("dense in tiles") {
  for (const Sizes s : {Sizes{1, 1, 1}, {3, 64, 5}, {5, 131, 67}, {66, 35, 64}}) {
    check_dense<float, 2>(s);
    check_dense<double, 2>(s);
    check_dense<bf16, 2>(s);
  }
  check_dense<tf32, 2>({5, 131, 67});
}

TEST_CASE("dense on tensor cores: tiles that are full and that are not, and slices of one step and of several") {
  for (const Sizes s : {Sizes{1, 8, 8}, {3, 72, 24}, {64, 128, 64}, {65, 136, 72}, {130, 200, 8}}) check_dense<bf16, 3>(s);
  for (const Sizes s : {Sizes{1, 4, 4}, {3, 36, 12}, {65, 136, 72}, {35, 100, 8}}) check_dense<tf32, 3>(s);
}

TEST_CASE("dense on tensor cores: any order of blocks, warps and lanes") {
  for (unsigned seed = 2; seed < 6; ++seed) check_dense<bf16, 3>({5, 264, 16}, seed);
  check_dense<tf32, 3>({5, 132, 16}, 2);
}

TEST_CASE("the gradients of dense") {
  check_layer<Dense<7>, Gpu>({5});
  check_layer<Dense<33, no_bias>, Gpu>({16});
  check_layer<Dense<40>, Gpu>({130});
}

TEST_CASE("which kernel runs which dense layer") {
  static_assert(CudaRules::way<bf16>(DenseSpec(), {8192}, {128}) == 3 && CudaRules::way<bf16>(DenseSpec(), {128}, {10}) == 1);
  static_assert(CudaRules::way<bf16>(DenseSpec(), {512}, {1000}) == 3 && CudaRules::way<bf16>(DenseSpec(), {27}, {100}) == 0);
  static_assert(CudaRules::way<tf32>(DenseSpec(), {8192}, {128}) == 3 && CudaRules::way<tf32>(DenseSpec(), {28}, {100}) == 3 && CudaRules::way<tf32>(DenseSpec(), {27}, {100}) == 0);
  static_assert(CudaRules::way<float>(DenseSpec(), {8192}, {128}) == 2 && CudaRules::way<double>(DenseSpec(), {128}, {10}) == 1);
}

TEST_CASE("the parts of a smaller batch find room in the arena of a larger one") {
  using detail::DenseSlices;
  for (const Index o : {8, 128, 1000})
    for (Index n = 1; n < 600; ++n)
      for (const Index c : {64, 512, 8192}) {
        const Index most = DenseSlices::most(n, c, o), tensor = DenseSlices::tensor(n, c, o).count, any = DenseSlices::any(n, c, o).count, tiles = DenseSlices::of_tiles(n, c, o).count;
        if ((tensor > 1 && tensor * n * o > most) || any * n * o > most || (tiles > 1 && tiles * n * o > most) || DenseSlices::most(n + 1, c, o) < most) FAIL_CHECK(n << " " << c << " " << o);
      }
}
