/// JPEGs by libjpeg-turbo, where the build found it: the pixels are those of Pillow, through which torchvision and Keras's iterators load, in 0.5 to 0.7 of stb_image's time.
#pragma once
#include "picture.hpp"

#if defined(LAMINA_LINK_TURBOJPEG)    // in all files of a program or in none
#include <turbojpeg.h>

#include <memory>
#include <span>
#include <string_view>

#include "../core/error.hpp"

namespace lamina::detail {

#if !defined(TJFLAG_LIMITSCANS)    // before 2.1
inline constexpr int TJFLAG_LIMITSCANS = 0;
#endif

enum class Turbo { decoded, damaged, undecided, no_memory };

/// What a JPEG's sides are divided by when it is decoded for a picture of at least this size: 8, 4, 2, or 1 if none was given. As Pillow's draft().
constexpr int divisor(Size whole, Size at_least) {
  if (at_least.h < 1 || at_least.w < 1) return 1;
  int d = 8;
  while (d > 1 && (whole.h / d < at_least.h || whole.w / d < at_least.w)) d /= 2;
  return d;
}

/// The bytes of a JPEG of this size -> an RGB picture, of this size or at_least of another. It counts all codes of all scans as it goes, and `damaged` is one that ends too soon or has wrong ones. What it cannot
/// decode, or remarks on without a pixel being lost for certain (bytes too many, a strange number in a header), is left to others.
[[gnu::cold]] inline Turbo decode_turbo(std::span<const std::uint8_t> bytes, Size whole, Size at_least, Picture& p) {
  struct Destroy { void operator()(void* handle) const { tjDestroy(handle); } };
  const std::unique_ptr<void, Destroy> decoder(tjInitDecompress());
  if (!decoder) return Turbo::no_memory;
  int w = 0, h = 0, sampling = 0, colours = 0;
  if (tjDecompressHeader3(decoder.get(), bytes.data(), bytes.size(), &w, &h, &sampling, &colours) || h != whole.h || w != whole.w) return Turbo::undecided;
  const int divided = divisor(whole, at_least);
  w = (w + divided - 1) / divided, h = (h + divided - 1) / divided;
  const bool inks = colours == TJCS_CMYK || colours == TJCS_YCCK;
  p = {h, w, inks ? 4 : 3, std::vector<std::uint8_t>(std::size_t(size(Shape{h, w, inks ? 4 : 3})))};
  if (tjDecompress2(decoder.get(), bytes.data(), bytes.size(), p.pixels.data(), w, 0, h, inks ? TJPF_CMYK : TJPF_RGB, TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS | TJFLAG_STOPONWARNING)) {
    const std::string_view remark = tjGetErrorStr2(decoder.get());
    const auto says = [&](std::string_view what) { return remark.find(what) != remark.npos; };
    if (says("emory")) return Turbo::no_memory;                  // it has several sentences for that
    return says("premature end") || says("Premature end") || says("bad Huffman code") || says("instead of RST") ? Turbo::damaged : Turbo::undecided;
  }
  if (!inks) return Turbo::decoded;
  // What is left of the light that each ink lets through, as the programs that make such files store it, times what black lets through.
  std::uint8_t* to = p.pixels.data();
  for (const std::uint8_t *from = to, *end = from + p.pixels.size(); from != end; from += 4, to += 3)
    for (int c = 0; c < 3; ++c) to[c] = std::uint8_t((from[c] * from[3] + 127) / 255);
  p.c = 3, p.pixels.resize(std::size_t(size(p.shape())));
  return Turbo::decoded;
}

}  // namespace lamina::detail
#endif
