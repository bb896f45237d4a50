/// Files that gzip has packed (RFC 1952), unpacked in memory.
#pragma once
#include "archive.hpp"
#include "decode.hpp"

namespace lamina::detail {

inline bool is_gzip(std::span<const std::uint8_t> bytes) { return bytes.size() >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b; }

/// The bytes that were packed. stb's inflate is there for PNG. Throws Error, with `name` in it, if the file is damaged, cut off, or of several parts that are not the same.
[[gnu::cold]] inline std::vector<std::uint8_t> unpack_gzip(std::span<const std::uint8_t> bytes, std::string_view name) {
  const auto damaged = [&](const char* why) { return Error("the file ", name, " cannot be unpacked (", why, "): copy it again, or unpack it with gunzip"); };
  const std::size_t n = bytes.size();
  const auto little_endian = [&](std::size_t at) { return std::uint32_t(bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16) | std::uint32_t(bytes[at + 3]) << 24; };
  if (n < 20) throw damaged("it ends too soon");
  const int flags = bytes[3];
  if (bytes[2] != 8 || flags & 0xe0) throw damaged("it was packed in a way unknown");
  std::size_t at = 10;
  if (flags & 4) at += 2 + std::size_t(bytes[10] | bytes[11] << 8);                  // FEXTRA
  for (const int text : {8, 16})                                                     // FNAME, FCOMMENT
    if (flags & text) {
      while (at < n && bytes[at]) ++at;
      ++at;
    }
  if (flags & 2) at += 2;                                                            // FHCRC
  if (at + 10 > n) throw damaged("it ends too soon");
  const std::size_t packed = n - 8 - at, whole = little_endian(n - 4);
  if (n > INT_MAX || whole > INT_MAX) throw damaged("it ends too soon, or takes two gigabytes or more");
  if (whole / 1032 > packed) throw damaged("it says that it is larger than it can be");    // deflate's best: 258 bytes in two bits
  std::vector<std::uint8_t> y(whole);
  const auto* const from = reinterpret_cast<const char*>(bytes.data() + at);
  const int got = stb::stbi_zlib_decode_noheader_buffer(reinterpret_cast<char*>(y.data()), int(whole), from, int(packed + 8));    // it looks a few bytes ahead
  if (got < 0 || std::size_t(got) != whole) throw damaged("its data make no sense, or it is not whole");
  if (crc32(y.data(), y.size()) != little_endian(n - 8)) throw damaged("its checksum is wrong");
  return y;
}

/// The bytes of a file, unpacked if gzip has packed it.
[[gnu::cold]] inline std::vector<std::uint8_t> read_unpacked(const std::filesystem::path& path) {
  const Archive file(path);
  std::vector<std::uint8_t> bytes = file.read(0, file.bytes());
  return is_gzip(bytes) ? unpack_gzip(bytes, file.path()) : bytes;
}

}  // namespace lamina::detail
