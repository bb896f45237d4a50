/// The pictures of a dataset at one size: decoded once, resized once, kept in memory as far as they fit, or all of them in a file.
#pragma once
#include <atomic>
#include <memory>
#include <new>

#include "picture_cache.hpp"

namespace lamina {

/// The first pictures of the dataset are kept, as many as fit into cache_bytes; the rest is decoded anew each time. An iterator makes a store of its own, unless it is given one: several
/// over the same store, such as those of replicas that are threads of one process, decode and keep each picture once for all of them:
///   const auto pictures = std::make_shared<PictureStore>(leaves.train, Size{64, 64});
///   AugmentationIterator first(pictures, {.batch = 32}), second(pictures, {.batch = 32});
class PictureStore {
 public:
  /// Throws Error if there are no pictures, if they differ in their channels, if they are to have no pixels or too many, and if there is no memory for what is kept.
  [[gnu::cold]] PictureStore(Dataset dataset, Size size, Interpolation interpolation = Interpolation::nearest, std::size_t cache_bytes = std::size_t(2) << 30, const DecodeOptions& decoding = {})
      : PictureStore(interpolation, std::move(dataset), size, decoding) {
    const std::size_t bytes = std::size_t(lamina::size(shape()));
    const std::size_t kept = std::min(cache_bytes / bytes, dataset_.samples.size());
    kept_ = Index(kept);
    pixels_.reset(new (std::nothrow) std::uint8_t[kept * bytes]);                 // not zeroed: pages are taken as pictures come
    if (!pixels_) throw Error("there is no memory to keep the pictures of ", dataset_.name, ", ", kept * bytes, " bytes: give less to cache_bytes");
    states_ = std::vector<std::atomic<State>>(kept);
  }
  /// All pictures in a file that outlives the run and is made here, unless an earlier run has made it: what lies in memory is then the system's page cache, as much as there is
  /// room for, shared by all processes that use the file. It is made anew if it is damaged or if the data set, the time of a file, the size, the interpolation or the decoder is
  /// another; nobody may write to it or shorten it meanwhile. Throws Error also if a picture cannot be decoded, or the file cannot be made or read (the disk is full, the folder
  /// may not be written to): nothing is trained then, and nothing is left of it.
  ///   const auto pictures = std::make_shared<PictureStore>(leaves.train, Size{64, 64}, Interpolation::nearest, CacheFile{"leaves.pictures"});
  [[gnu::cold]] PictureStore(Dataset dataset, Size size, Interpolation interpolation, const CacheFile& file, const DecodeOptions& decoding = {})
      : PictureStore(interpolation, std::move(dataset), size, decoding) {
    cache_ = std::make_unique<const detail::PictureCache>(file, detail::cache_key(dataset_, size_, interpolation_, channels_, decoding_), dataset_.size(), std::size_t(lamina::size(shape())),
                                                          [this](Index i, std::uint8_t* y) { make(dataset_.samples[std::size_t(i)], y); });
    kept_ = dataset_.size();
  }

  const Dataset& dataset() const { return dataset_; }
  Shape shape() const { return {size_.h, size_.w, channels_}; }
  Size picture_size() const { return size_; }
  Interpolation interpolation() const { return interpolation_; }
  /// How files are decoded; pictures in memory are as they are.
  const DecodeOptions& decoding() const { return decoding_; }

  /// Whether every sample is kept.
  bool keeps_all() const { return kept_ == dataset_.size(); }

  /// The pixels (H, W, C) of one sample, whoever else asks for it at the same time; they hold until `room` is used again. Throws Error, with the name of the file, if it cannot be decoded.
  const std::uint8_t* at(Index sample, std::vector<std::uint8_t>& room) {
    if (const auto bytes = std::size_t(lamina::size(shape())); sample >= kept_ && room.size() < bytes) room.resize(bytes);
    return at(sample, room.data());
  }
  /// The same; `room` (H, W, C) is not used if every sample is kept.
  const std::uint8_t* at(Index sample, std::uint8_t* room) {
    const Sample& s = dataset_.samples[std::size_t(sample)];
    if (s.picture && s.picture->size() == size_) return s.picture->pixels.data();
    if (cache_) return cache_->at(sample);
    if (sample >= kept_) return make(s, room), room;
    std::uint8_t* const y = pixels_.get() + sample * lamina::size(shape());
    std::atomic<State>& state = states_[std::size_t(sample)];
    if (state.load(std::memory_order_acquire) == State::there || !claim(state)) return y;
    try {
      make(s, y);
    } catch (...) {
      pass_on(state, State::missing);
      throw;
    }
    pass_on(state, State::there);
    return y;
  }

 private:
  enum class State : int { missing, being_made, there };

  [[gnu::cold]] PictureStore(Interpolation interpolation, Dataset dataset, Size size, const DecodeOptions& decoding)
      : dataset_(std::move(dataset)), size_(size), interpolation_(interpolation), decoding_(decoding) {
    if (size_.h < 1 || size_.h > largest_side || size_.w < 1 || size_.w > largest_side)
      throw Error("the pictures of ", dataset_.name, " cannot be made ", size_.h, "x", size_.w, ": a side has 1 to ", largest_side, " pixels");
    if (dataset_.samples.empty()) throw Error(dataset_.name, " holds no pictures: add some, or ask for no iterator over it");
    for (const Sample& s : dataset_.samples) {
      const int c = s.picture ? s.picture->c : 3;
      if (channels_ == 0) channels_ = c;
      if (c != channels_)
        throw Error("the picture ", s.where(), " has ", c, " channels and those before it have ", channels_, ": give all of ", dataset_.name, " as many");
    }
    if (channels_ != 1 && channels_ != 3) throw Error("the pictures of ", dataset_.name, " have ", channels_, " channels: give them one channel or three");
  }

  /// True if it is the caller who makes it, false once it is there.
  static bool claim(std::atomic<State>& state) {
    for (State now = State::missing; !state.compare_exchange_strong(now, State::being_made); now = State::missing) {
      if (now == State::there) return false;
      state.wait(State::being_made);
    }
    return true;
  }
  static void pass_on(std::atomic<State>& state, State to) {
    state = to;
    state.notify_all();
  }
  void make(const Sample& s, std::uint8_t* y) const {
    if (s.picture) return resize(s.picture->pixels.data(), s.picture->size(), channels_, size_, interpolation_, y);
    const Picture decoded = decode(s, decoding_);
    resize(decoded.pixels.data(), decoded.size(), channels_, size_, interpolation_, y);
  }

  Dataset dataset_;
  Size size_;
  Interpolation interpolation_;
  DecodeOptions decoding_;
  int channels_ = 0;
  Index kept_ = 0;
  std::unique_ptr<std::uint8_t[]> pixels_;     // (kept, H, W, C)
  std::vector<std::atomic<State>> states_;     // (kept)
  std::unique_ptr<const detail::PictureCache> cache_;
};

}  // namespace lamina
