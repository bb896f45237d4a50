/// The shape of one sample, and how a window walks over it.
#pragma once
#include <cstddef>
#include <cstdint>

#include "macros.hpp"

namespace lamina {

using Index = std::ptrdiff_t;

/// Height, width, channels of one sample; the batch is a run-time number and never part of it. NHWC: channels lie side by side.
struct Shape {
  int h = 1, w = 1, c = 1;
  constexpr Shape() = default;
  constexpr Shape(int channels) : c(channels) {}
  constexpr Shape(int height, int width, int channels) : h(height), w(width), c(channels) {}
  friend constexpr bool operator==(Shape, Shape) = default;
};
constexpr Index size(Shape s) { return Index(s.h) * s.w * s.c; }

/// Padding "same" in Keras's meaning: the output is ceil(input / stride), and an odd pixel of padding goes to the bottom and to the right.
inline constexpr int same = -1;

/// A k x k window that moves in steps of `stride` over an image with `pad` empty pixels on every side, or `same`.
struct Window {
  int k = 1, stride = 1, pad = 0;

  /// How many places it takes along an edge of `in` pixels.
  constexpr int places(int in) const { return pad == same ? (in + stride - 1) / stride : (in + 2 * pad - k) / stride + 1; }
  /// Empty pixels before the first of `in` pixels.
  constexpr int before(int in) const {
    if (pad != same) return pad;
    const int all = (places(in) - 1) * stride + k - in;
    return all > 0 ? all / 2 : 0;
  }
  /// The nearest image it can be laid on: `in`, grown if it is smaller than the window.
  constexpr Shape accepts(Shape in) const {
    const int least = pad == same ? 1 : k - 2 * pad > 1 ? k - 2 * pad : 1;
    return {in.h < least ? least : in.h, in.w < least ? least : in.w, in.c};
  }
  /// (H, W, C) -> (Ho, Wo, channels)
  constexpr Shape over(Shape in, int channels) const { return {places(in.h), places(in.w), channels}; }
};

}  // namespace lamina
