/// Dropout: Srivastava et al. 2014.
#pragma once
#include "../core/layer.hpp"

namespace lamina {

namespace detail {
template <class T> struct Drop {
  const T* x; T* y; Index n; Random random; const std::uint32_t* clock; Index first; double rate;   // first: place of x[0] in the global batch
  /// Two numbers at a time, which one block of random words decides on; at the ends one of them may be another's.
  LAMINA_HD void operator()(Index pair) const {
    const Index block = first / 2 + pair;
    const Random::Block words = random.at(*clock).block(std::uint64_t(block));
    for (int which = 0; which < 2; ++which)
      if (const Index i = 2 * block + which - first; i >= 0 && i < n) y[i] = Random::number(words, which) < rate ? Master<T>(0) : Master<T>(x[i]) / Master<T>(1 - rate);
  }
  Index pairs() const { return (first + n + 1) / 2 - first / 2; }
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
    if (s.training) drop(dev, s, s.x, s.y);
    else if (s.x != s.y) parallel_for(dev, s.n * size(s.in), detail::Copy<T>{s.x, s.y});
  }
  template <class D, class T> static void backward(D& dev, const Step<T>& s) { drop(dev, s, s.dy, s.dx); }

 private:
  template <class D, class T> static void drop(D& dev, const Step<T>& s, const T* x, T* y) {
    const detail::Drop<T> d{x, y, s.n * size(s.in), s.random, s.clock, s.first * size(s.in), Percent / 100.0};
    parallel_for(dev, d.pairs(), d);
  }
};

}  // namespace lamina
