/// The picture of a sample, wherever it lies.
#pragma once
#include "dataset.hpp"
#include "decode.hpp"

namespace lamina {

/// Pixels in memory as they are, a file or a part of an archive decoded (see decode.hpp). Throws Error, with the name of the sample, if it cannot be read or decoded.
inline Picture decode(const Sample& s, const DecodeOptions& options = {}) {
  if (s.picture) return *s.picture;
  if (!s.archive) return decode(std::filesystem::path(s.path), options);
  detail::require_size(s.bytes, s.where());
  if (s.bytes > detail::large_file) detail::require_beginning(s.archive->read(s.offset, detail::large_file), s.where());
  return decode(s.archive->read(s.offset, s.bytes), s.where(), options);
}

}  // namespace lamina
