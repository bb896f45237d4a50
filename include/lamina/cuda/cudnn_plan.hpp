/// How cuDNN is told of a convolution, and which of its engines may run it. Tensors are NHWC as ours are. Filters are (O, K, K, C / groups), and ours (K, K, C / groups, O): cuDNN lets strides say
/// so, but offers the same engines with the same workspaces for both, which speaks for its reading the one as the other. So weights are turned before, and their gradient is turned back.
#pragma once
#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "../core/device.hpp"
#include "../core/precision.hpp"
#include "cudnn_backend.hpp"

namespace lamina::detail {

/// What cuDNN computes with; tf32 is float to it.
template <class T> concept CudnnNumber = std::is_same_v<T, float> || std::is_same_v<T, tf32> || std::is_same_v<T, bf16>;
/// What it sees of a T, and makes where a T is made.
template <class T> using CudnnStored = std::conditional_t<std::is_same_v<T, bf16>, bf16, float>;

enum class CudnnKind { forward, gradient_of_x, gradient_of_w };

/// One pass of a convolution, of numbers as they are stored; sums are in float. Without tensor cores, products are of floats as they are.
struct CudnnConvolution {
  CudnnKind kind;
  const char* number;
  cudnnDataType_t type;
  bool tensor_cores;
  ConvSpec spec;
  Shape in, out;
  Index n;

  template <class T> static CudnnConvolution of(CudnnKind kind, ConvSpec spec, Shape in, Shape out, Index n) {
    constexpr bool half = std::is_same_v<T, bf16>, tf = std::is_same_v<T, tf32>;
    return {kind, half ? "bf16" : tf ? "tf32" : "float", half ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT, half || tf, spec, in, out, n};
  }
  std::int64_t channels() const { return in.c / spec.groups; }            // that a filter sees
  bool operator==(const CudnnConvolution& o) const {
    const auto numbers = [](const CudnnConvolution& c) {
      return std::array{Index(c.kind), Index(c.type), Index(c.tensor_cores), Index(c.spec.window.k), Index(c.spec.window.stride), Index(c.spec.window.pad), Index(c.spec.groups), Index(c.out.c), c.n};
    };
    return numbers(*this) == numbers(o) && in == o.in;
  }
  /// In the words of a race, which has words for window, shape and batch.
  std::string name() const {
    const char* const what = kind == CudnnKind::forward ? "forward" : kind == CudnnKind::gradient_of_x ? "gradient of x" : "gradient of w";
    return sentence({"conv in ", number, spec.groups > 1 ? ", groups " + std::to_string(spec.groups) : "", spec.window.pad == same ? ", same padding" : "", ", ", what, ", any bits"});
  }
};

/// Names of tensors in a variant pack.
enum CudnnTensor : std::int64_t { cudnn_x = 1, cudnn_w, cudnn_y };

/// A convolution as a graph of one operation. Descriptors that others refer to stay as long as it does.
struct CudnnGraph {
  CudnnDescriptor x, w, y, convolution, operation, graph;

  CudnnGraph(cudnnHandle_t handle, const CudnnConvolution& c)
      : x(images(cudnn_x, c.type, c.in, c.n)), w(filters(c)), y(images(cudnn_y, c.type, c.out, c.n)), convolution(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR), operation(names(c.kind).operation),
        graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR) {
    const Window v = c.spec.window;
    const std::int64_t top = v.before(c.in.h), left = v.before(c.in.w);
    const auto behind = [&](int size, std::int64_t before) { return v.pad != same ? v.pad : std::max<std::int64_t>((v.places(size) - 1) * v.stride + v.k - size - before, 0); };
    convolution.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT);
    convolution.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION);
    convolution.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, std::int64_t(2));
    convolution.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, {std::int64_t(1), std::int64_t(1)});
    convolution.set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, {std::int64_t(v.stride), std::int64_t(v.stride)});
    convolution.set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, {top, left});
    convolution.set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, {behind(c.in.h, top), behind(c.in.w, left)});
    convolution.finalize();

    const Names name = names(c.kind);
    operation.set(name.alpha, 1.f);
    operation.set(name.beta, 0.f);
    operation.set(name.convolution, convolution);
    operation.set(name.x, x);
    operation.set(name.w, w);
    operation.set(name.y, y);
    operation.finalize();
    graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, handle);
    graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation);
    graph.finalize();
  }

 private:
  struct Names { cudnnBackendDescriptorType_t operation; cudnnBackendAttributeName_t alpha, beta, convolution, x, w, y; };
  static Names names(CudnnKind kind) {
    if (kind == CudnnKind::forward)
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y};
    if (kind == CudnnKind::gradient_of_x)
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY};
    return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY};
  }
  /// Sizes and strides stand in the order N, C, H, W, however the numbers lie.
  using Four = std::int64_t[4];
  static CudnnDescriptor tensor(CudnnTensor id, cudnnDataType_t type, const Four& sizes, const Four& strides) {
    CudnnDescriptor t(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    t.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, std::int64_t(id));
    t.set(CUDNN_ATTR_TENSOR_DATA_TYPE, type);
    t.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, std::int64_t(16));
    t.set(CUDNN_ATTR_TENSOR_DIMENSIONS, sizes);
    t.set(CUDNN_ATTR_TENSOR_STRIDES, strides);
    t.finalize();
    return t;
  }
  static CudnnDescriptor images(CudnnTensor id, cudnnDataType_t type, Shape s, std::int64_t n) {
    const std::int64_t h = s.h, w = s.w, c = s.c;
    return tensor(id, type, {n, c, h, w}, {h * w * c, 1, w * c, c});
  }
  static CudnnDescriptor filters(const CudnnConvolution& of) {
    const std::int64_t k = of.spec.window.k, c = of.channels();
    return tensor(cudnn_w, of.type, {of.out.c, c, k, k}, {k * k * c, 1, k * c, c});
  }
};

/// A graph with the engine that runs it.
struct CudnnPlan {
  std::shared_ptr<const CudnnGraph> graph;
  CudnnDescriptor configuration, plan;
  Index workspace = 0;                     // bytes

  CudnnPlan(cudnnHandle_t handle, std::shared_ptr<const CudnnGraph> of, CudnnDescriptor with) : graph(std::move(of)), configuration(std::move(with)), plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, handle);
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration);
    plan.finalize();
    workspace = Index(plan.number(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE));
  }
  void run(cudnnHandle_t handle, const void* x, const void* w, const void* y, void* scratch) const {
    CudnnDescriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, {std::int64_t(cudnn_x), std::int64_t(cudnn_w), std::int64_t(cudnn_y)});
    pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, {const_cast<void*>(x), const_cast<void*>(w), const_cast<void*>(y)});
    pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, scratch);
    pack.finalize();
    check(cudnnBackendExecute(handle, plan.get(), pack.get()), "cudnnBackendExecute");
  }
};

/// Whether an engine always gives the same bits, and computes as it is asked to.
inline bool cudnn_engine_will_do(const CudnnDescriptor& configuration, bool tensor_cores) {
  CudnnDescriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  cudnnBackendDescriptor_t one[] = {engine.get()};
  configuration.get(CUDNN_ATTR_ENGINECFG_ENGINE, one);
  cudnnBackendNumericalNote_t room[32];
  for (const auto note : engine.get(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, std::span<cudnnBackendNumericalNote_t>(room))) {
    if (note == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC || note == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION) return false;
    // With floats, tensor cores are those of tf32, whether or not the engine says that it rounds what it reads.
    if (!tensor_cores && (note == CUDNN_NUMERICAL_NOTE_TENSOR_CORE || note == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS)) return false;
  }
  return true;
}

/// The plan that cuDNN thinks the quickest, of those whose engine will do, that need no more workspace, and that try_out(plan) throws no Error of; null if there is none, and then
/// `why` is the last of what was wrong.
template <class F> std::unique_ptr<CudnnPlan> cudnn_plan(cudnnHandle_t handle, const CudnnConvolution& c, Index most_workspace, std::string& why, const F& try_out) {
  why = "no engine always gives the same bits and sums as it is asked to";
  std::shared_ptr<const CudnnGraph> graph;
  try { graph = std::make_shared<CudnnGraph>(handle, c); }
  catch (const Error& e) { return why = e.what(), nullptr; }
  for (const cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
    std::vector<CudnnDescriptor> made;
    std::vector<cudnnBackendDescriptor_t> found;
    for (int i = 0; i < 64; ++i) found.push_back(made.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR).get());
    CudnnDescriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    std::size_t count = 0;
    try {
      heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph->graph);
      heuristics.set(CUDNN_ATTR_ENGINEHEUR_MODE, mode);
      heuristics.finalize();
      count = heuristics.get(CUDNN_ATTR_ENGINEHEUR_RESULTS, found);
    } catch (const Error& e) { why = e.what(); }
    for (std::size_t i = 0; i < count; ++i) try {
        if (!cudnn_engine_will_do(made[i], c.tensor_cores)) continue;
        auto plan = std::make_unique<CudnnPlan>(handle, graph, std::move(made[i]));
        if (plan->workspace > most_workspace) throw Error("an engine needs ", plan->workspace, " bytes of workspace, and there are ", most_workspace);
        try_out(*plan);
        return plan;
      } catch (const Error& e) { why = e.what(); }             // such as: not on this GPU
  }
  return nullptr;
}

}  // namespace lamina::detail
