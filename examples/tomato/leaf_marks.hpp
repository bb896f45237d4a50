/// What a disease does to the green of a drawn leaf: colours, noise, spots, and one small function per disease.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

#include <lamina/core/random.hpp>

namespace tomato {

/// Red, green, blue in 0..1.
struct Colour { double r, g, b; };
constexpr Colour operator*(Colour a, Colour b) { return {a.r * b.r, a.g * b.g, a.b * b.b}; }
constexpr Colour operator*(Colour a, double k) { return {a.r * k, a.g * k, a.b * k}; }
/// a where t = 0, b where t = 1.
constexpr Colour mix(Colour a, Colour b, double t) { return {a.r + (b.r - a.r) * t, a.g + (b.g - a.g) * t, a.b + (b.b - a.b) * t}; }

/// 0 up to `from`, 1 beyond `to`, a smooth ramp between; from > to ramps down.
constexpr double ramp(double from, double to, double x) {
  const double t = std::clamp((x - from) / (to - from), 0.0, 1.0);
  return t * t * (3 - 2 * t);
}
/// The part of a pixel that an area covers whose border lies `depth` from the pixel's centre (positive inside).
constexpr double cover(double depth, double pixel) { return std::clamp(depth / pixel + 0.5, 0.0, 1.0); }

/// The random numbers of a stream one after the other.
class Dice {
 public:
  explicit Dice(lamina::Random r) : r_(r) {}
  double operator()(double from, double to) { return r_.uniform(next_++, from, to); }
  int whole(int from, int to) { return from + int(r_.below(next_++, to - from + 1)); }

 private:
  lamina::Random r_;
  lamina::Index next_ = 0;
};

/// Value noise: random heights in -1..1 on a lattice of 16 x 16 corners that repeats, smooth between them (Perlin 1985 calls it lattice noise).
class Noise {
 public:
  explicit Noise(Dice& dice) {
    for (double& h : height_) h = dice(-1, 1);
  }
  double operator()(double x, double y) const {
    x += 1024, y += 1024;  // positive, so that truncation is floor
    const int i = int(x), j = int(y);
    const double fx = x - i, fy = y - j, a = fx * fx * (3 - 2 * fx), b = fy * fy * (3 - 2 * fy);
    const double low = at(i, j) + (at(i + 1, j) - at(i, j)) * a, high = at(i, j + 1) + (at(i + 1, j + 1) - at(i, j + 1)) * a;
    return low + (high - low) * b;
  }
  /// Three octaves, in about -1..1.
  double rough(double x, double y) const {
    return 0.55 * (*this)(x, y) + 0.3 * (*this)(2.1 * x + 5.2, 2.1 * y + 1.3) + 0.15 * (*this)(4.3 * x + 9.1, 4.3 * y + 3.7);
  }

 private:
  double at(int i, int j) const { return height_[std::size_t((j & 15) * 16 + (i & 15))]; }
  std::array<double, 256> height_;
};

/// The diseases in the order of their names.
enum Disease { bacterial_spot, early_blight, late_blight, leaf_mold, septoria, spider_mites, target_spot, yellow_leaf_curl, mosaic_virus, healthy };

/// A point of the leaf. Lengths count in lengths of the leaf.
struct Place {
  double u, v;     // u: 0 at the stalk, 1 at the tip; v: across, 0 on the midrib
  double margin;   // 0 on the midrib, 1 on the outline
  double between;  // 0 on a side vein, 1 halfway to the next
  double pixel;    // edge of a pixel
};

/// A round mark.
struct Spot { double u, v, radius; };

/// What is chosen once per leaf for its disease.
struct Marks {
  double severity = 0;  // 0..1
  double tint = 0;      // -1 grey .. 1 red, of whatever is brown
  std::vector<Spot> spots;
};

namespace detail {

inline constexpr Colour yellow{0.70, 0.67, 0.24}, straw{0.68, 0.62, 0.46}, brown{0.34, 0.24, 0.14}, black{0.14, 0.10, 0.07}, grey{0.58, 0.55, 0.47};

constexpr Colour tinted(Colour c, const Marks& m) { return c * Colour{1 + 0.15 * m.tint, 1, 1 - 0.1 * m.tint}; }

/// c = paint(c, spot, distance) for every spot nearer than `reach` radii; `stretch` near 1 makes the discs uneven.
template <class Paint>
Colour over_spots(Colour c, const Marks& m, const Place& p, double reach, double stretch, Paint paint) {
  for (const Spot& s : m.spots) {
    const double du = p.u - s.u, dv = p.v - s.v, squared = du * du + dv * dv, far = reach * s.radius;
    if (squared < far * far) c = paint(c, s, stretch * std::sqrt(squared));
  }
  return c;
}

/// Many small dark specks, each in a yellow halo.
inline Colour draw_bacterial_spot(Colour green, const Marks& m, const Place& p, const Noise& noise) {
  return over_spots(green, m, p, 3.2, 1 + 0.3 * noise(25 * p.u, 25 * p.v), [&](Colour c, const Spot& s, double d) {
    c = mix(c, yellow, 0.75 * ramp(2.8, 1.0, d / s.radius));
    return mix(c, tinted(black, m), cover(s.radius - d, p.pixel));
  });
}

/// A few brown patches of concentric rings, yellow around.
inline Colour draw_early_blight(Colour green, const Marks& m, const Place& p, const Noise& noise) {
  return over_spots(green, m, p, 2.2, 1 + 0.25 * noise.rough(14 * p.u, 14 * p.v), [&](Colour c, const Spot& s, double d) {
    const double ring = 0.5 + 0.5 * std::cos(6.283 * 3 * d / s.radius);
    c = mix(c, yellow, 0.85 * ramp(1.9, 0.9, d / s.radius));
    return mix(c, tinted(mix(brown * 0.55, brown * 1.3, ring), m), 0.95 * ramp(1.1, 0.9, d / s.radius));
  });
}

/// Large wet blotches, grey-brown, that come from the outline and end in a pale margin.
inline Colour draw_late_blight(Colour green, const Marks& m, const Place& p, const Noise& noise) {
  const double blotchy = noise.rough(7 * p.u, 7 * p.v);
  double inside = -1;  // how deep in a blotch, in radii; the blotches grow together
  for (const Spot& s : m.spots) inside = std::max(inside, 1 - std::hypot(p.u - s.u, p.v - s.v) / s.radius + 0.35 * blotchy);
  const Colour dead = tinted(mix(Colour{0.24, 0.20, 0.16}, Colour{0.42, 0.36, 0.29}, 0.5 + 0.8 * noise.rough(13 * p.u + 3, 13 * p.v)), m);
  const Colour pale = mix(green, Colour{0.66, 0.70, 0.48}, 0.75 * ramp(-0.22, -0.02, inside));
  return mix(pale, dead, ramp(-0.03, 0.09, inside));
}

/// Pale yellow patches without a border; olive-brown fuzz in the middle.
inline Colour draw_leaf_mold(Colour green, const Marks& m, const Place& p, const Noise& noise) {
  const double fuzz = noise.rough(22 * p.u, 22 * p.v);
  return over_spots(green, m, p, 1.8, 1 + 0.25 * noise(8 * p.u, 8 * p.v), [&](Colour c, const Spot& s, double d) {
    c = mix(c, Colour{0.76, 0.76, 0.36}, 0.8 * ramp(1.7, 0.3, d / s.radius));
    return mix(c, tinted(Colour{0.38, 0.33, 0.14}, m), 0.8 * ramp(0.75, 0.1, d / s.radius - 0.35 * fuzz));
  });
}

/// Many small round spots: grey inside, a dark rim.
inline Colour draw_septoria(Colour green, const Marks& m, const Place& p, const Noise& noise) {
  return over_spots(green, m, p, 1.8, 1 + 0.12 * noise(20 * p.u, 20 * p.v), [&](Colour c, const Spot& s, double d) {
    c = mix(c, tinted(black, m), cover(s.radius - d, p.pixel));
    return mix(c, grey, cover(0.62 * s.radius - d, p.pixel));
  });
}

/// Pale pin pricks all over, thinner along the veins, and a bronze cast in places.
inline Colour draw_spider_mites(Colour green, const Marks& m, const Place& p, const Noise& noise) {
  const double where = noise.rough(2.5 * p.u, 2.5 * p.v);
  const double prick = 0.6 * noise(31 * p.u, 31 * p.v) + 0.6 * noise(53 * p.u + 7, 53 * p.v) + 0.3 * where + 0.15 * p.between;
  const Colour bronzed = mix(green, tinted(Colour{0.50, 0.40, 0.20}, m), 0.5 * m.severity * ramp(-0.3, 0.6, where));
  return mix(bronzed, Colour{0.80, 0.79, 0.54}, (0.6 + 0.3 * m.severity) * ramp(0.1, 0.6, prick));
}

/// Round brown spots with a light middle, one dark ring at the edge, green right up to it.
inline Colour draw_target_spot(Colour green, const Marks& m, const Place& p, const Noise& noise) {
  return over_spots(green, m, p, 1.4, 1 + 0.1 * noise(12 * p.u, 12 * p.v), [&](Colour c, const Spot& s, double d) {
    c = mix(c, tinted(brown * 0.6, m), cover(s.radius - d, p.pixel));
    c = mix(c, tinted(brown * 1.25, m), cover(0.78 * s.radius - d, p.pixel));
    return mix(c, straw, cover(0.36 * s.radius - d, p.pixel));
  });
}

/// The margin and the fields between the veins turn yellow; the curled rim lies in shade. The outline does the rest.
inline Colour draw_yellow_leaf_curl(Colour green, const Marks& m, const Place& p, const Noise& noise) {
  const double rim = ramp(0.35, 0.95, p.margin + 0.25 * noise(5 * p.u, 5 * p.v));
  const double field = ramp(0.25, 0.8, p.between) * ramp(0.1, 0.35, p.margin);
  const Colour c = mix(green, Colour{0.80, 0.80, 0.22}, (0.55 + 0.4 * m.severity) * std::max(rim, 0.65 * field));
  return c * (1 - 0.35 * ramp(0.62, 0.8, p.margin) * ramp(1.0, 0.82, p.margin));
}

/// Patches of light and of dark green that take no notice of the veins.
inline Colour draw_mosaic_virus(Colour green, const Marks& m, const Place& p, const Noise& noise) {
  const double patch = ramp(-0.12, 0.16, noise.rough(6.5 * p.u, 6.5 * p.v));
  const double strength = 0.6 + 0.4 * m.severity;
  return mix(mix(green, green * Colour{0.55, 0.70, 0.85}, strength), mix(green, Colour{0.64, 0.76, 0.34}, 0.75 * strength), patch);
}

/// How many spots, how large, and how far out they may lie.
struct Scatter { int fewest, most; double smallest, largest, nearest_margin, farthest_margin; };

inline Scatter scatter_of(int disease) {
  switch (disease) {
    case bacterial_spot: return {14, 50, 0.012, 0.022, 0, 0.95};
    case early_blight: return {1, 4, 0.08, 0.15, 0, 0.85};
    case late_blight: return {1, 3, 0.18, 0.38, 0.8, 1};
    case leaf_mold: return {4, 8, 0.07, 0.14, 0.1, 0.75};
    case septoria: return {10, 32, 0.026, 0.042, 0, 0.92};
    case target_spot: return {3, 9, 0.05, 0.08, 0, 0.85};
    default: return {};
  }
}

}  // namespace detail

/// Chooses the marks of a disease. `half_width(u)` is the distance from midrib to outline, in lengths of the leaf.
template <class HalfWidth>
Marks draw_marks(int disease, Dice& dice, HalfWidth half_width) {
  const detail::Scatter s = detail::scatter_of(disease);
  Marks m{.severity = dice(0, 1), .tint = dice(-1, 1), .spots = {}};
  m.spots.resize(std::size_t(s.fewest + int(m.severity * (s.most - s.fewest) + 0.5)));
  for (Spot& spot : m.spots) {
    spot.u = dice(0.08, 0.88);
    const double side = dice(-1, 1), out = s.nearest_margin + std::abs(side) * (s.farthest_margin - s.nearest_margin);
    spot.v = (side < 0 ? -out : out) * half_width(spot.u);
    spot.radius = dice(s.smallest, s.largest);
  }
  return m;
}

/// The colour of the leaf at p, where a healthy leaf would be `green`.
inline Colour diseased(int disease, Colour green, const Marks& m, const Place& p, const Noise& noise) {
  switch (disease) {
    case bacterial_spot: return detail::draw_bacterial_spot(green, m, p, noise);
    case early_blight: return detail::draw_early_blight(green, m, p, noise);
    case late_blight: return detail::draw_late_blight(green, m, p, noise);
    case leaf_mold: return detail::draw_leaf_mold(green, m, p, noise);
    case septoria: return detail::draw_septoria(green, m, p, noise);
    case spider_mites: return detail::draw_spider_mites(green, m, p, noise);
    case target_spot: return detail::draw_target_spot(green, m, p, noise);
    case yellow_leaf_curl: return detail::draw_yellow_leaf_curl(green, m, p, noise);
    case mosaic_virus: return detail::draw_mosaic_virus(green, m, p, noise);
    default: return green;
  }
}

}  // namespace tomato
