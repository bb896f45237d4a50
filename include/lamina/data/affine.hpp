/// One affine map over a picture: where every new pixel comes from, and what it takes from there.
#pragma once
#include <algorithm>
#include <cmath>
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
  std::vector<float> line;             // (W, C)
  std::vector<std::uint8_t> picture;   // (H, W, C)
};

/// x (H, W, C) -> y (H, W, C), both grey levels. The flips come after the map.
template <int C> void map_picture(const std::uint8_t* x, Size s, const Changes& c, FillMode fill, float outside, bool linear, float* y, Scratch& scratch) {
  const Affine& m = c.map;
  const bool mirror_rows = c.flip_vertical, mirror_columns = c.flip_horizontal;
  const int stride = s.w * C;
  const bool level = m.yx == 0;        // every new row comes from one old row, or from between two: shear and zoom alone do that
  if (level && Index(scratch.line.size()) < stride) scratch.line.resize(std::size_t(stride));
  double at[Taps::most];
  Taps rows, columns;
  for (int i = 0; i < s.h; ++i) {
    const double row = mirror_rows ? s.h - 1 - i : i;
    float* const line = scratch.line.data();
    if (level) {
      at[0] = m.row(row, 0);
      rows.locate(at, 1, s.h, stride, fill, c.margin, linear);
      const std::uint8_t *p = x + rows.first[0], *q = x + rows.second[0];
      const float f = rows.weight[0];
      for (int j = 0; j < stride; ++j) line[j] = pixel::blend(p[j], q[j], f);
    }
    for (int j0 = 0; j0 < s.w; j0 += Taps::most) {
      const int n = std::min(Taps::most, s.w - j0);
      for (int j = 0; j < n; ++j) at[j] = m.column(row, mirror_columns ? s.w - 1 - j0 - j : j0 + j);
      columns.locate(at, n, s.w, C, fill, c.margin, linear);
      float* out = y + (Index(i) * s.w + j0) * C;
      if (level) {
        for (int j = 0; j < n; ++j) {
          const float *p = line + columns.first[j], *q = line + columns.second[j], f = columns.weight[j];
          for (int k = 0; k < C; ++k) out[j * C + k] = pixel::blend(p[k], q[k], f);
        }
      } else {
        for (int j = 0; j < n; ++j) at[j] = m.row(row, mirror_columns ? s.w - 1 - j0 - j : j0 + j);
        rows.locate(at, n, s.h, stride, fill, c.margin, linear);
        for (int j = 0; j < n; ++j) {
          const std::uint8_t *up = x + rows.first[j], *down = x + rows.second[j];
          const std::int32_t one = columns.first[j], next = columns.second[j];
          const float f = columns.weight[j], g = rows.weight[j];
          for (int k = 0; k < C; ++k) {
            const float a = up[one + k], b = up[next + k], d = down[one + k], e = down[next + k];
            out[j * C + k] = pixel::blend(pixel::blend(a, b, f), pixel::blend(d, e, f), g);
          }
        }
      }
      if (fill == FillMode::constant)
        for (int j = 0; j < n; ++j)
          if (!columns.inside[j] || !rows.inside[level ? 0 : j]) std::fill_n(out + j * C, C, outside);
    }
  }
}

}  // namespace detail
}  // namespace lamina
