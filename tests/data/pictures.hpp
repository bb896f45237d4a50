/// Small pictures for tests, and files made of them.
#pragma once
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include <lamina/core/random.hpp>
#include <lamina/data/picture.hpp>

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace lamina_test {

using Bytes = std::vector<std::uint8_t>;

/// Noise: every pixel another.
inline lamina::Picture noise(int h, int w, int c, std::uint64_t seed = 1) {
  lamina::Picture p{h, w, c, Bytes(std::size_t(h * w * c))};
  const lamina::Random random(seed, lamina::Stream::test);
  for (std::size_t i = 0; i < p.pixels.size(); ++i) p.pixels[i] = std::uint8_t(random.below(lamina::Index(i), 256));
  return p;
}

/// A slope: what JPEG keeps to within a few levels.
inline lamina::Picture slope(int h, int w, int first = 20) {
  lamina::Picture p{h, w, 3, Bytes(std::size_t(h * w * 3))};
  for (int i = 0; i < h; ++i)
    for (int j = 0; j < w; ++j)
      for (int k = 0; k < 3; ++k) p.pixels[std::size_t((i * w + j) * 3 + k)] = std::uint8_t(std::min(255, first + 2 * i + 3 * j + 10 * k));
  return p;
}

inline void collect(void* to, void* data, int n) {
  auto& bytes = *static_cast<Bytes*>(to);
  bytes.insert(bytes.end(), static_cast<std::uint8_t*>(data), static_cast<std::uint8_t*>(data) + n);
}
inline Bytes png(const lamina::Picture& p) {
  Bytes bytes;
  stbi_write_png_to_func(collect, &bytes, p.w, p.h, p.c, p.pixels.data(), p.w * p.c);
  return bytes;
}
inline Bytes jpeg(const lamina::Picture& p, int quality = 95) {
  Bytes bytes;
  stbi_write_jpg_to_func(collect, &bytes, p.w, p.h, p.c, p.pixels.data(), quality);
  return bytes;
}

inline void write(const std::filesystem::path& path, const Bytes& bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (!bytes.empty()) std::fwrite(bytes.data(), 1, bytes.size(), file);
  std::fclose(file);
}

/// The sentence that f throws, or nothing.
template <class F> std::string sentence(const F& f) {
  try {
    f();
  } catch (const lamina::Error& e) {
    return e.what();
  }
  return "";
}
inline bool says(const std::string& sentence, const std::string& words) { return sentence.find(words) != std::string::npos; }

}  // namespace lamina_test
