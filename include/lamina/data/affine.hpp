/// One affine map over a picture: where every new pixel comes from, and what it takes from there.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "../core/changes.hpp"
#include "picture.hpp"

namespace lamina {

/// Whose matrix. `corrected` is Keras's current one with its two faults taken out: it turns and zooms about the middle of pictures that are not square
/// too, and width_shift moves along the width. `current` is keras.src.legacy as it stands, `legacy_1_1_2` keras-preprocessing 1.1.2: there shear moves
/// rows, x means rows and y columns, and the middle is half a pixel off on either side.
enum class KerasVersion { corrected, current, legacy_1_1_2 };

/// The map of Keras's parameters: M = R(theta) T(tx, ty) S(shear) Z(zx, zy) about the middle of the picture, angles in degrees, shifts in pixels, with
/// R = [[cos, -sin], [sin, cos]], S = [[1, -sin], [0, cos]] and Z = diag(zx, zy), from new places to old: a factor below one magnifies.
/// Definition: apply_affine_transform of keras/src/legacy/preprocessing/image.py.
inline Affine affine(double theta, double tx, double ty, double shear, double zx, double zy, Size size,
                     KerasVersion version = KerasVersion::corrected) {
  constexpr double radian = 3.14159265358979323846 / 180;
  const double c = std::cos(theta * radian), s = std::sin(theta * radian), sc = std::cos(shear * radian), ss = std::sin(shear * radian);
  const double a = c * zx, b = (c * -ss - s * sc) * zy, d = s * zx, e = (s * -ss + c * sc) * zy;       // R S Z = [[a, b], [d, e]]
  const double shift_x = c * tx - s * ty, shift_y = s * tx + c * ty;                                  // R T
  const bool swapped = version == KerasVersion::corrected;
  const double half = version == KerasVersion::legacy_1_1_2 ? 0.5 : -0.5;
  const double ox = (swapped ? size.w : size.h) / 2.0 + half, oy = (swapped ? size.h : size.w) / 2.0 + half;
  const double x0 = ox + shift_x - (a * ox + b * oy), y0 = oy + shift_y - (d * ox + e * oy);
  if (version == KerasVersion::legacy_1_1_2) return {a, b, x0, d, e, y0};
  return {e, d, y0, b, a, x0};
}

/// The part of a picture `whole` that becomes all of it, before m is applied: pixels have their middle at half a pixel, as in every resize of Pillow and torchvision.
inline Affine within_window(const Affine& m, const Rectangle& window, Size whole) {
  const double down = double(window.h) / whole.h, across = double(window.w) / whole.w;
  return {down * m.yy, down * m.yx, down * m.y0 + window.y + (down - 1) / 2, across * m.xy, across * m.xx, across * m.x0 + window.x + (across - 1) / 2};
}

namespace detail {

/// The two pixels of a line of n between which each of `count` places lies, as offsets in steps of `stride`, and the weight of the second.
struct Taps {
  static constexpr int most = 64;
  std::int32_t first[most], second[most];
  float weight[most];
  bool inside[most];                   // false: the constant, with FillMode::constant

  /// Places at[i], mapped into the line as scipy.ndimage maps them.
  void locate(double* at, int count, int n, int stride, FillMode fill, double margin, bool linear) {
    if (fill == FillMode::constant)
      for (int i = 0; i < count; ++i) inside[i] = pixel::inside(at[i], n, margin);
    else if (fill != FillMode::nearest)
      for (int i = 0; i < count; ++i) at[i] = fill == FillMode::reflect ? pixel::reflect(at[i], n) : pixel::wrap(at[i], n);
    if (fill == FillMode::constant || fill == FillMode::nearest)
      for (int i = 0; i < count; ++i) at[i] = pixel::nearest(at[i], n);
    for (int i = 0; i < count; ++i) {
      const pixel::Neighbours two = pixel::around(at[i], n, linear);
      first[i] = two.first * stride, second[i] = two.second * stride, weight[i] = two.weight;
    }
  }
};

/// Memory for a moment, kept from picture to picture.
struct Scratch {
  std::vector<float> numbers;          // (H, W, C), and one that nobody sees
  std::vector<std::uint8_t> picture;   // (H, W, C)
  std::vector<double> coefficients;    // of splines
};

/// Four numbers at once, of which the colours of a pixel are the first.
typedef float Four __attribute__((vector_size(16)));
inline Four four(const float* p) {
  Four v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
/// The bits of pixel::blend().
inline Four blend(Four from, Four to, float weight) {
  const Four part = weight * (to - from);      // by itself, lest a compiler rounds it together with the sum
  return from + part;
}
/// Pixel j of n neighbours y; with another behind it that is yet to be written, a number more is.
inline void put(Four colours, int j, int n, float* y) { std::memcpy(y + 3 * j, &colours, (j + 1 < n ? 4 : 3) * sizeof(float)); }

/// Pixels of a new row that comes from one line (W, C), or between two neighbours of it.
template <int C> void blend_columns(const float* line, const Taps& columns, int n, float* y) {
  for (int j = 0; j < n; ++j) {
    const float *p = line + columns.first[j], *q = line + columns.second[j], f = columns.weight[j];
    if constexpr (C == 3) put(blend(four(p), four(q), f), j, n, y);
    else y[j] = pixel::blend(p[0], q[0], f);
  }
}
/// Pixels that come each from a place of its own in x (H, W, C).
template <int C> void blend_corners(const float* x, const Taps& rows, const Taps& columns, int n, float* y) {
  for (int j = 0; j < n; ++j) {
    const float *up = x + rows.first[j], *down = x + rows.second[j], f = columns.weight[j], g = rows.weight[j];
    const std::int32_t one = columns.first[j], next = columns.second[j];
    if constexpr (C == 3) put(blend(blend(four(up + one), four(up + next), f), blend(four(down + one), four(down + next), f), g), j, n, y);
    else y[j] = pixel::blend(pixel::blend(up[one], up[next], f), pixel::blend(down[one], down[next], f), g);
  }
}

/// x (H, W, C) -> y (H, W, C), both grey levels. The flips come after the map.
template <int C> void map_picture(const std::uint8_t* x, Size s, const Changes& c, FillMode fill, float outside, bool linear, float* y, Scratch& scratch) {
  const Affine& m = c.map;
  const bool mirror_rows = c.flip_vertical, mirror_columns = c.flip_horizontal;
  const int stride = s.w * C;
  const bool level = m.yx == 0;        // every new row comes from one old row, or from between two: shear and zoom alone do that
  const Index count = level ? stride : Index(s.h) * stride;
  if (Index(scratch.numbers.size()) <= count) scratch.numbers.resize(std::size_t(count) + 1);
  float* const numbers = scratch.numbers.data();      // of one line, or of the picture: four of them are read at once, and bytes would have to be converted one by one
  if (!level)
    for (Index i = 0; i < count; ++i) numbers[i] = x[i];
  double at[Taps::most];
  Taps rows, columns;
  for (int i = 0; i < s.h; ++i) {
    const double row = mirror_rows ? s.h - 1 - i : i;
    if (level) {
      at[0] = m.row(row, 0);
      rows.locate(at, 1, s.h, stride, fill, c.margin, linear);
      const std::uint8_t *p = x + rows.first[0], *q = x + rows.second[0];
      const float f = rows.weight[0];
      for (int j = 0; j < stride; ++j) numbers[j] = pixel::blend(p[j], q[j], f);
    }
    for (int j0 = 0; j0 < s.w; j0 += Taps::most) {
      const int n = std::min(Taps::most, s.w - j0);
      for (int j = 0; j < n; ++j) at[j] = m.column(row, mirror_columns ? s.w - 1 - j0 - j : j0 + j);
      columns.locate(at, n, s.w, C, fill, c.margin, linear);
      float* out = y + (Index(i) * s.w + j0) * C;
      if (level) {
        blend_columns<C>(numbers, columns, n, out);
      } else {
        for (int j = 0; j < n; ++j) at[j] = m.row(row, mirror_columns ? s.w - 1 - j0 - j : j0 + j);
        rows.locate(at, n, s.h, stride, fill, c.margin, linear);
        blend_corners<C>(numbers, rows, columns, n, out);
      }
      if (fill == FillMode::constant)
        for (int j = 0; j < n; ++j)
          if (!columns.inside[j] || !rows.inside[level ? 0 : j]) std::fill_n(out + j * C, C, outside);
    }
  }
}

}  // namespace detail
}  // namespace lamina
