/// Files that are read and written whole, and the lock of a folder that one run works in.
#pragma once
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <thread>

#include "../core/descriptor.hpp"
#include "../core/error.hpp"

namespace lamina {

namespace detail {
/// Whether a process goes on. One that was killed exists, with its locks, until its memory is given back: SIGKILL is among its pending signals (bit 8), then it is
/// marked as ending (PF_EXITING, 4), and in the end it is a zombie. See proc(5): fields 31, 9 and 3 of /proc/<pid>/stat; the second is a name in parentheses.
[[gnu::cold]] inline bool goes_on(long pid) {
  if (pid <= 0 || (::kill(static_cast<::pid_t>(pid), 0) != 0 && errno == ESRCH)) return false;
  const Descriptor file(::open(("/proc/" + std::to_string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC));
  char bytes[2048] = {}, state = 'R';
  unsigned long flags = 0, signals = 0;
  if (file.open() && ::read(file.number(), bytes, sizeof bytes - 1) > 0)
    if (const char* name_end = std::strrchr(bytes, ')'))
      std::sscanf(name_end + 1, " %c %*s %*s %*s %*s %*s %lu"
                  " %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu", &state, &flags, &signals);
  return state != 'Z' && state != 'X' && !(flags & 4) && !(signals >> (SIGKILL - 1) & 1);
}
}  // namespace detail

/// The bytes of a file. Throws Error if it cannot be read, and of what is no file: a pipe may wait for ever, a device may never end.
[[gnu::cold]] inline std::string read_file_whole(const std::filesystem::path& path) {
  const detail::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));    // a pipe opens at once
  struct ::stat about = {};
  if (!file.open() && errno == ENOENT) throw Error("cannot read ", path, ": there is no such file; check the path");
  if (!file.open() || ::fstat(file.number(), &about) != 0) throw Error("cannot read ", path, ": ", detail::error_text(errno));
  if (S_ISDIR(about.st_mode)) throw Error("cannot read ", path.string(), ": it is a folder; give a file");
  if (!S_ISREG(about.st_mode)) throw Error("cannot read ", path.string(), ": it is a pipe, a device or a socket; give a file");
  std::string bytes(static_cast<std::size_t>(about.st_size), '\0');
  std::size_t have = 0;
  for (;;) {
    if (have == bytes.size()) bytes.resize(have + (1 << 16));                       // one more read says that this was all
    const ::ssize_t n = ::read(file.number(), bytes.data() + have, bytes.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw Error("cannot read ", path, ": ", detail::error_text(errno));
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
  }
  bytes.resize(have);
  return bytes;
}

struct WriteOptions {
  bool keep_previous = false;        // the version before this one stays as <name>.previous
};

/// Writes a file of these bytes, one part after the other, so that at any moment, a loss of power included, `path` is the old version or the new one, whole: the bytes go to <name>.partial in the same
/// folder, reach the disk, and take the name over. Throws Error if that fails (disk full, no permission, no such folder); then the old version is untouched.
[[gnu::cold]] inline void write_file_whole(const std::filesystem::path& path, std::span<const std::string_view> parts, WriteOptions options = {}) {
  const std::filesystem::path partial = path.string() + ".partial", previous = path.string() + ".previous";
  std::error_code ignored;
  const auto kind = std::filesystem::symlink_status(path, ignored).type();
  const bool exists = kind != std::filesystem::file_type::not_found && kind != std::filesystem::file_type::none;
  if (exists && kind != std::filesystem::file_type::regular && kind != std::filesystem::file_type::symlink)
    throw Error("cannot write ", path.string(), ": something that is not a file has that name; give another");

  const detail::LimitsAreErrors guard;
  const auto fail = [&](int error) { return Error("cannot write ", path, ": ", detail::error_text(error), exists ? " (the version before is untouched)" : ""); };
  detail::Descriptor file(detail::open_locked(partial.c_str()));
  if (!file.open() && (errno == EISDIR || errno == ELOOP)) throw Error("cannot write ", path, ": ", partial, " is in the way and is not a file; take it away");
  if (!file.open()) throw fail(errno);
  const auto named = [&] {
    if (options.keep_previous && exists) {
      ::unlink(previous.c_str());
      const bool kept = ::link(path.c_str(), previous.c_str()) == 0 || ::rename(path.c_str(), previous.c_str()) == 0;   // FAT has no hard links
      if (!kept) return false;
    }
    return ::rename(partial.c_str(), path.c_str()) == 0;
  };
  const auto written = [&] {
    for (const std::string_view bytes : parts) if (!detail::write_all(file.number(), bytes)) return false;
    return true;
  };
  if (::ftruncate(file.number(), 0) != 0 || !written() || ::fsync(file.number()) != 0 || !named()) {
    const int error = errno;
    ::unlink(partial.c_str());
    throw fail(error);
  }
  if (file.close() != 0 || !detail::sync_folder(path.parent_path()))
    throw Error("cannot be sure that ", path, " reached the disk: ", detail::error_text(errno));
}

inline void write_file_whole(const std::filesystem::path& path, std::string_view bytes, WriteOptions options = {}) { write_file_whole(path, std::span(&bytes, 1), options); }

/// A folder that belongs to this object alone, by a lock on its file `.lock`; the system gives it free however the process ends. Throws Error if another has it:
/// at once if that run goes on, after two seconds if it was killed and has not ended by then.
class FolderLock {
 public:
  [[gnu::cold]] explicit FolderLock(const std::filesystem::path& folder) : file_(::open((folder / ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
    if (!file_.open()) throw Error("cannot lock the folder ", folder, ": ", detail::error_text(errno));
    for (int tries = 200, alive = 0; ::flock(file_.number(), LOCK_EX | LOCK_NB) != 0; --tries) {
      const int error = errno;
      if (error != EWOULDBLOCK) throw Error("cannot lock the folder ", folder, ": ", detail::error_text(error));
      char text[24] = {};
      const long pid = ::pread(file_.number(), text, sizeof text - 1, 0) > 0 ? std::atol(text) : 0;
      alive = detail::goes_on(pid) ? alive + 1 : 0;        // for an instant, a process that is being killed looks like any other
      if (!tries || alive == 5)
        throw Error(folder, " is in use by another run (pid ", pid > 0 ? std::to_string(pid) : "unknown", "): wait until it ends, or give another folder");
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    const std::string pid = std::to_string(::getpid()) + "\n";
    if (::ftruncate(file_.number(), 0) == 0) detail::write_all(file_.number(), pid);        // only for the message above: a full disk does no harm
  }

 private:
  detail::Descriptor file_;
};

}  // namespace lamina
