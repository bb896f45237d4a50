/// JPEG and PNG files as pictures. Every file is looked through first; then libjpeg-turbo decodes JPEGs, where the build found it, and stb_image, in this header alone, the rest.
#pragma once
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>

#include "jpeg.hpp"
#include "png.hpp"
#include "turbojpeg.hpp"

#if defined(LAMINA_LINK_STB)    // in all files of a program or in none
// The build links libstb, Debian's stb_image, and the compiler is done a second earlier. (A program that defines these functions itself gives them to Lamina too.)
namespace lamina::detail::stb {
extern "C" {
int stbi_info_from_memory(const unsigned char* bytes, int size, int* width, int* height, int* channels);
unsigned char* stbi_load_from_memory(const unsigned char* bytes, int size, int* width, int* height, int* channels, int wanted);
const char* stbi_failure_reason();
void stbi_image_free(void* pixels);
int stbi_zlib_decode_noheader_buffer(char* to, int room, const char* bytes, int size);
}
}  // namespace lamina::detail::stb
#else
#include <cassert>
#include <cmath>
#include <cstdarg>
#include <cstdlib>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif
#if defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#if defined(STBI_INCLUDE_STB_IMAGE_H)
#error "include lamina before stb_image.h: lamina has a copy of its own in a namespace of its own"
#endif

// The copy lies in a namespace, so that a program may use stb_image.h as well; its STB_IMAGE_IMPLEMENTATION belongs into a file that does not include this.
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wdouble-promotion"
#pragma GCC diagnostic ignored "-Wimplicit-fallthrough"
namespace lamina::detail::stb {
#if __has_include(<stb/stb_image.h>)
#include <stb/stb_image.h>
#else
#include <stb_image.h>
#endif
}  // namespace lamina::detail::stb
#pragma GCC diagnostic pop
#undef STB_IMAGE_IMPLEMENTATION
#undef STB_IMAGE_STATIC
#undef STBI_ONLY_JPEG
#undef STBI_ONLY_PNG
#undef STBI_NO_STDIO
#undef STBI_INCLUDE_STB_IMAGE_H
#undef STBIDEF
#endif

namespace lamina {

/// What decodes JPEGs in this program. The pixels of one differ from the other's by a few levels, and those of four inks without an Adobe segment, which stb_image takes for
/// three colours, altogether.
inline constexpr const char* jpeg_decoder =
#if defined(LAMINA_LINK_TURBOJPEG)
    "libjpeg-turbo";
#else
    "stb_image";
#endif

/// The bytes of a JPEG or PNG -> an RGB picture; grey becomes three equal channels, transparency is left out, EXIF rotation is not applied (as Keras). What the bytes are is
/// decided by how they begin, never by the name of the file.
/// Throws Error, with `name` in it, if the bytes are no whole JPEG or PNG, are damaged, or the picture is larger than 16384 a side or 50 million pixels.
/// A PNG has checksums: any damage is found. A JPEG has none: what is found is tables that make no sense and pixels that are lost; damage that changes pixels and loses none
/// is not, nor that finer scans of a progressive one are missing as a whole; in part only where libjpeg-turbo decodes, which it leaves to stb_image if bytes stand where none
/// belong or a number in a header is strange.
inline Picture decode(std::span<const std::uint8_t> bytes, std::string_view name) {
  const auto refuse = [&](const char* why) { throw Error("the picture ", name, " cannot be used: ", why); };
  const std::uint8_t* const b = bytes.data();
  const std::size_t n = bytes.size();
  if (n == 0) refuse("the file is empty: copy it again");
  const bool is_jpeg = detail::is_jpeg(b, n);
  if (!is_jpeg && !detail::is_png(b, n)) refuse("it is neither a JPEG nor a PNG, whatever its name says: convert it or take it away");
#if defined(LAMINA_LINK_TURBOJPEG)
  if (is_jpeg) {
    const detail::Found found = detail::look_through_jpeg(b, n, false);
    if (found.problem) refuse(found.problem);
    Picture p;
    const detail::Turbo outcome = detail::decode_turbo(bytes, found.size, p);
    if (outcome == detail::Turbo::decoded) return p;
    if (outcome == detail::Turbo::damaged) refuse(detail::pixels_lost);
  }
#endif
  const detail::Found found = is_jpeg ? detail::look_through_jpeg(b, n, true) : detail::look_through_png(b, n);
  if (found.problem) refuse(found.problem);
  if (n > INT_MAX) refuse("it is larger than two gigabytes");
  int w = 0, h = 0, c = 0;
  struct Free { void operator()(std::uint8_t* p) const { detail::stb::stbi_image_free(p); } };
  if (!detail::stb::stbi_info_from_memory(b, int(n), &w, &h, &c) || Size{h, w} != found.size)
    refuse("its header makes no sense: the file is damaged or of a rare kind, convert it to PNG");
  const std::unique_ptr<std::uint8_t, Free> pixels(detail::stb::stbi_load_from_memory(b, int(n), &w, &h, &c, 0));
  if (!pixels) {
    const char* why = detail::stb::stbi_failure_reason();
    throw Error("the picture ", name, " cannot be decoded (", why ? why : "no reason given", "): it is damaged or of a rare kind, convert it to PNG");
  }
  const std::uint8_t *x = pixels.get(), *const end = x + Index(h) * w * c;       // (H, W, C)
  if (c == 3) return {h, w, 3, {x, end}};
  Picture rgb{h, w, 3, std::vector<std::uint8_t>(std::size_t(size(Shape{h, w, 3})))};
  const int green = c == 4 ? 1 : 0, blue = 2 * green;                            // where they lie beside red; grey is all three
  for (std::uint8_t* y = rgb.pixels.data(); x != end; x += c, y += 3) y[0] = x[0], y[1] = x[green], y[2] = x[blue];
  return rgb;
}

namespace detail {
inline constexpr std::uintmax_t largest_file = 512u << 20;

[[gnu::cold]] inline std::vector<std::uint8_t> read_file(const std::filesystem::path& path) {
  std::error_code failed;
  const auto status = std::filesystem::status(path, failed);
  if (status.type() == std::filesystem::file_type::not_found) throw Error("there is no file ", path, ": it was taken away, or it is a link that leads nowhere");
  const std::uintmax_t size = std::filesystem::is_regular_file(status) ? std::filesystem::file_size(path, failed) : 0;
  if (failed) throw Error("the file ", path, " cannot be read (", failed.message(), "): check that it may be read by this user");
  if (!std::filesystem::is_regular_file(status)) throw Error(path, " is not a regular file: take it out of the folder");
  if (size > largest_file) throw Error("the picture ", path, " cannot be used: it takes ", size, " bytes, more than any picture of 50 million pixels");
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) throw Error("the file ", path, " cannot be opened (", std::strerror(errno), "): check that it may be read by this user");
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(size));
  const std::size_t got = std::fread(bytes.data(), 1, bytes.size(), file.get());
  if (got != bytes.size()) throw Error("the file ", path, " could not be read to its end, ", got, " of ", size, " bytes: check the disk");
  return bytes;
}
}  // namespace detail

/// The same from a file, which has to be a regular one.
inline Picture decode(const std::filesystem::path& path) { return decode(detail::read_file(path), path.string()); }

}  // namespace lamina
