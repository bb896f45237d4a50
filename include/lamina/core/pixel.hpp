/// Where a changed picture takes its pixels from, and what becomes of their colours: the formulas of every device. A GPU gets the bits of the CPU.
#pragma once
#include <cmath>
#include <cstdint>

#include "macros.hpp"

namespace lamina {

/// What lies outside the picture, as in scipy.ndimage: the nearest pixel (aaaa|abcd|dddd), one value (kkkk|abcd|kkkk),
/// the mirror (dcba|abcd|dcba), or the picture again (with scipy's period of n - 1 pixels).
enum class FillMode { nearest, constant, reflect, wrap };

namespace pixel {

/// a b, rounded by itself. A GPU's compiler would round it together with a sum behind it, and what the CPU finds on the edge of a picture might then lie beyond.
LAMINA_HD inline float product(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}
LAMINA_HD inline double product(double a, double b) {
#if defined(__CUDA_ARCH__)
  return __dmul_rn(a, b);
#else
  return a * b;
#endif
}

/// A place anywhere on a line of n pixels, brought to where the pixels are. What is multiplied here are whole numbers: no product is rounded.
LAMINA_HD inline double nearest(double at, int n) {
  const double last = n - 1;
  return at < 0 ? 0 : at > last ? last : at;
}
LAMINA_HD inline double reflect(double at, int n) {
  if (n == 1) return 0;
  const double period = 2.0 * n;
  if (at < 0) {
    if (at < -period) at += period * std::floor(-at / period);
    return at < -n ? at + period : -at - 1;
  }
  if (at > n - 1) {
    at -= period * std::floor(at / period);
    if (at >= n) at = period - at - 1;
  }
  return at;
}
LAMINA_HD inline double wrap(double at, int n) {
  if (n == 1) return 0;
  const double period = n - 1;
  if (at < 0) return at + period * (std::floor(-at / period) + 1);
  return at > period ? at - period * std::floor(at / period) : at;
}
/// Whether a place lies on the line, and not more than `margin` beyond its first or last pixel.
LAMINA_HD inline bool inside(double at, int n, double margin) { return at >= -margin && at <= n - 1 + margin; }

/// Two neighbours of a line, and the weight of the second.
struct Neighbours {
  std::int32_t first, second;
  float weight;
};
/// Those of n pixels between which a place lies that was brought to them; of the nearer one alone, half up, unless `linear`.
LAMINA_HD inline Neighbours around(double at, int n, bool linear) {
  const double place = linear ? at : at + 0.5;
  const int below = int(place + 1) - 1, next = below + 1;                       // floor, for places above -1
  const int first = below < 0 ? 0 : below;
  return {first < n - 1 ? first : n - 1, next < n - 1 ? next : n - 1, linear ? float(place - below) : 0.f};
}
/// Pixel i of a line of n whose border is mirrored without its edge.
LAMINA_HD inline int mirror(int i, int n) { return i < 0 ? -i : i >= n ? 2 * n - 2 - i : i; }

LAMINA_HD inline float blend(float from, float to, float weight) { return from + product(weight, to - from); }
LAMINA_HD inline float within(float v, float low, float high) {
  v = v < low ? low : v;
  return v > high ? high : v;
}

/// So many sums are made side by side of what the pixels of a picture add up to, pixel i in sum i % lanes, and then added in halves: sums of every device have the same bits.
inline constexpr int lanes = 256;

/// Grey levels 0..255 times a factor, both cut to whole levels, as Pillow does.
LAMINA_HD inline float whole_level(float v) { return float(int(v)); }
LAMINA_HD inline float brighter(float level, float factor) {
  const float bright = product(factor, level);
  return bright < 255.f ? bright : 255.f;
}
LAMINA_HD inline float brighten(float v, float factor) { return whole_level(brighter(whole_level(v), factor)); }
/// least ... least + range -> 0 ... 255.
LAMINA_HD inline float stretch(float v, float least, float range) { return (v - least) / range * 255; }
LAMINA_HD inline float grey(const float* colour) { return product(0.2989f, colour[0]) + product(0.587f, colour[1]) + product(0.114f, colour[2]); }
/// Of one channel or three.
template <int C> LAMINA_HD float grey_of(const float* colour) {
  if constexpr (C == 1) return colour[0];
  else return grey(colour);
}
/// The distance from `middle` times a factor.
LAMINA_HD inline float spread(float v, float middle, float factor) { return within(blend(middle, v, factor), 0.f, 255.f); }
/// Red, green and blue turned on the circle of hues by so many sixths of it, -6 to 6, as in HSV: the largest of the three, and the distance of the smallest from it, stay.
LAMINA_HD inline void turn_hue(float& r, float& g, float& b, float sixths) {
  // Nothing is computed on one side of a condition alone: then a compiler for the CPU works on several pixels at once.
  const float larger = r > g ? r : g, most = larger > b ? larger : b, smaller = r < g ? r : g, least = smaller < b ? smaller : b, range = most - least;
  const float of_red = g - b, of_green = b - r, of_blue = r - g, apart = g == most ? of_green : of_blue, ahead = r == most ? of_red : apart;
  const float below_red = g == most ? 2.f : 4.f, begin = r == most ? 0.f : below_red, divisor = range > 0 ? range : 1.f;
  const float hue = sixths + (begin + ahead / divisor);
  const auto colour = [&](float from) {
    float place = hue + from;                                                   // -6 to 16
    place += place < 0 ? 6.f : 0.f;
    place -= place >= 12 ? 12.f : 0.f;
    place -= place >= 6 ? 6.f : 0.f;
    const float back = 4 - place;
    return most - product(range, within(place < back ? place : back, 0.f, 1.f));
  };
  r = colour(5), g = colour(3), b = colour(1);
}
/// What a pixel of C channels adds to the sum of its picture, and to that of the squared distances from a mean.
template <int C> LAMINA_HD double channel_sum(const float* colour) {
  double sum = colour[0];
  for (int k = 1; k < C; ++k) sum += double(colour[k]);
  return sum;
}
template <int C> LAMINA_HD double channel_squares(const float* colour, double mean) {
  double sum = 0;
  for (int k = 0; k < C; ++k) sum += product(double(colour[k]) - mean, double(colour[k]) - mean);
  return sum;
}
/// A scale that has `rescale` in it, so that what is rescaled is divided by its deviation + 1e-6 too, as Keras has it.
LAMINA_HD inline float standardise(float scale, double rescale, double variance) { return float(double(scale) / (product(std::fabs(rescale), std::sqrt(variance)) + 1e-6)); }
LAMINA_HD inline float normalise(float v, float scale, float offset) { return product(v, scale) + offset; }

}  // namespace pixel
}  // namespace lamina
