#include <doctest/doctest.h>
#include <lamina/io/report_charts.hpp>

using namespace lamina;
using namespace lamina::detail::html;

namespace {
bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
std::size_t times(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}
}  // namespace

TEST_CASE("axes have round ticks") {
  // By hand: at most `parts` steps of 1, 2 or 5 times a power of ten.
  CHECK(nice_step(10, 5) == 2);
  CHECK(nice_step(11, 5) == 5);
  CHECK(nice_step(51, 5) == 20);
  CHECK(nice_step(0.7, 5) == doctest::Approx(0.2));
  CHECK(nice_step(100, 10) == 10);
  const Axis a = Axis::linear(0, 1.73, 5);
  CHECK(a.ticks.size() == 5);
  CHECK(a.low == 0);
  CHECK(a.high == 2);
  CHECK(a.label(1.5, false) == "1.5");
  const Axis p = Axis::linear(0.31, 0.98, 5);
  CHECK(p.label(p.ticks.front(), true) == "20 %");
  CHECK(p.label(p.ticks.back(), true) == "100 %");
  CHECK(p.at(p.ticks.back()) == doctest::Approx(1));
  const Axis l = Axis::logarithm(0.03, 2);
  CHECK(l.ticks.size() == 6);                                    // 0.05 0.1 0.2 0.5 1 2
  CHECK(l.label(l.ticks[0], false) == "0.05");
  CHECK(Axis::logarithm(1e-7, 1e-3).label(1e-6, false) == "1e-06");
  CHECK(Axis::linear(7, 7, 5).high > 7);
  CHECK(Axis::linear(0, 0, 5).high == 1);
  CHECK(Axis::linear(0, 1e-300, 5).ticks.size() < 12);
  CHECK(Axis::linear(1e29, 1e29 + 1, 5).ticks.size() < 12);
  CHECK(Axis::logarithm(1e-300, 1e29).ticks.size() < 12);
}

TEST_CASE("curves begin, break and end where their numbers do") {
  const double nan = NAN;
  const std::string s = svg(LineChart{"Loss", {{"training", "training", {3, 2, nan, 1, 1}}, {"validation", "validation", {3, 2.5, 2, 2, 2}}}, 5, 4, false});
  CHECK(times(s, "<path") == 2);
  const std::size_t path = s.find("d=\"M");
  CHECK(times(s.substr(path, s.find('"', path + 3) - path), "M") == 2);
  CHECK(times(s, "<circle class=\"dot\" cx=\"11.0\"") == 2);         // the legend
  CHECK(times(s, "<circle") == 2 + 4 + 5);
  CHECK(times(s, "dot ring") == 1);
  CHECK(has(s, "best, epoch 4"));
  CHECK(has(s, "aria-label=\"Loss; training 1 in epoch 5; validation 2 in epoch 5\""));
  CHECK(has(s, "<title>epoch 3\ntraining NaN\nvalidation 2</title>"));
  CHECK(has(svg(LineChart{.title = "Loss"}), "no epoch is done yet"));
  CHECK(times(svg(LineChart{"Loss", {{"training", "training", {nan, nan}}}, 2, 1, false}), "<path") == 0);
}

TEST_CASE("a point lies where its value says") {
  // By hand: ticks 0 0.5 1 1.5 2; the value 1 lies halfway up, the only epoch in the middle.
  const std::string s = svg(LineChart{"Loss", {{"training", "training", {1}}, {"validation", "validation", {2}}}, 1, 0, false});
  const Frame f;
  CHECK(has(s, "cx=\"" + fixed((f.left + f.width - f.right) / 2, 1) + "\" cy=\"" + fixed((f.top + f.height - f.bottom) / 2, 1) + "\""));
  CHECK(has(s, "cy=\"" + fixed(f.top, 1) + "\""));
}

TEST_CASE("bars pile up") {
  // By hand: 2 + 3 = 5 is the whole height, 2 of it the first part.
  const std::string s = svg(BarChart{"Seconds", "s", {{"forward", "forward", {2}}, {"backward", "backward", {3}}, {"wait", "wait", {-1}}}, 1});
  const Frame f;
  const double height = f.height - f.top - f.bottom;
  CHECK(has(s, "height=\"" + fixed(height * 0.4, 1) + "\""));
  CHECK(has(s, "y=\"" + fixed(f.top, 1) + "\" width=\"56.0\" height=\"" + fixed(height * 0.6, 1) + "\""));
  CHECK(times(s, "<rect class=\"bar wait\"") == 1);                // the legend's alone
  CHECK(has(s, "5.00 s in epoch 1"));
  const std::string many = svg(BarChart{"Seconds", "s", {{"forward", "forward", std::vector<double>(1000, 1)}}, 1000});
  CHECK(times(many, "<rect") == 200);
  CHECK(has(many, "<title>epoch 996 to 1000\nforward 1.00 s</title>"));
}

TEST_CASE("text is escaped, numbers do not know the locale") {
  CHECK(escaped("a<b> & \"c\" 'd'\n\x02") == "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;\n ");
  CHECK(fixed(1234.5678, 2) == "1234.57");
  CHECK(fixed(NAN, 2) == "NaN");
  CHECK(fixed(-INFINITY, 2) == "−∞");
  CHECK(significant(0.00012345, 3) == "0.000123");
}
