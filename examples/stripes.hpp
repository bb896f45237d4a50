/// What lesson 8 learns from: a tar archive of drawn stripes, in ten class folders named after their slant.
#pragma once
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>

#include <lamina/core/random.hpp>
#include <lamina/io/picture.hpp>

/// Picture i, 32 x 32 pixels of three channels; its class is i % 10, which times 18 degrees is the slant.
inline std::string draw_stripes(int i) {
  const lamina::Random r(1, lamina::Stream::picture, std::uint32_t(i));
  const double slant = i % 10 * std::acos(-1.0) / 10, along = std::cos(slant), across = std::sin(slant);
  const double width = r.uniform(0, 0.5, 1.1), phase = r.uniform(1, 0, 6.28), contrast = r.uniform(2, 20, 60);
  std::uint8_t pixels[32 * 32 * 3];
  for (int p = 0; p < 32 * 32; ++p) {
    const double wave = contrast * std::sin(width * (p % 32 * along + p / 32 * across) + phase);
    for (int c = 0; c < 3; ++c) pixels[3 * p + c] = std::uint8_t(r.uniform(3 + c, 90, 160) + wave * r.uniform(6 + c, 0.6, 1) + r.uniform(9 + 3 * p + c, -25, 25));
  }
  return lamina::png_bytes(pixels, {32, 32, 3});
}

/// A header of 512 bytes and the bytes filled up to whole blocks: what tar makes of a file (POSIX, ustar).
inline void write_member(std::FILE* file, const std::string& name, const std::string& bytes) {
  char header[512] = {};
  std::snprintf(header, 100, "%s", name.c_str());
  std::snprintf(header + 100, 56, "%07o%c%07o%c%07o%c%011zo%c%011o", 0644, 0, 0, 0, 0, 0, bytes.size(), 0, 0);
  std::memcpy(header + 148, "        0", 9);                                       // the sum is counted as spaces; a regular file
  std::memcpy(header + 257, "ustar\0" "00", 8);
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  std::snprintf(header + 148, 8, "%06o", sum);
  const char zeros[512] = {};
  std::fwrite(header, 1, 512, file), std::fwrite(bytes.data(), 1, bytes.size(), file), std::fwrite(zeros, 1, (512 - bytes.size() % 512) % 512, file);
}

/// An archive of the first `count` pictures: slant_000/0.png, slant_018/1.png, ... Throws Error if it cannot be written; then there is none.
inline void make_archive(const std::filesystem::path& path, int count) {
  const std::string partial = path.string() + ".partial";
  std::signal(SIGXFSZ, SIG_IGN);                                                      // a limit on the size of files is then an error of fwrite
  std::FILE* const file = std::fopen(partial.c_str(), "wb");
  if (!file) throw lamina::Error("the archive ", path, " cannot be written: check the path");
  char name[64];
  for (int i = 0; i < count; ++i) {
    std::snprintf(name, sizeof name, "slant_%03d/%d.png", i % 10 * 18, i);
    write_member(file, name, draw_stripes(i));
  }
  const char end[1024] = {};
  std::fwrite(end, 1, sizeof end, file);
  const bool failed = std::ferror(file);
  if (std::fclose(file) || failed || std::rename(partial.c_str(), path.c_str())) {
    std::remove(partial.c_str());
    throw lamina::Error("the archive ", path, " could not be written to its end: free some space there, or raise the limit on the size of files (ulimit -f)");
  }
}
