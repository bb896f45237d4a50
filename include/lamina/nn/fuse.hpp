/// Fusion: neighbours that a device has one kernel for become one step. `Fused<A, B, C>` is a layer that does the work of A, B and C; a new rule is a
/// new specialisation. Its parameters are those of its parts, one after another, so a checkpoint does not know what was fused.
#pragma once
#include <algorithm>

#include "../core/device.hpp"
#include "batch_norm.hpp"
#include "conv.hpp"
#include "dense.hpp"
#include "pointwise.hpp"
#include "pool.hpp"
#include "residual.hpp"
#include "trace.hpp"

namespace lamina {

template <class... Ls> struct Fused;   // no rule

namespace detail {
template <class B> concept IsNorm = requires { requires std::same_as<std::remove_const_t<decltype(B::spec)>, NormSpec>; };
}

/// What neighbours are together: their last shape; their places, statistics and flops on top of what is new.
template <class... Ls> struct Chain {
  static constexpr Shape out(Shape in) {
    ((in = Ls::out(in)), ...);
    return in;
  }
  static constexpr Places places(Shape in) {
    Places sum;
    ((sum.parameters += lamina::places<Ls>(in).parameters, sum.state += lamina::places<Ls>(in).state, in = Ls::out(in)), ...);
    return sum;
  }
  static constexpr Needs needs(Shape in, Needs sum) {
    ((sum.statistics += Ls::needs(in).statistics, sum.flops += Ls::needs(in).flops, in = Ls::out(in)), ...);
    return sum;
  }
};

/// y = pool(relu(conv(x))). The full-size activation never reaches memory: codes say which tap won, 255 if none was positive.
template <auto... C, auto... P> struct Fused<Conv<C...>, ReLU, MaxPool<P...>> : Chain<Conv<C...>, ReLU, MaxPool<P...>> {
  using conv = Conv<C...>;
  static constexpr bool gradients_by_verbs = true;
  static constexpr ConvReluPool kernel{conv::window, MaxPool<P...>::window, conv::groups({}), conv::channels({})};
  static constexpr Shape accepts(Shape in) { return conv::accepts(in); }
  static constexpr Needs needs(Shape in) { return Fused::Chain::needs(in, {.keep = Keep::input, .codes = size(Fused::out(in))}); }
  template <class D, class T> static constexpr int ways = detail::ways<D, T, ConvReluPool>();
  template <class D, class T> static constexpr int way(Shape in) { return detail::way<D, T>(kernel, in, conv::out(in)); }
  /// Numbers of the weights that forward reads: made ready for the device, or as they are.
  template <class D, class T, int W> static Index ready(const D& dev, Shape in) {
    if constexpr (requires { conv_relu_pool_prepared(dev, Way<W>(), T(), kernel, in, in); }) return conv_relu_pool_prepared(dev, Way<W>(), T(), kernel, in, conv::out(in));
    else return conv::weights(in);
  }
  template <class D, class T, int W = 0> requires (D::template fuses<T>(kernel)) static void forward(D& dev, const Step<T>& s) {
    conv_relu_pool_forward(dev, Way<W>(), kernel, s.in, conv::out(s.in), s.out, s.n, s.x, s.weights(), conv::bias(s.w, ready<D, T, W>(dev, s.in)), s.y, s.codes);
  }
  template <class D, class T, int W> static Index prepared(const D& dev, Shape in) { return room(ready<D, T, W>(dev, in)) + room(conv::out(in).c); }
  template <class D, class T, int W> requires requires(D& dev, T* w) { conv_relu_pool_prepare(dev, Way<W>(), kernel, Shape(), Shape(), w, w); }
  static void prepare(D& dev, Shape in, const T* w, const T*, T* to) {
    conv_relu_pool_prepare(dev, Way<W>(), kernel, in, conv::out(in), w, to);
    if (const T* b = conv::bias(w, in)) std::copy_n(b, conv::out(in).c, conv::bias(to, ready<D, T, W>(dev, in)));
  }

  template <class D, class T, int W = 0>
  requires requires(D& dev, T* p, Master<T>* dw, std::uint8_t* codes) { conv_relu_pool_backward(dev, Way<W>(), kernel, Shape(), Shape(), Shape(), 1, p, p, codes, p, p, dw, dw); }
  static void backward(D& dev, const Step<T>& s) {
    conv_relu_pool_backward(dev, Way<W>(), kernel, s.in, conv::out(s.in), s.out, s.n, s.x, s.weights(), s.codes, s.dy, s.dx, s.dw, s.dw ? conv::bias(s.dw, s.in) : nullptr);
  }
  template <class D, class T, int W>
  requires requires(D& dev, T* p, std::uint8_t* codes) { conv_relu_pool_gather(dev, Way<W>(), kernel, Shape(), Shape(), 1, p, p, codes, p, p, p); }
  static void gather(D& dev, const Step<T>& s, T* part) {
    conv_relu_pool_gather(dev, Way<W>(), kernel, s.in, s.out, s.n, s.x, s.w, s.codes, s.dy, s.dx, part);
  }
  template <class D, class T, int W> static Index part(const D& dev, Shape in) { return conv_relu_pool_part(dev, Way<W>(), T(), kernel, in, Fused::out(in)); }
  template <class D, class T, int W> static void finish(D& dev, const Step<T>& s, const T* parts) {
    conv_relu_pool_finish(dev, Way<W>(), kernel, s.in, s.out, parts, s.dw, conv::bias(s.dw, s.in));
  }
  template <class D, class T, int W>
  requires requires(D& dev, T* w) { conv_relu_pool_turn(dev, Way<W>(), kernel, Shape(), Shape(), w, w); }
  static void turn(D& dev, Shape in, const T* w, T* to) { conv_relu_pool_turn(dev, Way<W>(), kernel, in, Fused::out(in), w, to); }
  template <class D, class T, int W> static Index turned(const D& dev, Shape in) { return conv_relu_pool_turned(dev, Way<W>(), T(), kernel, in, Fused::out(in)); }
  template <class D, class T, int W = 0> static Index arena(const D& dev, Shape in, Index n) { return conv_relu_pool_arena(dev, Way<W>(), T(), kernel, in, conv::out(in), n); }
  template <class D, class T, int W> requires requires(const D& dev) { conv_relu_pool_forward_arena(dev, Way<W>(), T(), kernel, Shape(), Shape(), 1); }
  static Index forward_arena(const D& dev, Shape in, Index n) { return conv_relu_pool_forward_arena(dev, Way<W>(), T(), kernel, in, conv::out(in), n); }
};

/// y = relu(x w + b).
template <int Out, bool Bias> struct Fused<Dense<Out, Bias>, ReLU> : Chain<Dense<Out, Bias>, ReLU> {
  using dense = Dense<Out, Bias>;
  static constexpr bool gradients_by_verbs = true;
  static constexpr DenseStep dense_step{Out, true};
  static constexpr Shape accepts(Shape in) { return dense::accepts(in); }
  static constexpr Needs needs(Shape in) { return Fused::Chain::needs(in, {.keep = Keep::both}); }
  template <class D, class T> static constexpr int ways = dense::template ways<D, T>;
  template <class D, class T> static constexpr int way(Shape in) { return dense::template way<D, T>(in); }
  template <class D, class T, int W = 0> requires (D::template fuses<T>(DenseRelu{})) static void forward(D& dev, const Step<T>& s) {
    dense_forward(dev, Way<W>(), s.n, s.in.c, Out, s.x, s.weights(), dense::bias(s.w, s.in), s.y, ReLU::clamp);
  }
  template <class D, class T, int W = 0> static void backward(D& dev, const Step<T>& s) {
    dense_backward(dev, Way<W>(), s.n, s.in.c, Out, s.x, s.weights(), s.dy, s.dx, s.dw, s.dw ? dense::bias(s.dw, s.in) : nullptr, s.y);
  }
  template <class D, class T, int W = 0> static Index arena(const D& dev, Shape in, Index n) { return dense::template arena<D, T, W>(dev, in, n); }
};

/// y = relu(norm(x)), or ReLU6 of it. What it was before is told from x again.
template <detail::IsNorm B, Clamping A> struct Fused<B, A> : Chain<B, A>, detail::Measured<B> {
  static constexpr bool gradients_by_verbs = true;
  static constexpr Needs needs(Shape in) { return Fused::Chain::needs(in, {.keep = Keep::input, .elementwise = true}); }
  template <class D, class T> requires (D::template fuses<T>(NormClamp{})) static void forward(D& dev, const Step<T>& s) {
    batch_norm_clamp_forward(dev, B::spec, A::clamp, s.n, Index(s.in.h) * s.in.w, s.in.c, s.x, s.w, s.state, s.statistics, s.y, detail::norm_by(s));
  }
  template <class D, class T> static void backward(D& dev, const Step<T>& s) {
    batch_norm_clamp_backward(dev, A::clamp, s.n, Index(s.in.h) * s.in.w, s.in.c, s.x, s.w, s.statistics, s.dy, s.dx, s.dw);
  }
  template <class D, class T> static Index arena(const D& dev, Shape in, Index n) { return batch_norm_arena(dev, T(), n, Index(in.h) * in.w, in.c); }
};

/// y = pool(relu(norm(x))), without the full-size activation; the codes are as above.
template <detail::IsNorm B, auto... P> struct Fused<B, ReLU, MaxPool<P...>> : Chain<B, ReLU, MaxPool<P...>>, detail::Measured<B> {
  static constexpr NormReluPool kernel{MaxPool<P...>::window};
  static constexpr bool gradients_by_verbs = true;
  static constexpr Shape accepts(Shape in) { return MaxPool<P...>::accepts(in); }
  static constexpr Needs needs(Shape in) { return Fused::Chain::needs(in, {.keep = Keep::input, .codes = size(Fused::out(in))}); }
  template <class D, class T> requires (D::template fuses<T>(kernel)) static void forward(D& dev, const Step<T>& s) {
    batch_norm_relu_pool_forward(dev, B::spec, kernel, s.in, s.out, s.n, s.x, s.w, s.state, s.statistics, s.y, s.codes, detail::norm_by(s));
  }
  template <class D, class T> static void backward(D& dev, const Step<T>& s) {
    batch_norm_relu_pool_backward(dev, kernel, s.in, s.out, s.n, s.x, s.w, s.statistics, s.codes, s.dy, s.dx, s.dw);
  }
  template <class D, class T> static Index arena(const D& dev, Shape in, Index n) { return batch_norm_relu_pool_arena(dev, T(), in, n); }
};

namespace detail {
struct PlusRelu { template <class T> LAMINA_HD static T f(T x, T z) { return ReLU::f(x + z); } };
}  // namespace detail

/// y = relu(x + z); one gradient dx for both branches. Needs no kernel but parallel_for.
template <> struct Fused<Add, ReLU> : Chain<Add, ReLU> {
  static constexpr Role role = Role::add;
  static constexpr Needs needs(Shape in) { return Chain::needs(in, {.keep = Keep::output, .elementwise = true}); }
  template <class D, class T> requires (D::template fuses<T>(AddRelu{})) static void forward(D& dev, const Step<T>& s) {
    parallel_for(dev, s.n * size(s.in), detail::Elementwise<detail::PlusRelu, T, 2>{{s.x, s.z}, s.y});
  }
  template <class D, class T> static void backward(D& dev, const Step<T>& s) { parallel_for(dev, s.n * size(s.in), detail::MapGradient<ReLU, T>{{s.y, s.dy}, s.dx}); }
};

/// y = relu(norm(x) + z). The gradient of z is that of the ReLU.
template <detail::IsNorm B> struct Fused<B, Add, ReLU> : Chain<B, Add, ReLU> {
  static constexpr Role role = Role::add;
  static constexpr bool gradients_by_verbs = true;
  static constexpr Needs needs(Shape in) { return Fused::Chain::needs(in, {.keep = Keep::both, .elementwise = true, .apart = true}); }
  template <class D, class T> requires (D::template fuses<T>(NormAddRelu{})) static void forward(D& dev, const Step<T>& s) {
    batch_norm_add_relu_forward(dev, B::spec, s.n, Index(s.in.h) * s.in.w, s.in.c, s.x, s.z, s.w, s.state, s.statistics, s.y, detail::norm_by(s));
  }
  template <class D, class T> static void backward(D& dev, const Step<T>& s) {
    batch_norm_add_relu_backward(dev, s.n, Index(s.in.h) * s.in.w, s.in.c, s.x, s.w, s.statistics, s.y, s.dy, s.dz, s.dx, s.dw);
  }
  template <class D, class T> static Index arena(const D& dev, Shape in, Index n) { return batch_norm_arena(dev, T(), n, Index(in.h) * in.w, in.c); }
};

/// The functions that run a layer on a device; null where there is nothing to do.
template <class D, class T> struct Functions {
  void (*forward)(D&, const Step<T>&) = nullptr;
  void (*backward)(D&, const Step<T>&) = nullptr;
  void (*learn)(D&, const Step<T>&, const Learner<Master<T>>&, Master<T>*, Index) = nullptr;
  void (*learn_together)(D&, const Step<T>&, const Learner<Master<T>>&, Master<T>*, Index) = nullptr;
  Index (*arena)(const D&, Shape, Index) = nullptr;
  // If its parameters are made of those of several layers, on the host and for inference: how many numbers they are then, and how they are made from (w, state). They are its w.
  Index (*folded)(Shape) = nullptr;
  void (*fold)(Shape, const Master<T>*, const Master<T>*, Master<T>*) = nullptr;
  // If forward wants its weights made ready: how many numbers those are, and how they are made from (w, state). They are its w.
  Index (*prepared)(const D&, Shape) = nullptr;
  void (*prepare)(D&, Shape, const Master<T>*, const Master<T>*, T*) = nullptr;
  DenseStep updates;                         // what the device may update the weights of, with their gradients at hand, when all of backward is over
  bool halves = false;                       // backward may be given no dw, as it may be given no dx, and then does the other half of its work alone
  // Instead of backward: a share of the batch adds its gradients to a part of so many numbers, a few samples at a time on one thread; in the end dw += the sum of the
  // parts. Its w are turned before, if there is a function for it.
  bool gathers = false;                      // g++ with UBSan takes no function pointer compared with null for a constant
  Index (*part)(const D&, Shape) = nullptr;
  void (*gather)(D&, const Step<T>&, T*) = nullptr;
  void (*finish)(D&, const Step<T>&, const T*) = nullptr;
  Index (*turned)(const D&, Shape) = nullptr;
  void (*turn)(D&, Shape, const T*, T*) = nullptr;
  // In training, before forward: a few samples at a time leave so many numbers each in parts, from which the step's statistics are made when all have.
  bool settles = false;
  Index (*parts)(const D&, Shape) = nullptr;
  void (*measure)(D&, const Step<T>&, T*) = nullptr;
  void (*settle)(D&, const Step<T>&, const T*) = nullptr;
};
/// A layer as a value on a device. Where the device has several ways to run it, `way` tells which of them its shape gets.
template <class D, class T> struct OpOn : Op, Functions<D, T> {
  bool several = false;                      // for g++ with UBSan, as above
  bool gradients_by_verbs = false;
  int (*way)(Shape) = nullptr;
};

namespace detail {
struct End {};

/// What a table is for: for inference it has no use for the way back.
enum class Purpose { training, inference };

template <class L, class D, class T> concept HasWays = requires { L::template way<D, T>(Shape()); };

/// What they ask of a layer is a call, and not its address: of a function whose address was asked for where it is not evaluated nvcc 13 makes no kernels.
template <class L, class D, class T, Purpose purpose, int W> constexpr Functions<D, T> functions_of_way() {
  using M = Master<T>;
  Functions<D, T> f;
  if constexpr (requires(D& d, const Step<T>& s) { L::template forward<D, T, W>(d, s); }) f.forward = &L::template forward<D, T, W>;
  if constexpr (purpose == Purpose::inference && requires(const D& d) { L::template forward_arena<D, T, W>(d, Shape(), 1); }) f.arena = &L::template forward_arena<D, T, W>;
  else if constexpr (requires(const D& d) { L::template arena<D, T, W>(d, Shape(), 1); }) f.arena = &L::template arena<D, T, W>;
  if constexpr (requires(D& d, const M* w, T* to) { L::template prepare<D, T, W>(d, Shape(), w, w, to); }) f.prepared = &L::template prepared<D, T, W>, f.prepare = &L::template prepare<D, T, W>;
  if constexpr (purpose == Purpose::inference && requires { L::folded(Shape()); }) f.folded = &L::folded, f.fold = &L::template fold<M>;
  if constexpr (purpose == Purpose::training) {
    if constexpr (requires(D& d, const Step<T>& s) { L::template backward<D, T, W>(d, s); }) f.backward = &L::template backward<D, T, W>, f.halves = true;
    if constexpr (requires { L::dense_step; requires D::template updates<T>(DenseSpec(), Way<W>()); }) f.updates = L::dense_step;
    if constexpr (requires(D& d, const Step<T>& s, const Learner<M>& l, M* w) { L::template learn<D, T, W>(d, s, l, w, 1); }) f.learn = &L::template learn<D, T, W>;
    if constexpr (requires(D& d, const Step<T>& s, const Learner<M>& l, M* w) { L::template learn_together<D, T, W>(d, s, l, w, 1); }) f.learn_together = &L::template learn_together<D, T, W>;
    if constexpr (requires(D& d, const Step<T>& s, T* part) { L::template gather<D, T, W>(d, s, part); })
      f.gathers = true, f.part = &L::template part<D, T, W>, f.gather = &L::template gather<D, T, W>, f.finish = &L::template finish<D, T, W>;
    if constexpr (requires(D& d, const T* w, T* to) { L::template turn<D, T, W>(d, Shape(), w, to); }) f.turned = &L::template turned<D, T, W>, f.turn = &L::template turn<D, T, W>;
  }
  return f;
}
/// The functions of a layer in one of its ways; none of a place in the list where no step begins (way -1).
template <class L, class D, class T, Purpose purpose, int W> constexpr Functions<D, T> functions() {
  if constexpr (W < 0) return {};
  else if constexpr (HasWays<L, D, T>) return functions_of_way<L, D, T, purpose, W>();
  else {
    Functions<D, T> f;
    if constexpr (requires(D& d, const Step<T>& s) { L::template forward<D, T>(d, s); }) f.forward = &L::template forward<D, T>;
    if constexpr (purpose == Purpose::training && requires(D& d, const Step<T>& s) { L::template backward<D, T>(d, s); }) f.backward = &L::template backward<D, T>;
    if constexpr (purpose == Purpose::training && requires(D& d, const Step<T>& s, T* parts) { L::template measure<D, T>(d, s, parts); })
      f.settles = true, f.parts = &L::template parts<D, T>, f.measure = &L::template measure<D, T>, f.settle = &L::template settle<D, T>;
    if constexpr (requires(const D& d) { L::template arena<D, T>(d, Shape(), 1); }) f.arena = &L::template arena<D, T>;
    return f;
  }
}

/// The place of the first layer in the list that the device cannot run, or -1.
template <class D, class T, class... Ls> constexpr int first_idle(List<Ls...>) {
  constexpr bool runs[] = {(!Layer<Ls> || requires { Ls::role; } || HasWays<Ls, D, T> || LayerOn<Ls, D, T>)...};
  const auto at = std::find(std::begin(runs), std::end(runs), false);
  return at == std::end(runs) ? -1 : int(at - std::begin(runs));
}

/// Of how many layers of the list a step does the work.
template <class L> inline constexpr int layers_of = 1;
template <class... Ls> inline constexpr int layers_of<Fused<Ls...>> = sizeof...(Ls);

template <class D, class T, class L> constexpr OpOn<D, T> op_on() {
  OpOn<D, T> o{op<L>(layers_of<L>), {}};
  if constexpr (HasWays<L, D, T>) o.several = true, o.way = &L::template way<D, T>;
  if constexpr (requires { L::gradients_by_verbs; }) o.gradients_by_verbs = L::gradients_by_verbs;
  return o;
}

/// The longest rule that begins with A and that the device has a kernel for.
template <class D, class T, class A, class B, class C> constexpr auto longest() {
  if constexpr (LayerOn<Fused<A, B, C>, D, T>) return std::type_identity<Fused<A, B, C>>();
  else if constexpr (LayerOn<Fused<A, B>, D, T>) return std::type_identity<Fused<A, B>>();
  else return std::type_identity<A>();
}
template <class D, class T, class... A, class... B, class... C> List<typename decltype(longest<D, T, A, B, C>())::type...> fuse(List<A...>, List<B...>, List<C...>);
template <class A, class... Ls> List<Ls..., End> next(List<A, Ls...>);

/// Which way every step of a table goes, by its place in the list; -1 where none begins.
template <class D, class T, std::size_t N> constexpr std::array<int, N> ways_of(const Table<OpOn<D, T>, N>& t) {
  std::array<int, N> ways;
  ways.fill(-1);
  for (int i = 0; i < t.count; ++i) ways[std::size_t(t.rows[i].layer)] = t.rows[i].several ? t.rows[i].way(t.rows[i].in) : 0;
  return ways;
}
template <class D, class T, Purpose purpose, const auto& table, class... L, std::size_t... I> constexpr auto bind(List<L...>, std::index_sequence<I...>) {
  constexpr auto ways = ways_of(table);
  const Functions<D, T> at[] = {functions<L, D, T, purpose, ways[I]>()...};
  auto t = table;
  for (int i = 0; i < t.count; ++i) static_cast<Functions<D, T>&>(t.rows[i]) = at[t.rows[i].layer];
  return t;
}
}  // namespace detail

/// For every place in the list the longest step that can begin there; trace() then goes from step to step. A layer is looked at beside its next two
/// neighbours, which are the same list, shifted.
template <class D, class T, class Layers> constexpr auto fuse(Layers layers) {
  using Next = decltype(detail::next(layers));
  return decltype(detail::fuse<D, T>(layers, Next{}, decltype(detail::next(Next{})){})){};
}
/// The steps as values that a table can be traced from: they have no functions yet.
template <class D, class T, class... Ls> constexpr std::array<OpOn<D, T>, sizeof...(Ls)> ops_on(List<Ls...>) { return {detail::op_on<D, T, Ls>()...}; }
/// A table of such steps with the functions that run them. Of the ways a device has, those are compiled which the table's shapes get.
template <class D, class T, detail::Purpose purpose, const auto& table, class... Ls> constexpr auto bind(List<Ls...> steps) {
  return detail::bind<D, T, purpose, table>(steps, std::index_sequence_for<Ls...>());
}

}  // namespace lamina
