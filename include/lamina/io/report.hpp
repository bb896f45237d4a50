/// The report of a training: a plain struct, and one page of HTML made of it that needs nothing else.
#pragma once
#include "../nn/summary.hpp"
#include "../train/fit.hpp"
#include "../version.hpp"
#include "picture.hpp"
#include "report_charts.hpp"
#include "report_style.hpp"

namespace lamina {

/// A picture that was taken for another class.
struct Mistake {
  std::string picture = {};               // bytes of a PNG or JPEG file
  std::string truth = {}, predicted = {}; // names of classes
  double probability = 0;                 // 0..1, that the network gave to `predicted`
  std::string file = {};                  // its name
};

/// What a report tells. Everything may be empty; the page then says less.
struct Report {
  std::string title = "Training";
  std::string command = {};               // the line that started it
  std::string data = {};                  // "2,000 training and 400 validation pictures"
  std::string machine = {};               // device and threads
  bool running = false;                   // the page reloads itself every five seconds, and says so if it is not written for long
  std::string stopped = {};               // why it ended early, if it did
  Index planned_epochs = 0;
  std::vector<EpochRow> epochs = {};      // those that are known: the first may be lost
  Index best_epoch = 0;                   // from 1; 0: none yet
  double best_accuracy = 0;               // of that epoch, on the validation pictures, where it is not among `epochs`
  std::vector<std::string> classes = {};
  Confusion confusion = {};               // of the validation pictures
  std::vector<Mistake> mistakes = {};     // the most confident first
  std::vector<SummaryRow> network = {};
  double images_per_second = 0;           // trained on
  double seconds = 0;                     // in all
};

namespace detail::html {

/// A table: left-aligned names first, numbers after them.
class Rows {
 public:
  /// `left` columns are text, the others numbers.
  Rows(std::size_t left, const std::vector<std::string>& columns) : left_(left) {
    for (std::size_t k = 0; k < columns.size(); ++k) head_ += element("th", attribute("scope", "col") + (k < left ? style_class("left") : ""), columns[k]);
  }
  /// A row of HTML; its first cell, if it is text, names the row and may have a class.
  void add(const std::vector<std::string>& cells, const std::string& row_class = "", const std::string& name_class = "") {
    std::string row;
    for (std::size_t k = 0; k < cells.size(); ++k) {
      if (k == 0 && left_) row += element("th", attribute("scope", "row") + (name_class.empty() ? "" : style_class(name_class)), cells[k]);
      else row += element("td", k < left_ ? style_class("left") : "", cells[k]);
    }
    (foot_begun_ ? foot_ : body_) += element("tr", row_class.empty() ? "" : style_class(row_class), row) + "\n";
  }
  /// The rows that follow are sums.
  void foot() { foot_begun_ = true; }
  std::string table(const char* style) const {
    const std::string head = element("thead", "", element("tr", "", head_)) + "\n", foot = foot_.empty() ? "" : element("tfoot", "", foot_);
    return element("div", style_class("scroll"), element("table", style_class(style), head + element("tbody", "", body_) + foot)) + "\n";
  }

 private:
  std::size_t left_;
  bool foot_begun_ = false;
  std::string head_, body_, foot_;
};

inline std::string section(const std::string& title, const std::string& inside) {
  return element("section", "", element("h2", "", title) + "\n" + inside) + "\n";
}
inline std::string note(const std::string& words) { return element("p", style_class("note"), words) + "\n"; }

/// Builds the page section by section.
class Page {
 public:
  explicit Page(const Report& report) : r_(report), names_(report.classes) {
    for (Index k = Index(names_.size()); k < r_.confusion.classes(); ++k) names_.push_back("class " + std::to_string(k));
    names_ = readable(std::move(names_));
    for (std::string& n : names_) n = escaped(n);
  }

  std::string html() const {
    const std::string version_text = std::to_string(version.major) + "." + std::to_string(version.minor) + "." + std::to_string(version.patch);
    const std::string footer = (r_.machine.empty() ? "" : escaped(r_.machine) + ". ") + "Written by Lamina " + version_text + ".";
    const std::string main = head() + curves() + classes() + mistakes() + network() + element("footer", "", footer) + "\n";
    return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n" +
           std::string(r_.running ? "<meta http-equiv=\"refresh\" content=\"5\">\n" : "") + element("title", "", escaped(r_.title)) + "\n" +
           element("style", "", report_style) + "\n</head>\n<body>\n" + element("main", "", "\n" + main) + "\n</body>\n</html>\n";
  }

 private:
  Index done() const { return r_.epochs.empty() ? 0 : r_.epochs.back().epoch; }
  Index lost() const { return r_.epochs.empty() ? 0 : r_.epochs.front().epoch - 1; }
  Index planned() const { return std::max(r_.planned_epochs, done()); }
  Index sum(Index SummaryRow::* field) const {
    Index s = 0;
    for (const SummaryRow& row : r_.network) s += row.*field;
    return s;
  }
  const std::string& name(Index k) const { return names_[std::size_t(k)]; }
  /// A class by its readable name, whatever else as it is.
  std::string shown(const std::string& c) const {
    const auto at = std::find(r_.classes.begin(), r_.classes.end(), c);
    return at == r_.classes.end() ? escaped(c) : names_[std::size_t(at - r_.classes.begin())];
  }

  std::string head() const {
    std::string s = element("h1", "", escaped(r_.title)) + "\n";
    std::string state = element("strong", "", r_.running ? "Running" : r_.stopped.empty() ? "Finished" : "Stopped") + ", " + std::to_string(done()) + " of " +
                        std::to_string(planned()) + (planned() == 1 ? " epoch" : " epochs");
    if (lost()) state += ", of which the figures of the first" + (lost() == 1 ? "" : " " + std::to_string(lost())) + " are lost";
    if (!r_.stopped.empty()) state += ": " + escaped(r_.stopped);
    if (!r_.data.empty()) state += " · " + escaped(r_.data);
    s += element("p", style_class("state"), state) + "\n";
    if (r_.running && planned()) {
      const std::string said = attribute("role", "progressbar") + attribute("aria-label", "epochs done") + attribute("aria-valuemin", "0") +
                               attribute("aria-valuemax", std::to_string(planned())) + attribute("aria-valuenow", std::to_string(done()));
      const std::string width = "width:" + fixed(100 * double(done()) / double(planned()), 1) + "%";
      s += element("div", style_class("progress") + said, element("div", attribute("style", width), "")) + "\n";
    }
    if (r_.running) s += silence();
    if (!r_.command.empty()) s += element("code", style_class("command"), escaped(r_.command)) + "\n";
    return element("header", "", "\n" + s + facts()) + "\n";
  }

  /// What an open page of a run that was killed says: a run that goes on writes it anew after every epoch.
  std::string silence() const {
    double seconds = 0;
    for (const EpochRow& e : r_.epochs) seconds = std::max(seconds, e.seconds);
    if (seconds == 0) return "";                                 // nobody knows
    seconds = 60 + 3 * seconds;
    return element("p", style_class("state") + attribute("id", "silence") + attribute("hidden", ""), "Nothing was written for longer than three epochs take: it may have been killed. The same command goes on.") + "\n" +
           element("script", "", "if (Date.now() - Date.parse(document.lastModified) > " + fixed(1000 * seconds, 0) + ") document.getElementById(\"silence\").hidden = false;") + "\n";
  }

  std::string facts() const {
    std::string s;
    const auto fact = [&](const std::string& value, const std::string& what) { s += element("div", "", element("dt", "", what) + element("dd", "", value)) + "\n"; };
    const auto best = std::find_if(r_.epochs.begin(), r_.epochs.end(), [&](const EpochRow& e) { return e.epoch == r_.best_epoch; });
    if (best != r_.epochs.end()) {
      fact(percent(best->val_accuracy), "best validation accuracy, epoch " + std::to_string(best->epoch));
      fact(loss_text(best->val_loss), "validation loss of that epoch");
    } else if (r_.best_epoch) {
      fact(percent(r_.best_accuracy), "best validation accuracy, epoch " + std::to_string(r_.best_epoch));
    } else {
      fact("–", "best validation accuracy");
    }
    if (r_.images_per_second > 0) fact(grouped(std::llround(std::min(r_.images_per_second, 1e15))), "training images per second");
    if (r_.seconds > 0) fact(duration(r_.seconds), "in all");
    if (!r_.network.empty()) {
      fact(grouped(sum(&SummaryRow::parameters)), "parameters");
      fact(rounded(double(sum(&SummaryRow::multiply_adds))), "multiply-adds per picture");
    }
    return element("dl", style_class("facts"), "\n" + s) + "\n";
  }

  std::string curves() const {
    const Index last = r_.running ? std::min(planned(), std::max<Index>(20, 4 * done())) : done();     // room for what comes, but not for a million
    const auto curve = [&](const char* words, const char* style, auto value) {
      Curve c{words, style, std::vector<double>(std::size_t(lost()), NAN)};
      for (const EpochRow& e : r_.epochs) c.y.push_back(value(e));
      return c;
    };
    const auto of = [&](const char* words, const char* style, double EpochRow::* field) { return curve(words, style, [&](const EpochRow& e) { return e.*field; }); };
    const auto rest = [](const EpochRow& e) { return e.seconds - e.wait - e.forward - e.backward - e.update - e.validation; };
    const Curve loss = of("training", "training", &EpochRow::loss), val_loss = of("validation", "validation", &EpochRow::val_loss);
    const Curve accuracy = of("training", "training", &EpochRow::accuracy), val_accuracy = of("validation", "validation", &EpochRow::val_accuracy);
    std::vector<Curve> seconds = {of("waiting for data", "wait", &EpochRow::wait), of("forward", "forward", &EpochRow::forward),
                                  of("backward", "backward", &EpochRow::backward), of("update", "update", &EpochRow::update),
                                  of("validation", "check", &EpochRow::validation), curve("other", "rest", rest)};
    const std::string charts = svg(LineChart{"Loss", {loss, val_loss}, last, r_.best_epoch, false}) +
                               svg(LineChart{"Accuracy", {accuracy, val_accuracy}, last, r_.best_epoch, true}) +
                               svg(BarChart{"Seconds per epoch", "s", std::move(seconds), last}) +
                               svg(LineChart{"Learning rate", {of("learning rate", "rate", &EpochRow::rate)}, last, 0, false});
    return element("section", attribute("aria-label", "Curves"), "\n" + element("div", style_class("charts"), "\n" + charts) + "\n" + epochs()) + "\n";
  }

  std::string epochs() const {
    if (r_.epochs.empty()) return "";
    Rows rows(0, {"epoch", "loss", "accuracy", "validation loss", "validation accuracy", "learning rate", "seconds", "images/s"});
    for (const EpochRow& e : r_.epochs)
      rows.add({std::to_string(e.epoch), loss_text(e.loss), percent(e.accuracy), loss_text(e.val_loss), percent(e.val_accuracy), significant(e.rate, 4), fixed(e.seconds, 2),
                fixed(e.images_per_second, 0)}, e.epoch == r_.best_epoch ? "chosen" : "");
    return element("details", "", element("summary", "", "Epoch by epoch") + "\n" + rows.table("list fill")) + "\n";
  }

  std::string classes() const {
    const Confusion& c = r_.confusion;
    if (!c.classes() || !c.total()) return "";
    Rows rows(1, {"class", "pictures", "precision", "recall", "F1"});
    const auto add = [&](const std::string& words, Index support, double precision, double recall, double f1) {
      rows.add({words, grouped(support), percent(precision, 1), percent(recall, 1), percent(f1, 1)}, "", "wraps");
    };
    for (Index k = 0; k < c.classes(); ++k) add(name(k), c.support(k), c.precision(k), c.recall(k), c.f1(k));
    rows.foot();
    add("mean", c.total(), c.macro_precision(), c.macro_recall(), c.macro_f1());
    const std::string matrix = section("Which class is taken for which", c.classes() <= 60 ? heat() : pairs());
    return element("div", style_class("beside"), "\n" + matrix + section("Class by class", rows.table("list fill"))) + "\n";
  }

  /// Shades go by the square root of the part of the row, so that one in a hundred is still seen.
  std::string heat() const {
    const Confusion& c = r_.confusion;
    std::string head = element("td", "", ""), body;
    for (Index k = 0; k < c.classes(); ++k) head += element("th", attribute("scope", "col"), element("span", "", name(k)));
    for (Index t = 0; t < c.classes(); ++t) {
      std::string row = element("th", attribute("scope", "row"), name(t));
      for (Index p = 0; p < c.classes(); ++p) {
        const Index count = c.count(t, p);
        if (!count) { row += element("td", style_class("zero"), "0"); continue; }
        const double shade = std::sqrt(double(count) / double(c.support(t)));
        const std::string what = name(t) + (t == p ? " recognised: " : " taken for " + name(p) + ": ") + grouped(count) + " of " + grouped(c.support(t));
        const std::string style = std::string(t == p ? "right" : "wrong") + (shade > 0.72 ? " deep" : "");
        row += element("td", style_class(style) + attribute("style", "--v:" + fixed(shade, 2)) + attribute("title", what), grouped(count));
      }
      body += element("tr", "", row) + "\n";
    }
    const std::string table = element("table", style_class("heat"), element("thead", "", element("tr", "", head)) + "\n" + element("tbody", "", body));
    return note("Rows are the truth, columns what the network says. Blue is right, orange is wrong; the shade is the part of its row.") +
           element("div", style_class("scroll") + attribute("tabindex", "0"), table) + "\n";
  }

  /// Instead of a matrix of so many classes that nobody could read it.
  std::string pairs() const {
    const Confusion& c = r_.confusion;
    struct Pair { Index count, truth, predicted; };
    std::vector<Pair> all;
    for (Index t = 0; t < c.classes(); ++t)
      for (Index p = 0; p < c.classes(); ++p) if (t != p && c.count(t, p)) all.push_back({c.count(t, p), t, p});
    std::stable_sort(all.begin(), all.end(), [](const Pair& a, const Pair& b) { return a.count > b.count; });
    if (all.size() > 25) all.resize(25);
    Rows rows(2, {"truth", "taken for", "pictures", "of"});
    for (const Pair& p : all) rows.add({name(p.truth), name(p.predicted), grouped(p.count), grouped(c.support(p.truth))});
    return note("The most frequent mistakes among " + grouped(c.classes()) + " classes.") + rows.table("list");
  }

  std::string mistakes() const {
    if (r_.mistakes.empty()) return "";
    std::string s;
    for (const Mistake& m : r_.mistakes) {
      const std::string uri = data_uri(m.picture), file = escaped(std::string_view(m.file).substr(m.file.rfind('/') + 1));
      const std::string picture = uri.empty() ? "no picture" : "<img" + attribute("src", uri) + attribute("alt", shown(m.truth)) + attribute("loading", "lazy") + ">";
      const std::string caption = element("span", style_class("said"), shown(m.predicted)) + " " + element("span", style_class("part"), percent(m.probability, 1)) +
                                  "<br>is " + element("span", style_class("truth"), shown(m.truth)) +
                                  element("span", style_class("file") + attribute("title", escaped(m.file)), file);
      s += element("figure", "", element("div", style_class("frame"), picture) + element("figcaption", "", caption)) + "\n";
    }
    return section("Most confident mistakes", element("div", style_class("mistakes"), "\n" + s) + "\n");
  }

  std::string network() const {
    if (r_.network.empty()) return "";
    Rows rows(1, {"layer", "output", "parameters", "bytes", "multiply-adds"});
    const auto add = [&](const std::string& layer, const std::string& output, Index parameters, Index bytes, Index multiply_adds, const char* style) {
      rows.add({layer, output, grouped(parameters), grouped(bytes), grouped(multiply_adds)}, "", style);
    };
    for (const SummaryRow& row : r_.network) add(escaped(row.layer), escaped(row.output), row.parameters, row.bytes, row.multiply_adds, "mono");
    rows.foot();
    add("in all", "", sum(&SummaryRow::parameters), sum(&SummaryRow::bytes), sum(&SummaryRow::multiply_adds), "");
    return section("The network", rows.table("list fill"));
  }

  const Report& r_;
  std::vector<std::string> names_;        // of the classes, readable and escaped
};
}  // namespace detail::html

/// The page, a function of the report alone. It needs no other file and runs no script.
inline std::string report_html(const Report& report) { return detail::html::Page(report).html(); }

}  // namespace lamina
