/// What is done to the pictures of a batch on their way into a network, whoever does it: drawn and filled in by the data set, carried out by the CPU or by a device.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>

#include "pixel.hpp"
#include "shape.hpp"

namespace lamina {

/// A place (row, column) of the new picture comes from (yy row + yx column + y0, xy row + xx column + x0) of the old one.
struct Affine {
  double yy = 1, yx = 0, y0 = 0;
  double xy = 0, xx = 1, x0 = 0;
  friend constexpr bool operator==(const Affine&, const Affine&) = default;
  LAMINA_HD double row(double i, double j) const { return pixel::product(i, yy) + pixel::product(j, yx) + y0; }
  LAMINA_HD double column(double i, double j) const { return pixel::product(i, xy) + pixel::product(j, xx) + x0; }
};

/// Pixels.
struct Rectangle {
  int y = 0, x = 0, h = 0, w = 0;
  LAMINA_HD bool holds(int row, int column) const { return row >= y && row < y + h && column >= x && column < x + w; }
};

/// What is done to one picture, in this order; as it stands, nothing. A device has an array of them.
struct alignas(16) Changes {
  Index place = 0;                                        // of the sample in its data set
  int crop_y = 0, crop_x = 0;                             // pixels it is moved by, the border mirrored without its edge
  Affine map = {};
  float margin = 0;                                       // pixels: places that lie no further beyond the edge are not outside
  bool flip_vertical = false, flip_horizontal = false;    // of what the map makes
  double channel_shift = 0;                               // grey levels added, kept within the picture's own range
  double brightness = 1, contrast = 1, saturation = 1;    // factors; the last, and the hue, of pictures with colours
  double hue = 0;                                         // by how much of the circle it is turned
  Rectangle erased = {};                                  // zero, at the end
};

/// What is common to all pictures of a source.
struct CommonChanges {
  FillMode fill = FillMode::nearest;
  float outside = 0;                                      // with FillMode::constant
  int order = 1;                                          // of the spline between pixels: the nearest pixel (0), straight lines (1); 2 to 5 are the CPU's alone
  bool stretches = false;                                 // pictures that are made brighter or darker are stretched to 0..255 first
  bool centred = false, standardised = false;             // the mean of each picture over all its channels is taken from it; it is divided by its deviation times |rescale| + 1e-6
  double rescale = 1;
  float scale[3] = {1, 1, 1}, offset[3] = {0, 0, 0};      // x scale + offset for each channel, before what is erased; scale has `rescale` in it
};

/// How each picture of a batch is mixed with the one before it, the first with the last, once all else is done to both; as it stands, not at all.
struct Mixing {
  float share = 1;                                        // of the picture itself, and the rest of the other's
  Rectangle box;                                          // where all is the other's
  constexpr bool off() const { return share == 1 && box.h == 0; }
};

/// Whether grey levels may lie outside 0..255 once a picture is moved.
constexpr bool may_leave_bytes(const CommonChanges& all) { return all.order > 1 || (all.fill == FillMode::constant && (all.outside < 0 || all.outside > 255)); }

/// Whether a pixel depends on all others of its picture; or is turned on the circle of hues, for which the registers of a kernel that looks at one pixel alone do not suffice.
constexpr bool needs_whole_picture(const Changes& c, const CommonChanges& all, int channels) {
  return all.centred || all.standardised || c.channel_shift != 0 || (all.stretches && c.brightness != 1) || c.contrast != 1 || (channels == 3 && c.hue != 0);
}

/// A batch as bytes, with what is to be done to them. All of it belongs to the source and holds as long as the batch does.
struct Pictures {
  std::shared_ptr<const void> source;        // of which these are samples: nothing else has the same while anybody keeps it
  Index samples = 0;                         // of the source
  Shape shape;                               // of each
  CommonChanges common;
  Mixing mixing;                             // if it is not off, what is said of pixels and changes holds of number -1 too: the picture that the first is mixed with
  const std::uint8_t* const* pixels = nullptr;   // (N) pictures (H, W, C); null: the taker has said that it keeps it
  const Changes* changes = nullptr;          // (N)
  std::atomic<bool>* kept = nullptr;         // (samples) where the taker says so
};

}  // namespace lamina
