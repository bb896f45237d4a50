/// A task for one of several threads.
#pragma once
#include <memory>

#include "shape.hpp"

namespace lamina::detail {

/// f(task) by reference, whatever the type of f: what shares tasks out among threads is compiled for this type alone.
class TaskRef {
 public:
  template <class F> TaskRef(const F& f) : f_(std::addressof(f)), call_([](const void* p, Index task) { (*static_cast<const F*>(p))(task); }) {}
  void operator()(Index task) const { call_(f_, task); }

 private:
  const void* f_;
  void (*call_)(const void*, Index);
};

}  // namespace lamina::detail
