/// Tensors in the memory of a device, for tests of its verbs.
#pragma once
#include <lamina/core/device.hpp>
#include <lamina/core/precision.hpp>

#include <cstring>
#include <vector>

#include "integers.hpp"

namespace lamina_test {

/// A tensor of so many numbers: what it is given, or all NaN (0xff in each byte).
template <class D, class T> class Tensor {
 public:
  Tensor(D& dev, const std::vector<T>& v) : dev_(&dev), buffer_(dev, lamina::Index(v.size())) { dev.upload(buffer_.data(), v.data(), buffer_.bytes()); }
  Tensor(D& dev, lamina::Index count) : dev_(&dev), buffer_(dev, count) {
    const std::vector<unsigned char> poison(buffer_.bytes(), 0xff);
    dev.upload(buffer_.data(), poison.data(), buffer_.bytes());
  }
  T* data() const { return buffer_.data(); }
  std::vector<T> get() const {
    std::vector<T> v(std::size_t(buffer_.count()));
    dev_->download(v.data(), buffer_.data(), buffer_.bytes());
    return v;
  }

 private:
  D* dev_;
  lamina::Buffer<D, T> buffer_;
};

/// An arena of so many bytes, all 0xff.
template <class D> void reserve_poisoned(D& dev, lamina::Index bytes) {
  dev.reserve(std::size_t(bytes));
  const std::vector<unsigned char> poison(std::size_t(bytes), 0xff);
  dev.upload(dev.arena(), poison.data(), poison.size());
}

/// Whether all bits agree.
template <class T> bool same_bits(const std::vector<T>& a, const std::vector<T>& b) { return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0); }

/// Numbers as they are stored in T.
template <class T> std::vector<T> stored(const std::vector<lamina::Master<T>>& v) { return {v.begin(), v.end()}; }
template <class T> std::vector<lamina::Master<T>> widened(const std::vector<T>& v) { return {v.begin(), v.end()}; }

}  // namespace lamina_test
