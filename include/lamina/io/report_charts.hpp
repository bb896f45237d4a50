/// Charts of a training as SVG: curves over epochs, and bars of seconds. Colours are classes, which io/report_style.hpp gives their values.
#pragma once
#include "report_text.hpp"

namespace lamina {

/// One curve: y[i] belongs to epoch i + 1; what is not finite is left out and breaks the curve.
struct Curve {
  std::string name = {}, style = {};      // "validation", and the class of its colour
  std::vector<double> y = {};
};

/// Curves over the epochs 1 ... last.
struct LineChart {
  std::string title = {};                 // what y is
  std::vector<Curve> curves = {};
  Index last = 0;
  Index best = 0;                         // the epoch to mark, or 0
  bool percent = false;                   // y is a part of 1, to be told in percent
};

/// Bars over epochs, each a pile of parts: parts[k].y[i] belongs to epoch i + 1 and is not negative.
struct BarChart {
  std::string title = {}, unit = {};
  std::vector<Curve> parts = {};
  Index last = 0;
};

namespace detail::html {

/// The smallest of 1, 2, 5, 10, 20, 50 ... (times any power of ten) that cuts `range` into at most `parts`.
inline double nice_step(double range, int parts) {
  const double least = range / parts, power = std::pow(10, std::floor(std::log10(least)));
  for (const double m : {1.0, 2.0, 5.0}) if (m * power >= least * (1 - 1e-9)) return m * power;
  return 10 * power;
}
/// Digits after the point that tell multiples of this step apart.
inline int places(double step) { return std::max(0, int(-std::floor(std::log10(step) + 1e-9))); }

/// An axis of numbers: where a value lies in 0..1, and at which values it is labelled.
struct Axis {
  double low = 0, high = 1;
  bool logarithmic = false;
  std::vector<double> ticks = {};
  int digits = 0;                         // after the point, in labels

  double at(double v) const { return logarithmic ? std::log(v / low) / std::log(high / low) : (v - low) / (high - low); }
  std::string label(double v, bool in_percent) const {
    if (in_percent) return percent(v, std::max(0, digits - 2));
    const int after_point = logarithmic ? places(v) : digits;
    return after_point <= 4 && std::abs(v) < 1e6 ? fixed(v, after_point) : significant(v, 3);
  }

  /// From `low` or a little less to `high` or a little more.
  static Axis linear(double low, double high, int parts) {
    const double largest = std::max(std::abs(low), std::abs(high));
    if (high - low <= 1e-9 * largest || largest == 0) high = low + (largest > 0 ? largest : 1);
    const double step = nice_step(high - low, parts);
    Axis a{.low = std::floor(low / step + 1e-9) * step, .high = std::ceil(high / step - 1e-9) * step, .digits = places(step)};
    for (double k = std::round(a.low / step); k * step <= a.high + step / 2; ++k) a.ticks.push_back(k * step);
    return a;
  }
  /// An accuracy: at least ten percent high, so that a tenth of a percent is no drama, and never beyond 100.
  static Axis of_parts(double low, double high) {
    if (high - low < 0.1) low = std::max(0.0, (low + high) / 2 - 0.05), high = low + 0.1;
    if (high > 1) low = std::min(low, 0.9), high = 1;
    return linear(low, high, 5);
  }
  /// Powers of ten, with 2 and 5 between so far as they fit.
  static Axis logarithm(double low, double high) {
    Axis a{.low = low / 1.1, .high = high * 1.1, .logarithmic = true};
    const bool wide = high / low > 1e3;
    const double factor = wide ? std::pow(10, std::ceil(std::log10(high / low) / 6)) : 10;
    for (double power = std::pow(10, std::floor(std::log10(a.low))); power <= a.high; power *= factor)
      for (const double m : {1.0, 2.0, 5.0})
        if ((m == 1 || !wide) && m * power >= a.low && m * power <= a.high) a.ticks.push_back(m * power);
    return a;
  }
};

/// Values beyond are not drawn, as if they were infinite.
inline bool drawable(double v) { return std::abs(v) < 1e30; }

/// The drawing area of a chart in the units of its viewBox: 0..1 of x and of y lie in it.
struct Frame {
  double width = 520, height = 280, left = 52, right = 14, top = 22, bottom = 42;
  double across() const { return width - left - right; }
  double x(double part) const { return left + part * across(); }
  double y(double part) const { return height - bottom - part * (height - top - bottom); }
};
inline constexpr Frame frame;

inline std::string line(const char* style, double x1, double y1, double x2, double y2) {
  return element("line", style_class(style) + attribute("x1", x1) + attribute("y1", y1) + attribute("x2", x2) + attribute("y2", y2));
}
inline std::string words(const char* style, double x, double y, const std::string& text) {
  return element("text", style_class(style) + attribute("x", x) + attribute("y", y), text);
}
inline std::string rectangle(double x, double y, double w, double h) {
  return attribute("x", x) + attribute("y", y) + attribute("width", w) + attribute("height", h);
}
inline std::string circle(const char* style, double x, double y, double r) {
  return element("circle", style_class(style) + attribute("cx", x) + attribute("cy", y) + attribute("r", r));
}
inline std::string bar(const std::string& style, double x, double y, double w, double h) { return element("rect", style_class("bar " + style) + rectangle(x, y, w, h)); }

/// <figure> with title and legend above the drawing. `description` is what is read aloud instead of it.
inline std::string figure(const std::string& title, const std::vector<Curve>& legend, bool lines, const std::string& description, const std::string& drawing) {
  std::string keys;
  for (const Curve& c : legend) {
    const std::string sign = lines ? element("g", style_class(c.style), line("curve", 0, 6, 22, 6) + circle("dot", 11, 6, 3)) : bar(c.style, 5, 0, 12, 12);
    keys += element("span", style_class("key"), element("svg", " viewBox=\"0 0 22 12\" width=\"22\" height=\"12\" aria-hidden=\"true\"", sign) + escaped(c.name));
  }
  if (legend.size() < 2) keys.clear();
  const std::string caption = element("span", style_class("chart-title"), escaped(title)) + element("span", style_class("legend"), keys);
  const std::string box = "0 0 " + fixed(frame.width, 0) + " " + fixed(frame.height, 0);
  const std::string chart = element("svg", attribute("viewBox", box) + attribute("role", "img") + attribute("aria-label", escaped(description)), drawing);
  return element("figure", style_class("chart"), element("figcaption", "", caption) + chart) + "\n";
}

/// The same before there is anything to draw.
inline std::string empty_figure(const std::string& title, const std::vector<Curve>& legend, bool lines) {
  const std::string none = "no epoch is done yet";
  return figure(title, legend, lines, title + ": " + none, line("base", frame.left, frame.y(0), frame.x(1), frame.y(0)) + words("none", frame.x(0.5), frame.y(0.5), none));
}

/// The grid, the labels of both axes and the word "epoch"; where(epoch) is its x.
template <class Where> std::string axes(const Axis& axis, bool in_percent, Index last, Where where) {
  std::string s;
  for (const double v : axis.ticks) {
    const double y = frame.y(axis.at(v));
    s += line("grid", frame.left, y, frame.x(1), y) + words("tick y", frame.left - 8, y + 4, axis.label(v, in_percent));
  }
  const double floor = frame.y(0);
  s += line("base", frame.left, floor, frame.x(1), floor);
  const Index step = std::max<Index>(1, Index(nice_step(double(last), 10)));
  for (Index e = 1; e <= last; e = e == 1 && step > 1 ? step : e + step)
    s += line("base", where(double(e)), floor, where(double(e)), floor + 4) + words("tick x", where(double(e)), floor + 18, std::to_string(e));
  return s + words("tick x", frame.x(0.5), frame.height - 5, "epoch");
}

inline std::size_t longest(const std::vector<Curve>& curves) {
  std::size_t n = 0;
  for (const Curve& c : curves) n = std::max(n, c.y.size());
  return n;
}
/// "epoch 3", then a line for each curve. What is shown where the mouse is.
template <class Value> std::string tooltip(const std::string& epochs, const std::vector<Curve>& curves, Value value) {
  std::string told = epochs;
  for (const Curve& c : curves) told += "\n" + c.name + " " + value(c);
  return element("title", "", escaped(told));
}
}  // namespace detail::html

/// The chart as a <figure>. What is no percentage begins at 0, or goes by logarithms if its largest value is more than fifty times its smallest.
inline std::string svg(const LineChart& chart) {
  using namespace detail::html;
  const std::size_t count = longest(chart.curves);
  if (!count) return empty_figure(chart.title, chart.curves, true);
  double low = INFINITY, high = -INFINITY;
  for (const Curve& c : chart.curves)
    for (const double v : c.y) if (drawable(v)) low = std::min(low, v), high = std::max(high, v);
  if (low > high) low = 0, high = 1;                            // nothing but NaN: empty axes
  const Axis axis = chart.percent ? Axis::of_parts(low, high) : low > 0 && high > 50 * low ? Axis::logarithm(low, high) : Axis::linear(std::min(0.0, low), high, 5);
  const auto value = [&](double v) { return chart.percent ? percent(v) : significant(v, 4); };
  const Index last = std::max(chart.last, Index(count));
  const double inset = 8, column = last == 1 ? frame.across() : (frame.across() - 2 * inset) / double(last - 1);
  const auto where = [&](double epoch) { return last == 1 ? frame.x(0.5) : frame.left + inset + (epoch - 1) * column; };

  std::string s = axes(axis, chart.percent, last, where), description = chart.title;
  if (chart.best >= 1 && chart.best <= Index(count)) {
    const double x = where(double(chart.best));
    const char* style = x < frame.x(0.12) ? "best-label start" : x > frame.x(0.88) ? "best-label end" : "best-label";
    s += line("best", x, frame.y(1), x, frame.y(0)) + words(style, x, frame.top - 8, "best, epoch " + std::to_string(chart.best));
  }
  for (const Curve& c : chart.curves) {
    std::string path, dots;
    bool begun = false;
    for (std::size_t i = 0; i < c.y.size(); ++i) {
      if (!drawable(c.y[i])) { begun = false; continue; }
      const double x = where(double(i + 1)), y = frame.y(axis.at(c.y[i]));
      path += (begun ? "L" : "M") + fixed(x, 1) + " " + fixed(y, 1);
      begun = true;
      if (Index(i + 1) == chart.best && c.style == "validation") dots += circle("dot ring", x, y, 5);
      else if (count <= 200) dots += circle("dot", x, y, count <= 30 ? 3 : 1.8);
    }
    if (!path.empty()) s += element("g", style_class(c.style), element("path", style_class("curve") + attribute("d", path)) + dots);
    if (!c.y.empty()) description += "; " + c.name + " " + value(c.y.back()) + " in epoch " + std::to_string(c.y.size());
  }
  for (std::size_t i = 0; i < count && count <= 500; ++i) {
    const std::string told = tooltip("epoch " + std::to_string(i + 1), chart.curves, [&](const Curve& c) { return i < c.y.size() ? value(c.y[i]) : "–"; });
    const double x = std::max(frame.left, where(double(i + 1)) - column / 2);
    s += element("rect", style_class("column") + rectangle(x, frame.top, column, frame.y(0) - frame.y(1)), told);
  }
  return figure(chart.title, chart.curves, true, description, s);
}

/// The chart as a <figure>. More than 200 epochs share bars, which then are means.
inline std::string svg(const BarChart& chart) {
  using namespace detail::html;
  const std::size_t count = longest(chart.parts), group = (count + 199) / 200;
  if (!count) return empty_figure(chart.title, chart.parts, false);
  const auto mean = [&](const Curve& c, std::size_t first) {
    const std::size_t end = std::min(first + group, count);
    double sum = 0;
    for (std::size_t i = first; i < std::min(end, c.y.size()); ++i) sum += drawable(c.y[i]) ? std::max(0.0, c.y[i]) : 0;
    return sum / double(end - first);
  };
  const auto pile = [&](std::size_t first) {
    double sum = 0;
    for (const Curve& c : chart.parts) sum += mean(c, first);
    return sum;
  };
  double high = 0;
  for (std::size_t first = 0; first < count; first += group) high = std::max(high, pile(first));
  const Axis axis = Axis::linear(0, high, 5);
  const Index last = std::max(chart.last, Index(count));
  const double slot = frame.across() / double(last);
  const auto shown = [&](double v) { return fixed(v, 2) + " " + chart.unit; };

  std::string s = axes(axis, false, last, [&](double epoch) { return frame.left + (epoch - 0.5) * slot; });
  for (std::size_t first = 0; first < count; first += group) {
    const std::size_t end = std::min(first + group, count);
    const double room = slot * double(end - first), w = std::min(56.0, room * (room > 6 ? 0.7 : 0.9)), x = frame.left + double(first) * slot + (room - w) / 2;
    const std::string epochs = "epoch " + std::to_string(first + 1) + (group > 1 ? " to " + std::to_string(end) : "");
    std::string inside = tooltip(epochs, chart.parts, [&](const Curve& c) { return shown(mean(c, first)); });
    double from = 0;
    for (const Curve& c : chart.parts) {
      const double v = mean(c, first), top = frame.y(axis.at(from + v));
      if (v > 0) inside += bar(c.style, x, top, w, frame.y(axis.at(from)) - top);
      from += v;
    }
    s += element("g", "", inside);
  }
  return figure(chart.title, chart.parts, false, chart.title + "; " + shown(pile((count - 1) / group * group)) + " in epoch " + std::to_string(count), s);
}

}  // namespace lamina
