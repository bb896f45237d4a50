/// What a loss whose classes have weights divides by.
#pragma once
#include <algorithm>
#include <vector>

#include "../core/batch.hpp"
#include "../core/shares.hpp"

namespace lamina::detail {

template <class Loss> concept HasClassWeights = requires(const Loss& loss) { { loss.class_weights } -> std::convertible_to<const std::vector<double>&>; };

/// The sum of the weights of a batch's labels. It is made of how many labels there are of each class, so it has the same bits whoever counts them, and in any order.
template <class Loss, class M> class SumOfWeights {
 public:
  SumOfWeights(const Loss&, const Replica&) {}
};

template <HasClassWeights Loss, class M> class SumOfWeights<Loss, M> {
 public:
  SumOfWeights(const Loss& loss, const Replica& r) : weights_(loss.class_weights), here_(weights_.size() * std::size_t(r.count)), all_(weights_.size() * std::size_t(r.of)) {}
  /// Of the whole batch of which b may be a part, times total / its samples, or null where nothing has weights.
  const M* of(const Batch& b, Index total, const Replica& r) {
    if (weights_.empty() || b.target) return nullptr;
    const std::size_t classes = weights_.size();
    std::fill(here_.begin(), here_.end(), 0.0);
    for (Index i = 0; i < b.n; ++i) here_[std::size_t(b.label[i])] += 1;      // which share has them does not matter
    const bool parts = b.whole && r.gather_on_host;
    if (parts) r.gather_on_host(r.replicas, here_.data(), here_.size() * sizeof(double), all_.data());
    const std::vector<double>& counts = parts ? all_ : here_;
    double sum = 0;
    for (std::size_t k = 0; k < classes; ++k) {
      double count = 0;
      for (std::size_t i = k; i < counts.size(); i += classes) count += counts[i];
      sum += count * weights_[k];
    }
    sum_ = M(sum * (double(total) / double(whole(b))));
    return &sum_;
  }

 private:
  std::vector<double> weights_, here_, all_;      // (classes), (shares here, classes), (shares, classes)
  M sum_ = 0;
};

}  // namespace lamina::detail
