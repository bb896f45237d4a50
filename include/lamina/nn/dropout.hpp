/// Dropout: Srivastava et al. 2014.
#pragma once
#include "../core/layer.hpp"

namespace lamina {

namespace detail {
template <class T> struct Drop {
  const T* x; T* y; Random random; const std::uint32_t* clock; Index first; double rate;   // first: place of x[0] in the global batch
  LAMINA_HD void operator()(Index i) const { y[i] = random.at(*clock)(first + i) < rate ? T(0) : x[i] / T(1 - rate); }
};
template <int Percent> struct DropoutOptions { static_assert(0 <= Percent && Percent < 100, "Dropout<Percent>: 0 to 99 of 100"); };
template <class T> struct Copy { const T* x; T* y; LAMINA_HD void operator()(Index i) const { y[i] = x[i]; } };
}  // namespace detail

/// Sets Percent of 100 numbers to zero and scales the rest by 1 / (1 - Percent / 100), in training only. The mask is a function of the seed, the layer, the
/// step and the sample; it is drawn again in backward, so nothing is kept.
template <int Percent> struct Dropout {
  static constexpr detail::DropoutOptions<Percent> checked{};
  static constexpr Shape out(Shape in) { return in; }
  static constexpr Needs needs(Shape in) { return {.flops = size(in), .elementwise = true}; }
  template <class D, class T> static void forward(D& dev, const Step<T>& s) {
    if (s.training) parallel_for(dev, s.n * size(s.in), drop(s, s.x, s.y));
    else if (s.x != s.y) parallel_for(dev, s.n * size(s.in), detail::Copy<T>{s.x, s.y});
  }
  template <class D, class T> static void backward(D& dev, const Step<T>& s) { parallel_for(dev, s.n * size(s.in), drop(s, s.dy, s.dx)); }

 private:
  template <class T> static detail::Drop<T> drop(const Step<T>& s, const T* x, T* y) { return {x, y, s.random, s.clock, s.first * size(s.in), Percent / 100.0}; }
};

}  // namespace lamina
