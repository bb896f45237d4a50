/// How fast is training on a GPU, and where does its time go?
/// bench_gpu [--rows "leaf 64 64,resnet18 64 256"] [--number bf16|tf32|float32] [--rounds 1] [--seconds 0.2] [--kernels | --once] [--tune FILE [--cudnn]]
/// A row is a network, the side of its pictures, the batch. A step is the forward pass, cross-entropy, all gradients and Adam, of a batch that lies on the GPU, as one graph; a time is
/// the median over groups of steps between two events, and a line of JSON. bench/peers/speed_torch_gpu.py runs the same in PyTorch. --kernels prints the time
/// of every launch of a step; --once is one step without a graph, for a profiler. --tune races kernels that give
/// the same bits before anything else is timed, and keeps who won in the file, or believes what is there; with --cudnn, where Lamina was built with it, cuDNN races too, whose bits are others.
#if defined(LAMINA_WITH_CUDNN)
#include <lamina/cudnn.hpp>
#else
#include <lamina/cuda.hpp>
#endif

#include <functional>
#include <sstream>

#include "networks/leaf.hpp"
#include "parts.hpp"
#include "work.hpp"

using namespace lamina;

namespace {

#if defined(LAMINA_WITH_CUDNN)
using Rival = CudaWithCudnn;
#else
using Rival = Cuda;
#endif

struct Options {
  std::vector<bench::Work> rows;
  std::string number = "bf16";
  int rounds = 1;
  double seconds = 0.2;
  bool kernels = false, once = false, cudnn = false;
  std::shared_ptr<TuningFile> races;
};

/// Throws Error if the command line is not understood.
Options options(int argc, char** argv) {
  Options o;
  std::string rows = "leaf 64 64,leaf 64 256,leaf 128 64,leaf 128 256,leaf 256 64,leaf 256 256,resnet18 64 64,resnet18 64 256";
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--kernels") o.kernels = true;
    else if (word == "--once") o.once = true;
    else if (word == "--cudnn") o.cudnn = true;
    else if (i + 1 == argc) throw Error("what is ", word, "? bench_gpu [--rows \"leaf 64 64,resnet18 64 256\"] [--number bf16|tf32|float32] [--rounds 1] [--seconds 0.2] [--kernels | --once] [--tune FILE [--cudnn]]");
    else if (word == "--rows") rows = argv[++i];
    else if (word == "--number") o.number = argv[++i];
    else if (word == "--rounds") o.rounds = std::atoi(argv[++i]);
    else if (word == "--seconds") o.seconds = std::atof(argv[++i]);
    else if (word == "--tune") o.races = std::make_shared<TuningFile>(argv[++i]);
    else throw Error("there is no option ", word);
  }
  if (o.number != "bf16" && o.number != "tf32" && o.number != "float32") throw Error("--number is bf16, tf32 or float32");
#if !defined(LAMINA_WITH_CUDNN)
  if (o.cudnn) throw Error("--cudnn: this bench_gpu was built without cuDNN; with CMake say -DLAMINA_WITH_CUDNN=ON");
#endif
  if (o.cudnn && !o.races) throw Error("--cudnn is who races, and --tune FILE says that there are races: give both");
  if (o.cudnn && (o.kernels || o.once)) throw Error("--kernels and --once are of kernels of Lamina, of which cuDNN's are none: leave --cudnn out");
  std::istringstream all(rows);
  for (std::string row; std::getline(all, row, ',');) {
    bench::Work work{.mode = "train"};
    if (!(std::istringstream(row) >> work.net >> work.size >> work.batch)) throw Error("a row is a network, the side of its pictures, the batch, and not '", row, "'");
    o.rows.push_back(work);
  }
  return o;
}

class Event {
 public:
  Event() { lamina::detail::check(cudaEventCreate(&event_), "cudaEventCreate"); }
  Event(Event&& e) noexcept : event_(std::exchange(e.event_, nullptr)) {}
  ~Event() { if (event_) cudaEventDestroy(event_); }
  /// `within`: as a part of the graph that is being recorded.
  void record(const Cuda& device, bool within = false) {
    lamina::detail::check(cudaEventRecordWithFlags(event_, device.stream(), within ? cudaEventRecordExternal : cudaEventRecordDefault), "cudaEventRecordWithFlags");
  }
  /// Waits for this one.
  double seconds_since(const Event& begin) const {
    float ms = 0;
    lamina::detail::check(cudaEventSynchronize(event_), "cudaEventSynchronize");
    lamina::detail::check(cudaEventElapsedTime(&ms, begin.event_, event_), "cudaEventElapsedTime");
    return 1e-3 * ms;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

/// A GPU that has an event before and behind every launch of its graphs. What is between them is the kernel and a microsecond or two, and more where another queue is at work.
template <class Base> class Timed : public Base {
 public:
  struct Launch { std::string kernel; Grid grid; int threads, shared_bytes; bool beside; Event begin, end; std::vector<double> seconds; };

  Timed() = default;
  std::vector<Launch>& launches() const { return *launches_; }
  template <class Kernel, class... Arguments> void launch(Grid grid, Arguments... arguments) {
    cudaStreamCaptureStatus records;
    lamina::detail::check(cudaStreamIsCapturing(this->stream(), &records), "cudaStreamIsCapturing");
    if (records == cudaStreamCaptureStatusNone) return Base::template launch<Kernel>(grid, arguments...);
    Launch& now = launches_->emplace_back(name_of<Kernel>(), grid, Kernel::threads, Kernel::shared_bytes, beside_);
    now.begin.record(*this, true);
    Base::template launch<Kernel>(grid, arguments...);
    now.end.record(*this, true);
  }
  template <class F> void for_each(Index n, F f) {
    if (n) launch<kernels::ForEach<F>>(Grid{int(pieces(n, kernels::ForEach<F>::threads))}, n, f);
  }
  Timed fork() requires Forks<Base> { return Timed(Base::fork(), launches_); }

 private:
  Timed(Base base, std::shared_ptr<std::vector<Launch>> launches) : Base(std::move(base)), launches_(std::move(launches)), beside_(true) {}
  template <class Kernel> static std::string name_of() {
    std::string all = __PRETTY_FUNCTION__;
    all = all.substr(all.find("Kernel = ") + 9);
    all.resize(std::min(all.size() - 1, all.find("; std::string")));
    for (const char* space : {"lamina::", "kernels::", "gpu::", "detail::"})
      for (std::size_t at; (at = all.find(space)) != all.npos;) all.erase(at, std::strlen(space));
    return all;
  }
  std::shared_ptr<std::vector<Launch>> launches_ = std::make_shared<std::vector<Launch>>();
  bool beside_ = false;
};

static_assert(Records<Timed<Cuda>> && Forks<Timed<Cuda>> == Forks<Cuda>);

double median(std::vector<double> all) {
  std::sort(all.begin(), all.end());
  return all.at(all.size() / 2);
}

double free_mb() {
  std::size_t free = 0, all = 0;
  lamina::detail::check(cudaMemGetInfo(&free, &all), "cudaMemGetInfo");
  return double(free) / (1 << 20);
}

std::string gpu_name() {
  cudaDeviceProp p;
  lamina::detail::check(cudaGetDeviceProperties(&p, 0), "cudaGetDeviceProperties");
  return p.name;
}

/// Bytes a second, read and written together, that copying a GiB moves.
double copy_roof(Cuda& device) {
  const std::size_t bytes = std::size_t(1) << 30;
  const Buffer<Cuda, std::byte> from(device, bytes), to(device, bytes);
  std::vector<double> seconds;
  for (int k = 0; k < 5; ++k) {
    Event begin, end;
    begin.record(device);
    lamina::detail::check(cudaMemcpyAsync(to.data(), from.data(), bytes, cudaMemcpyDeviceToDevice, device.stream()), "cudaMemcpyAsync");
    end.record(device);
    seconds.push_back(end.seconds_since(begin));
  }
  return 2 * double(bytes) / median(seconds);
}

/// A model with its optimizer and a batch.
template <class Net, class D, class T> class Training {
 public:
  explicit Training(const bench::Work& work, const Options& o) : before_(free_mb()), model_({.batch = work.batch, .seed = 1}, tuned(o)), adam_(model_.device(), {.rate = bench::rate}, model_.program().parameters) {
    // Between -1 and 1, as all programs of speed; a million numbers, over and over.
    const Random random(1, Stream::picture);
    const std::size_t picture = std::size_t(size(Net::input)), count = std::size_t(work.batch) * picture, some = std::min(count, std::size_t(1) << 20);
    x_.resize(count), label_.resize(std::size_t(work.batch));
    for (std::size_t i = 0; i < count; ++i) x_[i] = i < some ? float(random.uniform(Index(i), -1, 1)) : x_[i - some];
    for (std::size_t i = 0; i < label_.size(); ++i) label_[i] = std::int32_t(i % bench::classes);
    batch_ = {.n = work.batch, .x = x_.data(), .label = label_.data()};
    forward();
    learn();
  }

  auto& model() { return model_; }
  void step() {
    if constexpr (Records<D>) model_.repeat();
    else forward();
    learn();
  }
  void forward() { model_.forward_training(batch_); }
  void learn() { model_.learn(adam_, bench::rate); }
  /// Seconds a step takes.
  double group(int steps) {
    Event begin, end;
    begin.record(model_.device());
    for (int k = 0; k < steps; ++k) step();
    end.record(model_.device());
    return end.seconds_since(begin) / steps;
  }
  /// What the GPU has less of since before, kernels and graphs included.
  double mb() const { return before_ - free_mb(); }
  /// Mean of the step that comes now.
  double loss() {
    model_.reset_totals();
    step();
    const Totals totals = model_.totals();
    return totals.loss() / double(totals.samples);
  }

 private:
  static D tuned(const Options& o) {
    D device;
    if constexpr (std::is_same_v<D, Rival> && !std::is_same_v<D, Cuda>) {
      if (o.cudnn) return device.tune(o.races, Bits::any), device;
    }
    if (o.races) device.tune(o.races);
    return device;
  }
  double before_;
  Model<Net, D, T> model_;
  OptimizerState<Adam, D, Master<T>> adam_;
  std::vector<float> x_;
  std::vector<std::int32_t> label_;
  Batch batch_;
};

template <class Net, class D, class T> void measure(const bench::Work& work, const Options& o) {
  Training<Net, D, T> training(work, o);
  training.group(5);
  const int steps = std::max(1, int(5e-3 / training.group(10)));      // groups of 5 ms
  std::vector<double> seconds;
  for (double all = 0; all < o.seconds || seconds.size() < 3; all += steps * seconds.back()) seconds.push_back(training.group(steps));
  const double mb = training.mb(), loss = training.loss();
  std::printf("{\"peer\": \"Lamina\", \"version\": \"%d.%d.%d\", \"net\": \"%s\", \"size\": %d, \"batch\": %d, \"number\": \"%s\", \"mode\": \"%s\", \"peak_mb\": %.1f, "
              "\"step_us_median\": %.2f, \"groups\": %zu, \"steps_of_group\": %d, \"loss\": %.4f, \"tuned\": %s, \"cudnn\": %s, \"device\": \"%s\"}\n",
              version.major, version.minor, version.patch, work.net.c_str(), work.size, work.batch, o.number.c_str(), Records<Cuda> ? "graph" : "launches", mb, 1e6 * median(seconds),
              seconds.size(), steps, loss, o.races ? "true" : "false", o.cudnn ? "true" : "false", gpu_name().c_str());
  std::fflush(stdout);
  if constexpr (!std::is_same_v<D, Cuda>)
    for (const std::string& refused : training.model().device().refused()) std::fprintf(stderr, "bench_gpu: without cuDNN: %s\n", refused.c_str());
}

/// What a step does, by the direct formulas, and what it must move: every tensor of every step once, and 30 bytes a parameter for Adam.
struct Demand { double flops = 0, bytes = 0; };
template <class D, class T> Demand demand(const ProgramView<D, T>& program, Index n) {
  Demand all{0, 30 * double(program.parameters)};
  for (const auto& r : program.steps)
    for (const bool back : {false, true}) {
      if (back ? !r.backward || !(r.wants_dx || r.place.parameters) : !r.forward) continue;
      all.flops += double(n) * bench::direct_flops(r, back);
      all.bytes += double(n) * bench::tensor_bytes(r, back, sizeof(T));
    }
  return all;
}

template <class Net, class T> void profile(const bench::Work& work, const Options& o) {
  using Device = Timed<Cuda>;
  using Launch = Device::Launch;
  Training<Net, Device, T> training(work, o);
  std::vector<Launch>& launches = training.model().device().launches();
  std::vector<double> whole;
  for (int turn = 0; turn < 25; ++turn) {
    const double seconds = training.group(1);
    if (turn < 5) continue;
    whole.push_back(seconds);
    for (Launch& l : launches) l.seconds.push_back(l.end.seconds_since(l.begin));
  }
  double sum = 0;
  for (const Launch& l : launches) sum += median(l.seconds);
  std::printf("\n%s %d x %d, batch %d, %s, on %s: %zu launches\n%8s %6s %18s %7s %7s  %s\n", work.net.c_str(), work.size, work.size, work.batch, o.number.c_str(), gpu_name().c_str(),
              launches.size(), "us", "%", "blocks", "threads", "shared", "kernel");
  for (const Launch& l : launches) {
    const std::string blocks = text(l.grid.x, " x ", l.grid.y, " x ", l.grid.z).s;
    std::printf("%8.2f %6.1f %18s %7d %7d %s %.120s\n", 1e6 * median(l.seconds), 100 * median(l.seconds) / sum, blocks.c_str(), l.threads, l.shared_bytes, l.beside ? "|" : " ",
                l.kernel.c_str());
  }
  const Demand d = demand(training.model().program(), work.batch);
  const double roof = copy_roof(training.model().device());
  std::printf("%8.2f us in kernels, %.2f us in all with the events between them. Direct work: %.2f GFLOP, %.1f TFLOP/s. Every tensor once: %.1f MB, %.0f GB/s, "
              "and a copy moves %.0f GB/s: %.2f us.\n", 1e6 * sum, 1e6 * median(whole), 1e-9 * d.flops, 1e-12 * d.flops / sum, 1e-6 * d.bytes, 1e-9 * d.bytes / sum, 1e-9 * roof,
              1e6 * d.bytes / roof);
  std::fflush(stdout);
}

/// Throws Error if there is no such network.
template <class T> void run(const bench::Work& work, const Options& o) {
  const auto with = [&]<class Net>(std::type_identity<Net>, const char* name) {
    if (work.net != name || work.size != Net::input.h) return false;
    if (o.once) Training<Net, Cuda, T>(work, o).model().device().wait();
    else if (o.kernels) profile<Net, T>(work, o);
    else if (o.cudnn) measure<Net, Rival, T>(work, o);
    else measure<Net, Cuda, T>(work, o);
    return true;
  };
  if (with(std::type_identity<bench::Leaf<64>>(), "leaf") || with(std::type_identity<bench::Leaf<128>>(), "leaf") || with(std::type_identity<bench::Leaf<256>>(), "leaf") ||
      with(std::type_identity<zoo::ResNet18<64, bench::classes>>(), "resnet18")) return;
  throw Error("there is no network ", work.net, " for pictures of ", work.size, " x ", work.size, " in bench_gpu");
}

}  // namespace

int main(int argc, char** argv) try {
  const Options o = options(argc, argv);
  if (!Cuda::count()) return std::printf("bench_gpu: this machine has no GPU that a driver knows of, so there is nothing to measure\n"), 0;
  for (int round = 0; round < o.rounds; ++round)
    for (const bench::Work& work : o.rows)
      if (o.number == "bf16") run<bf16>(work, o);
      else if (o.number == "tf32") run<tf32>(work, o);
      else run<float>(work, o);
  if (o.races && !o.races->problem().empty()) throw Error(o.races->problem());
} catch (const Error& e) {
  return std::fprintf(stderr, "bench_gpu: %s\n", e.what()), 1;
}
