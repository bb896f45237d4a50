/// A convolution as a product of matrices: what each of its output pixels sees of the picture.
#pragma once
#include "conv_general.hpp"
#include "divisor.hpp"

namespace lamina::kernels::inline LAMINA_SIMT {

/// What one output pixel sees: the picture's pixel at tap (0, 0), which may lie outside.
struct Sight { int row, column, pixel; };
inline constexpr int nowhere = -(1 << 20);

struct ConvPixels : Walk {
  int pixels;                                // N Ho Wo
  Divisor of_row, of_image, of_channels, of_taps;
  ConvPixels(ConvSpec s, Shape in, Shape out, Index n)
      : Walk(s.window, in, out), pixels(int(n * out.h * out.w)), of_row(out.w), of_image(out.h), of_channels(in.c), of_taps(s.window.k) {}
  LAMINA_DEVICE Sight sight(int image, int row, int column, bool inside) const {
    const int r = row * stride - top, q = column * stride - left;
    return {inside ? r : nowhere, q, (image * h + r) * w + q};
  }
  LAMINA_DEVICE Sight sight(int pixel, bool inside) const {
    const int line = of_row(pixel), image = of_image(line);
    return sight(image, of_image.rest(line, image), of_row.rest(pixel, line), inside);
  }
  LAMINA_DEVICE bool sees(const Sight& s, int i, int j) const { return unsigned(s.row + i) < unsigned(h) && unsigned(s.column + j) < unsigned(w); }
  LAMINA_DEVICE int terms() const { return k * k * c; }
  /// Number `term` of all taps and channels: its tap, and where it lies from the pixel at tap (0, 0).
  struct Term { int i, j, at; };
  LAMINA_DEVICE Term term(int number) const {
    const int tap = of_channels(number), i = of_taps(tap), j = of_taps.rest(tap, i);
    return {i, j, (i * w + j) * c + of_channels.rest(number, tap)};
  }
};

/// The pixels of a picture are of stride x stride classes, each of which is seen through taps of its own: those of class (row0, column0) through taps i0, i0 + stride, ... and
/// j0, j0 + stride, ..., by output pixels row, row - 1, ... and column, column - 1, ...
struct PixelClass {
  int row0, column0, rows, columns, pixels;  // rows, columns: of pixels of the class in an image; pixels: in all
  int i0, j0, taps_down, taps_across;
  LAMINA_DEVICE PixelClass(const Walk& g, int number, int images) {
    row0 = number / g.stride, column0 = number % g.stride;
    rows = (g.h - row0 + g.stride - 1) / g.stride, columns = (g.w - column0 + g.stride - 1) / g.stride, pixels = images * rows * columns;
    i0 = (row0 + g.top) % g.stride, j0 = (column0 + g.left) % g.stride;
    taps_down = i0 < g.k && j0 < g.k ? (g.k - i0 + g.stride - 1) / g.stride : 0, taps_across = j0 < g.k ? (g.k - j0 + g.stride - 1) / g.stride : 1;
  }
  LAMINA_DEVICE int taps() const { return taps_down * taps_across; }
  struct Seen { int image, row, column; };
  /// The output pixel that sees pixel m of the class through tap (i0, j0).
  LAMINA_DEVICE Seen seen(const Walk& g, int m) const {
    const int line = m / columns, image = line / rows;
    return {image, (row0 + g.top) / g.stride + line - image * rows, (column0 + g.left) / g.stride + m - line * columns};
  }
  /// Where pixel m of the class lies in the pictures.
  LAMINA_DEVICE int pixel(const Walk& g, int m) const {
    const int line = m / columns, image = line / rows;
    return (image * g.h + row0 + (line - image * rows) * g.stride) * g.w + column0 + (m - line * columns) * g.stride;
  }
};

}  // namespace lamina::kernels::inline LAMINA_SIMT
