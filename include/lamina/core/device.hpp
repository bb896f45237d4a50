/// A device is memory, verbs, and a word on which neighbours it has one kernel for. The verbs (parallel_for, conv_forward, ...) are free functions
/// beside it, found by their first argument.
#pragma once
#include <concepts>
#include <cstddef>
#include <utility>

#include "shape.hpp"
#include "shares.hpp"

namespace lamina {

/// What a convolution is told beside the shapes.
struct ConvSpec { Window window; int groups = 1; };
/// Bounds of what a convolution or a batch norm puts out: ReLU is {0}, ReLU6 is {0, 6}.
struct Clamp {
  double low = -__builtin_inf(), high = __builtin_inf();
  constexpr bool any() const { return low > -__builtin_inf() || high < __builtin_inf(); }
};
/// A dense layer is its shapes.
struct DenseSpec {};
/// What a batch norm is told beside the shapes.
struct NormSpec {
  double momentum;             // weight of the new batch in the running values
  double epsilon;
  bool unbiased;               // the running variance is that of n / (n - 1)
};

/// What a batch norm goes by: the running values; the moments of the batch, which it takes first; or those of the batch that were taken before.
enum class NormBy { running, batch, settled };

/// Neighbours that may be one kernel. A device answers `fuses<T>(ConvReluPool{conv, pool})` at compile time.
struct ConvReluPool { Window conv, pool; int groups = 1, filters = 0; };      // filters: 0 if it is not told
struct ConvClamp {};           // with a batch norm between them too, whose values are part of the weights and biases by then
struct AddRelu {};
struct NormAddRelu {};
struct DenseRelu {};
struct NormClamp {};
struct NormReluPool { Window pool; };

/// A device may have several kernels for a step, and says at compile time which of them runs one of these shapes: `way<T>(ConvReluPool, in, out of the convolution)`. Its verb
/// is told which, so that only those which a network uses are compiled for it. Way 0 takes every shape.
template <int Number> struct Way {};
namespace detail {
/// How many ways a device has to run a kernel, and which of them is for these shapes.
template <class D, class T, class K> constexpr int ways() {
  if constexpr (requires { D::template ways<T>(K()); }) return D::template ways<T>(K());
  else return 1;
}
template <class D, class T, class K> constexpr int way(K kernel, Shape in, Shape out) {
  if constexpr (requires { D::template way<T>(kernel, in, out); }) return D::template way<T>(kernel, in, out);
  else return 0;
}
}  // namespace detail

template <class D>
concept Device = requires(D d, void* p, const void* q, std::size_t bytes) {
  { d.allocate(bytes) } -> std::same_as<void*>;    // memory that is zero
  d.deallocate(p, bytes);
  d.upload(p, q, bytes);
  d.download(p, q, bytes);
  d.reserve(bytes);                       // an arena for what a verb needs beside its arguments, made once with the model
  { D::template fuses<float>(AddRelu{}) } -> std::same_as<bool>;
};

/// A device that can also work on one thread, in the midst of a task, with an arena of its own: then a few samples may go through several steps before the next few do.
/// It says which steps had better be gone through so, `depth_first<T>(parameters, shape)`, and with how many samples of so many bytes, `at_once(bytes)`.
template <class D>
concept Slices = Device<D> && requires(D& d, std::byte* arena, Index bytes) {
  { d.alone(arena) } -> std::same_as<D>;
  { D::template depth_first<float>(bytes, Shape()) } -> std::same_as<bool>;
  { D::at_once(bytes) } -> std::same_as<Index>;
};

/// A device that can keep what was launched and launch it all once more, at once: `Graph g = d.record(f)`, `d.replay(g)`.
template <class D>
concept Records = Device<D> && requires(D& d, typename D::Graph& graph) {
  d.replay(graph);
  d.arena();
};

/// A device with a second queue: what is launched on `dev.fork()`, which has an arena of its own, runs beside what is launched on dev, as soon as what it was told to wait for is done.
template <class D>
concept Forks = Device<D> && requires(D& d) {
  { d.fork() } -> std::same_as<D>;
  d.wait_for(d.mark());
};

/// A device that reads memory of the host by itself while the host goes on: what allocate_host() gave stays as upload_later() found it until somebody has waited for a mark() behind that,
/// wait_until(mark). It says how much memory it has free.
template <class D>
concept Stages = Forks<D> && requires(D& d, const D& c, void* p, const void* q, std::size_t bytes) {
  { d.allocate_host(bytes) } -> std::same_as<void*>;
  d.deallocate_host(p, bytes);            // once all that was read is there
  d.upload_later(p, q, bytes);
  d.wait_until(d.mark());
  { c.free_bytes() } -> std::same_as<Index>;
};

/// A device with the verb augment(): it makes of a data set's bytes what a network reads.
template <class D>
concept ChangesPictures = Stages<D> && requires { requires D::changes_pictures; };

/// A device whose verbs, as long as it says `writes_gradients`, write the gradients of parameters instead of adding to them: a training step that begins with none need then not
/// read what is zero, nor leave zeros.
template <class D>
concept WritesGradients = requires(D& d) { { d.writes_gradients } -> std::same_as<bool&>; };

/// A device whose sums over samples are those of the shares of its replica, and whose moments are those of all replicas.
template <class D>
concept Replicates = requires(D& d) { { d.replica } -> std::same_as<Replica&>; };

namespace detail {
/// What a device works on.
template <class D> Replica replica(const D& dev) {
  if constexpr (requires { dev.replica; }) return dev.replica;
  else return {};
}
/// How n samples are cut that a device has here.
template <class D> Shares cut_of(const D& dev, Index n) { return replica(dev).cut(n); }
}  // namespace detail

/// A device without its fused kernels: what they are compared with.
template <Device D> struct Unfused : D {
  using D::D;
  template <class T> static constexpr bool fuses(auto) { return false; }
  template <class T> static constexpr int way(auto, Shape, Shape) { return 0; }
};

/// The one owner of memory; everything else is a pointer into a Buffer.
template <Device D, class T> class Buffer {
 public:
  Buffer(D& device, Index count) : device_(&device), count_(count), data_(static_cast<T*>(device.allocate(bytes()))) {}
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { device_->deallocate(data_, bytes()); }
  T* data() const { return data_; }
  Index count() const { return count_; }
  std::size_t bytes() const { return std::size_t(count_) * sizeof(T); }

 private:
  D* device_;
  Index count_;
  T* data_;
};

/// Memory of the host that a device reads by itself.
template <Stages D, class T> class HostBuffer {
 public:
  HostBuffer(D& device, Index count) : device_(&device), count_(count), data_(static_cast<T*>(device.allocate_host(bytes()))) {}
  HostBuffer(const HostBuffer&) = delete;
  HostBuffer& operator=(const HostBuffer&) = delete;
  ~HostBuffer() { device_->deallocate_host(data_, bytes()); }
  T* data() const { return data_; }
  std::size_t bytes() const { return std::size_t(count_) * sizeof(T); }

 private:
  D* device_;
  Index count_;
  T* data_;
};

}  // namespace lamina
