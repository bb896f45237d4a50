/// Clipping: gradients made smaller before the step where they are too large.
#pragma once
#include <cmath>
#include <span>

#include "../core/device.hpp"
#include "../core/error.hpp"

namespace lamina {

/// A tensor in the block of parameters or of gradients: its first number and how many there are.
struct Extent { Index offset = 0, count = 0; };

/// What is clipped, and at what. Clip{} leaves the gradients alone.
struct Clip {
  enum class Kind { none, value, norm, global_norm };
  Kind kind = Kind::none;
  double limit = 0;
  double added = 0;              // to the norm that is divided by

  /// g = min(max(g, -limit), limit), each number by itself: Keras's clipvalue, PyTorch's clip_grad_value_.
  static constexpr Clip value(double limit) { return {Kind::value, limit}; }
  /// g *= limit / |g| for every tensor whose norm |g| is above the limit: Keras's clipnorm.
  static constexpr Clip norm(double limit) { return {Kind::norm, limit}; }
  /// The same for all gradients as one vector: Keras's global_clipnorm.
  static constexpr Clip global_norm(double limit) { return {Kind::global_norm, limit}; }
  /// The same as PyTorch's clip_grad_norm_ has it: limit / (|g| + 1e-6), where that is below 1.
  static constexpr Clip torch_global_norm(double limit) { return {Kind::global_norm, limit, 1e-6}; }
};

namespace detail {
template <class T> struct SquareOf { const T* g; LAMINA_HD double operator()(Index i) const { return double(g[i]) * double(g[i]); } };
template <class T> struct ScaleBy { T* g; T factor; LAMINA_HD void operator()(Index i) const { g[i] *= factor; } };
template <class T> struct Bound {
  T* g;
  T limit;
  LAMINA_HD void operator()(Index i) const { g[i] = g[i] > limit ? limit : g[i] < -limit ? -limit : g[i]; }
};

/// |g|, after it has been brought down to the limit. If it is no number then no gradient is one afterwards, as in both frameworks.
template <class D, class T> double clip_norm(D& dev, const Clip& clip, T* g, Index n) {
  const double norm = std::sqrt(sum(dev, n, SquareOf<T>{g}));
  const double factor = clip.limit / (norm + clip.added);
  if (!(factor >= 1)) parallel_for(dev, n, ScaleBy<T>{g, T(factor)});
  return norm;
}
}  // namespace detail

/// Clips the gradients g (n) on the device; `tensors` says where in it each tensor lies and is read by Clip::norm only.
/// Returns the norm it met before clipping: of all gradients, or the largest of a tensor with Clip::norm; 0 if it needed none.
/// Throws Error if the limit is not above 0, or if Clip::norm is given no tensors.
template <Device D, class T> double clip(D& dev, const Clip& how, T* g, Index n, std::span<const Extent> tensors = {}) {
  if (how.kind == Clip::Kind::none) return 0;
  if (!(how.limit > 0)) throw Error("clipping gradients at ", how.limit, ": the limit is above 0; Clip{} clips nothing");
  double largest = 0;
  switch (how.kind) {
    case Clip::Kind::none: break;
    case Clip::Kind::value: parallel_for(dev, n, detail::Bound<T>{g, T(how.limit)}); break;
    case Clip::Kind::global_norm: return detail::clip_norm(dev, how, g, n);
    case Clip::Kind::norm:
      if (tensors.empty() && n > 0) throw Error("Clip::norm clips each tensor by itself, and got no tensors: hand over their places, or use Clip::global_norm");
      for (const Extent& t : tensors) {
        const double norm = detail::clip_norm(dev, how, g + t.offset, t.count);
        if (norm > largest || std::isnan(norm)) largest = norm;
      }
  }
  return largest;
}

}  // namespace lamina
