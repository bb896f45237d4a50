/// What a training leaves behind for people and programs: report.html and metrics.json, written anew after every epoch.
#pragma once
#include <lamina/io/checkpoint.hpp>
#include <lamina/io/picture.hpp>
#include <lamina/io/report.hpp>
#include <nlohmann/json.hpp>

#include "data.hpp"

namespace tomato {

/// Adds what a confusion matrix says of each class, and its counts: truth by row, answer by column.
inline void put_classes(nlohmann::json& j, const std::vector<std::string>& names, const lamina::Confusion& c) {
  for (lamina::Index k = 0; k < c.classes(); ++k) {
    j["classes"].push_back({{"name", names[std::size_t(k)]}, {"precision", c.precision(k)}, {"recall", c.recall(k)}, {"f1", c.f1(k)}, {"support", c.support(k)}});
    nlohmann::json row;
    for (lamina::Index p = 0; p < c.classes(); ++p) row.push_back(c.count(k, p));
    j["confusion"].push_back(row);
  }
}

/// A callback of fit(). The figures are those of the last whole epoch; the best epoch's accuracy stands beside them.
class ReportWriter {
 public:
  ReportWriter(const TrainSettings& settings, std::string command, const Leaves& leaves, const lamina::Checkpoint& checkpoint)
      : settings_(settings), command_(std::move(command)), leaves_(leaves), checkpoint_(checkpoint) {}

  /// A report of no such run is left alone.
  template <class R> void start(R& run) {
    for (const char* name : {"report.html", "metrics.json"})
      if (!run.step && std::filesystem::exists(status_of(settings_.out / name)))
        throw lamina::Error(settings_.out, " holds ", name, " and no last.safetensors that a training goes on from: give another folder, or take away what it holds");
  }
  /// The run may have ended between its checkpoint and its report.
  template <class R> void resumed(R& run) {
    if (!run.epoch) return;
    if (run.history.empty()) std::printf("note: history.csv is not there any more, and with it the figures of the epochs so far\n");
    if (!checkpoint_.best_epoch())
      std::printf("note: best.safetensors is not there any more: %s\n", run.epoch < run.options.epochs ? "the best of the epochs to come is kept" : "last.safetensors has the weights of the last epoch");
    const lamina::EpochRow under_way = run.now;
    run.now = run.history.empty() ? unknown(run.epoch, run.validation) : run.history.back();
    if (run.batch) write_page(progress(run), true);              // its figures are those of the weights that it goes on with
    else epoch(run);
    run.now = under_way;
  }
  template <class R> void epoch(R& run) {
    const Progress p = progress(run);
    write_metrics(p);
    write_page(p, run.epoch < run.options.epochs);
  }
  template <class R> void finish(R& run) { if (run.validation.samples()) write_page(progress(run), false); }
  /// After an error the page says so, and reloads itself no more.
  void failed(const std::string& why) try {
    if (!page_.running) return;
    page_.running = false, page_.stopped = why;
    lamina::write_file_whole(settings_.out / "report.html", report_html(page_));
  } catch (const lamina::Error&) {}        // what went wrong first is told

 private:
  static constexpr std::size_t most_mistakes = 12;
  static constexpr int shown_side = 128;   // pixels

  /// What is known of an epoch whose row in history.csv is lost.
  static lamina::EpochRow unknown(lamina::Index epoch, const lamina::Evaluation& validation) {
    lamina::EpochRow e{.epoch = epoch, .val_loss = validation.loss, .val_accuracy = validation.accuracy};
    for (double* lost : {&e.loss, &e.accuracy, &e.rate}) *lost = std::numeric_limits<double>::quiet_NaN();
    return e;
  }

  /// Where a run of any network stands.
  struct Progress {
    lamina::Index epoch, step, planned_epochs;
    const std::vector<lamina::EpochRow>& history;
    const lamina::EpochRow& now;
    const lamina::Evaluation& validation;
    std::string stopped;
    std::vector<lamina::SummaryRow> network;
    std::string device;
  };
  template <class R> static Progress progress(R& run) {
    return {run.epoch, run.step, run.options.epochs, run.history, run.now, run.validation, run.stopped, lamina::summary_rows(run.model.program().layers), run.model.device().name()};
  }

  void write_page(const Progress& run, bool running) {
    lamina::Report r{.title = "Tomato leaves", .command = command_, .running = running, .stopped = run.stopped, .planned_epochs = run.planned_epochs, .epochs = run.history,
                     .best_epoch = checkpoint_.best_epoch(), .best_accuracy = checkpoint_.best_accuracy(),
                     .classes = leaves_.train.classes, .confusion = run.validation.confusion, .network = run.network};
    r.data = std::to_string(leaves_.train.size()) + " training and " + std::to_string(leaves_.validation.size()) + " validation pictures, " + leaves_.origin;
    if (const lamina::Index left_out = leaves_.left_out_train + leaves_.left_out_validation) r.data += "; left out: " + std::to_string(left_out) + " that cannot be used";
    r.machine = run.device;
    for (const lamina::EpochRow& e : run.history) r.seconds += e.seconds;
    r.images_per_second = run.history.empty() ? 0 : run.history.back().images_per_second;
    r.mistakes = mistakes(run.validation);
    page_ = std::move(r);
    lamina::write_file_whole(settings_.out / "report.html", report_html(page_));
  }

  /// Pictures taken for another class, the most confident first.
  std::vector<lamina::Mistake> mistakes(const lamina::Evaluation& e) const {
    std::vector<std::pair<double, lamina::Index>> wrong;      // -probability, sample
    for (lamina::Index i = 0; i < e.samples(); ++i)
      if (e.predicted(i) != e.truth[std::size_t(i)]) wrong.push_back({-lamina::softmax(e.of(i), e.classes)[std::size_t(e.predicted(i))], i});
    std::sort(wrong.begin(), wrong.end());
    if (wrong.size() > most_mistakes) wrong.resize(most_mistakes);
    std::vector<lamina::Mistake> shown;
    for (const auto& [probability, i] : wrong) {
      const lamina::Sample& s = leaves_.validation.samples[std::size_t(i)];
      shown.push_back({thumbnail(s), leaves_.train.classes[std::size_t(e.truth[std::size_t(i)])], leaves_.train.classes[std::size_t(e.predicted(i))], -probability, s.name});
    }
    return shown;
  }

  /// A small PNG; empty if the file has gone since the training began, which goes on with the pictures it keeps.
  static std::string thumbnail(const lamina::Sample& s) try {
    lamina::Picture p = lamina::decode(s);
    if (const int side = std::max(p.h, p.w); side > shown_side)
      p = lamina::resize(p, {std::max(1, p.h * shown_side / side), std::max(1, p.w * shown_side / side)}, lamina::Interpolation::bilinear);
    return lamina::png_bytes(p.pixels.data(), p.shape());
  } catch (const lamina::Error&) {
    return "";
  }

  void write_metrics(const Progress& run) const {
    const auto& c = run.validation.confusion;
    nlohmann::json j{{"command", command_}, {"epochs", run.epoch}, {"steps", run.step}, {"best_epoch", checkpoint_.best_epoch()}, {"best_val_accuracy", checkpoint_.best_accuracy()},
                     {"loss", run.now.loss}, {"accuracy", run.now.accuracy}, {"val_loss", run.now.val_loss}, {"val_accuracy", run.now.val_accuracy}, {"macro_f1", c.macro_f1()},
                     {"training_pictures", leaves_.train.size()}, {"validation_pictures", leaves_.validation.size()},
                     {"left_out_training_pictures", leaves_.left_out_train}, {"left_out_validation_pictures", leaves_.left_out_validation}};
    double seconds = run.history.empty() ? std::numeric_limits<double>::quiet_NaN() : 0;          // null
    for (const lamina::EpochRow& e : run.history) seconds += e.seconds;
    j["seconds"] = seconds;
    put_classes(j, leaves_.train.classes, c);
    lamina::write_file_whole(settings_.out / "metrics.json", j.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  }

  TrainSettings settings_;
  std::string command_;
  const Leaves& leaves_;
  const lamina::Checkpoint& checkpoint_;
  lamina::Report page_;                    // as it was written last
};

}  // namespace tomato
