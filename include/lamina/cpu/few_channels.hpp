/// The convolution that begins a network: 3x3, stride 1, of a picture with C = 1 to 4 channels, with ReLU and 2x2 max pooling. Winograd's F(2, 3), whose 16 products for
/// each window never leave the registers: the transformed input of a row of windows is a few lines, read number by number.
#pragma once
#include "pooled.hpp"

namespace lamina::detail {

template <int C> struct FewChannels {
  static constexpr int taps = 9 * C, run = (taps + simd::width - 1) / simd::width * simd::width;       // numbers that meet in one output; a whole number of vectors
  static constexpr int at_once = simd::width == 16 ? 4 : 2;                                            // windows worked together
  static constexpr int block = 32;                                                                     // windows of a row worked together in the weight gradient
  static constexpr int channels_at_once = simd::registers == 32 ? 8 : 2;

  Shape in, out;                                  // out: pooled
  int before;

  /// A line of padded input, and room for a vector to end in.
  Index line() const { return room(Index(2 * out.w + 2 + 2 * at_once) * C + 2 * simd::width); }
  Index weights() const { return room(Index(16) * C * out.c); }
  Index share_numbers() const { return room(Index(out.c) * run) + room(out.c); }
  Index worker_numbers() const {
    const Index forward = 16 * line(), backward = 4 * line() + Index(2 * 2 * block) * run + 2 * Index(out.c) * block;
    return room(forward > backward ? forward : backward);
  }

  /// Transformed weights (O / width, 4, 4, C, width) of w (3, 3, C, O), with the signs of the output transform.
  void transform_weights(const float* w, float* u) const {
    constexpr float g[4][3] = {{1, 0, 0}, {.5f, .5f, .5f}, {.5f, -.5f, .5f}, {0, 0, 1}};
    for (int o = 0; o < out.c; o += simd::width)
      for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j)
          for (int c = 0; c < C; ++c, u += simd::width) {
            Floats s{};
            for (int t = 0; t < 9; ++t) s += g[i][t / 3] * g[j][t % 3] * simd::load(w + (t * C + c) * Index(out.c) + o);
            simd::store(u, (i == 3) != (j == 3) ? -s : s);
          }
  }

  /// Line y of the padded input, which may be above or below it.
  void copy_line(const float* x, int y, float* to) const {
    const Index begin = Index(before) * C, end = y >= 0 && y < in.h ? std::min(begin + Index(in.w) * C, line()) : begin;
    std::fill(to, to + begin, 0.0f);
    std::copy_n(x + Index(y) * in.w * C, end - begin, to + begin);
    std::fill(to + end, to + line(), 0.0f);
  }

  /// Brings near what the windows that are worked together see of a line.
  static void fetch(const float* x) {
    for (int k = 0; k < 2 * at_once * C; k += 16) __builtin_prefetch(x + k);
  }

  /// Sums over the channels: m[t] += s[window t] * u.
  template <int T> LAMINA_INLINE static void products(const float* s, const float* u, Floats (&m)[T]) {
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) {
      const Floats w = simd::load(u + c * simd::width);
#pragma GCC unroll 4
      for (int t = 0; t < T; ++t) m[t] += simd::all(s[t * 2 * C + c]) * w;
    }
  }
  /// One row of products: d, s and q hold differences and sums of neighbouring columns. Columns 1 and 2 are summed apart, 0 and 3 go straight to the two outputs.
  template <int T> LAMINA_INLINE static void add_row(const float* d, const float* s, const float* q, const float* u, Floats (&y0)[T], Floats (&y1)[T], bool add) {
    Floats a[T] = {}, b[T] = {};
    products(s + C, u + C * simd::width, a);
    products(q + C, u + 2 * C * simd::width, b);
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) {
      const Floats plus = a[t] + b[t], minus = a[t] - b[t];
      y0[t] = add ? y0[t] + plus : plus, y1[t] = add ? y1[t] + minus : minus;
    }
    products(d, u, y0);
    products(d + C, u + 3 * C * simd::width, y1);
  }

  /// y (Wp, O) and its bits, of row r of the windows of one image x (H, W, C). Two of the four lines that its windows see are in memory from the row before, unless it is
  /// the first.
  void forward(const float* x, const float* u, const float* bias, int r, bool first, float* y, std::uint8_t* bits, float* memory) const {
    constexpr int T = at_once;
    const Index l = line(), used = l - 2 * simd::width;
    float *const d = memory + 4 * l, *const s = d + 4 * l, *const q = s + 4 * l;
    const auto seen = [&](int i) { return memory + (2 * r + i) % 4 * l; };
    for (int i = first ? 0 : 2; i < 4; ++i) copy_line(x, 2 * r - before + i, seen(i));
    const float *const x0 = seen(0), *const x1 = seen(1), *const x2 = seen(2), *const x3 = seen(3);
    for (Index k = 0; k < used; k += simd::width) {
      Floats m[3][4];                             // columns 0, 1 and 2, transformed
#pragma GCC unroll 3
      for (int j = 0; j < 3; ++j) {
        const Index at = k + j * C;
        const Floats d0 = simd::load(x0 + at), d1 = simd::load(x1 + at), d2 = simd::load(x2 + at), d3 = simd::load(x3 + at);
        m[j][0] = d0 - d2, m[j][1] = d1 + d2, m[j][2] = d2 - d1, m[j][3] = d1 - d3;
      }
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) simd::store(d + i * l + k, m[0][i] - m[2][i]), simd::store(s + i * l + k, m[0][i] + m[1][i]), simd::store(q + i * l + k, m[1][i] - m[0][i]);
    }
    for (int t0 = 0; t0 < out.w; t0 += T) {
      for (int next = 2 * r - before + 4, end = std::min(next + 2, in.h); next < end; ++next) fetch(x + (Index(next) * in.w + 2 * t0) * C);      // for the next row
      const float* of = u;
      for (int o = 0; o < out.c; o += simd::width, of += 16 * C * simd::width) {
        Floats value[4][T], lower[2][T];          // the four outputs of each window
        const auto row = [&](int i, Floats (&y0)[T], Floats (&y1)[T], bool add) LAMINA_INLINE_LAMBDA {
          const Index at = i * l + t0 * 2 * C;
          add_row<T>(simd::one_register(d + at), simd::one_register(s + at), simd::one_register(q + at), of + i * 4 * C * simd::width, y0, y1, add);
        };
        row(1, value[0], value[1], false);
        row(2, lower[0], lower[1], false);
#pragma GCC unroll 4
        for (int t = 0; t < T; ++t) {
          value[2][t] = value[0][t] - lower[0][t], value[3][t] = value[1][t] - lower[1][t];
          value[0][t] += lower[0][t], value[1][t] += lower[1][t];
        }
        row(0, value[0], value[1], true);
        row(3, value[2], value[3], true);
        const Floats b = bias ? simd::load(bias + o) : Floats{};
        const auto emit = [&](int t) LAMINA_INLINE_LAMBDA {
          relu_pool(value[0][t], value[1][t], value[2][t], value[3][t], b, y + Index(t0 + t) * out.c, bits ? bits + Index(t0 + t) * (window_planes * (out.c / 8)) : nullptr, o, out.c);
        };
        if (t0 + T <= out.w) {
#pragma GCC unroll 4
          for (int t = 0; t < T; ++t) emit(t);
        } else {
          for (int t = 0; t0 + t < out.w; ++t) emit(t);
        }
      }
    }
  }

  /// dw (O, run) += and db (O) += of one image: what each pixel sees is laid out as a run, and each live window adds its gradient times the run of its maximum.
  void weight_gradient(const float* x, const PooledGradient& g, float* dw, float* db, float* memory) const {
    // In variables of their own, since vectors that are stored might be members for all that the compiler knows.
    const Index l = line(), channels = out.c, plane = out.c / 8;
    float* const lines = memory;
    float* const seen = lines + 4 * l;                                          // (2, 2 * block, run)
    float* const value = seen + Index(2 * 2 * block) * run;                     // (O / width, block, width)
    std::int32_t* const place = reinterpret_cast<std::int32_t*>(value + channels * block);
    for (int r = 0; r < out.h; ++r) {
      for (int i = 0; i < 4; ++i) copy_line(x, 2 * r - before + i, lines + i * l);
      for (int q0 = 0; q0 < out.w; q0 += block) {
        const int count = out.w - q0 < block ? out.w - q0 : block;
        for (int i = 0; i < 2; ++i)
          for (int j = 0; j < 2 * count; ++j) lay_out(lines + i * l + (2 * q0 + j) * C, l, seen + (i * 2 * block + j) * run);
        const std::uint8_t* const planes = g.planes(r, q0);
        const float* const gradient = g.gradient(r, q0);
        for (int o = 0; o < channels; o += simd::width) {
          Floats sum = simd::load(db + o);
          for (int n = 0; n < count; ++n) {
            const std::uint8_t* const of = planes + n * window_planes * plane;
            const Floats v = simd::keep(simd::load_bits(of + 2 * plane, o), simd::load(gradient + n * channels + o));
            sum += v;
            simd::store(value + Index(o) * block + n * simd::width, v);
            simd::store(place + Index(o) * block + n * simd::width, 2 * n * run + simd::select(simd::load_bits(of, o), run) + simd::select(simd::load_bits(of + plane, o), 2 * block * run));
          }
          simd::store(db + o, sum);
        }
        for (int o = 0; o < channels; o += channels_at_once)
          add_runs(seen, value + Index(o / simd::width * simd::width) * block + o % simd::width, place + Index(o / simd::width * simd::width) * block + o % simd::width, count, dw + Index(o) * run);
      }
    }
  }
  /// What a pixel sees, of three lines: vectors that are put together from where each line lies in the run.
  LAMINA_INLINE static void lay_out(const float* x, Index line, float* to) {
#pragma GCC unroll 9
    for (int v = 0; v < run; v += simd::width) {
      Floats all{};
#pragma GCC unroll 3
      for (int t = 0; t < 3; ++t) {
        const int first = 3 * C * t - v, last = first + 3 * C;          // lanes of this line
        if (last <= 0 || first >= simd::width) continue;
        const Mask below = last >= simd::width ? (1ull << simd::width) - 1 : (1u << last) - 1, before = first > 0 ? (1u << first) - 1 : 0;
        all += simd::keep(below & ~before, simd::load(x + t * line - first));
      }
      simd::store(to + v, all);
    }
  }
  static void add_runs(const float* seen, const float* value, const std::int32_t* place, int count, float* dw) {
    constexpr int V = run / simd::width, O = channels_at_once;
    Floats sum[O][V];
#pragma GCC unroll 8
    for (int o = 0; o < O; ++o)
#pragma GCC unroll 9
      for (int v = 0; v < V; ++v) sum[o][v] = simd::load(dw + o * run + v * simd::width);
    for (int n = 0; n < count; ++n)
#pragma GCC unroll 8
      for (int o = 0; o < O; ++o) {
        const Floats g = simd::all(value[n * simd::width + o]);
        const float* const at = simd::one_register(seen + place[n * simd::width + o]);
#pragma GCC unroll 9
        for (int v = 0; v < V; ++v) sum[o][v] += g * simd::load(at + v * simd::width);
      }
#pragma GCC unroll 8
    for (int o = 0; o < O; ++o)
#pragma GCC unroll 9
      for (int v = 0; v < V; ++v) simd::store(dw + o * run + v * simd::width, sum[o][v]);
  }
  /// dw (3, 3, C, O) += the sum over the shares.
  void add_weights(Index of_shares, const float* parts, float* dw) const {
    for (int o = 0; o < out.c; o += simd::width)
      for (int k = 0; k < taps; k += simd::width)
        add_turned(of_shares, parts + Index(o) * run + k, share_numbers(), run, taps - k < simd::width ? taps - k : simd::width, dw + Index(k) * out.c + o, out.c);
  }

  /// dx (H, W, C) = of one image. Rarely asked for: pictures are not learned.
  void input_gradient(const PooledGradient& g, const float* w, float* dx) const {
    std::memset(dx, 0, std::size_t(size(in)) * sizeof(float));
    for (int r = 0; r < out.h; ++r)
      for (int q = 0; q < out.w; ++q)
        for (int o = 0; o < out.c; ++o) {
          const auto bit = [&](int plane) { return g.planes(r, q)[plane * (out.c / 8) + o / 8] >> (o % 8) & 1; };
          if (!bit(2)) continue;
          const int top = 2 * r + bit(1) - before, left = 2 * q + bit(0) - before;
          for (int t = 0; t < 9; ++t) {
            const int y = top + t / 3, z = left + t % 3;
            if (y < 0 || y >= in.h || z < 0 || z >= in.w) continue;
            for (int c = 0; c < C; ++c) dx[(Index(y) * in.w + z) * C + c] += g.gradient(r, q)[o] * w[(t * C + c) * Index(out.c) + o];
          }
        }
  }
};

}  // namespace lamina::detail
