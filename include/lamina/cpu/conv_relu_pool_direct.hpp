/// Way 6 of y = pool(relu(conv(x))): any kernel and stride in vectors. A band of rows of the convolution, as high as whole pools are, lies in the cache until it is pooled;
/// backwards an image's gradient is laid out in full, by one thread at a time.
#pragma once
#include "conv.hpp"
#include "pool.hpp"

namespace lamina {

namespace detail {
struct PooledDirect {
  ConvReluPool k;
  Shape in, mid;
  Direct conv{k.conv, in, mid};
  Shape out = k.pool.over(mid, mid.c);

  int band() const { return std::max(k.pool.stride, conv.rows() / k.pool.stride * k.pool.stride); }      // rows
  int bands() const { return (out.h * k.pool.stride + band() - 1) / band(); }
  Index lines() const { return room(std::max(conv.worker_numbers(), conv.lines(band()) * conv.line())); }
  Index worker_numbers() const { return lines() + room(size(mid)); }

  void forward(const float* x, const float* packed, const float* bias, int number, float* y, std::uint8_t* codes, float* memory) const {
    const int top = number * band(), first = top / k.pool.stride, last = std::min(out.h, first + band() / k.pool.stride);
    float* const full = memory + lines();
    const Clamp none;
    conv.forward(x, packed, bias, top, std::min(band(), mid.h - top), 0, mid.c, simd::all(float(none.low)), simd::all(float(none.high)), full, memory);
    for (int r = first; r < last; ++r)
      for (int q = 0; q < out.w; ++q) {
        const float* const from = full + (Index(r - first) * k.pool.stride * mid.w + Index(q) * k.pool.stride) * mid.c;
        const Index at = (Index(r) * out.w + q) * out.c;
        for (int c = 0; c < out.c; c += simd::width) {
          Winner<simd::Floats> winner(Floats{}, no_tap);
          for (int i = 0; i < k.pool.k; ++i)
            for (int j = 0; j < k.pool.k; ++j) winner.meet(simd::load(from + (Index(i) * mid.w + j) * mid.c + c), i * k.pool.k + j);
          simd::store(y + at + c, winner.best);
          if (codes) winner.put_tap(codes + at + c);
        }
      }
  }
  /// The gradient of the convolution's output (Ho, Wo, O): a window's lies where its maximum was.
  void spread(const float* dy, const std::uint8_t* codes, float* to) const {
    std::memset(to, 0, std::size_t(size(mid)) * sizeof(float));
    for (int r = 0; r < out.h; ++r)
      for (int q = 0; q < out.w; ++q) {
        const Index at = (Index(r) * out.w + q) * out.c;
        for (int tap = 0; tap < k.pool.k * k.pool.k; ++tap) {
          float* const pixel = to + (Index(r * k.pool.stride + tap / k.pool.k) * mid.w + q * k.pool.stride + tap % k.pool.k) * mid.c;
          for (int c = 0; c < out.c; c += simd::width) simd::store(pixel + c, where_won(codes + at + c, tap, simd::load(dy + at + c)));
        }
      }
  }
};
}  // namespace detail

inline Index conv_relu_pool_prepared(const Cpu& dev, Way<6>, float, ConvReluPool k, Shape in, Shape mid) { return conv_prepared(dev, Way<4>(), 0.0f, {k.conv, 1}, in, mid); }
inline void conv_relu_pool_prepare(Cpu& dev, Way<6>, ConvReluPool k, Shape in, Shape mid, const float* w, float* to) { conv_prepare(dev, Way<4>(), {k.conv, 1}, in, mid, w, to); }
inline void conv_relu_pool_forward(Cpu& dev, Way<6>, ConvReluPool k, Shape in, Shape mid, Shape out, Index n, const float* x, const float* ready, const float* b, float* y, std::uint8_t* codes) {
  const detail::PooledDirect d{k, in, mid};
  const Index bands = d.bands();
  dev.run(n * bands, [&](Index task, int worker) {
    const Index image = task / bands;
    d.forward(x + image * size(in), ready, b, int(task % bands), y + image * size(out), codes ? codes + image * size(out) : nullptr, detail::floats(dev.arena()) + worker * d.worker_numbers());
  });
}

inline Index conv_relu_pool_part(const Cpu& dev, Way<6>, float, ConvReluPool k, Shape in, Shape out) { return conv_part(dev, Way<4>(), 0.0f, {k.conv, 1}, in, k.conv.over(in, out.c)); }
inline Index conv_relu_pool_turned(const Cpu& dev, Way<6>, float, ConvReluPool k, Shape in, Shape out) { return conv_turned(dev, Way<4>(), 0.0f, {k.conv, 1}, in, k.conv.over(in, out.c)); }
inline void conv_relu_pool_turn(Cpu& dev, Way<6>, ConvReluPool k, Shape in, Shape out, const float* w, float* to) { conv_turn(dev, Way<4>(), {k.conv, 1}, in, k.conv.over(in, out.c), w, to); }
inline void conv_relu_pool_gather(Cpu& dev, Way<6>, ConvReluPool k, Shape in, Shape out, Index n, const float* x,
                                  const float* turned,                         // as conv_relu_pool_turn left them
                                  const std::uint8_t* codes, const float* dy, float* dx, float* part) {
  const detail::PooledDirect d{k, in, k.conv.over(in, out.c)};
  float *const memory = detail::floats(dev.arena()), *const full = memory + d.lines();
  for (Index i = 0; i < n; ++i) {
    d.spread(dy + i * size(out), codes + i * size(out), full);
    d.conv.gather(x + i * size(in), turned, full, dx ? dx + i * size(in) : nullptr, part, memory);
  }
}
inline void conv_relu_pool_finish(Cpu& dev, Way<6>, ConvReluPool k, Shape in, Shape out, const float* parts, float* dw, float* db) {
  conv_finish(dev, Way<4>(), {k.conv, 1}, in, k.conv.over(in, out.c), parts, dw, db);
}
inline Index conv_relu_pool_arena(const Cpu& dev, Way<6>, float, ConvReluPool k, Shape in, Shape mid, Index) {
  return dev.threads() * detail::PooledDirect{k, in, mid}.worker_numbers() * Index(sizeof(float));
}

}  // namespace lamina
