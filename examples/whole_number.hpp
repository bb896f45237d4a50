/// A number on a command line.
#pragma once
#include <charconv>
#include <string_view>

#include <lamina/core/error.hpp>

/// From 1 to a million. Throws Error if the text is none.
inline int whole_number(std::string_view text, const char* what) {
  int n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size() || n < 1 || n > 1'000'000) throw lamina::Error("\"", text, "\" is no number of ", what, ": give one from 1 to 1000000");
  return n;
}
