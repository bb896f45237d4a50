/// Words and numbers as a report writes them: the same in every locale, and safe in HTML.
#pragma once
#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../nn/summary.hpp"

namespace lamina::detail::html {

/// A number with so many digits after the point; "NaN" and "∞" where it is none.
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

/// A loss: four digits after the point, or of a large one four that count.
inline std::string loss_text(double v) { return std::abs(v) < 1e5 ? fixed(v, 4) : significant(v, 4); }

using lamina::detail::grouped;

/// 1234567 -> 1.23 M
inline std::string rounded(double v) {
  for (const auto& [unit, name] : {std::pair(1e12, " T"), std::pair(1e9, " G"), std::pair(1e6, " M"), std::pair(1e3, " k")})
    if (v >= unit) return fixed(v / unit, v / unit < 9.995 ? 2 : v / unit < 99.95 ? 1 : 0) + name;
  return fixed(v, 0);
}

/// 0.98765 -> 98.77 %
inline std::string percent(double part, int digits = 2) { return std::isfinite(part) ? fixed(100 * part, digits) + " %" : fixed(part, 0); }

/// 3725 -> 1 h 02 min
inline std::string duration(double seconds) {
  if (!(seconds < 1e9)) return "–";
  if (seconds < 59.95) return fixed(seconds, 1) + " s";
  const Index s = std::llround(seconds), minutes = s / 60;
  const auto two = [](Index v) { return (v < 10 ? "0" : "") + std::to_string(v); };
  if (minutes < 60) return std::to_string(minutes) + " min " + two(s % 60) + " s";
  return grouped(minutes / 60) + " h " + two(minutes % 60) + " min";
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

/// Names as people read them: what all of them share up to its first "___" is left out, and underscores are spaces.
inline std::vector<std::string> readable(std::vector<std::string> names) {
  if (names.size() > 1) {
    const std::size_t end = names[0].find("___") == std::string::npos ? 0 : names[0].find("___") + 3;
    const std::string shared = names[0].substr(0, end);
    const auto shares = [&](const std::string& n) { return n.size() > end && n.starts_with(shared); };
    if (std::all_of(names.begin(), names.end(), shares)) for (std::string& n : names) n.erase(0, end);
  }
  for (std::string& n : names) std::replace(n.begin(), n.end(), '_', ' ');
  return names;
}

/// <tag attributes>inside</tag>; `attributes` begins with a space or is empty.
inline std::string element(const char* tag, const std::string& attributes, const std::string& inside) {
  return std::string("<") + tag + attributes + ">" + inside + "</" + tag + ">";
}
/// <tag attributes/>
inline std::string element(const char* tag, const std::string& attributes) { return std::string("<") + tag + attributes + "/>"; }
/// ` name="value"`. The value must be escaped already.
inline std::string attribute(const char* name, const std::string& value) { return std::string(" ") + name + "=\"" + value + "\""; }
inline std::string attribute(const char* name, double v) { return attribute(name, fixed(v, 1)); }
inline std::string style_class(const std::string& name) { return attribute("class", name); }

}  // namespace lamina::detail::html
