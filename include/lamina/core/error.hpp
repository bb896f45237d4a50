/// Errors of use: what happened, the values, where, and what to do.
#pragma once
#include <concepts>
#include <cstdio>
#include <initializer_list>
#include <stdexcept>
#include <string>

#include "text.hpp"

namespace lamina {

namespace detail {
/// One part of a sentence. Plain data: a throw is a few stores and a call where it stands, and one function makes all sentences.
class Part {
 public:
  Part(std::string_view s) : kind_(Kind::text), text_(s) {}
  Part(const char* s) : Part(std::string_view(s)) {}
  Part(const std::string& s) : Part(std::string_view(s)) {}
  Part(const Text& t) : Part(std::string_view(t.s)) {}
  template <class Path> requires requires(const Path& p) { { p.native() } -> std::same_as<const std::string&>; }
  Part(const Path& p) : Part(std::string_view(p.native())) {}
  Part(Shape s) : kind_(Kind::shape), shape_(s) {}
  Part(std::floating_point auto v) : kind_(Kind::real), real_(double(v)) {}
  Part(std::signed_integral auto v) : kind_(Kind::integer), integer_(v) {}
  Part(std::unsigned_integral auto v) : kind_(Kind::natural), natural_(v) {}

  void append_to(std::string& s) const {
    char digits[32];
    switch (kind_) {
      case Kind::text: s += text_; return;
      case Kind::shape: s += lamina::text(shape_).s; return;
      case Kind::real: std::snprintf(digits, sizeof digits, "%.6g", real_); break;
      case Kind::integer: std::snprintf(digits, sizeof digits, "%lld", integer_); break;
      case Kind::natural: std::snprintf(digits, sizeof digits, "%llu", natural_); break;
    }
    s += digits;
  }

 private:
  enum class Kind : char { text, shape, real, integer, natural } kind_;
  union {
    std::string_view text_;
    Shape shape_;
    double real_;
    long long integer_;
    unsigned long long natural_;
  };
};

[[gnu::cold, gnu::noinline]] inline std::string sentence(std::initializer_list<Part> parts) {
  std::string s;
  for (const Part& part : parts) part.append_to(s);
  return s;
}
}  // namespace detail

/// Error("a batch of ", n, " ...") builds its sentence from text, numbers and shapes, as a NetworkError does at compile time.
class Error : public std::runtime_error {
 public:
  template <class... Parts> [[gnu::always_inline]] explicit Error(const Parts&... parts) : Error(std::initializer_list<detail::Part>{detail::Part(parts)...}) {}

 private:
  [[gnu::cold, gnu::noinline]] explicit Error(std::initializer_list<detail::Part> parts) : std::runtime_error(detail::sentence(parts)) {}
};

/// The machine has too little of something, memory or open files: that says nothing of what was to be read.
class Shortage : public Error {
 public:
  using Error::Error;
};

}  // namespace lamina
