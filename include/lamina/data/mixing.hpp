/// Batches whose pictures are mixed with each other: how much of whom, and what the targets are then.
#pragma once
#include <utility>

#include "augmentation.hpp"

namespace lamina {

/// How a batch is mixed, and the share of a picture's own class in its target: 1 where it is not.
struct BatchMixing {
  Mixing pixels;
  double own = 1;
};

/// Whether batches may be mixed.
constexpr bool mixes(const AugmentationOptions& o) { return (o.mixup > 0 || o.cutmix > 0) && o.mixed_batches > 0; }
/// Whether batches have targets, and no labels.
constexpr bool has_targets(const AugmentationOptions& o) { return o.class_mode == ClassMode::categorical || mixes(o); }

namespace detail {

/// Draws from one stream, as many as it takes.
struct Draws {
  const Random& random;
  Index next;
  double uniform() { return random(next++); }
  double normal() {
    next += next % 2;                  // of two numbers of one block
    return random.normal(std::exchange(next, next + 2) / 2);
  }
};

/// Gamma(alpha, 1) by Marsaglia and Tsang 2000, "A simple method for generating gamma variables". Its logarithm: for a small alpha it may be too small for a number.
inline double log_gamma_variate(Draws& draws, double alpha) {
  if (alpha < 1) return log_gamma_variate(draws, alpha + 1) + std::log(1 - draws.uniform()) / alpha;
  const double d = alpha - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = draws.normal(), root = 1 + c * x, v = root * root * root, u = 1 - draws.uniform();
    if (root > 0 && std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) return std::log(d) + std::log(v);
  }
}
/// Beta(alpha, alpha): the share of one of two gamma variates in both.
inline double beta_variate(Draws& draws, double alpha) {
  const double a = log_gamma_variate(draws, alpha), b = log_gamma_variate(draws, alpha);
  return 1 / (1 + std::exp(b - a));
}

}  // namespace detail

/// How batch b of an epoch is mixed: `random` is Random(seed, Stream::mixing, 0, epoch). As in torchvision's MixUp and CutMix there is one lambda for the whole batch, and each picture's partner is the one
/// before it. A box has its middle anywhere in the picture and the share 1 - lambda of its area, before what hangs over is cut off; the share in the targets is that of what is left.
inline BatchMixing draw_mixing(const AugmentationOptions& o, const Random& random, Index b) {
  BatchMixing m;
  if (!mixes(o)) return m;
  detail::Draws draws{random, b << 20};
  if (!(draws.uniform() < o.mixed_batches)) return m;
  const double which = draws.uniform(), at_y = draws.uniform(), at_x = draws.uniform();
  const bool boxes = o.cutmix > 0 && (o.mixup == 0 || which < 0.5);
  m.own = detail::beta_variate(draws, boxes ? o.cutmix : o.mixup);
  if (!boxes) {
    m.pixels.share = float(m.own);
    return m;
  }
  const int h = o.size.h, w = o.size.w, y = int(at_y * h), x = int(at_x * w);
  const double half = std::sqrt(1 - m.own) / 2;
  const int half_h = int(half * h), half_w = int(half * w);
  Rectangle& box = m.pixels.box;
  box.y = std::max(y - half_h, 0), box.x = std::max(x - half_w, 0);
  box.h = std::min(y + half_h, h) - box.y, box.w = std::min(x + half_w, w) - box.x;
  m.own = 1 - double(box.h) * box.w / (double(h) * w);
  return m;
}

namespace detail {

/// target (classes) of a picture of one class that is mixed with one of another.
inline void write_target(double own, std::int32_t label, std::int32_t other, Index classes, float* target) {
  std::fill_n(target, classes, 0.f);
  target[other] = float(1 - own);
  target[label] = label == other ? 1.f : float(own);
}

/// Rows [first, first + count) of n pictures x (N, H, W, C), each mixed with the one before it; `before` (H, W, C) is the one before the first.
inline void mix_rows(const Mixing& m, Shape s, Index n, const float* before, int first, int count, float* x) {
  const Index line = Index(s.w) * s.c;
  for (Index i = n; i-- > 0;) {
    const float* const other = i > 0 ? x + (i - 1) * size(s) : before;
    float* const own = x + i * size(s);
    for (int row = first; row < first + count; ++row) {
      float* const y = own + row * line;
      const float* const z = other + row * line;
      if (m.share != 1)
        for (Index k = 0; k < line; ++k) y[k] = pixel::blend(z[k], y[k], m.share);
      if (m.box.holds(row, m.box.x)) std::copy_n(z + Index(m.box.x) * s.c, Index(m.box.w) * s.c, y + Index(m.box.x) * s.c);
    }
  }
}

}  // namespace detail
}  // namespace lamina
