/// The odd files that people's folders hold, all made here, and what becomes of each: the tests decode them, and the fuzzer begins with them.
#pragma once
#include <array>

#include <lamina/data/png.hpp>

#include "pictures.hpp"

namespace lamina_test {

/// What is put into a PNG.
struct PngForm {
  lamina::Size size{5, 11};
  int depth = 8, kind = 2;             // see lamina::detail::PngHeader
  bool interlaced = false;
  Bytes palette{}, transparency{};
  std::vector<std::pair<std::string, Bytes>> before{};     // chunks before the data

  int channels() const { return kind == 2 ? 3 : kind == 4 ? 2 : kind == 6 ? 4 : 1; }
  /// A number of `depth` bits, some of them 0 and some the largest.
  int sample(int row, int column, int channel) const { return (row * 7919 + column * 104729 + channel * 1299709 + row * column * 31) % (1 << depth); }
};

inline void append(Bytes& to, const Bytes& more) { to.insert(to.end(), more.begin(), more.end()); }
inline Bytes big_endian(std::uint32_t v) { return {std::uint8_t(v >> 24), std::uint8_t(v >> 16), std::uint8_t(v >> 8), std::uint8_t(v)}; }

/// Adds a PNG chunk with its right checksum.
inline void chunk(Bytes& to, const std::string& kind, const Bytes& data) {
  append(to, big_endian(std::uint32_t(data.size())));
  const std::size_t begin = to.size();
  append(to, Bytes(kind.begin(), kind.end()));
  append(to, data);
  append(to, big_endian(lamina::detail::crc32(to.data() + begin, to.size() - begin)));
}
/// Gives each chunk of a PNG its right checksum, as far as there are chunks.
inline void correct_sums(std::uint8_t* png, std::size_t n) {
  for (std::size_t at = 8; at + 12 <= n;) {
    const std::size_t length = lamina::detail::big_endian(png + at, 4);
    if (length > n - at - 12) break;
    const Bytes sum = big_endian(lamina::detail::crc32(png + at + 4, length + 4));
    std::copy(sum.begin(), sum.end(), png + at + 8 + length);
    at += 12 + length;
  }
}
inline Bytes png_header(std::uint32_t w, std::uint32_t h, int depth = 8, int kind = 2, bool interlaced = false) {
  Bytes bytes{0x89, 'P', 'N', 'G', 0x0D, 0x0A, 0x1A, 0x0A}, data = big_endian(w);
  append(data, big_endian(h));
  append(data, {std::uint8_t(depth), std::uint8_t(kind), 0, 0, interlaced});
  chunk(bytes, "IHDR", data);
  return bytes;
}
/// zlib's form (RFC 1950) of bytes that are not packed at all.
inline Bytes stored(const Bytes& data) {
  Bytes z{0x78, 0x01};
  for (std::size_t at = 0; at == 0 || at < data.size(); at += 65535) {
    const std::size_t n = std::min<std::size_t>(65535, data.size() - at);
    append(z, {std::uint8_t(at + n == data.size()), std::uint8_t(n), std::uint8_t(n >> 8), std::uint8_t(~n), std::uint8_t(~n >> 8)});
    z.insert(z.end(), data.begin() + lamina::Index(at), data.begin() + lamina::Index(at + n));
  }
  std::uint32_t a = 1, b = 0;
  for (const std::uint8_t v : data) a = (a + v) % 65521, b = (b + a) % 65521;
  append(z, big_endian(b << 16 | a));
  return z;
}
/// Writes what zlib packs (RFC 1950 and 1951) bit by bit. The sum at its end is wrong, and nobody looks at it.
struct PackedWriter {
  Bytes bytes{0x78, 0x01};
  std::uint32_t bits = 0;
  int have = 0;

  /// A number, its lowest bit first, and a code, its highest first.
  void put(unsigned v, int n) {
    bits |= v << have, have += n;
    for (; have >= 8; have -= 8, bits >>= 8) bytes.push_back(std::uint8_t(bits));
  }
  void code(unsigned v, int n) {
    while (n--) put(v >> n & 1, 1);
  }
  /// A block: 0 is stored, 1 has the codes of RFC 1951, 3.2.6, 2 has its own.
  void block(unsigned kind, bool last = true) { put(unsigned(last) | kind << 1, 3); }
  void stored_block(std::size_t n, bool last) {
    block(0, last);
    put(0, (8 - have) % 8), put(unsigned(n), 16), put(unsigned(n) ^ 0xFFFF, 16);
    bytes.insert(bytes.end(), n, 0);
  }
  /// 0 to 255 is a byte, 256 the end of the block, and the others are lengths.
  void fixed(unsigned v) { v < 144 ? code(0x30 + v, 8) : v < 256 ? code(0x190 + v - 144, 9) : v < 280 ? code(v - 256, 7) : code(0xC0 + v - 280, 8); }
  Bytes end() {
    put(0, (8 - have) % 8);
    append(bytes, {0, 0, 0, 1});
    return bytes;
  }
};
/// A block of copies with the same distance code, 258 bytes each, behind one zero: of code 0 in 13 bits each.
inline Bytes packed_copies(std::size_t copies, unsigned distance = 0) {
  PackedWriter z;
  z.block(1), z.fixed(0);
  for (std::size_t i = 0; i < copies; ++i) z.fixed(285), z.code(distance, 5);
  z.fixed(256);
  return z.end();
}
/// Lengths of codes for the first meanings, and of one more that may lie far behind.
inline Bytes lengths(Bytes first, std::size_t other, int bits) {
  if (first.size() <= other) first.resize(other + 1);
  first[other] = std::uint8_t(bits);
  return first;
}

/// A stream that consists of a block with codes of its own, which begins; their lengths are told by codes of four bits (3.2.7).
inline PackedWriter own_codes(const Bytes& of_lengths, const Bytes& of_distances, bool last = true) {
  PackedWriter z;
  z.block(2, last), z.put(unsigned(of_lengths.size()) - 257, 5), z.put(unsigned(of_distances.size()) - 1, 5), z.put(19 - 4, 4);
  for (int i = 0; i < 19; ++i) z.put(i < 3 ? 0 : 4, 3);                            // 16, 17 and 18 come first, and have none
  for (const std::uint8_t bits : of_lengths) z.code(bits, 4);
  for (const std::uint8_t bits : of_distances) z.code(bits, 4);
  return z;
}
/// As far as packing goes: two zero bits are 258 zeros.
inline Bytes packed_most(std::size_t bytes) {
  PackedWriter z = own_codes(lengths(lengths({2}, 256, 2), 285, 1), {1});
  z.code(2, 2);
  append(z.bytes, Bytes(bytes));
  z.code(3, 2);
  return z.end();
}
inline Bytes png_of(std::uint32_t w, std::uint32_t h, const Bytes& packed) {
  Bytes bytes = png_header(w, h);
  chunk(bytes, "IDAT", packed), chunk(bytes, "IEND", {});
  return bytes;
}
/// The rows of one pass, each with a zero for its filter.
inline void pack_rows(Bytes& to, const PngForm& f, int first_row, int rows, int first_column, int columns) {
  if (first_column >= f.size.w) return;
  for (int i = first_row; i < f.size.h; i += rows) {
    to.push_back(0);
    int bits = 0, have = 0;
    for (int j = first_column; j < f.size.w; j += columns)
      for (int k = 0; k < f.channels(); ++k) {
        bits = bits << f.depth | f.sample(i, j, k), have += f.depth;
        for (; have >= 8; have -= 8) to.push_back(std::uint8_t(bits >> (have - 8)));
      }
    if (have) to.push_back(std::uint8_t(bits << (8 - have)));
  }
}
inline Bytes png(const PngForm& f) {
  Bytes bytes = png_header(std::uint32_t(f.size.w), std::uint32_t(f.size.h), f.depth, f.kind, f.interlaced), rows;
  if (!f.palette.empty()) chunk(bytes, "PLTE", f.palette);
  if (!f.transparency.empty()) chunk(bytes, "tRNS", f.transparency);
  for (const auto& [kind, data] : f.before) chunk(bytes, kind, data);
  if (!f.interlaced) pack_rows(rows, f, 0, 1, 0, 1);
  else for (const auto& [i, h, j, w] : {std::array{0, 8, 0, 8}, {0, 8, 4, 8}, {4, 8, 0, 4}, {0, 4, 2, 4}, {2, 4, 0, 2}, {0, 2, 1, 2}, {1, 2, 0, 1}}) pack_rows(rows, f, i, h, j, w);
  chunk(bytes, "IDAT", stored(rows));
  chunk(bytes, "IEND", {});
  return bytes;
}
inline Bytes palette(std::size_t colours) {
  Bytes p(3 * colours);
  for (std::size_t i = 0; i < p.size(); ++i) p[i] = std::uint8_t(40 + 37 * i);
  return p;
}
/// The red, green and blue that it is to be decoded to.
inline std::array<int, 3> colour(const PngForm& f, int row, int column) {
  std::array<int, 3> rgb;
  for (int k = 0; k < 3; ++k) {
    const int v = f.sample(row, column, f.channels() < 3 ? 0 : k);
    const std::size_t entry = std::size_t(3 * v + k);
    rgb[std::size_t(k)] = f.kind == 3 ? (entry < f.palette.size() ? f.palette[entry] : 0) : f.depth == 16 ? v >> 8 : v * 255 / ((1 << f.depth) - 1);
  }
  return rgb;
}

/// Where the frame header (SOF) of a JPEG begins: its marker.
inline std::size_t frame_of(const Bytes& jpeg) {
  std::size_t at = 2;
  while (jpeg[at + 1] < 0xC0 || jpeg[at + 1] > 0xC2) at += 2 + std::size_t(jpeg[at + 2] << 8 | jpeg[at + 3]);
  return at;
}
/// The JPEG with bytes from some place in its frame header on: 1 its kind, 4 the bits of a colour, 5 its height, 7 its width.
inline Bytes with_frame(Bytes jpeg, std::size_t at, const Bytes& values) {
  std::copy(values.begin(), values.end(), jpeg.begin() + lamina::Index(frame_of(jpeg) + at));
  return jpeg;
}
/// The JPEG with a segment before all others.
inline Bytes with_segment(Bytes jpeg, int marker, const Bytes& data) {
  Bytes s{0xFF, std::uint8_t(marker), std::uint8_t((data.size() + 2) >> 8), std::uint8_t(data.size() + 2)};
  append(s, data);
  jpeg.insert(jpeg.begin() + 2, s.begin(), s.end());
  return jpeg;
}
/// EXIF with one entry: a short or, if its kind is 4, a long number.
inline Bytes exif(int orientation, bool intel = false, int kind = 3) {
  const auto o = std::uint8_t(orientation), k = std::uint8_t(kind);
  if (intel) return {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, k, 0, 1, 0, 0, 0, o, 0, 0, 0, 0, 0, 0, 0};
  if (kind == 4) return {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, k, 0, 0, 0, 1, 0, 0, 0, o, 0, 0, 0, 0};
  return {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, k, 0, 0, 0, 1, 0, o, 0, 0, 0, 0, 0, 0};
}
inline Bytes exif_segment(const Bytes& tiff) {
  Bytes data{'E', 'x', 'i', 'f', 0, 0};
  append(data, tiff);
  return data;
}

/// One PNG of each kind there is.
inline std::vector<std::pair<std::string, PngForm>> png_forms() {
  std::vector<std::pair<std::string, PngForm>> forms;
  for (const bool interlaced : {false, true}) {
    const auto add = [&](const std::string& name, PngForm f) {
      f.interlaced = interlaced;
      forms.push_back({name + (interlaced ? ", interlaced.png" : ".png"), f});
    };
    for (const int depth : {1, 2, 4, 8, 16}) add("grey of " + std::to_string(depth) + " bits", {.depth = depth, .kind = 0});
    for (const int depth : {1, 2, 4, 8}) add("palette of " + std::to_string(depth) + " bits", {.depth = depth, .kind = 3, .palette = palette(std::size_t(1) << depth)});
    for (const int depth : {8, 16}) {
      const std::string bits = " of " + std::to_string(depth) + " bits";
      add("colours" + bits, {.depth = depth, .kind = 2}), add("grey and alpha" + bits, {.depth = depth, .kind = 4}), add("colours and alpha" + bits, {.depth = depth, .kind = 6});
      add("one transparent colour" + bits, {.depth = depth, .kind = 2, .transparency = {0, 1, 0, 2, 0, 3}});
    }
    add("palette that lacks colours", {.depth = 8, .kind = 3, .palette = palette(100)});
    add("palette that is transparent", {.depth = 4, .kind = 3, .palette = palette(16), .transparency = {0, 128, 255}});
    add("one transparent grey", {.depth = 4, .kind = 0, .transparency = {0, 5}});
    for (const lamina::Size size : {lamina::Size{1, 1}, {1, 9}, {9, 1}, {3, 2}}) add(std::to_string(size.h) + "x" + std::to_string(size.w), {.size = size, .kind = 6});
  }
  return forms;
}

struct OddFile {
  std::string name;
  Bytes bytes;
  const char* refusal = nullptr;       // words of the sentence that it is refused with; null: it is decoded
};

/// All kinds of file but those that are no regular files.
inline std::vector<OddFile> odd_files() {
  const Bytes whole = jpeg(slope(33, 20)), small = jpeg(slope(8, 8)), sound = png(noise(9, 6, 3));
  const auto ascii = [](std::string_view s) { return Bytes(s.begin(), s.end()); };
  const auto part = [](const Bytes& b, std::size_t n) { return Bytes(b.begin(), b.begin() + lamina::Index(n)); };
  Bytes ycck = inks, halved = whole, behind = whole, wrong_bit = sound, apple{0x89, 'P', 'N', 'G', 0x0D, 0x0A, 0x1A, 0x0A}, empty_png = png_header(4, 4);
  ycck[17] = 2;                                                                    // the transform that Adobe's segment tells
  std::fill(halved.begin() + lamina::Index(halved.size() / 2), halved.end(), std::uint8_t(0));
  append(behind, Bytes(1000, 0x55));
  wrong_bit[wrong_bit.size() / 2] ^= 1;
  chunk(apple, "CgBI", {0x50, 0, 0x20, 6});
  apple.insert(apple.end(), sound.begin() + 8, sound.end());
  chunk(empty_png, "IEND", {});
  const Bytes frame = {0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0};
  Bytes next_frame{0, 0, 0, 1};
  append(next_frame, stored(Bytes(5 * 34, 0)));

  std::vector<OddFile> files{
      // JPEGs that are decoded
      {"four inks (CMYK).jpg", inks}, {"four inks (YCCK).jpg", ycck}, {"colours at half resolution.jpg", colours}, {"progressive, grey.jpg", progressive}, {"restarts, grey.jpg", restarts},
      {"bytes behind its end.jpg", behind}, {"with a thumbnail.jpg", with_segment(whole, 0xE1, small)}, {"turned.jpg", with_segment(whole, 0xE1, exif_segment(exif(6)))},
      {"EXIF that makes no sense.jpg", with_segment(whole, 0xE1, exif_segment({'M', 'M', 0, 42, 0xFF, 0xFF, 0xFF, 0xFF}))},
      // and that are not
      {"twelve bits.jpg", with_frame(with_frame(whole, 1, {0xC1}), 4, {12}), "more than 8 bits a colour"}, {"arithmetic.jpg", with_frame(whole, 1, {0xC9}), "of a rare kind"},
      {"lossless.jpg", with_frame(whole, 1, {0xC3}), "of a rare kind"}, {"cut short.jpg", part(whole, whole.size() - 40), "cut short"}, {"half of it zeros.jpg", halved, "cannot be used"},
      {"60000 a side.jpg", with_frame(whole, 5, {0xEA, 0x60, 0xEA, 0x60}), "larger than 16384 pixels along one side"}, {"ends at once.jpg", {0xFF, 0xD8, 0xFF, 0xD9}, "without any picture"},
      // PNGs of damaged or hostile kinds
      {"cut short.png", part(sound, sound.size() - 5), "cut short"}, {"wrong bit.png", wrong_bit, "wrong checksum"}, {"60000 a side.png", png_header(60000, 60000), "larger than 16384 pixels along one side"},
      // 1.1 MB, within what 600x600 may take, are 180 MB of zeros, and half a MB are 500
      {"bomb.png", png_of(600, 600, packed_copies(700'000)), "more data than its pixels can need"}, {"bomb of half a megabyte.png", png_of(700, 700, packed_most(500'000)), "more data than its pixels can need"},
      {"swollen.png", png_of(4, 4, Bytes(1'200'000, 0)), "more data than its pixels can need"}, {"distance of no meaning.png", png_of(46, 13, packed_copies(7, 30)), "packed data make no sense"},
      {"packed with a dictionary.png", png_of(4, 4, {0x78, 0x20, 0, 0, 0, 1}), "packed data make no sense"}, {"too few rows.png", png_of(5, 5, stored(Bytes(79))), "less data than its pixels need"},
      {"rows behind its last.png", png_of(5, 5, packed_copies(254))}, {"far more rows.png", png_of(5, 5, packed_copies(255)), "more data than its pixels can need"},
      {"no data.png", empty_png, "without any picture"}, {"for Apple alone.png", apple, "CgBI"},
      {"animated.png", png({.before = {{"acTL", {0, 0, 0, 2, 0, 0, 0, 0}}, {"fcTL", frame}, {"fdAT", next_frame}}})},
      {"part that nobody knows.png", png({.before = {{"ABCD", {}}}}), "that nobody knows"}, {"colours of 4 bits.png", png({.depth = 4, .kind = 2}), "header makes no sense"},
      // other things
      {"no bytes.jpg", {}, "the file is empty"}, {"a text.jpg", ascii("not a picture\n"), "neither a JPEG nor a PNG"}, {"a page.png", ascii("<!DOCTYPE html><title>404</title>"), "neither a JPEG nor a PNG"},
      {"GIF.jpg", ascii("GIF89a\1\0\1\0\0\0\0;"), "neither a JPEG nor a PNG"}, {"BMP.png", ascii("BM\x3a"), "neither a JPEG nor a PNG"},
      {"WebP.jpg", ascii("RIFF\x1a\x01\x01\x01WEBPVP8L"), "neither a JPEG nor a PNG"}, {"TIFF.jpg", exif(1), "neither a JPEG nor a PNG"},
      // and good pictures under odd names
      {"a PNG.jpg", sound}, {"a JPEG.png", whole}, {"no ending is needed by decode.PNG", sound}, {"Gr\xc3\xbc\xc3\x9f""e \xe5\x8f\xb6.jpg", small}, {"new\nline.jpg", small}, {"-rf *.jpg", small}};
  for (const auto& [name, form] : png_forms()) files.push_back({name, png(form)});
  return files;
}

inline void write_odd_files(const std::filesystem::path& folder) {
  for (const OddFile& f : odd_files()) write(folder / f.name, f.bytes);
}

}  // namespace lamina_test
