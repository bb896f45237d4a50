/// The launches of a training step on the emulator, with the bytes of device memory that each moves, and what a plan that moves no more than it must would move.
#pragma once
#include "emulator/emulated.hpp"

#include <lamina/lamina.hpp>

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lamina_test {

/// Bytes are distinct 32-byte sectors of a launch: what memory serves if a launch finds in a cache whatever it asks for again, and nothing of what the launch before it left.
struct LaunchBytes {
  std::string kernel;
  lamina::Index blocks;
  double read = 0, written = 0;
  bool counted = false;                        // it ran, and is no functor: of those nobody counts bytes
};

/// An emulated GPU that keeps them, and runs the kernels that it shall.
class Itemised : public Emulated {
 public:
  using Runs = bool (*)(std::string_view kernel);
  explicit Itemised(Runs runs) : runs_(runs), launches_(std::make_shared<std::vector<LaunchBytes>>()) {}

  std::vector<LaunchBytes>& launches() const { return *launches_; }
  template <class Kernel, class... Arguments> void launch(lamina::Grid grid, Arguments... arguments) {
    LaunchBytes now{kernel_name<Kernel>(), lamina::Index(grid.x) * grid.y * grid.z};
    if (runs_(now.kernel)) {
      const lamina::simt::Counters before = counters();
      Emulated::launch<Kernel>(grid, arguments...);
      const lamina::simt::Counters& after = counters();
      now.read = double(after.distinct_read_bytes - before.distinct_read_bytes), now.written = double(after.distinct_written_bytes - before.distinct_written_bytes);
      now.counted = true;
    }
    launches_->push_back(std::move(now));
  }
  template <class F> void for_each(lamina::Index n, F f) {
    if (!n) return;
    launches_->push_back({kernel_name<F>(), lamina::pieces(n, 256)});
    Emulated::for_each(n, f);
  }
  Itemised fork() { return Itemised(Emulated::fork(), *this); }

 private:
  Itemised(Emulated fork, const Itemised& of) : Emulated(std::move(fork)), runs_(of.runs_), launches_(of.launches_) {}
  template <class Kernel> static std::string kernel_name() {
    std::string all = __PRETTY_FUNCTION__;
    all = all.substr(all.find("Kernel = ") + 9);
    all.resize(std::min({all.size() - 1, all.find("; std::string"), all.find(']')}));
    for (const char* space : {"lamina::", "kernels::", "emulated::", "detail::"})
      for (std::size_t at; (at = all.find(space)) != all.npos;) all.erase(at, std::strlen(space));
    return all;
  }
  Runs runs_;
  std::shared_ptr<std::vector<LaunchBytes>> launches_;
};

/// The launches of a step of `Net` in bf16 with cross-entropy and Adam, with n samples; those of `runs` are counted.
template <class Net> std::vector<LaunchBytes> step_launches(lamina::Index n, Itemised::Runs runs) {
  const Itemised dev(runs);
  lamina::Model<Net, Itemised, lamina::bf16> model({.batch = n, .seed = 1}, dev);
  lamina::OptimizerState<lamina::Adam, Itemised, float> adam(model.device(), {}, model.parameter_count);
  const std::vector<float> x(std::size_t(n * size(Net::input)));
  const std::vector<std::int32_t> label(static_cast<std::size_t>(n));
  model.forward(x.data(), 1);                                     // from here on there is a low-precision copy of the parameters, which the optimizer keeps up
  model.forward_training({.n = n, .x = x.data(), .label = label.data()});
  dev.launches().clear();
  model.learn(adam, 1e-3);
  return dev.launches();
}

/// A step with n samples: what does not convolve is counted as it is; convolutions are counted with 1 and 2 samples, and carried on by what a sample adds. Where they have fewer thread
/// blocks with n samples than would follow, each block writes as much as with 2: partial sums of gradients.
inline bool convolves(std::string_view kernel) { return kernel.find("Conv") != kernel.npos; }
inline bool other(std::string_view kernel) { return !convolves(kernel); }
class CarriedSteps {
 public:
  template <class Net> static CarriedSteps of() {
    CarriedSteps s;
    s.one_ = step_launches<Net>(1, &convolves), s.two_ = step_launches<Net>(2, &convolves);
    return s;
  }
  template <class Net> std::vector<LaunchBytes> with(lamina::Index n) const {
    std::vector<LaunchBytes> all = step_launches<Net>(n, &other);
    if (all.size() != one_.size() || all.size() != two_.size()) throw lamina::Error("a step with ", n, " samples has ", all.size(), " launches, and with one ", one_.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
      const LaunchBytes &one = one_[i], &two = two_[i];
      if (!convolves(all[i].kernel)) continue;
      if (all[i].kernel != two.kernel) throw lamina::Error(all[i].kernel, " takes the place of ", two.kernel, " with ", n, " samples");
      const auto carried = [&](double with_one, double with_two) { return with_one + (with_two - with_one) * double(n - 1); };
      const bool grows = double(all[i].blocks) == carried(double(one.blocks), double(two.blocks));
      all[i].read = carried(one.read, two.read), all[i].counted = one.counted && two.counted;
      all[i].written = grows ? carried(one.written, two.written) : two.written * double(all[i].blocks) / double(two.blocks);
    }
    return all;
  }

 private:
  std::vector<LaunchBytes> one_, two_;
};

/// What a step must move: pictures as bytes, every other tensor between the steps as bf16, codes as they are. A step reads x and writes y and its codes; on the way back it reads what it
/// kept, dy and the codes, these once for the gradient of its input and once for that of its parameters, and writes dx. A parameter takes 30 bytes of Adam, which reads p, its gradient and two
/// slots and writes p, the slots and the low-precision copy, and 2 for the forward pass to read that.
struct IdealBytes { double of_sample = 0, of_parameters = 0; };
template <class D, class T> IdealBytes ideal_bytes(const lamina::ProgramView<D, T>& program) {
  IdealBytes all{0, 32 * double(program.parameters)};
  for (const auto& r : program.steps) {
    if (!r.forward) continue;
    const double x = double(size(r.in)) * (r.x == 0 ? 1 : sizeof(T)), y = double(size(r.out)) * sizeof(T), codes = double(r.need.codes);
    const bool learns = r.place.parameters > 0;
    all.of_sample += x + y + codes;
    if (!learns && !r.wants_dx) continue;
    all.of_sample += (keeps(r.need.keep, lamina::Keep::input) ? x : 0) + (keeps(r.need.keep, lamina::Keep::output) ? y : 0) + (learns + r.wants_dx) * (y + codes) + (r.wants_dx ? x : 0);
  }
  return all;
}

}  // namespace lamina_test
