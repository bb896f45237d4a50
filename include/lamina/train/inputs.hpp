/// How a batch in host memory comes to the device of a model: read where it lies if the device can, copied or converted otherwise, or made of pictures there.
#pragma once
#include <algorithm>
#include <memory>
#include <type_traits>

#include "../core/device.hpp"
#include "../core/precision.hpp"
#include "pictures.hpp"

namespace lamina::detail {

template <class From, class To> struct CopyAs { const From* from; To* to; LAMINA_HD void operator()(Index i) const { to[i] = To(from[i]); } };

template <Device D, class T> class Inputs {
  static constexpr bool host = requires { requires D::host_memory; };
  template <class To> static constexpr bool in_place = host && std::is_same_v<To, float>;

 public:
  static constexpr bool takes_pictures = ChangesPictures<D>;

  Inputs(D& dev, Index batch, Index picture, Index scores)
      : picture_(picture), scores_(scores), x_(dev, in_place<T> ? 0 : batch * picture), target_(dev, in_place<Master<T>> ? 0 : batch * scores), spare_(dev, batch * scores),
        label_(dev, batch), as_float_(dev, host || std::is_same_v<T, float> ? 0 : batch * std::max(picture, scores)) {}

  const T* pictures(D& dev, const float* x, Index n) {
    if constexpr (takes_pictures)
      if (changed_) changed_->use(dev, 0);
    return bring(dev, x, n * picture_, x_);
  }
  /// The same in two halves, for whoever records what is launched: x comes to the device, and becomes there what a network takes.
  const T* upload_pictures(D& dev, const float* x, Index n) { return upload(dev, x, n * picture_, x_); }
  void convert_pictures(D& dev, const float* x, Index n) { convert(dev, x, n * picture_, x_); }
  /// Pictures that the device changes, with their labels and targets; at most `limit` bytes of its memory are taken for what it keeps of them.
  auto pictures(D& dev, const Pictures& p, const std::int32_t* label, const float* target, Index n, Index batch, Index limit) requires takes_pictures {
    if (!changed_) changed_ = std::make_unique<PictureInputs<D, T>>(dev, batch, picture_, scores_, limit, x_.data());
    return changed_->bring(dev, p, label, target, n);
  }
  const Master<T>* targets(D& dev, const float* t, Index n) { return t ? bring(dev, t, n * scores_, target_) : nullptr; }
  const std::int32_t* labels(D& dev, const std::int32_t* label, Index n) {
    if (!label) return nullptr;
    dev.upload(label_.data(), label, std::size_t(n) * sizeof *label);
    return label_.data();
  }
  T* spare() const { return spare_.data(); }   // (batch, scores), for whoever needs it for a moment

 private:
  template <class To> const To* bring(D& dev, const float* from, Index count, Buffer<D, To>& to) {
    const To* const there = upload(dev, from, count, to);
    convert(dev, from, count, to);
    return there;
  }
  template <class To> const To* upload(D& dev, const float* from, Index count, Buffer<D, To>& to) {
    if constexpr (in_place<To>) return from;
    else {
      if constexpr (std::is_same_v<To, float>) dev.upload(to.data(), from, std::size_t(count) * sizeof *from);
      else if constexpr (!host) dev.upload(as_float_.data(), from, std::size_t(count) * sizeof *from);
      return to.data();
    }
  }
  template <class To> void convert(D& dev, const float* from, Index count, Buffer<D, To>& to) {
    if constexpr (!std::is_same_v<To, float>) parallel_for(dev, count, CopyAs<float, To>{host ? from : as_float_.data(), to.data()});
  }

  Index picture_, scores_;
  Buffer<D, T> x_;
  Buffer<D, Master<T>> target_;
  Buffer<D, T> spare_;
  Buffer<D, std::int32_t> label_;
  Buffer<D, float> as_float_;
  std::unique_ptr<PictureInputs<D, T>> changed_;
};

}  // namespace lamina::detail
