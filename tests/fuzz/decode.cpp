/// What libFuzzer is let loose on: any bytes are decoded to a picture of the size that their header says and of pixels that are all defined, or refused with an Error. tests/fuzz/run.sh builds
/// upon the odd files of the tests.
#include <lamina/data/decode.hpp>

#include <malloc.h>

#include <cstdlib>

#include "../data/odd_files.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

namespace {
using namespace lamina;

/// Larger pictures are looked through and not decoded: in the time of one there are thousands of others.
constexpr Index decoded_area = 1 << 16;

Size size_of(const std::uint8_t* data, std::size_t n) {
  detail::PngHeader header;
  if (detail::is_png(data, n)) return detail::look_through_png(data, n, header).size;
  return detail::is_jpeg(data, n) ? detail::look_through_jpeg(data, n, true).size : Size{};
}
/// What is decoded where memory that nobody wrote to holds this byte, if malloc is glibc's and not a sanitizer's: 0 and 1 say how a row of a PNG is filtered, and most others that it is damaged.
Picture decoded_over([[maybe_unused]] int byte, std::span<const std::uint8_t> bytes, const DecodeOptions& options) {
#if defined(M_PERTURB)
  mallopt(M_PERTURB, byte ^ 0xFF);                                                // malloc turns them round
#endif
  return decode(bytes, "fuzzed", options);
}
void demand(bool holds) {
  if (!holds) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t n) {
  const Size whole = size_of(data, n);
  if (Index(whole.h) * whole.w > decoded_area) return 0;
  const DecodeOptions options{.exif_orientation = n % 2 == 1, .at_least = n % 4 < 2 ? Size{8, 8} : Size{}};
  bool decoded = false;
  try {
    const Picture p = decoded_over(0, {data, n}, options);
    demand(p.h >= 1 && p.w >= 1 && p.c == 3 && p.pixels.size() == std::size_t(size(p.shape())));
    demand(options.exif_orientation || options.at_least.h || p.size() == whole);
    decoded = true;
    demand(decoded_over(1, {data, n}, options).pixels == p.pixels);
  } catch (const Error&) {
    demand(!decoded);
  }
  return 0;
}

/// As libFuzzer changes bytes, and then nearly always with the sums that a PNG has to have, or nothing of it would be decoded.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t n, std::size_t most, unsigned seed) {
  n = LLVMFuzzerMutate(data, n, most);
  if (seed % 8 && detail::is_png(data, n)) lamina_test::correct_sums(data, n);
  return n;
}
