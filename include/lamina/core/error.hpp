/// Errors of use: what happened, the values, where, and what to do.
#pragma once
#include <concepts>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "text.hpp"

namespace lamina {

namespace detail {
inline void say(std::string& to, std::string_view part) { to += part; }
inline void say(std::string& to, std::integral auto part) { to += std::to_string(part); }
inline void say(std::string& to, std::floating_point auto part) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.6g", double(part));
  to += digits;
}
inline void say(std::string& to, Shape part) { to += text(part).s; }
inline void say(std::string& to, const Text& part) { to += part.s; }
}  // namespace detail

/// Error("a batch of ", n, " ...") builds its sentence from text, numbers and shapes, as a NetworkError does at compile time.
struct Error : std::runtime_error {
  template <class... Parts> explicit Error(const Parts&... parts) : std::runtime_error(sentence(parts...)) {}

 private:
  template <class... Parts> static std::string sentence(const Parts&... parts) {
    std::string s;
    (detail::say(s, parts), ...);
    return s;
  }
};

}  // namespace lamina
