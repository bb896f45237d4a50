/// Convolution as it is defined, in vectors, for any kernel and stride: the sums of a few pixels and a block of channels stay in registers while all that meets in them goes
/// by. Channels are a multiple of 16, or a picture's; a block is two vectors of them, the last may be one.
/// The pixels that a kernel's row sees lie side by side in a line of the input, so that a row of the kernel is one run of numbers.
#pragma once
#include <algorithm>

#include "../core/layer.hpp"
#include "cpu.hpp"
#include "outer.hpp"

namespace lamina::detail {

using simd::Floats;

/// Lines with zeros around them, of a stretch of rows of an image (h, w, c): line 0 is row `top`, number 0 of a line is column `left`; both may lie outside.
inline void copy_padded(const float* x, Shape s, int top, int left, int lines, Index line, float* to) {
  const int skipped = left < 0 ? 0 : left, column = left < 0 ? -left : 0;
  const Index most = line - Index(column) * s.c, count = std::min(Index(s.w - skipped) * s.c, most);
  for (int i = 0; i < lines; ++i, to += line) {
    std::memset(to, 0, std::size_t(line) * sizeof(float));
    if (const int row = top + i; row >= 0 && row < s.h && count > 0) std::memcpy(to + column * s.c, x + (Index(row) * s.w + skipped) * s.c, std::size_t(count) * sizeof(float));
  }
}

struct Direct {
  static constexpr int pixels = simd::width == 16 ? 8 : 6, vectors = 2, block = vectors * simd::width;
  static constexpr Index copied = Index(1) << 16;              // numbers of copied lines that stay in the second cache

  Window v;
  Shape in, out;

  // Forward, and the gradient of the weights: strips of rows of the output.
  Index run() const { return Index(v.k) * in.c; }
  Index padded_run() const { return (run() + outer_rows - 1) / outer_rows * outer_rows; }
  Index line() const { return (Index(out.w - 1) * v.stride + v.k) * in.c + outer_rows; }
  int lines(int rows) const { return (rows - 1) * v.stride + v.k; }
  int rows() const { return balanced(out.h, int(std::max<Index>(1, (copied / line() - v.k) / v.stride + 1))); }
  int strips() const { return (out.h + rows() - 1) / rows(); }
  Index weights() const { return v.k * run() * out.c; }
  Index part() const { return room(v.k * padded_run() * out.c) + room(out.c); }
  // The gradient of the input falls into stride x stride classes of pixels, each of which sees its own taps of the kernel; strips of rows of the output's gradient.
  int taps(int residue) const { return (v.k - residue + v.stride - 1) / v.stride; }
  int across() const { return (in.w - 1 + v.before(in.w)) / v.stride + 1; }
  int down() const { return (in.h - 1 + v.before(in.h)) / v.stride + 1; }
  Index back_line() const { return Index(across() + taps(0) - 1) * out.c; }
  int back_rows() const { return balanced(down(), int(std::max<Index>(1, copied / back_line() - taps(0) + 1))); }
  Index worker_numbers() const { return room(std::max(lines(rows()) * line(), (back_rows() + taps(0) - 1) * back_line())); }
  /// Strips of at most so many rows, of equal height.
  static int balanced(int height, int most) {
    const int strips = (height + most - 1) / most;
    return (height + strips - 1) / strips;
  }

  /// What results read: lines of a run of numbers each.
  struct Reads { int lines; Index run, line; };

  /// f(channel, how many vectors) for each block of the channels [first, last).
  template <class F> LAMINA_INLINE static void each_block(int first, int last, const F& f) {
    for (; first + block <= last; first += block) f(first, std::integral_constant<int, vectors>());
    for (; first < last; first += simd::width) f(first, std::integral_constant<int, 1>());
  }

  /// sum (pixels, V vectors) += what each of the pixels x reads, times w (lines, run, V vectors).
  template <int V> LAMINA_INLINE static void sums(const float* const (&x)[pixels], Reads r, const float* w, Floats (&sum)[pixels][V]) {
    for (int i = 0; i < r.lines; ++i)
      for (Index at = i * r.line, end = at + r.run; at < end; ++at, w += V * simd::width) add_scaled(sum, [&](int t) LAMINA_INLINE_LAMBDA { return x[t][at]; }, w);
  }

  /// Weights (O / block, K, run, block) of w (K, K, C, O).
  void pack(const float* w, float* to) const {
    each_block(0, out.c, [&](int o, auto V) {
      for (Index k = 0; k < v.k * run(); ++k, to += V * simd::width) std::memcpy(to, w + k * out.c + o, V * simd::width * sizeof(float));
    });
  }

  /// y (height, Wo, O) of the rows from `top` on, channels [first, last): clamped, with a bias or null.
  void forward(const float* x, const float* packed, const float* bias, int top, int height, int first, int last, Floats low, Floats high, float* y, float* memory) const {
    const int count = height * out.w;
    copy_padded(x, in, top * v.stride - v.before(in.h), -v.before(in.w), lines(height), line(), memory);
    each_block(first, last, [&]<int V>(int o, std::integral_constant<int, V>) {
      for (int p = 0; p < count; p += pixels) {
        const float* from[pixels];
        Floats sum[pixels][V];
        for (int t = 0; t < pixels; ++t) {
          const int at = std::min(p + t, count - 1);           // beyond the last the tile computes that one again
          from[t] = memory + Index(at / out.w) * v.stride * line() + Index(at % out.w) * v.stride * in.c;
          for (int j = 0; j < V; ++j) sum[t][j] = bias ? simd::load(bias + o + j * simd::width) : Floats{};
        }
        sums(from, {v.k, run(), line()}, packed + Index(o) * v.k * run(), sum);
        for (int t = 0; t < pixels && p + t < count; ++t)
          for (int j = 0; j < V; ++j) simd::store(y + Index(p + t) * out.c + o + j * simd::width, simd::clamp(low, high, sum[t][j]));
      }
    });
  }

  /// dw (K, padded run, O) += and db (O) += of one image.
  void weight_gradient(const float* x, const float* dy, float* dw, float* db, float* memory) const {
    for (int strip = 0; strip < strips(); ++strip) {
      const int top = strip * rows(), height = std::min(rows(), out.h - top);
      copy_padded(x, in, top * v.stride - v.before(in.h), -v.before(in.w), lines(rows()), line(), memory);
      const float* const from = dy + Index(top) * out.w * out.c;
      each_block(0, out.c, [&]<int V>(int o, std::integral_constant<int, V>) {
        for (int i = 0; i < v.k; ++i)
          for (Index k = 0; k < padded_run(); k += outer_rows)
            add_outer<V>(memory + i * line() + k, v.stride * in.c, from + o, out.c, {out.w, height, v.stride * line(), Index(out.w) * out.c}, dw + (i * padded_run() + k) * out.c + o, out.c, true);
      });
    }
    for (int o = 0; o < out.c; o += simd::width) {
      Floats s = simd::load(db + o);
      for (Index p = 0; p < Index(out.h) * out.w; ++p) s += simd::load(dy + p * out.c + o);
      simd::store(db + o, s);
    }
  }

  /// f(row and column of the class, its taps down and across)
  template <class F> void each_class(const F& f) const {
    for (int a = 0; a < v.stride; ++a)
      for (int b = 0; b < v.stride; ++b) f(a, b, taps(a), taps(b));
  }
  /// A picture has fewer channels than a vector has numbers, and gradients that are rarely asked for.
  bool of_pictures() const { return in.c % simd::width != 0; }

  /// Class after class the weights (C / block, taps down, taps across * O, block), the last taps first; for pictures w as it is.
  void turn(const float* w, float* to) const {
    if (of_pictures()) {
      std::copy_n(w, weights(), to);
      return;
    }
    each_class([&](int a, int b, int down, int across) {
      each_block(0, in.c, [&](int c, auto V) {
        for (int i = down; i-- > 0;)
          for (int j = across; j-- > 0;)
            for (int o = 0; o < out.c; o += simd::width, to += simd::width * V * simd::width)
              for (int h = 0; h < V; ++h) {
                Floats r[simd::width];
                for (int t = 0; t < simd::width; ++t) r[t] = simd::load(w + ((Index(a + i * v.stride) * v.k + b + j * v.stride) * in.c + c + h * simd::width + t) * out.c + o);
                simd::transpose(r);
                for (int t = 0; t < simd::width; ++t) simd::store(to + (t * V + h) * simd::width, r[t]);
              }
      });
    });
  }

  /// dx (H, W, C) = of one image; C is a multiple of a vector.
  void input_gradient(const float* dy, const float* turned, float* dx, float* memory) const {
    const int height = back_rows(), above = v.before(in.h), before = v.before(in.w), most = taps(0) - 1;
    for (int top = 0; top < down(); top += height) {
      copy_padded(dy, out, top - most, -most, height + most, back_line(), memory);
      const float* w = turned;
      each_class([&](int a, int b, int taps_down, int taps_across) {
        // Rows and columns of the class: y = stride * u + a - above lies in the image.
        const auto first = [&](int residue, int pad) { return (std::max(0, pad - residue) + v.stride - 1) / v.stride; };
        const auto last = [&](int residue, int pad, int side) { return (side - 1 + pad - residue + v.stride) / v.stride; };
        const int u0 = std::max(top, first(a, above)), u1 = std::min(top + height, last(a, above, in.h)), v0 = first(b, before), wide = last(b, before, in.w) - v0;
        const int count = std::max(0, u1 - u0) * std::max(0, wide);
        const Reads reads{taps_down, Index(taps_across) * out.c, back_line()};
        each_block(0, in.c, [&]<int V>(int c, std::integral_constant<int, V>) {
          for (int p = 0; p < count; p += pixels) {
            const float* from[pixels];
            float* to[pixels];
            Floats sum[pixels][V] = {};
            for (int t = 0; t < pixels; ++t) {
              const int at = std::min(p + t, count - 1), row = u0 + at / wide, column = v0 + at % wide;
              from[t] = memory + Index(row - top + most - (taps_down - 1)) * back_line() + Index(column + most - (taps_across - 1)) * out.c;
              to[t] = dx + (Index(row * v.stride + a - above) * in.w + column * v.stride + b - before) * in.c + c;
            }
            sums(from, reads, w, sum);
            for (int t = 0; t < pixels; ++t)
              for (int j = 0; j < V; ++j) simd::store(to[t] + j * simd::width, sum[t][j]);
          }
          w += reads.lines * reads.run * V * simd::width;
        });
      });
    }
  }
  /// The same for pictures, w (K, K, C, O) as it is.
  void picture_gradient(const float* dy, const float* w, float* dx) const {
    std::memset(dx, 0, std::size_t(size(in)) * sizeof(float));
    for (int p = 0; p < out.h; ++p)
      for (int q = 0; q < out.w; ++q)
        for (int i = 0; i < v.k; ++i)
          for (int j = 0; j < v.k; ++j) {
            const int row = p * v.stride + i - v.before(in.h), column = q * v.stride + j - v.before(in.w);
            if (row < 0 || row >= in.h || column < 0 || column >= in.w) continue;
            for (int c = 0; c < in.c; ++c)
              for (int o = 0; o < out.c; ++o) dx[(Index(row) * in.w + column) * in.c + c] += dy[(Index(p) * out.w + q) * out.c + o] * w[((Index(i) * v.k + j) * in.c + c) * out.c + o];
          }
  }

  /// part += the gradients of the weights and of the bias, dx (H, W, C) or null = that of the input, of one image.
  void gather(const float* x, const float* turned, const float* dy, float* dx, float* part, float* memory) const {
    weight_gradient(x, dy, part, part + this->part() - room(out.c), memory);
    if (!dx) return;
    if (of_pictures()) picture_gradient(dy, turned, dx);
    else input_gradient(dy, turned, dx, memory);
  }
};

}  // namespace lamina::detail
