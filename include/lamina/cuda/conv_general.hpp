/// Convolution on a GPU of any shape, a lane for each number. Way 0.
#pragma once
#include "places.hpp"

namespace lamina {

namespace kernels::inline LAMINA_SIMT {

/// A convolution's walk, and its groups: o sees the channels from first(o) on.
struct Grouped : Walk {
  int per_group, filters;                    // channels and filters of a group
  Grouped(ConvSpec s, Shape in, Shape out) : Walk(s.window, in, out), per_group(in.c / s.groups), filters(out.c / s.groups) {}
  LAMINA_DEVICE int first(int o) const { return o / filters * per_group; }
  /// The sum at output pixel (row, column), with nothing added: x is the image.
  template <class T> LAMINA_DEVICE Master<T> at(const T* x, const T* weights, int row, int column, int o) const {
    const Range down = taps(row, top, h), across = taps(column, left, w);
    Master<T> sum = 0;
    for (int i = down.begin; i < down.end; ++i)
      for (int j = across.begin; j < across.end; ++j) {
        const T* const pixel = x + (Index(row * stride - top + i) * w + column * stride - left + j) * c + first(o);
        const T* const tap = weights + Index(i * k + j) * per_group * out_c + o;
        for (int m = 0; m < per_group; ++m) sum += Master<T>(pixel[m]) * Master<T>(tap[Index(m) * out_c]);
      }
    return sum;
  }
};

template <class T> struct ConvOutput {
  static constexpr int blocks = 4;
  Grouped g; const T *x, *w; const Master<T>* b; T* y; Bounds<Master<T>> bounds;
  LAMINA_DEVICE void operator()(Index i) const {
    const Spot s = spot(i, g.out_h, g.out_w, g.out_c);
    y[i] = stored<T>(bounds(g.at(x + s.image * g.h * g.w * g.c, w, s.row, s.column, s.channel) + (b ? b[s.channel] : 0)));
  }
};

/// dx, of dy as dy(image, row, column, o) tells it.
template <class T, class Dy> struct ConvInputGradient {
  static constexpr int blocks = 4;
  Grouped g; const T* w; Dy dy; T* dx;
  LAMINA_DEVICE void operator()(Index at) const {
    const Spot s = spot(at, g.h, g.w, g.c);
    const Walk::Range down = g.windows(s.row, g.top, g.out_h), across = g.windows(s.column, g.left, g.out_w);
    const int group = s.channel / g.per_group, m = s.channel % g.per_group;
    Master<T> sum = 0;
    for (int row = down.begin; row < down.end; ++row)
      for (int column = across.begin; column < across.end; ++column) {
        const int i = s.row + g.top - row * g.stride, j = s.column + g.left - column * g.stride;
        const T* const tap = w + (Index(i * g.k + j) * g.per_group + m) * g.out_c;
        for (int o = group * g.filters; o < (group + 1) * g.filters; ++o) sum += dy(s.image, row, column, o) * Master<T>(tap[o]);
      }
    dx[at] = stored<T>(sum);
  }
};

/// Of one slab of output pixels: the gradient of a weight, or behind those of a bias. D tells where the pixel of a place lies that has a gradient for o, if any, and what it is.
template <class T, class Dy> struct ConvWeightParts {
  Grouped g; Slabs slabs; Index places, weights, numbers;      // places of a sample
  const T* x; Dy dy;
  Master<T>* parts;                          // (slabs, numbers)
  LAMINA_DEVICE void operator()(Index at) const {
    const Quotient of = divide(at, int(numbers));
    const bool bias = of.rest >= weights;
    const int number = bias ? int(of.rest - weights) : of.rest, o = number % g.out_c, tap = number / g.out_c / g.per_group;
    const int channel = g.first(o) + number / g.out_c % g.per_group, i = tap / g.k - g.top, j = tap % g.k - g.left;
    Master<T> sum = 0;
    const Slabs::Part slab = slabs.pieces_of(int(of.whole), places);
    for (Index place = slab.begin; place < slab.end; ++place) {
      const typename Dy::Won won = dy.at(place, o);
      const int row = won.row * g.stride + i, column = won.column * g.stride + j;
      if (bias) sum += won.gradient;
      else if (row >= 0 && row < g.h && column >= 0 && column < g.w) sum += won.gradient * Master<T>(x[g.input(won.image, row, column) * g.c + channel]);
    }
    parts[at] = sum;
  }
};

/// dy (N, Ho, Wo, O) as it lies.
template <class T> struct PlainGradient {
  const T* dy; int h, w, c;
  struct Won { Index image; int row, column; Master<T> gradient; };
  LAMINA_DEVICE Master<T> operator()(Index image, int row, int column, int o) const { return Master<T>(dy[((image * h + row) * w + column) * c + o]); }
  LAMINA_DEVICE Won at(Index pixel, int o) const {
    const Quotient line = divide(pixel, w), image = divide(line.whole, h);
    return {image.whole, image.rest, line.rest, Master<T>(dy[pixel * c + o])};
  }
};

}  // namespace kernels::inline LAMINA_SIMT

namespace detail {
struct ConvSums { Index weights, numbers; kernels::Slabs slabs; };
/// Where each sample has so many places, so many that a GPU is busy with `numbers` sums of each slab.
inline kernels::Slabs conv_slabs(const Shares& cut, Index places, Index numbers) { return {cut, slabs_of_share(cut, std::min<Index>(pieces(Index(1) << 18, numbers), 256), places, 16)}; }
inline ConvSums conv_sums(const Shares& cut, ConvSpec spec, Shape in, Shape out, Index places) {
  const Index weights = Index(spec.window.k) * spec.window.k * (in.c / spec.groups) * out.c;
  return {weights, weights + out.c, conv_slabs(cut, places, weights + out.c)};
}
/// dw += and db +=, or null, of n samples with so many places each.
template <RunsKernels D, class T, class Dy>
void add_weight_gradient(D& dev, ConvSpec spec, Shape in, Shape out, Index n, Index places, const T* x, Dy dy, Master<T>* dw, Master<T>* db) {
  const ConvSums s = conv_sums(cut_of(dev, n), spec, in, out, places);
  auto* const parts = reinterpret_cast<Master<T>*>(dev.arena());
  parallel_for(dev, s.slabs.count * s.numbers, kernels::ConvWeightParts<T, Dy>{{spec, in, out}, s.slabs, places, s.weights, s.numbers, x, dy, parts});
  add_parts<Master<T>>(dev, parts, s.slabs, s.numbers, dw, s.weights, db);
}
/// db alone.
template <RunsKernels D, class T> void add_bias_gradient(D& dev, ConvSpec spec, Shape in, Shape out, Index n, kernels::PlainGradient<T> dy, Master<T>* db) {
  const Index places = Index(out.h) * out.w;
  const kernels::Slabs slabs = conv_slabs(cut_of(dev, n), places, out.c);
  auto* const parts = reinterpret_cast<Master<T>*>(dev.arena());
  parallel_for(dev, Index(slabs.count) * out.c, kernels::ConvWeightParts<T, kernels::PlainGradient<T>>{{spec, in, out}, slabs, places, 0, out.c, static_cast<const T*>(nullptr), dy, parts});
  add_parts<Master<T>>(dev, parts, slabs, out.c, db, out.c);
}
template <class T, class D> Index weight_gradient_arena(const D& dev, ConvSpec spec, Shape in, Shape out, Index n, Index places) {
  return most_of_cuts(dev, n, [&](const Shares& cut) {
    const ConvSums s = conv_sums(cut, spec, in, out, places);
    return s.slabs.count * s.numbers * Index(sizeof(Master<T>));
  });
}
}  // namespace detail

template <RunsKernels D, class T>
void conv_forward(D& dev, Way<0>, ConvSpec spec, Shape in, Shape out, Index n,
                  const T* x,                                  // (N, H, W, C)
                  const T* w, const Master<T>* b,              // (K, K, C / groups, O), (O) or null
                  T* y, Clamp clamp = {}) {                    // (N, Ho, Wo, O)
  parallel_for(dev, n * size(out), kernels::ConvOutput<T>{{spec, in, out}, x, w, b, y, clamp});
}

template <RunsKernels D, class T>
void conv_backward(D& dev, Way<0>, ConvSpec spec, Shape in, Shape out, Index n, const T* x, const T* w,
                   const T* dy,                                // (N, Ho, Wo, O)
                   T* dx,                                      // (N, H, W, C) or null
                   Master<T>* dw, Master<T>* db) {             // += (K, K, C / groups, O), (O), or null
  const kernels::PlainGradient<T> gradient{dy, out.h, out.w, out.c};
  if (dx) parallel_for(dev, n * size(in), kernels::ConvInputGradient<T, kernels::PlainGradient<T>>{{spec, in, out}, w, gradient, dx});
  if (dw) detail::add_weight_gradient(dev, spec, in, out, n, Index(out.h) * out.w, x, gradient, dw, db);
}

template <RunsKernels D, class T> Index conv_arena(const D& dev, Way<0>, T, ConvSpec spec, Shape in, Shape out, Index n) {
  return detail::weight_gradient_arena<T>(dev, spec, in, out, n, Index(out.h) * out.w);
}
/// Of conv_forward alone, in ways that do not cut its sums into slices.
template <RunsKernels D, int W, class T> requires (W < 3) Index conv_forward_arena(const D&, Way<W>, T, ConvSpec, Shape, Shape, Index) { return 0; }

}  // namespace lamina
