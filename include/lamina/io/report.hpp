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
  std::string picture = {};          // bytes of a PNG or JPEG file
  std::string truth = {}, predicted = {};      // names of classes
  double probability = 0;            // 0..1, that the network gave to `predicted`
  std::string file = {};             // its name
};

/// What a report tells. Everything may be empty; the page then says less.
struct Report {
  std::string title = "Training";
  std::string command = {};          // the line that started it
  std::string data = {};             // "2,000 training and 400 validation pictures"
  std::string machine = {};          // device and threads
  bool running = false;              // the page reloads itself every five seconds
  std::string stopped = {};          // why it ended early, if it did
  Index planned_epochs = 0;
  std::vector<EpochRow> epochs = {};
  Index best_epoch = 0;              // from 1; 0: none yet
  std::vector<std::string> classes = {};
  Confusion confusion = {};          // of the validation pictures
  std::vector<Mistake> mistakes = {}; // the most confident first
  std::vector<SummaryRow> network = {};
  double images_per_second = 0;      // trained on
  double seconds = 0;                // in all
};

namespace detail {
/// 1234567 -> 1,234,567
inline std::string grouped(Index v) {
  std::string s = std::to_string(v);
  for (Index at = Index(s.size()) - 3; at > (v < 0 ? 1 : 0); at -= 3) s.insert(std::size_t(at), ",");
  return s;
}
/// 1234567 -> 1.23 M
inline std::string rounded(double v) {
  for (const auto& [unit, name] : {std::pair(1e12, " T"), std::pair(1e9, " G"), std::pair(1e6, " M"), std::pair(1e3, " k")})
    if (v >= unit) return fixed(v / unit, v / unit < 9.995 ? 2 : v / unit < 99.95 ? 1 : 0) + name;
  return fixed(v, 0);
}
inline std::string percent(double part, int digits = 2) { return std::isfinite(part) ? fixed(100 * part, digits) + " %" : fixed(part, 0); }
/// 3725 -> 1 h 02 min
inline std::string duration(double seconds) {
  if (!(seconds < 1e9)) return "–";
  if (seconds < 59.95) return fixed(seconds, 1) + " s";
  const Index s = std::llround(seconds), minutes = s / 60;
  const auto two = [](Index v) { return (v < 10 ? "0" : "") + std::to_string(v); };
  return minutes < 60 ? std::to_string(minutes) + " min " + two(s % 60) + " s" : grouped(minutes / 60) + " h " + two(minutes % 60) + " min";
}

/// Names as people read them: what all share up to its last "___" is left out, and underscores are spaces.
inline std::vector<std::string> readable(std::vector<std::string> names) {
  std::size_t shared = 0;
  if (names.size() > 1) {
    const std::size_t at = names[0].find("___");
    if (at != std::string::npos && std::all_of(names.begin(), names.end(), [&](const std::string& n) { return n.size() > at + 3 && n.compare(0, at + 3, names[0], 0, at + 3) == 0; })) shared = at + 3;
  }
  for (std::string& n : names) {
    n.erase(0, shared);
    std::replace(n.begin(), n.end(), '_', ' ');
  }
  return names;
}

/// Builds the page section by section.
class ReportPage {
 public:
  explicit ReportPage(const Report& report) : r_(report) {
    std::vector<std::string> names = r_.classes;
    for (Index k = Index(names.size()); k < r_.confusion.classes(); ++k) names.push_back("class " + std::to_string(k));
    names_ = readable(names);
  }

  std::string html() {
    s_ = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
    if (r_.running) s_ += "<meta http-equiv=\"refresh\" content=\"5\">\n";
    s_ += "<title>" + escaped(r_.title) + "</title>\n<style>" + report_style + "</style>\n</head>\n<body>\n<main>\n";
    head();
    curves();
    classes();
    mistakes();
    network();
    s_ += "<footer>" + (r_.machine.empty() ? "" : escaped(r_.machine) + ". ") + "Written by Lamina " + std::to_string(version.major) + "." + std::to_string(version.minor) + "." + std::to_string(version.patch) + ".</footer>\n</main>\n</body>\n</html>\n";
    return std::move(s_);
  }

 private:
  void fact(const std::string& value, const std::string& what) { s_ += "<div><dt>" + what + "</dt><dd>" + value + "</dd></div>\n"; }

  void head() {
    const Index done = Index(r_.epochs.size()), planned = std::max(r_.planned_epochs, done);
    s_ += "<header>\n<h1>" + escaped(r_.title) + "</h1>\n<p class=\"state\"><strong>" + (r_.running ? "Running" : r_.stopped.empty() ? "Finished" : "Stopped") + "</strong>, " + std::to_string(done) + " of " +
          std::to_string(planned) + (planned == 1 ? " epoch" : " epochs") + (r_.stopped.empty() ? "" : ": " + escaped(r_.stopped)) + (r_.data.empty() ? "" : " · " + escaped(r_.data)) + "</p>\n";
    if (r_.running && planned)
      s_ += "<div class=\"progress\" role=\"progressbar\" aria-label=\"epochs done\" aria-valuemin=\"0\" aria-valuemax=\"" + std::to_string(planned) + "\" aria-valuenow=\"" + std::to_string(done) +
            "\"><div style=\"width:" + fixed(100 * double(done) / double(planned), 1) + "%\"></div></div>\n";
    if (!r_.command.empty()) s_ += "<code class=\"command\">" + escaped(r_.command) + "</code>\n";
    s_ += "<dl class=\"facts\">\n";
    if (const EpochRow* best = this->best()) {
      fact(percent(best->val_accuracy), "best validation accuracy, epoch " + std::to_string(best->epoch));
      fact(fixed(best->val_loss, 4), "validation loss of that epoch");
    } else {
      fact("–", "best validation accuracy");
    }
    if (r_.images_per_second > 0) fact(grouped(std::llround(std::min(r_.images_per_second, 1e15))), "training images per second");
    if (r_.seconds > 0) fact(duration(r_.seconds), "in all");
    if (!r_.network.empty()) {
      fact(grouped(sum(&SummaryRow::parameters)), "parameters");
      fact(rounded(double(sum(&SummaryRow::multiply_adds))), "multiply-adds per picture");
    }
    s_ += "</dl>\n</header>\n";
  }

  void curves() {
    const Index last = r_.running ? std::max(r_.planned_epochs, Index(r_.epochs.size())) : 0;
    const auto values = [&](auto value) {
      std::vector<double> y;
      for (const EpochRow& e : r_.epochs) y.push_back(value(e));
      return y;
    };
    const auto rest = [](const EpochRow& e) { return e.seconds - e.wait - e.forward - e.backward - e.update - e.validation; };
    s_ += "<section aria-label=\"Curves\">\n<div class=\"charts\">\n";
    s_ += svg(LineChart{"Loss", {{"training", "training", values([](auto& e) { return e.loss; })}, {"validation", "validation", values([](auto& e) { return e.val_loss; })}}, last, r_.best_epoch, false});
    s_ += svg(LineChart{"Accuracy", {{"training", "training", values([](auto& e) { return e.accuracy; })}, {"validation", "validation", values([](auto& e) { return e.val_accuracy; })}}, last, r_.best_epoch, true});
    s_ += svg(BarChart{"Seconds per epoch", "s", {{"waiting for data", "wait", values([](auto& e) { return e.wait; })}, {"forward", "forward", values([](auto& e) { return e.forward; })},
        {"backward", "backward", values([](auto& e) { return e.backward; })}, {"update", "update", values([](auto& e) { return e.update; })}, {"validation", "check", values([](auto& e) { return e.validation; })},
        {"other", "rest", values(rest)}}, last});
    s_ += svg(LineChart{"Learning rate", {{"learning rate", "rate", values([](auto& e) { return e.rate; })}}, last, 0, false});
    s_ += "</div>\n";
    if (!r_.epochs.empty()) epochs();
    s_ += "</section>\n";
  }

  void epochs() {
    s_ += "<details>\n<summary>Epoch by epoch</summary>\n<div class=\"scroll\"><table class=\"list fill\">\n<thead><tr>";
    for (const char* c : {"epoch", "loss", "accuracy", "validation loss", "validation accuracy", "learning rate", "seconds", "images/s"}) s_ += std::string("<th scope=\"col\">") + c + "</th>";
    s_ += "</tr></thead>\n<tbody>\n";
    for (const EpochRow& e : r_.epochs) {
      s_ += e.epoch == r_.best_epoch ? "<tr class=\"chosen\">" : "<tr>";
      for (const std::string& v : {std::to_string(e.epoch), fixed(e.loss, 4), percent(e.accuracy), fixed(e.val_loss, 4), percent(e.val_accuracy),
                                   significant(e.rate, 4), fixed(e.seconds, 2), fixed(e.images_per_second, 0)})
        s_ += "<td>" + v + "</td>";
      s_ += "</tr>\n";
    }
    s_ += "</tbody>\n</table></div>\n</details>\n";
  }

  void classes() {
    const Index n = r_.confusion.classes();
    if (!n || !r_.confusion.total()) return;
    s_ += "<div class=\"beside\">\n<section aria-label=\"Confusion matrix\">\n<h2>Which class is taken for which</h2>\n";
    if (n <= 60) matrix(n);
    else pairs(n);
    s_ += "</section>\n<section aria-label=\"Classes\">\n<h2>Class by class</h2>\n<div class=\"scroll\"><table class=\"list fill\">\n<thead><tr><th scope=\"col\" class=\"left\">class</th>"
          "<th scope=\"col\">pictures</th><th scope=\"col\">precision</th><th scope=\"col\">recall</th><th scope=\"col\">F1</th></tr></thead>\n<tbody>\n";
    const auto row = [&](const std::string& name, Index support, double precision, double recall, double f1) {
      s_ += "<tr><th scope=\"row\" class=\"wraps\">" + name + "</th><td>" + grouped(support) + "</td><td>" + percent(precision, 1) + "</td><td>" + percent(recall, 1) + "</td><td>" + percent(f1, 1) + "</td></tr>\n";
    };
    for (Index k = 0; k < n; ++k) row(name(k), r_.confusion.support(k), r_.confusion.precision(k), r_.confusion.recall(k), r_.confusion.f1(k));
    s_ += "</tbody>\n<tfoot>\n";
    row("mean", r_.confusion.total(), r_.confusion.macro_precision(), r_.confusion.macro_recall(), r_.confusion.macro_f1());
    s_ += "</tfoot>\n</table></div>\n</section>\n</div>\n";
  }

  /// Shades go by the square root of the part of the row, so that one in a hundred is still seen.
  void matrix(Index n) {
    s_ += "<p class=\"note\">Rows are the truth, columns what the network says. Blue is right, orange is wrong; the shade is the part of its row.</p>\n<div class=\"scroll\" tabindex=\"0\"><table class=\"heat\">\n<thead><tr><td></td>";
    for (Index k = 0; k < n; ++k) s_ += "<th scope=\"col\"><span>" + name(k) + "</span></th>";
    s_ += "</tr></thead>\n<tbody>\n";
    for (Index t = 0; t < n; ++t) {
      s_ += "<tr><th scope=\"row\">" + name(t) + "</th>";
      const Index support = r_.confusion.support(t);
      for (Index p = 0; p < n; ++p) {
        const Index count = r_.confusion.count(t, p);
        const double shade = count ? std::sqrt(double(count) / double(support)) : 0;
        s_ += std::string("<td class=\"") + (count ? t == p ? "right" : "wrong" : "zero") + (shade > 0.72 ? " deep" : "") + "\"";
        if (count) s_ += " style=\"--v:" + fixed(shade, 2) + "\" title=\"" + name(t) + (t == p ? " recognised" : " taken for " + name(p)) + ": " + grouped(count) + " of " + grouped(support) + "\"";
        s_ += ">" + grouped(count) + "</td>";
      }
      s_ += "</tr>\n";
    }
    s_ += "</tbody>\n</table></div>\n";
  }

  /// Instead of a matrix of so many classes that nobody could read it.
  void pairs(Index n) {
    struct Pair { Index count, truth, predicted; };
    std::vector<Pair> all;
    for (Index t = 0; t < n; ++t)
      for (Index p = 0; p < n; ++p) if (t != p && r_.confusion.count(t, p)) all.push_back({r_.confusion.count(t, p), t, p});
    std::stable_sort(all.begin(), all.end(), [](const Pair& a, const Pair& b) { return a.count > b.count; });
    s_ += "<p class=\"note\">The most frequent mistakes among " + grouped(n) + " classes.</p>\n<div class=\"scroll\"><table class=\"list\">\n<thead><tr><th scope=\"col\" class=\"left\">truth</th>"
          "<th scope=\"col\" class=\"left\">taken for</th><th scope=\"col\">pictures</th><th scope=\"col\">of</th></tr></thead>\n<tbody>\n";
    for (std::size_t i = 0; i < std::min<std::size_t>(all.size(), 25); ++i)
      s_ += "<tr><th scope=\"row\">" + name(all[i].truth) + "</th><td class=\"left\">" + name(all[i].predicted) + "</td><td>" + grouped(all[i].count) + "</td><td>" + grouped(r_.confusion.support(all[i].truth)) + "</td></tr>\n";
    s_ += "</tbody>\n</table></div>\n";
  }

  void mistakes() {
    if (r_.mistakes.empty()) return;
    s_ += "<section aria-label=\"Mistakes\">\n<h2>Most confident mistakes</h2>\n<div class=\"mistakes\">\n";
    for (const Mistake& m : r_.mistakes) {
      const std::string uri = data_uri(m.picture), said = shown(m.predicted), truth = shown(m.truth);
      s_ += "<figure><div class=\"frame\">" + (uri.empty() ? "no picture" : "<img src=\"" + uri + "\" alt=\"" + truth + "\" loading=\"lazy\">") + "</div><figcaption><span class=\"said\">" + said +
            "</span> <span class=\"part\">" + percent(m.probability, 1) + "</span><br>is <span class=\"truth\">" + truth + "</span><span class=\"file\" title=\"" + escaped(m.file) + "\">" + escaped(std::string_view(m.file).substr(m.file.rfind('/') + 1)) + "</span></figcaption></figure>\n";
    }
    s_ += "</div>\n</section>\n";
  }

  void network() {
    if (r_.network.empty()) return;
    s_ += "<section aria-label=\"Network\">\n<h2>The network</h2>\n<div class=\"scroll\"><table class=\"list fill\">\n<thead><tr><th scope=\"col\" class=\"left\">layer</th><th scope=\"col\">output</th>"
          "<th scope=\"col\">parameters</th><th scope=\"col\">bytes</th><th scope=\"col\">multiply-adds</th></tr></thead>\n<tbody>\n";
    for (const SummaryRow& row : r_.network)
      s_ += "<tr><th scope=\"row\" class=\"mono\">" + escaped(row.layer) + "</th><td>" + escaped(row.output) + "</td><td>" + grouped(row.parameters) + "</td><td>" + grouped(row.bytes) + "</td><td>" +
            grouped(row.multiply_adds) + "</td></tr>\n";
    s_ += "</tbody>\n<tfoot><tr><th scope=\"row\">in all</th><td></td><td>" + grouped(sum(&SummaryRow::parameters)) + "</td><td>" + grouped(sum(&SummaryRow::bytes)) + "</td><td>" +
          grouped(sum(&SummaryRow::multiply_adds)) + "</td></tr></tfoot>\n</table></div>\n</section>\n";
  }

  const EpochRow* best() const {
    for (const EpochRow& e : r_.epochs) if (e.epoch == r_.best_epoch) return &e;
    return nullptr;
  }
  Index sum(Index SummaryRow::* field) const {
    Index s = 0;
    for (const SummaryRow& row : r_.network) s += row.*field;
    return s;
  }
  std::string name(Index k) const { return escaped(names_[std::size_t(k)]); }
  /// A class by its readable name, whatever else as it is.
  std::string shown(const std::string& c) const {
    for (std::size_t k = 0; k < r_.classes.size(); ++k) if (r_.classes[k] == c) return escaped(names_[k]);
    return escaped(c);
  }

  const Report& r_;
  std::vector<std::string> names_;
  std::string s_;
};
}  // namespace detail

/// The page, a function of the report alone. It needs no other file and runs no script.
inline std::string report_html(const Report& report) { return detail::ReportPage(report).html(); }

}  // namespace lamina
