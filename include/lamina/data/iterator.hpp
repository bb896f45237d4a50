/// Batches of pictures for training and for evaluation, made ahead of whoever uses them.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <new>
#include <thread>

#include "../core/batch.hpp"
#include "../core/shares.hpp"
#include "check.hpp"
#include "mixing.hpp"

namespace lamina {

namespace detail {

/// f(task) for every task in [0, tasks), inside the arena; what the first task that failed threw, if one did.
inline std::exception_ptr run_all(tbb::task_arena& arena, Index tasks, TaskRef f) {
  std::mutex failing;
  Index failed = tasks;
  std::exception_ptr failure;
  run_in(arena, tasks, [&](Index i) {
    try {
      f(i);
    } catch (...) {
      std::lock_guard lock(failing);
      if (i < failed) failed = i, failure = std::current_exception();
    }
  });
  return failure;
}

/// A thread of its own fills a ring of batches, or where none is made ahead next() does; next() hands them out in turn. Batch b of epoch e is a function of (dataset, options, e, b) alone.
class BatchMaker {
 public:
  [[gnu::cold]] BatchMaker(Dataset dataset, const AugmentationOptions& options, bool shuffled)
      : BatchMaker((validate(options), std::make_shared<PictureStore>(std::move(dataset), options.size, options.interpolation, options.cache_bytes, decoding(options))), options, shuffled) {}
  [[gnu::cold]] BatchMaker(std::shared_ptr<PictureStore> store, const AugmentationOptions& options, bool shuffled)
      : options_((validate(options), options)), shuffled_(shuffled), store_(fitting(std::move(store), options)), threads_(options.workers),
        arena_(threads_.count()), tools_(std::size_t(threads_.count())), order_(std::size_t(samples())), kept_(std::size_t(samples())) {
    std::iota(order_.begin(), order_.end(), Index(0));
    for (Index i = 0; i <= options_.prefetch; ++i) {
      ring_.push_back(std::make_unique<Slot>(lamina::size(shape()), mixes(options_) ? 1 : 0, has_targets(options_) ? Index(classes().size()) : 0));
      ring_.back()->prepare(largest_part(), false, false);
      ring_.back()->pictures = {.source = source_, .samples = samples(), .shape = shape(), .common = common_changes(options_), .mixing = {}, .kept = kept_.data()};
    }
    if (options_.prefetch > 0) thread_ = start_thread([this] { work(); });
  }
  BatchMaker(const BatchMaker&) = delete;
  BatchMaker& operator=(const BatchMaker&) = delete;
  ~BatchMaker() {
    {
      std::lock_guard lock(mutex_);
      ending_ = true;
      cancelled_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  /// Of one sample.
  Shape shape() const { return store_->shape(); }
  /// In an epoch.
  Index samples() const { return dataset().size(); }
  /// In an epoch; the last one may hold fewer samples.
  Index batches() const { return (samples() + options_.batch - 1) / options_.batch; }
  /// Samples in the largest batch.
  Index batch_size() const { return std::min(options_.batch, samples()); }
  /// The names of the classes.
  const std::vector<std::string>& classes() const { return dataset().classes; }
  const Dataset& dataset() const { return store_->dataset(); }
  /// Of the pictures and of all options that decide what is handed out; the same whichever part of the batches that is. Pictures in files count by their names, labels and sizes, and by what decodes JPEGs.
  [[gnu::cold]] std::uint64_t fingerprint() const {
    Fingerprint print;
    print.add(lamina::fingerprint(options_), shuffled_, dataset().fingerprint());
    if (std::any_of(dataset().samples.begin(), dataset().samples.end(), [](const Sample& s) { return !s.picture; })) print.add_bytes(jpeg_decoder, std::strlen(jpeg_decoder));
    for (const Sample& s : dataset().samples)
      if (s.picture) print.add(s.picture->h, s.picture->w, s.picture->c).add_bytes(s.picture->pixels.data(), s.picture->pixels.size());
    return print.value();
  }
  /// Seconds that next() has waited for batches since start().
  double waited() const { return waited_; }

  /// From the next start() on batches are pictures as bytes, with what is to be done to them, for a taker that is not null, and else the numbers of a network; returns the taker before. If that
  /// was another, a running epoch ends. A picture that the taker keeps is not decoded for it again. What no kernel makes is made here: there is no taker then.
  [[gnu::cold]] const void* hand_out_pictures(const void* taker) {
    if (for_the_cpu_alone(options_)) taker = nullptr;
    if (taker == taker_) return taker;
    std::unique_lock lock(mutex_);
    halt(lock);
    for (auto& kept : kept_) kept = false;
    return std::exchange(taker_, taker);
  }

  /// From the next start() on batches are one replica's portions of those that there are, with the bits that these samples have in the whole. No others are decoded, and n is 0 where a small batch leaves
  /// none. By itself the portion is the whole. A running epoch ends. Throws Error if there is no such portion.
  [[gnu::cold]] void hand_out(const Portion& p) {
    if (p.first < 0 || p.count < 1 || p.count > p.of - p.first)
      throw Error("a batch of ", dataset().name, " has ", p.of, p.chunk ? " chunks, and " : " shares, and ", p.count, p.chunk ? " from chunk " : " from share ", p.first,
                  " on were asked for: give at least one, and none that is not there");
    std::unique_lock lock(mutex_);
    halt(lock);
    portion_ = p;
  }

  /// Begins an epoch, at any batch of it, whatever was going on before. Throws Error if there is no such batch.
  [[gnu::cold]] void start(Index epoch, Index first_batch) {
    if (epoch < 0 || first_batch < 0 || first_batch > batches())
      throw Error("an epoch was to start at batch ", first_batch, " of epoch ", epoch, ": there are ", batches(), " batches in an epoch, counted from 0");
    std::unique_lock lock(mutex_);
    halt(lock);
    for (auto& slot : ring_) slot->prepare(largest_part(), taker_, !store_->keeps_all());
    std::iota(order_.begin(), order_.end(), Index(0));
    if (shuffled_) shuffle(order_, Random(options_.seed, Stream::shuffle, 0, std::uint32_t(epoch)));
    changes_ = Random(options_.seed, Stream::augmentation, 0, std::uint32_t(epoch));
    mixing_ = Random(options_.seed, Stream::mixing, 0, std::uint32_t(epoch));
    handed_ = made_ = first_batch;
    failure_ = nullptr;
    waited_ = 0;
    running_ = true;
    lock.unlock();
    wake_.notify_all();
  }

  /// The next batch, or false when the epoch is over. It holds until the next call of next() or start(). Throws Error, with the name of the file, if a
  /// picture of the batch cannot be decoded, and if no epoch was started.
  bool next(Batch& batch) {
    std::unique_lock lock(mutex_);
    if (!running_) throw Error("next() was called on the pictures of ", dataset().name, " before an epoch was started: call start(epoch, 0) first");
    if (handed_ == batches()) return false;
    if (made_ == handed_ && !failure_) {
      const auto begin = std::chrono::steady_clock::now();
      if (options_.prefetch > 0) wake_.wait(lock, [&] { return made_ > handed_ || failure_; });
      else make(lock);
      waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    }
    if (made_ == handed_) std::rethrow_exception(failure_);
    const Slot& slot = *ring_[std::size_t(handed_) % ring_.size()];
    const bool targets = has_targets(options_);
    batch = {slot.n, slot.first, slot.x.get(), targets ? nullptr : slot.label.data(), targets ? slot.target.data() : nullptr, taker_ ? &slot.pictures : nullptr, slot.whole};
    ++handed_;
    lock.unlock();
    wake_.notify_all();
    return true;
  }

  /// Decodes every picture, keeps those that fit into the cache, and returns the ones that cannot be used. For before the first epoch: it ends a running one.
  std::vector<BadPicture> check() {
    std::unique_lock lock(mutex_);
    halt(lock);
    lock.unlock();
    return find_bad(dataset(), arena_, [&](Index i) { store_->at(i, tools_[thread_number()].room); });
  }

 private:
  struct Aligned { void operator()(float* p) const { ::operator delete(p, std::align_val_t(64)); } };
  struct Slot {
    Slot(Index numbers, Index extra, Index of_target) : picture(numbers), others(extra), classes(of_target) {}
    void make_x() {
      const Index bytes = (batch + others) * picture * Index(sizeof(float));
      x.reset(static_cast<float*>(::operator new(std::size_t(bytes), std::align_val_t(64), std::nothrow)));
      if (!x) throw Error("there is no memory for a batch of ", batch, " pictures, ", bytes, " bytes: take a smaller batch");
    }
    /// For so many samples at most, as pictures as bytes or as numbers; `apart`: some pictures lie nowhere else.
    [[gnu::cold]] void prepare(Index most, bool as_pictures, bool apart) {
      if (as_pictures || most != batch) x.reset();
      batch = most;
      label.resize(std::size_t(batch + others));
      target.resize(std::size_t(batch * classes));
      if (as_pictures) {
        const Index all = batch + others;
        pixels.resize(std::size_t(all)), changes.resize(std::size_t(all)), room.resize(std::size_t(apart ? all * picture : 0));
        pictures.pixels = pixels.data() + others, pictures.changes = changes.data() + others;
      } else if (!x) make_x();
    }
    Index picture, batch = 0;                 // numbers of a sample, samples there is room for
    Index others, classes;                    // how many more of them, with which a batch is mixed; numbers of a target, or none
    Index n = 0, first = 0, whole = 0;        // as they are handed out
    std::unique_ptr<float, Aligned> x;        // (batch + others, H, W, C), or null and then:
    std::vector<const std::uint8_t*> pixels;  // (others + batch) of (H, W, C) each
    std::vector<Changes> changes;             // (others + batch)
    std::vector<std::uint8_t> room;           // (others + batch, H, W, C), for pictures that are not kept
    Pictures pictures;                        // the three as they are handed out
    std::vector<std::int32_t> label;          // (batch + others)
    std::vector<float> target;                // (batch, classes)
  };
  struct Tools {                              // of one thread
    Scratch scratch;
    std::vector<std::uint8_t> room;
  };

  static DecodeOptions decoding(const AugmentationOptions& o) { return {.exif_orientation = o.exif_orientation, .at_least = o.scaled_decoding ? o.size : Size{}}; }

  [[gnu::cold]] static std::shared_ptr<PictureStore> fitting(std::shared_ptr<PictureStore> store, const AugmentationOptions& o) {
    if (!store) throw Error("an iterator was given no pictures: make them with std::make_shared<PictureStore>(dataset, size)");
    if (const Size s = store->picture_size(); s != o.size || store->interpolation() != o.interpolation)
      throw Error("the pictures of ", store->dataset().name, " are kept at ", s.h, "x", s.w, " and an iterator is to show them at ", o.size.h, "x", o.size.w,
                  s == o.size ? " with another interpolation" : "", ": give it the size and the interpolation of the store");
    if (store->decoding() != decoding(o))
      throw Error("the pictures of ", store->dataset().name, " are decoded with another exif_orientation or scaled_decoding than an iterator is to show them with: give it those of the store");
    return store;
  }
  /// No part of a batch has more samples: at least one.
  Index largest_part() const { return portion_.most(batch_size()); }

  /// Nobody fills anything after this.
  void halt(std::unique_lock<std::mutex>& lock) {
    running_ = false;
    cancelled_ = true;
    wake_.wait(lock, [&] { return !busy_; });
    cancelled_ = false;
  }

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return ending_ || (running_ && !failure_ && made_ < batches() && made_ - handed_ < options_.prefetch); });
      if (ending_) return;
      make(lock);
      wake_.notify_all();
    }
  }
  /// The next batch of this epoch, with the lock given up meanwhile.
  void make(std::unique_lock<std::mutex>& lock) {
    busy_ = true;
    const Index b = made_;
    lock.unlock();
    std::exception_ptr failure;
    try {
      failure = fill(*ring_[std::size_t(b) % ring_.size()], b);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    busy_ = false;
    if (running_) failure ? void(failure_ = failure) : void(++made_);
  }

  /// What the first sample that failed threw, if one did.
  std::exception_ptr fill(Slot& slot, Index b) {
    const Index begin = b * options_.batch, picture = lamina::size(shape());
    slot.whole = std::min(options_.batch, samples() - begin);
    slot.first = begin + portion_.begin(slot.whole), slot.n = begin + portion_.end(slot.whole) - slot.first;
    const BatchMixing mixing = draw_mixing(options_, mixing_, b);
    slot.pictures.mixing = mixing.pixels;
    const Index others = slot.n > 0 && !mixing.pixels.off() ? 1 : 0, before = others && slot.first == begin ? begin + slot.whole : slot.first;
    const std::exception_ptr failure = run_all(arena_, slot.n + others, [&](Index i) {      // the last is what the first is mixed with
      if (cancelled_.load(std::memory_order_relaxed)) return;
      Tools& tools = tools_[thread_number()];
      const Index sample = order_[std::size_t(i < slot.n ? slot.first + i : before - 1)];
      const Transform drawn = draw(options_, changes_, sample);
      if (taker_) {
        const bool kept = kept_[std::size_t(sample)].load(std::memory_order_relaxed);
        const Index at = i < slot.n ? slot.others + i : 0;
        slot.pixels[std::size_t(at)] = kept ? nullptr : store_->at(sample, slot.room.empty() ? nullptr : slot.room.data() + at * picture);
        slot.changes[std::size_t(at)] = changes(drawn, options_.size, options_.keras);
        slot.changes[std::size_t(at)].place = sample;
      } else transform(store_->at(sample, tools.room), shape(), drawn, options_, slot.x.get() + i * picture, tools.scratch);
      slot.label[std::size_t(i)] = dataset().samples[std::size_t(sample)].label;
    });
    if (failure || cancelled_) return failure;
    if (others && !taker_)
      run_in(arena_, shape().h, [&](Index row) { mix_rows(mixing.pixels, shape(), slot.n, slot.x.get() + slot.n * picture, int(row), 1, slot.x.get()); });
    for (Index i = 0; slot.classes && i < slot.n; ++i) {
      const std::int32_t own = slot.label[std::size_t(i)], other = others ? slot.label[std::size_t(i > 0 ? i - 1 : slot.n)] : own;
      write_target(mixing.own, own, other, slot.classes, slot.target.data() + i * slot.classes);
    }
    return failure;
  }

  AugmentationOptions options_;
  bool shuffled_;
  const void* taker_ = nullptr;               // who is handed out pictures
  std::shared_ptr<const void> source_ = std::make_shared<char>();    // nobody else has the same
  std::shared_ptr<PictureStore> store_;
  Portion portion_;                           // what is handed out of each batch
  Threads threads_;
  tbb::task_arena arena_;
  std::vector<Tools> tools_;                  // (threads)
  std::vector<Index> order_;                  // (samples) of this epoch
  std::vector<std::atomic<bool>> kept_;       // (samples) by the taker
  Random changes_, mixing_;
  std::vector<std::unique_ptr<Slot>> ring_;   // (prefetch + 1): the batches made ahead, and the one in use
  double waited_ = 0;

  std::mutex mutex_;                          // over all that follows
  std::condition_variable wake_;
  Index made_ = 0, handed_ = 0;               // batches of this epoch: the next to be made, the next to be handed out
  bool running_ = false, busy_ = false, ending_ = false;
  std::exception_ptr failure_;                // of batch made_
  std::atomic<bool> cancelled_ = false;
  std::thread thread_;
};

}  // namespace detail

/// Training batches: shuffled anew in every epoch, augmented as the options say. The stream has the same bits for any number of workers, for any prefetch,
/// and after start(epoch, k) in the middle of an epoch. Where batches may be mixed, or class_mode is categorical, they have targets and no labels: CrossEntropy takes them as
/// torch.nn.CrossEntropyLoss takes probabilities (smoothed first, each class with its weight, the mean over the samples), and a sample counts as right if its best score is that of the class with the
/// largest share, as in torchvision's training script (timm shows no accuracy of mixed batches). Throws Error if the options make no sense or the dataset is empty.
class AugmentationIterator : public detail::BatchMaker {
 public:
  using View = TrainingView;
  explicit AugmentationIterator(Dataset dataset, const AugmentationOptions& options = {})
      : BatchMaker(std::move(dataset), options, true), hint_(lamina::hint(options)) {}
  /// Over a store that other iterators share. It has to have the size and the interpolation of the options; their cache_bytes play no part.
  explicit AugmentationIterator(std::shared_ptr<PictureStore> pictures, const AugmentationOptions& options = {})
      : BatchMaker(std::move(pictures), options, true), hint_(lamina::hint(options)) {}

  /// A sentence for whoever set the options, or nothing: a shear below one degree was hardly meant.
  const std::string& hint() const { return hint_; }

 private:
  std::string hint_;
};

/// Options of EvaluationIterator; each means what it means in AugmentationOptions.
struct EvaluationOptions {
  Size size{64, 64};
  Index batch = 32;
  double rescale = 1 / 255.0;
  bool samplewise_center = false;
  bool samplewise_deviation = false;
  std::array<double, 3> mean{0, 0, 0};
  std::array<double, 3> deviation{1, 1, 1};
  Interpolation interpolation = Interpolation::nearest;
  bool exif_orientation = false;
  bool scaled_decoding = false;
  int workers = 0;
  int prefetch = 2;
  std::size_t cache_bytes = std::size_t(2) << 30;
};

/// Batches for validation and prediction: every picture as it is, in the order of the dataset. A type of its own, so that nobody augments a validation set
/// by accident: fit() and evaluate() take no other for it.
class EvaluationIterator : public detail::BatchMaker {
 public:
  using View = EvaluationView;
  explicit EvaluationIterator(Dataset dataset, const EvaluationOptions& options = {}) : BatchMaker(std::move(dataset), unchanged(options), false) {}
  /// Over a store that other iterators share. It has to have the size and the interpolation of the options; their cache_bytes play no part.
  explicit EvaluationIterator(std::shared_ptr<PictureStore> pictures, const EvaluationOptions& options = {}) : BatchMaker(std::move(pictures), unchanged(options), false) {}

 private:
  static AugmentationOptions unchanged(const EvaluationOptions& o) {
    return {.size = o.size, .batch = o.batch, .rescale = o.rescale, .samplewise_center = o.samplewise_center, .samplewise_deviation = o.samplewise_deviation, .mean = o.mean, .deviation = o.deviation,
            .interpolation = o.interpolation, .exif_orientation = o.exif_orientation, .scaled_decoding = o.scaled_decoding, .workers = o.workers, .prefetch = o.prefetch, .cache_bytes = o.cache_bytes};
  }
};

static_assert(PictureSource<AugmentationIterator> && PictureSource<EvaluationIterator>);
static_assert(DividedSource<AugmentationIterator> && DividedSource<EvaluationIterator>);
static_assert(FingerprintedSource<AugmentationIterator> && FingerprintedSource<EvaluationIterator>);

}  // namespace lamina
