/// The contract of a layer. A layer is an empty type with
///   static constexpr Shape out(Shape in);                  the shape it makes
///   static constexpr Needs needs(Shape in);                what it needs
///   static constexpr Shape accepts(Shape in);              if it cannot take every shape: the nearest it can, `in` itself if it can
///   static constexpr Tensors parameters(Shape in);         if it learns: the named tensors of its parameters
///   static constexpr Tensors state(Shape in);              if it has running values: theirs
///   static void init(Shape in, const Initializer&, float* w, float* state);   what they begin with; what it leaves alone begins with 0
///   template <class D, class T> static void forward(D& device, const Step<T>&);    y =     (T is what x, y and their gradients are stored as; see precision.hpp)
///   template <class D, class T> static void backward(D& device, const Step<T>&);   dw +=, dx =
///   static constexpr bool gradients_by_verbs = true;      optional: dw is the work of verbs of the device alone, each number that of one (see WritesGradients)
///   template <class D, class T> static void learn(D& device, const Step<T>&, const Learner<T>&, T* w, Index at);   optional: backward, and the step of its parameters w,
///     which begin at `at` in the block; their gradients are zero before and after
///   ... learn_together(...)                               optional: the same with the gradients of all replicas, on all of them at once, where device.replica can work_together()
///   template <class D, class T> static Index arena(const D& device, Shape in, Index n);   bytes its verbs ask of the device's arena, if any
/// and, where a device has a use for it, what nn/fuse.hpp lists as Functions: weights made ready before forward, gradients gathered share by share instead of backward.
/// It works on shapes it is handed and on the verbs of its device (conv_forward, parallel_for, ...), so it is compiled once per device, not once per size.
#pragma once
#include <concepts>

#include "initializer.hpp"
#include "precision.hpp"
#include "random.hpp"
#include "shape.hpp"
#include "shares.hpp"

namespace lamina {

/// Which of its tensors a layer's backward reads. What nobody reads again gives its place to others.
enum class Keep : unsigned char { nothing = 0, input = 1, output = 2, both = 3 };
constexpr bool keeps(Keep k, Keep what) { return (int(k) & int(what)) != 0; }

struct Needs {
  Index flops = 0;             // forward, per sample; a multiply-add counts as two
  Keep keep = Keep::nothing;
  Index codes = 0;             // bytes per sample that forward leaves for backward; null in inference
  Index saved = 0;             // numbers per sample that forward leaves for backward; null in inference
  Index statistics = 0;        // numbers per batch that forward leaves for backward
  Index scratch = 0;           // numbers per sample for the time of one backward
  bool elementwise = false;    // nothing but y[i] needs x[i]: y may lie where x lay, and dx where dy lay
  bool apart = false;          // the gradient of the second x of a sum is another than that of the first
};

/// The lengths of a tensor's sides, outermost first.
struct Dims {
  Index side[4] = {1, 1, 1, 1};
  int rank = 0;
  constexpr Dims() = default;
  constexpr explicit Dims(Index a) : side{a, 1, 1, 1}, rank(1) {}
  constexpr Dims(Index a, Index b) : side{a, b, 1, 1}, rank(2) {}
  constexpr Dims(Index a, Index b, Index c, Index d) : side{a, b, c, d}, rank(4) {}
  constexpr Index count() const { return rank ? side[0] * side[1] * side[2] * side[3] : 0; }
};

/// Memory that `count` numbers take in a block of parameters: each tensor begins on 64 bytes in float, 128 in double.
constexpr Index room(Index count) { return (count + 15) / 16 * 16; }

/// At most two tensors with their names, in the order in which they lie in memory.
struct Tensors {
  const char* first_name = nullptr;
  Dims first;
  const char* second_name = nullptr;
  Dims second;
  constexpr Tensors() = default;
  constexpr Tensors(const char* name, Dims dims, const char* name2 = nullptr, Dims dims2 = {}) : first_name(name), first(dims), second_name(name2), second(dims2) {}
  constexpr Index count() const { return first.count() + second.count(); }
  constexpr Index place() const { return room(first.count()) + room(second.count()); }
};

/// What a step is given: where its tensors lie. Backward gets what it asked to keep; the rest is null, since it is no longer there.
template <class T> struct Step {
  Shape in, out;
  Index n;                     // samples
  Index first;                 // place of the first of them in the global batch
  bool training;
  bool settled = false;        // its statistics are there before forward
  Random random;               // of this layer
  const std::uint32_t* clock;  // training steps so far, in device memory: random.at(*clock) is the same in forward and backward
  const Master<T>* w; Master<T>* dw;   // (parameters)
  Master<T>* state;            // (state)
  const T* x; T* y;            // (N, in), (N, out)
  const T* dy; T* dx;          // (N, out), (N, in); dx is null if nothing before this layer learns
  const T* z; T* dz;           // the second x of Add, the second dy of Split; and what a sum writes for its second x, if its gradients are apart
  T* saved;                    // (N, saved)
  std::uint8_t* codes;         // (N, codes)
  Master<T>* statistics;       // (statistics)
  T* scratch;                  // (N, scratch)
  const T* low = nullptr;      // (parameters) as T, where T is not what they are kept in
  const T* weights() const {
    if constexpr (std::is_same_v<T, Master<T>>) return w;
    else return low;
  }
};

/// An optimizer without its type, in the midst of a step: a layer may update its own parameters while it has their gradients at hand, which saves a way to memory and back.
template <class T> struct Learner {
  const void* optimizer;
  void (*update)(const void* optimizer, Index at, T* w, const T* g, Index count);   // w and g: parameters at, at + 1, ... of the block
  T* memory;                                                                        // (slots, apart): what it remembers of each parameter, to be fetched before its turn
  Index slots, apart;
  void operator()(Index at, T* w, const T* g, Index count) const { update(optimizer, at, w, g, count); }
};

/// A step that is a dense layer, with a ReLU behind it or not; none has no outputs.
struct DenseStep { int outputs = 0; bool relu = false; };

/// What a step means to the network around it: nearly every layer is a layer. View: y is x. Split, swap and add hold branches (nn/residual.hpp).
enum class Role : unsigned char { layer, view, split, swap, add };

template <class L>
concept Layer = requires(Shape in) {
  { L::out(in) } -> std::same_as<Shape>;
  { L::needs(in) } -> std::same_as<Needs>;
};
template <class L, class D, class T>
concept LayerOn = Layer<L> && requires(D& device, const Step<T>& s) {
  L::forward(device, s);
  L::backward(device, s);
};

}  // namespace lamina
