/// Losses. A loss is an aggregate of its options; its work is functors over the samples of a batch.
#pragma once
#include <cmath>
#include <vector>

#include "../core/device.hpp"
#include "../core/error.hpp"
#include "../core/layer.hpp"
#include "softmax.hpp"

namespace lamina {

/// What a loss is given, all of it in the memory of the device.
template <class T> struct LossStep {
  Index n, c;                   // samples, numbers of a sample
  Index total;                  // samples that the mean is taken over: those of the global batch
  const T* y;                   // (N, C)
  const std::int32_t* label;    // (N) or null
  const Master<T>* target;      // (N, C) or null
  const Master<T>* constants;   // what the loss uploaded
  Master<T>* loss;              // (N) share of each sample in the mean, times N
  T* dy;                        // (N, C) gradient of the mean; not where y is
  const Master<T>* norm;        // (1) where classes have weights: those of all labels together, in proportion to total
};

namespace detail {
template <class T> struct CrossEntropyOf {
  using M = Master<T>;
  LossStep<T> s;
  M smoothing;
  bool weighted;
  LAMINA_HD M share(Index i, Index k) const {                // of class k in the target of sample i, class weight included
    const M hard = s.target ? s.target[i * s.c + k] : M(k == s.label[i]);
    const M soft = hard * (M(1) - smoothing) + smoothing / M(s.c);
    return weighted ? soft * s.constants[k] : soft;
  }
  LAMINA_HD void operator()(Index i) const {
    using std::log;
    const T* logit = s.y + i * s.c;
    const M norm = weighted && !s.target ? *s.norm : M(s.total);
    if (norm == M(0)) {                        // nothing in the batch weighs anything
      for (Index k = 0; k < s.c; ++k) s.dy[i * s.c + k] = 0;
      s.loss[i] = 0;
      return;
    }
    T* const e = s.dy + i * s.c;
    const auto [top, sum] = exponentials(logit, s.c, e);
    const M log_sum = log(sum);
    M loss = 0, shares = 0;
    for (Index k = 0; k < s.c; ++k) {
      const M a = share(i, k);
      shares += a;
      if (a != M(0)) loss -= a * (logit[k] - top - log_sum);
    }
    for (Index k = 0; k < s.c; ++k) e[k] = (e[k] / sum * shares - share(i, k)) / norm;      // dy
    s.loss[i] = loss * M(s.total) / norm;
  }
};
template <class T> struct SquaredError {
  using M = Master<T>;
  LossStep<T> s;
  LAMINA_HD void operator()(Index i) const {
    M loss = 0;
    for (Index k = i * s.c; k < (i + 1) * s.c; ++k) {
      const M d = s.y[k] - (s.target ? s.target[k] : M(k - i * s.c == s.label[i]));
      loss += d * d;
      s.dy[k] = 2 * d / (M(s.total) * M(s.c));
    }
    s.loss[i] = loss / M(s.c);
  }
};
}  // namespace detail

/// -sum_k t[k] log softmax(y)[k], the mean over the batch; y (N, C) are logits. The softmax, the loss and its gradient are one pass. Targets are integer labels
/// (Keras's sparse categorical cross-entropy) or soft ones (categorical); smoothing a makes them t (1 - a) + a / C; with class weights the mean over labels is
/// the weighted one, as in PyTorch, that over soft targets the plain one of -sum_k weight[k] t[k] log softmax(y)[k], as there, and 0 where all weights of the batch are. Classes = 0 takes any number of them. Throws Error if class_weights are given and are not one for each class.
template <int Classes = 0> struct CrossEntropy {
  double smoothing = 0;                    // 0 to 1
  std::vector<double> class_weights = {};  // (C) or empty

  static constexpr bool takes_logits = true;
  static constexpr Shape accepts(Shape y) { return {Classes ? Classes : int(size(y))}; }
  [[gnu::cold]] std::vector<double> constants(Index c) const {
    if (!(smoothing >= 0 && smoothing <= 1)) throw Error("CrossEntropy: smoothing is ", smoothing, "; it is a share of the target, 0 to 1");
    if (!class_weights.empty() && Index(class_weights.size()) != c)
      throw Error("CrossEntropy: ", class_weights.size(), " class weights for ", c, " classes; give one for each class, in the order of the labels");
    double sum = 0;
    bool each = true;
    for (const double w : class_weights) each = each && w >= 0 && w < 1e30, sum += w;
    if (!class_weights.empty() && !(each && sum > 0)) throw Error("CrossEntropy: class weights are numbers from 0 up, and not all of them 0");
    return class_weights;
  }
  /// Bytes that the device's arena needs for it.
  template <class D, class T> Index arena(const D& dev, T, Index n, Index c) const {
    if constexpr (requires { cross_entropy_arena(dev, T(), n, c); }) return cross_entropy_arena(dev, T(), n, c);
    else return 0;
  }
  /// The same, where a device counts in the same kernel what the batches add up to.
  template <class D, class T, class Totals> requires requires(D& dev, const LossStep<T>& s, Totals* totals) { cross_entropy(dev, s, 1.0, true, totals); }
  void evaluate(D& dev, const LossStep<T>& s, Totals* totals) const { cross_entropy(dev, s, smoothing, !class_weights.empty(), totals); }
  template <class D, class T> void evaluate(D& dev, const LossStep<T>& s) const {
    parallel_for(dev, s.n, detail::CrossEntropyOf<T>{s, Master<T>(smoothing), !class_weights.empty()});
  }
};

/// The mean of (y - t)^2 over all numbers of the batch. Integer labels stand for one-hot targets.
struct MeanSquaredError {
  static constexpr Shape accepts(Shape y) { return y; }
  std::vector<double> constants(Index) const { return {}; }
  template <class D, class T> void evaluate(D& dev, const LossStep<T>& s) const { parallel_for(dev, s.n, detail::SquaredError<T>{s}); }
};

}  // namespace lamina
