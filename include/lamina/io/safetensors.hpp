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

#include "file.hpp"
#include "json.hpp"

namespace lamina {

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian, and so must the machine be");

namespace detail {
inline constexpr std::pair<std::string_view, std::size_t> number_types[] = {{"F32", 4}, {"F64", 8}, {"U8", 1}, {"I32", 4}, {"I64", 8}};

/// Bytes of one number, or 0 for a type that is not read.
[[gnu::cold]] inline std::size_t bytes_of(std::string_view dtype) {
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
  template <class T> [[gnu::cold]] std::vector<T> as() const {
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
  [[gnu::cold]] const SafeTensor& at(const std::string& name) const {
    const auto found = tensors.find(name);
    if (found == tensors.end())
      throw Error(path.empty() ? "" : path + ": ", "there is no tensor \"", name, "\" among the ", tensors.size(), " here: it is a file of something else");
    return found->second;
  }

  /// Adds the product of `shape` many numbers from `numbers`. Throws Error if the name is taken or a side is negative.
  template <class T> [[gnu::cold]] void put(const std::string& name, std::vector<Index> shape, const T* numbers) {
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

/// A 64-bit hash of the bytes of a file, in parts: one accumulator of xxHash64 (github.com/Cyan4973/xxHash) over words of eight bytes, the last filled up with zeros, then the length and the final
/// mixing. Each step can be undone, so that damage within one word always shows; other damage is missed once in 2^64.
class Checksum {
 public:
  void add(std::string_view bytes) {
    length_ += bytes.size();
    while (!bytes.empty()) {
      const std::size_t n = std::min(sizeof word_ - filled_, bytes.size());
      if (n == sizeof word_) std::memcpy(&word_, bytes.data(), sizeof word_);           // a single load
      else std::memcpy(reinterpret_cast<char*>(&word_) + filled_, bytes.data(), n);
      bytes.remove_prefix(n);
      if ((filled_ += n) == sizeof word_) mix();
    }
  }
  /// Sixteen hexadecimal ones.
  std::string digits() {
    if (filled_) mix();
    std::uint64_t h = hash_ ^ length_ * p3;
    h = (h ^ (h >> 33)) * p2;
    h = (h ^ (h >> 29)) * p3;
    h ^= h >> 32;
    std::string text;
    for (int shift = 60; shift >= 0; shift -= 4) text += "0123456789abcdef"[h >> shift & 15];
    return text;
  }

 private:
  static constexpr std::uint64_t p1 = 0x9E3779B185EBCA87, p2 = 0xC2B2AE3D27D4EB4F, p3 = 0x165667B19E3779F9;
  void mix() { hash_ = std::rotl(hash_ + word_ * p2, 31) * p1, word_ = filled_ = 0; }
  std::uint64_t hash_ = p1 + p2, word_ = 0, length_ = 0;
  std::size_t filled_ = 0;                // bytes of the word
};
/// Of a file of at least 64 bytes, the digits of its own checksum read as 0.
inline std::string checksum_of(std::string_view bytes) {
  std::string head(bytes.substr(0, head_bytes));
  head.replace(checksum_at, no_checksum.size(), no_checksum);
  Checksum sum;
  sum.add(head), sum.add(bytes.substr(head_bytes));
  return sum.digits();
}

/// Reads one header.
class SafeTensorsReader {
 public:
  SafeTensorsReader(std::string_view bytes, const std::string& path) : bytes_(bytes), path_(path) {}

  [[gnu::cold]] SafeTensors read() {
    SafeTensors file{.path = path_};
    const Json entries = parse(header());
    if (!entries.is(Json::Kind::object)) fail({"its header is not a JSON object"});
    const Json* const metadata = entries.find("__metadata__");
    for (const Json& entry : entries.items) {
      const bool is_metadata = entry.key == "__metadata__";
      if (is_metadata ? &entry != metadata : file.tensors.contains(entry.key)) fail({"its header says \"", entry.key, "\" twice"});
      if (is_metadata) read_metadata(entry, file.metadata);
      else file.tensors.emplace(entry.key, tensor(entry));
    }
    layout();
    verify(file.metadata);
    return file;
  }

 private:
  [[noreturn, gnu::cold, gnu::noinline]] void fail(std::initializer_list<Part> parts) const {
    throw Error(path_, " is damaged or no safetensors file: ", sentence(parts), "; use another copy");
  }

  /// The text of the header; what comes after it are the data.
  [[gnu::cold]] std::string_view header() {
    std::uint64_t length = 0;
    if (bytes_.size() < length_bytes) fail({"it has ", bytes_.size(), " bytes, fewer than the length of a header"});
    std::memcpy(&length, bytes_.data(), length_bytes);
    if (length > largest_header || length > bytes_.size() - length_bytes) fail({"its header would have ", length, " bytes and the file has ", bytes_.size()});
    data_ = bytes_.substr(length_bytes + std::size_t(length));
    return bytes_.substr(length_bytes, std::size_t(length));
  }
  [[gnu::cold]] Json parse(std::string_view header) const try {
    return parse_json(header);
  } catch (const Error& e) {
    fail({"its header ", e.what()});
  }

  [[gnu::cold]] void read_metadata(const Json& entry, std::map<std::string, std::string>& metadata) const {
    if (!entry.is(Json::Kind::object)) fail({"its metadata is not a JSON object"});
    for (const Json& item : entry.items) {
      if (!item.is(Json::Kind::text)) fail({"its metadata \"", item.key, "\" is not text"});
      if (!metadata.emplace(item.key, item.text).second) fail({"its header says \"", item.key, "\" twice"});
    }
  }

  [[gnu::cold]] SafeTensor tensor(const Json& entry) {
    const std::string& name = entry.key;
    const auto field = [&](const char* key) -> const Json& {
      const Json* const found = entry.find(key);
      if (!found) fail({"the tensor \"", name, "\" has no ", key});
      return *found;
    };
    const Json &dtype = field("dtype"), &shape = field("shape"), &offsets = field("data_offsets");
    if (entry.items.size() != 3) fail({"the tensor \"", name, "\" has more fields than dtype, shape and data_offsets"});
    const std::size_t bytes = dtype.is(Json::Kind::text) ? bytes_of(dtype.text) : 0;
    if (!bytes) fail({"the tensor \"", name, "\" has the type ", dtype.written(), "; F32, F64, U8, I32 and I64 are read"});
    SafeTensor t{.dtype = dtype.text};
    if (!shape.is(Json::Kind::array)) fail({"the shape of the tensor \"", name, "\" is not a list"});
    for (const Json& side : shape.items) {
      if (!side.is(Json::Kind::natural) || side.natural > std::uint64_t(std::numeric_limits<Index>::max()))
        fail({"the tensor \"", name, "\" has a side of ", side.written()});
      t.shape.push_back(Index(side.natural));
    }
    if (!offsets.is(Json::Kind::array) || offsets.items.size() != 2 || !offsets.items[0].is(Json::Kind::natural) || !offsets.items[1].is(Json::Kind::natural))
      fail({"the place of the tensor \"", name, "\" is not two numbers"});
    const std::uint64_t begin = offsets.items[0].natural, end = offsets.items[1].natural;
    if (begin > end || end > data_.size()) fail({"the tensor \"", name, "\" lies at ", begin, " to ", end, " of ", data_.size(), " bytes"});
    if (t.count() < 0 || end - begin != std::uint64_t(t.count()) * bytes)
      fail({"the tensor \"", name, "\" has ", end - begin, " bytes, which is not what its shape and type make"});
    t.data.resize(std::size_t(end - begin));
    if (!t.data.empty()) std::memcpy(t.data.data(), data_.data() + begin, t.data.size());
    extents_.insert({begin, end});
    return t;
  }

  /// The tensors fill the data, without gaps and overlaps.
  [[gnu::cold]] void layout() {
    std::uint64_t end = 0;
    for (const auto& [begin, until] : extents_) {
      if (begin != end) fail({"its tensors ", begin < end ? "overlap" : "leave a gap", " at byte ", std::min(begin, end), " of the data"});
      end = until;
    }
    if (end != data_.size()) fail({"its tensors have ", end, " bytes and the file has ", data_.size(), " for them"});
  }

  /// A file of ours has the right checksum, which is taken out of the metadata; somebody else's is left as it is.
  [[gnu::cold]] void verify(std::map<std::string, std::string>& metadata) const {
    const auto signature = metadata.find("written_by");
    const bool signed_by_us = signature != metadata.end() && signature->second == "lamina", begins_as_ours = bytes_.substr(length_bytes).starts_with(our_header);
    if (!signed_by_us && !begins_as_ours) return;
    if (!signed_by_us || !begins_as_ours || bytes_.size() < head_bytes || bytes_.substr(checksum_at, no_checksum.size()) != checksum_of(bytes_))
      fail({"its checksum is not that of its bytes"});
    metadata.erase(signature);
    metadata.erase(metadata.find("checksum"));             // it is there: so begins a header of ours
  }

  std::string_view bytes_, data_;
  const std::string& path_;
  std::multiset<std::pair<std::uint64_t, std::uint64_t>> extents_;    // begin and end in the data, in order
};
}  // namespace detail

namespace detail {
/// The bytes of a file: what comes before the data, and where these are.
struct SafeTensorsParts {
  std::string head;
  std::vector<std::string_view> data;
};
[[gnu::cold]] inline SafeTensorsParts safetensors_parts(const SafeTensors& file) {
  for (const auto& [name, t] : file.tensors)
    if (t.count() < 0 || t.data.size() != std::size_t(t.count()) * bytes_of(t.dtype))
      throw Error("the tensor \"", name, "\" of type ", t.dtype, " does not hold the numbers that its shape says: fill it with put()");
  std::vector<const std::pair<const std::string, SafeTensor>*> in_order;
  for (const std::size_t bytes : {8u, 4u, 1u})
    for (const auto& entry : file.tensors) if (bytes_of(entry.second.dtype) == bytes) in_order.push_back(&entry);

  std::string header = sentence({our_header, no_checksum, "\""});
  std::size_t end = 0;
  try {
    for (const auto& [key, value] : file.metadata)
      if (key != "checksum" && key != "written_by") header += sentence({",", json_text(key), ":", json_text(value)});
    header += R"(,"written_by":"lamina"})";
    for (const auto* entry : in_order) {
      const auto& [name, t] = *entry;
      header += sentence({",", json_text(name), R"(:{"data_offsets":[)", end, ",", end + t.data.size(), R"(],"dtype":")", t.dtype, R"(","shape":[)"});
      for (std::size_t i = 0; i < t.shape.size(); ++i) header += sentence({i ? "," : "", t.shape[i]});
      header += "]}";
      end += t.data.size();
    }
    header += '}';
  } catch (const Error&) {
    throw Error("a name or a text of the metadata is not UTF-8, and a safetensors file takes no other: rename it");
  }
  header.resize((length_bytes + header.size() + 63) / 64 * 64 - length_bytes, ' ');
  const std::uint64_t length = header.size();
  SafeTensorsParts parts{std::string(length_bytes, '\0') + header, {}};
  std::memcpy(parts.head.data(), &length, length_bytes);
  Checksum sum;
  sum.add(parts.head);
  for (const auto* entry : in_order) sum.add(parts.data.emplace_back(reinterpret_cast<const char*>(entry->second.data.data()), entry->second.data.size()));
  parts.head.replace(checksum_at, no_checksum.size(), sum.digits());
  return parts;
}
}  // namespace detail

/// The bytes of a file that holds `file`, a function of its contents alone. The data begin at a multiple of 64 bytes and go by the size of a number, the largest
/// first, then by name. The metadata get a "checksum" (of all bytes, its own digits read as 0) and "written_by". Throws Error on text that is not UTF-8.
[[gnu::cold]] inline std::string safetensors_bytes(const SafeTensors& file) {
  auto [bytes, data] = detail::safetensors_parts(file);
  for (const std::string_view part : data) bytes += part;
  return bytes;
}

/// The inverse. Files of others, which have no such checksum, are read too. Throws Error, with `path` in its sentence, on anything that is not as it should be.
inline SafeTensors parse_safetensors(std::string_view bytes, const std::string& path) { return detail::SafeTensorsReader(bytes, path).read(); }

/// Throws Error if the file cannot be read, or is damaged at any byte.
inline SafeTensors read_safetensors(const std::filesystem::path& path) { return parse_safetensors(read_file_whole(path), path.string()); }

/// Throws Error if the file cannot be written whole; then the version before is untouched.
inline void write_safetensors(const std::filesystem::path& path, const SafeTensors& file, WriteOptions options = {}) {
  auto [head, parts] = detail::safetensors_parts(file);
  parts.insert(parts.begin(), head);
  write_file_whole(path, parts, options);
}

}  // namespace lamina
