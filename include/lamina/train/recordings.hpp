/// Passes of a model, kept as a device records them: what is launched for one batch is launched for the next of the same size too.
#pragma once
#include <algorithm>
#include <utility>
#include <vector>

#include "../core/device.hpp"

namespace lamina::detail {

enum class Pass { forward, backward, learn, step, inference, evaluation };

/// What the launches of a pass are a function of, beside the model: where all of it is the same, so are they.
struct PassKey {
  Pass pass;
  Index optimizer = 0;                     // its id, or 0
  Index n = 0, whole = 0, total = 0, first = 0;       // samples here, of the batch, and of those that share a mean; the place of the first
  const void *x = nullptr, *labels = nullptr, *targets = nullptr;        // where they lie
  const void* arena = nullptr;             // of the device, which another model may have made larger
  bool operator==(const PassKey&) const = default;
};

/// Of a device that records nothing.
template <class D> class Recordings {
 public:
  template <class F> void play(D&, const PassKey&, const F& f) { f(); }
};

/// Launches f() the first time, records it the second, and replays what was recorded from then on.
template <Records D> class Recordings<D> {
 public:
  template <class F> void play(D& dev, PassKey key, const F& f) {
    key.arena = dev.arena();
    for (auto& [known, graph] : graphs_)
      if (known == key) return dev.replay(graph);
    if (std::find(once_.begin(), once_.end(), key) == once_.end()) {
      if (once_.size() == most) once_.erase(once_.begin());
      return once_.push_back(key), f();
    }
    if (graphs_.size() == most) graphs_.erase(graphs_.begin());
    graphs_.emplace_back(key, dev.record(f));
    dev.replay(graphs_.back().second);
  }

 private:
  static constexpr std::size_t most = 256;  // then the oldest goes: a key may be of an optimizer that is no more, and never come again
  std::vector<std::pair<PassKey, typename D::Graph>> graphs_;
  std::vector<PassKey> once_;              // what was launched once
};

}  // namespace lamina::detail
