/// JPEG and PNG files as pictures. Every file is looked through first; then libjpeg-turbo decodes JPEGs, where the build found it, and stb_image the rest.
#pragma once
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>

#include "jpeg.hpp"
#include "orientation.hpp"
#include "png.hpp"
#include "stb_image.hpp"
#include "turbojpeg.hpp"

namespace lamina {

/// What decodes JPEGs in this program. The pixels of one differ from the other's by a few levels, and those of four inks without an Adobe segment, which stb_image takes for
/// three colours, altogether.
inline constexpr const char* jpeg_decoder =
#if defined(LAMINA_LINK_TURBOJPEG)
    "libjpeg-turbo";
#else
    "stb_image";
#endif

/// How a picture is decoded. What is not given is as Keras and torchvision do it.
struct DecodeOptions {
  /// Turns the picture as its EXIF says it was held (Pillow's exif_transpose). EXIF that makes no sense is passed over.
  bool exif_orientation = false;
  /// If given, a JPEG may be decoded to a half, a quarter or an eighth of its sides, rounded up, as long as both stay this large: what it will be resized to. The pixels are those of Pillow's
  /// draft(), which its thumbnail() alone takes by itself, and not those of the whole picture made smaller. From 256 pixels a side to 64 both together are 1.6 times as fast where the nearest
  /// pixel is taken, 4 times with bilinear, 9 with lanczos (bench_decode). PNGs stay whole, and all where stb_image decodes.
  Size at_least{};
  friend constexpr bool operator==(const DecodeOptions&, const DecodeOptions&) = default;
};

namespace detail {

/// Of the bytes of any file; `png` is filled in if they are one.
inline Found look_through(const std::uint8_t* b, std::size_t n, bool count_codes, PngHeader& png) {
  if (is_jpeg(b, n)) return look_through_jpeg(b, n, count_codes);
  return is_png(b, n) ? look_through_png(b, n, png) : Found{"it is neither a JPEG nor a PNG, whatever its name says: convert it or take it away", {}};
}

/// An RGB picture, turned as it is stored.
inline Picture decode_as_stored(std::span<const std::uint8_t> bytes, std::string_view name, [[maybe_unused]] Size at_least) {
  const auto refuse = [&](const char* why) { throw Error("the picture ", name, " cannot be used: ", why); };
  const std::uint8_t* b = bytes.data();
  std::size_t n = bytes.size();
  if (n == 0) refuse("the file is empty: copy it again");
#if defined(LAMINA_LINK_TURBOJPEG)
  if (is_jpeg(b, n)) {
    const Found found = look_through_jpeg(b, n, false);
    if (found.problem) refuse(found.problem);
    Picture p;
    const Turbo outcome = decode_turbo(bytes, found.size, at_least, p);
    if (outcome == Turbo::decoded) return p;
    if (outcome == Turbo::damaged) refuse(pixels_lost);
  }
#endif
  PngHeader png;
  const Found found = look_through(b, n, true, png);
  if (found.problem) refuse(found.problem);
  if (n > INT_MAX) refuse("it is larger than two gigabytes");
  std::vector<std::uint8_t> whole;
  if (png.colours && png.colours < 256) whole = with_whole_palette(b, n), b = whole.data(), n = whole.size();
  // What stb_image asks for most: twice the unpacked data of sixteen bits and four channels, twice the packed ones; a JPEG is made of rectangles of up to 32 pixels a side.
  stb_may_take = std::size_t(found.size.h + 32) * std::size_t(found.size.w + 32) * 20 + 2 * n + (256 << 10);
  int w = 0, h = 0, c = 0;
  struct Free { void operator()(std::uint8_t* p) const { stb::stbi_image_free(p); } };
  if (!stb::stbi_info_from_memory(b, int(n), &w, &h, &c) || Size{h, w} != found.size)
    refuse("its header makes no sense: the file is damaged or of a rare kind, convert it to PNG");
  const std::unique_ptr<std::uint8_t, Free> pixels(stb::stbi_load_from_memory(b, int(n), &w, &h, &c, 0));
  if (!pixels) {
    const char* why = stb::stbi_failure_reason();
    throw Error("the picture ", name, " cannot be decoded (", why ? why : "no reason given", "): it is damaged or of a rare kind, convert it to PNG");
  }
  const std::uint8_t *x = pixels.get(), *const end = x + Index(h) * w * c;       // (H, W, C)
  if (c == 3) return {h, w, 3, {x, end}};
  Picture rgb{h, w, 3, std::vector<std::uint8_t>(std::size_t(size(Shape{h, w, 3})))};
  const int green = c == 4 ? 1 : 0, blue = 2 * green;                            // where they lie beside red; grey is all three
  for (std::uint8_t* y = rgb.pixels.data(); x != end; x += c, y += 3) y[0] = x[0], y[1] = x[green], y[2] = x[blue];
  return rgb;
}

}  // namespace detail

/// The bytes of a JPEG or PNG -> an RGB picture; grey becomes three equal channels, transparency is left out, of an animation it is the picture that stands for it, and of 16 bits
/// the upper eight; four inks become the light that they let through, and a colour that a palette does not have is black. What the bytes are is decided by how they begin, never by the name of the file.
/// Throws Error, with `name` in it, if the bytes are no whole JPEG or PNG, are damaged, or the picture is larger than 16384 a side or 50 million pixels.
/// A PNG has checksums of its chunks, which show what was changed after it was made (the one of the unpacked data, Adler-32, is not compared). A JPEG has none: what is found is tables that make no
/// sense and pixels that are lost; damage that changes pixels and loses none is not, nor that finer scans of a progressive one are missing as a whole; in part only where libjpeg-turbo decodes, which it leaves to stb_image if bytes stand where none
/// belong or a number in a header is strange.
inline Picture decode(std::span<const std::uint8_t> bytes, std::string_view name, const DecodeOptions& options = {}) {
  const Size at_least = options.at_least;
  if (!options.exif_orientation) return detail::decode_as_stored(bytes, name, at_least);
  const int orientation = detail::orientation(bytes);
  Picture stored = detail::decode_as_stored(bytes, name, detail::lies_on_its_side(orientation) ? Size{at_least.w, at_least.h} : at_least);
  if (orientation == 1) return stored;
  return detail::upright(stored, orientation);
}

namespace detail {
inline constexpr std::uintmax_t largest_file = 512u << 20;

[[gnu::cold]] inline std::vector<std::uint8_t> read_file(const std::filesystem::path& path) {
  constexpr std::uintmax_t large = 4u << 20;                                       // a large file is begun, and read to its end if what there is of it may be a picture
  std::error_code failed;
  const auto status = std::filesystem::status(path, failed);
  if (status.type() == std::filesystem::file_type::not_found) throw Error("there is no file ", path, ": it was taken away, or it is a link that leads nowhere");
  const std::uintmax_t size = std::filesystem::is_regular_file(status) ? std::filesystem::file_size(path, failed) : 0;
  if (failed) throw Error("the file ", path, " cannot be read (", failed.message(), "): check that it may be read by this user");
  if (!std::filesystem::is_regular_file(status)) throw Error(path, " is not a regular file: take it out of the folder");
  if (size > largest_file) throw Error("the picture ", path, " cannot be used: it takes ", size, " bytes, more than any picture of 50 million pixels");
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) throw Error("the file ", path, " cannot be opened (", std::strerror(errno), "): check that it may be read by this user");
  std::vector<std::uint8_t> bytes(std::size_t(std::min(size, large)));
  std::size_t got = std::fread(bytes.data(), 1, bytes.size(), file.get());
  if (got == large) {
    PngHeader png;
    if (const char* problem = look_through(bytes.data(), got, false, png).problem; problem && problem != jpeg_ends && problem != png_ends)
      throw Error("the picture ", path, " cannot be used: ", problem);
    bytes.resize(std::size_t(size));
    got += std::fread(bytes.data() + got, 1, bytes.size() - got, file.get());
  }
  if (got != bytes.size()) throw Error("the file ", path, " could not be read to its end, ", got, " of ", size, " bytes: check the disk");
  return bytes;
}
}  // namespace detail

/// The same from a file, which has to be a regular one.
inline Picture decode(const std::filesystem::path& path, const DecodeOptions& options = {}) { return decode(detail::read_file(path), path.string(), options); }

}  // namespace lamina
