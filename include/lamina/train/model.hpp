/// A network with memory on a device: one block of parameters, one of gradients, one of state, one workspace.
#pragma once
#include <cstring>
#include <string>
#include <vector>

#include "../core/batch.hpp"
#include "../core/device.hpp"
#include "../core/error.hpp"
#include "../core/tree.hpp"
#include "../nn/loss.hpp"
#include "../nn/network.hpp"
#include "../nn/program.hpp"
#include "batch_that_fits.hpp"
#include "class_weights.hpp"
#include "inputs.hpp"
#include "passes.hpp"
#include "recordings.hpp"

namespace lamina {

namespace detail {
/// What a run of batches adds up to, kept on the device until it is asked for.
struct Totals {
  double losses[shares] = {};   // summed over the samples of the first share of each batch, the second ...
  std::int64_t samples = 0, correct = 0;
  double loss() const { return tree_sum_at<shares>(losses); }
};
template <class T> struct Tally {
  const T* y; const Master<T>* loss; const std::int32_t* label; const Master<T>* target; Shares cut; Index n, c; Totals* totals;   // (N, C), (N), (N) or null, (N, C) or null
  template <class U> LAMINA_HD static Index largest(const U* p, Index c) {
    Index best = 0;
    for (Index k = 1; k < c; ++k) best = p[k] > p[best] ? k : best;
    return best;
  }
  LAMINA_HD void operator()(Index) const {
    for (Index share = 0; share < cut.count; ++share)
      for (Index i = cut.begin(share); i < cut.begin(share + 1); ++i) totals->losses[share] += double(loss[i]);
    for (Index i = 0; i < n; ++i) totals->correct += largest(y + i * c, c) == (target ? largest(target + i * c, c) : Index(label[i]));
    totals->samples += n;
  }
};
}  // namespace detail
using detail::Totals;

/// One named tensor of a model: where it lies in the block of parameters or of state.
struct NamedTensor { std::string name; Dims dims; Index at; bool learned; };

/// A model without the type of its network: what fit, evaluate, checkpoints and callbacks work on.
template <Device D, class T = float, class Loss = CrossEntropy<>> class ModelBase {
  static_assert(is_number<T>, "a model computes in float or double, or stores what is between its layers as bf16 or tf32");
  static constexpr bool has_low = !std::is_same_v<T, Master<T>>;

 public:
  using Number = T;                        // of scores
  using Parameter = Master<T>;             // of parameters, gradients, state and losses
  using DeviceType = D;

  struct Options {
    Index batch = 32;                      // the largest number of samples it is ever given
    std::uint64_t seed = 0;
    Init init = Init::he_uniform;
    Loss loss = {};
    Index kept_pictures = Index(1) << 62;  // bytes of a device's memory, at most, for the pictures of data sets, on a device that changes them itself
  };
  /// Batches may be pictures as bytes.
  static constexpr bool takes_pictures = detail::Inputs<D, T>::takes_pictures;

  /// Throws Error if the options make no sense. `program` is kept.
  [[gnu::cold]] ModelBase(const ProgramView<D, T>& program, Options options, D device)
      : program_(program), device_(std::move(device)), batch_(fitting(program, device_, positive(options.batch))), kept_pictures_(options.kept_pictures), seed_(options.seed), loss_of_(std::move(options.loss)),
        w_(device_, program.parameters), dw_(device_, program.parameters), state_(device_, program.state), statistics_(device_, program.statistics),
        loss_(device_, batch_ + 1), constants_(device_, Index(loss_of_.constants(size(program.output)).size())), low_(device_, has_low ? program.parameters : 0), clock_(device_, 1), totals_(device_, 1),
        inputs_(device_, batch_, size(program.input), size(program.output)), weights_(loss_of_, replica_),
        passes_(device_, program.steps, {batch_, program.at_once, program.workspace(1), program.inner(1)}, true) {
    const std::vector<double> given = loss_of_.constants(size(program.output));
    const std::vector<Parameter> constants(given.begin(), given.end());
    device_.upload(constants_.data(), constants.data(), constants_.bytes());
    if constexpr (requires { loss_of_.arena(device_, T(), batch_, batch_); }) device_.reserve(std::size_t(loss_of_.arena(device_, T(), batch_, size(program.output))));
    initialise(options.init);
  }

  ModelBase& base() { return *this; }
  const ProgramView<D, T>& program() const { return program_; }
  D& device() { return device_; }
  Index batch() const { return batch_; }
  const Loss& loss() const { return loss_of_; }
  std::uint64_t seed() const { return seed_; }
  Parameter* parameters() { return catch_up(), stale_ = has_low, w_.data(); }     // (program().parameters), in device memory, as all of these; to be written to before the next pass
  Parameter* gradients() { return open_gradients(), dw_.data(); }     // (program().parameters); to be asked for anew after learn()
  Parameter* state() { return catch_up(), state_.data(); }            // (program().state)

  /// Class scores (N, classes) of n pictures x (N, H, W, C) in host memory; they hold until the next call.
  const T* forward(const float* x, Index n) {
    catch_up();
    work_on(n, 0);
    now_ = Now(), now_.x = inputs_.pictures(device_, x, n), now_.n = n;
    play(Pass::inference, [&] { run(program_.inference, false); });
    return at(program_.inference, program_.inference.y, now_.x, n);
  }

  /// The first half of a training step: scores and losses of a batch in host memory, and their totals. `total` samples share the mean (0: this batch alone);
  /// `first` is the place of its first sample among them.
  void forward_training(const Batch& b, Index total = 0, Index first = 0) {
    catch_up();
    bring(b, total ? total : b.n, first);
    waits_ = true;
    if constexpr (!Records<D>) catch_up();
  }
  /// The first half once more, with the batch that is on the device.
  void repeat() requires Records<D> { catch_up(), waits_ = true; }
  /// The second half: adds the gradient of the mean loss to gradients().
  void backward() { backward([](Index) {}); }
  /// The same; done(at) is called as soon as the gradients of the parameters from `at` on are there, of a device that works as it is told to.
  template <class Done> void backward(const Done& done) {
    catch_up();
    open_gradients();
    play(Pass::backward, [&] { backward(nullptr, false, false, [&](std::size_t i) { if (program_.steps[i].place.parameters) done(program_.steps[i].w); }); });
  }
  /// The same, and the step of layers that learn together with other replicas: of these done() is called too, and their gradients are zero before and after.
  template <class Done> void backward(const Learner<Parameter>& learner, const Done& done) {
    catch_up();
    open_gradients();
    play(Pass::backward, [&] { backward(&learner, false, false, [&](std::size_t i) { if (program_.steps[i].place.parameters) done(program_.steps[i].w); }); });
  }
  /// The second half and a step of the optimizer. The gradients are zero before, and again after, to whoever asks for them: a layer that can updates its parameters while it has their
  /// gradients at hand, and where a device writes gradients they stay, until somebody asks. The bits are those of backward(), step() and zero_gradients().
  template <class Optimizer> void learn(Optimizer& optimizer, double rate) {
    optimizer.set_clock(rate);
    if constexpr (requires { optimizer.learner(); }) {
      const Learner<T> learner = optimizer.learner();
      backward(&learner, false, false);
      each_stretch([&](std::size_t i) { return program_.steps[i].learn ? program_.steps[i].place.parameters : 0; }, [&](Index at, Index count) {
        optimizer.update(at, w_.data() + at, dw_.data() + at, count), parallel_for(device_, count, detail::Zero<T>{dw_.data() + at});
      });
    } else learn_on_device<has_low && Optimizer::updates_dense>(optimizer, [](std::size_t) {}, [] {});
  }
  /// The same of a replica on a device that records, with sums over the replicas that are work for it: done(at, gradients, beside) is called when the gradients of the parameters from `at` on
  /// are launched, some of them perhaps on a second queue, beside(f) calling f(device) of it, and all_done() before the first is used.
  template <class Optimizer, class Done, class AllDone> void learn(Optimizer& optimizer, double rate, const Done& done, const AllDone& all_done) requires Records<D> {
    optimizer.set_clock(rate);
    const auto of_step = [&](std::size_t i) { if (program_.steps[i].place.parameters) done(program_.steps[i].w, dw_.data(), [&](const auto& f) { passes_.beside(f); }); };
    learn_on_device<false>(optimizer, of_step, all_done);
  }
  void backpropagate(const Batch& b, Index total = 0, Index first = 0) { forward_training(b, total, first), backward(); }
  /// Losses (N) of the last batch, in device memory.
  const Parameter* losses() { return catch_up(), loss_.data(); }
  /// Scores (N, classes) of the last training batch, in device memory, until backward().
  const T* scores() { return catch_up(), at(program_.training, program_.training.y, now_.x, now_.n); }

  /// Loss and accuracy of a batch in evaluation are added to the totals; the scores (N, classes) are returned.
  const T* evaluate(const Batch& b) {
    catch_up();
    bring(b, detail::whole(b), 0);
    play(Pass::evaluation, [&] { run(program_.inference, false), evaluate(program_.inference); });
    return at(program_.inference, program_.inference.y, now_.x, now_.n);
  }

  void zero_gradients() {
    if (!fresh_ || spent_) parallel_for(device_, program_.parameters, detail::Zero<Parameter>{dw_.data()});
    spent_ = false;
  }

  /// Training steps so far: what dropout's masks follow.
  void set_clock(std::uint32_t step) { catch_up(), device_.upload(clock_.data(), &step, sizeof step); }
  Totals totals() {
    catch_up();
    Totals t;
    device_.download(&t, totals_.data(), sizeof t);
    return t;
  }
  void reset_totals(const Totals& t = {}) { catch_up(), device_.upload(totals_.data(), &t, sizeof t); }

  /// The named tensors, parameters and state, in the order of the layers: "0.weight", "0.bias", ...
  [[gnu::cold]] std::vector<NamedTensor> tensors() const {
    std::vector<NamedTensor> all;
    for (const auto& r : program_.layers) {
      const auto add = [&](const Tensors& t, Index begin, bool learned) {
        if (t.first_name) all.push_back({std::to_string(r.layer) + "." + t.first_name, t.first, begin, learned});
        if (t.second_name) all.push_back({std::to_string(r.layer) + "." + t.second_name, t.second, begin + room(t.first.count()), learned});
      };
      if (r.place.parameters) add(r.parameters(r.in), r.w, true);
      if (r.place.state) add(r.state(r.in), r.state_at, false);
    }
    return all;
  }

 private:
  using Pass = detail::Pass;
  struct Now { const T* x = nullptr; const std::int32_t* label = nullptr; const Parameter* target = nullptr; Index n = 0, total = 0, first = 0; };

  [[gnu::cold]] static Index positive(Index batch) {
    if (batch < 1) throw Error("a model for batches of ", batch, " samples: say Model({.batch = ...}) with at least 1");
    return batch;
  }
  /// Bytes of the device's memory for batches of n samples, an optimizer that remembers two numbers for each parameter included.
  [[gnu::cold]] static Index needed(const ProgramView<D, T>& p, const D& device, Index n) {
    Index arena = 0;
    for (const auto& r : p.steps)
      if (r.arena) arena = std::max(arena, r.arena(device, r.in, n));
    const Index of_sample = size(p.input) * Index(sizeof(T) + sizeof(float) + (takes_pictures ? sizeof(T) + 2 : 0)) + size(p.output) * Index(sizeof(T) + 2 * sizeof(Parameter));
    return p.parameters * Index(4 * sizeof(Parameter) + (has_low ? sizeof(T) : 0)) + (p.state + p.statistics) * Index(sizeof(Parameter)) + p.workspace(n) + n * of_sample + 2 * arena;
  }
  [[gnu::cold]] static Index fitting(const ProgramView<D, T>& p, const D& device, Index batch) {
    return detail::batch_that_fits(device, "model", batch, p.steps, [&](Index n) { return needed(p, device, n); });
  }
  /// Throws unless the samples have labels or targets, and the labels are classes of the network.
  void check_targets(const Batch& b) const {
    const Index classes = size(program_.output);
    if (!b.x && !b.pictures) throw Error("a batch of ", b.n, " samples has no pictures: x says where they lie");
    if (!b.label && !b.target) throw Error("a batch of ", b.n, " samples has neither labels nor targets: a loss needs one of them");
    for (Index i = 0; b.label && i < b.n; ++i)
      if (b.label[i] < 0 || b.label[i] >= classes) throw Error("a sample has the label ", b.label[i], " and the network tells ", classes, " classes apart, 0 to ", classes - 1);
  }
  /// The n samples are a batch, or the part of a whole one that is here.
  void work_on(Index n, Index whole) {
    if (n < (whole ? 0 : 1) || n > batch_) throw Error("a batch of ", n, " samples does not go into a model made for 1 to ", batch_, ": say Model({.batch = ...})");
    if constexpr (Replicates<D>) {
      device_.replica = whole ? replica_ : Replica();
      device_.replica.batch = whole ? whole : n;
    } else if (whole && whole != n) throw Error("a batch of ", n, " samples is a part of ", whole, ": this device works on whole batches alone");
  }

  void bring(const Batch& b, Index total, Index first) {
    check_targets(b);
    work_on(b.n, b.whole);
    if constexpr (detail::HasClassWeights<Loss>)
      if (const Parameter* norm = weights_.of(b, total, replica_)) device_.upload(loss_.data() + batch_, norm, sizeof *norm);
    if (b.pictures) return bring_pictures(b, total, first);
    now_ = {inputs_.pictures(device_, b.x, b.n), inputs_.labels(device_, b.label, b.n), inputs_.targets(device_, b.target, b.n), b.n, total, first};
  }
  void bring_pictures(const Batch& b, Index total, Index first) {
    if constexpr (takes_pictures) {
      const auto brought = inputs_.pictures(device_, *b.pictures, b.label, b.target, b.n, batch_, kept_pictures_);
      now_ = {brought.x, brought.label, brought.target, b.n, total, first};
    } else throw Error("a batch of ", b.n, " samples came as bytes, and this device takes numbers: say hand_out_pictures(nullptr) to its source");
  }
  /// f() launches one pass.
  template <class F> void play(Pass pass, const F& f, Index optimizer = 0) {
    if constexpr (has_low)
      if (std::exchange(stale_, false)) parallel_for(device_, program_.parameters, detail::CopyAs<Parameter, T>{w_.data(), low_.data()});
    if (meets_replicas(pass)) return f();
    recordings_.play(device_, {pass, optimizer, now_.n, detail::cut_of(device_, now_.n).n, now_.total, now_.first, now_.x, now_.label, now_.target}, f);
  }
  /// Whether hosts ask other replicas for the moments of their samples, which no graph can hold.
  bool meets_replicas(Pass pass) const {
    const Replica r = detail::replica(device_);
    return pass != Pass::inference && pass != Pass::evaluation && program_.statistics > 0 && r.joins_moments() && !r.recorded;
  }
  /// Scores and losses of the training batch, if they are not there yet: a device that records goes both halves of a step at once.
  void catch_up() { if (std::exchange(waits_, false)) play(Pass::forward, [&] { forward_pass(); }); }
  /// Somebody may read the gradients, or add to them.
  void open_gradients() {
    if (spent_) zero_gradients();
    fresh_ = false;
  }
  /// The second half of a step, and the step; with the first half if that waits. dense: whoever sums the gradients of a dense layer's weights updates them.
  template <bool dense, class Optimizer, class Done, class AllDone> void learn_on_device(Optimizer& optimizer, const Done& done, const AllDone& all_done) {
    const bool whole = std::exchange(waits_, false);
    play(whole ? Pass::step : Pass::learn, [&] {
      if (whole) forward_pass();
      backward(nullptr, WritesGradients<D>, dense, done);
      all_done();
      update<dense>(optimizer);
    }, optimizer.id());
    spent_ = WritesGradients<D>;
  }
  /// The optimizer's pass over the parameters whose gradients are there; where backward left the weights of a dense layer to whoever sums their gradients, they are.
  template <bool dense, class Optimizer> void update(Optimizer& optimizer) {
    const auto updated = [&](std::size_t i) -> Index {
      if constexpr (dense)
        if (const auto& r = program_.steps[i]; passes_.wait(i)) {
          const Index weights = room(Index(r.in.c) * r.updates.outputs), behind = r.w + weights;
          optimizer.update_dense(r.updates, passes_.step(i), r.w, w_.data() + r.w, low_.data() + r.w, r.place.parameters > weights ? dw_.data() + behind : nullptr);
          return weights;
        }
      return 0;
    };
    each_stretch(updated, [&](Index at, Index count) { optimizer.update_and_clear(at, w_.data() + at, dw_.data() + at, count, has_low ? low_.data() + at : nullptr, !WritesGradients<D>); });
  }
  /// f(at, count) for what lies between the parameters that are updated elsewhere: of step i the first updated(i).
  template <class Updated, class F> void each_stretch(const Updated& updated, const F& f) {
    Index at = 0;
    const auto until = [&](Index end) { if (end > at) f(at, end - at); };
    for (std::size_t i = 0; i < program_.steps.size(); ++i)
      if (const Index count = updated(i)) until(program_.steps[i].w), at = program_.steps[i].w + count;
    until(program_.parameters);
  }
  void forward_pass() { run(program_.training, true), evaluate(program_.training); }
  void backward(const Learner<Parameter>* learner, bool anew, bool updates) { backward(learner, anew, updates, [](std::size_t) {}); }
  template <class Done> void backward(const Learner<Parameter>* learner, bool anew, bool updates, const Done& done) {
    passes_.backward(program_.training, now_.x, now_.n, learner, w_.data(), anew, updates, [&](std::size_t i, Step<T>& s) { fill(i, s, now_.first, true); }, done);
  }
  void run(const PlanView& plan, bool training) {
    passes_.forward(plan, now_.x, now_.n, [&](std::size_t i, Step<T>& s) { fill(i, s, now_.first, training); });
  }
  void fill(std::size_t i, Step<T>& s, Index first, bool training) const {
    const auto& r = program_.steps[i];
    s.first = first, s.training = training, s.random = {seed_, Stream::dropout, std::uint32_t(r.layer)}, s.clock = clock_.data();
    s.w = w_.data() + r.w, s.low = has_low ? low_.data() + r.w : nullptr, s.dw = dw_.data() + r.w, s.state = state_.data() + r.state_at, s.statistics = statistics_.data() + r.statistics;
  }

  /// The loss; in inference its gradient goes where nothing else is needed any more.
  void evaluate(const PlanView& plan) {
    const T* y = at(plan, plan.y, now_.x, now_.n);
    T* dy = plan.dy < 0 ? inputs_.spare() : at(plan, plan.dy, now_.x, now_.n);
    const LossStep<T> step{now_.n, size(program_.output), now_.total, y, now_.label, now_.target, constants_.data(), loss_.data(), dy, loss_.data() + batch_};
    if constexpr (requires { loss_of_.evaluate(device_, step, totals_.data()); }) {
      loss_of_.evaluate(device_, step, totals_.data());
    } else {
      loss_of_.evaluate(device_, step);
      parallel_for(device_, 1, detail::Tally<T>{y, loss_.data(), now_.label, now_.target, detail::cut_of(device_, now_.n), now_.n, size(program_.output), totals_.data()});
    }
  }

  T* at(const PlanView& plan, int id, const T* x, Index n) const { return passes_.at(plan, id, x, n); }

  [[gnu::cold]] void initialise(Init kind) {
    std::vector<float> w(static_cast<std::size_t>(w_.count())), state(static_cast<std::size_t>(state_.count()));
    for (const auto& r : program_.layers)   // unfused: what a network is initialised to does not depend on the device
      if (r.init) r.init(r.in, {kind, {seed_, Stream::initialize, std::uint32_t(r.layer)}}, w.data() + r.w, state.data() + r.state_at);
    const std::vector<Parameter> w_as_t(w.begin(), w.end()), state_as_t(state.begin(), state.end());
    device_.upload(w_.data(), w_as_t.data(), w_.bytes());
    device_.upload(state_.data(), state_as_t.data(), state_.bytes());
  }

  const ProgramView<D, T>& program_;
  D device_;
  Index batch_, kept_pictures_;
  std::uint64_t seed_;
  Loss loss_of_;
  Buffer<D, Parameter> w_, dw_, state_, statistics_, loss_, constants_;
  Buffer<D, T> low_;                         // the parameters as T, where that is not what they are kept in
  Buffer<D, std::uint32_t> clock_;
  Buffer<D, Totals> totals_;
  detail::Inputs<D, T> inputs_;
  Replica replica_ = detail::replica(device_);   // what it works on of a batch that is not all here
  detail::SumOfWeights<Loss, Parameter> weights_;
  detail::Passes<D, T> passes_;
  detail::Recordings<D> recordings_;
  Now now_;
  bool stale_ = has_low;                     // the parameters were changed, and low_ was not
  bool waits_ = false;                       // the forward pass of now_ has not begun
  bool fresh_ = true;                        // nobody has touched the gradients but learn(), which leaves none: what is never written takes no memory
  bool spent_ = false;                       // they are those of the last learn()
};

namespace detail {
/// Whether a device has kernels for numbers that are stored as T and computed as others.
template <class D, class T> inline constexpr bool stores = std::is_same_v<T, Master<T>> || !requires { requires D::host_memory; };
template <class D, class T> struct Stores { static_assert(stores<D, T>, "the CPU computes in float or double; bf16 and tf32 are for a GPU: Model<Net, Cuda, bf16>"); };
/// T, and in the place of what a device does not store what it would be computed as, so that one mistake is not followed by others.
template <class D, class T> using StoredAs = std::conditional_t<stores<D, T>, T, Master<T>>;
}  // namespace detail

/// struct LeafNet : Network<...> {};   Model<LeafNet, Cpu> model({.batch = 32, .seed = 1});
/// T is float, by default, or double, and on a GPU also tf32 or bf16, which are what is stored between layers: parameters, gradients of parameters and sums are float then.
template <class Net, Device D, class T = float, class Loss = CrossEntropy<>> class Model : public ModelBase<D, detail::StoredAs<D, T>, Loss> {
  static constexpr detail::IsNetwork<Net> is_network{};
  static constexpr detail::Stores<D, T> stores{};
  using Base = ModelBase<D, detail::StoredAs<D, T>, Loss>;

 public:
  using Network = detail::NetworkOf<Net>;

 private:
  static constexpr Checked<decltype(detail::loss_error<Network, Loss>())> checked{};
  using P = Program<Network, D, detail::StoredAs<D, T>>;

 public:
  using Options = typename Base::Options;
  static constexpr Shape input = Network::input, output = Network::output;
  static constexpr Index parameter_count = P::table.block.parameters, state_count = P::table.block.state;   // with the room between tensors

  /// Throws Error if the options make no sense.
  explicit Model(Options options, D device = D()) : Base(P::view, std::move(options), std::move(device)) {}
};

}  // namespace lamina
