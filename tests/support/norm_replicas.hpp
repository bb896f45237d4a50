/// What replicas make of a batch norm, beside what one device makes of the whole batch.
#pragma once
#include <doctest/doctest.h>

#include "replicas.hpp"

namespace lamina_test {

/// Each has y and dx of its samples, its part of dw, and the running values and statistics (batch) of all.
template <class Trained> void check_joined(const std::vector<Trained>& apart, const Trained& whole) {
  decltype(whole.y) y;
  decltype(whole.dx) dx;
  std::vector<decltype(whole.dw)> dw;
  for (const Trained& r : apart) {
    CHECK(r.running == whole.running);
    CHECK(r.batch == whole.batch);
    y.insert(y.end(), r.y.begin(), r.y.end()), dx.insert(dx.end(), r.dx.begin(), r.dx.end()), dw.push_back(r.dw);
  }
  CHECK(y == whole.y);
  CHECK(dx == whole.dx);
  CHECK(sum_of_ranks(dw) == whole.dw);
}

}  // namespace lamina_test
