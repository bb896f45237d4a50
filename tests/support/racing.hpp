/// A device on which kernels that do the same work race, as they do on Cuda, and who won without a race.
#pragma once
#include "gpu.hpp"

#include <lamina/core/tuning.hpp>

#include <algorithm>
#include <memory>

namespace lamina_test {

struct Racing : Gpu {
  using Gpu::Gpu;
  explicit Racing(Gpu of) : Gpu(std::move(of)) {}
  static constexpr bool races = true;
  Racing fork() { return Racing(Gpu::fork()); }
};

/// Knows of every race that runner `which` won it, and how often it was asked.
struct Always : lamina::Tuning {
  int which, asked = 0;
  explicit Always(int runner) : which(runner) {}
  int winner(const lamina::Race& race) override { return ++asked, std::min(which, int(race.runners.size()) - 1); }
  void keep(const lamina::Race&, int, const std::vector<double>&) override { throw lamina::Error("nobody should have raced"); }
};

}  // namespace lamina_test
