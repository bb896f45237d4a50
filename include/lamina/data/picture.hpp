/// A picture as it lies in memory before a network sees it.
#pragma once
#include <vector>

#include "../core/error.hpp"
#include "../core/shape.hpp"

namespace lamina {

/// Height and width in pixels.
struct Size {
  int h = 0, w = 0;
  friend constexpr bool operator==(Size, Size) = default;
};

/// Grey levels 0..255, the channels of a pixel side by side: pixels (H, W, C). Colours are red, green, blue.
struct Picture {
  int h = 0, w = 0, c = 3;
  std::vector<std::uint8_t> pixels;

  constexpr Size size() const { return {h, w}; }
  constexpr Shape shape() const { return {h, w, c}; }
};

/// Pictures have at most this many pixels along a side, and this many in all: what a decoder is asked to allocate stays under half a gigabyte.
inline constexpr int largest_side = 16384;
inline constexpr Index largest_area = 50'000'000;

namespace detail {
/// What a look through a file found, before a decoder sees it.
struct Found {
  const char* problem = nullptr;       // why the bytes are refused, or null
  Size size;                           // read from the header, if it got that far
};

/// Why a picture of this size is refused, or null.
inline const char* too_large(Index h, Index w) {
  if (h < 1 || w < 1) return "its header says it has no pixels";
  if (h > largest_side || w > largest_side) return "it is larger than 16384 pixels along one side: make it smaller first";
  if (h * w > largest_area) return "it has more than 50 million pixels: make it smaller first";
  return nullptr;
}
}  // namespace detail

}  // namespace lamina
