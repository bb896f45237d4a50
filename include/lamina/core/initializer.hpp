/// What the weights of a network begin with.
#pragma once
#include <cmath>

#include "random.hpp"

namespace lamina {

/// Named as the frameworks name them; fan in and fan out count the numbers that meet in one output, and the outputs that one input reaches.
enum class Init {
  glorot_uniform,   // U(+-sqrt(6 / (in + out))): Glorot and Bengio 2010; what Keras does by default
  glorot_normal,    // N(0, 2 / (in + out)), cut at two deviations as Keras cuts it
  he_uniform,       // U(+-sqrt(6 / in)): He et al. 2015
  he_normal,        // N(0, 2 / in), cut at two deviations as Keras cuts it
  torch,            // U(+-sqrt(1 / in)) for weights and biases: kaiming_uniform(a = sqrt 5), what PyTorch's Conv2d and Linear do
};

/// Fills the tensors of one layer.
struct Initializer {
  Init kind = Init::he_uniform;
  Random random;                          // the stream of this layer

  /// w (count) with fan_in and fan_out, and its bias b (biases) or null; biases begin with 0 but for Init::torch.
  [[gnu::cold]] void fill(float* w, Index count, Index fan_in, Index fan_out, float* b, Index biases) const {
    const double in = double(fan_in), out = double(fan_out);
    switch (kind) {
      case Init::glorot_uniform: uniform(w, count, std::sqrt(6 / (in + out))); break;
      case Init::glorot_normal: normal(w, count, std::sqrt(2 / (in + out))); break;
      case Init::he_uniform: uniform(w, count, std::sqrt(6 / in)); break;
      case Init::he_normal: normal(w, count, std::sqrt(2 / in)); break;
      case Init::torch:
        uniform(w, count, std::sqrt(1 / in));
        if (b) uniform(b, biases, std::sqrt(1 / in), count);
        break;
    }
  }

 private:
  void uniform(float* w, Index count, double bound, Index first = 0) const {
    for (Index i = 0; i < count; ++i) w[i] = float(random.uniform(first + i, -bound, bound));
  }
  /// A normal cut at two deviations has 0.8796 of the deviation, hence the division.
  void normal(float* w, Index count, double deviation) const {
    for (Index i = 0, draw = 0; i < count; ++draw)
      if (const double v = random.normal(draw); std::abs(v) <= 2) w[i++] = float(v * deviation / 0.87962566103423978);
  }
};

}  // namespace lamina
