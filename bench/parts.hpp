/// The steps of a network on the CPU, one at a time: what a training step runs, layer by layer and fused as there, but every tensor has memory of its own.
#pragma once
#include <lamina/lamina.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bench {

/// Floating-point operations of a layer by its direct formula, per sample, a multiply-add counting as two. Backward has those of forward for the gradient of what it
/// learns, and as many for that of its input. A whole training step is three times the forward pass, but for the first layer, whose input needs no gradient, and for what
/// learns nothing.
template <class O> double direct_flops(const lamina::Row<O>& r, bool backward) {
  return double(r.need.flops) * (backward ? (r.place.parameters > 0) + r.wants_dx : 1);
}

/// Bytes of the tensors that a step reads and writes, each once, per sample; a number of an activation has `number` bytes.
template <class O> double tensor_bytes(const lamina::Row<O>& r, bool backward, double number) {
  const double x = double(size(r.in)) * number, y = double(size(r.out)) * number, left = double(r.need.codes) + double(r.need.saved) * number;
  if (!backward) return (r.role == lamina::Role::add ? 2 : 1) * x + y + left;
  const double kept = (keeps(r.need.keep, lamina::Keep::input) ? x : 0) + (keeps(r.need.keep, lamina::Keep::output) ? y : 0);
  return kept + (r.role == lamina::Role::split ? 2 : 1) * y + (r.wants_dx ? x : 0) + left;
}

class Parts {
 public:
  using Program = lamina::ProgramView<lamina::Cpu, float>;
  using Row = lamina::Row<lamina::OpOn<lamina::Cpu, float>>;

  /// Pictures x (n, H, W, C) between -1 and 1, weights as a model begins with, and gradients of the scores between -1 and 1 / n.
  Parts(const Program& program, lamina::Index n, lamina::Cpu device)
      : program_(program), n_(n), device_(std::move(device)), w_(block(program.parameters)), dw_(block(program.parameters)), state_(block(program.state)),
        statistics_(block(program.statistics)) {
    const lamina::PlanView& plan = program.training;
    lamina::Index arena = 0, ready = 0;
    for (std::size_t i = 0; i < count(); ++i) {
      const lamina::Uses& u = plan.uses[i];
      for (int id : {u.x, u.y, u.z, u.dx, u.dy, u.dz, u.saved, u.codes, u.scratch}) give(id, id > 0 ? n * plan.tensors[id].size : n * size(program.input) * 4);
      const Row& r = row(i);
      if (r.arena) arena = std::max(arena, r.arena(device_, r.in, n));
      if (r.gathers && r.arena) worker_ = std::max(worker_, (r.arena(device_.alone(nullptr), r.in, n) + 63) / 64 * 64);
      if (r.prepare) ready = std::max(ready, r.prepared(device_, r.in));
      if (r.gathers) ready = std::max(ready, lamina::shares * r.part(device_, r.in) + (r.turn ? r.turned(device_, r.in) : 0));
    }
    device_.reserve(std::size_t(std::max(arena, device_.threads() * worker_)));
    ready_ = block(ready);
    for (const auto& layer : program.layers)
      if (layer.init) layer.init(layer.in, {lamina::Init::he_uniform, {1, lamina::Stream::initialize, std::uint32_t(layer.layer)}}, w_->data() + layer.w, state_->data() + layer.state_at);
    fill(0, size(program.input), 1);
    fill(plan.dy, size(program.output), 1.f / float(n));
  }

  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;

  const Program& program() const { return program_; }
  std::size_t count() const { return program_.steps.size(); }
  const Row& row(std::size_t i) const { return program_.steps[i]; }
  lamina::Cpu& device() { return device_; }
  float* parameters() { return w_->data(); }
  float* gradients() { return dw_->data(); }

  bool has_forward(std::size_t i) const { return row(i).forward; }
  bool has_backward(std::size_t i) const { return (row(i).backward || row(i).gathers) && (row(i).wants_dx || row(i).place.parameters); }
  /// y = of what the steps before left.
  void forward(std::size_t i) {
    const Row& r = row(i);
    lamina::Step<float> s = step(i);
    if (r.prepare) r.prepare(device_, r.in, s.w, s.state, ready_->data()), s.w = ready_->data();
    r.forward(device_, s);
  }
  /// dw +=, dx = of what the steps behind left.
  void backward(std::size_t i) {
    const Row& r = row(i);
    if (r.gathers) gather(r, step(i));
    else r.backward(device_, step(i));
  }

  /// "Conv<32, 3> ReLU MaxPool<2>"
  std::string name(std::size_t i) const {
    std::string all;
    for (const auto& layer : program_.layers)
      if (layer.layer >= row(i).layer && layer.layer < row(i).layer + row(i).layers)
        for (const lamina::SummaryRow& r : lamina::summary_rows({&layer, 1})) all += (all.empty() ? "" : " ") + r.layer;
    return all.empty() ? "Split" : all;    // which a summary leaves out
  }
  /// "64x64x3 -> 32x32x32"
  std::string shapes(std::size_t i) const { return lamina::text(row(i).in, " -> ", row(i).out).s; }
  /// By the direct formula, of all samples.
  double flops(std::size_t i, bool backward) const { return double(n_) * direct_flops(row(i), backward); }
  /// Bytes of the tensors that it reads and writes, each once; dw is read and written.
  double bytes(std::size_t i, bool backward) const {
    return double(n_) * tensor_bytes(row(i), backward, 4) + (backward ? 3 : 1) * double(row(i).place.parameters) * 4;
  }

 private:
  using Memory = lamina::Buffer<lamina::Cpu, float>;

  void gather(const Row& r, lamina::Step<float> s) {
    float *const parts = ready_->data(), *const turned = parts + lamina::shares * r.part(device_, r.in);
    if (r.turn && s.dx) r.turn(device_, r.in, s.w, turned), s.w = turned;
    std::fill(parts, turned, 0.f);
    device_.run(lamina::shares, [&](lamina::Index share, int worker) {
      lamina::Cpu alone = device_.alone(device_.arena() + worker * worker_);
      const lamina::Index first = lamina::first_of_share(share, n_);
      lamina::Step<float> of_share = s;
      of_share.n = lamina::first_of_share(share + 1, n_) - first;
      of_share.x += first * size(r.in), of_share.dy += first * size(r.out), of_share.codes += first * r.need.codes;
      if (s.dx) of_share.dx += first * size(r.in);
      r.gather(alone, of_share, parts + share * r.part(device_, r.in));
    });
    r.finish(device_, s, parts);
  }
  std::unique_ptr<Memory> block(lamina::Index count) {
    auto memory = std::make_unique<Memory>(device_, count);
    std::fill_n(memory->data(), count, 0.f);
    return memory;
  }
  void give(int id, lamina::Index bytes) {
    if (id < 0) return;
    if (std::size_t(id) >= tensors_.size()) tensors_.resize(std::size_t(id) + 1);
    if (!tensors_[std::size_t(id)]) tensors_[std::size_t(id)] = block((bytes + 3) / 4);
  }
  float* at(int id) const { return id < 0 ? nullptr : tensors_[std::size_t(id)]->data(); }
  void fill(int id, lamina::Index numbers, float bound) {
    const lamina::Random random(1, lamina::Stream::picture);
    for (lamina::Index k = 0; k < n_ * numbers; ++k) at(id)[k] = float(random.uniform(k, -bound, bound));
  }
  lamina::Step<float> step(std::size_t i) const {
    const Row& r = row(i);
    const lamina::Uses& u = program_.training.uses[i];
    return {.in = r.in, .out = r.out, .n = n_, .first = 0, .training = true, .random = {1, lamina::Stream::dropout, std::uint32_t(r.layer)}, .clock = &clock_,
            .w = w_->data() + r.w, .dw = dw_->data() + r.w, .state = state_->data() + r.state_at, .x = at(u.x), .y = at(u.y), .dy = at(u.dy), .dx = at(u.dx), .z = at(u.z),
            .dz = at(u.dz), .saved = at(u.saved), .codes = reinterpret_cast<std::uint8_t*>(at(u.codes)), .statistics = statistics_->data() + r.statistics,
            .scratch = at(u.scratch)};
  }

  const Program& program_;
  lamina::Index n_;
  lamina::Cpu device_;
  std::uint32_t clock_ = 0;
  lamina::Index worker_ = 0;                       // bytes of a worker's arena
  std::unique_ptr<Memory> ready_, w_, dw_, state_, statistics_;
  std::vector<std::unique_ptr<Memory>> tensors_;   // by their number in the plan
};

}  // namespace bench
