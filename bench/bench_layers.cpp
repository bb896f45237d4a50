/// How fast are the layers, and how fast would Eigen's matrix product over im2col tiles be? Batches of 32 pictures of 64 x 64; google-benchmark's options, --benchmark_format=csv
/// among them. First the convolutions of LeafNet in way 0, which takes any shape, beside Eigen; then steps as networks run them, in the way that their shapes have.
/// "FMA roof" and "memory roof" are shares of what this machine does at most, as measured before: operations by the direct formulas, of which Winograd's does fewer, and bytes
/// of the tensors, each once, which may lie in a cache. So either may be above 1.
#include <benchmark/benchmark.h>

#include "networks/networks.hpp"

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

struct Roofs { double fma = 0; bench::MemoryRoof memory; };
/// Of one thread, and of one for each core.
Roofs roofs[2];

/// Times f(), which does so much for `batch` pictures.
template <class F> void measure(benchmark::State& state, int threads, double flops, double bytes, const F& f) {
  const Roofs& roof = roofs[threads == 1 ? 0 : 1];
  const auto begin = std::chrono::steady_clock::now();
  for (auto _ : state) f();
  const double times = double(state.iterations()) / std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  state.counters["GFLOP/s"] = times * flops / 1e9;
  state.counters["images/s"] = times * double(batch);
  state.counters["FMA roof"] = times * flops / roof.fma;
  state.counters["memory roof"] = times * bytes / roof.memory.most();
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
  template <class F> void forward(benchmark::State& state, const F& f) const {
    measure(state, dev.threads(), block.flops(), 4.0 * double(x.size() + w.size() + b.size() + y.size()), f);
  }
  template <class F> void backward(benchmark::State& state, const F& f) const {
    measure(state, dev.threads(), 2 * block.flops(), 4.0 * double(2 * x.size() + 3 * w.size() + 2 * b.size() + y.size()), f);
  }
};

void conv_forward(benchmark::State& state) {
  Work k(state);
  k.forward(state, [&] { conv_forward(k.dev, Way<0>(), spec, k.block.in, k.block.out, batch, k.x.data(), k.w.data(), k.b.data(), k.y.data()); });
}

void conv_backward(benchmark::State& state) {
  Work k(state);
  k.backward(state, [&] { conv_backward(k.dev, Way<0>(), spec, k.block.in, k.block.out, batch, k.x.data(), k.w.data(), k.y.data(), k.dx.data(), k.dw.data(), k.db.data()); });
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
  k.forward(state, [&] {
    k.dev.run(batch, [&](Index image, int worker) {
      Matrix& m = columns[std::size_t(worker)];
      for (int top = 0; top < k.block.out.h; top += 8) {
        tile(k.block, k.x.data() + image * size(k.block.in), top, m.data(), false);
        Map y(k.y.data() + image * size(k.block.out) + top * k.block.out.w * channels, pixels, channels);
        y.rowwise() = Eigen::Map<Eigen::RowVectorXf>(k.b.data(), channels);
        y.noalias() += m * Map(k.w.data(), taps, channels);
      }
    });
  });
}

void eigen_backward(benchmark::State& state) {
  Work k(state);
  const Index pixels = 8 * k.block.out.w, taps = 9 * k.block.in.c, channels = k.block.out.c, shares = 8;
  std::vector<Matrix> columns(std::size_t(k.dev.threads()), Matrix(pixels, taps)), dw(shares, Matrix(taps, channels)), db(shares, Matrix(1, channels));
  k.backward(state, [&] {
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
  });
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

/// A step of a network of bench/networks: a layer, or several fused, and what goes in.
struct Picked { const char *net, *step; Shape in; };
constexpr Picked picked[] = {
    {"leaf", "Conv<32, 3> ReLU MaxPool<2>", {64, 64, 3}},
    {"leaf", "Conv<64, 3> ReLU MaxPool<2>", {32, 32, 32}},
    {"leaf", "Conv<128, 3> ReLU MaxPool<2>", {16, 16, 64}},
    {"leaf", "Dense<128>", 8192},
    {"leaf", "Dense<10>", 128},
    {"resnet18", "Conv<64, 3, 1, 1, false>", {64, 64, 64}},
    {"resnet18", "Conv<256, 3, 1, 1, false>", {16, 16, 256}},
    {"resnet18", "Conv<128, 3, 2, 1, false>", {64, 64, 64}},
    {"resnet18", "BatchNorm ReLU", {64, 64, 64}},
    {"resnet18", "Add ReLU", {64, 64, 64}},
    {"mobilenetv2", "Conv<144, 1, 1, 0, false>", {32, 32, 24}},
    {"mobilenetv2", "DepthwiseConv<3, 1, 1, false>", {32, 32, 144}},
    {"mobilenetv2", "BatchNorm", {32, 32, 144}},
    {"mobilenetv2", "ReLU6", {32, 32, 144}},
};

/// The steps of a network, all of them run once, so that each finds what those before it leave. One network at a time is kept.
bench::Parts& parts_of(const std::string& net, int threads) {
  static std::unique_ptr<bench::Parts> parts;
  static std::string kept;
  if (const std::string asked = net + " " + std::to_string(threads); kept != asked) {
    parts.reset();
    parts = std::make_unique<bench::Parts>(bench::model_of({.net = net, .mode = "train", .batch = batch, .threads = threads}).model->program(), batch, Cpu(threads));
    kept = asked;
    for (std::size_t i = 0; i < parts->count(); ++i)
      if (parts->has_forward(i)) parts->forward(i);
    for (std::size_t i = parts->count(); i-- > 0;)
      if (parts->has_backward(i)) parts->backward(i);
  }
  return *parts;
}

void step_of_network(benchmark::State& state, const Picked& pick, bool backward) {
  bench::Parts& parts = parts_of(pick.net, int(state.range(0)));
  std::size_t i = 0;
  while (i < parts.count() && (parts.name(i) != pick.step || parts.row(i).in != pick.in)) ++i;
  if (i == parts.count()) return state.SkipWithError("the network has no such step");
  measure(state, parts.device().threads(), parts.flops(i, backward), parts.bytes(i, backward), [&] { backward ? parts.backward(i) : parts.forward(i); });
}

void register_steps() {
  std::string done;
  for (const Picked& first : picked) {
    if (done == first.net) continue;
    done = first.net;
    for (int threads : {1, 0})
      for (bool backward : {false, true})
        for (const Picked& pick : picked)
          if (done == pick.net)
            benchmark::RegisterBenchmark((done + "/" + pick.step + "/" + text(pick.in).s + (backward ? "/backward" : "/forward")).c_str(),
                                         [&pick, backward](benchmark::State& state) { step_of_network(state, pick, backward); })
                ->ArgName("threads")->Arg(threads)->UseRealTime()->Unit(benchmark::kMillisecond);
  }
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  register_steps();
  for (int threads : {1, 0}) {
    const Cpu device(threads);
    const Roofs& roof = roofs[threads == 1 ? 0 : 1] = {bench::fma_roof(device), bench::memory_roof(device)};
    char words[200];
    std::snprintf(words, sizeof words, "%.1f GFLOP/s, memory %.1f GB/s (read %.1f, triad %.1f, arrays of %.2f GB)", roof.fma / 1e9, roof.memory.most() / 1e9,
                  roof.memory.read / 1e9, roof.memory.triad / 1e9, roof.memory.array_bytes / 1e9);
    benchmark::AddCustomContext("roofs, threads " + std::to_string(device.threads()), words);
  }
  benchmark::RunSpecifiedBenchmarks();
}
