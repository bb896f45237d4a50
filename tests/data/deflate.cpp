/// The look through packed data: what zlib unpacks is counted, and whatever it refuses is refused.
#include <doctest/doctest.h>
#include <lamina/data/decode.hpp>

#include "odd_files.hpp"

using namespace lamina;
using lamina_test::Bytes, lamina_test::lengths, lamina_test::own_codes, lamina_test::PackedWriter, lamina_test::stored, lamina_test::packed_copies;

namespace {

/// unpacked_bytes() of a stream in parts of so many bytes, each in memory of its own.
Index unpacked(const Bytes& z, Index most = 1 << 20, std::size_t part = 1 << 20) {
  std::vector<Bytes> parts;
  for (std::size_t at = 0; at < z.size(); at += part) parts.emplace_back(z.begin() + Index(at), z.begin() + Index(std::min(z.size(), at + part)));
  std::size_t next = 0;
  return detail::unpacked_bytes([&]() -> std::span<const std::uint8_t> { return next < parts.size() ? std::span<const std::uint8_t>(parts[next++]) : std::span<const std::uint8_t>(); }, most);
}

/// What begins as own_codes() up to the lengths, of 257 + 1 codes, that `write` tells: zero is 0, one 10, and 16, 17 and 18 are 1110, 1111 and 110.
template <class F> Index told_lengths(const F& write) {
  PackedWriter z;
  z.block(2), z.put(0, 5), z.put(0, 5), z.put(18 - 4, 4);
  for (const int bits : {4, 4, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}) z.put(unsigned(bits), 3);    // 16, 17, 18, 0, ..., 1
  write(z);
  return unpacked(z.end());
}

/// 528 bytes as Python's zlib packs them: a block with codes of its own.
const Bytes by_zlib = lamina_test::from_hex(
    "78dabd8f596e144110442397caacaaae5eaaf7e901c6b6ac01cb0ccb0ff701ee7f07fa1448f115522c8fe641dc9a4a98ad8775fc7401e22db081cd99d904736af8d742dab59f6c2a9ab6d913a4068e6d"
    "09e6430c0eb48f14d8bf0e71e1f89c4ce20beab477634c8635b1bb6accf96ce5b4d43aca5c00f442594191a535750463ba38e711a08eda12f9ad466e42d20672df74d15b1f041ba6d7c4eb97d6837239"
    "33455cd70b587f0ca7317fd4adf877eec007f7790e2a6b7ed92912b0d649f3101243f6f4c1a44e28443be4a7114b4f47f87c883835c043b229aef73b717e8fa54854813cac696e4155e7fd044af9b410"
    "8146aaafe415cf3c7c9b94e255763aa097f198fbc276c2085ec718173befe0448212c9144266446fac74e2ce211d5739b77da361d376096d9797cbef3f7fff9bfe01f0913a7d");

}  // namespace

TEST_CASE("deflate: the bytes of stored blocks, of codes that all know and of a block's own are counted, wherever the stream is cut into parts") {
  PackedWriter several;
  several.block(1, false), several.fixed('a'), several.fixed(200), several.fixed(256);
  several.stored_block(300, false), several.stored_block(0, false);
  several.block(1), several.fixed(264), several.code(16, 5), several.put(44, 7), several.fixed(256);    // 10 bytes, 301 back: 257 and seven bits
  PackedWriter own = own_codes(lengths({2, 2, 2}, 256, 2), {1, 1});               // 0, 1, 2 and the end: 00, 01, 10, 11
  own.code(2, 2), own.code(0, 2), own.code(1, 2), own.code(3, 2);
  Bytes steps(256);
  for (std::size_t i = 0; i < 15; ++i) steps[i] = std::uint8_t(i == 10 ? 0 : i + 1);    // codes of 1 to 15 bits: 0, 10, 110, ...; of 11 bits it is a copy of four bytes
  PackedWriter long_codes = own_codes(lengths(lengths(steps, 256, 15), 258, 11), {1});
  for (unsigned i = 0; i < 15; ++i) {
    long_codes.code((2u << i) - 2, int(i) + 1);
    if (i == 10) long_codes.code(0, 1);
  }
  long_codes.code(0x7FFF, 15);
  const std::pair<Bytes, Index> streams[] = {{stored({}), 0}, {stored({1, 2, 3}), 3}, {stored(Bytes(70'000, 7)), 70'000}, {packed_copies(4), 1 + 4 * 258}, {several.end(), 2 + 300 + 10},
    {own.end(), 3}, {long_codes.end(), 14 + 4}, {by_zlib, 528}};
  for (const auto& stream : streams) {
    const Bytes& z = stream.first;
    const Index bytes = stream.second;
    CAPTURE(bytes);
    CHECK(unpacked(z) == bytes);
    CHECK(unpacked(z, bytes) == bytes);
    if (bytes) CHECK(unpacked(z, bytes - 1) > bytes - 1);
    for (std::size_t part = 1; part < 24; ++part) REQUIRE(unpacked(z, 1 << 20, part) == bytes);
    Bytes more = z;
    lamina_test::append(more, Bytes(20, 0xAA));
    CHECK(unpacked(more) == bytes);
    for (std::size_t n = z.size() < 10'000 ? 0 : z.size() - 100; n < z.size(); ++n)
      for (const std::size_t part : {5u, 1u << 20}) REQUIRE(unpacked(Bytes(z.begin(), z.begin() + Index(n)), 1 << 20, part) == -1);
  }
  CHECK(unpacked(packed_copies(1'000'000), 1000) < 1000 + 259);                    // it stops there
}

TEST_CASE("deflate: lengths and distances are those of RFC 1951, 3.2.5, and reach no further than there are bytes") {
  static constexpr int length_bases[29] = {3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
  static constexpr int length_bits[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
  static constexpr int bases[30] = {1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
  static constexpr int bits[30] = {0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};
  for (unsigned i = 0; i < 29; ++i)
    for (const unsigned more : {0u, (1u << length_bits[i]) - 1}) {
      PackedWriter z;
      z.block(1), z.fixed(0), z.fixed(257 + i), z.put(more, length_bits[i]), z.code(0, 5), z.fixed(256);
      CHECK(unpacked(z.end()) == 1 + length_bases[i] + Index(more));
    }
  for (unsigned i = 0; i < 30; ++i)
    for (const unsigned more : {0u, (1u << bits[i]) - 1})
      for (const unsigned lacking : {0u, 1u}) {
        const std::size_t there = unsigned(bases[i]) + more - lacking;
        PackedWriter z;
        z.stored_block(there, false), z.block(1), z.fixed(257), z.code(i, 5), z.put(more, bits[i]), z.fixed(256);
        CHECK(unpacked(z.end()) == (lacking ? -1 : Index(there) + 3));
      }
}

TEST_CASE("deflate: a stream that does not begin as zlib's, or of a rare kind, is refused") {
  const auto begins = [](int method, int flags) {
    Bytes z = stored({1, 2, 3});
    z[0] = std::uint8_t(method), z[1] = std::uint8_t(flags + 31 - (method << 8 | flags) % 31);
    return unpacked(z);
  };
  for (int window = 0; window < 8; ++window) CHECK(begins(window << 4 | 8, 0x40) == 3);
  CHECK(begins(0x88, 0x40) == -1);                                                 // a window of 64 KB
  CHECK(begins(0x77, 0x40) == -1);                                                 // another method
  CHECK(begins(0x78, 0x20) == -1);                                                 // a dictionary that is not in it
  CHECK(unpacked({0x78, 0x02, 1, 0, 0, 0xFF, 0xFF, 0, 0, 0, 1}) == -1);            // no multiple of 31
}

TEST_CASE("deflate: what makes no sense in a block is refused") {
  const auto written = [](auto write) {
    PackedWriter z;
    write(z);
    return unpacked(z.end());
  };
  CHECK(written([](PackedWriter& z) { z.block(3), z.put(0, 29), z.put(0, 29); }) == -1);    // a kind of block that is none
  PackedWriter second = own_codes(lengths({1}, 256, 1), {1}, false);
  second.code(1, 1), second.block(3), second.code(1, 1);
  CHECK(unpacked(second.end()) == -1);
  Bytes other = stored({1, 2, 3});
  other[5] ^= 1;                                                                   // the size and its inverse differ
  CHECK(unpacked(other) == -1);
  for (const unsigned length : {286u, 287u}) CHECK(written([&](PackedWriter& z) { z.block(1), z.fixed(0), z.fixed(length), z.code(0, 5), z.fixed(256); }) == -1);
  for (const unsigned distance : {30u, 31u}) CHECK(unpacked(packed_copies(1, distance)) == -1);
}

TEST_CASE("deflate: codes of a block's own are complete, or of one bit alone, and the block can end") {
  const auto begun = [](const Bytes& of_lengths, const Bytes& of_distances, unsigned code, int bits) {
    PackedWriter z = own_codes(of_lengths, of_distances);
    z.code(code, bits);
    return unpacked(z.end());
  };
  CHECK(begun(lengths({1}, 256, 1), {1, 1}, 1, 1) == 0);
  CHECK(begun(lengths({}, 256, 1), {1}, 0, 1) == 0);                               // zlib lets one code of one bit pass,
  CHECK(begun(lengths({}, 256, 1), {0}, 0, 1) == 0);                               // and no distance at all
  CHECK(begun(lengths({}, 256, 1), {0}, 1, 1) == -1);                              // where the other bit has no meaning
  CHECK(begun(lengths({}, 256, 2), {1}, 0, 2) == -1);
  CHECK(begun(lengths({2, 2}, 256, 2), {1}, 2, 2) == -1);                          // a code is left over
  CHECK(begun(lengths({1, 1}, 256, 1), {1}, 1, 1) == -1);                          // there is one too many
  CHECK(begun(lengths({1}, 256, 1), {2, 2, 2}, 1, 1) == -1);
  CHECK(begun(lengths({1}, 256, 1), {2}, 1, 1) == -1);
  CHECK(begun(lengths({1}, 256, 1), {1, 1, 1}, 1, 1) == -1);
  CHECK(unpacked(own_codes(lengths({1, 1}, 256, 0), {1}).end(), 2) == -1);         // no end, although more than enough bytes would come first
  CHECK(begun(lengths({1}, 256, 1), Bytes(30, 0), 1, 1) == 0);
  CHECK(begun(lengths({1}, 256, 1), Bytes(31, 0), 1, 1) == -1);
  CHECK(begun(lengths(lengths({1}, 256, 1), 285, 0), {0}, 1, 1) == 0);
  CHECK(begun(lengths(lengths({1}, 256, 1), 286, 0), {0}, 1, 1) == -1);
  const auto copied = [](unsigned distance) {                                      // where there is one distance of one bit, or none
    PackedWriter z = own_codes(lengths(lengths({1}, 256, 2), 257, 2), {1});
    z.code(0, 1), z.code(3, 2), z.code(distance, 1), z.code(2, 2);
    return unpacked(z.end());
  };
  CHECK(copied(0) == 4);
  CHECK(copied(1) == -1);
}

TEST_CASE("deflate: lengths that are told by repetition begin somewhere and end where the codes do") {
  const auto zeros = [](PackedWriter& z, unsigned n) { n < 11 ? (z.code(15, 4), z.put(n - 3, 3)) : (z.code(6, 3), z.put(n - 11, 7)); };
  const auto again = [](PackedWriter& z, unsigned n) { z.code(14, 4), z.put(n - 3, 2); };
  const auto zero = [](PackedWriter& z) { z.code(0, 1); };
  const auto one = [](PackedWriter& z) { z.code(2, 2); };
  const auto end = zero;                                                           // the one code of one bit
  CHECK(told_lengths([&](PackedWriter& z) { zeros(z, 138), zeros(z, 113), zeros(z, 5), one(z), one(z), end(z); }) == 0);
  CHECK(told_lengths([&](PackedWriter& z) { zeros(z, 138), zeros(z, 110), zero(z), again(z, 6), zero(z), one(z), zero(z), end(z); }) == 0);
  CHECK(told_lengths([&](PackedWriter& z) { zeros(z, 138), zeros(z, 110), zero(z), again(z, 5), zero(z), one(z), zero(z), end(z); }) == -1);    // what ends a block lies elsewhere
  CHECK(told_lengths([&](PackedWriter& z) { again(z, 3), zeros(z, 138), zeros(z, 115), one(z), zero(z), end(z); }) == -1);                      // nothing to repeat
  CHECK(told_lengths([&](PackedWriter& z) { zeros(z, 138), zeros(z, 118), one(z), zeros(z, 3), end(z); }) == -1);                               // beyond the last code
  CHECK(told_lengths([&](PackedWriter& z) { zeros(z, 138), zeros(z, 118), one(z), again(z, 6), end(z); }) == -1);                                   // beyond the last code
}

TEST_CASE("deflate: the data of a PNG may be cut into chunks anywhere, and any of them may be empty") {
  const lamina_test::PngForm form;
  const Bytes whole = lamina_test::png(form);
  const Picture p = decode(whole, "whole");
  const std::size_t data = 33, length = detail::big_endian(whole.data() + data, 4);
  for (const std::size_t part : {1u, 2u, 3u, 7u, 8u, 9u, 50u}) {
    Bytes cut(whole.begin(), whole.begin() + Index(data));
    for (std::size_t at = 0; at < length; at += part) {
      const auto from = whole.begin() + Index(data + 8 + at);
      lamina_test::chunk(cut, "IDAT", {from, from + Index(std::min(part, length - at))}), lamina_test::chunk(cut, "IDAT", {});
    }
    lamina_test::chunk(cut, "IEND", {});
    CHECK(decode(cut, "cut").pixels == p.pixels);
  }
}
