/// Stands in for cuDNN: the words of its backend interface that Lamina uses, in our own. Descriptors take the attributes that NVIDIA's documentation gives them and no others, are finalized once
/// they have them all, and refer to those only that are finalized; and an execution computes the convolution that was described by plain loops, from the pointers, strides and paddings it was given.
#pragma once
#include <lamina/core/precision.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#define CUDNN_VERSION 92600

enum cudnnStatus_t { CUDNN_STATUS_SUCCESS, CUDNN_STATUS_BAD_PARAM = 2000, CUDNN_STATUS_NOT_SUPPORTED = 3000, CUDNN_STATUS_EXECUTION_FAILED = 5000 };
enum cudnnDataType_t { CUDNN_DATA_FLOAT, CUDNN_DATA_BFLOAT16 = 9 };
enum cudnnConvolutionMode_t { CUDNN_CONVOLUTION, CUDNN_CROSS_CORRELATION };
enum cudnnBackendHeurMode_t { CUDNN_HEUR_MODE_A = 3, CUDNN_HEUR_MODE_FALLBACK = 2 };
enum cudnnBackendNumericalNote_t {
  CUDNN_NUMERICAL_NOTE_TENSOR_CORE, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS, CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC = 4, CUDNN_NUMERICAL_NOTE_WINOGRAD
};
enum cudnnBackendDescriptorType_t {
  CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_BACKEND_ENGINE_DESCRIPTOR, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR,
  CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR, CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
  CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_BACKEND_TENSOR_DESCRIPTOR
};
enum cudnnBackendAttributeType_t {
  CUDNN_TYPE_HANDLE, CUDNN_TYPE_DATA_TYPE, CUDNN_TYPE_INT64 = 3, CUDNN_TYPE_FLOAT, CUDNN_TYPE_VOID_PTR = 6, CUDNN_TYPE_CONVOLUTION_MODE, CUDNN_TYPE_HEUR_MODE, CUDNN_TYPE_NUMERICAL_NOTE = 11,
  CUDNN_TYPE_BACKEND_DESCRIPTOR = 15
};
enum cudnnBackendAttributeName_t {
  CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS,
  CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS,
  CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
  CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
  CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
  CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
  CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_ATTR_OPERATIONGRAPH_OPS,
  CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_ATTR_TENSOR_UNIQUE_ID,
  CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_ATTR_VARIANT_PACK_WORKSPACE
};

namespace lamina_test::cudnn {

struct Attribute { cudnnBackendAttributeType_t type; std::vector<std::byte> bytes; std::int64_t count; };
/// A descriptor.
struct Described {
  cudnnBackendDescriptorType_t type;
  bool finalized = false;
  std::map<cudnnBackendAttributeName_t, Attribute> attributes;
  int engine = -1;                         // of a configuration, an engine or a plan: which of `engines`

  template <class V> std::vector<V> all(cudnnBackendAttributeName_t name) const {
    const Attribute& a = attributes.at(name);
    std::vector<V> v(std::size_t(a.count));
    std::memcpy(v.data(), a.bytes.data(), a.bytes.size());
    return v;
  }
  template <class V> V one(cudnnBackendAttributeName_t name) const { return all<V>(name).at(0); }
  const Described& to(cudnnBackendAttributeName_t name) const { return *one<Described*>(name); }
};

/// Where tensors lie: N, C, H, W, and the strides of each.
struct Tensor {
  std::int64_t id = 0;
  std::array<std::int64_t, 4> size{}, stride{};
  bool half = false;
  void* data = nullptr;

  std::int64_t at(std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d) const { return a * stride[0] + b * stride[1] + c * stride[2] + d * stride[3]; }
  double get(std::int64_t i) const { return half ? double(float(static_cast<lamina::bf16*>(data)[i])) : double(static_cast<float*>(data)[i]); }
  void put(std::int64_t i, double v) const {
    if (half) static_cast<lamina::bf16*>(data)[i] = lamina::bf16(float(v));
    else static_cast<float*>(data)[i] = float(v);
  }
  bool packed(std::array<std::int64_t, 4> strides) const { return stride == strides; }
};

/// A convolution and its tensors, which a queue computes.
struct Convolution {
  cudnnBackendDescriptorType_t kind;
  Tensor x, w, y;
  std::array<std::int64_t, 2> step{}, before{}, behind{}, apart{};
  float alpha = 0, beta = 0;
  void* workspace = nullptr;
  std::int64_t workspace_bytes = 0;

  const Tensor& made() const {
    return kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR ? y : kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR ? x : w;
  }
  bool fits() const {
    for (std::size_t i = 0; i < 2; ++i) {
      const std::int64_t left = x.size[2 + i] + before[i] + behind[i] - apart[i] * (w.size[2 + i] - 1) - 1;
      if (step[i] < 1 || apart[i] < 1 || before[i] < 0 || behind[i] < 0 || left < 0 || left / step[i] + 1 != y.size[2 + i]) return false;
    }
    const auto [k, c, r, s] = w.size;
    const bool as_read = w.packed({r * s * c, 1, s * c, c}) || w.packed({c * r * s, r * s, s, 1});
    return as_read && x.size[0] == y.size[0] && y.size[1] == k && x.size[1] % c == 0 && k % (x.size[1] / c) == 0;
  }
  void operator()(std::ptrdiff_t) const {
    std::memset(workspace, 0xff, std::size_t(workspace_bytes));
    std::map<std::int64_t, double> sums;
    const auto [images, filters, rows, columns] = y.size;
    const std::int64_t of_group = filters / (x.size[1] / w.size[1]);
    for (std::int64_t n = 0; n < made().size[0]; ++n)
      for (std::int64_t c = 0; c < made().size[1]; ++c)
        for (std::int64_t i = 0; i < made().size[2]; ++i)
          for (std::int64_t j = 0; j < made().size[3]; ++j) sums[made().at(n, c, i, j)] = 0;
    for (std::int64_t n = 0; n < images; ++n)
      for (std::int64_t o = 0; o < filters; ++o)
        for (std::int64_t p = 0; p < rows; ++p)
          for (std::int64_t q = 0; q < columns; ++q)
            for (std::int64_t c = 0; c < w.size[1]; ++c)
              for (std::int64_t i = 0; i < w.size[2]; ++i)
                for (std::int64_t j = 0; j < w.size[3]; ++j) {
                  const std::int64_t row = p * step[0] - before[0] + i * apart[0], column = q * step[1] - before[1] + j * apart[1];
                  if (row < 0 || row >= x.size[2] || column < 0 || column >= x.size[3]) continue;
                  const std::int64_t of_x = x.at(n, o / of_group * w.size[1] + c, row, column), of_w = w.at(o, c, i, j), of_y = y.at(n, o, p, q);
                  if (&made() == &y) sums[of_y] += x.get(of_x) * w.get(of_w);
                  else if (&made() == &x) sums[of_x] += y.get(of_y) * w.get(of_w);
                  else sums[of_w] += x.get(of_x) * y.get(of_y);
                }
    for (const auto& [at, sum] : sums) made().put(at, alpha * sum + (beta == 0 ? 0 : beta * made().get(at)));
  }
};

/// A queue of a GPU, to cuDNN.
struct Stream {
  virtual ~Stream() = default;
  virtual void launch(const Convolution&) = 0;
  virtual bool recording() const = 0;
};
struct Context { Stream* stream = nullptr; };

/// What the heuristics offer, in this order.
struct Engine {
  std::vector<cudnnBackendNumericalNote_t> notes;
  std::int64_t workspace = 0;
  bool fallback = false, finalizes = true, runs = true, recordable = true;
};
inline std::vector<Engine> engines;
inline std::vector<int> executed;          // which engines ran, or were recorded
inline std::vector<std::string> set;       // attributes, by number, with the descriptor's type before them, in the order in which they were set
inline long alive = 0, contexts = 0;       // descriptors and handles that nobody destroyed
inline std::string problem;                // with what was called last

/// What a descriptor must have before it is finalized, and how many of which type.
struct Rule { cudnnBackendDescriptorType_t of; cudnnBackendAttributeName_t name; cudnnBackendAttributeType_t type; std::int64_t count; };
inline const std::vector<Rule>& rules() {
  static const std::vector<Rule> all = [] {
    std::vector<Rule> r = {{CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1},
                           {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1},
                           {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1},
                           {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2},
                           {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2},
                           {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2},
                           {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2},
                           {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1},
                           {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1},
                           {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1},
                           {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4},
                           {CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4},
                           {CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1},
                           {CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1},
                           {CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1},
                           {CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1},
                           {CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1},
                           {CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1},
                           {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 3},
                           {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 3},
                           {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1}};
    const auto operation = [&](cudnnBackendDescriptorType_t of, int alpha) {               // six names in a row
      for (int i = 0; i < 6; ++i) r.push_back({of, cudnnBackendAttributeName_t(alpha + i), i < 2 ? CUDNN_TYPE_FLOAT : CUDNN_TYPE_BACKEND_DESCRIPTOR, 1});
    };
    operation(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA);
    operation(CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA);
    operation(CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA);
    return r;
  }();
  return all;
}

inline cudnnStatus_t refused(std::string words, cudnnStatus_t status = CUDNN_STATUS_BAD_PARAM) { return problem = std::move(words), status; }

inline Tensor tensor_of(const Described& d) {
  Tensor t;
  const auto size = d.all<std::int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS), stride = d.all<std::int64_t>(CUDNN_ATTR_TENSOR_STRIDES);
  std::copy(size.begin(), size.end(), t.size.begin()), std::copy(stride.begin(), stride.end(), t.stride.begin());
  t.id = d.one<std::int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID), t.half = d.one<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE) == CUDNN_DATA_BFLOAT16;
  return t;
}
inline Convolution convolution_of(const Described& operation) {
  struct Names { cudnnBackendAttributeName_t alpha, beta, convolution, x, w, y; };
  const Names name = operation.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR
                         ? Names{CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                                 CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y}
                     : operation.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR
                         ? Names{CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY}
                         : Names{CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY};
  Convolution c{operation.type, tensor_of(operation.to(name.x)), tensor_of(operation.to(name.w)), tensor_of(operation.to(name.y))};
  const Described& d = operation.to(name.convolution);
  const auto two = [&](cudnnBackendAttributeName_t of, std::array<std::int64_t, 2>& to) {
    const auto v = d.all<std::int64_t>(of);
    to = {v[0], v[1]};
  };
  two(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, c.step), two(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, c.before);
  two(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, c.behind), two(CUDNN_ATTR_CONVOLUTION_DILATIONS, c.apart);
  c.alpha = operation.one<float>(name.alpha), c.beta = operation.one<float>(name.beta);
  return c;
}
inline const Described& operation_of(const Described& graph) { return graph.to(CUDNN_ATTR_OPERATIONGRAPH_OPS); }

}  // namespace lamina_test::cudnn

using cudnnBackendDescriptor_t = void*;      // as NVIDIA has it
using cudnnHandle_t = lamina_test::cudnn::Context*;
using cudaStream_t = lamina_test::cudnn::Stream*;

inline std::size_t cudnnGetVersion() { return CUDNN_VERSION; }
inline const char* cudnnGetErrorString(cudnnStatus_t s) { return s == CUDNN_STATUS_BAD_PARAM ? "BAD_PARAM" : s == CUDNN_STATUS_NOT_SUPPORTED ? "NOT_SUPPORTED" : "EXECUTION_FAILED"; }
inline void cudnnGetLastErrorString(char* message, std::size_t room) { std::snprintf(message, room, "%s", lamina_test::cudnn::problem.c_str()); }
inline cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) { return *handle = new lamina_test::cudnn::Context, ++lamina_test::cudnn::contexts, CUDNN_STATUS_SUCCESS; }
inline cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) { return delete handle, --lamina_test::cudnn::contexts, CUDNN_STATUS_SUCCESS; }
inline cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) { return handle->stream = stream, CUDNN_STATUS_SUCCESS; }
inline cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t* d) {
  *d = new lamina_test::cudnn::Described{type, false, {}, -1};
  return ++lamina_test::cudnn::alive, CUDNN_STATUS_SUCCESS;
}
inline cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t d) { return delete static_cast<lamina_test::cudnn::Described*>(d), --lamina_test::cudnn::alive, CUDNN_STATUS_SUCCESS; }

inline cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count, const void* values) {
  using namespace lamina_test::cudnn;
  auto* const d = static_cast<Described*>(descriptor);
  if (d->finalized) return refused("an attribute is set after the end");
  for (const Rule& r : rules()) {
    if (r.of != d->type || r.name != name) continue;
    if (r.type != type || r.count != count) return refused("attribute " + std::to_string(name) + " has another type or count");
    const std::size_t each = type == CUDNN_TYPE_INT64 || type == CUDNN_TYPE_VOID_PTR || type == CUDNN_TYPE_HANDLE || type == CUDNN_TYPE_BACKEND_DESCRIPTOR ? 8 : 4;
    const auto* const bytes = static_cast<const std::byte*>(values);
    if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR) {
      Described* other = nullptr;
      std::memcpy(&other, bytes, sizeof other);
      if (!other->finalized && other->engine < 0) return refused("a descriptor refers to one that is not finalized");
    }
    d->attributes[name] = {type, {bytes, bytes + each * std::size_t(count)}, count};
    lamina_test::cudnn::set.push_back(std::to_string(d->type) + ":" + std::to_string(name));
    return CUDNN_STATUS_SUCCESS;
  }
  return refused("a descriptor has no attribute " + std::to_string(name));
}

inline cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
  using namespace lamina_test::cudnn;
  auto* const d = static_cast<Described*>(descriptor);
  for (const Rule& r : rules())
    if (r.of == d->type && !d->attributes.count(r.name)) return refused("attribute " + std::to_string(r.name) + " was not set");
  if (d->type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
    d->engine = d->to(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG).engine;
    if (!engines.at(std::size_t(d->engine)).finalizes) return refused("not on this GPU", CUDNN_STATUS_NOT_SUPPORTED);
  }
  if (d->type == CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR && (d->one<cudnnDataType_t>(CUDNN_ATTR_CONVOLUTION_COMP_TYPE) != CUDNN_DATA_FLOAT ||
      d->one<cudnnConvolutionMode_t>(CUDNN_ATTR_CONVOLUTION_CONV_MODE) != CUDNN_CROSS_CORRELATION)) return refused("another convolution", CUDNN_STATUS_NOT_SUPPORTED);
  if (d->type == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR && !convolution_of(operation_of(*d)).fits()) return refused("sizes do not fit");
  return d->finalized = true, CUDNN_STATUS_SUCCESS;
}

inline cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t room, std::int64_t* count, void* values) {
  using namespace lamina_test::cudnn;
  auto* const d = static_cast<Described*>(descriptor);
  if (name == CUDNN_ATTR_ENGINEHEUR_RESULTS && d->finalized && type == CUDNN_TYPE_BACKEND_DESCRIPTOR) {
    *count = 0;
    for (std::size_t i = 0; i < engines.size(); ++i)
      if (engines[i].fallback == (d->one<cudnnBackendHeurMode_t>(CUDNN_ATTR_ENGINEHEUR_MODE) == CUDNN_HEUR_MODE_FALLBACK)) {
        if (*count == room) break;
        Described& to = *static_cast<Described**>(values)[(*count)++];
        to.engine = int(i), to.attributes[CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH] = d->attributes.at(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
      }
  } else if (name == CUDNN_ATTR_ENGINECFG_ENGINE && room == 1 && type == CUDNN_TYPE_BACKEND_DESCRIPTOR) {
    (*static_cast<Described**>(values))->engine = d->engine, *count = 1;
  } else if (name == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE && type == CUDNN_TYPE_NUMERICAL_NOTE) {
    const auto& notes = engines.at(std::size_t(d->engine)).notes;
    *count = std::int64_t(notes.size());
    std::copy_n(notes.data(), std::min(*count, room), static_cast<cudnnBackendNumericalNote_t*>(values));
  } else if (name == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE && d->finalized && room == 1 && type == CUDNN_TYPE_INT64) {
    std::memcpy(values, &engines.at(std::size_t(d->engine)).workspace, 8), *count = 1;
  } else return refused("there is no such attribute to get");
  return CUDNN_STATUS_SUCCESS;
}

inline cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t of_plan, cudnnBackendDescriptor_t of_pack) {
  using namespace lamina_test::cudnn;
  const auto* const plan = static_cast<const Described*>(of_plan);
  const auto* const pack = static_cast<const Described*>(of_pack);
  if (!plan->finalized || !pack->finalized || plan->one<cudnnHandle_t>(CUDNN_ATTR_EXECUTION_PLAN_HANDLE) != handle || !handle->stream) return refused("nothing can be executed yet");
  const Engine& engine = engines.at(std::size_t(plan->engine));
  if (!engine.runs || (!engine.recordable && handle->stream->recording())) return refused("it does not run", CUDNN_STATUS_EXECUTION_FAILED);
  Convolution c = convolution_of(operation_of(plan->to(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG).to(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH)));
  const auto ids = pack->all<std::int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
  const auto pointers = pack->all<void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
  for (Tensor* t : {&c.x, &c.w, &c.y}) {
    const auto found = std::find(ids.begin(), ids.end(), t->id);
    if (found == ids.end()) return refused("a tensor has no data");
    t->data = pointers[std::size_t(found - ids.begin())];
    if (!t->data || reinterpret_cast<std::uintptr_t>(t->data) % 16) return refused("data is not aligned");
  }
  c.workspace = pack->one<void*>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE), c.workspace_bytes = engine.workspace;
  executed.push_back(plan->engine);
  return handle->stream->launch(c), CUDNN_STATUS_SUCCESS;
}
