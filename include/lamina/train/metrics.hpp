/// Metrics of a classifier, counted on the host.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "../core/error.hpp"

namespace lamina {

/// Which values of a metric are the better ones: of a loss the small, of an accuracy the large.
enum class Mode { min, max };

/// The mean of what was added, each with its weight, in double. No values have the mean 0.
struct Mean {
  double sum = 0, weight = 0;
  void add(double value, double w = 1) { sum += w * value, weight += w; }
  double value() const { return weight > 0 ? sum / weight : 0; }
};

/// How often each class was taken for each: row = truth, column = predicted. Precision, recall, F1 and their macro averages are scikit-learn's
/// (precision_recall_fscore_support); 0 divided by 0 is 0.
class Confusion {
 public:
  Confusion() = default;
  /// Throws Error if there are fewer than one class.
  explicit Confusion(Index classes) : classes_(classes) {
    if (classes < 1) throw Error("a confusion matrix of ", classes, " classes: it needs at least one");
    counts_.assign(std::size_t(classes * classes), 0);
  }

  /// Throws Error if one of them is not in 0 ... classes - 1.
  void add(Index truth, Index predicted) {
    for (Index k : {truth, predicted})
      if (k < 0 || k >= classes_) throw Error("class ", k, " in a confusion matrix of ", classes_, " classes: they are numbered from 0");
    ++counts_[place(truth, predicted)];
  }
  /// Adds what another one has counted. Throws Error if it has other classes.
  Confusion& operator+=(const Confusion& other) {
    if (other.classes_ != classes_) throw Error("adding a confusion matrix of ", other.classes_, " classes to one of ", classes_);
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    return *this;
  }

  Index classes() const { return classes_; }
  Index count(Index truth, Index predicted) const { return counts_[place(truth, predicted)]; }
  /// Samples in all; with that truth; with that prediction; and rightly predicted.
  Index total() const { return sum([&](Index k) { return support(k); }); }
  Index support(Index k) const { return sum([&](Index j) { return count(k, j); }); }
  Index predicted(Index k) const { return sum([&](Index j) { return count(j, k); }); }
  Index correct() const { return sum([&](Index k) { return count(k, k); }); }

  /// correct / total
  double accuracy() const { return ratio(correct(), total()); }
  /// Of what was predicted to be class k, the part that is.
  double precision(Index k) const { return ratio(count(k, k), predicted(k)); }
  /// Of what is class k, the part that was predicted to be.
  double recall(Index k) const { return ratio(count(k, k), support(k)); }
  /// 2 precision recall / (precision + recall) = 2 count(k, k) / (support + predicted)
  double f1(Index k) const { return ratio(2 * count(k, k), support(k) + predicted(k)); }

  /// Plain means over the classes that occur, be it as truth or as prediction: scikit-learn's average = "macro".
  double macro_precision() const { return macro([&](Index k) { return precision(k); }); }
  double macro_recall() const { return macro([&](Index k) { return recall(k); }); }
  double macro_f1() const { return macro([&](Index k) { return f1(k); }); }

 private:
  static double ratio(Index a, Index b) { return b ? double(a) / double(b) : 0; }
  std::size_t place(Index truth, Index predicted) const { return std::size_t(truth * classes_ + predicted); }
  template <class F> Index sum(F f) const {
    Index s = 0;
    for (Index k = 0; k < classes_; ++k) s += f(k);
    return s;
  }
  template <class F> double macro(F f) const {
    Mean mean;
    for (Index k = 0; k < classes_; ++k) if (support(k) + predicted(k)) mean.add(f(k));
    return mean.value();
  }

  Index classes_ = 0;
  std::vector<Index> counts_;    // (truth, predicted)
};

/// The place of the true class when the classes are sorted by score, the best first: 0 if it is the best. Of equal scores the lower class comes first, as for
/// the predicted class; a score that is no number never helps.
template <class T> Index rank_of(const T* scores, Index classes, Index truth) {
  const T own = scores[truth];
  Index ahead = 0;
  for (Index k = 0; k < classes; ++k)
    if (k < truth ? !(scores[k] < own) : k > truth && !(scores[k] <= own)) ++ahead;
  return ahead;
}

/// The part of n samples whose true class is among the k best scores. scores (n, classes), truth (n); 0 for no samples.
/// Throws Error if k is not in 1 ... classes or a truth is not in 0 ... classes - 1.
template <class T> double top_k_accuracy(const T* scores, const std::int32_t* truth, Index n, Index classes, Index k) {
  if (k < 1 || k > classes) throw Error("top-", k, " accuracy of ", classes, " classes: k is 1 to ", classes);
  Mean hits;
  for (Index i = 0; i < n; ++i) {
    if (truth[i] < 0 || truth[i] >= classes)
      throw Error("sample ", i, " is said to be of class ", truth[i], ", and there are ", classes, " classes, numbered from 0");
    hits.add(rank_of(scores + i * classes, classes, Index(truth[i])) < k);
  }
  return hits.value();
}

}  // namespace lamina
