/// Pictures for a page of HTML: PNG bytes of grey levels, and base64 text of bytes.
#pragma once
#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "../core/error.hpp"
#include "../core/shape.hpp"

// stb_image_write is compiled in a namespace of ours, and its include guards are put back as they were, so that a program may have its own.
#pragma push_macro("INCLUDE_STB_IMAGE_WRITE_H")
#pragma push_macro("STBIWDEF")
#pragma push_macro("STB_IMAGE_WRITE_STATIC")
#pragma push_macro("STB_IMAGE_WRITE_IMPLEMENTATION")
#pragma push_macro("STBI_WRITE_NO_STDIO")
#undef INCLUDE_STB_IMAGE_WRITE_H
#undef STBIWDEF
#undef STB_IMAGE_WRITE_STATIC
#undef STB_IMAGE_WRITE_IMPLEMENTATION
#undef STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
namespace lamina::detail::stb_write {
#include <stb/stb_image_write.h>
}
#pragma GCC diagnostic pop
#pragma pop_macro("INCLUDE_STB_IMAGE_WRITE_H")
#pragma pop_macro("STBIWDEF")
#pragma pop_macro("STB_IMAGE_WRITE_STATIC")
#pragma pop_macro("STB_IMAGE_WRITE_IMPLEMENTATION")
#pragma pop_macro("STBI_WRITE_NO_STDIO")

namespace lamina {

/// RFC 4648, section 4: three bytes as four letters, filled up with '='.
inline std::string base64(std::string_view bytes) {
  constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string s;
  s.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](std::size_t k) { return i + k < bytes.size() ? std::uint32_t(static_cast<unsigned char>(bytes[i + k])) : 0; };
    const std::uint32_t v = byte(0) << 16 | byte(1) << 8 | byte(2);
    for (std::size_t k = 0; k < 4; ++k) s += i + k <= bytes.size() ? letters[v >> (18 - 6 * k) & 63] : '=';
  }
  return s;
}

/// The bytes of a PNG file of pixels (H, W, C), grey levels 0..255; C is 1 (grey), 3 (colour), or 2 and 4 (the same with opacity). Throws Error on another shape.
inline std::string png_bytes(const std::uint8_t* pixels, Shape shape) {
  if (shape.h < 1 || shape.w < 1 || shape.c < 1 || shape.c > 4) throw Error("a picture of ", shape, " cannot be a PNG: it needs pixels, and 1 to 4 channels");
  std::string png;
  const auto take = [](void* to, void* bytes, int n) { static_cast<std::string*>(to)->append(static_cast<const char*>(bytes), static_cast<std::size_t>(n)); };
  if (!detail::stb_write::stbi_write_png_to_func(take, &png, shape.w, shape.h, shape.c, pixels, shape.w * shape.c)) throw Error("no memory for the PNG of a picture of ", shape);
  return png;
}

/// An encoded picture as the address of itself, for <img src>; nothing if the bytes begin neither as a PNG nor as a JPEG.
inline std::string data_uri(std::string_view encoded) {
  if (encoded.starts_with("\x89PNG\r\n\x1a\n")) return "data:image/png;base64," + base64(encoded);
  if (encoded.starts_with("\xff\xd8\xff")) return "data:image/jpeg;base64," + base64(encoded);
  return "";
}

}  // namespace lamina
