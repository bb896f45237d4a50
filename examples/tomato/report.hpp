/// What a training leaves behind for people and programs: report.html and metrics.json, written anew after every epoch.
#pragma once
#include <lamina/io/checkpoint.hpp>
#include <nlohmann/json.hpp>

#include "data.hpp"

namespace tomato {

/// A callback of fit(). The figures are those of the last whole epoch; the best epoch's accuracy stands beside them.
template <class Net> class ReportWriter {
 public:
  ReportWriter(const TrainSettings& settings, std::string command, const Leaves& leaves, const lamina::Checkpoint& checkpoint)
      : settings_(settings), command_(std::move(command)), leaves_(leaves), checkpoint_(checkpoint) {}

  template <class R> void epoch(R& run) { write_metrics(run); }

 private:
  template <class R> void write_metrics(R& run) const {
    const auto& c = run.validation.confusion;
    nlohmann::json j{{"command", command_}, {"epochs", run.epoch}, {"steps", run.step}, {"best_epoch", checkpoint_.best_epoch()}, {"best_val_accuracy", checkpoint_.best_accuracy()},
                     {"loss", run.now.loss}, {"accuracy", run.now.accuracy}, {"val_loss", run.now.val_loss}, {"val_accuracy", run.now.val_accuracy}, {"macro_f1", c.macro_f1()},
                     {"training_pictures", leaves_.train.size()}, {"validation_pictures", leaves_.validation.size()}};
    double seconds = 0;
    for (const lamina::EpochRow& e : run.history) seconds += e.seconds;
    j["seconds"] = seconds;
    for (lamina::Index k = 0; k < c.classes(); ++k) {
      j["classes"].push_back({{"name", leaves_.train.classes[std::size_t(k)]}, {"precision", c.precision(k)}, {"recall", c.recall(k)}, {"f1", c.f1(k)}, {"support", c.support(k)}});
      nlohmann::json row;
      for (lamina::Index p = 0; p < c.classes(); ++p) row.push_back(c.count(k, p));
      j["confusion"].push_back(row);
    }
    lamina::write_file_whole(settings_.out / "metrics.json", j.dump(2) + "\n");
  }

  TrainSettings settings_;
  std::string command_;
  const Leaves& leaves_;
  const lamina::Checkpoint& checkpoint_;
};

}  // namespace tomato
