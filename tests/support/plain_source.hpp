/// A source of batches that does what every source does, and nothing more.
#pragma once
#include <lamina/core/batch.hpp>

namespace lamina_test {

/// The batches of another, which says nothing of pictures, of portions and of what it hands out.
template <class S> struct PlainSource {
  S& source;
  lamina::Shape shape() const { return source.shape(); }
  lamina::Index samples() const { return source.samples(); }
  lamina::Index batches() const { return source.batches(); }
  lamina::Index batch_size() const { return source.batch_size(); }
  void start(lamina::Index epoch, lamina::Index first_batch) { source.start(epoch, first_batch); }
  bool next(lamina::Batch& b) { return source.next(b); }
};

}  // namespace lamina_test
