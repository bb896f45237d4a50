/// Pictures of tomato leaves, drawn: the trainer's data set when no folder of photographs is given. Ten classes named as PlantVillage names them.
#pragma once
#include <cstdint>
#include <lamina/core/error.hpp>
#include <string>
#include <vector>

#include "leaf_marks.hpp"

namespace tomato {

/// The classes, sorted by code point. `disease` below is an index into this list.
inline constexpr std::array<const char*, 10> diseases{
    "Tomato___Bacterial_spot", "Tomato___Early_blight", "Tomato___Late_blight", "Tomato___Leaf_Mold", "Tomato___Septoria_leaf_spot",
    "Tomato___Spider_mites Two-spotted_spider_mite", "Tomato___Target_Spot", "Tomato___Tomato_Yellow_Leaf_Curl_Virus",
    "Tomato___Tomato_mosaic_virus", "Tomato___healthy"};

/// The data set: 2,000 pictures to train with and 400 to validate.
inline constexpr int train_pictures_per_class = 200, validation_pictures_per_class = 40;

namespace detail {

/// Camera, light and table: everything that must not tell the disease.
struct Scene {
  explicit Scene(Dice& dice) {
    const double direction = dice(0, 6.283);
    light_x = std::cos(direction), light_y = std::sin(direction);
    gradient = dice(0, 0.5), exposure = dice(0.75, 1.25), grain = dice(0.01, 0.05);
    white = {dice(0.92, 1.08), dice(0.95, 1.05), dice(0.9, 1.1)};
    constexpr Colour tables[]{{0.52, 0.48, 0.51}, {0.46, 0.46, 0.44}, {0.42, 0.35, 0.29}, {0.56, 0.52, 0.46}, {0.40, 0.43, 0.50}, {0.34, 0.35, 0.30}};
    table = tables[dice.whole(0, 5)];
    table = table * dice(0.6, 1.3);
    blotches = dice(0.03, 0.25), blotch_scale = dice(2, 7);
    shadow = dice(0.2, 0.75), shadow_length = dice(0.01, 0.07);
  }

  double light_x, light_y;  // from where the light falls
  double gradient, exposure, grain;
  Colour white, table;
  double blotches, blotch_scale, shadow, shadow_length;
};

/// A point of the leaf: u from 0 at the stalk to 1 at the tip, v across, 0 on the midrib.
struct Point { double u, v; };

/// The outline and the veins of a leaf. Every disease takes the same numbers, so that a stream is the same leaf in all of them.
class Blade {
 public:
  Blade(Dice& dice, int disease) {
    const double angle = dice(-1.3, 1.3);
    cos_ = std::cos(angle), sin_ = std::sin(angle);
    x_ = dice(0.44, 0.56), y_ = dice(0.44, 0.56), length_ = dice(0.62, 0.92);
    width_ = dice(0.55, 0.85), belly_ = dice(0, 0.8), bend_ = dice(-0.3, 0.3);
    lobes_ = dice.whole(4, 6), lobe_depth_ = dice(0.04, 0.34), teeth_depth_ = dice(0.02, 0.08), slant_ = dice(0.45, 0.75), left_ = dice(0.2, 0.8);
    warp_ = dice(0.005, 0.02);
    if (disease == yellow_leaf_curl) width_ *= 0.8, warp_ += 0.04, length_ *= 0.93;
    if (disease == mosaic_virus) warp_ += 0.03;
  }

  double length() const { return length_; }

  /// From the picture (0..1, y down) to the leaf.
  Point place(double x, double y, const Noise& noise) const {
    const double along = ((x - x_) * sin_ - (y - y_) * cos_) / length_, across = ((x - x_) * cos_ + (y - y_) * sin_) / length_;
    return {along + 0.5 + warp_ * noise(4 * along + 20, 4 * across + 20),
            across + bend_ * along * along + warp_ * noise(4 * along + 27, 4 * across + 23)};
  }

  /// From midrib to outline without lobes and teeth: an egg that ends in a point.
  double half_width(double u) const { return u <= 0 || u >= 1 ? 0 : 1.1 * width_ * std::sqrt(u) * (1 - u) * (1 + belly_ * u); }

  /// Counts the side veins from the stalk; whole numbers lie on a vein. The veins lean towards the tip, and left and right take turns.
  double vein(double u, double v) const { return (u - slant_ * std::abs(v)) * lobes_ + (v < 0 ? left_ : 0); }

  /// Distance to the outline, positive inside, exact only close by: every vein ends in a lobe, every lobe has three teeth.
  double depth(double u, double v) const {
    const double t = vein(u, v), lobe = t - std::floor(t + 0.5), tooth = std::abs(2 * (3 * t - std::floor(3 * t)) - 1);
    const double cut = lobe_depth_ * 4 * lobe * lobe + teeth_depth_ * tooth;
    const double blade = u > 0 && u < 1 ? half_width(u) * (1 - cut) - std::abs(v) : std::min(u, 1 - u) - std::abs(v);
    const double stalk = u > 0.1 ? -1 : std::min(0.014 - 0.02 * u - std::abs(v), u + 0.22);
    return std::max(blade, stalk);
  }

  /// The part of a pixel (edge `pixel`, in lengths of the leaf) that the leaf covers.
  double coverage(Point at, double pixel) const {
    const auto [u, v] = at;
    const double d = depth(u, v), e = 0.25 * pixel;
    if (std::abs(d) > 4 * pixel) return d > 0 ? 1 : 0;
    const double slope = std::hypot(depth(u + e, v) - d, depth(u, v + e) - d) / e;
    return cover(d / std::max(slope, 0.5), pixel);
  }

 private:
  double cos_, sin_, x_, y_, length_, width_, belly_, bend_, lobe_depth_, teeth_depth_, slant_, left_, warp_;
  int lobes_;
};

/// The skin of the leaf: its green, its veins, its relief.
class Skin {
 public:
  explicit Skin(Dice& dice) {
    green_ = mix(Colour{0.20, 0.32, 0.18}, Colour{0.27, 0.37, 0.28}, dice(0, 1));
    green_ = mix(green_, Colour{0.46, 0.53, 0.24}, dice(0, 0.55));
    green_ = green_ * dice(0.8, 1.25);
    vein_ = dice(0.25, 0.6), relief_ = dice(0.04, 0.22), wrinkle_ = dice(0.05, 0.3), fold_ = dice(-0.16, 0.16), mottle_ = dice(0.02, 0.14);
  }

  Colour green(const Place& p, const Noise& noise) const {
    return mix(green_, Colour{0.50, 0.56, 0.20}, mottle_ * (1 + noise.rough(4 * p.u + 11, 4 * p.v)));
  }
  /// Veins are painted over the marks: they stay visible through them.
  Colour veined(Colour c, const Place& p) const {
    const double midrib = std::min(1.0, 0.02 / p.pixel) * cover(0.012 * (1.2 - p.u) - std::abs(p.v), p.pixel);
    const double side = std::min(1.0, 0.009 / p.pixel) * cover(0.006 - p.between / 12, p.pixel);
    return mix(c, Colour{0.60, 0.66, 0.42}, vein_ * std::max(midrib, side * (1 - 0.6 * p.margin)));
  }
  /// How bright the light falls: bulges between the veins, wrinkles, and the fold along the midrib.
  double light(const Scene& scene, double vein, const Place& p, const Noise& noise) const {
    const double bulge = std::sin(6.283 * vein) * ramp(0, 0.25, p.margin);
    const double wrinkle = noise(13 * p.u + 0.35 * scene.light_x, 13 * p.v + 0.35 * scene.light_y) - noise(13 * p.u, 13 * p.v);
    return 1 + relief_ * bulge + wrinkle_ * wrinkle + fold_ * std::clamp(p.v / 0.03, -1.0, 1.0);
  }

 private:
  Colour green_;
  double vein_, relief_, wrinkle_, fold_, mottle_;
};

/// The picture before the sensor sees it: a colour for every point.
class Leaf {
 public:
  Leaf(int disease, Dice& dice)
      : disease_(disease), noise_(dice), scene_(dice), blade_(dice, disease), skin_(dice),
        marks_(draw_marks(disease, dice, [this](double u) { return blade_.half_width(u); })) {}

  /// The colour at (x, y) in 0..1, y down, of a pixel with this edge. Colours may leave 0..1.
  Colour operator()(double x, double y, double pixel) const {
    pixel /= blade_.length();
    const Point at = blade_.place(x, y, noise_);
    const double covered = blade_.coverage(at, pixel);
    Colour c{};
    if (covered < 1) c = table(x, y, pixel);
    if (covered > 0) c = mix(c, leaf(at, pixel), covered);
    return c * scene_.white * (scene_.exposure * (1 + scene_.gradient * ((x - 0.5) * scene_.light_x + (y - 0.5) * scene_.light_y)));
  }
  double grain() const { return scene_.grain; }

 private:
  Colour table(double x, double y, double pixel) const {
    const Point above = blade_.place(x + scene_.shadow_length * scene_.light_x, y + scene_.shadow_length * scene_.light_y, noise_);
    const double blotch = noise_.rough(scene_.blotch_scale * x + 3, scene_.blotch_scale * y + 8);
    return scene_.table * ((1 + scene_.blotches * blotch) * (1 - scene_.shadow * blade_.coverage(above, pixel + 0.03)));
  }

  Colour leaf(Point at, double pixel) const {
    const double vein = blade_.vein(at.u, at.v), margin = std::abs(at.v) / std::max(blade_.half_width(at.u), 0.02);
    const Place p{at.u, at.v, margin, 2 * std::abs(vein - std::floor(vein + 0.5)), pixel};
    return skin_.veined(diseased(disease_, skin_.green(p, noise_), marks_, p, noise_), p) * skin_.light(scene_, vein, p, noise_);
  }

  int disease_;  // the order of the members is the order in which they take their numbers
  Noise noise_;
  Scene scene_;
  Blade blade_;
  Skin skin_;
  Marks marks_;
};

}  // namespace detail

/// A picture of a leaf with the disease, (size, size, 3) in 0..255. A stream is one leaf on one table, for every disease and at every size.
/// All random numbers are numbers of r, so one program draws the same bits on every run.
/// Throws lamina::Error when there is no such disease or the size is not positive.
inline std::vector<std::uint8_t> draw_leaf(int disease, int size, lamina::Random r) {
  if (disease < 0 || disease >= int(diseases.size()))
    throw lamina::Error("disease ", disease, " in draw_leaf: give an index into tomato::diseases, 0 to 9");
  if (size < 1) throw lamina::Error("a picture of edge ", size, " in draw_leaf: give at least 1 pixel, such as 64");

  Dice dice(r);
  const detail::Leaf leaf(disease, dice);
  constexpr std::uint64_t after_the_dice = 1 << 20;
  std::vector<std::uint8_t> picture(std::size_t(size) * size * 3);
  std::size_t i = 0;
  for (int y = 0; y < size; ++y)
    for (int x = 0; x < size; ++x) {
      const Colour c = leaf((x + 0.5) / size, (y + 0.5) / size, 1.0 / size);
      const lamina::Random::Block random = r.block(after_the_dice + i);  // one block for three channels, where r(i) would take three
      const double channels[]{c.r, c.g, c.b};
      for (int k = 0; k < 3; ++k) {
        const double seen = channels[k] + leaf.grain() * (random.word[k] * 0x1p-31 - 1);
        picture[i++] = std::uint8_t(255 * std::clamp(seen, 0.0, 1.0) + 0.5);
      }
    }
  return picture;
}

}  // namespace tomato
