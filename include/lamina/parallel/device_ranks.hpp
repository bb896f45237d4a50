/// What ranks say to each other of numbers that lie in the memory of their devices.
#pragma once
#include <algorithm>
#include <vector>

#include "../core/device.hpp"
#include "../core/error.hpp"
#include "any_communicator.hpp"

namespace lamina::detail {

/// Memory that the host can read is used where it lies. For other memory there may be ranks on the device's queue; else it is copied to the host and back, which works with any device and any
/// communicator.
template <Device D> class DeviceRanks {
  static constexpr bool in_place = requires { requires D::host_memory; };

 public:
  /// exact: sums are in the order of tree_sum(), on the device too. Throws Error if the communicator works on the queue of another device.
  DeviceRanks(D& dev, const AnyCommunicator& ranks, bool exact = true) : dev_(dev), ranks_(ranks), exact_(exact) {
    if constexpr (in_place) shared_ = ranks_.shared();
    if constexpr (requires { dev.stream(); }) {
      queued_ = ranks_.queued();
      if (queued_ && queued_->queue() != static_cast<const void*>(dev.stream()))
        throw Error("rank ", ranks_.rank(), " has a communicator on the stream of one device, and a model on that of another: make both with the same device, or with copies of it");
    }
  }
  AnyCommunicator& communicator() { return ranks_; }
  /// Whether sums are work for the device's queue.
  bool queued() const { return queued_; }
  /// How they work in each other's memory; null where they cannot.
  SharedRanks* shared() { return shared_; }

  /// A sum over the ranks that goes on by itself until finish(): of x (count), which nobody touches meanwhile.
  template <class T> void begin(T* x, Index count, const char* name) {
    if (queued_) return follow(dev_), queued_->begin(x, count, exact_);
    if constexpr (in_place) {
      // As a task of the device: with its treatment of numbers that are too small.
      dev_.run(1, [&](Index, int) { begun_.push_back({ranks_.begin(std::span(x, std::size_t(count)), name), nullptr, nullptr, 0}); });
    } else {
      T* const there = room<T>(count);
      dev_.download(there, x, std::size_t(count) * sizeof(T));
      begun_.push_back({ranks_.begin(std::span(there, std::size_t(count)), name), there, x, std::size_t(count) * sizeof(T)});
    }
  }
  /// The sum on the queue that begins next comes after what this device, a fork of the queue's, was given.
  void follow(D& device) { queued_->follow(&device); }
  /// The first that was begun and is not finished.
  void finish() {
    if (queued_) return queued_->join();
    const Begun b = begun_[finished_++];
    ranks_.finish(b.number);
    if (b.bytes) dev_.upload(b.to, b.there, b.bytes);
    if (finished_ == begun_.size()) begun_.clear(), finished_ = 0, used_ = 0;
  }
  /// x (count) becomes that of rank 0.
  template <class T> void broadcast(T* x, Index count, const char* name) {
    if (!count) return;
    if (queued_) queued_->broadcast(x, std::size_t(count) * sizeof(T));
    else if constexpr (in_place) ranks_.broadcast(std::span(x, std::size_t(count)), 0, name);
    else {
      std::vector<T> there(static_cast<std::size_t>(count));
      dev_.download(there.data(), x, there.size() * sizeof(T));
      ranks_.broadcast(there, 0, name);
      dev_.upload(x, there.data(), there.size() * sizeof(T));
    }
  }
  /// all (size, bytes) = what each rank has.
  void gather(const void* mine, std::size_t bytes, void* all, const char* name) {
    const std::size_t of_all = bytes * std::size_t(ranks_.size());
    if (queued_) queued_->all_gather(mine, bytes, all);
    else if constexpr (in_place) gather_on_host(mine, bytes, all, name);
    else {
      gathered_.resize(bytes + of_all);
      dev_.download(gathered_.data(), mine, bytes);
      ranks_.all_gather(std::span(gathered_).first(bytes), std::span(gathered_).subspan(bytes), name);
      dev_.upload(all, gathered_.data() + bytes, of_all);
    }
  }
  /// The same of memory of the host.
  void gather_on_host(const void* mine, std::size_t bytes, void* all, const char* name) {
    ranks_.all_gather(std::span(static_cast<const std::byte*>(mine), bytes), std::span(static_cast<std::byte*>(all), bytes * std::size_t(ranks_.size())), name);
  }

 private:
  struct Begun { Index number; const void* there; void* to; std::size_t bytes; };

  /// Room for so many more, until all is finished. Sums that are under way keep their place: the rooms are blocks of their own.
  template <class T> T* room(Index count) {
    if (used_ == rooms_.size()) rooms_.emplace_back();
    std::vector<double>& r = rooms_[used_++];
    r.resize(std::max(r.size(), (std::size_t(count) * sizeof(T) + sizeof(double) - 1) / sizeof(double)));
    return reinterpret_cast<T*>(r.data());
  }

  D& dev_;
  AnyCommunicator ranks_;
  bool exact_;
  QueuedRanks* queued_ = nullptr;
  SharedRanks* shared_ = nullptr;
  std::vector<Begun> begun_;
  std::size_t finished_ = 0, used_ = 0;
  std::vector<std::vector<double>> rooms_;
  std::vector<std::byte> gathered_;
};

}  // namespace lamina::detail
