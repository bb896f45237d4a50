/// How a batch in host memory comes to the device of a model: read where it lies if the device can, copied or converted otherwise.
#pragma once
#include <algorithm>
#include <type_traits>
#include <vector>

#include "../core/device.hpp"

namespace lamina::detail {

template <Device D, class T> class Inputs {
  static constexpr bool in_place = requires { requires D::host_memory; } && std::is_same_v<T, float>;

 public:
  Inputs(D& dev, Index batch, Index picture, Index scores)
      : picture_(picture), scores_(scores), x_(dev, in_place ? 0 : batch * picture), target_(dev, in_place ? 0 : batch * scores), spare_(dev, batch * scores),
        label_(dev, batch), host_(in_place || std::is_same_v<T, float> ? 0 : std::size_t(batch * std::max(picture, scores))) {}

  const T* pictures(D& dev, const float* x, Index n) { return bring(dev, x, n * picture_, x_); }
  const T* targets(D& dev, const float* t, Index n) { return t ? bring(dev, t, n * scores_, target_) : nullptr; }
  const std::int32_t* labels(D& dev, const std::int32_t* label, Index n) {
    if (!label) return nullptr;
    dev.upload(label_.data(), label, std::size_t(n) * sizeof *label);
    return label_.data();
  }
  T* spare() const { return spare_.data(); }   // (batch, scores), for whoever needs it for a moment

 private:
  const T* bring(D& dev, const float* from, Index count, Buffer<D, T>& to) {
    if constexpr (in_place) return from;
    else if constexpr (std::is_same_v<T, float>) dev.upload(to.data(), from, std::size_t(count) * sizeof(T));
    else {
      for (Index i = 0; i < count; ++i) host_[std::size_t(i)] = T(from[i]);
      dev.upload(to.data(), host_.data(), std::size_t(count) * sizeof(T));
    }
    return to.data();
  }

  Index picture_, scores_;
  Buffer<D, T> x_, target_, spare_;
  Buffer<D, std::int32_t> label_;
  std::vector<T> host_;
};

}  // namespace lamina::detail
