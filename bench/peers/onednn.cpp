// The leaf network in oneDNN's primitives, at their best: onednn --mode train|predict [--size 64] [--batch 32] [--threads 0] [--seconds 3] [--json]
// Formats are oneDNN's choice ("any"), ReLU is a post-op of the forward pass, primitives and memory are made once, and ReLU's gradient is taken behind the pooling,
// where it is the same and a quarter the size. Loss and update are loops, since no primitive does them in one pass. Its gradients equal PyTorch's.
// install.sh builds it, for oneDNN 3 with its CPU on OpenMP or on SYCL.
#include <omp.h>
#include <sched.h>

#include <cmath>
#include <functional>
#include <oneapi/dnnl/dnnl.hpp>
#include <random>
#include <unordered_map>

#include "../work.hpp"

using namespace dnnl;
using Dims = memory::dims;
using Format = memory::format_tag;
using Args = std::unordered_map<int, memory>;

namespace {

memory::desc desc(const Dims& dims, Format format = Format::any) { return {dims, memory::data_type::f32, format}; }
float* numbers(const memory& m) { return static_cast<float*>(m.get_data_handle()); }   // SYCL's too: its memory is shared with the host
std::ptrdiff_t count(const memory& m) { return std::ptrdiff_t(m.get_desc().get_size() / sizeof(float)); }   // padding included

class LeafNet {
 public:
  LeafNet(const bench::Work& work) : training_(work.mode == "train"), n_(work.batch), engine_(engine::kind::cpu, 0), stream_(engine_) {
    memory x;
    for (const int channels : {32, 64, 128}) x = pool(conv(x, x ? x.get_desc().get_dims() : Dims{n_, 3, work.size, work.size}, channels));
    x = dense(x, 128, true);
    scores_ = as(forward_, dense(x, bench::classes, false), desc({n_, bench::classes}, Format::nc));
    if (training_) {
      dscores_ = make(scores_.get_desc());
      memory dy = dscores_;
      for (std::size_t i = gradients_.size(); i-- > 0;) dy = gradients_[i](dy);
    }
  }

  long long parameters() const { return parameters_; }
  void predict() { run(forward_); }
  /// The mean loss of the step.
  double train() {
    run(forward_);
    const double loss = cross_entropy();
    run(backward_);
    for (const Learned& l : learned_) update(numbers(l.w), numbers(l.dw), numbers(l.v), count(l.w));
    return loss;
  }

 private:
  struct Call { primitive what; Args with; };
  using Calls = std::vector<Call>;
  struct Learned { memory w, dw, v; };   // of one format

  memory make(const memory::desc& d) const {
    const memory m(d, engine_);
    std::memset(m.get_data_handle(), 0, d.get_size());
    return m;
  }
  /// `m` in another format, brought there by a call if it is not there.
  memory as(Calls& calls, const memory& m, const memory::desc& d) const {
    if (m.get_desc() == d) return m;
    const memory to = make(d);
    calls.push_back({reorder(m, to), {{DNNL_ARG_FROM, m}, {DNNL_ARG_TO, to}}});
    return to;
  }
  void run(Calls& calls) {
    for (Call& c : calls) c.what.execute(stream_, c.with);
    stream_.wait();
  }
  prop_kind kind() const { return training_ ? prop_kind::forward_training : prop_kind::forward_inference; }

  memory noise(const memory::desc& d, float most) {
    const memory m = make(d);
    std::uniform_real_distribution<float> between(-most, most);
    for (std::ptrdiff_t i = 0; i < count(m); ++i) numbers(m)[i] = between(random_);
    return m;
  }
  /// Uniform within the square root of 6 / fan_in, in `plain`, then in the format the forward pass wants: its padding must be 0.
  memory weights(const memory::desc& plain, const memory::desc& wanted) {
    const Dims taps = plain.get_dims();
    const auto count = plain.get_size() / sizeof(float);
    const float fan_in = float(count) / float(taps[0]);
    parameters_ += (long long)count + taps[0];   // and as many biases as outputs
    Calls once;
    const memory in_format = as(once, noise(plain, std::sqrt(6 / fan_in)), wanted);
    run(once);
    return in_format;
  }
  memory gradient_of(const memory& w) {
    learned_.push_back({w, make(w.get_desc()), make(w.get_desc())});
    return learned_.back().dw;
  }
  static primitive_attr with_relu(bool relu) {
    primitive_attr attributes;
    post_ops ops;
    if (relu) ops.append_eltwise(algorithm::eltwise_relu, 0, 0);
    attributes.set_post_ops(ops);
    return attributes;
  }

  /// The gradients of a layer with weights: dw and db from x and dy and, unless it is the first layer, dx from w and dy.
  template <class Weights, class Data>
  memory backward(const Weights& of_weights, const Data* of_data, const memory& x, const memory& w, const memory& dw, const memory& db, const memory& dy) {
    const memory dw_there = dw.get_desc() == of_weights.diff_weights_desc() ? dw : make(of_weights.diff_weights_desc());
    const memory x_there = as(backward_, x, of_weights.src_desc()), dy_there = as(backward_, dy, of_weights.diff_dst_desc());
    backward_.push_back({primitive(of_weights), {{DNNL_ARG_SRC, x_there}, {DNNL_ARG_DIFF_DST, dy_there}, {DNNL_ARG_DIFF_WEIGHTS, dw_there}, {DNNL_ARG_DIFF_BIAS, db}}});
    if (dw_there != dw) backward_.push_back({reorder(dw_there, dw), {{DNNL_ARG_FROM, dw_there}, {DNNL_ARG_TO, dw}}});
    if (!of_data) return {};
    const memory dy_for_data = as(backward_, dy, of_data->diff_dst_desc()), w_for_data = as(backward_, w, of_data->weights_desc()), dx = make(of_data->diff_src_desc());
    backward_.push_back({primitive(*of_data), {{DNNL_ARG_DIFF_DST, dy_for_data}, {DNNL_ARG_WEIGHTS, w_for_data}, {DNNL_ARG_DIFF_SRC, dx}}});
    return dx;
  }

  /// relu(3x3 convolution); the first one, without `from`, makes the pictures, in the format it likes.
  memory conv(const memory& from, const Dims& in, int channels) {
    const Dims out{n_, channels, in[2], in[3]}, taps{channels, in[1], 3, 3}, one{1, 1};
    const bool first = !from;
    const auto any_x = desc(in), any_w = desc(taps), any_y = desc(out), bias = desc({channels}, Format::x);
    const convolution_forward::primitive_desc p(engine_, kind(), algorithm::convolution_auto, any_x, any_w, bias, any_y, one, one, one, with_relu(true));
    const memory x = first ? noise(p.src_desc(), 1) : as(forward_, from, p.src_desc());
    const memory w = weights(desc(taps, Format::oihw), p.weights_desc()), b = make(bias), y = make(p.dst_desc());
    forward_.push_back({convolution_forward(p), {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_BIAS, b}, {DNNL_ARG_DST, y}}});
    if (training_) {
      const memory dw = gradient_of(w), db = gradient_of(b);
      gradients_.push_back([=, this](const memory& dy) {
        const convolution_backward_weights::primitive_desc of_weights(engine_, algorithm::convolution_auto, any_x, any_w, bias, any_y, one, one, one, p);
        const convolution_backward_data::primitive_desc of_data(engine_, algorithm::convolution_auto, any_x, any_w, any_y, one, one, one, p);
        return backward(of_weights, first ? nullptr : &of_data, x, w, dw, db, dy);
      });
    }
    return y;
  }

  /// 2x2 max pooling of what has been through ReLU.
  memory pool(const memory& x) {
    const Dims in = x.get_desc().get_dims(), out{in[0], in[1], in[2] / 2, in[3] / 2}, two{2, 2}, none{0, 0};
    const pooling_forward::primitive_desc p(engine_, kind(), algorithm::pooling_max, x.get_desc(), desc(out), two, two, none, none, none);
    const memory y = make(p.dst_desc());
    Args with{{DNNL_ARG_SRC, x}, {DNNL_ARG_DST, y}};
    if (training_) {
      const memory winners = with[DNNL_ARG_WORKSPACE] = make(p.workspace_desc());
      gradients_.push_back([=, this](const memory& dy_there) {
        const memory dy = as(backward_, dy_there, y.get_desc()), dx = make(x.get_desc());
        relu_gradient(y, dy);
        const pooling_backward::primitive_desc back(engine_, algorithm::pooling_max, dx.get_desc(), dy.get_desc(), two, two, none, none, none, p);
        backward_.push_back({pooling_backward(back), {{DNNL_ARG_DIFF_DST, dy}, {DNNL_ARG_WORKSPACE, winners}, {DNNL_ARG_DIFF_SRC, dx}}});
        return dx;
      });
    }
    forward_.push_back({pooling_forward(p), with});
    return y;
  }

  memory dense(const memory& from, int outputs, bool relu) {
    Dims taps = from.get_desc().get_dims();
    const Dims in = taps;
    taps[0] = outputs;
    const auto any_x = desc(in), any_w = desc(taps), any_y = desc({n_, outputs}), bias = desc({outputs}, Format::x);
    const inner_product_forward::primitive_desc p(engine_, kind(), any_x, any_w, bias, any_y, with_relu(relu));
    const memory x = as(forward_, from, p.src_desc()), w = weights(desc(taps, taps.size() == 4 ? Format::oihw : Format::oi), p.weights_desc());
    const memory b = make(bias), y = make(p.dst_desc());
    forward_.push_back({inner_product_forward(p), {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_BIAS, b}, {DNNL_ARG_DST, y}}});
    if (training_) {
      const memory dw = gradient_of(w), db = gradient_of(b);
      gradients_.push_back([=, this](const memory& dy_there) {
        memory dy = dy_there;
        if (relu) relu_gradient(y, dy = as(backward_, dy, y.get_desc()));
        const inner_product_backward_weights::primitive_desc of_weights(engine_, any_x, any_w, bias, any_y, p);
        const inner_product_backward_data::primitive_desc of_data(engine_, any_x, any_w, any_y, p);
        return backward(of_weights, &of_data, x, w, dw, db, dy);
      });
    }
    return y;
  }

  /// dy of relu becomes its dx, where it lies.
  void relu_gradient(const memory& y, const memory& dy) {
    const auto d = y.get_desc();
    const auto kind = algorithm::eltwise_relu_use_dst_for_bwd;
    const eltwise_forward::primitive_desc p(engine_, prop_kind::forward_training, kind, d, d, 0.f);
    const eltwise_backward::primitive_desc back(engine_, kind, d, d, d, 0.f, p);
    backward_.push_back({eltwise_backward(back), {{DNNL_ARG_DST, y}, {DNNL_ARG_DIFF_DST, dy}, {DNNL_ARG_DIFF_SRC, dy}}});
  }

  /// The labels are 0, 1, ..., 9, 0, ... The gradient is that of the mean.
  double cross_entropy() {
    const float* y = numbers(scores_);
    float* dy = numbers(dscores_);
    double loss = 0;
    for (int i = 0; i < n_; ++i, y += bench::classes, dy += bench::classes) {
      const float top = *std::max_element(y, y + bench::classes);
      float sum = 0;
      for (int k = 0; k < bench::classes; ++k) sum += dy[k] = std::exp(y[k] - top);
      loss += std::log(sum) - (y[i % bench::classes] - top);
      for (int k = 0; k < bench::classes; ++k) dy[k] = (dy[k] / sum - float(k == i % bench::classes)) / float(n_);
    }
    return loss / n_;
  }

  static void update(float* w, const float* dw, float* v, std::ptrdiff_t n) {
#pragma omp parallel for simd
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      v[i] = float(bench::momentum) * v[i] + dw[i];
      w[i] -= float(bench::rate) * v[i];
    }
  }

  bool training_;
  int n_;
  long long parameters_ = 0;
  engine engine_;
  stream stream_;
  std::mt19937 random_{1};
  memory scores_, dscores_;
  Calls forward_, backward_;
  std::vector<std::function<memory(const memory&)>> gradients_;   // from dy, of each layer, they add the calls to backward_ and tell dx
  std::vector<Learned> learned_;
};

/// SYCL takes as many threads as it has processors: this leaves it the first `count` of them.
void on_processors(int count) {
  cpu_set_t all, some;
  CPU_ZERO(&some);
  if (sched_getaffinity(0, sizeof all, &all)) return;
  for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&some) < count; ++i)
    if (CPU_ISSET(i, &all)) CPU_SET(i, &some);
  sched_setaffinity(0, sizeof some, &some);
}

}  // namespace

int main(int argc, char** argv) try {
  const bench::Work work = bench::Work::of("onednn", "", argc, argv);
  if (work.net != "leaf") return std::fprintf(stderr, "onednn: it has the leaf network only\n"), 2;
  const int threads = work.threads ? work.threads : omp_get_num_procs();
  omp_set_num_threads(threads);
  const dnnl_version_t& v = *dnnl_version();
  if (v.cpu_runtime == DNNL_RUNTIME_SYCL) on_processors(threads);
  LeafNet net(work);
  bench::Steps steps(work.seconds);
  double loss = -1;
  do {
    if (work.mode == "train") loss = net.train();
    else net.predict();
  } while (steps.next());
  const std::string version = std::to_string(v.major) + "." + std::to_string(v.minor) + "." + std::to_string(v.patch);
  bench::report(work, {"oneDNN", v.cpu_runtime == DNNL_RUNTIME_OMP ? "OpenMP" : "SYCL", version, threads, net.parameters(), loss}, steps);
} catch (const std::exception& e) {
  return std::fprintf(stderr, "onednn: %s\n", e.what()), 1;
}
