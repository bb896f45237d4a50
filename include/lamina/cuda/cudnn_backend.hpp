/// cuDNN's backend interface: descriptors, which have attributes and are finalized once these are set, and its errors. Under nvcc the words are those of NVIDIA's header; for any other
/// compiler somebody must have given them one before: a test of the library does, whose stand-in is computed by plain loops.
#pragma once
#if defined(__CUDACC__)
#if !__has_include(<cudnn.h>)
#error "lamina/cudnn.hpp needs the header cudnn.h of NVIDIA's cuDNN 9: with CMake say -DLAMINA_WITH_CUDNN=ON and link lamina::cudnn, else give nvcc the folder that it is in"
#endif
#include <cudnn.h>
#elif !defined(CUDNN_VERSION)
#error "lamina/cudnn.hpp is for files that nvcc compiles (name the file .cu, or give nvcc -x cu)"
#endif
#if CUDNN_VERSION < 90000
#error "lamina/cudnn.hpp needs cuDNN 9 or later"
#endif

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>

#include "../core/error.hpp"

namespace lamina::detail {

/// Throws Error, with the words of the call and the place, unless it went well.
inline void check(cudnnStatus_t status, const char* call, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  char reason[512] = "";
  cudnnGetLastErrorString(reason, sizeof reason);
  throw Error(call, " at ", file, ":", line, ": ", cudnnGetErrorString(status), *reason ? ", " : "", static_cast<const char*>(reason));
}

/// What cuDNN calls the type of an attribute whose values are of type V. A descriptor is a void* too, and no V.
template <class V> constexpr cudnnBackendAttributeType_t cudnn_attribute_type() {
  if constexpr (std::is_same_v<V, std::int64_t>) return CUDNN_TYPE_INT64;
  else if constexpr (std::is_same_v<V, float>) return CUDNN_TYPE_FLOAT;
  else if constexpr (std::is_same_v<V, void*>) return CUDNN_TYPE_VOID_PTR;
  else if constexpr (std::is_same_v<V, cudnnHandle_t>) return CUDNN_TYPE_HANDLE;
  else if constexpr (std::is_same_v<V, cudnnDataType_t>) return CUDNN_TYPE_DATA_TYPE;
  else if constexpr (std::is_same_v<V, cudnnConvolutionMode_t>) return CUDNN_TYPE_CONVOLUTION_MODE;
  else if constexpr (std::is_same_v<V, cudnnBackendHeurMode_t>) return CUDNN_TYPE_HEUR_MODE;
  else {
    static_assert(std::is_same_v<V, cudnnBackendNumericalNote_t>);
    return CUDNN_TYPE_NUMERICAL_NOTE;
  }
}

/// A descriptor, and its end.
class CudnnDescriptor {
 public:
  explicit CudnnDescriptor(cudnnBackendDescriptorType_t type) {
    cudnnBackendDescriptor_t made = nullptr;
    check(cudnnBackendCreateDescriptor(type, &made), "cudnnBackendCreateDescriptor");
    descriptor_.reset(made);
  }
  cudnnBackendDescriptor_t get() const { return descriptor_.get(); }

  template <class V, std::size_t N> void set(cudnnBackendAttributeName_t name, const V (&values)[N]) {
    check(cudnnBackendSetAttribute(get(), name, cudnn_attribute_type<V>(), std::int64_t(N), values), "cudnnBackendSetAttribute");
  }
  template <class V> void set(cudnnBackendAttributeName_t name, V value) { set(name, {value}); }
  void set(cudnnBackendAttributeName_t name, const CudnnDescriptor& other) {
    const cudnnBackendDescriptor_t value = other.get();
    check(cudnnBackendSetAttribute(get(), name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value), "cudnnBackendSetAttribute");
  }
  void finalize() { check(cudnnBackendFinalize(get()), "cudnnBackendFinalize"); }

  /// The values of an attribute of a descriptor that was finalized, at most as many as there is room for.
  template <class V> std::span<V> get(cudnnBackendAttributeName_t name, std::span<V> room) const { return room.first(get(name, cudnn_attribute_type<V>(), room.size(), room.data())); }
  /// Descriptors are made before, and become what the attribute's values are: the first so many.
  std::size_t get(cudnnBackendAttributeName_t name, std::span<cudnnBackendDescriptor_t> made) const { return get(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, made.size(), made.data()); }
  std::int64_t number(cudnnBackendAttributeName_t name) const {
    std::int64_t value = 0;
    get(name, std::span(&value, 1));
    return value;
  }

 private:
  std::size_t get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::size_t room, void* values) const {
    std::int64_t count = 0;
    check(cudnnBackendGetAttribute(get(), name, type, std::int64_t(room), &count, values), "cudnnBackendGetAttribute");
    return std::min(room, std::size_t(count));
  }
  struct Destroy { void operator()(cudnnBackendDescriptor_t d) const { cudnnBackendDestroyDescriptor(d); } };
  std::unique_ptr<std::remove_pointer_t<cudnnBackendDescriptor_t>, Destroy> descriptor_;
};

/// cuDNN, for the GPU that is the current one.
class CudnnHandle {
 public:
  CudnnHandle() {
    cudnnHandle_t made = nullptr;
    check(cudnnCreate(&made), "cudnnCreate");
    handle_.reset(made);
  }
  cudnnHandle_t get() const { return handle_.get(); }

 private:
  struct Destroy { void operator()(cudnnHandle_t h) const { cudnnDestroy(h); } };
  std::unique_ptr<std::remove_pointer_t<cudnnHandle_t>, Destroy> handle_;
};

}  // namespace lamina::detail
