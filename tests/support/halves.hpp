/// A source of batches made up on the spot: noise with one brighter half, label 0 for the left and 1 for the right.
#pragma once
#include <vector>

#include <lamina/core/batch.hpp>
#include <lamina/core/random.hpp>

namespace lamina_test {

class Halves {
 public:
  Halves(lamina::Index samples, lamina::Index batch, std::uint64_t seed) : samples_(samples), batch_(batch), seed_(seed), x_(std::size_t(batch * 64)), label_(std::size_t(batch)) {}
  lamina::Shape shape() const { return {8, 8, 1}; }
  lamina::Index samples() const { return samples_; }
  lamina::Index batches() const { return (samples_ + batch_ - 1) / batch_; }
  lamina::Index batch_size() const { return batch_; }
  void start(lamina::Index epoch, lamina::Index first) { epoch_ = epoch, at_ = first; }
  bool next(lamina::Batch& b) {
    if (at_ == batches()) return false;
    const lamina::Index first = at_++ * batch_, n = first + batch_ < samples_ ? batch_ : samples_ - first;
    for (lamina::Index i = 0; i < n; ++i) {
      const lamina::Random r(seed_, lamina::Stream::picture, std::uint32_t(first + i), std::uint32_t(epoch_));
      label_[std::size_t(i)] = r(64) < 0.5;
      for (int p = 0; p < 64; ++p) x_[std::size_t(i * 64 + p)] = float(r(p) + (p % 8 / 4 == label_[std::size_t(i)] ? 0.5 : 0));
    }
    b = {.n = n, .first = first, .x = x_.data(), .label = label_.data()};
    return true;
  }

 private:
  lamina::Index samples_, batch_, epoch_ = 0, at_ = 0;
  std::uint64_t seed_;
  std::vector<float> x_;
  std::vector<std::int32_t> label_;
};

}  // namespace lamina_test
