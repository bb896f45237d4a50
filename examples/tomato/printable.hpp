/// Names of files and classes on their way to a terminal.
#pragma once
#include <cstddef>
#include <string>

namespace tomato {

/// A text as it is printed for people, in one line: control characters, by which a terminal takes orders, are question marks.
inline std::string printable(const std::string& text) {
  std::string s;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = [&](std::size_t k) { return k < text.size() ? static_cast<unsigned char>(text[k]) : 0; };
    const bool pair = byte(i) == 0xC2 && byte(i + 1) >= 0x80 && byte(i + 1) < 0xA0;    // U+0080 to U+009F in UTF-8
    s += pair || byte(i) < 0x20 || byte(i) == 0x7F ? '?' : text[i];
    i += pair;
  }
  return s;
}

}  // namespace tomato
