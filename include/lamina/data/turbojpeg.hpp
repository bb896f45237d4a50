/// JPEGs by libjpeg-turbo, where the build found it: the pixels are Pillow's, and so those that torchvision and Keras train on, in half of stb_image's time. It says
/// itself what is damaged or cut off, in any scan, so that nothing has to look through the file before.
#pragma once
#if defined(LAMINA_LINK_TURBOJPEG)    // in all files of a program or in none
#include <turbojpeg.h>

#include <memory>
#include <span>
#include <string_view>

#include "../core/error.hpp"
#include "picture.hpp"

namespace lamina::detail {

/// The bytes of a JPEG -> an RGB picture. Throws Error, with `name` in it, if the picture is too large or libjpeg-turbo has anything to remark.
[[gnu::cold]] inline Picture decode_jpeg(std::span<const std::uint8_t> bytes, std::string_view name) {
  struct Destroy { void operator()(void* handle) const { tjDestroy(handle); } };
  const std::unique_ptr<void, Destroy> decoder(tjInitDecompress());
  if (!decoder) throw Error("there is no memory to decode the picture ", name, ": take fewer threads");
  const auto check = [&](int failed) {
    if (failed) throw Error("the picture ", name, " cannot be decoded (", tjGetErrorStr2(decoder.get()), "): it is damaged or of a rare kind, copy it again or convert it to PNG");
  };
  int w = 0, h = 0, sampling = 0, colours = 0;
  check(tjDecompressHeader3(decoder.get(), bytes.data(), bytes.size(), &w, &h, &sampling, &colours));
  if (const char* large = too_large(h, w)) throw Error("the picture ", name, " cannot be used: ", large);
  const bool inks = colours == TJCS_CMYK || colours == TJCS_YCCK;
  Picture p{h, w, inks ? 4 : 3, std::vector<std::uint8_t>(std::size_t(size(Shape{h, w, inks ? 4 : 3})))};
  check(tjDecompress2(decoder.get(), bytes.data(), bytes.size(), p.pixels.data(), w, 0, h, inks ? TJPF_CMYK : TJPF_RGB, TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS | TJFLAG_STOPONWARNING));
  if (!inks) return p;
  // What is left of the light that each ink lets through, as the programs that make such files store it, times what black lets through.
  std::uint8_t* to = p.pixels.data();
  for (const std::uint8_t *from = to, *end = from + p.pixels.size(); from != end; from += 4, to += 3)
    for (int c = 0; c < 3; ++c) to[c] = std::uint8_t((from[c] * from[3] + 127) / 255);
  p.c = 3, p.pixels.resize(std::size_t(size(p.shape())));
  return p;
}

}  // namespace lamina::detail
#endif
