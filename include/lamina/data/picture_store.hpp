/// The pictures of a dataset at one size: decoded once, resized once, kept in memory as far as they fit.
#pragma once
#include <memory>
#include <new>

#include "dataset.hpp"
#include "decode.hpp"
#include "resize.hpp"

namespace lamina::detail {

/// The first pictures of the dataset are kept, as many as fit; the rest is decoded anew each time. Different samples may be asked for by different threads
/// at once, one sample by one thread.
class PictureStore {
 public:
  [[gnu::cold]] PictureStore(Dataset dataset, Size size, Interpolation interpolation, std::size_t cache_bytes)
      : dataset_(std::move(dataset)), size_(size), interpolation_(interpolation) {
    if (dataset_.samples.empty()) throw Error(dataset_.name, " holds no pictures: add some, or ask for no iterator over it");
    for (const Sample& s : dataset_.samples) {
      const int c = s.picture ? s.picture->c : 3;
      if (channels_ == 0) channels_ = c;
      if (c != channels_)
        throw Error("the picture ", s.where(), " has ", c, " channels and those before it have ", channels_, ": give all of ", dataset_.name, " as many");
    }
    if (channels_ != 1 && channels_ != 3) throw Error("the pictures of ", dataset_.name, " have ", channels_, " channels: give them one channel or three");
    const std::size_t bytes = std::size_t(lamina::size(shape()));
    const std::size_t kept = std::min(cache_bytes / bytes, dataset_.samples.size());
    kept_ = Index(kept);
    pixels_.reset(new (std::nothrow) std::uint8_t[kept * bytes]);                 // not zeroed: pages are taken as pictures come
    if (!pixels_) throw Error("there is no memory to keep the pictures of ", dataset_.name, ", ", kept * bytes, " bytes: give less to cache_bytes");
    there_.resize(kept);
  }

  const Dataset& dataset() const { return dataset_; }
  Shape shape() const { return {size_.h, size_.w, channels_}; }

  /// Whether every sample is kept.
  bool keeps_all() const { return kept_ == dataset_.size(); }

  /// The pixels (H, W, C) of one sample; they hold until `room` is used again. Throws Error, with the name of the file, if it cannot be decoded.
  const std::uint8_t* at(Index sample, std::vector<std::uint8_t>& room) {
    if (const auto bytes = std::size_t(lamina::size(shape())); sample >= kept_ && room.size() < bytes) room.resize(bytes);
    return at(sample, room.data());
  }
  /// The same; `room` (H, W, C) is not used if every sample is kept.
  const std::uint8_t* at(Index sample, std::uint8_t* room) {
    const Sample& s = dataset_.samples[std::size_t(sample)];
    if (s.picture && s.picture->size() == size_) return s.picture->pixels.data();
    const std::size_t bytes = std::size_t(lamina::size(shape()));
    const bool keep = sample < kept_;
    if (keep && there_[std::size_t(sample)]) return pixels_.get() + std::size_t(sample) * bytes;
    std::uint8_t* const y = keep ? pixels_.get() + std::size_t(sample) * bytes : room;
    if (s.picture) {
      resize(s.picture->pixels.data(), s.picture->size(), channels_, size_, interpolation_, y);
    } else {
      const Picture decoded = decode(s.path);
      resize(decoded.pixels.data(), decoded.size(), channels_, size_, interpolation_, y);
    }
    if (keep) there_[std::size_t(sample)] = 1;
    return y;
  }

 private:
  Dataset dataset_;
  Size size_;
  Interpolation interpolation_;
  int channels_ = 0;
  Index kept_ = 0;
  std::unique_ptr<std::uint8_t[]> pixels_;     // (kept, H, W, C)
  std::vector<std::uint8_t> there_;            // (kept)
};

}  // namespace lamina::detail
