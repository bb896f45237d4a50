// cuDNN as a runner of convolutions, with a stand-in for cuDNN that checks what it is told and computes it by plain loops. cuDNN itself does not run here.
#include "../support/cudnn_stand_in.hpp"
#include "../support/emulator/emulated.hpp"
#include "../support/racing.hpp"

#include <lamina/cuda/cudnn.hpp>
#include <lamina/cuda/verbs.hpp>
#include <lamina/nn/dense.hpp>
#include <lamina/nn/pointwise.hpp>
#include <lamina/train/adam.hpp>
#include <lamina/train/model.hpp>

#include "../support/plain_conv.hpp"
#include "../support/weights_after.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
/// An emulated GPU with a stream for cuDNN.
struct Streamed : Racing {
  struct Queue final : cudnn::Stream {
    Racing dev;
    explicit Queue(const Racing& of) : dev(of) {}
    void launch(const cudnn::Convolution& c) override {
      if (!dev.recording() && c.workspace_bytes) {
        const auto& memory = dev.machine().global;
        const auto* const first = static_cast<const std::byte*>(c.workspace);
        if (!memory.serial(first) || memory.serial(first) != memory.serial(dev.arena()) || memory.serial(first) != memory.serial(first + c.workspace_bytes - 1)) throw Error("the workspace is not in the arena");
      }
      dev.for_each(1, c);
    }
    bool recording() const override { return dev.recording(); }
  };
  explicit Streamed(unsigned seed = 1) : Streamed(Racing(seed)) {}
  explicit Streamed(const Racing& of) : Racing(of), queue_(std::make_shared<Queue>(of)) {}
  Streamed fork() { return Streamed(Racing::fork()); }
  void use() const {}
  cudaStream_t stream() const { return queue_.get(); }

 private:
  std::shared_ptr<Queue> queue_;
};
using CudnnDevice = WithCudnn<Streamed>;
constexpr cudnnBackendNumericalNote_t tensor_core = CUDNN_NUMERICAL_NOTE_TENSOR_CORE, rounds = CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS;

/// A device on which runner `which` wins every race.
CudnnDevice device(int which = 1, Bits bits = Bits::any, std::vector<cudnn::Engine> engines = {{{}, 999}}, Index scratch = 0) {
  cudnn::engines = std::move(engines);
  cudnn::executed.clear();
  CudnnDevice dev(Streamed(1), scratch);
  dev.tune(std::make_shared<Always>(which), bits);
  dev.writes_gradients = true;
  return dev;
}
template <class M> std::vector<M> without(std::vector<M> v, const std::vector<M>& before) {
  for (std::size_t i = 0; i < v.size(); ++i) v[i] -= before[i];
  return v;
}

template <class T> void check_cudnn(const Case& c) {
  INFO("k " << c.k << " stride " << c.stride << " pad " << c.pad << " groups " << c.groups << " on " << text(c.in).s << " to " << c.filters);
  const Data<T> data{c};
  const Result<T> expected = data.plain();
  CudnnDevice dev = device();
  const Result<T> written = data.run(dev, Way<detail::cudnn_ways>());
  CHECK(cudnn::executed.size() == 3 * 3);                        // of each kind: once to see whether it works, once as a graph, and then
  CHECK(same_bits(written.y, expected.y));
  CHECK(same_bits(written.dx, expected.dx));
  CHECK(written.dw == without(expected.dw, data.dw));
  CHECK(written.db == (c.bias ? without(expected.db, data.db) : data.db));
  dev.writes_gradients = false;
  const Result<T> added = data.run(dev, Way<detail::cudnn_ways>());
  CHECK(cudnn::executed.size() == 3 * 3 + 3);
  CHECK(same_bits(added.y, expected.y));
  CHECK(added.dw == expected.dw);
  CHECK(added.db == expected.db);
}

constexpr ConvSpec spec{{3, 1, 1}, 1};
constexpr Case small{{6, 5, 8}, 8, 3, 1, 1, 1, false, 1};
/// Which engine runs the forward pass of a small convolution; -1: our own kernels. Its result is right whoever runs.
template <class T> int runs(CudnnDevice dev) {
  const Data<T> data{small};
  CHECK(same_bits(data.run(dev, Way<detail::cudnn_ways>()).y, data.plain().y));
  const std::size_t before = cudnn::executed.size();
  data.run(dev, Way<detail::cudnn_ways>());
  return cudnn::executed.size() > before ? cudnn::executed[before] : -1;
}
template <class T = float> int runs(std::vector<cudnn::Engine> engines, Index scratch = 0) { return runs<T>(device(1, Bits::any, std::move(engines), scratch)); }
}  // namespace

TEST_CASE_TEMPLATE("what cuDNN is told of is our convolution", T, float, tf32, bf16) {
  for (const Case& c : {Case{{5, 7, 3}, 4, 3, 1, 1, 1, true, 2, {0}}, {{6, 5, 4}, 6, 3, 2, same}, {{7, 6, 4}, 6, 2, 3, 0, 2, true, 2, {0, 6}}, {{4, 5, 4}, 4, 3, 1, 1, 4, false}, {{5, 4, 6}, 3, 1, 2, 0, 3},
                        {{5, 6, 2}, 3, 5, 2, 4, 1, false, 1}, {{5, 4, 2}, 3, 2, 1, same}, {{8, 7, 1}, 2, 3, 2, 1}})
    check_cudnn<T>(c);
  CHECK(cudnn::alive == 0);
  CHECK(cudnn::contexts == 0);
}

TEST_CASE("each convolution of a device has a plan of its own") {
  CudnnDevice dev = device();
  for (int turn = 0; turn < 2; ++turn) {
    for (const Case& c : {Case{{4, 4, 4}, 4, 3, 1, 1}, {{4, 4, 4}, 4, 5, 1, 2}, {{4, 4, 4}, 4, 3, 1, 1, 2}, {{4, 4, 4}, 4, 3, 1, 1, 1, true, 1}, {{4, 4, 4}, 4, 3, 2, 1}, {{4, 4, 4}, 4, 3, 2, same}}) {
      INFO("k " << c.k << " stride " << c.stride << " pad " << c.pad << " groups " << c.groups);
      CHECK(same_bits(Data<float>{c}.run(dev, Way<detail::cudnn_ways>()).y, Data<float>{c}.plain().y));
    }
    CHECK(cudnn::executed.size() == (turn == 0 ? 6 * 9 : 6 * 9 + 6 * 3));
  }
  CHECK(same_bits(Data<bf16>{{{4, 4, 4}, 4, 3, 1, 1}}.run(dev, Way<detail::cudnn_ways>()).y, Data<bf16>{{{4, 4, 4}, 4, 3, 1, 1}}.plain().y));
}

TEST_CASE("what cuDNN makes is rounded to tf32") {
  CudnnDevice dev = device();
  const Data<tf32> data{[] {
    Data<tf32> d{small};
    d.x = fractions<float>(Index(d.x.size()), 1), d.w = fractions<float>(Index(d.w.size()), 2), d.dy = fractions<float>(Index(d.dy.size()), 3);
    return d;
  }()};
  const Result<tf32> found = data.run(dev, Way<detail::cudnn_ways>()), expected = data.plain();
  CHECK(cudnn::executed.size() == 9);
  for (const auto* made : {&found.y, &found.dx})
    for (const tf32 v : *made) CHECK((v.bits & 0x1FFF) == 0);
  CHECK(largest_error(found.y, expected.y) < 2e-3);
  CHECK(largest_error(found.dw, without(expected.dw, data.dw)) < 2e-3);
}

TEST_CASE("engines that give other bits every time, or compute otherwise than told, do not run") {
  const cudnn::Engine good;
  CHECK(runs({good, good}) == 0);
  CHECK(runs({{{CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}}, good}) == 1);
  CHECK(runs({{{CUDNN_NUMERICAL_NOTE_WINOGRAD, CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION}}, good}) == 1);
  CHECK(runs({{{tensor_core}}, {{rounds}}, good}) == 2);
  CHECK(runs<tf32>({{{tensor_core, rounds}}, good}) == 0);
  CHECK(runs<bf16>({{{tensor_core}}, good}) == 0);
  CHECK(runs<bf16>({{{tensor_core, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}}}) == -1);
}
TEST_CASE("engines that do not work, need more workspace than there is, or cannot be recorded do not run") {
  const cudnn::Engine good;
  cudnn::Engine fails, refuses, waits, fallback;
  fails.finalizes = refuses.runs = waits.recordable = false, fallback.fallback = true;
  CHECK(runs({fails, refuses, waits, good}) == 3);
  CHECK(runs({fallback, good}) == 1);
  CHECK(runs({fallback, fails}) == 0);
  CHECK(runs({waits}) == -1);
  CHECK(runs({}) == -1);
  const auto why = [](cudnn::Engine e) {
    CudnnDevice dev = device(1, Bits::any, {std::move(e)});
    runs<float>(dev);
    const std::vector<std::string> all = dev.refused();
    CHECK(all.size() == 3);                                      // forward and two gradients
    return all.at(0);
  };
  CHECK(why({{tensor_core}}) == "conv in float, forward, any bits, 3x3 by 1 of 6x5x8 to 8 channels: no engine always gives the same bits and sums as it is asked to");
  CHECK(why(fails).find(" to 8 channels: cudnnBackendFinalize at ") != std::string::npos);
  CHECK(why({{}, 1 << 30}).find(": an engine needs 1073741824 bytes of workspace, and there are 2094848") != std::string::npos);
  const Index weights = 9 * 8 * 8 * 4, all = CudnnDevice::least_scratch - weights;
  CHECK(runs({{{}, all + 1}, {{}, all}}) == 1);
  CHECK(runs({{{}, all + 1}, {{}, all}}, all + 1 + weights) == 0);
}

TEST_CASE("cuDNN runs only where somebody said that any bits will do, and where it has room") {
  CHECK(runs<float>(device(1, Bits::same)) == -1);
  CHECK(runs<float>(device(0)) == -1);
  CHECK(cudnn::executed.size() == 3 * 2);                        // what it takes to see whether it works
  CHECK(runs<float>(CudnnDevice(Streamed(1))) == -1);
  CHECK(device(1, Bits::same).described() == "an emulated GPU, version 1");
  CudnnDevice dev = device();
  CHECK(dev.described() == "an emulated GPU, version 1, cuDNN 9.26.0 with any bits");
  CHECK(runs<float>(dev) == 0);

  const Data<float> data{small};
  const lamina_test::Tensor<CudnnDevice, float> x(dev, data.x), w(dev, data.w), y(dev, size(data.out));
  CudnnDevice beside = dev.fork();                                      // with an arena of its own, and a stream
  const auto forward = [&] { conv_forward(beside, Way<detail::cudnn_ways>(), spec, data.in, data.out, 1, x.data(), w.data(), static_cast<const float*>(nullptr), y.data()); };
  const auto executed = [&] { return forward(), cudnn::executed.size(); };
  const std::size_t before = cudnn::executed.size();
  CHECK(executed() == before);
  beside.reserve(CudnnDevice::least_scratch);
  CHECK(executed() == before + 1);
  beside.wait();
  CHECK(same_bits(y.get(), data.plain().y));
}

TEST_CASE("a race against cuDNN: who ran it, and where, is kept, and the quickest runs") {
  struct Told : Tuning {
    std::vector<Race> races;
    std::vector<int> won;
    int winner(const Race&) override { return -1; }
    void keep(const Race& race, int winner, const std::vector<double>&) override { races.push_back(race), won.push_back(winner); }
  };
  const auto told = std::make_shared<Told>();
  cudnn::engines = {{}};
  CudnnDevice dev(Streamed(1));
  dev.tune(told, Bits::any, [](const Launched&) { return 1e-5; });       // of our kernels; cuDNN's launches take no time
  constexpr int way = CudnnDevice::way<float>(spec, small.in, small.in);
  static_assert(way == detail::cudnn_ways + 2 && CudnnDevice::way<float>(DenseSpec(), {8}, {8}) == Gpu::way<float>(DenseSpec(), {8}, {8}));
  const Data<float> data{small};
  dev.reserve(std::size_t(conv_arena(dev, Way<way>(), 0.f, spec, data.in, data.out, 1)));
  const lamina_test::Tensor<CudnnDevice, float> x(dev, data.x), w(dev, data.w), dy(dev, data.dy), dw(dev, data.dw), y(dev, size(data.out));
  const auto backward = [&] { conv_backward(dev, Way<way>(), spec, data.in, data.out, 1, x.data(), w.data(), dy.data(), static_cast<float*>(nullptr), dw.data(), static_cast<float*>(nullptr)); };
  const auto forward = [&] { conv_forward(dev, Way<way>(), spec, data.in, data.out, 1, x.data(), w.data(), static_cast<const float*>(nullptr), y.data()); };
  cudnn::executed.clear();
  backward();                                                    // adds: that cannot be run a dozen times
  CHECK(dw.get() == data.plain().dw);
  CHECK(cudnn::executed.empty());
  CHECK(told->races.empty());
  dev.record(forward);                                           // and nobody races then
  CHECK(cudnn::executed.empty());
  forward();
  REQUIRE(told->races.size() == 1);
  CHECK(told->races[0].device == "an emulated GPU, version 1, cuDNN 9.26.0 with any bits");
  CHECK(told->races[0].work == "conv in float, forward, any bits, 3x3 by 1 of 6x5x8 with a border of 1 to 8 channels, 1 picture");
  CHECK(told->races[0].runners == std::vector<std::string>{"kernels of Lamina", "cuDNN"});
  CHECK(told->won == std::vector<int>{1});

  const std::vector<float> poison(y.get().size(), 99);
  cudnn::executed.clear();
  const auto graph = dev.record(forward);
  CHECK(cudnn::executed == std::vector<int>{0});
  dev.upload(y.data(), poison.data(), poison.size() * sizeof(float));
  dev.replay(graph);
  CHECK(same_bits(y.get(), data.plain().y));
  CHECK(told->races.size() == 1);
}

TEST_CASE("an error says what was called, where, and why") {
  detail::CudnnDescriptor d(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  d.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, std::int64_t(2));
  std::string words;
  try { detail::check(cudnnBackendFinalize(d.get()), "cudnnBackendFinalize"); }
  catch (const Error& e) { words = e.what(); }
  CHECK(words.find("cudnnBackendFinalize at ") == 0);
  CHECK(words.find("cudnn.cpp:") != words.npos);
  CHECK(words.find(": BAD_PARAM, attribute 0 was not set") != words.npos);
}

namespace {
struct Net : Network<Input<6, 6, 3>, Conv<4, 3>, ReLU, Conv<6, 3, 2, 1, no_bias>, ReLU, Flatten, Dense<2>> {};
template <class D> std::vector<float> train(D dev) { return weights_after_four_steps<Net, float>(dev); }
}  // namespace

TEST_CASE("a model trains with cuDNN, to rounding as without, and to the bit where it may not run or has lost") {
  const std::vector<float> expected = train(Emulated());
  CHECK(train(device(1, Bits::same)) == expected);
  CHECK(cudnn::executed.empty());
  CHECK(train(device(0)) == expected);
  CHECK(cudnn::executed.size() == 5 * 2);                        // two forward, two gradients of weights, one of x: nobody wants that of the pictures
  const std::vector<float> with = train(device(1));
  CHECK(cudnn::executed.size() == 5 * 2 + 2 * 5);                // in the pass that is launched, and in the one that is recorded
  CHECK(with != expected);
  CHECK(largest_error(with, expected) < 1e-3);
}
