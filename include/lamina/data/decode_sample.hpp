/// The picture of a sample, wherever it lies.
#pragma once
#include "dataset.hpp"
#include "decode.hpp"

namespace lamina {

/// Pixels in memory as they are, a file or a part of an archive decoded (see decode.hpp). Throws Error, with the name of the sample, if it cannot be read or decoded.
inline Picture decode(const Sample& s, const DecodeOptions& options = {}) {
  if (s.picture) return *s.picture;
  if (!s.archive) return decode(std::filesystem::path(s.path), options);
  if (s.bytes > detail::largest_file) throw Error("the picture ", s.where(), " cannot be used: it takes ", s.bytes, " bytes, more than any picture of 50 million pixels");
  return decode(s.archive->read(s.offset, s.bytes), s.where(), options);
}

}  // namespace lamina
