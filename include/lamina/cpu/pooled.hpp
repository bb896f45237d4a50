/// ReLU and 2x2 max pooling of convolution outputs that are still in registers, and the way back. Pooling is remembered as three bits for each window and channel, in
/// planes of channels / 8 bytes: the low and the high bit of the tap that won, and whether it was positive. Of a window's four gradients one is not zero, and none where
/// ReLU cut the window off: the gradients of weights and inputs are sums over these alone.
#pragma once
#include <algorithm>
#include <array>
#include <bit>

#include "../core/layer.hpp"
#include "../core/tree.hpp"
#include "cpu.hpp"
#include "simd.hpp"

namespace lamina::detail {

using simd::Floats, simd::Ints, simd::Mask;

inline constexpr int window_planes = 3;

/// y = max(0, bias + the largest of the window's four values a b / c d), and its bits, unless they are null. A NaN in all four comes out as one.
LAMINA_INLINE void relu_pool(Floats a, Floats b, Floats c, Floats d, Floats bias, float* y, std::uint8_t* bits, int channel, int channels) {
  const Floats upper = simd::max(a, b), lower = simd::max(c, d), most = simd::max(upper, lower) + bias;
  simd::store(y + channel, simd::max(simd::all(0), most));
  if (!bits) return;
  const Mask right = simd::greater(b, a), lower_right = simd::greater(d, c), down = simd::greater(lower, upper);
  simd::store_bits(bits, channel, (down & lower_right) | (~down & right & ((1u << simd::width) - 1)));
  simd::store_bits(bits + channels / 8, channel, down);
  simd::store_bits(bits + channels / 4, channel, simd::greater(most, simd::all(0)));
}

/// The windows of an image: dy (Hp, Wp, O) and their bits (Hp, Wp, 3, O / 8).
struct PooledGradient {
  Shape out;
  const float* dy;
  const std::uint8_t* bits;
  const float* gradient(int r, int q) const { return dy + (Index(r) * out.w + q) * out.c; }
  const std::uint8_t* planes(int r, int q) const { return bits + (Index(r) * out.w + q) * (window_planes * (out.c / 8)); }
};

/// 8 * width results of one output channel each, (width output channels, width numbers at stride `apart`), summed over the shares and turned: dw[i * out_c + o] += .
inline void add_turned(Index of_shares, const float* part, Index share_stride, Index apart, int numbers, float* dw, int out_c) {
  Floats r[simd::width];
  with_terms(of_shares, [&](auto terms) {
    for (int o = 0; o < simd::width; ++o) r[o] = tree_sum_of<terms()>([&](Index share) LAMINA_INLINE_LAMBDA { return simd::load(part + share * share_stride + o * apart); });
  });
  simd::transpose(r);
  for (int i = 0; i < numbers; ++i) simd::store(dw + Index(i) * out_c, simd::load(dw + Index(i) * out_c) + r[i]);
}

/// The backward pass of a 3x3 convolution with stride 1, ReLU and 2x2 pooling.
struct PooledConvBackward {
  Shape in, out;                             // out: pooled
  int before;                                // empty pixels above and to the left

  // Weights: a block of windows, its input copied together so that it stays in the first cache, `inputs` channels at a time; for each output channel the gradients of
  // 9 * inputs weights stay in registers over the windows of the block that are alive.
  static constexpr int vectors = simd::registers == 32 ? 2 : 1, inputs = vectors * simd::width;
  static constexpr int block_h = simd::width == 16 ? 4 : 8, block_w = 8, windows = block_h * block_w, row = 2 * block_w + 2;
  static constexpr int list = windows + simd::width;
  static constexpr Index copied = Index(2 * block_h + 2) * row * inputs;
  // Inputs: a strip of windows; for each window the channels of a slab are listed by the tap that won.
  static constexpr int slab = 9 * 64 * simd::width * int(sizeof(float)) < simd::first_cache ? 64 : 32, strip = 64;

  int strip_rows() const { return out.w >= strip ? 1 : strip / out.w; }
  Index weights() const { return Index(9) * in.c * out.c; }
  Index share_numbers() const { return room(weights()) + room(out.c); }
  Index live_numbers() const { return room(Index(out.c) * (2 * list + 1)); }
  Index lists_numbers() const { return room(Index(strip_rows()) * out.w * Index(sizeof(List)) / 4 + 1); }
  Index outside_numbers() const { return Index(in.w) * in.c; }
  Index worker_numbers() const { return room(copied) + live_numbers() + room(outside_numbers()) + lists_numbers(); }

  /// Per output channel the windows of a block that are alive: the gradient, and where in the copied input its maximum came from.
  struct Live {
    float* value;                            // (O, list)
    std::int32_t* place;                     // (O, list)
    std::int32_t* count;                     // (O)
    Live(float* memory, int out_c)
        : value(memory), place(reinterpret_cast<std::int32_t*>(memory + Index(out_c) * list)), count(place + Index(out_c) * list) {}
  };
  void find_live(const PooledGradient& g, int r0, int q0, int h, int w, const Live& live, float* db) const {
    struct { const float* gradient; const std::uint8_t* planes; std::int32_t place; } window[windows];
    for (int r = 0, n = 0; r < h; ++r)
      for (int q = 0; q < w; ++q, ++n) window[n] = {g.gradient(r0 + r, q0 + q), g.planes(r0 + r, q0 + q), (r * 2 * row + q * 2) * inputs};
    const int channels = out.c, plane = out.c / 8;
    for (int o = 0; o < channels; o += simd::width) {
      for (int l = 0; l < simd::width; ++l) live.count[o + l] = 0;
      Floats sum = simd::load(db + o);
      for (int n0 = 0; n0 < h * w; n0 += simd::width) {
        Floats value[simd::width], place[simd::width];
        for (int i = 0; i < simd::width; ++i) {
          value[i] = place[i] = Floats{};
          if (n0 + i >= h * w) continue;
          const auto& of = window[n0 + i];
          sum += value[i] = simd::keep(simd::load_bits(of.planes + 2 * plane, o), simd::load(of.gradient + o));
          place[i] = Floats(of.place + simd::select(simd::load_bits(of.planes, o), inputs) + simd::select(simd::load_bits(of.planes + plane, o), row * inputs));
        }
        simd::transpose(value);
        simd::transpose(place);
        for (int l = 0; l < simd::width; ++l) {
          const Mask m = simd::nonzero(value[l]);
          const Index at = Index(o + l) * list + live.count[o + l];
          simd::store(live.value + at, simd::compress(m, value[l]));
          simd::store(live.place + at, Ints(simd::compress(m, place[l])));
          live.count[o + l] += std::popcount(m);
        }
      }
      simd::store(db + o, sum);
    }
  }

  int rows_of(int r0) const { return std::min(out.h - r0, block_h); }
  int columns_of(int q0) const { return std::min(out.w - q0, block_w); }

  /// Rows of numbers that are brought into the second cache a few lines at a time.
  struct Ahead {
    const float* at;
    Index numbers, apart;                    // of a row; from row to row
    int rows;
    Index done = 0;
    void fetch(int lines) {
      for (; lines && rows; --lines) {
        __builtin_prefetch(at + done, 0, 2);
        if ((done += 16) >= numbers) done = 0, at += apart, --rows;
      }
    }
  };
  /// What a block of windows reads of the image, and of its gradients.
  Ahead inputs_of(const float* x, int r0, int q0) const {
    const int top = std::max(0, 2 * r0 - before), left = std::max(0, 2 * q0 - before);
    return {x + (Index(top) * in.w + left) * in.c, Index(std::min(2 * columns_of(q0) + 2, in.w - left)) * in.c, Index(in.w) * in.c, std::min(2 * rows_of(r0) + 2, in.h - top)};
  }
  Ahead gradients_of(const PooledGradient& g, int r0, int q0) const { return {g.gradient(r0, q0), Index(columns_of(q0)) * out.c, Index(out.w) * out.c, rows_of(r0)}; }

  /// dw (C / inputs, O, 9, inputs) += and db (O) += of one image x (H, W, C). Beside a block the next is fetched.
  void weight_gradient(const float* x, const PooledGradient& g, float* dw, float* db, float* memory) const {
    float* const part = memory;
    const Live live(memory + room(copied), out.c);
    for (int r0 = 0; r0 < out.h; r0 += block_h)
      for (int q0 = 0; q0 < out.w; q0 += block_w) {
        const int h = rows_of(r0), w = columns_of(q0);
        find_live(g, r0, q0, h, w, live, db);
        Ahead inputs_ahead{}, gradients_ahead{};
        if (q0 + block_w < out.w) inputs_ahead = inputs_of(x, r0, q0 + block_w), gradients_ahead = gradients_of(g, r0, q0 + block_w);
        else if (r0 + block_h < out.h) inputs_ahead = inputs_of(x, r0 + block_h, 0), gradients_ahead = gradients_of(g, r0 + block_h, 0);
        for (int c = 0; c < in.c; c += inputs) {
          for (int r = 0; r < 2 * h + 2; ++r) {
            const int y = 2 * r0 + r - before, left = 2 * q0 - before;
            const float* const from = y >= 0 && y < in.h ? x + (Index(y) * in.w + left) * in.c + c : nullptr;
            for (int q = 0; q < 2 * w + 2; ++q) {
              const bool inside = from && left + q >= 0 && left + q < in.w;
              for (int v = 0; v < vectors; ++v) simd::store(part + (r * row + q) * inputs + v * simd::width, inside ? simd::load(from + Index(q) * in.c + v * simd::width) : Floats{});
            }
          }
          for (int o = 0; o < out.c; ++o) {
            inputs_ahead.fetch(6), gradients_ahead.fetch(2);
            add_live(part, live.value + Index(o) * list, live.place + Index(o) * list, live.count[o], dw + (Index(c) * out.c + Index(o) * inputs) * 9);
          }
        }
      }
  }
  /// dw (9, inputs) += over the live windows of one output channel.
  static void add_live(const float* part, const float* value, const std::int32_t* place, int count, float* dw) {
    Floats sum[9][vectors];
#pragma GCC unroll 9
    for (int t = 0; t < 9; ++t)
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) sum[t][v] = simd::load(dw + t * inputs + v * simd::width), __builtin_prefetch(dw + (9 + t) * inputs + v * simd::width, 1);
    for (int i = 0; i < count; ++i) {
      const Floats g = simd::all(value[i]);
      const float* const at = simd::one_register(part + place[i]);
#pragma GCC unroll 9
      for (int t = 0; t < 9; ++t)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v) sum[t][v] += g * simd::load(at + (t / 3 * row + t % 3) * inputs + v * simd::width);
    }
#pragma GCC unroll 9
    for (int t = 0; t < 9; ++t)
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) simd::store(dw + t * inputs + v * simd::width, sum[t][v]);
  }
  /// dw (3, 3, C, O) += the sum over the shares.
  void add_weights(Cpu& dev, Index of_shares, const float* parts, float* dw) const {
    dev.run(in.c / inputs * Index(out.c / simd::width), [=, this](Index task, int) {
      const int c = int(task / (out.c / simd::width)) * inputs, o = int(task % (out.c / simd::width)) * simd::width;
      for (int t = 0; t < 9; ++t)
        for (int v = 0; v < vectors; ++v)
          add_turned(of_shares, parts + ((Index(c) * out.c + Index(o) * inputs) * 9 + t * inputs + v * simd::width), share_numbers(), 9 * inputs, simd::width,
                     dw + (Index(t) * in.c + c + v * simd::width) * out.c + o, out.c);
    });
  }

  /// The weights (3, 3, C, O) as (O / slab, C / width, slab, 9, width): a slab stays in the first cache.
  void turn_weights(Cpu& dev, const float* w, float* u) const {
    dev.run(in.c / simd::width * Index(out.c / simd::width), [=, this](Index task, int) {
      const int i = int(task / (out.c / simd::width)), o = int(task % (out.c / simd::width)) * simd::width;
      for (int t = 0; t < 9; ++t) {
        Floats r[simd::width];
        for (int c = 0; c < simd::width; ++c) r[c] = simd::load(w + (Index(t) * in.c + i * simd::width + c) * out.c + o);
        simd::transpose(r);
        for (int k = 0; k < simd::width; ++k) simd::store(u + turned(o + k, i) + t * simd::width, r[k]);
      }
    });
  }
  int slab_of(int o) const { return out.c - o < slab ? out.c - o : slab; }
  Index turned(int o, int i) const { return (Index(o / slab * slab) * in.c / simd::width + Index(i) * slab_of(o / slab * slab) + o % slab) * 9 * simd::width; }

  using Slab = std::conditional_t<slab == 64, std::uint64_t, std::uint32_t>;                 // a bit for each channel
  struct List { std::uint8_t end[4], channel[slab + slab]; };   // of the channels for which tap 0 won, then tap 1 ...
  LAMINA_INLINE static void find_channels(const std::uint8_t* planes, int first, int count, int channels, List& l) {
    const auto bits = [&](int plane) LAMINA_INLINE_LAMBDA -> std::uint64_t {
      const std::uint8_t* const from = planes + (plane * channels + first) / 8;
      if (count == slab) {
        Slab whole;
        std::memcpy(&whole, from, sizeof whole);
        return whole;
      }
      std::uint64_t part = 0;
      std::memcpy(&part, from, std::size_t(count / 8));
      return part;
    };
    const std::uint64_t low = bits(0), high = bits(1), live = bits(2);
    const std::uint64_t of_tap[4] = {live & ~high & ~low, live & ~high & low, live & high & ~low, live & high & low};
    int n = 0;
    alignas(64) [[maybe_unused]] static constexpr auto numbers = [] { std::array<std::uint8_t, 64> a{}; for (int i = 0; i < 64; ++i) a[std::size_t(i)] = std::uint8_t(i); return a; }();
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q) {
#if defined(LAMINA_AVX512) && defined(__AVX512VBMI2__)
      if constexpr (slab == 64) _mm512_storeu_si512(l.channel + n, _mm512_maskz_compress_epi8(of_tap[q], _mm512_load_si512(numbers.data())));
      else _mm256_storeu_si256(reinterpret_cast<__m256i*>(l.channel + n), _mm256_maskz_compress_epi8(Slab(of_tap[q]), _mm256_load_si256(reinterpret_cast<const __m256i*>(numbers.data()))));
      n += std::popcount(of_tap[q]);
#else
      for (std::uint64_t m = of_tap[q]; m; m &= m - 1) l.channel[n++] = std::uint8_t(std::countr_zero(m));
#endif
      l.end[q] = std::uint8_t(n);
    }
  }

  /// dx (H, W, C) = of one image.
  void input_gradient(const PooledGradient& g, const float* u, float* dx, float* memory) const {
    float* const outside = memory + room(copied) + live_numbers();              // a line, where sums of pixels beyond the border go
    List* const lists = reinterpret_cast<List*>(outside + room(outside_numbers()));
    const Index line = Index(in.w) * in.c;
    const auto clear = [&](int from, int to) { if (to > from) std::memset(dx + from * line, 0, std::size_t((to - from) * line) * sizeof(float)); };
    clear(0, in_registers ? std::max(0, 2 - before) : in.h);                    // else the first sum of a pixel is stored
    clear(2 * out.h + 2 - before, in.h);                                        // where no window reaches
    if (const int reach = 2 * out.w + 2 - before; reach < in.w)
      for (int y = 0; y < in.h; ++y) std::memset(dx + y * line + reach * in.c, 0, std::size_t(in.w - reach) * std::size_t(in.c) * sizeof(float));
    for (int r0 = 0; r0 < out.h; r0 += strip_rows()) {
      const int h = std::min(out.h - r0, strip_rows());
      for (int o = 0; o < out.c; o += slab) {
        for (int n = 0; n < h * out.w; ++n) {
          find_channels(g.planes(r0 + n / out.w, n % out.w), o, slab_of(o), out.c, lists[n]);
          for (int c = 0; c < slab_of(o); c += 16) __builtin_prefetch(g.gradient(r0 + n / out.w, n % out.w) + o + c);
        }
        for (int i = 0; i < in.c / simd::width; ++i)
          for (int r = 0; r < h; ++r) {
            float* rows[4];                                                     // that the windows see
            for (int k = 0; k < 4; ++k) {
              const int y = 2 * (r0 + r) - before + k;
              rows[k] = y >= 0 && y < in.h ? dx + y * line + i * simd::width : outside;
            }
            add_row(g.gradient(r0 + r, 0) + o, lists + r * out.w, u + turned(o, i), rows, outside, o == 0);
          }
      }
    }
  }
  /// What a row of windows gives to `width` channels of the four rows of pixels it sees: of each window the sums of 4x4 pixels are held in registers where there are
  /// enough, and its right half handed on to the next. Then the lower two rows are new if the slab is the first.
  static constexpr bool in_registers = simd::registers == 32;
  void add_row(const float* g, const List* l, const float* u, float* const (&rows)[4], float* outside, bool first) const {
    if constexpr (in_registers) {
      Floats a[4][4];
      const Index step = in.c, last = Index(in.w - 1) * step;
      const auto begin = [&](int right, Index left) LAMINA_INLINE_LAMBDA {               // sums of pixels beyond the border begin with anything
        const Index at[2] = {std::clamp(left, Index(0), last), std::clamp(left + step, Index(0), last)};
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) a[k / 2][right + k % 2] = simd::load(rows[k / 2] + at[k % 2]);
#pragma GCC unroll 4
        for (int k = 4; k < 8; ++k) a[k / 2][right + k % 2] = first ? Floats{} : simd::load(rows[k / 2] + at[k % 2]);
      };
      const auto end = [&](Index left) LAMINA_INLINE_LAMBDA {                            // and end there
#pragma GCC unroll 2
        for (int j = 0; j < 2; ++j, left += step)
          if (left >= 0 && left <= last)
#pragma GCC unroll 4
            for (int i = 0; i < 4; ++i) simd::store(rows[i] + left, a[i][j]);
      };
      Index left = -Index(before) * step;
      begin(0, left);
      for (const List* const stop = l + out.w; l < stop; ++l, g += out.c, left += 2 * step) {
        begin(2, left + 2 * step);
        const std::uint8_t* o = l->channel;
#pragma GCC unroll 4
        for (int tap = 0; tap < 4; ++tap)
          for (const std::uint8_t* const end_of_tap = l->channel + l->end[tap]; o < end_of_tap; ++o) {
            const Floats v = simd::all(g[*o]);
            const float* const of = simd::one_register(u + *o * 9 * simd::width);
#pragma GCC unroll 9
            for (int t = 0; t < 9; ++t) a[t / 3 + tap / 2][t % 3 + tap % 2] += v * simd::load(of + t * simd::width);
          }
        end(left);
#pragma GCC unroll 8
        for (int k = 0; k < 8; ++k) a[k / 2][k % 2] = a[k / 2][2 + k % 2];
      }
      end(left);
    } else {
      const auto pixel = [&](int i, int column) { return column >= 0 && column < in.w ? rows[i] + Index(column) * in.c : outside; };
      for (int q = 0; q < out.w; ++q, g += out.c, ++l) {
        const std::uint8_t* o = l->channel;
        for (int tap = 0; tap < 4; ++tap) {
          float* at[9];
          Floats a[9];
#pragma GCC unroll 9
          for (int t = 0; t < 9; ++t) at[t] = pixel(t / 3 + tap / 2, 2 * q - before + t % 3 + tap % 2), a[t] = simd::load(at[t]);
          for (const std::uint8_t* end = l->channel + l->end[tap]; o < end; ++o) {
            const Floats v = simd::all(g[*o]);
            const float* const of = simd::one_register(u + *o * 9 * simd::width);
#pragma GCC unroll 9
            for (int t = 0; t < 9; ++t) a[t] += v * simd::load(of + t * simd::width);
          }
#pragma GCC unroll 9
          for (int t = 0; t < 9; ++t) simd::store(at[t], a[t]);
        }
      }
    }
  }
};

}  // namespace lamina::detail
