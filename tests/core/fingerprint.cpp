#include <doctest/doctest.h>
#include <lamina/core/fingerprint.hpp>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

using lamina::Fingerprint;

TEST_CASE("a fingerprint is that of the numbers, to their last bit, and of their order") {
  CHECK(Fingerprint().add(1, 2.5).value() == Fingerprint().add(1).add(2.5).value());
  CHECK(Fingerprint().add(1, 2).value() != Fingerprint().add(2, 1).value());
  CHECK(Fingerprint().add(3e-3).value() != Fingerprint().add(std::nextafter(3e-3, 1.0)).value());
  CHECK(Fingerprint().add(0).value() != Fingerprint().add(0, 0).value());
  CHECK(Fingerprint().add(0.0).value() != Fingerprint().add(-0.0).value());
  CHECK(Fingerprint().add(true, 'a').value() != Fingerprint().add(false, 'a').value());
}

TEST_CASE("every bit and the number of bytes count, and where they lie does not") {
  std::vector<unsigned char> bytes(29), other(30);
  const auto of = [](const unsigned char* p, std::size_t n) { return Fingerprint().add_bytes(p, n).value(); };
  std::set<std::uint64_t> seen;
  for (std::size_t n = 0; n <= bytes.size(); ++n) seen.insert(of(bytes.data(), n));
  CHECK(seen.size() == 30);
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] ^= static_cast<unsigned char>(1u << bit % 8);
    std::copy(bytes.begin(), bytes.end(), other.begin() + 1);
    CHECK(of(bytes.data(), 29) == of(other.data() + 1, 29));
    seen.insert(of(bytes.data(), 29));
    bytes[bit / 8] ^= static_cast<unsigned char>(1u << bit % 8);
  }
  CHECK(seen.size() == 30 + 8 * 29);
}
