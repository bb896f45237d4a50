/// The check that every layer gets in one line: check_layer<Conv<8, 3>>({7, 5, 3}). In double, for batches of 1 and of 3, on any device:
/// - the gradient of sum(dy * y), dy random, against central differences, for x, z and every parameter (200 numbers of each tensor);
/// - dw is added to, y and dx are written in full, nothing is written beyond them, nor into the room between parameters;
/// - backward lives on what the layer asked to keep; the rest is null, and its memory no longer what it was;
/// - without dx the same dw; in inference, with no memory for codes and the like, the same y; elementwise layers in place, the same bits.
#pragma once
#include <doctest/doctest.h>
#include <lamina/cpu/cpu.hpp>
#include <lamina/nn/fuse.hpp>

#include <cmath>
#include <limits>
#include <vector>

namespace lamina_test {

using lamina::Index;
using lamina::Shape;
using Numbers = std::vector<double>;

struct LayerCheck {
  double scale = 1.5;             // x is uniform in -scale ... scale
  bool training_differs = false;  // the layer does something else in inference
};

namespace detail {
inline constexpr double nan = std::numeric_limits<double>::quiet_NaN();

inline Numbers uniform(Index count, double from, double to, std::uint32_t number) {
  const lamina::Random random(1, lamina::Stream::test, number);
  Numbers v(std::size_t(count), 0.0);
  for (Index i = 0; i < count; ++i) v[std::size_t(i)] = random.uniform(i, from, to);
  return v;
}

/// A tensor in the memory of a device, with numbers on either side that nobody may touch.
template <class D, class T> class Guarded {
  static constexpr Index guard = 128;

 public:
  Guarded(D& dev, Index count) : dev_(&dev), count_(count), buffer_(dev, count + 2 * guard), host_(std::size_t(count + 2 * guard), T(77)) {}
  T* data() const { return count_ ? buffer_.data() + guard : nullptr; }
  void fill(T v) { set(std::vector<T>(std::size_t(count_), v)); }
  void set(const std::vector<T>& v) {
    std::copy(v.begin(), v.end(), host_.begin() + guard);
    dev_->upload(buffer_.data(), host_.data(), buffer_.bytes());
  }
  std::vector<T> get() {
    dev_->download(host_.data(), buffer_.data(), buffer_.bytes());
    for (Index i = 0; i < guard; ++i)
      if (host_[std::size_t(i)] != T(77) || host_[std::size_t(guard + count_ + i)] != T(77)) {
        FAIL_CHECK("written beyond a tensor");
        break;
      }
    return {host_.begin() + guard, host_.end() - guard};
  }

 private:
  D* dev_;
  Index count_;
  lamina::Buffer<D, T> buffer_;
  std::vector<T> host_;
};

/// The places in the block of parameters that hold one: of a layer, or of the parts of a fused one.
template <class L> std::vector<Index> learned(Shape in, Index at);
template <class... Ls> std::vector<Index> learned_of_parts(Shape in, Index at, const lamina::Chain<Ls...>*) {
  std::vector<Index> all;
  const auto add = [&](const std::vector<Index>& places, Index room, Shape out) { all.insert(all.end(), places.begin(), places.end()), at += room, in = out; };
  (add(learned<Ls>(in, at), lamina::places<Ls>(in).parameters, Ls::out(in)), ...);
  return all;
}
template <class L> std::vector<Index> learned(Shape in, Index at) {
  std::vector<Index> places;
  if constexpr (requires { L::parameters(in); }) {
    const lamina::Tensors t = L::parameters(in);
    for (Index i = 0; i < t.first.count(); ++i) places.push_back(at + i);
    for (Index i = 0; i < t.second.count(); ++i) places.push_back(at + lamina::room(t.first.count()) + i);
  } else if constexpr (requires { L::places(in); }) {
    places = learned_of_parts(in, at, static_cast<const L*>(nullptr));
  }
  return places;
}

template <class L, class D, int... W> lamina::Functions<D, double> functions_of_way(int way, std::integer_sequence<int, W...>) {
  const lamina::Functions<D, double> all[] = {lamina::detail::functions<L, D, double, lamina::detail::Purpose::training, W>()...};
  return all[way];
}
/// A layer with the functions for its shape.
template <class L, class D> lamina::OpOn<D, double> op_on(Shape in) {
  auto op = lamina::detail::op_on<D, double, L>();
  lamina::Functions<D, double>& f = op;
  if constexpr (lamina::detail::HasWays<L, D, double>) f = functions_of_way<L, D>(op.way(in), std::make_integer_sequence<int, L::template ways<D, double>>());
  else f = functions_of_way<L, D>(0, std::integer_sequence<int, 0>());
  return op;
}

/// A layer as a value, with memory for one batch.
template <class D> struct LayerOnTrial {
  D dev;
  lamina::OpOn<D, double> op;
  std::vector<Index> learned;
  Shape in, out;
  Index n;
  lamina::Needs need;
  bool adds, apart;
  Index xs, ys, ws, states;
  Guarded<D, double> x, y, z, dy, dx, dz, w, dw, state, saved, statistics, scratch;
  Guarded<D, std::uint8_t> codes;
  lamina::Buffer<D, std::uint32_t> clock;
  Numbers x0, z0, dy0, w0, dw0, state0;

  LayerOnTrial(D device, const lamina::OpOn<D, double>& o, std::vector<Index> places, Shape shape, Index batch, double scale)
      : dev(device), op(o), learned(std::move(places)), in(shape), out(op.out(in)), n(batch), need(op.needs(in)), adds(op.role == lamina::Role::add), apart(need.apart),
        xs(n * size(in)), ys(n * size(out)), ws(op.places(in).parameters), states(op.places(in).state), x(dev, xs), y(dev, ys), z(dev, adds ? xs : 0), dy(dev, ys), dx(dev, xs), dz(dev, apart ? xs : 0),
        w(dev, ws), dw(dev, ws), state(dev, states), saved(dev, n * need.saved), statistics(dev, need.statistics), scratch(dev, n * need.scratch), codes(dev, n * need.codes),
        clock(dev, 1), x0(uniform(xs, -scale, scale, 1)), z0(uniform(adds ? xs : 0, -scale, scale, 2)), dy0(uniform(ys, -1, 1, 3)), w0(std::size_t(ws), nan),
        dw0(uniform(ws, -1, 1, 4)), state0(uniform(states, 0.5, 1.5, 5)) {
    const Numbers values = uniform(Index(learned.size()), -1, 1, 6);
    for (std::size_t i = 0; i < learned.size(); ++i) w0[std::size_t(learned[i])] = values[i];
    const std::uint32_t step = 5;
    dev.upload(clock.data(), &step, sizeof step);
    if (op.arena) dev.reserve(std::size_t(op.arena(dev, in, n)));
  }

  lamina::Step<double> step(bool training) const {
    return {.in = in, .out = out, .n = n, .first = 2, .training = training, .random = {1, lamina::Stream::dropout, 3}, .clock = clock.data(), .w = w.data(), .dw = dw.data(),
            .state = state.data(), .x = x.data(), .y = y.data(), .dy = dy.data(), .dx = dx.data(), .z = z.data(), .dz = apart ? dz.data() : nullptr, .saved = training ? saved.data() : nullptr,
            .codes = training ? codes.data() : nullptr, .statistics = statistics.data(), .scratch = scratch.data()};
  }
  void prepare() {
    x.set(x0), z.set(z0), w.set(w0), dw.set(dw0), dy.set(dy0), state.set(state0);
    y.fill(nan), dx.fill(nan), dz.fill(nan), saved.fill(nan), statistics.fill(nan), scratch.fill(nan), codes.fill(99);
  }
  Numbers forward(bool training) {
    prepare();
    op.forward(dev, step(training));
    return y.get();
  }
  /// sum(dy * y)
  double value() {
    op.forward(dev, step(true));
    const Numbers out_now = y.get();
    double sum = 0;
    for (Index i = 0; i < ys; ++i) sum += dy0[std::size_t(i)] * out_now[std::size_t(i)];
    return sum;
  }
  /// d value / d tensor[place]
  double difference(Guarded<D, double>& tensor, Numbers values, Index place) {
    constexpr double eps = 1e-6;
    const double v = values[std::size_t(place)];
    values[std::size_t(place)] = v + eps, tensor.set(values);
    const double up = value();
    values[std::size_t(place)] = v - eps, tensor.set(values);
    const double down = value();
    values[std::size_t(place)] = v, tensor.set(values);
    return (up - down) / (2 * eps);
  }
  /// The largest error over the places, as a share of what is allowed.
  double worst(Guarded<D, double>& tensor, const Numbers& values, const std::vector<Index>& places, const Numbers& gradient, const Numbers& before) {
    double most = 0;
    const std::size_t stride = places.size() / 200 + 1;
    for (std::size_t i = 0; i < places.size(); i += stride) {
      const std::size_t at = std::size_t(places[i]);
      const double found = gradient[at] - (before.empty() ? 0 : before[at]), expected = difference(tensor, values, places[i]);
      const double error = std::abs(found - expected) / (1e-5 + 1e-4 * std::abs(expected));
      most = error <= most ? most : error;   // a NaN is an error
    }
    return most;
  }
};

template <class D> void check(LayerOnTrial<D>& t, const LayerCheck& options) {
  using lamina::Keep, lamina::keeps;
  const auto finite = [](const Numbers& v) { for (double a : v) if (!std::isfinite(a)) return false; return true; };
  const bool keeps_x = keeps(t.need.keep, Keep::input), keeps_y = keeps(t.need.keep, Keep::output);

  const Numbers y = t.forward(true);
  CHECK_MESSAGE(finite(y), "y is written in full");
  auto s = t.step(true);
  s.z = nullptr;
  if (!keeps_x) s.x = nullptr, t.x.fill(nan);
  if (!keeps_y) s.y = nullptr, t.y.fill(nan);
  t.z.fill(nan);
  REQUIRE(bool(t.op.backward));
  t.op.backward(t.dev, s);
  const Numbers dx = t.dx.get(), dz = t.dz.get(), dw = t.dw.get();
  CHECK_MESSAGE((finite(dx) && finite(dz)), "dx is written in full");
  std::vector<bool> is_learned(dw.size());
  for (Index place : t.learned) is_learned[std::size_t(place)] = true;
  for (std::size_t i = 0; i < dw.size(); ++i)
    if (!is_learned[i] && dw[i] != t.dw0[i]) { FAIL_CHECK("the room between parameters is written to"); break; }
  CHECK_MESSAGE(t.dy.get() == t.dy0, "backward leaves dy alone");
  const Numbers w = t.w.get();
  for (Index place : t.learned) if (w[std::size_t(place)] != t.w0[std::size_t(place)]) { FAIL_CHECK("w is written to"); break; }

  if (!t.learned.empty()) {
    t.dw.set(t.dw0);
    s.dx = nullptr;
    t.op.backward(t.dev, s);
    CHECK_MESSAGE(t.dw.get() == dw, "the same dw without dx");
    s.dx = t.dx.data();
  }
  if (t.need.elementwise) {
    s.dx = t.dy.data(), t.dw.set(t.dw0);
    t.op.backward(t.dev, s);
    CHECK_MESSAGE(t.dy.get() == dx, "the same dx in the place of dy");
    if (t.apart) {
      t.dy.set(t.dy0), t.dw.set(t.dw0), s.dz = t.dy.data(), s.dx = t.dx.data();
      t.op.backward(t.dev, s);
      CHECK_MESSAGE((t.dy.get() == dz && t.dx.get() == dx && t.dw.get() == dw), "the same dz in the place of dy");
    }
    for (bool training : {true, false}) {
      const Numbers apart = t.forward(training);
      if (training && keeps_x) continue;
      for (auto* place : {&t.x, &t.z}) {
        if (!place->data()) continue;
        t.prepare();
        auto in_place = t.step(training);
        in_place.y = place->data();
        t.op.forward(t.dev, in_place);
        CHECK_MESSAGE(place->get() == apart, "the same y in the place of x or z");
      }
    }
  }
  const Numbers inferred = t.forward(false);
  CHECK_MESSAGE(finite(inferred), "y is written in full in inference");
  if (!options.training_differs) CHECK_MESSAGE(inferred == y, "inference and training give the same y");

  t.prepare();
  std::vector<Index> all(dx.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = Index(i);
  CHECK_MESSAGE(t.worst(t.x, t.x0, all, dx, {}) <= 1, "dx is the gradient");
  if (t.adds) CHECK_MESSAGE(t.worst(t.z, t.z0, all, t.apart ? dz : dx, {}) <= 1, "the gradient of z");
  CHECK_MESSAGE(t.worst(t.w, t.w0, t.learned, dw, t.dw0) <= 1, "dw is the gradient, added");
  for (auto* tensor : {&t.x, &t.z, &t.y, &t.dx, &t.dz, &t.state, &t.saved, &t.statistics, &t.scratch}) tensor->get();
  t.codes.get();
}
}  // namespace detail

template <class L, class D = lamina::Cpu> void check_layer(Shape in, LayerCheck options = {}, D dev = D()) {
  INFO(lamina::name<L>().s << " on " << lamina::text(in).s);
  REQUIRE(lamina::accepts<L>(in) == in);
  for (Index n : {1, 3}) {
    INFO("batch of " << n);
    detail::LayerOnTrial<D> trial(dev, detail::op_on<L, D>(in), detail::learned<L>(in, 0), in, n, options.scale);
    detail::check(trial, options);
  }
}

}  // namespace lamina_test
