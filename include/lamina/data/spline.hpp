/// One affine map over a picture that is a spline of order 2 to 5 between its pixels.
#pragma once
#include "affine.hpp"

namespace lamina {

/// Of the splines between pixels, of which order 0 is the nearest pixel and 1 straight lines.
inline constexpr int highest_interpolation_order = 5;

namespace detail {

/// The coefficients that count at a place of a line: order + 1 of them, and how much each does.
struct SplineWeights {
  int first;
  double of[highest_interpolation_order + 1];
};
/// By the recursion of Cox and de Boor, with knots one apart; those of an even order lie between the pixels.
inline SplineWeights spline_weights(double at, int order) {
  const double place = order % 2 == 0 ? at + 0.5 : at, whole = std::floor(place), u = place - whole;
  SplineWeights w{int(whole) - order / 2, {1}};
  for (int n = 1; n <= order; ++n)
    for (int i = n; i >= 0; --i) w.of[i] = ((i > 0 ? (u + n - i) * w.of[i - 1] : 0) + (i < n ? (i + 1 - u) * w.of[i] : 0)) / n;
  return w;
}

/// The coefficient that stands for number i of a line of n.
inline int on_line(int i, int n, FillMode fill) {
  if (fill == FillMode::nearest || n == 1) return std::clamp(i, 0, n - 1);
  const bool edge_twice = fill == FillMode::reflect;
  const int period = edge_twice ? 2 * n : 2 * n - 2, at = (i % period + period) % period;
  return at < n ? at : period - at - (edge_twice ? 1 : 0);
}

/// The poles of the filter that finds the coefficients of a spline.
struct Poles {
  int count;
  double z[2];
};
inline Poles poles_of(int order) {
  const auto pair = [](double a, double b, double c, double d) { return Poles{2, {std::sqrt(a - std::sqrt(b)) + std::sqrt(c) - d, std::sqrt(a + std::sqrt(b)) - std::sqrt(c) - d}}; };
  if (order == 2) return {1, {std::sqrt(8.0) - 3}};
  if (order == 3) return {1, {std::sqrt(3.0) - 2}};
  return order == 4 ? pair(664, 438976, 304, 19) : pair(67.5, 4436.25, 26.25, 6.5);
}

/// Numbers c[i stride + k], i below n and k below `beside`, become the coefficients of the splines that go through them along i, the border mirrored. For each pole one pass forward and one back, both
/// begun with what the mirrors show beyond the border (Unser, Splines: a perfect fit for signal and image processing, IEEE Signal Processing Magazine 16(6), 1999).
inline void find_coefficients(double* c, Index n, Index stride, Index beside, int order, bool edge_twice) {
  if (n == 1) return;
  const Poles poles = poles_of(order);
  const auto line = [&](Index i) { return c + i * stride; };
  for (int p = 0; p < poles.count; ++p) {
    const double z = poles.z[p], gain = (1 - z) * (1 - 1 / z);
    for (Index i = 0; i < n; ++i)
      for (Index k = 0; k < beside; ++k) line(i)[k] *= gain;

    const double round = std::pow(z, double(edge_twice ? 2 * n : 2 * n - 2)), scale = 1 / (1 - round);   // once round both mirrors everything comes again
    if (!edge_twice)
      for (Index k = 0; k < beside; ++k) line(0)[k] *= scale;
    for (Index i = edge_twice ? 0 : 1; i < std::min<Index>(n, 64); ++i) {           // |z| is below 0.44: of numbers further away nothing is left
      const double there = std::pow(z, double(i)), near = edge_twice ? z * there : there, far = !edge_twice && i == n - 1 ? 0 : round / there;
      for (Index k = 0; k < beside; ++k) line(0)[k] += scale * (near + far) * line(i)[k];
    }
    for (Index i = 1; i < n; ++i)
      for (Index k = 0; k < beside; ++k) line(i)[k] += z * line(i - 1)[k];

    for (Index k = 0; k < beside; ++k) {
      double& last = line(n - 1)[k];
      last = edge_twice ? last * z / (z - 1) : (last + z * line(n - 2)[k]) * z / (z * z - 1);
    }
    for (Index i = n - 2; i >= 0; --i)
      for (Index k = 0; k < beside; ++k) line(i)[k] = z * (line(i + 1)[k] - line(i)[k]);
  }
}

/// Where on a line of n pixels a place is looked for, as scipy.ndimage has it: with FillMode::nearest `border` more pixels lie on either side, all like the edge, and beyond them the last coefficient
/// alone counts.
inline double place_on_spline(double at, int n, FillMode fill, int border) {
  if (fill == FillMode::reflect) return pixel::reflect(at, n);
  if (fill == FillMode::wrap) return pixel::wrap(at, n);
  if (fill == FillMode::nearest) return std::clamp(at + border, -double(highest_interpolation_order), double(n + 2 * border + highest_interpolation_order));
  return pixel::nearest(at, n);
}

/// map_picture() with a spline of this order, from 2 on: x (H, W, C) -> y (H, W, C), both grey levels, some of the new ones below 0 or above 255. Definition: scipy.ndimage.affine_transform
/// (which, with FillMode::reflect and fewer than eight pixels a side, misses what it defines: its filter begins with a number that it has changed).
template <int C> void map_spline(const std::uint8_t* x, Size s, const Changes& c, FillMode fill, float outside, int order, float* y, Scratch& scratch) {
  const bool edge_twice = fill == FillMode::nearest || fill == FillMode::reflect;
  const int border = fill == FillMode::nearest ? 12 : 0, h = s.h + 2 * border, w = s.w + 2 * border;
  std::vector<double>& numbers = scratch.coefficients;       // (h, w, C)
  if (Index(numbers.size()) < Index(h) * w * C) numbers.resize(std::size_t(h) * std::size_t(w) * C);
  for (int i = 0; i < h; ++i)
    for (int j = 0; j < w; ++j) {
      const std::uint8_t* const from = x + (Index(std::clamp(i - border, 0, s.h - 1)) * s.w + std::clamp(j - border, 0, s.w - 1)) * C;
      for (int k = 0; k < C; ++k) numbers[std::size_t((Index(i) * w + j) * C + k)] = from[k];
    }
  find_coefficients(numbers.data(), h, Index(w) * C, Index(w) * C, order, edge_twice);
  for (int i = 0; i < h; ++i) find_coefficients(numbers.data() + Index(i) * w * C, w, C, C, order, edge_twice);

  for (int i = 0; i < s.h; ++i)
    for (int j = 0; j < s.w; ++j) {
      const double row = c.flip_vertical ? s.h - 1 - i : i, column = c.flip_horizontal ? s.w - 1 - j : j;
      const double from_row = c.map.row(row, column), from_column = c.map.column(row, column);
      float* const out = y + (Index(i) * s.w + j) * C;
      if (fill == FillMode::constant && !(pixel::inside(from_row, s.h, c.margin) && pixel::inside(from_column, s.w, c.margin))) {
        std::fill_n(out, C, outside);
        continue;
      }
      const SplineWeights rows = spline_weights(place_on_spline(from_row, s.h, fill, border), order);
      const SplineWeights columns = spline_weights(place_on_spline(from_column, s.w, fill, border), order);
      int across[highest_interpolation_order + 1];
      for (int b = 0; b <= order; ++b) across[b] = on_line(columns.first + b, w, fill) * C;
      double sum[C] = {};
      for (int a = 0; a <= order; ++a) {
        const double* const from = numbers.data() + Index(on_line(rows.first + a, h, fill)) * w * C;
        for (int b = 0; b <= order; ++b)
          for (int k = 0; k < C; ++k) sum[k] += rows.of[a] * columns.of[b] * from[across[b] + k];
      }
      for (int k = 0; k < C; ++k) out[k] = float(sum[k]);
    }
}

}  // namespace detail
}  // namespace lamina
