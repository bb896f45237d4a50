/// File descriptors, and what is done with them by whoever writes a file whole: locks, writes to the end, the words for what fails.
#pragma once
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "error.hpp"

namespace lamina::detail {

/// A file descriptor that is closed when it goes.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() { close(); }
  int number() const { return number_; }
  bool open() const { return number_ >= 0; }
  /// 0, or -1 with errno: some file systems tell only here that a write failed.
  int close() {
    const int n = std::exchange(number_, -1);
    return n < 0 ? 0 : ::close(n);
  }

 private:
  int number_;
};

/// What the system calls an error, and what to do about it.
[[gnu::cold]] inline std::string error_text(int error) {
  std::string s = std::generic_category().message(error);
  switch (error) {
    case ENOSPC: case EDQUOT: return s + ": free some space there, or give another folder";
    case EFBIG: return s + ": a limit on the size of files is set (ulimit -f), or the file system has one";
    case EACCES: case EPERM: case EROFS: return s + ": change the permissions, or give another folder";
    case ENOENT: case ENOTDIR: return s + ": check the path and make its folder first";
    case EWOULDBLOCK: return "another program is writing it: wait until it is done, or give another name";
    case ENXIO: return "it is a pipe or a device: take it away, or give another name";
    case ENAMETOOLONG: return s + ": give it a shorter one";
    default: return s + ": check the disk";
  }
}

/// Throws Shortage if that is why a file could not be opened.
[[gnu::cold]] inline void require_enough(int error, std::string_view path) {
  if (error == EMFILE || error == ENFILE || error == ENOMEM)
    throw Shortage("the file ", path, " cannot be opened (", std::generic_category().message(error), "): take fewer threads, or raise that limit (ulimit -n)");
}

/// As many of the n bytes from `offset` on as there are; -1 with errno if they cannot be read.
inline ::ssize_t read_up_to(int descriptor, void* to, std::size_t n, std::uint64_t offset) {
  std::size_t have = 0;
  while (have < n) {
    const ::ssize_t got = ::pread(descriptor, static_cast<char*>(to) + have, n - have, static_cast<::off_t>(offset + have));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    have += std::size_t(got);
  }
  return ::ssize_t(have);
}

/// While this lives a write beyond the limit on the size of files (ulimit -f) fails in this thread with EFBIG, as a full disk does with ENOSPC. By default its signal ends the process.
class LimitsAreErrors {
 public:
  LimitsAreErrors() {
    sigemptyset(&signal_), sigaddset(&signal_, SIGXFSZ);
    ::pthread_sigmask(SIG_BLOCK, &signal_, &before_);
  }
  LimitsAreErrors(const LimitsAreErrors&) = delete;
  ~LimitsAreErrors() {
    if (sigismember(&before_, SIGXFSZ)) return;
    const int error = errno;
    const ::timespec at_once{};
    while (::sigtimedwait(&signal_, nullptr, &at_once) < 0 && errno == EINTR) {}      // what has come of it would end the process now
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    errno = error;
  }

 private:
  ::sigset_t signal_, before_;
};

inline bool write_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ::ssize_t n = ::write(descriptor, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

/// Opens `path` to write to it alone: it is locked, and it is still the file of that name. `wait`: until whoever has it lets it go. -1 with errno if it cannot be had.
[[gnu::cold]] inline int open_locked(const char* path, bool wait = false) {
  for (;;) {
    const int descriptor = ::open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (descriptor < 0) return -1;
    struct ::stat opened = {}, named = {};
    int locked;
    do locked = ::flock(descriptor, wait ? LOCK_EX : LOCK_EX | LOCK_NB);
    while (locked != 0 && errno == EINTR);
    const bool ours = locked == 0;
    if (ours && ::fstat(descriptor, &opened) == 0 && ::stat(path, &named) == 0 && opened.st_ino == named.st_ino && opened.st_dev == named.st_dev)
      return descriptor;
    const int error = errno;
    ::close(descriptor);
    if (!ours) return errno = error, -1;
  }
}

/// The entries of a folder reach the disk; file systems that have no such thing say EINVAL.
inline bool sync_folder(const std::filesystem::path& folder) {
  const Descriptor d(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return d.open() && (::fsync(d.number()) == 0 || errno == EINVAL || errno == ENOTSUP);
}

}  // namespace lamina::detail
