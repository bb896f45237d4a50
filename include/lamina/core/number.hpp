/// Numbers in formulas that may be given several at once.
#pragma once
#include <cmath>

#include "macros.hpp"

namespace lamina {

/// T is a number, or a vector of them with the operators of numbers (which a device specialises this for).
template <class T> struct Number {
  using Scalar = T;
  static constexpr int lanes = 1;
  LAMINA_HD static T root(T v) {
    using std::sqrt;
    return sqrt(v);
  }
};

}  // namespace lamina
