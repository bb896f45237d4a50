/// Pictures of a data set on a GPU: those of a batch are gathered, changed and normalised in one launch.
#pragma once
#include <cstring>

#include "../core/changes.hpp"
#include "../core/error.hpp"
#include "places.hpp"

namespace lamina {

namespace kernels::inline LAMINA_SIMT {

static_assert(pixel::lanes == 256, "an Augment block is what the CPU's sums go by");

/// All of it with loads of 16 bytes.
LAMINA_DEVICE Changes load_changes(const Changes* p) {
  static_assert(sizeof(Changes) % sizeof(Vec4) == 0);
  Vec4 words[sizeof(Changes) / sizeof(Vec4)];
  LAMINA_UNROLL
  for (unsigned i = 0; i < sizeof(Changes) / sizeof(Vec4); ++i) words[i] = load(reinterpret_cast<const Vec4*>(p) + i);
  Changes c;
  std::memcpy(&c, words, sizeof c);
  return c;
}

/// A picture before and after its changes.
template <int C, bool Whole> struct ChangedPicture {
  struct Colour { float v[C]; };
  const std::uint8_t* x;      // (H, W, C)
  int h, w;
  Changes c;
  CommonChanges all;
  float least = 0, most = 0, middle = 0;     // of the picture: its extremes once it was moved, its mean grey before the contrast
  float mean = 0;                            // of all its channels at the end, or 0
  double variance = -1;                      // likewise, or below 0

  LAMINA_DEVICE float at(int row, int column, int k) const {
    return float(load(x + (Index(pixel::mirror(row + c.crop_y, h)) * w + pixel::mirror(column + c.crop_x, w)) * C + k));
  }
  LAMINA_DEVICE pixel::Neighbours around(double place, int n) const {
    const double there = all.fill == FillMode::reflect ? pixel::reflect(place, n) : all.fill == FillMode::wrap ? pixel::wrap(place, n) : pixel::nearest(place, n);
    return pixel::around(there, n, all.order == 1);
  }
  /// Cropped and moved. Where a new row comes from old rows as they are, the CPU blends these first, and otherwise columns.
  LAMINA_DEVICE Colour moved(int i, int j) const {
    Colour y;
    const double row = c.flip_vertical ? h - 1 - i : i, column = c.flip_horizontal ? w - 1 - j : j;
    const double from_row = c.map.row(row, column), from_column = c.map.column(row, column);
    if (all.fill == FillMode::constant && !(pixel::inside(from_row, h, c.margin) && pixel::inside(from_column, w, c.margin))) {
      for (int k = 0; k < C; ++k) y.v[k] = all.outside;
      return y;
    }
    const pixel::Neighbours r = around(from_row, h), s = around(from_column, w);
    const bool between = r.weight != 0 || s.weight != 0, level = c.map.yx == 0;
    LAMINA_UNROLL
    for (int k = 0; k < C; ++k) {
      y.v[k] = at(r.first, s.first, k);
      if (!between) continue;
      const float right = at(r.first, s.second, k), below = at(r.second, s.first, k), last = at(r.second, s.second, k);
      const float u = level ? r.weight : s.weight, v = level ? s.weight : r.weight;
      y.v[k] = pixel::blend(pixel::blend(y.v[k], level ? below : right, u), pixel::blend(level ? right : below, last, u), v);
    }
    return y;
  }
  LAMINA_DEVICE Colour before_contrast(int i, int j) const {
    Colour y = moved(i, j);
    const float low = shifted(least), high = shifted(most), range = high > low ? high - low : 1;
    LAMINA_UNROLL
    for (int k = 0; k < C; ++k) {
      float& v = y.v[k];
      if (c.channel_shift != 0) v = shifted(v);
      if (c.brightness != 1) v = pixel::brighten(all.stretches ? pixel::stretch(v, low, range) : pixel::within(v, 0, 255), float(c.brightness));
    }
    return y;
  }
  LAMINA_DEVICE float shifted(float v) const { return c.channel_shift != 0 ? pixel::within(v + float(c.channel_shift), least, most) : v; }
  LAMINA_DEVICE Colour in_grey_levels(int i, int j) const {
    Colour y = before_contrast(i, j);
    if (c.contrast != 1)
      for (float& v : y.v) v = pixel::spread(v, middle, float(c.contrast));
    if constexpr (C == 3) {
      if (c.saturation != 1) {
        const float grey = pixel::grey(y.v);
        for (float& v : y.v) v = pixel::spread(v, grey, float(c.saturation));
      }
      if constexpr (Whole)
        if (c.hue != 0) pixel::turn_hue(y.v[0], y.v[1], y.v[2], float(6 * c.hue));
    }
    return y;
  }
  LAMINA_DEVICE Colour operator()(int i, int j) const {
    Colour y = in_grey_levels(i, j);
    const bool erased = c.erased.holds(i, j);
    LAMINA_UNROLL
    for (int k = 0; k < C; ++k) {
      const float scale = variance < 0 ? all.scale[k] : pixel::standardise(all.scale[k], all.rescale, variance);
      y.v[k] = erased ? 0.f : pixel::normalise(y.v[k] - mean, scale, all.offset[k]);
    }
    return y;
  }
};

/// What f makes of all that the lanes of a block have, in a fixed order; every lane gets it. `room` (Threads) is shared memory that nobody else uses.
template <int Threads, class V, class F> LAMINA_DEVICE V block_fold(V v, V* room, const F& f) {
  const int t = thread_index();
  store(room + t, v);
  for (int half = Threads / 2; half > 0; half /= 2) {
    sync_block();
    if (t < half) v = f(v, load(room + t + half)), store(room + t, v);
  }
  sync_block();
  v = load(room);
  sync_block();
  return v;
}

/// Pictures x[changes[i].place] -> y[i], each mixed with x[changes[i - 1].place] and its changes where they are (Mixed). Each is the work of so many neighbouring blocks, or of one, where a pixel may depend on all others of its picture (Whole, see needs_whole_picture()).
/// What a block is done with goes by way of shared memory, so that it is stored in one stretch. grid: (N each)
template <class T, int C, bool Whole, bool Mixed> struct Augment {
  static constexpr int threads = pixel::lanes, shared_bytes = threads * (C * int(sizeof(T)) > 8 ? C * int(sizeof(T)) : 8), blocks = (Whole ? 2 : 3) - (Mixed ? 1 : 0);
  static constexpr int together = int(16 / sizeof(T));
  using Picture = ChangedPicture<C, Whole>;

  LAMINA_DEVICE static void run(const std::uint8_t* x, const Changes* changes, CommonChanges all, Mixing mixing, int h, int w, int each, T* y) {   // (samples, H, W, C), (N), (N, H, W, C)
    const int image = block_index().x / each, block = block_index().x % each, pixels = h * w, lane = thread_index();
    const Picture picture = changed(x, changes + image, all, h, w);
    std::conditional_t<Mixed, Picture, Nothing> other;
    if constexpr (Mixed) other = changed(x, changes + image - 1, all, h, w);
    T* const out = y + Index(image) * pixels * C;
    T* const tile = reinterpret_cast<T*>(shared_memory());
    const bool in_packs = pixels * C % together == 0;
    for (int first = block * threads; first < pixels; first += each * threads) {
      if (first + lane < pixels) {
        const int i = (first + lane) / w, j = (first + lane) % w;
        auto colour = picture(i, j);
        if constexpr (Mixed) mix(mixing, i, j, other(i, j), colour);
        LAMINA_UNROLL
        for (int k = 0; k < C; ++k) store(tile + lane * C + k, stored<T>(Master<T>(colour.v[k])));
      }
      sync_block();
      const int numbers = (pixels - first < threads ? pixels - first : threads) * C;
      if (in_packs)
        for (int i = lane * together; i < numbers; i += threads * together) store(packs<together>(out + first * C + i), load(packs<together>(tile + i)));
      else
        for (int i = lane; i < numbers; i += threads) store(out + first * C + i, load(tile + i));
      sync_block();
    }
  }

 private:
  struct Nothing {};
  LAMINA_DEVICE static Picture changed(const std::uint8_t* x, const Changes* changes, const CommonChanges& all, int h, int w) {
    const Changes c = load_changes(changes);
    Picture picture{x + c.place * (h * w * C), h, w, c, all};
    if constexpr (Whole) look_at(picture);
    return picture;
  }
  LAMINA_DEVICE static void mix(const Mixing& mixing, int i, int j, const typename Picture::Colour& other, typename Picture::Colour& colour) {
    const bool inside = mixing.box.holds(i, j);
    LAMINA_UNROLL
    for (int k = 0; k < C; ++k) colour.v[k] = inside ? other.v[k] : mixing.share == 1 ? colour.v[k] : pixel::blend(other.v[k], colour.v[k], mixing.share);
  }
  /// The sum of f(i, j) over the pixels, in the CPU's order.
  template <class F> LAMINA_DEVICE static double sum_over(const Picture& p, const F& f) {
    double sum = 0;
    for (int i = thread_index(); i < p.h * p.w; i += threads) sum += f(i / p.w, i % p.w);
    return block_fold<threads>(sum, reinterpret_cast<double*>(shared_memory()), [](double a, double b) { return a + b; });
  }
  LAMINA_DEVICE static void look_at(Picture& p) {
    const int pixels = p.h * p.w;
    if (p.c.channel_shift != 0 || (p.all.stretches && p.c.brightness != 1)) {
      float least = __builtin_inff(), most = -__builtin_inff();
      for (int i = thread_index(); i < pixels; i += threads) {
        const auto colour = p.moved(i / p.w, i % p.w);
        LAMINA_UNROLL
        for (int k = 0; k < C; ++k) least = colour.v[k] < least ? colour.v[k] : least, most = colour.v[k] > most ? colour.v[k] : most;
      }
      float* const room = reinterpret_cast<float*>(shared_memory());
      p.least = block_fold<threads>(least, room, [](float a, float b) { return a < b ? a : b; });
      p.most = block_fold<threads>(most, room, [](float a, float b) { return a > b ? a : b; });
    }
    if (p.c.contrast != 1) p.middle = float(sum_over(p, [&](int i, int j) { return double(pixel::grey_of<C>(p.before_contrast(i, j).v)); }) / double(pixels));
    if (!p.all.centred && !p.all.standardised) return;
    const double mean = sum_over(p, [&](int i, int j) { return pixel::channel_sum<C>(p.in_grey_levels(i, j).v); }) / double(C * pixels);
    if (p.all.standardised) p.variance = sum_over(p, [&](int i, int j) { return pixel::channel_squares<C>(p.in_grey_levels(i, j).v, mean); }) / double(C * pixels);
    if (p.all.centred) p.mean = float(mean);
  }
};

}  // namespace kernels::inline LAMINA_SIMT

/// y[i] = picture x[changes[i].place] with what transform() of data/augmentation.hpp makes of it, for n pictures of one or three channels; `whole`: of some of them needs_whole_picture() holds.
/// Unless mixing is off each is mixed with the one before it, and there is a changes[-1]. The bits are those of the CPU, but for the brightness of pictures of which may_leave_bytes() holds: sources
/// hand those out as numbers. Throws Error where splines of a higher order are asked for.
template <RunsKernels D, class T>
void augment(D& dev, Shape shape, Index n, const std::uint8_t* x, const Changes* changes, const CommonChanges& all, const Mixing& mixing, bool whole, T* y) {   // (samples, H, W, C), (N), (N, H, W, C)
  const auto launch = [&]<int C, bool Whole, bool Mixed>(std::integral_constant<int, C>, std::bool_constant<Whole>, std::bool_constant<Mixed>) {
    using K = kernels::Augment<T, C, Whole, Mixed>;
    const Index blocks = Whole ? 1 : pieces(Index(shape.h) * shape.w, K::threads);
    dev.template launch<K>(Grid{int(n * blocks)}, x, changes, all, mixing, shape.h, shape.w, int(blocks), y);
  };
  if (n == 0) return;
  if (all.order > 1) throw Error("a device is to change pictures with splines of order ", all.order, ", and it knows orders 0 and 1: transform() of data/augmentation.hpp makes the others");
  const auto mixed = [&](auto c, auto of_whole) { mixing.off() ? launch(c, of_whole, std::false_type()) : launch(c, of_whole, std::true_type()); };
  const auto of = [&](auto c) { whole ? mixed(c, std::true_type()) : mixed(c, std::false_type()); };
  shape.c == 3 ? of(std::integral_constant<int, 3>()) : of(std::integral_constant<int, 1>());
}

}  // namespace lamina
