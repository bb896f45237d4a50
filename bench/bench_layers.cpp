/// How fast are the layers of LeafNet, and how fast would Eigen's matrix product over im2col tiles be? Batches of 32 pictures of 64 x 64; google-benchmark's options.
#include <benchmark/benchmark.h>
#include <lamina/lamina.hpp>

#include <vector>

using namespace lamina;

namespace {

constexpr Index batch = 32;

struct Block {
  Shape in, out;
  Index weights() const { return 9 * in.c * out.c; }
  double flops() const { return 2.0 * double(batch) * double(weights()) * out.h * out.w; }
};
constexpr Block blocks[] = {{{64, 64, 3}, {64, 64, 32}}, {{32, 32, 32}, {32, 32, 64}}, {{16, 16, 64}, {16, 16, 128}}};
constexpr ConvSpec spec{{.k = 3, .stride = 1, .pad = 1}};

std::vector<float> noise(Index n) {
  const Random random(1, Stream::initialize);
  std::vector<float> v(static_cast<std::size_t>(n));
  for (Index i = 0; i < n; ++i) v[std::size_t(i)] = float(random.uniform(i, -1, 1));
  return v;
}

struct Work {
  Block block;
  Cpu dev;
  std::vector<float> x, w, b, y, dx, dw, db;
  explicit Work(const benchmark::State& state)
      : block(blocks[state.range(0)]), dev(int(state.range(1))), x(noise(batch * size(block.in))), w(noise(block.weights())), b(noise(block.out.c)), y(noise(batch * size(block.out))),
        dx(x.size()), dw(w.size()), db(b.size()) {
    dev.reserve(std::size_t(conv_arena(dev, Way<0>(), 0.f, spec, block.in, block.out, batch)));
  }
  void tell(benchmark::State& state, double times) const {
    state.counters["GFLOP/s"] = benchmark::Counter(times * block.flops() / 1e9, benchmark::Counter::kIsIterationInvariantRate);
    state.counters["images/s"] = benchmark::Counter(double(batch), benchmark::Counter::kIsIterationInvariantRate);
  }
};

void conv_forward(benchmark::State& state) {
  Work k(state);
  for (auto _ : state) conv_forward(k.dev, Way<0>(), spec, k.block.in, k.block.out, batch, k.x.data(), k.w.data(), k.b.data(), k.y.data());
  k.tell(state, 1);
}

void conv_backward(benchmark::State& state) {
  Work k(state);
  for (auto _ : state) conv_backward(k.dev, Way<0>(), spec, k.block.in, k.block.out, batch, k.x.data(), k.w.data(), k.y.data(), k.dx.data(), k.dw.data(), k.db.data());
  k.tell(state, 2);
}

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Map = Eigen::Map<Matrix>;

/// Eight rows of pixels at a time, as (pixels, 9 C): what lies outside the picture is 0. Adds the tile to the picture instead if `back`.
void tile(const Block& k, float* x, int top, float* columns, bool back) {
  for (int i = top; i < top + 8; ++i)
    for (int j = 0; j < k.out.w; ++j)
      for (int tap = 0; tap < 9; ++tap, columns += k.in.c) {
        const int row = i + tap / 3 - 1, column = j + tap % 3 - 1;
        const bool inside = row >= 0 && row < k.in.h && column >= 0 && column < k.in.w;
        float* const pixel = x + (Index(row) * k.in.w + column) * k.in.c;
        for (int c = 0; c < k.in.c; ++c) {
          if (!back) columns[c] = inside ? pixel[c] : 0;
          else if (inside) pixel[c] += columns[c];
        }
      }
}

void eigen_forward(benchmark::State& state) {
  Work k(state);
  const Index pixels = 8 * k.block.out.w, taps = 9 * k.block.in.c, channels = k.block.out.c;
  std::vector<Matrix> columns(std::size_t(k.dev.threads()), Matrix(pixels, taps));
  for (auto _ : state)
    k.dev.run(batch, [&](Index image, int worker) {
      Matrix& m = columns[std::size_t(worker)];
      for (int top = 0; top < k.block.out.h; top += 8) {
        tile(k.block, k.x.data() + image * size(k.block.in), top, m.data(), false);
        Map y(k.y.data() + image * size(k.block.out) + top * k.block.out.w * channels, pixels, channels);
        y.rowwise() = Eigen::Map<Eigen::RowVectorXf>(k.b.data(), channels);
        y.noalias() += m * Map(k.w.data(), taps, channels);
      }
    });
  k.tell(state, 1);
}

void eigen_backward(benchmark::State& state) {
  Work k(state);
  const Index pixels = 8 * k.block.out.w, taps = 9 * k.block.in.c, channels = k.block.out.c, shares = 8;
  std::vector<Matrix> columns(std::size_t(k.dev.threads()), Matrix(pixels, taps)), dw(shares, Matrix(taps, channels)), db(shares, Matrix(1, channels));
  for (auto _ : state) {
    std::fill(k.dx.begin(), k.dx.end(), 0.f);
    k.dev.run(shares, [&](Index share, int worker) {
      Matrix& m = columns[std::size_t(worker)];
      dw[std::size_t(share)].setZero(), db[std::size_t(share)].setZero();
      for (Index image = batch * share / shares; image < batch * (share + 1) / shares; ++image)
        for (int top = 0; top < k.block.out.h; top += 8) {
          const Map dy(k.y.data() + image * size(k.block.out) + top * k.block.out.w * channels, pixels, channels);
          tile(k.block, k.x.data() + image * size(k.block.in), top, m.data(), false);
          dw[std::size_t(share)].noalias() += m.transpose() * dy;
          db[std::size_t(share)] += dy.colwise().sum();
          m.noalias() = dy * Map(k.w.data(), taps, channels).transpose();
          tile(k.block, k.dx.data() + image * size(k.block.in), top, m.data(), true);
        }
    });
    for (Index share = 0; share < shares; ++share) Map(k.dw.data(), taps, channels) += dw[std::size_t(share)], Map(k.db.data(), 1, channels) += db[std::size_t(share)];
  }
  k.tell(state, 2);
}

void each(benchmark::internal::Benchmark* b) {
  for (int threads : {1, 0})
    for (int block : {0, 1, 2}) b->Args({block, threads});
  b->ArgNames({"block", "threads"})->UseRealTime()->Unit(benchmark::kMillisecond);
}
BENCHMARK(conv_forward)->Apply(each);
BENCHMARK(eigen_forward)->Apply(each);
BENCHMARK(conv_backward)->Apply(each);
BENCHMARK(eigen_backward)->Apply(each);

}  // namespace

BENCHMARK_MAIN();
