/// Charts of a training as SVG: curves over epochs, and bars of seconds. Colours are classes, which io/report_style.hpp gives their values.
#pragma once
#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "../core/shape.hpp"

namespace lamina {

/// One curve: y[i] belongs to epoch i + 1; what is not finite is left out and breaks the curve.
struct Curve {
  std::string name = {}, style = {};           // "validation", and the class of its colour
  std::vector<double> y = {};
};

/// Curves over the epochs 1 ... last.
struct LineChart {
  std::string title = {};                 // what y is
  std::vector<Curve> curves = {};
  Index last = 0;
  Index best = 0;                    // the epoch to mark, or 0
  bool percent = false;              // y is a part of 1, to be told in percent
};

/// Bars over epochs, each a pile of parts: parts[k].y[i] belongs to epoch i + 1 and is not negative.
struct BarChart {
  std::string title = {}, unit = {};
  std::vector<Curve> parts = {};
  Index last = 0;
};

namespace detail {

/// A number with so many digits after the point, the same in every locale; "NaN" and "∞" where it is none.
inline std::string fixed(double v, int digits) {
  if (std::isnan(v)) return "NaN";
  if (std::isinf(v)) return v < 0 ? "−∞" : "∞";
  char s[400];
  return {s, std::to_chars(s, s + sizeof s, v, std::chars_format::fixed, digits).ptr};
}

/// A number with so many digits that count: 0.2719, 1e-05.
inline std::string significant(double v, int digits) {
  if (!std::isfinite(v)) return fixed(v, 0);
  char s[40];
  return {s, std::to_chars(s, s + sizeof s, v, std::chars_format::general, digits).ptr};
}

/// Text of others in HTML: nothing in it is markup.
inline std::string escaped(std::string_view text) {
  std::string s;
  for (const char c : text) switch (c) {
    case '&': s += "&amp;"; break;
    case '<': s += "&lt;"; break;
    case '>': s += "&gt;"; break;
    case '"': s += "&quot;"; break;
    case '\'': s += "&#39;"; break;
    default: s += static_cast<unsigned char>(c) < 32 && c != '\n' ? ' ' : c;
  }
  return s;
}

/// The smallest of 1, 2, 5, 10, 20, 50 ... (times any power of ten) that cuts `range` into at most `parts`.
inline double nice_step(double range, int parts) {
  const double least = range / parts, power = std::pow(10, std::floor(std::log10(least)));
  for (const double m : {1.0, 2.0, 5.0}) if (m * power >= least * (1 - 1e-9)) return m * power;
  return 10 * power;
}

/// An axis of numbers: where a value lies in 0..1, and at which values it is labelled.
struct ChartAxis {
  double low = 0, high = 1;
  bool logarithmic = false;
  std::vector<double> ticks = {};
  int digits = 0;                    // after the point, in labels

  double at(double v) const { return logarithmic ? std::log(v / low) / std::log(high / low) : (v - low) / (high - low); }
  std::string label(double v, bool percent) const {
    if (percent) return fixed(100 * v, std::max(0, digits - 2)) + " %";
    const int places = logarithmic ? std::max(0, int(-std::floor(std::log10(v) + 1e-9))) : digits;
    return places <= 4 && std::abs(v) < 1e6 ? fixed(v, places) : significant(v, 3);
  }

  /// From `low` or a little less to `high` or a little more.
  static ChartAxis linear(double low, double high, int parts) {
    const double largest = std::max(std::abs(low), std::abs(high));
    if (high - low <= 1e-9 * largest || largest == 0) high = low + (largest > 0 ? largest : 1);
    const double step = nice_step(high - low, parts);
    ChartAxis a{.low = std::floor(low / step + 1e-9) * step, .high = std::ceil(high / step - 1e-9) * step, .digits = std::max(0, int(-std::floor(std::log10(step) + 1e-9)))};
    for (double k = std::round(a.low / step); k * step <= a.high + step / 2; ++k) a.ticks.push_back(k * step);
    return a;
  }
  /// Powers of ten with 2 and 5 between, so far as they fit.
  static ChartAxis logarithm(double low, double high) {
    ChartAxis a{.low = low / 1.1, .high = high * 1.1, .logarithmic = true};
    const bool wide = high / low > 1e3;
    const double skip = std::pow(10, std::ceil(std::log10(high / low) / 6));
    for (double power = std::pow(10, std::floor(std::log10(a.low))); power <= a.high; power *= wide ? skip : 10)
      for (const double m : {1.0, 2.0, 5.0}) if ((m == 1 || !wide) && m * power >= a.low && m * power <= a.high) a.ticks.push_back(m * power);
    return a;
  }
};

/// Values beyond are not drawn, as if they were infinite.
inline bool drawable(double v) { return std::abs(v) < 1e30; }

/// The drawing area of a chart in the units of its viewBox.
struct ChartFrame {
  double width = 520, height = 280, left = 52, right = 14, top = 22, bottom = 42;
  double x(double part) const { return left + part * (width - left - right); }
  double y(double part) const { return height - bottom - part * (height - top - bottom); }
};

/// name="12.3"
inline std::string attribute(const char* name, double v) { return std::string(" ") + name + "=\"" + fixed(v, 1) + "\""; }
inline std::string svg_line(const char* style, double x1, double y1, double x2, double y2) {
  return std::string("<line class=\"") + style + "\"" + attribute("x1", x1) + attribute("y1", y1) + attribute("x2", x2) + attribute("y2", y2) + "/>";
}
inline std::string svg_text(const char* style, double x, double y, const std::string& words) {
  return std::string("<text class=\"") + style + "\"" + attribute("x", x) + attribute("y", y) + ">" + words + "</text>";
}
inline std::string svg_rect(const std::string& style, double x, double y, double w, double h, const std::string& inside = "") {
  return "<rect class=\"" + style + "\"" + attribute("x", x) + attribute("y", y) + attribute("width", w) + attribute("height", h) + (inside.empty() ? "/>" : ">" + inside + "</rect>");
}

/// <figure> with title and legend above the drawing. `description` is what is read aloud instead of it.
inline std::string chart_figure(const std::string& title, const std::vector<Curve>& legend, bool lines, const std::string& description, const ChartFrame& f, const std::string& drawing) {
  std::string s = "<figure class=\"chart\"><figcaption><span class=\"chart-title\">" + escaped(title) + "</span><span class=\"legend\">";
  for (const Curve& c : legend)
    if (legend.size() > 1)
      s += "<span class=\"key\"><svg viewBox=\"0 0 22 12\" width=\"22\" height=\"12\" aria-hidden=\"true\">" +
           (lines ? "<g class=\"" + c.style + "\">" + svg_line("curve", 0, 6, 22, 6) + "<circle class=\"dot\" cx=\"11\" cy=\"6\" r=\"3\"/></g>" : svg_rect("bar " + c.style, 5, 0, 12, 12)) + "</svg>" + escaped(c.name) + "</span>";
  return s + "</span></figcaption><svg viewBox=\"0 0 " + fixed(f.width, 0) + " " + fixed(f.height, 0) + "\" role=\"img\" aria-label=\"" + escaped(description) + "\">" + drawing + "</svg></figure>\n";
}

/// The grid, the labels of both axes and the word "epoch"; where(epoch) is its x.
template <class Where> std::string chart_axes(const ChartFrame& f, const ChartAxis& y, bool percent, Index last, Where where) {
  std::string s;
  for (const double v : y.ticks) s += svg_line("grid", f.left, f.y(y.at(v)), f.width - f.right, f.y(y.at(v))) + svg_text("tick y", f.left - 8, f.y(y.at(v)) + 4, y.label(v, percent));
  s += svg_line("base", f.left, f.y(0), f.width - f.right, f.y(0));
  const Index step = last > 1 ? std::max<Index>(1, Index(nice_step(double(last), 10))) : 1;
  for (Index e = 1; e <= last; e = e == 1 && step > 1 ? step : e + step)
    s += svg_line("base", where(double(e)), f.y(0), where(double(e)), f.y(0) + 4) + svg_text("tick x", where(double(e)), f.y(0) + 18, std::to_string(e));
  return s + svg_text("tick x", f.x(0.5), f.height - 5, "epoch");
}

inline std::string empty_chart(const ChartFrame& f) { return svg_line("base", f.left, f.y(0), f.width - f.right, f.y(0)) + svg_text("none", f.x(0.5), f.y(0.5), "no epoch is done yet"); }
}  // namespace detail

/// The chart as a <figure>. A loss begins at 0, or goes by logarithms if its largest value is more than fifty times its smallest.
inline std::string svg(const LineChart& chart) {
  using namespace detail;
  const ChartFrame f;
  const auto value = [&](double v) { return chart.percent ? fixed(100 * v, 2) + " %" : significant(v, 4); };
  double low = INFINITY, high = -INFINITY;
  std::size_t count = 0;
  for (const Curve& c : chart.curves) {
    count = std::max(count, c.y.size());
    for (const double v : c.y) if (drawable(v)) low = std::min(low, v), high = std::max(high, v);
  }
  if (!count) return chart_figure(chart.title, chart.curves, true, chart.title + ": no epoch is done yet", f, empty_chart(f));
  if (low > high) low = 0, high = 1;                            // nothing but NaN: empty axes
  if (chart.percent && high - low < 0.1) low = std::max(0.0, std::min(low, (low + high) / 2 - 0.05)), high = std::max(high, low + 0.1);   // no drama about a tenth of a percent
  if (chart.percent && high > 1 && high < 1.1) high = 1, low = std::min(low, 0.9);
  const ChartAxis y = !chart.percent && low > 0 && high > 50 * low ? ChartAxis::logarithm(low, high) : ChartAxis::linear(chart.percent ? low : std::min(0.0, low), high, 5);
  const Index last = std::max(chart.last, Index(count));
  const double inset = 8;
  const auto where = [&](double epoch) { return last == 1 ? f.x(0.5) : f.left + inset + (epoch - 1) / double(last - 1) * (f.width - f.left - f.right - 2 * inset); };

  std::string s = chart_axes(f, y, chart.percent, last, where), words = chart.title;
  if (chart.best >= 1 && chart.best <= Index(count)) {
    const double x = where(double(chart.best));
    s += svg_line("best", x, f.y(1), x, f.y(0)) + svg_text(x < f.x(0.12) ? "best-label start" : x > f.x(0.88) ? "best-label end" : "best-label", x, f.top - 8, "best, epoch " + std::to_string(chart.best));
  }
  for (const Curve& c : chart.curves) {
    s += "<g class=\"" + c.style + "\">";
    std::string path, dots;
    bool begun = false;
    for (std::size_t i = 0; i < c.y.size(); ++i) {
      if (!drawable(c.y[i])) { begun = false; continue; }
      const double px = where(double(i + 1)), py = f.y(y.at(c.y[i]));
      path += (begun ? "L" : "M") + fixed(px, 1) + " " + fixed(py, 1);
      begun = true;
      const bool best = Index(i + 1) == chart.best && c.style == "validation";
      if (count <= 200 || best) dots += "<circle class=\"" + std::string(best ? "dot ring" : "dot") + "\"" + attribute("cx", px) + attribute("cy", py) + attribute("r", best ? 5 : count <= 30 ? 3 : 1.8) + "/>";
    }
    if (!path.empty()) s += "<path class=\"curve\" d=\"" + path + "\"/>" + dots;
    s += "</g>";
    if (!c.y.empty()) words += "; " + c.name + " " + value(c.y.back()) + " in epoch " + std::to_string(c.y.size());
  }
  const double column = last == 1 ? f.x(1) - f.x(0) : where(2) - where(1);
  for (std::size_t i = 0; i < count && count <= 500; ++i) {
    std::string told = "epoch " + std::to_string(i + 1);
    for (const Curve& c : chart.curves) if (i < c.y.size()) told += "\n" + c.name + " " + value(c.y[i]);
    s += svg_rect("column", std::max(f.left, where(double(i + 1)) - column / 2), f.top, column, f.height - f.top - f.bottom, "<title>" + escaped(told) + "</title>");
  }
  return chart_figure(chart.title, chart.curves, true, words, f, s);
}

/// The chart as a <figure>. More than 200 epochs share bars, which then are means.
inline std::string svg(const BarChart& chart) {
  using namespace detail;
  const ChartFrame f;
  std::size_t count = 0;
  for (const Curve& c : chart.parts) count = std::max(count, c.y.size());
  if (!count) return chart_figure(chart.title, chart.parts, false, chart.title + ": no epoch is done yet", f, empty_chart(f));
  const std::size_t group = (count + 199) / 200, bars = (count + group - 1) / group;
  const auto part = [&](const Curve& c, std::size_t bar) {
    double sum = 0, n = 0;
    for (std::size_t i = bar * group; i < std::min((bar + 1) * group, count); ++i) sum += i < c.y.size() && drawable(c.y[i]) ? std::max(0.0, c.y[i]) : 0, ++n;
    return sum / n;
  };
  double high = 0;
  for (std::size_t b = 0; b < bars; ++b) {
    double sum = 0;
    for (const Curve& c : chart.parts) sum += part(c, b);
    high = std::max(high, sum);
  }
  const ChartAxis y = ChartAxis::linear(0, high, 5);
  const Index last = std::max(chart.last, Index(count));
  const double slot = (f.width - f.left - f.right) / double(last);
  std::string s = chart_axes(f, y, false, last, [&](double epoch) { return f.left + (epoch - 0.5) * slot; }), latest;
  for (std::size_t b = 0; b < bars; ++b) {
    const double room = slot * double(std::min(group, count - b * group)), w = std::min(56.0, room * (room > 6 ? 0.7 : 0.9)), x = f.left + double(b * group) * slot + (room - w) / 2;
    double from = 0;
    std::string told = "epoch " + std::to_string(b * group + 1) + (group > 1 ? " to " + std::to_string(std::min((b + 1) * group, count)) : ""), rects;
    for (const Curve& c : chart.parts) {
      const double v = part(c, b);
      if (v > 0) rects += svg_rect("bar " + c.style, x, f.y(y.at(from + v)), w, f.y(y.at(from)) - f.y(y.at(from + v)));
      from += v;
      told += "\n" + c.name + " " + fixed(v, 2) + " " + chart.unit;
    }
    s += "<g><title>" + escaped(told) + "</title>" + rects + "</g>";
    latest = fixed(from, 2);
  }
  return chart_figure(chart.title, chart.parts, false, chart.title + "; " + latest + " " + chart.unit + " in epoch " + std::to_string(count), f, s);
}

}  // namespace lamina
