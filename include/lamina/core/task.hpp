/// A task for one of several threads.
#pragma once
#include <memory>

#include "shape.hpp"

namespace lamina::detail {

/// f(args...) by reference, whatever the type of f: what is given one is compiled once.
template <class... Args> class FunctionRef {
 public:
  template <class F> FunctionRef(const F& f) : f_(std::addressof(f)), call_([](const void* p, Args... args) { (*static_cast<const F*>(p))(args...); }) {}
  void operator()(Args... args) const { call_(f_, args...); }

 private:
  const void* f_;
  void (*call_)(const void*, Args...);
};
using TaskRef = FunctionRef<Index>;          // what shares tasks out among threads takes f(task) as one

}  // namespace lamina::detail
