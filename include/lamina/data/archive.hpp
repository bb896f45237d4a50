/// A file that many samples lie in, of which each is read by itself.
#pragma once
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <new>
#include <vector>

#include "../core/descriptor.hpp"
#include "../core/error.hpp"

namespace lamina {

/// It is opened anew for each range, so that any number of them may be known at once, and has to stay the file that it was in the beginning.
class Archive {
 public:
  /// Throws Error if there is no such file or it cannot be read.
  [[gnu::cold]] explicit Archive(const std::filesystem::path& path) : path_(path.string()) {
    struct ::stat about = {};
    const detail::Descriptor file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));    // a pipe opens at once
    if (!file.open() && errno == ENOENT) throw Error("there is no file ", path_, ": check the path");
    if (!file.open() || ::fstat(file.number(), &about) != 0) refuse(errno);
    if (!S_ISREG(about.st_mode)) throw Error(path_, " is not a regular file: give the path of a file");
    mark_ = mark(about);
  }

  const std::string& path() const { return path_; }
  std::uint64_t bytes() const { return mark_.bytes; }
  /// When it was written last, in nanoseconds since 1970.
  std::int64_t modified() const { return mark_.modified; }
  /// Whether both are one file, whatever their paths.
  bool same_file(const Archive& other) const { return mark_ == other.mark_; }

  /// The file, open and unchanged. Throws Error if it is another now.
  detail::Descriptor open() const {
    detail::Descriptor file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file.open()) refuse(errno);
    require_unchanged(file.number());
    return file;
  }

  /// Bytes [offset, offset + n) of it. Throws Error if they cannot be read or are no longer those of the beginning.
  std::vector<std::uint8_t> read(std::uint64_t offset, std::uint64_t n) const {
    if (n > bytes() || offset > bytes() - n) throw Error("the file ", path_, " has ", bytes(), " bytes, and ", n, " from byte ", offset, " on were asked for: index it again");
    std::vector<std::uint8_t> y = room(n);
    const detail::Descriptor file = open();
    if (read_up_to(file.number(), y.data(), y.size(), offset) != y.size()) throw changed();
    require_unchanged(file.number());                                              // what was written while it was read shows in the time
    return y;
  }

  /// As many of the n bytes from `offset` on as there are, from the file that open() gave.
  std::size_t read_up_to(int number, std::uint8_t* y, std::size_t n, std::uint64_t offset) const {
    const ::ssize_t have = detail::read_up_to(number, y, n, offset);
    if (have < 0) refuse(errno);
    return std::size_t(have);
  }

 private:
  struct Mark {
    std::uint64_t file = 0, device = 0, bytes = 0;
    std::int64_t modified = 0;
    bool operator==(const Mark&) const = default;
  };
  static Mark mark(const struct ::stat& s) {
    return {std::uint64_t(s.st_ino), std::uint64_t(s.st_dev), std::uint64_t(s.st_size), std::int64_t(s.st_mtim.tv_sec) * 1'000'000'000 + s.st_mtim.tv_nsec};
  }
  void require_unchanged(int number) const {
    struct ::stat about = {};
    if (::fstat(number, &about) != 0) refuse(errno);
    if (mark(about) != mark_) throw changed();
  }
  [[gnu::cold]] Error changed() const { return Error("the file ", path_, " was changed or replaced while it was in use: leave it as it is until the training ends, and start again"); }
  [[noreturn, gnu::cold]] void refuse(int error) const {
    detail::require_enough(error, path_);
    throw Error("the file ", path_, " cannot be read (", std::generic_category().message(error), "): check that it is there, may be read by this user, and the disk");
  }
  std::vector<std::uint8_t> room(std::uint64_t n) const try {
    return std::vector<std::uint8_t>(std::size_t(n));
  } catch (const std::bad_alloc&) {
    throw Shortage("there is no memory for ", n, " bytes of the file ", path_, ": take fewer threads, or end other programs");
  }

  std::string path_;
  Mark mark_;
};

}  // namespace lamina
