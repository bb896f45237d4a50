/// JPEG and PNG files as pictures. Every file is looked through first; then libjpeg-turbo decodes JPEGs, where the build found it, and stb_image the rest.
#pragma once
#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <filesystem>
#include <memory>
#include <new>
#include <span>

#include "../core/descriptor.hpp"
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

[[gnu::cold]] inline Shortage no_memory_to_decode(std::string_view name) {
  return Shortage("there is no memory to decode the picture ", name, ": take fewer threads, or end other programs");
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
    if (outcome == Turbo::no_memory) throw no_memory_to_decode(name);
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
  // Where stb_image fails it says a reason, and not always that of this picture.
  const auto require_memory = [&] {
    const auto all = std::size_t(size(Shape{found.size.h, found.size.w, 8})) + 2 * n + (1 << 20);
    if (const std::unique_ptr<std::uint8_t[]> room(new (std::nothrow) std::uint8_t[all]); !room) throw no_memory_to_decode(name);
  };
  if (!stb::stbi_info_from_memory(b, int(n), &w, &h, &c) || Size{h, w} != found.size) {
    require_memory();
    refuse("its header makes no sense: the file is damaged or of a rare kind, convert it to PNG");
  }
  const std::unique_ptr<std::uint8_t, Free> pixels(stb::stbi_load_from_memory(b, int(n), &w, &h, &c, 0));
  if (!pixels) {
    require_memory();
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
/// Throws Error, with `name` in it, if the bytes are no whole JPEG or PNG, are damaged, or the picture is larger than 16384 a side or 50 million pixels, and Shortage if there is no memory.
/// A PNG has checksums of its chunks, which show what was changed after it was made (the one of the unpacked data, Adler-32, is not compared). A JPEG has none: what is found is tables that make no
/// sense and pixels that are lost; damage that changes pixels and loses none is not, nor that finer scans of a progressive one are missing as a whole; in part only where libjpeg-turbo decodes, which it leaves to stb_image if bytes stand where none
/// belong or a number in a header is strange.
inline Picture decode(std::span<const std::uint8_t> bytes, std::string_view name, const DecodeOptions& options = {}) try {
  const Size at_least = options.at_least;
  if (!options.exif_orientation) return detail::decode_as_stored(bytes, name, at_least);
  const int orientation = detail::orientation(bytes);
  Picture stored = detail::decode_as_stored(bytes, name, detail::lies_on_its_side(orientation) ? Size{at_least.w, at_least.h} : at_least);
  if (orientation == 1) return stored;
  return detail::upright(stored, orientation);
} catch (const std::bad_alloc&) {
  throw detail::no_memory_to_decode(name);
}

namespace detail {
/// Of a file so large only the beginning is read before it is known that it may be a picture.
inline constexpr std::uint64_t large_file = 4u << 20, largest_file = 512u << 20;
[[gnu::cold]] inline void require_size(std::uint64_t bytes, std::string_view name) {
  if (bytes > largest_file) throw Error("the picture ", name, " cannot be used: it takes ", bytes, " bytes, more than any picture of 50 million pixels");
}
/// Throws Error unless a picture may begin with these bytes.
[[gnu::cold]] inline void require_beginning(std::span<const std::uint8_t> bytes, std::string_view name) {
  PngHeader png;
  if (const char* problem = look_through(bytes.data(), bytes.size(), false, png).problem; problem && problem != jpeg_ends && problem != png_ends)
    throw Error("the picture ", name, " cannot be used: ", problem);
}

[[gnu::cold]] inline std::vector<std::uint8_t> read_file(const std::filesystem::path& path) try {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));    // a pipe opens at once
  struct ::stat about = {};
  const int error = !file.open() || ::fstat(file.number(), &about) != 0 ? errno : 0;
  require_enough(error, path.native());
  if (error == ENOENT || error == ENOTDIR) throw Error("there is no file ", path, ": it was taken away, or it is a link that leads nowhere");
  if (error == ELOOP) throw Error("the file ", path, " is a link that leads in a circle: take it out of the folder");
  if ((error == 0 && !S_ISREG(about.st_mode)) || error == ENXIO) throw Error(path, " is not a regular file: take it out of the folder");
  if (error) throw Error("the file ", path, " cannot be opened (", std::generic_category().message(error), "): check that it may be read by this user");
  const auto size = std::uint64_t(about.st_size);
  require_size(size, path.string());
  std::vector<std::uint8_t> bytes;
  const auto read_to = [&](std::uint64_t end) {
    const std::size_t begin = bytes.size();
    bytes.resize(std::size_t(end));
    if (const ::ssize_t n = read_up_to(file.number(), bytes.data() + begin, bytes.size() - begin, begin); n != ::ssize_t(bytes.size() - begin))
      throw Error("the file ", path, " could not be read to its end, ", begin + std::size_t(std::max<::ssize_t>(n, 0)), " of ", size, " bytes: check the disk");
  };
  read_to(std::min(size, large_file));
  if (size > large_file) require_beginning(bytes, path.string()), read_to(size);
  return bytes;
} catch (const std::bad_alloc&) {
  throw no_memory_to_decode(path.string());
}
}  // namespace detail

/// The same from a file, which has to be a regular one.
inline Picture decode(const std::filesystem::path& path, const DecodeOptions& options = {}) { return decode(detail::read_file(path), path.string(), options); }

}  // namespace lamina
