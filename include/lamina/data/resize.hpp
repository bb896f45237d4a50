/// Pictures of another size, to the bit as Pillow makes them.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>

#include "picture.hpp"

namespace lamina {

/// Named as in Pillow and Keras. All but nearest are antialiased: when a picture shrinks, the filter grows with the step, so that every pixel counts.
enum class Interpolation { nearest, bilinear, bicubic, box, hamming, lanczos };

namespace detail {

/// Half the width of the filter, in steps.
inline double filter_reach(Interpolation kind) {
  switch (kind) {
    case Interpolation::box: return 0.5;
    case Interpolation::bicubic: return 2;
    case Interpolation::lanczos: return 3;
    default: return 1;
  }
}

inline double sinc(double x) { return x == 0 ? 1 : std::sin(x * 3.14159265358979323846) / (x * 3.14159265358979323846); }

/// The filter at x steps from its middle. Cubic: Keys 1981 with a = -1/2. Lanczos: sinc(x) sinc(x / 3).
inline double filter_weight(Interpolation kind, double x) {
  const double d = std::abs(x);
  switch (kind) {
    case Interpolation::box: return x > -0.5 && x <= 0.5 ? 1 : 0;
    case Interpolation::bilinear: return d < 1 ? 1 - d : 0;
    case Interpolation::hamming: return d < 1 ? sinc(d) * (double(0.54f) + double(0.46f) * std::cos(d * 3.14159265358979323846)) : 0;
    case Interpolation::bicubic: return d < 1 ? (1.5 * d - 2.5) * d * d + 1 : d < 2 ? (((d - 5) * d + 8) * d - 4) * -0.5 : 0;
    case Interpolation::lanczos: return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
    case Interpolation::nearest: break;
  }
  return 0;
}

/// Which pixels meet in each pixel of the new line, with weights that sum to 2^22: eight bits for a grey level, two for what sharpening overshoots.
struct LineFilter {
  static constexpr int bits = 32 - 8 - 2;
  struct Span { int first, count; };
  std::vector<Span> span;              // (to)
  std::vector<std::int32_t> weight;    // (to, taps)
  int taps = 0;

  [[gnu::cold]] LineFilter(int from, int to, Interpolation kind) : span(std::size_t(to)) {
    const double step = double(from) / to, wide = step < 1 ? 1 : step, reach = filter_reach(kind) * wide;
    taps = int(std::ceil(reach)) * 2 + 1;
    weight.resize(std::size_t(to) * std::size_t(taps));
    std::vector<double> w(static_cast<std::size_t>(taps));
    for (int i = 0; i < to; ++i) {
      const double middle = (i + 0.5) * step;
      const int low = int(middle - reach + 0.5), high = int(middle + reach + 0.5);
      const int first = low < 0 ? 0 : low, count = (high > from ? from : high) - first;
      double sum = 0;
      for (int k = 0; k < count; ++k) sum += w[std::size_t(k)] = filter_weight(kind, (k + first - middle + 0.5) * (1 / wide));
      for (int k = 0; k < count; ++k) {
        const double share = (sum != 0 ? w[std::size_t(k)] / sum : w[std::size_t(k)]) * (1 << bits);
        weight[std::size_t(i) * std::size_t(taps) + std::size_t(k)] = int(share < 0 ? share - 0.5 : share + 0.5);
      }
      span[std::size_t(i)] = {first, count};
    }
  }
  const std::int32_t* weights(int i) const { return weight.data() + std::size_t(i) * std::size_t(taps); }
  static std::uint8_t grey(std::int32_t sum) {
    const std::int32_t v = sum >> bits;
    return std::uint8_t(v < 0 ? 0 : v > 255 ? 255 : v);
  }
  static constexpr std::int32_t half = 1 << (bits - 1);
};

/// x (rows, from, channels) -> y (rows, to, channels), C of the channels at a time.
template <int C> void resize_rows(const std::uint8_t* x, int rows, int from, int channels, int to, const LineFilter& filter, std::uint8_t* y) {
  for (Index i = 0; i < rows; ++i)
    for (int j = 0; j < to; ++j) {
      const auto [first, count] = filter.span[std::size_t(j)];
      const std::int32_t* w = filter.weights(j);
      const std::uint8_t* p = x + (i * from + first) * channels;
      for (int k0 = 0; k0 < channels; k0 += C, p += C) {
        std::int32_t sum[C];
        for (int k = 0; k < C; ++k) sum[k] = LineFilter::half;
        for (int t = 0; t < count; ++t)
          for (int k = 0; k < C; ++k) sum[k] += w[t] * p[t * channels + k];
        for (int k = 0; k < C; ++k) *y++ = LineFilter::grey(sum[k]);
      }
    }
}
inline void resize_rows(const std::uint8_t* x, int rows, int from, int channels, int to, Interpolation kind, std::uint8_t* y) {
  const LineFilter filter(from, to, kind);
  if (channels == 3) resize_rows<3>(x, rows, from, channels, to, filter, y);
  else resize_rows<1>(x, rows, from, channels, to, filter, y);
}

/// x (from, line) -> y (to, line)
inline void resize_columns(const std::uint8_t* x, int from, std::size_t line, int to, Interpolation kind, std::uint8_t* y) {
  const LineFilter filter(from, to, kind);
  std::vector<std::int32_t> sum(line);
  for (int i = 0; i < to; ++i) {
    const auto [first, count] = filter.span[std::size_t(i)];
    std::fill(sum.begin(), sum.end(), LineFilter::half);
    for (int t = 0; t < count; ++t) {
      const std::int32_t w = filter.weights(i)[t];
      const std::uint8_t* row = x + std::size_t(first + t) * line;
      for (std::size_t j = 0; j < line; ++j) sum[j] += w * row[j];
    }
    for (std::size_t j = 0; j < line; ++j) *y++ = LineFilter::grey(sum[j]);
  }
}

}  // namespace detail

/// x (H, W, C) of size `from` -> y (H', W', C) of size `to`. Nearest takes the pixel at floor((i + 1/2) from / to); the others pass over the rows and over
/// the columns, and round to whole grey levels after each. Definition: Pillow's Image.resize.
inline void resize(const std::uint8_t* x, Size from, int channels, Size to, Interpolation kind, std::uint8_t* y) {
  const std::size_t c = std::size_t(channels), line = std::size_t(from.w) * c, made = std::size_t(to.w) * c;
  if (from == to) {
    std::memcpy(y, x, std::size_t(from.h) * line);
    return;
  }
  if (kind == Interpolation::nearest) {
    const double down = double(from.h) / to.h, across = double(from.w) / to.w;
    std::vector<std::size_t> column(static_cast<std::size_t>(to.w));
    double at = across / 2;                    // Pillow adds up the steps, and so rounds what lies between two pixels its own way
    for (std::size_t& j : column) j = std::size_t(std::min(int(at), from.w - 1)) * c, at += across;
    at = down / 2;
    for (int i = 0; i < to.h; ++i, at += down) {
      const std::uint8_t* row = x + std::size_t(std::min(int(at), from.h - 1)) * line;
      for (const std::size_t j : column) std::memcpy(y, row + j, c), y += c;
    }
    return;
  }
  if (from.w == to.w) return detail::resize_columns(x, from.h, made, to.h, kind, y);
  if (from.h == to.h) return detail::resize_rows(x, from.h, from.w, channels, to.w, kind, y);
  std::vector<std::uint8_t> between;
  if (to.h < from.h && from.h - to.h > 2 * (from.w - to.w)) {                    // as Pillow 13 does where this saves the most rows
    between.resize(std::size_t(to.h) * line);
    detail::resize_columns(x, from.h, line, to.h, kind, between.data());
    detail::resize_rows(between.data(), to.h, from.w, channels, to.w, kind, y);
  } else {
    between.resize(std::size_t(from.h) * made);
    detail::resize_rows(x, from.h, from.w, channels, to.w, kind, between.data());
    detail::resize_columns(between.data(), from.h, made, to.h, kind, y);
  }
}

/// The same for a picture. Throws Error if the new one would have no pixels.
inline Picture resize(const Picture& picture, Size to, Interpolation kind) {
  if (to.h < 1 || to.w < 1) throw Error("resize was asked for a picture of ", to.h, "x", to.w, ": both sides have at least one pixel");
  Picture made{to.h, to.w, picture.c, std::vector<std::uint8_t>(std::size_t(size(Shape{to.h, to.w, picture.c})))};
  resize(picture.pixels.data(), picture.size(), picture.c, to, kind, made.pixels.data());
  return made;
}

}  // namespace lamina
