/// JSON in the files of Lamina, read by the parser of nlohmann-json into a tree of our own. Its class costs every user's compiler a second more, so the parser
/// is taken by itself where the headers are installed one by one, and with everything else where they are one file.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#if __has_include(<nlohmann/detail/input/parser.hpp>) && !defined(LAMINA_WHOLE_NLOHMANN_JSON)
#include <nlohmann/detail/input/parser.hpp>
namespace lamina::detail {
/// What the parser asks of nlohmann::json.
struct JsonTypes {
  using number_integer_t = std::int64_t;
  using number_unsigned_t = std::uint64_t;
  using number_float_t = double;
  using string_t = std::string;
  using binary_t = std::vector<std::uint8_t>;
  using exception = nlohmann::detail::exception;
};
template <class Handler> [[gnu::cold]] bool parse_events(std::string_view text, Handler& handler) {
  auto bytes = nlohmann::detail::input_adapter(text.begin(), text.end());
  return nlohmann::detail::parser<JsonTypes, decltype(bytes)>(std::move(bytes)).sax_parse(&handler);
}
}  // namespace lamina::detail
template <> struct nlohmann::detail::is_basic_json<lamina::detail::JsonTypes> : std::true_type {};
#else
#include <nlohmann/json.hpp>
namespace lamina::detail {
template <class Handler> bool parse_events(std::string_view text, Handler& handler) { return nlohmann::json::sax_parse(text.begin(), text.end(), &handler); }
}  // namespace lamina::detail
#endif

#include "../core/error.hpp"

namespace lamina::detail {

/// A value: an object and an array have items, a whole number from 0 on its value; everything else has its text. The items of an object have keys.
struct Json {
  enum class Kind : char { natural, text, object, array, other } kind = Kind::other;
  std::string key = {}, text = {};
  std::uint64_t natural = 0;
  std::vector<Json> items = {};

  bool is(Kind k) const { return kind == k; }
  /// The first item of that key, or null.
  const Json* find(std::string_view wanted) const {
    for (const Json& item : items) if (item.key == wanted) return &item;
    return nullptr;
  }
  /// For a message.
  [[gnu::cold]] std::string written() const {
    switch (kind) {
      case Kind::object: return "an object";
      case Kind::array: return "a list";
      case Kind::text: return sentence({"\"", text, "\""});
      case Kind::natural: return sentence({natural});
      case Kind::other: break;
    }
    return text;
  }
};

/// What the parser calls. A file that nests deeper than any of ours is refused, so that nobody's stack ends in `Json`.
class JsonBuilder {
 public:
  static constexpr std::size_t deepest = 16;
  Json root;
  std::size_t failed_at = 0;                // byte, counted from 1

  bool null() { return other("null"); }
  bool boolean(bool v) { return other(v ? "true" : "false"); }
  bool number_integer(std::int64_t v) { return other(v); }
  bool number_unsigned(std::uint64_t v) { return next(Json::Kind::natural).natural = v, true; }
  bool number_float(double, const std::string& digits) { return other(digits); }
  bool string(std::string& s) { return next(Json::Kind::text).text = std::move(s), true; }
  template <class Bytes> bool binary(Bytes&) { return false; }     // only in formats that are not JSON
  bool start_object(std::size_t) { return open(Json::Kind::object); }
  bool start_array(std::size_t) { return open(Json::Kind::array); }
  bool end_object() { return --depth_, true; }
  bool end_array() { return end_object(); }
  bool key(std::string& k) { return key_ = std::move(k), true; }
  template <class Why> bool parse_error(std::size_t position, const std::string&, const Why&) { return failed_at = position, false; }

 private:
  [[gnu::cold, gnu::noinline]] Json& next(Json::Kind kind) {
    Json& v = depth_ ? open_[depth_ - 1]->items.emplace_back() : root;
    v.kind = kind;
    v.key = std::move(key_);
    key_.clear();
    return v;
  }
  [[gnu::cold]] bool other(const Part& text) { return next(Json::Kind::other).text = sentence({text}), true; }
  [[gnu::cold]] bool open(Json::Kind kind) {
    if (depth_ == deepest) return false;
    Json& v = next(kind);
    return open_[depth_++] = &v, true;
  }

  Json* open_[deepest] = {};                // the objects and arrays around the next value; the items of one grow only while it is the last
  std::size_t depth_ = 0;
  std::string key_;                         // of the next value, if that is in an object
};

/// Throws Error, whose sentence goes on after "it" or the name of the text.
[[gnu::cold]] inline Json parse_json(std::string_view text) {
  JsonBuilder builder;
  if (parse_events(text, builder)) return std::move(builder.root);
  if (builder.failed_at) throw Error("is not JSON from byte ", builder.failed_at, " on");
  throw Error("nests deeper than ", JsonBuilder::deepest, " levels");
}

/// Whether text is UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
[[gnu::cold]] inline bool is_utf8(std::string_view s) {
  for (std::size_t i = 0; i < s.size();) {
    const auto lead = static_cast<unsigned char>(s[i++]);
    const int more = lead < 0x80 ? 0 : lead >= 0xC2 && lead < 0xE0 ? 1 : (lead & 0xF0) == 0xE0 ? 2 : lead >= 0xF0 && lead < 0xF5 ? 3 : -1;
    if (more < 0) return false;
    for (int k = 0; k < more; ++k, ++i) {
      if (i == s.size()) return false;
      const auto byte = static_cast<unsigned char>(s[i]);
      const unsigned least = k || (lead != 0xE0 && lead != 0xF0) ? 0x80 : lead == 0xE0 ? 0xA0 : 0x90, most = k || (lead != 0xED && lead != 0xF4) ? 0xBF : lead == 0xED ? 0x9F : 0x8F;
      if (byte < least || byte > most) return false;
    }
  }
  return true;
}

/// A JSON string. Throws Error if it is not UTF-8.
[[gnu::cold]] inline std::string json_text(std::string_view s) {
  if (!is_utf8(s)) throw Error("a text is not UTF-8, and JSON takes no other");
  std::string quoted = "\"";
  for (const char c : s) {
    constexpr std::string_view special = "\"\\\b\f\n\r\t", letter = "\"\\bfnrt";
    if (const std::size_t at = special.find(c); at != special.npos) (quoted += '\\') += letter[at];
    else if (static_cast<unsigned char>(c) < 0x20) ((quoted += "\\u00") += c < 0x10 ? '0' : '1') += "0123456789abcdef"[c & 15];
    else quoted += c;
  }
  return quoted += '"';
}

/// A JSON list of strings, and what such a list holds.
[[gnu::cold]] inline std::string json_list(const std::vector<std::string>& texts) {
  std::string list = "[";
  for (const std::string& t : texts) (list += list.size() > 1 ? "," : "") += json_text(t);
  return list += ']';
}
[[gnu::cold]] inline std::vector<std::string> parse_json_list(std::string_view text) {
  const Json list = parse_json(text);
  std::vector<std::string> texts;
  if (!list.is(Json::Kind::array)) throw Error("is not a list");
  for (const Json& item : list.items) {
    if (!item.is(Json::Kind::text)) throw Error("holds ", item.written(), " where a text is due");
    texts.push_back(item.text);
  }
  return texts;
}

}  // namespace lamina::detail
