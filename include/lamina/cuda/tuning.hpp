/// Which of several kernels that do the same work runs it: the one that is the quickest by an estimate, or, on a device that was told to tune, the one that was the quickest when they raced.
/// Whoever races gives the same bits: it adds up the same numbers in the same order. So nobody can tell from a result who ran, and a race may end otherwise than the last one did.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "../core/task.hpp"
#include "../core/text.hpp"
#include "../core/tuning.hpp"
#include "kernel.hpp"

namespace lamina {

/// What estimates go by: how many multiprocessors a GPU has, and bytes of shared memory of each and of the largest thread block. Those of an H100, unless a device says its own.
struct Processors { int count = 132, shared_bytes = 228 << 10, block_bytes = 227 << 10; };

/// Somebody who can do a work: a kernel of ours, or anybody who gives its bits; other bits only on a device that was told that any will do (cudnn.hpp).
struct Runner {
  const char* name;                    // no other runner of this work has it
  double cycles;                       // of the GPU's clock, by an estimate; infinite if this GPU cannot run it
};
/// What those who race have in common beside their work: the bits of what they make, or none.
enum class Bits { same, any };
/// A kernel, what it is run on, how many pictures, and through which window.
struct Work {
  std::string_view kernel;
  Shape in;
  int filters, n, window = 3, stride = 1, pad = 1;
  bool operator==(const Work&) const = default;
};

/// The races of a device, and who won.
class Tuner {
 public:
  /// `kept` is asked before a race is run, and told how it ended; it may be null.
  explicit Tuner(std::shared_ptr<Tuning> kept) : kept_(std::move(kept)) {}

  /// Who runs this work; launch(i) lets runner i run it, which writes what it makes and reads nothing of it. While a graph is recorded nobody races: the race is put off, and the estimate holds.
  template <class D> int winner(D& dev, const Work& work, std::span<const Runner> all, int estimate, detail::FunctionRef<int> launch) {
    for (const auto& [known, won] : won_)
      if (known == work) return won;
    if (dev.recording()) return estimate;
    return won_.emplace_back(work, settle(dev, work, all, estimate, launch)).second;
  }
  /// Who won this work's race, if there was one.
  int known(const Work& work, int otherwise) const {
    for (const auto& [known, won] : won_)
      if (known == work) return won;
    return otherwise;
  }

 private:
  static constexpr int rounds = 6, launches = 3;         // in each round every runner is timed while it is launched so many times; the first round is for getting warm

  template <class D> [[gnu::cold]] int settle(D& dev, const Work& work, std::span<const Runner> all, int estimate, detail::FunctionRef<int> launch) {
    std::vector<int> able;
    Race race{dev.described(), text(work.kernel, ", ", work.window, "x", work.window, " by ", work.stride, " of ", work.in, " with a border of ", work.pad, " to ", work.filters, " channels, ", work.n,
                                   work.n == 1 ? " picture" : " pictures").s, {}};
    for (int i = 0; i < int(all.size()); ++i)
      if (all[std::size_t(i)].cycles < std::numeric_limits<double>::infinity()) able.push_back(i), race.runners.push_back(all[std::size_t(i)].name);
    if (able.size() < 2) return able.empty() ? estimate : able[0];
    if (const int won = kept_ ? kept_->winner(race) : -1; won >= 0) return able.at(std::size_t(won));

    std::vector<std::vector<double>> times(able.size());
    for (int round = 0; round < rounds; ++round)         // in turns: whatever else the GPU does meanwhile hinders all of them
      for (std::size_t i = 0; i < able.size(); ++i) {
        launch(able[i]);                                 // keeps the GPU busy until those that count are there
        const double seconds = dev.seconds([&] { for (int k = 0; k < launches; ++k) launch(able[i]); });
        if (round > 0) times[i].push_back(seconds / launches);
      }
    std::vector<double> medians;
    for (auto& t : times) {
      std::sort(t.begin(), t.end());
      medians.push_back(t[t.size() / 2]);
    }
    const int won = int(std::min_element(medians.begin(), medians.end()) - medians.begin());
    if (kept_) kept_->keep(race, won, medians);
    return able[std::size_t(won)];
  }

  std::shared_ptr<Tuning> kept_;
  std::vector<std::pair<Work, int>> won_;
};

/// A device that can be told to tune(): tuner() is null until it was. It says what it is, described(), whether it is recording(), and how many seconds() what f() launches takes.
template <class D> concept Tunes = requires(D& d) {
  { d.tuner() } -> std::same_as<Tuner*>;
};

namespace detail {
template <class D> Processors processors_of(const D& dev) {
  if constexpr (requires { dev.processors(); }) return dev.processors();
  else return {};
}

/// Cycles of a warp for the products of sixteen terms with all of its sums, `patches` of 16 rows by `columns`: an instruction for each 16 x 8 of them, and the reads of its factors.
constexpr double warp_cycles(int patches, int columns) { return patches * columns / 8 * 1.5 + (patches + columns / 16) * 4.; }

/// What a thread block does: cycles of its warps, one after another; bytes that it copies; patches that are at work at a time; and what it occupies.
struct BlockWork {
  double products, bytes;
  int patches, threads, registers, shared_bytes, least;      // registers of a lane; blocks that a multiprocessor holds at least
};
/// About how many clock cycles so many of them take, after the figures of an H100: what the busiest multiprocessor multiplies and copies, and for each turn of its blocks the time until the first
/// numbers have come. Infinite if a block does not fit.
inline double launch_cycles(const BlockWork& b, double blocks, const Processors& p) {
  if (b.shared_bytes > p.block_bytes) return std::numeric_limits<double>::infinity();
  constexpr double bytes_of_cycle = 24, latency = 1500, busy_patches = 16;
  const int by_registers = std::max(65536 / (std::min(b.registers, 255) * b.threads), b.least), held = std::max(1, std::min({p.shared_bytes / (b.shared_bytes + 1024), 2048 / b.threads, by_registers}));
  const double of_processor = std::ceil(blocks / p.count), turns = std::ceil(of_processor / held), busy = std::min(1., std::min(of_processor, double(held)) * b.patches / busy_patches);
  return of_processor * (b.products / busy + b.bytes / bytes_of_cycle) + turns * latency;
}

/// The quickest by the estimate, which has been wrong by a fourth: the first, unless another is a fifth below it.
inline int estimated(std::span<const Runner> all, int first = 0) {
  int best = first;
  for (int i = 0; i < int(all.size()); ++i)
    if (all[std::size_t(i)].cycles < (best == first ? 0.8 : 1) * all[std::size_t(best)].cycles) best = i;
  return best;
}
template <class D> int chosen(D& dev, const Work& work, std::span<const Runner> all, FunctionRef<int> launch, int first = 0) {
  const int estimate = estimated(all, first);
  if constexpr (Tunes<D>)
    if (Tuner* const tuner = dev.tuner()) return tuner->winner(dev, work, all, estimate, launch);
  return estimate;
}
}  // namespace detail

}  // namespace lamina
