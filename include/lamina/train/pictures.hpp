/// How pictures that a source hands out as bytes come into a network, on a device that changes them itself. A copy of the data set stays there, where it fits; and a second queue brings and
/// changes the pictures of a batch while the step of the batch before runs.
#pragma once
#include <algorithm>
#include <array>
#include <cstring>
#include <list>
#include <memory>
#include <optional>
#include <vector>

#include "../core/batch.hpp"
#include "../core/device.hpp"
#include "../core/error.hpp"
#include "../core/precision.hpp"

namespace lamina::detail {

/// The samples of one source in the device's memory: each is there once a batch has brought it. No bytes: there is no room for them.
template <class D> struct KeptPictures {
  std::weak_ptr<const void> source;
  std::optional<Buffer<D, std::uint8_t>> bytes;     // (samples, H, W, C)
  std::vector<bool> there;                          // (samples)
};

/// Of a device that does not change pictures.
template <class D, class T> struct PictureInputs {};

template <ChangesPictures D, class T> class PictureInputs<D, T> {
 public:
  /// x (batch, H, W, C) is where every second batch goes. At most `limit` bytes of the device's memory are taken for data sets, and an eighth of what is free is left.
  [[gnu::cold]] PictureInputs(D& dev, Index batch, Index picture, Index scores, Index limit, T* x)
      : beside_(dev.fork()), batch_(batch), picture_(picture), scores_(scores), limit_(limit), second_x_(dev, batch * picture), slots_{Slot(dev, batch, picture, x), Slot(dev, batch, picture, second_x_.data())} {}

  struct Brought { const T* x; const std::int32_t* label; const Master<T>* target; };    // (N, H, W, C), (N) or null, (N, scores) or null, on the device
  /// Pictures, labels and targets of n samples; dev comes to what it is given next once they are there.
  Brought bring(D& dev, const Pictures& p, const std::int32_t* label, const float* target, Index n) {
    if (size(p.shape) != picture_) throw Error("a batch has pictures of ", p.shape, ", ", size(p.shape), " numbers, and the network takes ", picture_);
    use(dev, 1 - last_);
    Slot& s = slots_[std::size_t(last_)];
    if (s.ready) dev.wait_until(*s.ready);                       // what the host writes to now was read
    KeptPictures<D>& kept = of(dev, p);
    const Index before = n == 0 || p.mixing.off() ? 0 : 1;          // what the first is mixed with comes with them
    const std::uint8_t* const x = kept.bytes ? bring_missing(kept, p, before, n, s) : bring_all(dev, p, before, n, s);
    bool whole = false;
    for (Index i = -before; i < n; ++i) {
      Changes& c = s.changes.data()[before + i] = p.changes[i];
      if (!kept.bytes) c.place = before + i;
      whole = whole || needs_whole_picture(c, p.common, p.shape.c);
    }
    if (label) std::copy(label, label + n, s.label.data());
    if (target) {
      if (!s.target) s.target.emplace(dev, batch_ * scores_), s.target_there.emplace(dev, batch_ * scores_);
      std::copy(target, target + n * scores_, s.target->data());
    }
    if (s.left) beside_.wait_for(*s.left);
    beside_.upload_later(s.changes_there.data(), s.changes.data(), std::size_t(before + n) * sizeof(Changes));
    if (label) beside_.upload_later(s.label_there.data(), s.label.data(), std::size_t(n) * sizeof *label);
    if (target) beside_.upload_later(s.target_there->data(), s.target->data(), std::size_t(n * scores_) * sizeof(Master<T>));
    augment(beside_, p.shape, n, x, s.changes_there.data() + before, p.common, p.mixing, whole, s.x);
    s.ready = beside_.mark();
    dev.wait_for(*s.ready);
    return {s.x, label ? s.label_there.data() : nullptr, target ? s.target_there->data() : nullptr};
  }
  /// Whether samples of this source stay on the device.
  bool keeps(const Pictures& p) const {
    return std::any_of(kept_.begin(), kept_.end(), [&](const auto& k) { return k.bytes && k.source.lock() == p.source; });
  }
  /// What dev is given from now on reads the x of this slot, and no longer that of the other.
  void use(D& dev, int slot) {
    slots_[std::size_t(last_)].left = dev.mark();
    last_ = slot;
  }

 private:
  using Event = decltype(std::declval<D&>().mark());
  struct Slot {
    HostBuffer<D, Changes> changes;
    HostBuffer<D, std::int32_t> label;
    HostBuffer<D, std::uint8_t> pixels;             // those that the device does not have yet
    std::optional<HostBuffer<D, Master<T>>> target;         // of a source that has targets
    std::optional<Buffer<D, Master<T>>> target_there;
    Buffer<D, Changes> changes_there;
    Buffer<D, std::int32_t> label_there;
    std::optional<Buffer<D, std::uint8_t>> pixels_there;    // of a source that is not kept
    T* x;
    std::optional<Event> ready, left;               // x is there; x is no longer read
    Slot(D& dev, Index batch, Index picture, T* to)
        : changes(dev, batch + 1), label(dev, batch), pixels(dev, (batch + 1) * picture), changes_there(dev, batch + 1), label_there(dev, batch), x(to) {}
  };

  /// The samples of a source that are there, or will be.
  KeptPictures<D>& of(D& dev, const Pictures& p) {
    for (auto& k : kept_)
      if (k.source.lock() == p.source) return k;
    std::erase_if(kept_, [](const auto& k) { return k.source.expired(); });
    Index taken = 0;
    for (const auto& k : kept_) taken += k.bytes ? k.bytes->count() : 0;
    KeptPictures<D>& added = kept_.emplace_back();
    added.source = p.source;
    const Index bytes = p.samples * picture_, free = dev.free_bytes();
    if (taken + bytes > limit_ || bytes > free - free / 8) return added;
    added.bytes.emplace(dev, bytes);
    added.there.resize(std::size_t(p.samples));
    return added;
  }
  /// Uploads samples that were never here, neighbours at once.
  const std::uint8_t* bring_missing(KeptPictures<D>& kept, const Pictures& p, Index before, Index n, Slot& s) {
    Index staged = 0, begin = 0, end = 0;           // pictures in the host's memory; samples first ... in a row at its end
    const auto upload = [&] {
      if (end > begin) beside_.upload_later(kept.bytes->data() + begin * picture_, s.pixels.data() + (staged - (end - begin)) * picture_, std::size_t((end - begin) * picture_));
    };
    for (Index i = -before; i < n; ++i) {
      const Index place = p.changes[i].place;
      if (p.kept) p.kept[place].store(true, std::memory_order_relaxed);
      if (kept.there[std::size_t(place)]) continue;
      if (!p.pixels[i]) throw Error("sample ", place, " of a batch has no pixels, and was never here: a source hands pictures out to one taker");
      if (place != end) upload(), begin = end = place;
      std::memcpy(s.pixels.data() + staged * picture_, p.pixels[i], std::size_t(picture_));
      kept.there[std::size_t(place)] = true;
      ++staged, ++end;
    }
    upload();
    return kept.bytes->data();
  }
  const std::uint8_t* bring_all(D& dev, const Pictures& p, Index before, Index n, Slot& s) {
    if (!s.pixels_there) s.pixels_there.emplace(dev, (batch_ + 1) * picture_);
    for (Index i = -before; i < n; ++i) std::memcpy(s.pixels.data() + (before + i) * picture_, p.pixels[i], std::size_t(picture_));
    beside_.upload_later(s.pixels_there->data(), s.pixels.data(), std::size_t((before + n) * picture_));
    return s.pixels_there->data();
  }

  D beside_;
  Index batch_, picture_, scores_, limit_;
  Buffer<D, T> second_x_;
  std::array<Slot, 2> slots_;
  std::list<KeptPictures<D>> kept_;
  int last_ = 0;                                    // the slot that was used last
};

}  // namespace lamina::detail
