// Lesson 2: a layer of one's own. A layer that maps every number by itself is f and its derivative; any other layer says its shapes and its two passes.
#include <cstdio>
#include <vector>

#include <lamina/lamina.hpp>

// y = x^2 if x > 0, else 0: So et al. 2021, "Primer". Its derivative is a function of the input, so the input is kept.
struct SquaredReLU : lamina::Pointwise<SquaredReLU, lamina::Keep::input> {
  template <class T> LAMINA_HD static T f(T x) { return x > T(0) ? x * x : T(0); }
  template <class T> LAMINA_HD static T df(T x) { return x > T(0) ? 2 * x : T(0); }
};

// A functor that a device runs for every i: y[i] = factor[channel] * x[i].
template <class T> struct ScaleOf {
  const T *x, *factor; T* y; lamina::Index c;                                       // (N, H, W, C), (C), (N, H, W, C)
  LAMINA_HD void operator()(lamina::Index i) const { y[i] = factor[i % c] * x[i]; }
};
template <class T> struct ScaleGradient {
  const T *x, *dy; T* dfactor; lamina::Index pixels, c;                             // (N, H, W, C) both, (C)
  LAMINA_HD void operator()(lamina::Index k) const { for (lamina::Index p = 0; p < pixels; ++p) dfactor[k] += x[p * c + k] * dy[p * c + k]; }
};

// One learned factor for each channel.
struct ChannelScale {
  static constexpr lamina::Shape out(lamina::Shape in) { return in; }
  static constexpr lamina::Tensors parameters(lamina::Shape in) { return {"factor", lamina::Dims(in.c)}; }
  static constexpr lamina::Needs needs(lamina::Shape in) { return {.flops = size(in), .keep = lamina::Keep::input}; }
  static void init(lamina::Shape in, const lamina::Initializer&, float* w, float*) { for (int c = 0; c < in.c; ++c) w[c] = 1; }
  template <class D, class T> static void forward(D& device, const lamina::Step<T>& s) {
    parallel_for(device, s.n * size(s.in), ScaleOf<T>{s.x, s.w, s.y, s.in.c});
  }
  template <class D, class T> static void backward(D& device, const lamina::Step<T>& s) {
    parallel_for(device, s.in.c, ScaleGradient<T>{s.x, s.dy, s.dw, s.n * s.in.h * s.in.w, s.in.c});
    if (s.dx) parallel_for(device, s.n * size(s.in), ScaleOf<T>{s.dy, s.w, s.dx, s.in.c});
  }
};

struct Net : lamina::Network<lamina::Input<8, 8, 3>, lamina::Conv<6, 3>, ChannelScale, SquaredReLU, lamina::GlobalAvgPool, lamina::Dense<2>> {};

int main() {
  std::fputs(lamina::summary<Net>().c_str(), stdout);

  lamina::Model<Net, lamina::Cpu> model({.batch = 2, .seed = 1});
  const std::vector<float> x(2 * size(Net::input), 0.5f);                           // two pictures
  const std::int32_t label[] = {0, 1};
  model.backpropagate({.n = 2, .x = x.data(), .label = label});
  std::printf("losses %.4f %.4f\n", double(model.losses()[0]), double(model.losses()[1]));
}
