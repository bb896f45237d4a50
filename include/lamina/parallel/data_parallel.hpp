/// DataParallel<Model>: N replicas of a model, each of which works on its part of every batch.
#pragma once
#include <algorithm>
#include <utility>
#include <vector>

#include "../core/batch.hpp"
#include "../train/model.hpp"
#include "../version.hpp"
#include "device_ranks.hpp"
#include "part.hpp"

namespace lamina {

/// Options of DataParallel.
struct ParallelOptions {
  Parallel parallel = Parallel::exact;
  bool own_moments = false;              // of batch norm, with exact and fast too
  Index bucket = Index(1) << 18;         // parameters, at least, whose gradients are added while backward goes on; and of a layer that learns together with those of other replicas in this process
};

namespace detail {
template <class T> struct Move { T *from, *to; LAMINA_HD void operator()(Index i) const { to[i] = from[i], from[i] = 0; } };
template <class T> struct AddTo { const T* x; T* to; LAMINA_HD void operator()(Index i) const { to[i] += x[i]; } };
}  // namespace detail

/// A replica without the type of its network. It has the interface of a ModelBase and its meaning. Batches are whole, the same on all ranks, or parts: part_of() makes one, and sources hand them
/// out that are divided. "All" marks what all ranks must call, in the same order.
template <class Base> class Replicated {
  using D = typename Base::DeviceType;
  static_assert(Replicates<D>, "DataParallel is for devices that know of replicas");
  static constexpr bool in_turn = requires { requires D::host_memory; };      // work is done when it is called, and gradients are there one after another

 public:
  using Number = typename Base::Number;
  using Parameter = typename Base::Parameter;
  using DeviceType = D;
  static constexpr bool takes_pictures = Base::takes_pictures;

  Replicated(const Replicated&) = delete;
  Replicated& operator=(const Replicated&) = delete;
  ~Replicated() { communicator_.abandon(); }

  Replicated& base() { return *this; }
  int rank() const { return communicator_.rank(); }
  int size() const { return communicator_.size(); }
  AnyCommunicator& communicator() { return communicator_; }
  const auto& program() const { return model_.program(); }
  const auto& loss() const { return model_.loss(); }
  std::uint64_t seed() const { return model_.seed(); }
  D& device() { return model_.device(); }
  Index batch() const { return batch_; }                       // of all replicas together
  Parameter* parameters() { return model_.parameters(); }
  Parameter* gradients() { return model_.gradients(); }        // after backward() those of all replicas together
  Parameter* state() { return model_.state(); }
  auto tensors() const { return model_.tensors(); }
  const Parameter* losses() { return model_.losses(); }        // of this replica's part
  const Number* scores() { return model_.scores(); }           // of this replica's part
  void set_clock(std::uint32_t step) { model_.set_clock(step); }
  /// Scores (N, classes) of n pictures on this rank alone; they hold until the next call.
  const Number* forward(const float* x, Index n) {
    const Index most = model_.batch(), classes = lamina::size(program().output);
    if (n < 1 || n > batch_) throw Error("a batch of ", n, " samples does not go into replicas made for 1 to ", batch_, ": say DataParallel({.batch = ...})");
    if (n <= most) return model_.forward(x, n);
    if (!answers_) answers_ = std::make_unique<Buffer<D, Number>>(device(), batch_ * classes);
    for (Index i = 0; i < n; i += most) {
      const Index count = std::min(most, n - i);
      parallel_for(device(), count * classes, detail::CopyAs<Number, Number>{model_.forward(x + i * lamina::size(program().input), count), answers_->data() + i * classes});
    }
    return answers_->data();
  }

  /// The samples of a whole batch that are this replica's; a part is as it is.
  Batch part_of(const Batch& b) const {
    if (b.whole && b.whole != b.n) return b;        // where one replica has all samples there are, that is what this makes of them too
    const auto [first, count] = part_.samples(b.n);
    Batch mine{.n = count, .first = b.first + first, .whole = b.n};
    if (b.x) mine.x = b.x + first * lamina::size(program().input);
    if (b.label) mine.label = b.label + first;
    if (b.target) mine.target = b.target + first * lamina::size(program().output);
    if (b.pictures) {
      pictures_ = *b.pictures, pictures_.pixels += first, pictures_.changes += first;
      mine.pictures = &pictures_;
    }
    return mine;
  }
  /// A source that can do so hands out this replica's portion of each batch.
  template <class S> void divide(S& source) const {
    if constexpr (DividedSource<S>) source.hand_out(part_.portion(rank()));
  }

  /// All. total and first as those of a model: first is the place of the first sample of b.
  void forward_training(const Batch& b, Index total = 0, Index first = 0) {
    const Batch mine = part_of(b);
    idle_ = !part_.by_shares() && !mine.n;
    if (!idle_) model_.forward_training(for_model(mine), part_.total(mine.n, mine.whole, total ? total : mine.whole), first + mine.first - b.first);
  }
  /// All. The first half once more, with the batch that is on the device.
  void repeat() requires Records<D> { if (!idle_) model_.repeat(); }
  /// All. Adds the gradient of the mean loss of the whole batch to gradients().
  void backward() {
    const Index n = program().parameters;
    if (summed_) {
      if (!kept_) kept_ = std::make_unique<Buffer<D, Parameter>>(device(), n);
      parallel_for(device(), n, detail::Move<Parameter>{model_.gradients(), kept_->data()});
    }
    begin_sums(buckets_);
    for (std::size_t i = 0; i < buckets_.size(); ++i) ranks_.finish();
    if (summed_) parallel_for(device(), n, detail::AddTo<Parameter>{kept_->data(), model_.gradients()});
    summed_ = true;
  }
  /// All. backward() and a step of the optimizer, which is the same on all ranks; the gradients are zero before and after. Layers that can, where the memory of all ranks is that of one process, learn
  /// together: each rank takes the step of some of their parameters, for all ranks.
  template <class Optimizer> void learn(Optimizer& optimizer, double rate) {
    if constexpr (Records<D>)
      if (ranks_.queued() && part_.by_shares()) return learn_on_queue(optimizer, rate);
    optimizer.set_clock(rate);
    if constexpr (requires { optimizer.learner(); })
      if (learns_together_) return learn_together(optimizer);
    begin_sums(buckets_);
    Parameter *const w = model_.parameters(), *const dw = model_.gradients();
    for (const Bucket& b : buckets_) ranks_.finish(), optimizer.update(b.at, w + b.at, dw + b.at, b.count);
    zero_gradients();
  }
  void backpropagate(const Batch& b, Index total = 0, Index first = 0) { forward_training(b, total, first), backward(); }
  void zero_gradients() { model_.zero_gradients(), summed_ = false; }

  /// All. Loss and accuracy are added to the totals; scores (N, classes) of this replica's part are returned.
  const Number* evaluate(const Batch& b) {
    const Batch mine = part_of(b);
    return mine.n || part_.by_shares() ? model_.evaluate(for_model(mine)) : nullptr;
  }
  /// All. What each rank has of the batches of so many samples becomes what all have: x (samples, each) in the order of the batches.
  template <class T> void gather(std::vector<T>& x, Index each, std::span<const Index> batches, const char* name) {
    Index most = 0;
    for (const Index n : batches) most += part_.most(n);
    x.resize(std::size_t(most * each));
    std::vector<T> all(x.size() * std::size_t(size()));
    communicator_.all_gather(std::span(x), all, name);
    x.clear();
    std::vector<Index> done(std::size_t(size()), 0);
    for (const Index n : batches)
      for (int r = 0; r < size(); ++r) {
        const Index count = part_.samples(n, r).count;
        const T* const from = all.data() + (r * most + done[std::size_t(r)]) * each;
        x.insert(x.end(), from, from + count * each);
        done[std::size_t(r)] += count;
      }
  }

  /// Those of all replicas, as exchange() last found them: a loop of one's own calls it before it asks.
  const Totals& totals() const { return totals_; }
  /// All.
  void reset_totals(const Totals& t = {}) {
    totals_ = t;
    Totals mine;
    if (rank() == 0) mine.samples = t.samples, mine.correct = t.correct;
    if (part_.parallel == Parallel::exact) std::copy_n(t.losses + rank() * part_.count(), part_.count(), mine.losses);
    else if (rank() == 0) std::copy_n(t.losses, shares, mine.losses);
    model_.reset_totals(mine);
  }
  /// All. Adds up totals(); returns whether a rank wants to stop.
  bool exchange(bool stop) {
    const Said mine{model_.totals(), stop};
    communicator_.all_gather(std::span(&mine, 1), said_, "totals");
    totals_ = {}, stop = false;
    for (Index r = 0; r < size(); ++r) {
      const Said& said = said_[std::size_t(r)];
      totals_.samples += said.totals.samples, totals_.correct += said.totals.correct, stop = stop || said.stop;
      for (Index i = 0; i < part_.count(); ++i) totals_.losses[(r * part_.count() + i) % shares] += said.totals.losses[i];
    }
    return stop;
  }

  /// All. x (count) in device memory becomes what rank 0 has.
  template <class T> void broadcast(T* x, Index count, const char* name) { ranks_.broadcast(x, count, name); }
  /// All. Parameters and running values become those of rank 0.
  void synchronise() { broadcast(model_.parameters(), program().parameters, "parameters"), synchronise_state(); }
  /// All. Before scores are asked for: where replicas have running values of their own that do not count, they become those of rank 0.
  void settle() {
    if (part_.parallel == Parallel::dataparallel) synchronise_state();
  }

 protected:
  Replicated(Base& model, detail::DeviceRanks<D>& ranks, const typename Base::Options& model_options, const detail::ReplicaPart& part, const ParallelOptions& options)
      : model_(model), ranks_(ranks), communicator_(ranks.communicator()), batch_(model_options.batch), part_(part), said_(std::size_t(communicator_.size())) {
    if (!in_turn && part.by_shares() && part.of() > shares && program().statistics && !options.own_moments)
      throw Error("the moments of batch norm are merged on a GPU for at most ", shares, " shares of a batch, and ", part.ranks, " fast replicas have ", part.of(), ": say Parallel::exact, or .own_moments = true");
    std::string network;
    for (const auto& r : program().layers) (network += ' ') += r.name->s;
    communicator_.agree(detail::sentence({"Lamina ", version.major, ".", version.minor, ".", version.patch, "; batch ", batch_, "; seed ", std::to_string(model_options.seed), "; network", network, "; parameters ",
                                          program().parameters, "; division ", int(part.parallel), "; own moments ", int(options.own_moments), "; bucket ", options.bucket}));
    buckets_ = cut([](const auto&) { return false; }, options.bucket);
    others_ = cut([&](const auto& r) { return together(r); }, options.bucket);
    for (const auto& r : program().steps) learns_together_ = learns_together_ || together(r);
    synchronise();
  }

 private:
  struct Bucket { Index at, count, due; };      // due: it is begun once the gradients from there on are there
  struct Said { Totals totals; std::int64_t stop; };

  /// Whether a step of the network takes that of the optimizer together with the other replicas.
  template <class Row> bool together(const Row& r) const { return r.learn_together && detail::replica(model_.device()).joins_step(r.place.parameters); }
  /// The gradients from the end of their block, which is there first, in stretches of at least so many, but for those of steps that are left(out). What is less, beside these, waits for what comes after.
  template <class Left> [[gnu::cold]] std::vector<Bucket> cut(const Left& left, Index least) const {
    std::vector<Bucket> all;
    Index end = program().parameters;
    const auto until = [&](Index at) {
      if (end > at) all.push_back({at, end - at, at});
      end = at;
    };
    for (std::size_t i = program().steps.size(); i-- > 0;)
      if (const auto& r = program().steps[i]; r.place.parameters) {
        if (left(r)) until(r.w + r.place.parameters), end = r.w;
        else if (end - r.w >= least) until(r.w);
      }
    until(0);
    for (std::size_t i = all.size(); i-- > 1;)
      if (all[i - 1].count < least) all[i - 1].due = all[i].due;
    return all;
  }
  /// Batches that are divided by shares are parts to the model too; others are batches of their own.
  Batch for_model(Batch mine) const {
    if (!part_.by_shares()) mine.whole = 0;
    return mine;
  }
  /// The whole step is work for the device's queue: sums begin behind the gradients that they need, and go on beside the rest of backward. A graph holds all of it: ranks replay it together, since each
  /// has the graph of its own part of the same batches.
  template <class Optimizer> void learn_on_queue(Optimizer& optimizer, double rate) {
    std::size_t begun = 0;
    model_.learn(optimizer, rate, [&](Index at, Parameter* dw, const auto& beside) {
      for (; begun < buckets_.size() && buckets_[begun].at >= at; ++begun) {
        const Bucket& b = buckets_[begun];
        beside([&](D& device) { ranks_.follow(device); });
        ranks_.begin(dw + b.at, b.count, "gradients");
      }
    }, [&] { ranks_.finish(); });
    summed_ = false;
  }
  /// Backward, and the sums of the gradients over the replicas, each begun as soon as it can be. Of layers that learn together, if they have a learner, there are none.
  void begin_sums(const std::vector<Bucket>& buckets, const Learner<Parameter>* learner = nullptr) {
    std::size_t begun = 0;
    Parameter* const dw = model_.gradients();
    const auto done = [&](Index at) {
      for (; begun < buckets.size() && buckets[begun].due >= at; ++begun) ranks_.begin(dw + buckets[begun].at, buckets[begun].count, "gradients");
    };
    if constexpr (in_turn) {
      if (learner) model_.backward(*learner, done);
      else if (!idle_) model_.backward(done);
    } else if (!idle_) model_.backward();
    done(0);
  }
  template <class Optimizer> void learn_together(Optimizer& optimizer) {
    const Learner<Parameter> learner = optimizer.learner();
    begin_sums(others_, &learner);
    Parameter *const w = model_.parameters(), *const dw = model_.gradients();
    for (const Bucket& b : others_) ranks_.finish(), optimizer.update(b.at, w + b.at, dw + b.at, b.count), parallel_for(device(), b.count, detail::Zero<Parameter>{dw + b.at});
    summed_ = false;
  }
  void synchronise_state() { broadcast(model_.state(), program().state, "running values"); }

  Base& model_;
  detail::DeviceRanks<D>& ranks_;
  AnyCommunicator communicator_;
  Index batch_;
  detail::ReplicaPart part_;
  std::vector<Bucket> buckets_, others_;      // of all gradients; of those but of layers that learn together
  std::vector<Said> said_;
  mutable Pictures pictures_;                // of a part
  std::unique_ptr<Buffer<D, Number>> answers_;       // scores of more pictures than a part of a batch has
  std::unique_ptr<Buffer<D, Parameter>> kept_;      // gradients of the batches before this one, of the same step
  Totals totals_;
  bool idle_ = false;                        // this rank has no samples of the batch
  bool summed_ = false;                      // gradients() are those of all replicas
  bool learns_together_ = false;             // some layers do
};

namespace detail {
/// What comes before the base class that refers to it: how the device asks other ranks, in the midst of a pass too, and the model.
template <class M, class D> struct Holds {
  D held_device;                             // it shares its memory with the model's, which is a copy
  DeviceRanks<D> held_ranks;
  M held_model;
  template <class Told, class... Args> Holds(const AnyCommunicator& ranks, bool exact, const D& device, const Told& told, const Args&... args)
      : held_device(device), held_ranks(held_device, ranks, exact), held_model(args..., told(device, held_ranks)) {}
};
/// What is known of a model with the type of its network.
template <class M> struct OfNetwork {};
template <class M> requires requires { typename M::Network; } struct OfNetwork<M> {
  using Network = typename M::Network;
  static constexpr Index parameter_count = M::parameter_count, state_count = M::state_count;
  static constexpr Shape input = M::input, output = M::output;
};
template <class M> using BaseOf = std::remove_reference_t<decltype(std::declval<M&>().base())>;
}  // namespace detail

#if defined(__CUDACC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wreorder"      // nvcc 13 hands the initializers of the two bases on in another order
#endif
/// DataParallel<Model<LeafNet, Cpu>> model({.batch = 64, .seed = 1}, rank);
/// One of the replicas, each in a thread or a process of its own, of which `rank`, a communicator that outlives it, is one. The batch is that of all together, and each of its samples weighs the
/// same. fit(), evaluate() and checkpoints take it as they take a model: all ranks call them, and callbacks are rank 0's: they call nothing that all
/// ranks must call, such as evaluate(), and where one stops the run after a step, the others learn it with the next, which is the last. Throws Error if the ranks do not agree on what they train.
template <class M> class DataParallel : detail::Holds<M, typename detail::BaseOf<M>::DeviceType>, public Replicated<detail::BaseOf<M>>, public detail::OfNetwork<M> {
  using Base = Replicated<detail::BaseOf<M>>;
  using D = typename Base::DeviceType;

 public:
  using Options = typename M::Options;

  DataParallel(const Options& options, const AnyCommunicator& rank, const ParallelOptions& parallel = {}, const D& device = D())
      : DataParallel(detail::ReplicaPart(parallel.parallel, rank.rank(), rank.size()), options, rank, parallel, device) {}
  /// Of a model without the type of its network.
  DataParallel(const ProgramView<D, typename M::Number>& program, const Options& options, const AnyCommunicator& rank, const ParallelOptions& parallel = {}, const D& device = D())
      : DataParallel(detail::ReplicaPart(parallel.parallel, rank.rank(), rank.size()), options, rank, parallel, device, program) {}

 private:
  template <class... Program> DataParallel(const detail::ReplicaPart& part, const Options& options, const AnyCommunicator& rank, const ParallelOptions& parallel, const D& device, const Program&... program)
      : detail::Holds<M, D>(rank, parallel.parallel == Parallel::exact, device, [&](D d, detail::DeviceRanks<D>& ranks) { return told(std::move(d), options.batch, ranks, part, parallel); }, program..., of_part(options, part)),
        Base(this->held_model.base(), this->held_ranks, options, part, parallel) {}

  static Options of_part(Options options, const detail::ReplicaPart& part) {
    options.batch = options.batch > 0 ? std::max<Index>(part.most(options.batch), 1) : options.batch;
    return options;
  }
  /// The device knows its part of a batch, and how to ask the others.
  static D told(D device, Index batch, detail::DeviceRanks<D>& ranks, const detail::ReplicaPart& part, const ParallelOptions& parallel) {
    const bool many = part.ranks > 1, in_process = many && ranks.shared();
    if (part.by_shares())
      device.replica = {part.rank * part.count(), part.count(), part.of(), batch, parallel.own_moments, many ? &gather : nullptr, &ranks, many ? &gather_on_host : nullptr,
                        ranks.queued(), in_process ? &work_together : nullptr, parallel.bucket};
    if (in_process) device.replica.tasks = ranks.shared()->tasks(), device.replica.place = part.rank;
    return device;
  }
  static void gather(void* ranks, const void* mine, std::size_t bytes, void* all) { static_cast<detail::DeviceRanks<D>*>(ranks)->gather(mine, bytes, all, "sums of a batch"); }
  static void work_together(void* ranks, const void* mine, std::size_t bytes, detail::FunctionRef<const void* const*> part) {
    static_cast<detail::DeviceRanks<D>*>(ranks)->shared()->work_together(mine, bytes, "weights", part);
  }
  static void gather_on_host(void* ranks, const void* mine, std::size_t bytes, void* all) { static_cast<detail::DeviceRanks<D>*>(ranks)->gather_on_host(mine, bytes, all, "counts of a batch"); }
};
#if defined(__CUDACC__)
#pragma GCC diagnostic pop
#endif

}  // namespace lamina
