/// A number that says whether two things are the same, for ranks that cannot look at each other's.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace lamina {

/// Of numbers, by their exact bits, and of bytes, in the order in which they are added: another value means something else, the same one the same but for a chance of about 2^-64. Eight bytes at a
/// time, each step the finalizer of SplitMix64 (Steele et al. 2014), so no change cancels another. Values hold for one byte order.
class Fingerprint {
 public:
  template <class... Numbers> requires (... && (std::is_arithmetic_v<Numbers> || std::is_enum_v<Numbers>)) Fingerprint& add(Numbers... v) { return (one(v), ..., *this); }
  Fingerprint& add_bytes(const void* data, std::size_t bytes) {
    const auto* const from = static_cast<const unsigned char*>(data);
    std::size_t i = 0;
    for (std::uint64_t word; i + sizeof word <= bytes; i += sizeof word) std::memcpy(&word, from + i, sizeof word), mix(word);
    std::uint64_t rest = 0;
    if (i < bytes) std::memcpy(&rest, from + i, bytes - i);
    mix(rest), mix(bytes);
    return *this;
  }
  std::uint64_t value() const { return value_; }

 private:
  template <class N> void one(N v) {
    std::uint64_t word = 0;
    if constexpr (std::is_floating_point_v<N>) word = std::bit_cast<std::uint64_t>(double(v));
    else word = static_cast<std::uint64_t>(v);
    mix(word);
  }
  void mix(std::uint64_t word) {
    std::uint64_t z = (value_ ^ word) + 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    value_ = z ^ z >> 31;
  }

  std::uint64_t value_ = 0;
};

}  // namespace lamina
