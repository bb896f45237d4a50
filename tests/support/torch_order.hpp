/// PyTorch's order of weights, and how far numbers may be from the recorded ones.
#pragma once
#include <lamina/core/shape.hpp>

#include <cmath>
#include <vector>

namespace lamina_test {

using lamina::Index;

/// (O, I, H, W) -> (H, W, I, O); a dense weight (O, I) is one with H = W = 1.
template <class T> std::vector<T> from_oihw(const std::vector<T>& v, const std::vector<Index>& shape) {
  const Index o = shape[0], i = shape[1], plane = shape.size() == 4 ? shape[2] * shape[3] : 1;
  std::vector<T> w(v.size());
  for (Index a = 0; a < o; ++a)
    for (Index b = 0; b < i; ++b)
      for (Index p = 0; p < plane; ++p) w[std::size_t((p * i + b) * o + a)] = v[std::size_t((a * i + b) * plane + p)];
  return w;
}

/// The largest error, absolute or, for numbers above 1, relative; infinite if there is a NaN or another number of numbers.
template <class T> double distance(const std::vector<T>& found, const std::vector<double>& expected) {
  if (found.size() != expected.size()) return INFINITY;
  double most = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double error = std::abs(double(found[i]) - expected[i]) / std::max(1.0, std::abs(expected[i]));
    if (!(error <= most)) most = error;
    if (most != most) return INFINITY;
  }
  return most;
}

}  // namespace lamina_test
