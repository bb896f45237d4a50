/// Tar archives for tests, header by header.
#pragma once
#include <cstdio>
#include <cstring>
#include <string>

#include "pictures.hpp"

namespace lamina_test {

/// What is odd about a member.
struct TarOptions {
  char kind = '0';
  bool gnu = false;                    // GNU's magic, which has no field for the folders of a name
  bool base_256 = false;               // the size as GNU writes one from 8 GB on
  std::uint64_t said = std::uint64_t(-1);  // another size than that of its bytes
  std::string prefix = "";             // the folders of the name, in a field of their own
};

class Tar {
 public:
  Bytes bytes;

  Tar& add(const std::string& name, const Bytes& content = {}, const TarOptions& o = {}) {
    Bytes h(512);
    const auto put = [&](std::size_t at, const std::string& s) { std::memcpy(h.data() + at, s.data(), s.size()); };
    const auto octal = [&](std::size_t at, int digits, std::uint64_t v) {
      char s[32];
      std::snprintf(s, sizeof s, "%0*llo", digits, static_cast<unsigned long long>(v));
      put(at, s);
    };
    const std::uint64_t size = o.said == std::uint64_t(-1) ? content.size() : o.said;
    put(0, name.substr(0, 100)), octal(100, 7, 0644), octal(108, 7, 0), octal(116, 7, 0), octal(136, 11, 0);
    if (o.base_256) {
      h[124] = 0x80;
      for (std::size_t i = 0; i < 8; ++i) h[135 - i] = std::uint8_t(size >> 8 * i);
    } else octal(124, 11, size);
    h[156] = std::uint8_t(o.kind);
    put(257, o.gnu ? std::string("ustar  ") : std::string("ustar\0" "00", 8));
    put(345, o.prefix);
    std::memset(h.data() + 148, ' ', 8);
    unsigned sum = 0;
    for (const std::uint8_t b : h) sum += b;
    octal(148, 6, sum), h[154] = 0;
    bytes.insert(bytes.end(), h.begin(), h.end()), bytes.insert(bytes.end(), content.begin(), content.end());
    bytes.resize((bytes.size() + 511) / 512 * 512);
    return *this;
  }
  Tar& add(const std::string& name, const char* text) { return add(name, of(text)); }
  /// A pax header: records of keys and values, each with its own length before it.
  Tar& pax(const std::vector<std::pair<std::string, std::string>>& records, char kind = 'x') {
    std::string all;
    for (const auto& [key, value] : records) {
      const std::string rest = " " + key + "=" + value + "\n";
      std::size_t n = rest.size() + 1;
      while (std::to_string(n).size() + rest.size() != n) ++n;
      all += std::to_string(n) + rest;
    }
    return add("PaxHeaders/x", of(all), {.kind = kind});
  }
  Tar& end() { return bytes.resize(bytes.size() + 1024), *this; }

  static Bytes of(std::string_view text) { return {text.begin(), text.end()}; }
};

}  // namespace lamina_test
