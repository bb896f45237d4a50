/// How long a training step of N replicas takes, by few numbers: what a sample costs, what a message costs, what a byte costs.
#pragma once
#include <lamina/nn/program.hpp>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "parts.hpp"

namespace bench {

/// A message of so many bytes takes alpha + bytes / beta (Hockney 1994, "The communication challenge for MPP").
struct Link {
  double alpha = 0;                        // seconds
  double beta = 1e30;                      // bytes a second, there and back at once
};

/// Parts of a byte that each of N ranks sends in a ring, to add up or to hand round: N - 1 messages of 1/N each.
inline double ring_half(const Link& link, int ranks, double bytes) { return (ranks - 1) * link.alpha + (ranks - 1.0) / ranks * bytes / link.beta; }
/// Sum in a ring, handed round: 2 (N - 1) alpha + 2 (N - 1) / N bytes / beta. No other way sends less (Patarasuk and Yuan 2009, "Bandwidth optimal all-reduce algorithms for clusters of workstations").
/// The communicators of include/lamina/parallel send as many bytes in as many messages, each of the N - 1 to another rank.
inline double ring(const Link& link, int ranks, double bytes) { return 2 * ring_half(link, ranks, bytes); }
/// Two trees, each for half of the bytes, in a pipeline: 2 log2(N) alpha + 2 bytes / beta (Sanders, Speck and Traeff 2009, "Two-tree algorithms for full bandwidth broadcast, reduction and scan"; NCCL has
/// it since 2.4).
inline double trees(const Link& link, int ranks, double bytes) { return ranks > 1 ? 2 * std::ceil(std::log2(ranks)) * link.alpha + 2 * bytes / link.beta : 0; }

/// Links within a machine and between machines.
struct Machines {
  int ranks = 1;                           // of one machine
  double start = 0;                        // seconds before the first message of a sum
  Link within, between;

  /// Within one machine by a ring. Of several each rank adds up its part within its machine, then with the ranks that have the same part elsewhere, by a ring or by trees as is shorter, and hands it round
  /// within (as NCCL and Horovod do, and Thakur, Rabenseifner and Gropp 2005, "Optimization of collective communication operations in MPICH", for two levels of one).
  double all_reduce(int n, double bytes) const {
    if (n <= ranks) return start + ring(within, n, bytes);
    const int machines = (n + ranks - 1) / ranks;
    return start + 2 * ring_half(within, ranks, bytes) + std::min(ring(between, machines, bytes / ranks), trees(between, machines, bytes / ranks));
  }
};

/// The line a + b x with the smallest sum of ((a + b x - y) / y)^2: the errors of small and of large y count alike.
struct Line { double a = 0, b = 0; };
inline Line least_squares(std::span<const double> x, std::span<const double> y) {
  double w = 0, wx = 0, wy = 0, wxx = 0, wxy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double weight = 1 / (y[i] * y[i]);
    w += weight, wx += weight * x[i], wy += weight * y[i], wxx += weight * x[i] * x[i], wxy += weight * x[i] * y[i];
  }
  const double b = (w * wxy - wx * wy) / (w * wxx - wx * wx);
  return {(wy - b * wx) / w, b};
}
/// The link with which a ring of so many ranks takes a + b bytes.
inline Link link_of(const Line& line, int ranks) { return {std::max(line.a, 0.0) / (2 * (ranks - 1)), 2 * (ranks - 1.0) / ranks / line.b}; }

/// Gradients that are added together, and how much of backward is done when they are there: what DataParallel begins at a time (Li et al. 2020, "PyTorch Distributed", calls it a bucket).
struct Bucket { double bytes = 0, ready = 0; };
/// Those of DataParallel with so many parameters at least. Layers take their share of backward by their operations.
inline std::vector<Bucket> buckets(const lamina::ProgramView<lamina::Cpu, float>& program, lamina::Index least) {
  double all = 0, done = 0;
  for (const auto& layer : program.layers) all += direct_flops(layer, true);
  std::vector<Bucket> found;
  lamina::Index end = program.parameters;
  for (std::size_t i = program.layers.size(); i-- > 0;) {
    const auto& layer = program.layers[i];
    done += direct_flops(layer, true);
    if (layer.place.parameters && end - layer.w >= least) found.push_back({4.0 * double(end - layer.w), done / all}), end = layer.w;
  }
  if (end > 0) found.push_back({4.0 * double(end), 1});
  return found;
}

/// What a replica computes in a step of n samples.
struct Compute {
  double fixed = 0, sample = 0;            // seconds: the optimizer and what else is once a step, and one sample
  double seconds(double n) const { return fixed + sample * n; }
  /// Backward has two of three parts of the operations of a sample.
  double backward(double n) const { return sample * n * 2 / 3; }
};

/// One step of n replicas with so many samples each: T = compute + exposed. Where communication goes on beside backward each bucket begins when its gradients are there and the one before is done, and
/// exposed is what is left of the last when backward ends; where it does not, as where the cores that would communicate compute, it is the sum of all.
inline double predicted_step(const Compute& compute, const Machines& machines, const std::vector<Bucket>& buckets, int n, double samples, bool beside) {
  const double backward = compute.backward(samples);
  double end = 0, sum = 0;
  for (const Bucket& b : buckets) {
    const double seconds = machines.all_reduce(n, b.bytes);
    sum += seconds, end = std::max(end, b.ready * backward) + seconds;
  }
  return compute.seconds(samples) + (beside ? std::max(0.0, end - backward) : sum);
}

}  // namespace bench
