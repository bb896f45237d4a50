/// The chart of bench_parallel: where the time of each way goes, and what is predicted for many GPUs.
#pragma once
#include <lamina/io/report_charts.hpp>

namespace bench {

/// A bar of parts, side by side.
struct Pile { std::string name; std::vector<double> parts; };
struct ScalingCurve {
  std::string name;
  struct Point { double x, y; };
  std::vector<Point> points;
};

/// A file of its own, for light and dark pages. x of the curves goes by logarithms, y is a part of 1.
inline std::string parallel_chart(const std::string& title, const std::vector<std::string>& parts, const std::vector<Pile>& piles, const std::string& curves_title,
                                  const std::vector<ScalingCurve>& curves) {
  using namespace lamina::detail::html;
  constexpr const char* colours[] = {"#e8792c", "#56b4e9", "#2277bb", "#22a07a", "#c26a9a"};
  const auto text = [](double x, double y, const std::string& s, const char* anchor = "start") {
    return element("text", attribute("x", x) + attribute("y", y) + attribute("text-anchor", std::string(anchor)), escaped(s));
  };
  const auto box = [](double x, double y, double w, double h, const char* colour) { return element("rect", rectangle(x, y, w, h) + attribute("fill", std::string(colour))); };
  const auto rule = [](double x1, double y1, double x2, double y2) {
    return element("line", attribute("x1", x1) + attribute("y1", y1) + attribute("x2", x2) + attribute("y2", y2) + attribute("stroke", std::string("#8884")));
  };

  constexpr double left = 230, right = 640, top = 52, row = 24;
  const double bottom = top + row * double(piles.size());
  double most = 0;
  for (const Pile& p : piles) {
    double sum = 0;
    for (const double v : p.parts) sum += v;
    most = std::max(most, sum);
  }
  const Axis axis = Axis::linear(0, most, 6);
  const auto x_of = [&](double v) { return left + axis.at(v) * (right - left); };
  std::string s = text(left, 18, title);
  for (std::size_t k = 0; k < parts.size(); ++k) s += box(left + 84 * double(k), 28, 10, 10, colours[k]) + text(left + 84 * double(k) + 14, 38, parts[k]);
  for (const double v : axis.ticks) s += rule(x_of(v), top - 4, x_of(v), bottom) + text(x_of(v), bottom + 16, axis.label(v, false), "middle");
  for (std::size_t i = 0; i < piles.size(); ++i) {
    const double y = top + row * double(i);
    s += text(left - 8, y + 15, piles[i].name, "end");
    double at = 0;
    for (std::size_t k = 0; k < parts.size(); ++k) s += box(x_of(at), y + 3, x_of(at + piles[i].parts[k]) - x_of(at), row - 6, colours[k]), at += piles[i].parts[k];
  }

  const double first = right + 70, last = first + 320, floor = std::max(bottom, top + 200);
  const auto across = [&](double x) { return first + (std::log2(x) - 3) / 7 * (last - first); };
  const auto up = [&](double y) { return floor - y * (floor - top - 30); };
  s += text(first, 18, curves_title);
  for (const double y : {0.0, 0.25, 0.5, 0.75, 1.0}) s += rule(first, up(y), last, up(y)) + text(first - 6, up(y) + 4, percent(y, 0), "end");
  for (double n = 8; n <= 1024; n *= 2) s += text(across(n), floor + 16, fixed(n, 0), "middle");
  for (std::size_t c = 0; c < curves.size(); ++c) {
    const char* const colour = colours[c + 1 + (c > 1)];
    std::string path;
    for (const auto& p : curves[c].points) path += (path.empty() ? "M" : "L") + fixed(across(p.x), 1) + " " + fixed(up(p.y), 1);
    const double key = 28 + 16 * double(c);
    s += element("path", attribute("d", path) + attribute("fill", std::string("none")) + attribute("stroke", std::string(colour)) + attribute("stroke-width", 2));
    s += box(first, key, 10, 10, colour) + text(first + 14, key + 10, curves[c].name);
  }
  const std::string frame = "0 0 " + fixed(last + 20, 0) + " " + fixed(floor + 28, 0);
  const std::string look = attribute("font-family", std::string("sans-serif")) + attribute("font-size", 12) + attribute("fill", std::string("#777"));
  return element("svg", attribute("xmlns", std::string("http://www.w3.org/2000/svg")) + attribute("viewBox", frame) + look, s) + "\n";
}

}  // namespace bench
