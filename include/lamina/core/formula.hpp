/// exp and its kin for formulas. Those of float have no branch and no table, so that a loop over numbers becomes one over vectors, as wide as the processor has them; those of
/// double are the standard library's. A NaN comes out as one; what is too small for a normal number may come out as zero.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "macros.hpp"

namespace lamina::formula {

namespace detail {
/// exp(x) = 2^n (1 + q), |q| < 0.42: x = n ln 2 + r, and q = exp(r) - 1 by a polynomial whose largest error, relative to exp(r) - 1, is 1.3e-8 (minimax over |r| < ln 2 / 2).
struct Power {
  float q;
  std::int32_t n;
  LAMINA_HD explicit Power(float x) {                 // -105 to 89
    constexpr float round = 12582912;                 // 1.5 * 2^23: what is added to it becomes an integer in its lowest bits
    constexpr std::int32_t bits = 0x4B400000;         // its own
    const float shifted = x * 1.44269504f + round;
    std::memcpy(&n, &shifted, sizeof n);
    n -= bits;
    const float whole = shifted - round, r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;      // ln 2 in two parts, the first of 10 bits
    q = r + r * r * (0.49999997f + r * (0.16666543f + r * (0.041667201f + r * (0.0083665205f + r * 0.0013882521f))));
  }
};
LAMINA_HD inline float two_to(std::int32_t n) {       // -126 to 127
  const std::int32_t bits = (n + 127) << 23;
  float p;
  std::memcpy(&p, &bits, sizeof p);
  return p;
}
/// yes ? a : b, without a jump: with one no compiler makes vectors of it.
LAMINA_HD inline float choose(bool yes, float a, float b) {
  std::int32_t of_a, of_b;
  std::memcpy(&of_a, &a, sizeof a), std::memcpy(&of_b, &b, sizeof b);
  const std::int32_t mask = -std::int32_t(yes), bits = (of_a & mask) | (of_b & ~mask);
  std::memcpy(&a, &bits, sizeof a);
  return a;
}
/// min and max that let a NaN x pass.
LAMINA_HD inline float within(float low, float x, float high) {
  x = choose(x < low, low, x);
  return choose(x > high, high, x);
}
}  // namespace detail

/// exp(x).
LAMINA_HD inline double exp(double x) { return std::exp(x); }
LAMINA_HD inline float exp(float x) {
  const detail::Power p(detail::within(-105, x, 89));
  const std::int32_t half = p.n >> 1;                 // 2^n may be too large for a number, or too small
  return (1 + p.q) * detail::two_to(half) * detail::two_to(p.n - half);
}

/// exp(min(x, 0)) - 1.
LAMINA_HD inline double expm1_below(double x) { return std::expm1(x > 0 ? 0 : x); }
LAMINA_HD inline float expm1_below(float x) {
  const detail::Power p(detail::within(-80, x, 0));
  const float power = detail::two_to(p.n);
  return power * p.q + (power - 1);
}

/// 1 / (1 + exp(-x)).
template <class T> LAMINA_HD T sigmoid(T x) { return T(1) / (T(1) + exp(-x)); }

LAMINA_HD inline double tanh(double x) { return std::tanh(x); }
LAMINA_HD inline float tanh(float x) {
  const float e = expm1_below(-2 * std::fabs(x));
  return std::copysign(e / (e + 2), x);
}

/// The density of the normal distribution, exp(-x^2 / 2) / sqrt(2 pi), and Phi, its integral up to x.
template <class T> struct Normal { T density, integral; };
LAMINA_HD inline Normal<double> normal(double x) { return {0.39894228040143268 * std::exp(-0.5 * x * x), 0.5 * std::erfc(x * -0.70710678118654752)}; }
/// 1 - Phi(|x|) = exp(-z^2) q(1 / (3/2 + z)) / 2 with z = |x| / sqrt(2): q is minimax, with an error of at most 2e-9 where exp(-z^2 / 4) weighs it.
LAMINA_HD inline Normal<float> normal(float x) {
  const float t = 1 / (1.5f + std::fabs(x) * 0.70710678f), e = exp(-0.5f * x * x);
  const float q = 3.9481159e-4f + t * (0.55397177f + t * (0.95939714f + t * (0.29566205f + t * (3.1133654f + t * (-5.3668103f + t * (0.73636901f + t * (4.9566712f + t * (-4.6942849f + t * 1.4015467f))))))));
  const float beyond = 0.5f * e * q;
  return {0.39894228f * e, detail::choose(x > 0, 1 - beyond, beyond)};
}

}  // namespace lamina::formula
