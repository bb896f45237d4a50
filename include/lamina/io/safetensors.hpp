/// Named tensors in a file, in the safetensors format (huggingface.co/docs/safetensors): eight bytes with the length of the header, the header in JSON, the
/// numbers. Files written here carry a checksum of every byte.
#pragma once
#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <map>
#include <set>
#include <type_traits>
#include <vector>

#include <nlohmann/json.hpp>

#include "file.hpp"

namespace lamina {

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian, and so must the machine be");

namespace detail {
inline constexpr std::pair<std::string_view, std::size_t> number_types[] = {{"F32", 4}, {"F64", 8}, {"U8", 1}, {"I32", 4}, {"I64", 8}};

/// Bytes of one number, or 0 for a type that is not read.
inline std::size_t bytes_of(std::string_view dtype) {
  for (const auto& [name, bytes] : number_types) if (name == dtype) return bytes;
  return 0;
}
template <class T> constexpr const char* dtype_of() {
  if constexpr (std::is_floating_point_v<T> && sizeof(T) == 4) return "F32";
  else if constexpr (std::is_floating_point_v<T> && sizeof(T) == 8) return "F64";
  else if constexpr (std::is_unsigned_v<T> && sizeof(T) == 1) return "U8";
  else if constexpr (std::is_integral_v<T> && std::is_signed_v<T> && sizeof(T) == 4) return "I32";
  else {
    static_assert(std::is_integral_v<T> && std::is_signed_v<T> && sizeof(T) == 8, "a tensor in a file holds float, double, uint8, int32 or int64");
    return "I64";
  }
}
template <class From, class To> std::vector<To> converted(const std::vector<std::byte>& data) {
  std::vector<To> to(data.size() / sizeof(From));
  for (std::size_t i = 0; i < to.size(); ++i) {
    From v;
    std::memcpy(&v, data.data() + i * sizeof v, sizeof v);
    to[i] = static_cast<To>(v);
  }
  return to;
}

/// Numbers in a tensor of this shape, or -1 if there is no such number.
inline Index count_of(const std::vector<Index>& shape) {
  Index n = 1;
  for (const Index side : shape) {
    if (side < 0 || (side && n > std::numeric_limits<Index>::max() / 8 / side)) return -1;
    n *= side;
  }
  return n;
}
}  // namespace detail

/// One tensor: numbers of one type, the last side of `shape` running fastest.
struct SafeTensor {
  std::string dtype = {};            // "F32", "F64", "U8", "I32", "I64"
  std::vector<Index> shape = {};
  std::vector<std::byte> data = {};  // count() numbers, little-endian

  Index count() const { return detail::count_of(shape); }

  /// The numbers, each converted as static_cast does. Throws Error on a type it does not know.
  template <class T> std::vector<T> as() const {
    if (dtype == "F32") return detail::converted<float, T>(data);
    if (dtype == "F64") return detail::converted<double, T>(data);
    if (dtype == "U8") return detail::converted<std::uint8_t, T>(data);
    if (dtype == "I32") return detail::converted<std::int32_t, T>(data);
    if (dtype == "I64") return detail::converted<std::int64_t, T>(data);
    throw Error("a tensor has the type ", dtype, ": F32, F64, U8, I32 and I64 are read");
  }
  friend bool operator==(const SafeTensor&, const SafeTensor&) = default;
};

/// What a file holds: tensors by name, and text about them by name.
struct SafeTensors {
  std::map<std::string, std::string> metadata = {};
  std::map<std::string, SafeTensor> tensors = {};
  std::string path = {};             // of the file it was read from, for messages

  /// Throws Error if there is no tensor of that name.
  const SafeTensor& at(const std::string& name) const {
    const auto found = tensors.find(name);
    if (found == tensors.end())
      throw Error(path.empty() ? "" : path + ": ", "there is no tensor \"", name, "\" among the ", tensors.size(), " here: it is a file of something else");
    return found->second;
  }

  /// Adds the product of `shape` many numbers from `numbers`. Throws Error if the name is taken or a side is negative.
  template <class T> void put(const std::string& name, std::vector<Index> shape, const T* numbers) {
    const Index count = detail::count_of(shape);
    if (count < 0) throw Error("the tensor \"", name, "\" has a side that is negative, or more numbers than memory can have");
    if (name == "__metadata__" || tensors.contains(name)) throw Error("the name \"", name, "\" is taken: give every tensor its own");
    SafeTensor t{detail::dtype_of<T>(), std::move(shape), std::vector<std::byte>(static_cast<std::size_t>(count) * sizeof(T))};
    if (count) std::memcpy(t.data.data(), numbers, t.data.size());
    tensors.emplace(name, std::move(t));
  }
};

namespace detail {
/// How a header of ours begins; sixteen hexadecimal digits follow. `written_by` tells a damaged `checksum` from a file of somebody else, who has none.
inline constexpr std::string_view our_header = R"({"__metadata__":{"checksum":")", no_checksum = "0000000000000000";
inline constexpr std::size_t length_bytes = 8, checksum_at = length_bytes + our_header.size(), head_bytes = 64, largest_header = 100'000'000;
static_assert(checksum_at + no_checksum.size() <= head_bytes);

/// A 64-bit hash of a file of at least 64 bytes, the digits of its checksum read as 0: one accumulator of xxHash64 (github.com/Cyan4973/xxHash) over words of eight
/// bytes, the last filled up with zeros, then the length and the final mixing. Each step can be undone, so that damage within one word always shows; other damage
/// is missed once in 2^64.
inline std::string checksum(std::string_view bytes) {
  constexpr std::uint64_t p1 = 0x9E3779B185EBCA87, p2 = 0xC2B2AE3D27D4EB4F, p3 = 0x165667B19E3779F9;
  char head[head_bytes];
  std::memcpy(head, bytes.data(), head_bytes);
  std::memcpy(head + checksum_at, no_checksum.data(), no_checksum.size());
  std::uint64_t h = p1 + p2;
  for (std::size_t i = 0; i < bytes.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, i < head_bytes ? head + i : bytes.data() + i, std::min<std::size_t>(8, bytes.size() - i));
    h = std::rotl(h + word * p2, 31) * p1;
  }
  h ^= bytes.size() * p3;
  h = (h ^ (h >> 33)) * p2;
  h = (h ^ (h >> 29)) * p3;
  h ^= h >> 32;
  std::string digits;
  for (int shift = 60; shift >= 0; shift -= 4) digits += "0123456789abcdef"[h >> shift & 15];
  return digits;
}

/// Parses JSON in which no object has a key twice. Throws nlohmann::json::exception, or the key as std::string.
inline nlohmann::json parse_json(std::string_view text) {
  using Event = nlohmann::json::parse_event_t;
  std::vector<std::set<std::string>> keys;
  return nlohmann::json::parse(text, [&](int, Event event, nlohmann::json& value) {
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key && !keys.back().insert(value.get<std::string>()).second) throw value.get<std::string>();
    return true;
  });
}

/// Reads one header.
class SafeTensorsReader {
 public:
  SafeTensorsReader(std::string_view bytes, const std::string& path) : bytes_(bytes), path_(path) {}

  SafeTensors read() {
    const nlohmann::json entries = header();
    SafeTensors file{.path = path_};
    for (const auto& [name, entry] : entries.items())
      if (name == "__metadata__") file.metadata = metadata(entry);
      else file.tensors.emplace(name, tensor(name, entry));
    layout();
    verify(file.metadata);
    return file;
  }

 private:
  struct Extent { std::uint64_t begin, end; };

  template <class... Parts> [[noreturn]] void fail(const Parts&... parts) const {
    throw Error(path_, " is damaged or no safetensors file: ", parts..., "; use another copy");
  }

  nlohmann::json header() {
    std::uint64_t length = 0;
    if (bytes_.size() < length_bytes) fail("it has ", bytes_.size(), " bytes, fewer than the length of a header");
    std::memcpy(&length, bytes_.data(), length_bytes);
    if (length > largest_header || length > bytes_.size() - length_bytes) fail("its header would have ", length, " bytes and the file has ", bytes_.size());
    data_ = bytes_.substr(length_bytes + std::size_t(length));
    nlohmann::json header;
    try {
      header = parse_json(bytes_.substr(length_bytes, std::size_t(length)));
    } catch (const nlohmann::json::parse_error& e) {
      fail("its header is not JSON from byte ", length_bytes + e.byte, " on");
    } catch (const std::string& key) {
      fail("its header says \"", key, "\" twice");
    }
    if (!header.is_object()) fail("its header is not a JSON object");
    return header;
  }

  std::map<std::string, std::string> metadata(const nlohmann::json& entry) const {
    std::map<std::string, std::string> all;
    if (!entry.is_object()) fail("its metadata is not a JSON object");
    for (const auto& [key, value] : entry.items()) {
      if (!value.is_string()) fail("its metadata \"", key, "\" is not text");
      all.emplace(key, value.get<std::string>());
    }
    return all;
  }

  SafeTensor tensor(const std::string& name, const nlohmann::json& entry) {
    const auto field = [&](const char* key) {
      if (!entry.is_object() || !entry.contains(key)) fail("the tensor \"", name, "\" has no ", key);
      return entry[key];
    };
    const nlohmann::json dtype = field("dtype"), shape = field("shape"), offsets = field("data_offsets");
    if (entry.size() != 3) fail("the tensor \"", name, "\" has fields beside dtype, shape and data_offsets");
    const std::size_t bytes = dtype.is_string() ? bytes_of(dtype.get<std::string>()) : 0;
    if (!bytes) fail("the tensor \"", name, "\" has the type ", dtype.dump(), "; F32, F64, U8, I32 and I64 are read");
    SafeTensor t{.dtype = dtype.get<std::string>()};
    if (!shape.is_array()) fail("the shape of the tensor \"", name, "\" is not a list");
    for (const auto& side : shape) {
      if (!side.is_number_unsigned() || side.get<std::uint64_t>() > std::uint64_t(std::numeric_limits<Index>::max()))
        fail("the tensor \"", name, "\" has a side of ", side.dump());
      t.shape.push_back(side.get<Index>());
    }
    if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned())
      fail("the place of the tensor \"", name, "\" is not two numbers");
    const Extent e{offsets[0].get<std::uint64_t>(), offsets[1].get<std::uint64_t>()};
    if (e.begin > e.end || e.end > data_.size()) fail("the tensor \"", name, "\" lies at ", e.begin, " to ", e.end, " of ", data_.size(), " bytes");
    if (t.count() < 0 || e.end - e.begin != std::uint64_t(t.count()) * bytes)
      fail("the tensor \"", name, "\" has ", e.end - e.begin, " bytes, which is not what its shape and type make");
    t.data.resize(std::size_t(e.end - e.begin));
    if (!t.data.empty()) std::memcpy(t.data.data(), data_.data() + e.begin, t.data.size());
    extents_.push_back(e);
    return t;
  }

  /// The tensors fill the data, without gaps and overlaps.
  void layout() {
    std::sort(extents_.begin(), extents_.end(), [](Extent a, Extent b) { return a.begin != b.begin ? a.begin < b.begin : a.end < b.end; });
    std::uint64_t end = 0;
    for (const Extent e : extents_) {
      if (e.begin != end) fail("its tensors ", e.begin < end ? "overlap" : "leave a gap", " at byte ", std::min(e.begin, end), " of the data");
      end = e.end;
    }
    if (end != data_.size()) fail("its tensors have ", end, " bytes and the file has ", data_.size(), " for them");
  }

  /// A file of ours has the right checksum, which is taken out of the metadata; somebody else's is left as it is.
  void verify(std::map<std::string, std::string>& metadata) const {
    const bool signed_by_us = metadata.contains("written_by") && metadata["written_by"] == "lamina";
    const bool begins_as_ours = bytes_.substr(length_bytes).starts_with(our_header);
    if (!signed_by_us && !begins_as_ours) return;
    if (!signed_by_us || !begins_as_ours || bytes_.size() < head_bytes || bytes_.substr(checksum_at, no_checksum.size()) != checksum(bytes_))
      fail("its checksum is not that of its bytes");
    metadata.erase("checksum"), metadata.erase("written_by");
  }

  std::string_view bytes_, data_;
  const std::string& path_;
  std::vector<Extent> extents_;
};
}  // namespace detail

/// The bytes of a file that holds `file`, a function of its contents alone. The data begin at a multiple of 64 bytes and go by the size of a number, the largest
/// first, then by name. The metadata get a "checksum" (of all bytes, its own digits read as 0) and "written_by". Throws Error on text that is not UTF-8.
inline std::string safetensors_bytes(const SafeTensors& file) {
  std::vector<const std::pair<const std::string, SafeTensor>*> order;
  for (const auto& t : file.tensors) {
    if (t.second.count() < 0 || t.second.data.size() != std::size_t(t.second.count()) * detail::bytes_of(t.second.dtype))
      throw Error("the tensor \"", t.first, "\" of type ", t.second.dtype, " does not hold the numbers that its shape says: fill it with put()");
    order.push_back(&t);
  }
  std::stable_sort(order.begin(), order.end(), [](auto* a, auto* b) { return detail::bytes_of(a->second.dtype) > detail::bytes_of(b->second.dtype); });
  nlohmann::json tensors = nlohmann::json::object(), metadata = file.metadata;
  std::size_t end = 0;
  for (const auto* t : order) {
    const std::size_t begin = end;
    end += t->second.data.size();
    tensors[t->first] = {{"dtype", t->second.dtype}, {"shape", t->second.shape}, {"data_offsets", {begin, end}}};
  }
  metadata.erase("checksum");
  metadata["written_by"] = "lamina";

  std::string header(detail::our_header);
  try {
    header += std::string(detail::no_checksum) + "\"," + metadata.dump().substr(1);
    header += tensors.empty() ? "}" : "," + tensors.dump().substr(1);
  } catch (const nlohmann::json::type_error&) {
    throw Error("a name or a text of the metadata is not UTF-8, and a safetensors file takes no other: rename it");
  }
  header.resize((detail::length_bytes + header.size() + 63) / 64 * 64 - detail::length_bytes, ' ');
  const std::uint64_t length = header.size();
  std::string bytes(detail::length_bytes, '\0');
  std::memcpy(bytes.data(), &length, detail::length_bytes);
  bytes.reserve(bytes.size() + header.size() + end);
  bytes += header;
  for (const auto* t : order) if (!t->second.data.empty()) bytes.append(reinterpret_cast<const char*>(t->second.data.data()), t->second.data.size());
  return bytes.replace(detail::checksum_at, detail::no_checksum.size(), detail::checksum(bytes));
}

/// The inverse. Files of others, which have no such checksum, are read too. Throws Error, with `path` in its sentence, on anything that is not as it should be.
inline SafeTensors parse_safetensors(std::string_view bytes, const std::string& path) { return detail::SafeTensorsReader(bytes, path).read(); }

/// Throws Error if the file cannot be read, or is damaged at any byte.
inline SafeTensors read_safetensors(const std::filesystem::path& path) { return parse_safetensors(read_file_whole(path), path.string()); }

/// Throws Error if the file cannot be written whole; then the version before is untouched.
inline void write_safetensors(const std::filesystem::path& path, const SafeTensors& file, WriteOptions options = {}) {
  write_file_whole(path, safetensors_bytes(file), options);
}

}  // namespace lamina
