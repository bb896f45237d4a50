/// stb_image, which decodes PNGs, and JPEGs where libjpeg-turbo does not: the library of it that the build found, or a copy compiled here with memory of our own.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace lamina::detail {

/// The bytes that one stb_image may ask for at once on this thread, set by whoever calls it. A picture that unpacks to more than its header says ends there.
inline thread_local std::size_t stb_may_take = 0;

}  // namespace lamina::detail

#if defined(LAMINA_LINK_STB)    // in all files of a program or in none
// The build links libstb, Debian's stb_image, and the compiler is done a second earlier. (A program that defines these functions itself gives them to Lamina too.)
// Its memory is malloc's, and nobody can put another in its place: there stb_may_take has no effect, and what look_through_png() lets pass has to fill it and no more. It knows more formats than JPEG and
// PNG, too, and is given none of them: what does not begin as those do never comes here.
namespace lamina::detail::stb {
extern "C" {
int stbi_info_from_memory(const unsigned char* bytes, int size, int* width, int* height, int* channels);
unsigned char* stbi_load_from_memory(const unsigned char* bytes, int size, int* width, int* height, int* channels, int wanted);
const char* stbi_failure_reason();
void stbi_image_free(void* pixels);
int stbi_zlib_decode_noheader_buffer(char* unpacked, int room, const char* packed, int size);
}
}  // namespace lamina::detail::stb
#else
#include <cassert>
#include <climits>
#include <cmath>
#include <cstdarg>
#include <cstdint>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif
#if defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#if defined(STBI_INCLUDE_STB_IMAGE_H)
#error "include lamina before stb_image.h: lamina has a copy of its own in a namespace of its own"
#endif

namespace lamina::detail {

/// Memory of zeros, so that what a damaged picture leaves out is black, the same each time. Null if it is more than stb_may_take.
inline void* stb_take(std::size_t bytes) { return bytes <= stb_may_take ? std::calloc(bytes ? bytes : 1, 1) : nullptr; }
inline void* stb_take_more(void* memory, std::size_t had, std::size_t bytes) {
  if (bytes > stb_may_take) return nullptr;
  void* const more = std::realloc(memory, bytes);
  if (more && bytes > had) std::memset(static_cast<char*>(more) + had, 0, bytes - had);
  return more;
}

}  // namespace lamina::detail

// The copy lies in a namespace, so that a program may use stb_image.h as well; its STB_IMAGE_IMPLEMENTATION belongs into a file that does not include this.
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_MALLOC(bytes) lamina::detail::stb_take(bytes)
#define STBI_REALLOC_SIZED(memory, had, bytes) lamina::detail::stb_take_more(memory, had, bytes)
#define STBI_FREE(memory) std::free(memory)
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
#undef STBI_MALLOC
#undef STBI_REALLOC_SIZED
#undef STBI_FREE
#undef STBI_INCLUDE_STB_IMAGE_H
#undef STBIDEF
#endif
