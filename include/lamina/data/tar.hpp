/// The members of a tar archive: ustar (POSIX.1-1988), pax (POSIX.1-2001) and what GNU tar adds.
#pragma once
#include <charconv>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "archive.hpp"

namespace lamina::detail {

/// A file in an archive, or a folder.
struct TarMember {
  std::string name;                    // "class/name.jpg", without what means nothing in "./class/./name.jpg"
  bool folder = false;
  std::uint64_t offset = 0, bytes = 0;
};

/// Goes through the headers of an archive once; what the members hold is passed over.
class TarReader {
 public:
  [[gnu::cold]] explicit TarReader(std::shared_ptr<const Archive> archive) : archive_(std::move(archive)), file_(archive_->open()) {}

  /// The next file or folder, or false at the end; links, devices and global headers are passed over. Throws Error, with the path and the place, if the archive is damaged,
  /// cut off, compressed, or has parts that cannot be read by themselves.
  bool next(TarMember& member) {
    std::string name;                                                               // by the headers before that of the member
    std::uint64_t extended = 0;
    bool sized = false;
    for (;;) {
      const std::uint8_t* const h = at(at_, block, false);
      if (!h) throw cut_off();
      if (std::all_of(h, h + block, [](std::uint8_t b) { return b == 0; })) return end(), false;
      if (at_ == 0) require_plain(h);
      require_checksum(h);
      const char kind = char(h[156]);
      std::uint64_t bytes = number(h + 124, 12);
      const bool known = kind == '\0' || kind == '0' || kind == '7', without = kind >= '1' && kind <= '6';
      if ((known || without) && sized) bytes = extended;
      if (without) bytes = 0;                                                       // whatever their size is said to be
      const std::uint64_t begin = at_ + block, room = archive_->bytes() - begin;
      if (bytes > room || (block - bytes % block) % block > room - bytes) throw cut_off();
      if (kind == 'L' || kind == 'x') {
        if (bytes > (1 << 20)) throw damaged("a header has a name that is too long");
        const auto* const text = reinterpret_cast<const char*>(at(begin, std::size_t(bytes), true));
        if (kind == 'L') name.assign(text, ::strnlen(text, std::size_t(bytes)));
        else read_records({text, std::size_t(bytes)}, name, extended, sized);
      } else if (kind == 'S' || kind == 'M') {
        throw Error("the archive ", archive_->path(), " holds ", plain(name.empty() ? name_of(h) : name),
                    kind == 'S' ? " with its holes left out" : " in part, the rest is in another volume", ": pack it again, without --sparse and in one piece");
      }
      at_ = begin + (bytes + block - 1) / block * block;
      if (known || kind == '5') {
        if (name.empty()) name = name_of(h);
        const bool folder = kind == '5' || name.ends_with('/');                     // as before POSIX
        member = {plain(std::move(name)), folder, begin, bytes};
        return true;
      }
      if (kind != 'L' && kind != 'x' && kind != 'K' && kind != 'g') name.clear(), sized = false;    // a link or a device takes the headers before it along
    }
  }

  /// The bytes of a small member that next() has just told of.
  std::string_view text(const TarMember& m) { return {reinterpret_cast<const char*>(at(m.offset, std::size_t(m.bytes), true)), std::size_t(m.bytes)}; }

 private:
  static constexpr std::size_t block = 512;

  /// Bytes [offset, offset + n) of the archive, or null (`required`: Error) where it ends before; a few more than are asked for are read ahead.
  const std::uint8_t* at(std::uint64_t offset, std::size_t n, bool required) {
    if (offset < first_ || offset + n > first_ + have_) {
      if (buffer_.size() < n + 4 * block) buffer_.resize(n + 4 * block);
      first_ = offset, have_ = archive_->read_up_to(file_.number(), buffer_.data(), buffer_.size(), offset);
    }
    if (n <= have_ - std::size_t(offset - first_)) return buffer_.data() + (offset - first_);
    if (required) throw cut_off();
    return nullptr;
  }

  [[gnu::cold]] Error damaged(const char* why) const {
    if (at_ == 0) return Error(archive_->path(), " is no tar archive, or is damaged from the start (", why, "): give an archive that tar made");
    return Error("the archive ", archive_->path(), " is damaged at byte ", at_, " (", why, "): copy it again, or pack it again with tar --format=pax");
  }
  [[gnu::cold]] Error cut_off() const { return Error("the archive ", archive_->path(), " ends too soon, in the member at byte ", at_, ": it was not copied whole, copy it again"); }

  /// After the blocks of zeros that are the end nothing but zeros may come.
  [[gnu::cold]] void end() {
    for (std::uint64_t offset = at_, n = 0; offset < archive_->bytes(); offset += n) {
      n = std::min<std::uint64_t>(archive_->bytes() - offset, 8 * block);
      const std::uint8_t* const b = at(offset, std::size_t(n), true);
      if (std::any_of(b, b + n, [](std::uint8_t v) { return v != 0; }))
        throw Error("the archive ", archive_->path(), " goes on after its end, which is at byte ", at_, ": if archives were joined, give each as a file of its own");
    }
  }
  [[gnu::cold]] void require_plain(const std::uint8_t* h) const {
    const auto begins = [&](std::string_view s) { return std::memcmp(h, s.data(), s.size()) == 0; };
    if (begins("\x1f\x8b") || begins("BZh") || begins("\xfd" "7zXZ") || begins("\x28\xb5\x2f\xfd"))
      throw Error("the archive ", archive_->path(),
                  " is compressed, and its pictures cannot be read one by one: unpack it once (gunzip, bunzip2, unxz or unzstd); pictures are small as they are");
  }
  /// The sum of the bytes of the header, its own field taken for spaces; old programs added them up as signed.
  void require_checksum(const std::uint8_t* h) const {
    std::int64_t sum = 8 * ' ', with_signs = sum;
    for (std::size_t i = 0; i < block; ++i)
      if (i < 148 || i >= 156) sum += h[i], with_signs += static_cast<std::int8_t>(h[i]);
    const auto said = std::int64_t(number(h + 148, 8));
    if (said != sum && said != with_signs) throw damaged("a header has a wrong checksum");
  }

  /// Octal digits, or from the second bit on the number itself (GNU: base 256).
  std::uint64_t number(const std::uint8_t* field, int n) const {
    std::uint64_t v = 0;
    if (field[0] & 0x80) {
      v = field[0] & 0x7f;
      for (int i = 1; i < n; ++i) {
        if (v >> 55) throw damaged("a header has a size that is negative or too large");
        v = v << 8 | field[i];
      }
      return v;
    }
    int i = 0;
    while (i < n && field[i] == ' ') ++i;
    for (; i < n && field[i] >= '0' && field[i] <= '7'; ++i) v = v << 3 | std::uint64_t(field[i] - '0');
    if (i < n && field[i] != ' ' && field[i] != '\0') throw damaged("a number in a header is none");
    return v;
  }

  /// Of the header itself; POSIX, and not GNU, has the folders of a long one in a field apart.
  static std::string name_of(const std::uint8_t* h) {
    const auto field = [&](std::size_t at, std::size_t n) { return std::string(reinterpret_cast<const char*>(h + at), ::strnlen(reinterpret_cast<const char*>(h + at), n)); };
    const std::string name = field(0, 100);
    return std::memcmp(h + 257, "ustar", 6) == 0 && h[345] ? field(345, 155) + "/" + name : name;
  }
  /// Without parts that are empty or ".".
  static std::string plain(std::string name) {
    std::size_t to = 0;
    for (std::size_t from = 0, end; from < name.size(); from = end + 1) {
      end = std::min(name.find('/', from), name.size());
      const std::size_t n = end - from;
      if (n == 0 || (n == 1 && name[from] == '.')) continue;
      if (to) name[to++] = '/';
      std::memmove(name.data() + to, name.data() + from, n);
      to += n;
    }
    name.resize(to);
    return name;
  }

  /// Records "length key=value\n" of a pax header.
  [[gnu::cold]] void read_records(std::string_view text, std::string& name, std::uint64_t& bytes, bool& sized) const {
    while (!text.empty()) {
      std::size_t length = 0;
      const auto [digits_end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
      const std::size_t digits = std::size_t(digits_end - text.data()) + 1;         // and a space
      if (error != std::errc() || length > text.size() || length <= digits || text[digits - 1] != ' ' || text[length - 1] != '\n') throw damaged("a pax header makes no sense");
      const std::string_view record = text.substr(digits, length - digits - 1);
      const std::size_t equals = record.find('=');
      if (equals == record.npos) throw damaged("a pax header makes no sense");
      const std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
      if (key == "path") name = value;
      if (key == "size") {
        const auto [end, wrong] = std::from_chars(value.data(), value.data() + value.size(), bytes);
        if (wrong != std::errc() || end != value.data() + value.size()) throw damaged("a pax header has a size that is no number");
        sized = true;
      }
      if (key.starts_with("GNU.sparse."))
        throw Error("the archive ", archive_->path(), " holds a file with its holes left out, at byte ", at_, ": pack it again, without --sparse");
      text.remove_prefix(length);
    }
  }

  std::shared_ptr<const Archive> archive_;
  Descriptor file_;
  std::uint64_t at_ = 0;                    // where the next header begins
  std::vector<std::uint8_t> buffer_;
  std::uint64_t first_ = 0;                 // of the archive: what is in the buffer
  std::size_t have_ = 0;
};

}  // namespace lamina::detail
