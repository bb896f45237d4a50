/// What bench_parallel found, as tables and a chart.
#pragma once
#include <fstream>

#include "parallel_chart.hpp"
#include "parallel_ways.hpp"
#include "scaling_model.hpp"

namespace bench {

/// Assumed of GPUs: see bench_parallel.cpp.
struct Gpus {
  Compute compute{67e-6, 1.39e-6};
  Machines machines{8, 10e-6, {1.9e-6, 450e9}, {8.5e-6, 50e9}};
};

/// Seconds of an all_reduce of so many floats, in each round.
struct Sums {
  int ranks;
  std::vector<lamina::Index> counts;
  std::vector<std::vector<double>> rounds;
};

struct Measured {
  ParallelWork work;
  std::vector<Way> ways;
  std::vector<std::vector<StepSeconds>> rounds;      // of each way
  std::vector<Sums> sums;
  std::vector<Bucket> buckets;
  lamina::Index parameters = 0;
};

inline double quantile(std::vector<double> x, double part) {
  std::sort(x.begin(), x.end());
  const double at = part * double(x.size() - 1);
  const auto below = std::size_t(at);
  return x[below] + (at - double(below)) * (x[std::min(below + 1, x.size() - 1)] - x[below]);
}
inline double quantile(const std::vector<StepSeconds>& steps, double StepSeconds::* part, double at) {
  std::vector<double> x;
  for (const StepSeconds& s : steps) x.push_back(s.*part);
  return quantile(x, at);
}

/// Text in columns.
struct TextTable {
  std::vector<std::string> head;
  std::vector<std::vector<std::string>> rows = {};
  std::size_t words = 1;                 // columns at the left that are no numbers

  std::string text(bool markdown) const {
    std::vector<std::size_t> width;
    for (const std::string& s : head) width.push_back(s.size());
    for (const auto& row : rows)
      for (std::size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], row[i].size());
    const auto line = [&](const std::vector<std::string>& row) {
      std::string s;
      for (std::size_t i = 0; i < row.size(); ++i) {
        const std::string room(width[i] - row[i].size(), ' ');
        s += markdown ? "| " + row[i] + " " : (i ? "  " : "") + (i < words ? row[i] + room : room + row[i]);
      }
      return s + (markdown ? "|\n" : "\n");
    };
    std::string s = line(head);
    if (markdown) {
      for (std::size_t i = 0; i < head.size(); ++i) s += i < words ? "|---" : "|--:";
      s += "|\n";
    }
    for (const auto& row : rows) s += line(row);
    return s;
  }
};

class ParallelReport {
 public:
  ParallelReport(const Measured& m, const char* transport, const Gpus& gpus) : m_(m), transport_(transport), gpus_(gpus) {}

  void write() {
    const ParallelWork& work = m_.work;
    const std::string side = std::to_string(work.size);
    std::string title = work.net + " " + side + " x " + side + ", batch " + std::to_string(work.batch);
    if (work.rounds)
      title += ", threads of a replica " + std::to_string(work.threads) + ", replicas by " + transport_ + ", data in " + work.data + ", " + std::to_string(work.rounds) + " rounds of " +
               std::to_string(work.steps) + " steps";
    title += "\n\n";
    const auto all = [&](bool markdown) {
      if (!m_.work.rounds) return title + assumed() + prediction().text(markdown);
      const std::string measured = steps().text(markdown) + "\n" + footnotes(markdown) + "\n" + links().text(markdown) + "\n";
      return title + measured + model() + check().text(markdown) + "\n" + assumed() + prediction().text(markdown);
    };
    std::fputs(all(false).c_str(), stdout);
    if (!m_.work.markdown.empty()) put(m_.work.markdown, all(true));
    if (!m_.work.rounds) return;
    if (!m_.work.csv.empty()) {
      const bool begun = std::ifstream(m_.work.csv).peek() != EOF;
      const char* const head = "transport,net,size,data,threads,scaling,kind,replicas,batch,round,step_ms,data_ms,forward_ms,backward_ms,update_ms,waited_ms,processor_ms,others\n";
      put(m_.work.csv, (begun ? "" : head) + csv(), std::ios::app);
    }
    if (!m_.work.svg.empty()) put(m_.work.svg, chart());
  }

 private:
  static std::string number(double v, int digits) { return lamina::detail::html::fixed(v, digits); }
  static void put(const std::string& path, const std::string& text, std::ios::openmode mode = std::ios::out) {
    std::ofstream file(path, mode);
    file << text;
    if (!file.flush()) throw lamina::Error("cannot write ", path);
  }
  /// Rounds in which other programs left a way, or two, the machine; all of them if these are few.
  std::vector<std::size_t> quiet(std::size_t way, std::size_t other) const {
    std::vector<std::size_t> rounds, all;
    for (std::size_t r = 0; r < m_.rounds[way].size(); ++r) {
      all.push_back(r);
      if (std::max(m_.rounds[way][r].others, m_.rounds[other][r].others) <= most_of_others) rounds.push_back(r);
    }
    return rounds.size() >= 3 ? rounds : all;
  }
  double seconds(std::size_t way, double StepSeconds::* part, double at) const {
    std::vector<double> x;
    for (const std::size_t r : quiet(way, way)) x.push_back(m_.rounds[way][r].*part);
    return quantile(x, at);
  }
  double median(std::size_t way, double StepSeconds::* part = &StepSeconds::step) const { return seconds(way, part, 0.5); }
  /// The first way for which f holds; as many as there are ways, if there is none.
  template <class F> std::size_t find(const F& f) const { return std::size_t(std::find_if(m_.ways.begin(), m_.ways.end(), f) - m_.ways.begin()); }
  std::size_t alone() const { return find([](const Way& w) { return w.one_model && w.replicas == 1; }); }
  std::size_t beside(const Way& way) const { return find([&](const Way& w) { return w.one_model && w.replicas == way.replicas && w.batch == way.batch; }); }
  /// The median over rounds of a part of the time of a way, in parts of that of another.
  double ratio(std::size_t way, std::size_t other, double StepSeconds::* part = &StepSeconds::step) const {
    std::vector<double> ratios;
    for (const std::size_t r : quiet(way, other)) ratios.push_back((m_.rounds[way][r].*part) / (m_.rounds[other][r].*part));
    return quantile(ratios, 0.5);
  }
  /// Of images a second.
  double speed(std::size_t way, std::size_t other) const { return double(m_.ways[way].batch) / double(m_.ways[other].batch) / ratio(way, other); }

  TextTable steps() const {
    TextTable t{{"scaling", "kind", "replicas", "batch", "step ms", "1st quartile", "3rd", "least", "images/s", "speed-up", "efficiency", "of one model", "data ms", "forward", "backward", "update", "waited",
                 "processor ms", "quiet rounds"}, {}, 2};
    for (std::size_t w = 0; w < m_.ways.size(); ++w) {
      const Way& way = m_.ways[w];
      const double faster = speed(w, alone());
      std::vector<std::string> row{way.group(), way.kind(m_.work.threads), std::to_string(way.replicas), std::to_string(way.batch)};
      for (const double at : {0.5, 0.25, 0.75, 0.0}) row.push_back(number(1e3 * seconds(w, &StepSeconds::step, at), 2));
      row.push_back(number(double(way.batch) / median(w), 0)), row.push_back(number(faster, 2)), row.push_back(number(100 * faster / way.replicas, 0) + " %");
      const std::size_t one = beside(way);
      row.push_back(one < m_.ways.size() ? number(speed(w, one), 2) : "");
      for (const auto part : {&StepSeconds::data, &StepSeconds::forward, &StepSeconds::backward, &StepSeconds::update, &StepSeconds::waited, &StepSeconds::processor}) row.push_back(number(1e3 * median(w, part), 2));
      row.push_back(std::to_string(std::count_if(m_.rounds[w].begin(), m_.rounds[w].end(), [](const StepSeconds& s) { return s.others <= most_of_others; })));
      t.rows.push_back(row);
    }
    return t;
  }
  /// Ratios of two ways that differ in one thing.
  std::string footnotes(bool markdown) const {
    std::string s = "Speed-up: of one model with the threads of one replica. Of one model: with the threads of all replicas, at this batch. Above 1 is faster. In a quiet round other programs took at most 5 % of "
                    "the processors; they alone count where there are three of them.\n\n";
    for (std::size_t w = 0; w < m_.ways.size(); ++w) {
      const Way& way = m_.ways[w];
      if (way.one_model || way.replicas == 1) continue;
      const auto twin = [&](lamina::Parallel parallel, bool overlap) {
        return find([&](const Way& o) { return !o.one_model && o.scaling == way.scaling && o.replicas == way.replicas && o.parallel == parallel && o.overlap == overlap; });
      };
      const std::string what = std::string(markdown ? "- " : "  ") + way.group() + ", " + std::to_string(way.replicas) + " replicas: ";
      if (way.overlap) s += what + way.kind(1) + " works " + number(ratio(w, beside(way), &StepSeconds::processor), 3) + " of what one model works\n";
      if (way.parallel == lamina::Parallel::exact && way.overlap)
        if (const std::size_t fast = twin(lamina::Parallel::fast, true); fast < m_.ways.size()) s += what + "exact takes " + number(ratio(w, fast), 3) + " of the time of fast\n";
      if (const std::size_t one_bucket = twin(way.parallel, false); way.overlap && one_bucket < m_.ways.size())
        s += what + way.kind(1) + " waits " + number(1e3 * median(w, &StepSeconds::waited), 2) + " ms, with one bucket " + number(1e3 * median(one_bucket, &StepSeconds::waited), 2) + ", and takes " +
             number(ratio(w, one_bucket), 3) + " of its time\n";
    }
    return s;
  }

  std::vector<double> sum_seconds(const Sums& s) const {
    std::vector<double> y;
    for (std::size_t i = 0; i < s.counts.size(); ++i) {
      std::vector<double> x;
      for (const auto& round : s.rounds) x.push_back(round[i]);
      y.push_back(quantile(x, 0.5));
    }
    return y;
  }
  Link link(const Sums& s) const {
    std::vector<double> bytes;
    for (const lamina::Index n : s.counts) bytes.push_back(4.0 * double(n));
    return link_of(least_squares(bytes, sum_seconds(s)), s.ranks);
  }
  TextTable links() const {
    TextTable t{{"all_reduce of floats", "ranks", "measured us", "by alpha and beta", "ratio"}};
    for (const Sums& s : m_.sums) {
      const std::vector<double> y = sum_seconds(s);
      const Link l = link(s);
      for (std::size_t i = 0; i < y.size(); ++i) {
        const double fit = ring(l, s.ranks, 4.0 * double(s.counts[i]));
        t.rows.push_back({std::to_string(s.counts[i]), std::to_string(s.ranks), number(1e6 * y[i], 1), number(1e6 * fit, 1), number(fit / y[i], 2)});
      }
      t.rows.push_back({"alpha " + number(1e6 * l.alpha, 2) + " us, beta " + number(l.beta / 1e9, 2) + " GB/s", std::to_string(s.ranks), "", "", ""});
    }
    return t;
  }
  /// Of one replica by itself, at two batches; by what its threads worked, which other programs disturb least.
  Compute compute() const {
    const std::size_t whole = find([](const Way& w) { return !w.one_model && w.replicas == 1; }), part = find([](const Way& w) { return w.scaling == Way::Scaling::calibration; });
    const double of_whole = median(whole, &StepSeconds::processor) / m_.work.threads, of_part = median(part, &StepSeconds::processor) / m_.work.threads;
    const double sample = (of_whole - of_part) / double(std::max<lamina::Index>(m_.ways[whole].batch - m_.ways[part].batch, 1));
    return {of_whole - sample * double(m_.ways[whole].batch), sample};
  }
  std::string model() const {
    const Compute c = compute();
    return "The model: one replica by itself works " + number(1e3 * c.fixed, 2) + " ms a step and " + number(1e6 * c.sample, 1) + " us a sample. Predicted are a step on a machine that does nothing else, with sums " +
           "that follow backward or go on beside it, and what all threads work, if sums are work.\n\n";
  }
  TextTable check() const {
    const Compute c = compute();
    TextTable t{{"scaling", "kind", "replicas", "measured ms", "predicted", "ratio", "if beside backward", "ratio", "processor ms", "predicted", "ratio"}, {}, 2};
    for (std::size_t w = 0; w < m_.ways.size(); ++w) {
      const Way& way = m_.ways[w];
      if (way.one_model || way.replicas == 1) continue;
      const Sums& s = *std::find_if(m_.sums.begin(), m_.sums.end(), [&](const Sums& sums) { return sums.ranks == way.replicas; });
      const Machines here{way.replicas, 0, link(s), {}};
      const std::vector<Bucket> all = way.overlap ? m_.buckets : one_bucket();
      std::vector<std::string> row{way.group(), way.kind(m_.work.threads), std::to_string(way.replicas)};
      const auto compare = [&](double measured, double predicted, bool with_measured) {
        if (with_measured) row.push_back(number(1e3 * measured, 2));
        row.push_back(number(1e3 * predicted, 2)), row.push_back(number(predicted / measured, 2));
      };
      const double samples = double(way.batch) / way.replicas, behind = predicted_step(c, here, all, way.replicas, samples, false);
      compare(median(w), behind, true);
      compare(median(w), predicted_step(c, here, all, way.replicas, samples, true), false);
      compare(median(w, &StepSeconds::processor), way.replicas * (behind + (m_.work.threads - 1) * c.seconds(samples)), true);
      t.rows.push_back(row);
    }
    return t;
  }
  std::vector<Bucket> one_bucket() const { return {{4.0 * double(m_.parameters), 1}}; }
  double gpu_efficiency(int n, bool weak, bool overlap) const {
    const double batch = m_.work.batch, samples = weak ? batch : batch * gpus_.machines.ranks / n;
    const double one = gpus_.compute.seconds(weak ? batch : batch * gpus_.machines.ranks);
    const double step = predicted_step(gpus_.compute, gpus_.machines, overlap ? m_.buckets : one_bucket(), n, samples, overlap);
    return one / step / (weak ? 1 : n);
  }
  TextTable prediction() const {
    const int batch = m_.work.batch, whole = batch * gpus_.machines.ranks;
    TextTable t{{"predicted, GPUs", "all_reduce us", "batch " + std::to_string(batch) + " each: step us", "efficiency", "with one bucket", "batch " + std::to_string(whole) + " of all: efficiency"}};
    const auto share = [&](double part) { return number(100 * part, 0) + " %"; };
    for (int n = 8; n <= 1024; n *= 2)
      t.rows.push_back({std::to_string(n), number(1e6 * gpus_.machines.all_reduce(n, 4.0 * double(m_.parameters)), 0),
                        number(1e6 * predicted_step(gpus_.compute, gpus_.machines, m_.buckets, n, batch, true), 0), share(gpu_efficiency(n, true, true)), share(gpu_efficiency(n, true, false)),
                        n <= whole ? share(gpu_efficiency(n, false, true)) : "too few samples"});
    return t;
  }
  std::string assumed() const {
    const Machines& m = gpus_.machines;
    return "A prediction: nothing of what follows was measured. Assumed of a GPU: " + number(1e6 * gpus_.compute.fixed, 0) + " us a step and " + number(1e6 * gpus_.compute.sample, 2) +
           " us a sample; of a sum: " + number(1e6 * m.start, 0) + " us before it begins; of the " + std::to_string(m.ranks) + " of a machine: " + number(1e6 * m.within.alpha, 1) + " us a message and " +
           number(m.within.beta / 1e9, 0) + " GB/s; between machines " + number(1e6 * m.between.alpha, 1) + " us and " + number(m.between.beta / 1e9, 0) + " GB/s for each. " + megabytes() + " of gradients.\n\n";
  }
  std::string megabytes() const { return number(4e-6 * double(m_.parameters), 1) + " MB"; }

  std::string csv() const {
    std::string s;
    for (std::size_t w = 0; w < m_.ways.size(); ++w)
      for (std::size_t r = 0; r < m_.rounds[w].size(); ++r) {
        const Way& way = m_.ways[w];
        s += std::string(transport_) + "," + m_.work.net + "," + std::to_string(m_.work.size) + "," + m_.work.data + "," + std::to_string(m_.work.threads) + "," + way.group() + ",\"" + way.kind(m_.work.threads) + "\"," +
             std::to_string(way.replicas) + "," + std::to_string(way.batch) + "," + std::to_string(r);
        for (const auto part : step_seconds) s += "," + number((part == &StepSeconds::others ? 1 : 1e3) * (m_.rounds[w][r].*part), 3);
        s += "\n";
      }
    return s;
  }
  std::string chart() const {
    std::vector<Pile> piles;
    for (std::size_t w = 0; w < m_.ways.size(); ++w) {
      if (m_.ways[w].scaling == Way::Scaling::calibration) continue;
      Pile p{std::string(m_.ways[w].group()) + ", " + std::to_string(m_.ways[w].replicas) + ": " + m_.ways[w].kind(m_.work.threads), {}};
      for (const auto part : {&StepSeconds::data, &StepSeconds::forward, &StepSeconds::backward, &StepSeconds::update, &StepSeconds::waited}) p.parts.push_back(1e3 * median(w, part));
      piles.push_back(p);
    }
    std::vector<ScalingCurve> curves{{"a batch for each, overlap", {}}, {"a batch for each, one bucket", {}}, {"one batch for all", {}}};
    for (int n = 8; n <= 1024; n *= 2)
      for (std::size_t c = 0; c < 3; ++c)
        if (c < 2 || n <= m_.work.batch * gpus_.machines.ranks) curves[c].points.push_back({double(n), gpu_efficiency(n, c < 2, c != 1)});
    const std::string title = "a step of " + m_.work.net + " " + std::to_string(m_.work.size) + " by " + transport_ + ", ms";
    return parallel_chart(title, {"data", "forward", "backward", "update", "waited"}, piles, "predicted efficiency of GPUs, batch " + std::to_string(m_.work.batch), curves);
  }

  static constexpr double most_of_others = 0.05;
  const Measured& m_;
  const char* transport_;
  const Gpus& gpus_;
};

inline void report(const Measured& m, const char* transport, const Gpus& gpus) { ParallelReport(m, transport, gpus).write(); }

}  // namespace bench
