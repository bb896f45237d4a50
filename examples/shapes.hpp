/// What the lessons learn from: small pictures of a disc, a square and a cross, drawn on the spot.
#pragma once
#include <cmath>

#include <lamina/data/dataset.hpp>

/// `count` pictures of 32 x 32 pixels in three classes, always the same ones.
inline lamina::Dataset draw_shapes(int count) {
  lamina::Dataset set;
  set.name = "the shapes";
  set.classes = {"cross", "disc", "square"};
  for (int i = 0; i < count; ++i) {
    const lamina::Random r(1, lamina::Stream::picture, std::uint32_t(i));
    const double x0 = r.uniform(0, 10, 22), y0 = r.uniform(1, 10, 22), size = r.uniform(2, 5, 9), level = r.uniform(3, 90, 255);
    lamina::Picture picture{32, 32, 3, std::vector<std::uint8_t>(32 * 32 * 3)};
    for (int p = 0; p < 32 * 32; ++p) {
      const double x = std::abs(p % 32 - x0), y = std::abs(p / 32 - y0);
      const bool inside = i % 3 == 0 ? std::min(x, y) < size / 3 && std::max(x, y) < size : i % 3 == 1 ? std::hypot(x, y) < size : std::max(x, y) < size;
      for (int c = 0; c < 3; ++c) picture.pixels[std::size_t(3 * p + c)] = std::uint8_t((inside ? level : 0) * r.uniform(8 + 3 * c, 0.5, 1) * 0.9 + 25 * r(100 + 3 * p + c));
    }
    set.add(std::move(picture), i % 3);
  }
  return set;
}
