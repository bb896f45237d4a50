/// cuDNN as one more runner of convolutions, in races whose runners need not give the same bits.
#pragma once
#include <deque>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "conv.hpp"
#include "cudnn_plan.hpp"
#include "tuning.hpp"

namespace lamina {

namespace kernels::inline LAMINA_SIMT {

/// Weights (K, K, C / groups, O) as (O, K, K, C / groups).
template <class T> struct CudnnWeights {
  static constexpr int blocks = 4;
  int taps, filters; const T* w; T* to;                      // taps: K K C / groups
  LAMINA_DEVICE void operator()(Index i) const {
    const Quotient filter = divide(i, taps);
    to[i] = w[Index(filter.rest) * filters + int(filter.whole)];
  }
};
/// The gradient of weights back: dw += it, or = it.
template <class T> struct CudnnWeightGradient {
  static constexpr int blocks = 4;
  int taps, filters; const T* from; float* dw; bool writes;
  LAMINA_DEVICE void operator()(Index i) const {
    const Quotient tap = divide(i, filters);
    dw[i] = (writes ? 0.f : dw[i]) + float(from[Index(tap.rest) * taps + tap.whole]);
  }
};
/// y = y + b within the bounds, rounded to what is stored: cuDNN leaves whole floats where a tf32 should be.
template <class T> struct CudnnOutput {
  static constexpr int blocks = 4;
  T* y; const float* b; int c; Bounds<float> bounds;         // (..., C), (C) or null
  LAMINA_DEVICE void operator()(Index i) const { y[i] = stored<T>(bounds(float(y[i]) + (b ? b[divide(i, c).rest] : 0.f))); }
};

}  // namespace kernels::inline LAMINA_SIMT

namespace detail {
/// Convolutions that a device was asked for, each with cuDNN's plan if it has one.
struct CudnnConvolutions {
  struct Known {
    CudnnConvolution convolution;
    std::string name;                                        // a Work refers to it
    bool asked = false;
    std::unique_ptr<CudnnPlan> plan;
    std::string why;                                         // there is none
  };
  CudnnHandle handle;
  std::deque<Known> all;

  Known& find(const CudnnConvolution& c) {
    for (Known& k : all)
      if (k.convolution == c) return k;
    return all.emplace_back(Known{c, c.name(), false, nullptr, ""});
  }
  std::vector<std::string> refused() const {
    std::vector<std::string> words;
    for (const Known& k : all)
      if (k.asked && !k.plan) words.push_back(sentence({k.name, ", ", k.convolution.spec.window.k, "x", k.convolution.spec.window.k, " by ", k.convolution.spec.window.stride, " of ", k.convolution.in, " to ", k.convolution.out.c, " channels: ", k.why}));
    return words;
  }
  /// As a device is described with it.
  static std::string version() {
    const std::size_t v = cudnnGetVersion();
    return sentence({", cuDNN ", v / 10000, ".", v / 100 % 100, ".", v % 100, " with any bits"});
  }
};
/// Ways of convolutions of a device with cuDNN: those of the device itself, and so much.
inline constexpr int cudnn_ways = 1000;
}  // namespace detail

/// A device whose convolutions cuDNN may run too. It is Base in everything until it is told to tune(kept, Bits::any). Copies and forks share what they know of cuDNN.
/// Blocks of convolution, ReLU and pooling in one kernel stay what they are, and convolutions in double are none of cuDNN's.
template <class Base> class WithCudnn : public Base {
 public:
  static constexpr Index default_scratch = Index(64) << 20, least_scratch = Index(2) << 20;      // the least has room for the parts of a bias's gradient too

  /// `scratch`: bytes of its arena that cuDNN may use, for turned weights and an engine's workspace.
  explicit WithCudnn(Base base = Base(), Index scratch = default_scratch) : Base(std::move(base)), shared_(std::make_shared<Shared>()), queue_(std::make_shared<Queue>()) { shared_->scratch = std::max(scratch, least_scratch); }

  using Base::way;
  template <class T> static constexpr int way(ConvSpec c, Shape in, Shape out) { return detail::cudnn_ways + Base::template way<T>(c, in, out); }

  /// As Base does; and with Bits::any, to be said before a model is made, cuDNN races against the kernels of convolutions. It sums in another order and rounds elsewhere, so from then on the same seed
  /// gives the same bits only where the same file of races (TuningFile) is read, by the same version, on the same kind of GPU. Of its engines those take part that always give the same bits, that sum
  /// in float, that a graph can record, and for float those that multiply floats. In bf16 its gradients of weights are rounded to bf16 on their way, and a y is before its bias is added.
  /// Gradients of weights that are added to what is there do not race: whoever won one that wrote them does it, or the device's own kernels.
  template <class... More> void tune(std::shared_ptr<Tuning> kept = nullptr, Bits bits = Bits::same, More... more) {
    Base::tune(std::move(kept), std::move(more)...);
    this->use();
    shared_->convolutions = bits == Bits::any ? std::make_unique<detail::CudnnConvolutions>() : nullptr;
  }
  std::string described() const {
    return Base::described() + (shared_->convolutions ? detail::CudnnConvolutions::version() : "");
  }

  /// For people: what cuDNN was asked for and does not run, each with a reason.
  std::vector<std::string> refused() const {
    if (!shared_->convolutions) return {};
    return shared_->convolutions->refused();
  }

  void reserve(std::size_t bytes) {
    Base::reserve(bytes);
    queue_->reserved = std::max(queue_->reserved, Index(bytes));
  }
  WithCudnn fork() requires Forks<Base> { return WithCudnn(Base::fork(), shared_); }

  /// Bytes of the arena that a convolution had better have.
  Index scratch_wanted() const { return shared_->convolutions ? shared_->scratch : 0; }
  /// What is known of cuDNN; null where it may run nothing.
  detail::CudnnConvolutions* convolutions() const { return queue_->reserved >= shared_->scratch ? shared_->convolutions.get() : nullptr; }
  Index scratch() const { return shared_->scratch; }

 private:
  struct Shared {
    std::unique_ptr<detail::CudnnConvolutions> convolutions;   // if it races
    Index scratch;
  };
  struct Queue { Index reserved = 0; };                        // bytes of its arena
  WithCudnn(Base base, std::shared_ptr<Shared> shared) : Base(std::move(base)), shared_(std::move(shared)), queue_(std::make_shared<Queue>()) {}
  std::shared_ptr<Shared> shared_;
  std::shared_ptr<Queue> queue_;
};

namespace detail {
/// The device's own kernels or cuDNN, whoever is the quicker, has the others and itself launched: ours(), or theirs(plan, weights), with room for as many weights as c has, in the arena.
template <class Base, class Ours, class Theirs> void with_cudnn(WithCudnn<Base>& dev, const CudnnConvolution& c, Index weight_bytes, bool writes, const Ours& ours, const Theirs& theirs) {
  CudnnConvolutions* const known = dev.convolutions();
  if (!known) return ours();
  CudnnConvolutions::Known& of = known->find(c);
  const Index behind = pieces(weight_bytes, 256) * 256;
  const auto run_theirs = [&](const CudnnPlan& plan) {
    theirs([&](const void* x, const void* w, const void* y) {
      dev.use();
      check(cudnnSetStream(known->handle.get(), dev.stream()), "cudnnSetStream");
      plan.run(known->handle.get(), x, w, y, dev.arena() + behind);
    });
  };
  if (writes && !of.asked && !dev.recording()) {
    of.asked = true;
    of.plan = cudnn_plan(known->handle.get(), c, dev.scratch() - behind, of.why, [&](const CudnnPlan& plan) {
      run_theirs(plan);                                      // the first time is no time to record it: libraries are loaded
      dev.wait();
      if constexpr (Records<WithCudnn<Base>>) dev.record([&] { run_theirs(plan); });
    });
  }
  const Runner all[] = {{"kernels of Lamina", 1}, {"cuDNN", of.plan ? 1 : std::numeric_limits<double>::infinity()}};
  const Window v = c.spec.window;
  const Work work{of.name, c.in, c.out.c, int(c.n), v.k, v.stride, v.pad == same ? v.before(c.in.h) : v.pad};
  const auto launch = [&](int which) {
    if (which == 1) run_theirs(*of.plan);
    else ours();
  };
  launch(!of.plan ? 0 : writes ? chosen(dev, work, all, launch) : dev.tuner()->known(work, 0));
}
}  // namespace detail

template <int W> concept CudnnWay = W >= detail::cudnn_ways;
template <int W> using OwnWay = Way<W - detail::cudnn_ways>;

template <class Base, int W, class T> requires CudnnWay<W>
void conv_forward(WithCudnn<Base>& dev, Way<W>, ConvSpec spec, Shape in, Shape out, Index n, const T* x, const T* w, const Master<T>* b, T* y, Clamp clamp = {}) {
  const auto ours = [&] { conv_forward(dev, OwnWay<W>(), spec, in, out, n, x, w, b, y, clamp); };
  if constexpr (!detail::CudnnNumber<T>) ours();
  else {
    const auto c = detail::CudnnConvolution::of<T>(detail::CudnnKind::forward, spec, in, out, n);
    const int taps = int(spec.window.k * spec.window.k * c.channels());
    detail::with_cudnn(dev, c, Index(taps) * out.c * Index(sizeof(T)), true, ours, [&](const auto& run) {
      T* const turned = reinterpret_cast<T*>(dev.arena());
      parallel_for(dev, Index(taps) * out.c, kernels::CudnnWeights<T>{taps, out.c, w, turned});
      run(x, turned, y);
      if (b || clamp.any() || std::is_same_v<T, tf32>) parallel_for(dev, n * size(out), kernels::CudnnOutput<T>{y, b, out.c, clamp});
    });
  }
}

template <class Base, int W, class T> requires CudnnWay<W>
void conv_backward(WithCudnn<Base>& dev, Way<W>, ConvSpec spec, Shape in, Shape out, Index n, const T* x, const T* w, const T* dy, T* dx, Master<T>* dw, Master<T>* db) {
  if constexpr (!detail::CudnnNumber<T>) conv_backward(dev, OwnWay<W>(), spec, in, out, n, x, w, dy, dx, dw, db);
  else {
    using Kind = detail::CudnnKind;
    constexpr float* none = nullptr;
    const auto of = [&](Kind kind) { return detail::CudnnConvolution::of<T>(kind, spec, in, out, n); };
    const int taps = int(spec.window.k * spec.window.k * of(Kind::forward).channels());
    const Index weights = Index(taps) * out.c;
    if (dx)
      detail::with_cudnn(dev, of(Kind::gradient_of_x), weights * Index(sizeof(T)), true, [&] { conv_backward(dev, OwnWay<W>(), spec, in, out, n, x, w, dy, dx, none, none); }, [&](const auto& run) {
        T* const turned = reinterpret_cast<T*>(dev.arena());
        parallel_for(dev, weights, kernels::CudnnWeights<T>{taps, out.c, w, turned});
        run(dx, turned, dy);
        if (std::is_same_v<T, tf32>) parallel_for(dev, n * size(in), kernels::CudnnOutput<T>{dx, nullptr, in.c, Clamp()});
      });
    if (dw)
      detail::with_cudnn(dev, of(Kind::gradient_of_w), weights * Index(sizeof(T)), dev.writes_gradients, [&] { conv_backward(dev, OwnWay<W>(), spec, in, out, n, x, w, dy, static_cast<T*>(nullptr), dw, db); },
                         [&](const auto& run) {
        using Stored = detail::CudnnStored<T>;
        Stored* const turned = reinterpret_cast<Stored*>(dev.arena());
        run(x, turned, dy);
        parallel_for(dev, weights, kernels::CudnnWeightGradient<Stored>{taps, out.c, turned, dw, dev.writes_gradients});
        if (db) detail::add_bias_gradient(dev, spec, in, out, n, kernels::PlainGradient<T>{dy, out.h, out.w, out.c}, db);
      });
  }
}

template <class Base, int W, class T> requires CudnnWay<W> Index conv_arena(const WithCudnn<Base>& dev, Way<W>, T number, ConvSpec spec, Shape in, Shape out, Index n) {
  return std::max(conv_arena(dev, OwnWay<W>(), number, spec, in, out, n), dev.scratch_wanted());
}
template <class Base, int W, class T> requires CudnnWay<W> && requires(const Base& dev) { conv_forward_arena(dev, OwnWay<W>(), T(), ConvSpec(), Shape(), Shape(), 1); }
Index conv_forward_arena(const WithCudnn<Base>& dev, Way<W>, T number, ConvSpec spec, Shape in, Shape out, Index n) {
  return std::max(conv_forward_arena(dev, OwnWay<W>(), number, spec, in, out, n), dev.scratch_wanted());
}

}  // namespace lamina
