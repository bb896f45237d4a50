/// Running a model over a whole source of batches without learning from it.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "../core/batch.hpp"
#include "metrics.hpp"
#include "model.hpp"
#include "replicas.hpp"

namespace lamina {

/// What a model says of every sample of a source, in the order of the source.
struct Evaluation {
  double loss = 0, accuracy = 0;            // means over the samples
  Index classes = 0;
  std::vector<float> scores = {};           // (N, classes)
  std::vector<std::int32_t> truth = {};     // (N)
  Confusion confusion = {};
  Index samples() const { return Index(truth.size()); }
  const float* of(Index sample) const { return scores.data() + sample * classes; }
  std::int32_t predicted(Index sample) const { return std::int32_t(std::max_element(of(sample), of(sample) + classes) - of(sample)); }
};

/// softmax of one row of scores (C).
inline std::vector<double> softmax(const float* scores, Index c) {
  const double top = double(*std::max_element(scores, scores + c));
  std::vector<double> p(static_cast<std::size_t>(c));
  double sum = 0;
  for (Index k = 0; k < c; ++k) sum += p[std::size_t(k)] = std::exp(double(scores[k]) - top);
  for (double& v : p) v /= sum;
  return p;
}

namespace detail {
/// Throws unless a source has samples of the network's shape and, where it names its classes, as many.
template <class M, BatchSource S> [[gnu::cold]] void check_source(M& model, const S& source) {
  const Shape input = model.program().input;
  const Index classes = size(model.program().output);
  if (source.shape() != input) throw Error("the pictures are ", source.shape(), " and the network takes ", input, ": give the iterator that size");
  if (source.samples() < 1) throw Error("a source of batches has no samples: nothing can be learned or measured");
  if constexpr (requires { source.classes().size(); })
    if (Index(source.classes().size()) != classes)
      throw Error("the pictures are of ", source.classes().size(), " classes and the network tells ", classes, " apart: end it with Dense<", source.classes().size(), ">");
}

/// While it lives a source hands out pictures as bytes, if it can and the device of the model changes them itself.
template <class M, BatchSource S> class HandsOutPictures {
  static constexpr bool whether = M::takes_pictures && PictureSource<S>;

 public:
  HandsOutPictures(S& source, const M& model) : source_(source) {
    if constexpr (whether) before_ = source.hand_out_pictures(&model);
  }
  HandsOutPictures(const HandsOutPictures&) = delete;
  HandsOutPictures& operator=(const HandsOutPictures&) = delete;
  ~HandsOutPictures() {
    if constexpr (whether) source_.hand_out_pictures(before_);
  }

 private:
  [[maybe_unused]] S& source_;
  [[maybe_unused]] const void* before_ = nullptr;
};

template <class M, BatchSource S> [[gnu::cold]] Evaluation evaluate_base(M& model, S& source) {
  check_source(model, source);
  const HandsOutPictures<M, S> as_bytes(source, model);
  const Divides<M, S> divided(source, model);
  if constexpr (ReplicatedModel<M>) model.settle();
  const Index c = size(model.program().output);
  Evaluation e{.classes = c, .confusion = Confusion(c)};
  std::vector<typename M::Number> scores;
  std::vector<Index> batches;               // samples of each
  const Totals before = model.totals();
  model.reset_totals();
  source.start(0, 0);
  for (Batch handed_out; source.next(handed_out);) {
    const Batch b = part_of(model, handed_out);
    batches.push_back(whole(b));
    const auto* y = model.evaluate(b);
    scores.resize(std::size_t(b.n * c));
    model.device().download(scores.data(), y, scores.size() * sizeof scores[0]);
    e.scores.insert(e.scores.end(), scores.begin(), scores.end());
    for (Index i = 0; i < b.n; ++i) e.truth.push_back(b.target ? std::int32_t(std::max_element(b.target + i * c, b.target + (i + 1) * c) - (b.target + i * c)) : b.label[i]);
  }
  exchange(model, false);
  const Totals t = model.totals();
  model.reset_totals(before);
  if constexpr (ReplicatedModel<M>) model.gather(e.scores, c, batches, "scores"), model.gather(e.truth, 1, batches, "labels");
  for (Index i = 0; i < e.samples(); ++i) e.confusion.add(e.truth[std::size_t(i)], e.predicted(i));
  e.loss = t.samples ? t.loss() / double(t.samples) : 0;
  e.accuracy = t.samples ? double(t.correct) / double(t.samples) : 0;
  return e;
}
}  // namespace detail

namespace detail {
template <class S> struct Evaluates {
  static_assert(hands_out<S, EvaluationView>(), "pictures are evaluated as they are and in their order: give an EvaluationIterator, and not what changes and shuffles them for training");
};
}  // namespace detail

/// One pass over a source whose samples have labels. Throws what the source throws, and Error if its pictures or classes are not the model's.
template <class M, BatchSource S> Evaluation evaluate(M& model, S& source) {
  [[maybe_unused]] constexpr detail::Evaluates<S> as_they_are{};
  return detail::evaluate_base(model.base(), source);
}

}  // namespace lamina
