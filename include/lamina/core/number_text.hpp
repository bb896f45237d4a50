/// A number as text.
#pragma once
#include <charconv>
#include <string>

namespace lamina::detail {

/// The shortest text that reads back to the same double; "nan", "inf" and "-inf" are numbers too. The same in every locale.
[[gnu::cold]] inline std::string number_text(double v) {
  char s[32];
  return {s, std::to_chars(s, s + sizeof s, v).ptr};
}

}  // namespace lamina::detail
