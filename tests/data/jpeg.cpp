#include <lamina/data/decode.hpp>

#include <doctest/doctest.h>

#include <algorithm>

#include "odd_files.hpp"

using namespace lamina;
using lamina_test::Bytes, lamina_test::jpeg, lamina_test::noise, lamina_test::png, lamina_test::progressive, lamina_test::restarts, lamina_test::says, lamina_test::sentence, lamina_test::slope;

namespace {
std::string complaint(const Bytes& bytes) { return sentence([&] { decode(bytes, "some/leaf.jpg"); }); }

/// What stands behind the length of the first segment with this marker.
std::size_t segment(const Bytes& bytes, int marker) {
  std::size_t at = 2;
  while (bytes[at + 1] != marker) at += 2 + std::size_t(bytes[at + 2] << 8 | bytes[at + 3]);
  return at + 4;
}
/// The picture with one byte of a segment changed.
Bytes with(Bytes bytes, int marker, std::size_t at, int value) {
  bytes[segment(bytes, marker) + at] = std::uint8_t(value);
  return bytes;
}
/// The picture with a segment put before all others.
Bytes with(Bytes bytes, int marker, const Bytes& data) {
  Bytes s{0xFF, std::uint8_t(marker), std::uint8_t((data.size() + 2) >> 8), std::uint8_t(data.size() + 2)};
  s.insert(s.end(), data.begin(), data.end());
  bytes.insert(bytes.begin() + 2, s.begin(), s.end());
  return bytes;
}
/// The picture without the first segment of this marker.
Bytes without(Bytes bytes, int marker) {
  const std::size_t at = segment(bytes, marker);
  bytes.erase(bytes.begin() + Index(at - 4), bytes.begin() + Index(at - 2 + std::size_t(bytes[at - 2] << 8 | bytes[at - 1])));
  return bytes;
}
/// A Huffman table: its class and id, how many codes there are of each length, and as many values.
Bytes table(int id, const Bytes& counts) {
  Bytes data(17, 0);
  data[0] = std::uint8_t(id);
  std::copy(counts.begin(), counts.end(), data.begin() + 1);
  std::size_t all = 0;
  for (const int n : counts) all += std::size_t(n);
  data.resize(17 + all);
  return data;
}
}  // namespace

TEST_CASE("JPEG: Huffman tables that hold too many codes, or codes that do not fit, are refused before they are decoded") {
  const Bytes whole = jpeg(slope(33, 20));
  const auto of = [&](const Bytes& data) { return complaint(with(whole, 0xC4, data)); };
  CHECK(of(table(0x13, {0, 0, 0, 0, 0, 0, 0, 0, 255, 1})) == "");                     // 256: as many as there may be
  for (const int each : {17, 100, 255}) CHECK(says(of(table(0x13, Bytes(16, std::uint8_t(each)))), "Huffman tables make no sense"));
  CHECK(says(of(table(0x13, {0, 0, 0, 0, 0, 0, 0, 0, 255, 2})), "Huffman tables"));   // 257
  CHECK(of(table(0x00, {2})) == "");
  CHECK(says(of(table(0x00, {3})), "Huffman tables"));                                // three codes of one bit
  CHECK(says(of(table(0x00, {1, 3})), "Huffman tables"));
  CHECK(says(of(table(0x20, {2})), "Huffman tables"));                                // a third class
  CHECK(says(of(table(0x04, {2})), "Huffman tables"));                                // a fifth table
  Bytes cut = table(0x00, {2});
  cut.pop_back();
  CHECK(says(of(cut), "Huffman tables"));
  CHECK(says(of(Bytes(16, 0)), "Huffman tables"));
}

TEST_CASE("JPEG: quantization tables, frame and scan have to make sense") {
  const Bytes whole = jpeg(slope(33, 20));
  const auto of = [&](int marker, std::size_t at, int value) { return complaint(with(whole, marker, at, value)); };
  for (const int id : {0x20, 0x04, 0x10}) CHECK(says(of(0xDB, 0, id), "quantization tables"));   // precision, number, and 128 bytes that are not there
  CHECK(says(complaint(with(whole, 0xDB, Bytes(64, 1))), "quantization tables"));

  CHECK(says(of(0xC0, 0, 12), "more than 8 bits"));
  for (const int n : {0, 2, 4, 255}) CHECK(says(of(0xC0, 5, n), "frame header"));
  for (const int sampling : {0x01, 0x10, 0x51, 0x15}) CHECK(says(of(0xC0, 7, sampling), "frame header"));
  CHECK(says(of(0xC0, 8, 4), "frame header"));
  CHECK(says(complaint(with(whole, 0xC0, Bytes{8, 0, 8, 0, 8, 1, 1, 0x11, 0})), "frame header"));   // a second one
  Bytes lossless = whole;
  lossless[segment(whole, 0xC0) - 3] = 0xC3;
  CHECK(says(complaint(lossless), "rare kind"));

  constexpr const char* scan = "a scan of colours or tables it does not have";
  for (const int n : {0, 2, 4, 255}) CHECK(says(of(0xDA, 0, n), scan));
  CHECK(says(of(0xDA, 1, 9), scan));                                                  // there is no colour 9
  for (const int tables : {0x02, 0x20, 0x04, 0x40}) CHECK(says(of(0xDA, 2, tables), scan));
  for (const std::size_t at : {7, 9}) CHECK(says(of(0xDA, at, 1), scan));             // not sequential
  for (const int marker : {0xC0, 0xC4, 0xDB}) CHECK(says(complaint(without(whole, marker)), scan));
  CHECK(says(of(0xC0, 9, 1), scan));                                                  // two colours of one name: none is the second
  const Bytes grey = without(restarts, 0xC0);
  CHECK(says(complaint(with(grey, 0xC0, Bytes{8, 0, 8, 0, 24, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0})), "without the data of one of its colours"));
}

TEST_CASE("JPEG: data that end before the last pixel are refused, whatever marker follows") {
  constexpr const char* lost = "end or are damaged before its last pixels";
  for (const Bytes& whole : {jpeg(slope(33, 20)), jpeg(noise(20, 33, 3), 50), jpeg(slope(16, 16), 1), restarts}) {
    CHECK(complaint(whole) == "");
    const Index begin = Index(segment(whole, 0xDA)) - 2 + Index(whole[segment(whole, 0xDA) - 1]);
    for (Index kept = begin; kept < Index(whole.size()) - 2; ++kept) {
      if (whole[std::size_t(kept) - 1] == 0xFF) continue;                             // would be another marker
      Bytes cut(whole.begin(), whole.begin() + kept);
      cut.insert(cut.end(), {0xFF, 0xD9});
      REQUIRE(says(complaint(cut), lost));
    }
  }
  Bytes one_less = restarts;                                                          // of the second block all is lost
  const auto is = [](const Bytes& b, std::size_t at, int marker) { return b[at] == 0xFF && b[at + 1] == marker; };
  std::size_t first = segment(restarts, 0xDA), second = 0;
  while (!is(restarts, first, 0xD0)) ++first;
  for (second = first; !is(restarts, second, 0xD1);) ++second;
  one_less.erase(one_less.begin() + Index(first) + 2, one_less.begin() + Index(second));
  CHECK(says(complaint(one_less), lost));
  CHECK(says(complaint(with(restarts, 0xDD, 1, 2)), lost));                           // two blocks before each restart, where there is one
  CHECK(says(complaint(with(restarts, 0xDD, Bytes{0})), "restart interval"));
}

TEST_CASE("JPEG: a fill byte before a stuffed one ends no data, and hides no table from the look through them") {
  // A decoder goes on with 0xFF as data where the look through took 0xFF00 for a marker with a length; the fuzzer found that, with a table of too many codes behind it.
  for (const Bytes& whole : {jpeg(slope(33, 20)), progressive, restarts}) {
    Bytes filled(whole.begin(), whole.end() - 2);
    lamina_test::append(filled, {0xFF, 0xFF, 0x00, 0x01, 0x20});                     // what 0xFF00 could be the beginning of
    Bytes hidden{0xFF, 0xC4, 0x01, 0x13, 0x00};
    lamina_test::append(hidden, Bytes(16, 16)), lamina_test::append(hidden, Bytes(0x120 - 2 - hidden.size(), 0));
    lamina_test::append(filled, hidden), lamina_test::append(filled, {0xFF, 0xD9});
    CHECK(says(complaint(filled), "bytes between its segments that belong to none"));
  }
}

TEST_CASE("JPEG: of a progressive picture the coarse scan is counted, and comes first") {
  CHECK(complaint(progressive) == "");
  std::size_t begin = segment(progressive, 0xDA) + 8;
  Bytes cut = progressive;
  cut.erase(cut.begin() + Index(begin), cut.begin() + Index(begin) + 2);
  CHECK(says(complaint(cut), "before its last pixels"));
  CHECK(says(complaint(with(progressive, 0xDA, 3, 1)), "a scan of colours or tables it does not have"));   // the finer numbers first
}

TEST_CASE("JPEG, PNG: thousands of small changes are refused or decoded, never worse") {
  const Random random(1, Stream::test);
  Index drawn = 0;
  const auto below = [&](std::size_t n) { return std::size_t(random.below(drawn++, Index(n))); };
  for (const Bytes& whole : {jpeg(slope(33, 20)), jpeg(noise(17, 40, 3), 30), restarts, progressive, png(noise(9, 6, 3)), png(slope(24, 24))}) {
    for (int i = 0; i < 1000; ++i) {
      Bytes wrong = whole;
      for (std::size_t changes = 1 + below(3); changes > 0; --changes) {
        const std::size_t at = below(2) ? below(std::min<std::size_t>(wrong.size(), 700)) : below(wrong.size());
        switch (below(4)) {
          case 0: wrong[at] = std::uint8_t(below(256)); break;
          case 1: wrong[at] = std::uint8_t(wrong[at] ^ 1 << below(8)); break;
          case 2: wrong.erase(wrong.begin() + Index(at), wrong.begin() + Index(std::min(wrong.size(), at + 1 + below(8)))); break;
          case 3: wrong.insert(wrong.begin() + Index(at), 1 + below(8), std::uint8_t(below(256))); break;
        }
      }
      if (wrong.size() > 8 && wrong[1] == 'P') lamina_test::correct_sums(wrong.data(), wrong.size());   // or nothing of it would be decoded
      complaint(wrong);
    }
  }
}
