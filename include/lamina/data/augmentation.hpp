/// What is done to a training picture: which changes may be drawn, the ones that were, and the picture they make.
#pragma once
#include <array>
#include <string>

#include "../core/fingerprint.hpp"
#include "../core/random.hpp"
#include "resize.hpp"
#include "spline.hpp"

namespace lamina {

/// A factor is drawn from [low, high]. One number z stands for [1 - z, 1 + z].
struct Factors {
  double low = 1, high = 1;
  constexpr Factors() = default;
  constexpr Factors(double z) : low(1 - z), high(1 + z) {}
  constexpr Factors(double from, double to) : low(from), high(to) {}
  constexpr bool off() const { return low == 1 && high == 1; }
};

/// What batches say of the classes, as Keras calls it: labels, or targets that are 1 in the place of the class and 0 elsewhere. (Its `binary` is two classes here, its None what a prediction asks for.)
enum class ClassMode { sparse, categorical };

/// Options of AugmentationIterator, with the names and meanings of Keras's ImageDataGenerator where it has them. What is not given is off.
struct AugmentationOptions {
  Size size{64, 64};                   // height and width the pictures are resized to
  Index batch = 32;
  std::uint64_t seed = 0;              // every random number is a function of seed, epoch and the sample's place in the dataset

  double rotation = 0;                 // degrees: an angle is drawn from [-rotation, rotation]
  double width_shift = 0;              // below 1 a share of the width, from 1 on pixels, to either side: any fraction of one, as Keras's floats (its whole numbers and lists draw from a few)
  double height_shift = 0;             // likewise of the height
  double shear = 0;                    // degrees, to either side
  Factors zoom{};                      // for height and width separately; below 1 magnifies, above 1 shrinks and shows the border
  Factors scale{};                     // for height and width alike; above 1 magnifies, below 1 shrinks and shows the border (torchvision's RandomAffine)
  Factors crop_area{};                 // a part of this share of the area, {0.08, 1} say, becomes the whole picture (torchvision's RandomResizedCrop; see draw())
  Factors crop_ratio{3.0 / 4, 4.0 / 3};                   // of the width of that part to its height
  double channel_shift = 0;            // grey levels added to all channels, to either side; kept within the picture's own range
  bool horizontal_flip = false;        // left and right change places, of every second picture
  bool vertical_flip = false;
  Factors brightness{};                // grey levels times a factor, cut to whole levels as Pillow does
  Factors contrast{};                  // distance from the picture's mean grey times a factor (torchvision's adjust_contrast)
  Factors saturation{};                // distance from each pixel's own grey times a factor (torchvision's adjust_saturation); of pictures with three channels, as the hue
  double hue = 0;                      // share of the circle of hues, up to 0.5, to either side (torchvision's adjust_hue)
  int crop_padding = 0;                // pixels: moved by up to this many along either side, the border mirrored (random crop of a padded picture)
  double erase = 0;                    // probability that a rectangle of 2 to 33 % of the area is set to zero (Zhong et al. 2020)

  double rescale = 1 / 255.0;          // x * rescale, then
  bool samplewise_center = false;      // less the mean of the picture, over all its channels
  bool samplewise_deviation = false;   // that too, and divided by the deviation of the picture + 1e-6 (samplewise_std_normalization); then (x - mean) / deviation, for each channel
  std::array<double, 3> mean{0, 0, 0};
  std::array<double, 3> deviation{1, 1, 1};

  double mixup = 0;                    // alpha, of the Beta(alpha, alpha) that says how much of each picture of a batch is its own, the rest the one's before it (Zhang et al. 2018)
  double cutmix = 0;                   // alpha: a rectangle of this share of each is the one's before it (Yun et al. 2019). With both each batch is mixed in one of the two ways
  double mixed_batches = 1;            // the probability that a batch is mixed, if it may be
  ClassMode class_mode = ClassMode::sparse;               // batches that may be mixed are categorical

  FillMode fill_mode = FillMode::nearest;
  double cval = 0;                     // grey level outside the picture, with FillMode::constant
  int interpolation_order = 1;         // of the spline between pixels: 0 takes the nearest pixel, 1 straight lines, 2 to 5 curves, which leave 0..255 here and there and are made by the CPU alone, slowly
  KerasVersion keras = KerasVersion::corrected;

  Interpolation interpolation = Interpolation::nearest;   // for resizing; Keras's default too
  bool exif_orientation = false;       // pictures in files are turned as their EXIF says they were held; Keras and torchvision leave them as they are stored
  bool scaled_decoding = false;        // JPEGs of at least twice the size are decoded smaller by libjpeg-turbo: quicker, with pixels that differ a little (DecodeOptions::at_least)
  int workers = 0;                     // threads that decode; 0 takes one for each core. The batches have the same bits for any number
  int prefetch = 2;                    // batches made ahead, by a thread of their own; 0: each is made when it is asked for, by whoever asks
  std::size_t cache_bytes = std::size_t(2) << 30;         // decoded and resized pictures kept in memory, up to so many bytes
};

/// What was drawn for one picture, with Keras's names and units: degrees, pixels, factors from new places to old.
struct Transform {
  double theta = 0, tx = 0, ty = 0, shear = 0, zx = 1, zy = 1;
  bool flip_horizontal = false, flip_vertical = false;
  double channel_shift = 0, brightness = 1, contrast = 1, saturation = 1;
  double hue = 0;
  int crop_y = 0, crop_x = 0;
  Rectangle window;                    // what is seen of the picture, in its pixels; none: all of it
  Rectangle erased;

  bool moves() const { return theta != 0 || tx != 0 || ty != 0 || shear != 0 || zx != 1 || zy != 1; }
};

/// What Keras's users may want to know about the options, or nothing.
[[gnu::cold]] inline std::string hint(const AugmentationOptions& o) {
  if (!(o.shear > 0 && o.shear < 1)) return "";
  constexpr double degree = 3.14159265358979323846 / 180;
  char text[192];
  std::snprintf(text, sizeof text, "shear = %g is in degrees, as in Keras: it moves no pixel by more than %.2f; %g radians would be %.1f degrees", o.shear,
                std::sin(o.shear * degree) * o.size.h / 2, o.shear, o.shear / degree);
  return text;
}

/// Throws Error if an option makes no sense.
[[gnu::cold]] inline void validate(const AugmentationOptions& o) {
  const auto demand = [](bool holds, const char* option, double value, const char* sentence) {
    if (!holds) throw Error("the augmentation option ", option, " = ", value, " cannot be used: ", sentence);
  };
  demand(o.size.h >= 1 && o.size.h <= largest_side, "size.h", o.size.h, "pictures have 1 to 16384 rows");
  demand(o.size.w >= 1 && o.size.w <= largest_side, "size.w", o.size.w, "pictures have 1 to 16384 columns");
  demand(o.batch >= 1, "batch", double(o.batch), "a batch has at least one picture");
  demand(o.rotation >= 0 && o.rotation <= 360, "rotation", o.rotation, "give degrees from 0 to 360");
  demand(o.width_shift >= 0 && o.width_shift <= o.size.w, "width_shift", o.width_shift, "give a share below 1, or pixels up to the width");
  demand(o.height_shift >= 0 && o.height_shift <= o.size.h, "height_shift", o.height_shift, "give a share below 1, or pixels up to the height");
  demand(o.shear >= 0 && o.shear < 90, "shear", o.shear, "give degrees from 0 to below 90");
  for (const auto& [name, f] : {std::pair{"zoom", o.zoom}, {"scale", o.scale}})
    demand(f.low >= 0.001 && f.low <= f.high && f.high <= 1000, name, f.low, "give one number from 0 to 0.999, or {low, high} from 0.001 to 1000");
  demand(o.crop_area.low > 0 && o.crop_area.low <= o.crop_area.high && o.crop_area.high <= 1, "crop_area", o.crop_area.low, "give {low, high} above 0 and up to 1, such as {0.08, 1}");
  demand(o.crop_ratio.low > 0 && o.crop_ratio.low <= o.crop_ratio.high && std::isfinite(o.crop_ratio.high), "crop_ratio", o.crop_ratio.low, "give {low, high} above 0, such as {0.75, 1.33}");
  demand(o.channel_shift >= 0 && o.channel_shift <= 255, "channel_shift", o.channel_shift, "give grey levels from 0 to 255");
  for (const auto& [name, f] : {std::pair{"brightness", o.brightness}, {"contrast", o.contrast}, {"saturation", o.saturation}})
    demand(f.low >= 0 && f.low <= f.high && std::isfinite(f.high), name, f.low, "give one number from 0 to 1, or {low, high} from 0 on");
  demand(o.hue >= 0 && o.hue <= 0.5, "hue", o.hue, "give a share of the circle from 0 to 0.5");
  demand(o.crop_padding >= 0 && o.crop_padding < std::min(o.size.h, o.size.w), "crop_padding", o.crop_padding,
         "give pixels, fewer than the picture has along a side");
  demand(o.erase >= 0 && o.erase <= 1, "erase", o.erase, "give a probability");
  demand(std::isfinite(o.rescale) && o.rescale != 0, "rescale", o.rescale, "give a number such as 1/255");
  for (double m : o.mean) demand(std::isfinite(m), "mean", m, "give one number for each channel");
  for (double d : o.deviation) demand(std::isfinite(d) && d > 0, "deviation", d, "give one number above 0 for each channel");
  for (const auto& [name, alpha] : {std::pair{"mixup", o.mixup}, {"cutmix", o.cutmix}})
    demand(alpha >= 0 && alpha <= 1000, name, alpha, "give the alpha of Beta(alpha, alpha), such as 0.2 or 1, or 0 for none");
  demand(o.mixed_batches >= 0 && o.mixed_batches <= 1, "mixed_batches", o.mixed_batches, "give a probability");
  demand(std::isfinite(o.cval), "cval", o.cval, "give a grey level");
  demand(o.interpolation_order >= 0 && o.interpolation_order <= highest_interpolation_order, "interpolation_order", o.interpolation_order, "splines are of order 0 to 5");
  demand(o.workers >= 0, "workers", o.workers, "give a number of threads, or 0 for one a core");
  demand(o.prefetch >= 0 && o.prefetch <= 1024, "prefetch", o.prefetch, "up to 1024 batches are made ahead");
}

/// Of the options that decide what the pixels are and which come together: all but how many threads make them, how far ahead, and what they keep.
[[gnu::cold]] inline std::uint64_t fingerprint(const AugmentationOptions& o) {
  const auto& [size, batch, seed, rotation, width_shift, height_shift, shear, zoom, scale, crop_area, crop_ratio, channel_shift, horizontal_flip, vertical_flip, brightness, contrast, saturation, hue, crop_padding, erase,
               rescale, samplewise_center, samplewise_deviation, mean, deviation, mixup, cutmix, mixed_batches, class_mode, fill_mode, cval, interpolation_order, keras, interpolation, exif_orientation, scaled_decoding,
               workers, prefetch, cache_bytes] = o;      // a new option does not compile until it is named here
  Fingerprint print;
  print.add(size.h, size.w, batch, seed, rotation, width_shift, height_shift, shear, channel_shift, horizontal_flip, vertical_flip, hue, crop_padding, erase, rescale,
            samplewise_center, samplewise_deviation, mixup, cutmix, mixed_batches, class_mode, fill_mode, cval, interpolation_order, keras, interpolation, exif_orientation, scaled_decoding);
  for (const Factors& f : {zoom, scale, crop_area, crop_ratio, brightness, contrast, saturation}) print.add(f.low, f.high);
  for (std::size_t k = 0; k < mean.size(); ++k) print.add(mean[k], deviation[k]);
  return print.value();
}

namespace detail {
/// Whether no kernel of a device makes these pictures.
constexpr bool for_the_cpu_alone(const AugmentationOptions& o) {
  return o.interpolation_order > 1 || (!o.brightness.off() && may_leave_bytes({.fill = o.fill_mode, .outside = float(o.cval)}));
}
/// The part of a picture that RandomResizedCrop takes: of ten tries, each an area and a ratio, the first that fits, else the largest part in the middle with a ratio in bounds. number(k) is the k-th
/// random number in [0, 1), of 22.
template <class F> Rectangle draw_window(const AugmentationOptions& o, const F& number) {
  const auto between = [&](int k, double from, double to) { return from + (to - from) * number(k); };
  const int height = o.size.h, width = o.size.w;
  Rectangle part{0, 0, height, width};
  for (int i = 0; i < 10; ++i) {
    const double pixels = double(height) * width * between(2 * i, o.crop_area.low, o.crop_area.high);
    const double ratio = std::exp(between(2 * i + 1, std::log(o.crop_ratio.low), std::log(o.crop_ratio.high)));
    const double w = std::nearbyint(std::sqrt(pixels * ratio)), h = std::nearbyint(std::sqrt(pixels / ratio));
    if (w < 1 || w > width || h < 1 || h > height) continue;
    part.h = int(h), part.w = int(w);
    part.y = int(number(20) * (height - part.h + 1)), part.x = int(number(21) * (width - part.w + 1));
    return part;
  }
  const double ratio = double(width) / height;
  if (ratio < o.crop_ratio.low) part.h = std::max(1, int(std::nearbyint(width / o.crop_ratio.low)));
  else if (ratio > o.crop_ratio.high) part.w = std::max(1, int(std::nearbyint(height * o.crop_ratio.high)));
  part.y = (height - part.h) / 2, part.x = (width - part.w) / 2;
  return part;
}
}  // namespace detail

/// The changes for one sample in one epoch: `random` is Random(seed, Stream::augmentation, 0, epoch), `sample` the place in the dataset. Each option has
/// draws of its own, so that turning one on leaves what the others draw as it was.
/// A resized crop is drawn of the picture as it is kept, at the size of the options: it is one step of the affine pass, and so between pixels, or on them, as that is. Where other steps look
/// beyond it they find the picture, and the border of that.
inline Transform draw(const AugmentationOptions& o, const Random& random, Index sample) {
  enum { theta, tx, ty, shear, zx, zy, flip_h, flip_v, channel_shift, brightness, contrast, saturation, crop_y, crop_x, erase, area, aspect, top, left,
         scale, hue, draws = 32 };
  constexpr Index of_window = Index(1) << 48;                                   // its draws are more than are left
  const auto uniform = [&](int which, double from, double to) { return random.uniform(sample * draws + which, from, to); };
  const auto either_side = [&](int which, double most) { return most == 0 ? 0 : uniform(which, -most, most); };
  const auto factor = [&](int which, const Factors& f) { return f.off() ? 1 : uniform(which, f.low, f.high); };
  const double along_w = o.width_shift * (o.width_shift < 1 ? o.size.w : 1), along_h = o.height_shift * (o.height_shift < 1 ? o.size.h : 1);
  const bool corrected = o.keras == KerasVersion::corrected;                    // the versions of Keras draw tx from height_shift, whichever way it moves
  Transform t;
  t.theta = either_side(theta, o.rotation);
  t.tx = either_side(tx, corrected ? along_w : along_h);
  t.ty = either_side(ty, corrected ? along_h : along_w);
  t.shear = either_side(shear, o.shear);
  const double size = factor(scale, o.scale);
  t.zx = factor(zx, o.zoom) / size;
  t.zy = factor(zy, o.zoom) / size;
  t.flip_horizontal = o.horizontal_flip && uniform(flip_h, 0, 1) < 0.5;
  t.flip_vertical = o.vertical_flip && uniform(flip_v, 0, 1) < 0.5;
  t.channel_shift = either_side(channel_shift, o.channel_shift);
  t.brightness = factor(brightness, o.brightness);
  t.contrast = factor(contrast, o.contrast);
  t.saturation = factor(saturation, o.saturation);
  t.hue = either_side(hue, o.hue);
  if (!o.crop_area.off()) t.window = detail::draw_window(o, [&](int k) { return random(of_window + sample * draws + k); });
  if (o.crop_padding > 0) {
    t.crop_y = int(random.below(sample * draws + crop_y, 2 * o.crop_padding + 1)) - o.crop_padding;
    t.crop_x = int(random.below(sample * draws + crop_x, 2 * o.crop_padding + 1)) - o.crop_padding;
  }
  if (o.erase > 0 && uniform(erase, 0, 1) < o.erase) {
    const double pixels = uniform(area, 0.02, 0.33) * o.size.h * o.size.w, ratio = std::exp(uniform(aspect, std::log(0.3), -std::log(0.3)));
    t.erased.h = std::clamp(int(std::lround(std::sqrt(pixels * ratio))), 1, o.size.h);
    t.erased.w = std::clamp(int(std::lround(std::sqrt(pixels / ratio))), 1, o.size.w);
    t.erased.y = int(random.below(sample * draws + top, o.size.h - t.erased.h + 1));
    t.erased.x = int(random.below(sample * draws + left, o.size.w - t.erased.w + 1));
  }
  return t;
}

/// What was drawn, as a device carries it out.
inline Changes changes(const Transform& t, Size size, KerasVersion version) {
  Changes c;
  c.crop_y = t.crop_y, c.crop_x = t.crop_x;
  if (t.moves()) c.map = affine(t.theta, t.tx, t.ty, t.shear, t.zx, t.zy, size, version);
  if (t.window.h > 0) c.map = within_window(c.map, t.window, size), c.margin = 0.5f;
  c.flip_vertical = t.flip_vertical, c.flip_horizontal = t.flip_horizontal;
  c.channel_shift = t.channel_shift, c.brightness = t.brightness, c.contrast = t.contrast, c.saturation = t.saturation, c.hue = t.hue;
  c.erased = t.erased;
  return c;
}
inline CommonChanges common_changes(const AugmentationOptions& o) {
  CommonChanges all{.fill = o.fill_mode, .outside = float(o.cval), .order = o.interpolation_order, .stretches = o.keras == KerasVersion::legacy_1_1_2,
                    .centred = o.samplewise_center || o.samplewise_deviation, .standardised = o.samplewise_deviation, .rescale = o.rescale};
  for (std::size_t k = 0; k < 3; ++k) all.scale[k] = float(o.rescale / o.deviation[k]), all.offset[k] = float(-o.mean[k] / o.deviation[k]);
  return all;
}

namespace detail {

/// x (H, W, C) moved by (dy, dx) pixels, the border mirrored without its edge: what lies at (i, j) comes from (i + dy, j + dx).
inline void crop(const std::uint8_t* x, Shape s, int dy, int dx, std::uint8_t* y) {
  const std::size_t c = std::size_t(s.c), line = std::size_t(s.w) * c;
  for (int i = 0; i < s.h; ++i) {
    const std::uint8_t* row = x + std::size_t(pixel::mirror(i + dy, s.h)) * line;
    for (int j = 0; j < s.w; ++j) std::memcpy(y + std::size_t(i) * line + std::size_t(j) * c, row + std::size_t(pixel::mirror(j + dx, s.w)) * c, c);
  }
}

/// Grey levels as they are, or mirrored.
template <int C> void copy_picture(const std::uint8_t* x, Size s, bool mirror_rows, bool mirror_columns, float* y) {
  for (int i = 0; i < s.h; ++i) {
    const std::uint8_t* row = x + Index(mirror_rows ? s.h - 1 - i : i) * s.w * C;
    float* out = y + Index(i) * s.w * C;
    if (!mirror_columns)
      for (int j = 0; j < s.w * C; ++j) out[j] = row[j];
    else
      for (int j = 0; j < s.w; ++j)
        for (int k = 0; k < C; ++k) out[j * C + k] = row[(s.w - 1 - j) * C + k];
  }
}

/// The sum of f(i) over so many pixels, with the bits that a block of a GPU finds.
template <class F> double sum_over(Index pixels, const F& f) {
  double sum[pixel::lanes] = {};
  for (Index first = 0; first < pixels; first += pixel::lanes) {
    const Index n = std::min(pixels - first, Index(pixel::lanes));
    for (Index t = 0; t < n; ++t) sum[t] += f(first + t);
  }
  for (int half = pixel::lanes / 2; half > 0; half /= 2)
    for (int t = 0; t < half; ++t) sum[t] += sum[t + half];
  return sum[0];
}

/// Of pixels y (pixels, 3). Red, green and blue lie apart for a while: then a compiler works on many pixels at once.
inline void turn_hues(float sixths, Index pixels, float* y) {
  constexpr Index together = 64;
  float colour[3][together];
  for (Index first = 0; first < pixels; first += together, y += 3 * together) {
    const Index n = std::min(pixels - first, together);
    for (Index t = 0; t < n; ++t)
      for (int k = 0; k < 3; ++k) colour[k][t] = y[3 * t + k];
    for (Index t = 0; t < n; ++t) pixel::turn_hue(colour[0][t], colour[1][t], colour[2][t], sixths);
    for (Index t = 0; t < n; ++t)
      for (int k = 0; k < 3; ++k) y[3 * t + k] = colour[k][t];
  }
}

/// The changes of colour, in grey levels 0..255.
template <int C> void change_colours(const Changes& c, const CommonChanges& all, Index pixels, float* y) {
  const Index n = C * pixels;
  if (c.channel_shift != 0) {
    const auto [low, high] = std::minmax_element(y, y + n);
    const float least = *low, most = *high, shift = float(c.channel_shift);
    for (Index i = 0; i < n; ++i) y[i] = pixel::within(y[i] + shift, least, most);
  }
  if (c.brightness != 1) {                                                        // Pillow works on whole grey levels, and cuts what it makes of them
    const float factor = float(c.brightness);
    float least = 0, most = 255;
    if (all.stretches || may_leave_bytes(all)) {
      const auto [low, high] = std::minmax_element(y, y + n);
      least = *low, most = *high;
    }
    const bool stretched = all.stretches || least < 0 || most > 255;
    if (stretched)
      for (Index i = 0; i < n; ++i) y[i] = pixel::stretch(y[i], least, most > least ? most - least : 1);
    for (Index i = 0; i < n; ++i) y[i] = pixel::whole_level(y[i]);                 // brighten(), step by step: a compiler works on several numbers of each
    for (Index i = 0; i < n; ++i) y[i] = pixel::brighter(y[i], factor);
    for (Index i = 0; i < n; ++i) y[i] = pixel::whole_level(y[i]);
    if (stretched && !all.stretches)                                              // and Keras takes it back
      for (Index i = 0; i < n; ++i) y[i] = y[i] / 255 * (most - least) + least;
  }
  if (c.contrast != 1) {
    const float middle = float(sum_over(pixels, [&](Index i) { return double(pixel::grey_of<C>(y + C * i)); }) / double(pixels)), factor = float(c.contrast);
    for (Index i = 0; i < n; ++i) y[i] = pixel::spread(y[i], middle, factor);
  }
  if (C != 3) return;
  if (c.saturation != 1)
    for (Index i = 0; i < pixels; ++i) {
      const float middle = pixel::grey(y + 3 * i);
      for (int k = 0; k < 3; ++k) y[3 * i + k] = pixel::spread(y[3 * i + k], middle, float(c.saturation));
    }
  if (c.hue != 0) turn_hues(float(6 * c.hue), pixels, y);
}

/// Grey levels to the numbers of a network.
template <int C> void normalise(const CommonChanges& all, Index pixels, float* y) {
  float middle = 0, scale[C], offset[C];
  for (int k = 0; k < C; ++k) scale[k] = all.scale[k], offset[k] = all.offset[k];
  if (all.centred || all.standardised) {
    const double mean = sum_over(pixels, [&](Index i) { return pixel::channel_sum<C>(y + C * i); }) / double(C * pixels);
    if (all.standardised) {
      const double squares = sum_over(pixels, [&](Index i) { return pixel::channel_squares<C>(y + C * i, mean); });
      for (float& s : scale) s = pixel::standardise(s, all.rescale, squares / double(C * pixels));
    }
    if (all.centred) middle = float(mean);
  }
  for (Index i = 0; i < pixels; ++i)
    for (int k = 0; k < C; ++k) y[i * C + k] = pixel::normalise(y[i * C + k] - middle, scale[k], offset[k]);
}

template <int C> void change_picture(const std::uint8_t* x, Size s, const Changes& c, const CommonChanges& all, float* y, Scratch& scratch) {
  const Shape shape{s.h, s.w, C};
  if (c.crop_y != 0 || c.crop_x != 0) {
    if (Index(scratch.picture.size()) < lamina::size(shape)) scratch.picture.resize(std::size_t(lamina::size(shape)));
    crop(x, shape, c.crop_y, c.crop_x, scratch.picture.data());
    x = scratch.picture.data();
  }
  if (c.map == Affine()) copy_picture<C>(x, s, c.flip_vertical, c.flip_horizontal, y);
  else if (all.order > 1) map_spline<C>(x, s, c, all.fill, all.outside, all.order, y, scratch);
  else map_picture<C>(x, s, c, all.fill, all.outside, all.order == 1, y, scratch);
  change_colours<C>(c, all, lamina::size(shape) / C, y);
  normalise<C>(all, Index(s.h) * s.w, y);
  for (int i = 0; i < c.erased.h; ++i) std::fill_n(y + (Index(c.erased.y + i) * s.w + c.erased.x) * C, c.erased.w * C, 0.f);
}

}  // namespace detail

/// x (H, W, C) grey levels 0..255 -> y (H, W, C), for one or three channels: crop, then one affine pass that flips as well, channel shift, brightness,
/// contrast, saturation, hue (torchvision draws the order of these four), rescale and normalisation, erasing. `scratch` is kept from call to call so that nothing is allocated.
/// Order and meaning are those of Keras's apply_transform and standardize.
inline void transform(const std::uint8_t* x, Shape shape, const Transform& t, const AugmentationOptions& o, float* y, detail::Scratch& scratch) {
  const Size s{shape.h, shape.w};
  if (shape.c == 3) return detail::change_picture<3>(x, s, changes(t, s, o.keras), common_changes(o), y, scratch);
  if (shape.c == 1) return detail::change_picture<1>(x, s, changes(t, s, o.keras), common_changes(o), y, scratch);
  throw Error("a picture of ", shape.c, " channels cannot be augmented: give it one channel or three");
}

}  // namespace lamina
