/// Pictures as bytes in one file that is mapped into memory: made once, whole or not at all, and found again by the next run.
#pragma once
#include <sys/mman.h>

#include <atomic>
#include <mutex>

#include "../core/fingerprint.hpp"
#include "../core/start_thread.hpp"
#include "../core/task.hpp"
#include "decode_sample.hpp"
#include "resize.hpp"

namespace lamina {

/// Where a PictureStore keeps its pictures, decoded and resized, from one run to the next. A store has a file of its own: another data set, size or interpolation under the same
/// name makes it anew.
struct CacheFile {
  std::filesystem::path path;
  int workers = 0;                     // threads that decode while it is made; 0: one for each core
};

namespace detail {

/// The file: a header of one page, then the pictures one after the other. In the byte order of the machine.
class PictureCache {
 public:
  using Make = FunctionRef<Index, std::uint8_t*>;          // the bytes of a picture

  /// Of `count` pictures of so many bytes each, if it has the key and is whole; else it is made anew. Two processes may do so at once: the second waits for the first and takes
  /// its file. Throws Error if it can neither be read nor made (a full disk, no permission), if `path` is a file of another kind, and what `make` throws, for the first picture of
  /// those it throws at; then nothing is left behind.
  [[gnu::cold]] PictureCache(const CacheFile& file, std::uint64_t key, Index count, std::size_t bytes, Make make) : path_(file.path.string()), bytes_(bytes) {
    Header header{.key = key, .count = std::uint64_t(count), .bytes = bytes};
    if (map(header)) return;
    const std::string partial = path_ + ".partial";
    const Descriptor lock(open_locked(partial.c_str(), true));
    if (!lock.open() && (errno == EISDIR || errno == ELOOP || errno == ENXIO)) throw in_the_way(partial);
    if (!lock.open()) fail(errno);
    if (!is_begun(partial)) throw in_the_way(partial);
    try {
      if (!map(header)) make_file(lock.number(), header, file.workers, make);        // another may have made it meanwhile
      else ::unlink(partial.c_str());
    } catch (...) {
      ::unlink(partial.c_str());
      throw;
    }
    if (!pixels_ && !map(header)) throw Error("the file of pictures ", path_, " was written and reads otherwise: check the disk");
  }
  PictureCache(const PictureCache&) = delete;
  PictureCache& operator=(const PictureCache&) = delete;
  ~PictureCache() { unmap(); }

  const std::uint8_t* at(Index i) const { return pixels_ + std::size_t(i) * bytes_; }

 private:
  struct Header {
    char magic[16] = {'l', 'a', 'm', 'i', 'n', 'a', ' ', 'p', 'i', 'c', 't', 'u', 'r', 'e', 's', '\n'};
    std::uint64_t key = 0, count = 0, bytes = 0, pixels = 0;    // pixels: the fingerprint of all
    bool fits(const Header& h) const { return key == h.key && count == h.count && bytes == h.bytes; }
  };
  static constexpr std::size_t page = 4096;

  static std::uint64_t print(const std::uint8_t* x, std::size_t n) { return Fingerprint().add_bytes(x, n).value(); }

  /// Whether the file is there, has the key and is whole to the last bit: it is read once, which the first epoch would do too.
  [[gnu::cold]] bool map(const Header& wanted) {
    const Descriptor file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file.open() && errno == ENOENT) return false;
    struct ::stat about = {};
    if (!file.open() || ::fstat(file.number(), &about) != 0) fail(errno);
    Header found;
    const bool regular = S_ISREG(about.st_mode);
    const ::ssize_t have = regular ? ::pread(file.number(), &found, sizeof found, 0) : 0;
    if (have < 0) fail(errno);
    if (!regular || (have > 0 && (std::size_t(have) < sizeof found.magic || std::memcmp(found.magic, Header().magic, sizeof found.magic) != 0)))
      throw Error(path_, " is no file of pictures that Lamina has kept, and is left as it is: give another name");
    const std::uint64_t size = page + wanted.count * wanted.bytes;
    if (have != sizeof found || !found.fits(wanted) || std::uint64_t(about.st_size) != size) return false;
    void* const all = ::mmap(nullptr, std::size_t(size), PROT_READ, MAP_SHARED, file.number(), 0);
    if (all == MAP_FAILED) throw Error("the file of pictures ", path_, ", ", size, " bytes, cannot be mapped: ", std::generic_category().message(errno));
    mapped_ = std::size_t(size), pixels_ = static_cast<const std::uint8_t*>(all) + page;
    Fingerprint whole;
    for (std::uint64_t i = 0; i < wanted.count; ++i) whole.add(print(at(Index(i)), bytes_));
    if (whole.value() == found.pixels) return true;
    unmap();
    return false;
  }
  /// Whether it is empty, or what a program that was ended left of such a file: its header comes last.
  [[gnu::cold]] bool is_begun(const std::string& partial) const {
    const Descriptor file(::open(partial.c_str(), O_RDONLY | O_CLOEXEC));
    char begin[sizeof Header().magic] = {};
    const ::ssize_t have = file.open() ? ::pread(file.number(), begin, sizeof begin, 0) : -1;
    if (have < 0) fail(errno);
    return std::all_of(begin, begin + have, [](char c) { return c == 0; }) || std::memcmp(begin, Header().magic, sizeof begin) == 0;
  }
  [[gnu::cold]] Error in_the_way(const std::string& partial) const {
    return Error("the file of pictures ", path_, " cannot be made: ", partial, " is in the way and is none that Lamina has begun; take it away, or give another name");
  }
  void unmap() {
    if (pixels_) ::munmap(const_cast<std::uint8_t*>(pixels_) - page, mapped_);
    pixels_ = nullptr;
  }

  [[gnu::cold]] void make_file(int file, Header header, int workers, Make make) {
    const LimitsAreErrors guard;
    const std::uint64_t size = page + header.count * header.bytes;
    if (::ftruncate(file, 0) != 0) fail(errno);
    if (const int error = ::posix_fallocate(file, 0, ::off_t(size)); error && error != EOPNOTSUPP && error != EINVAL) fail(error);    // a disk too small shows before anything is decoded
    std::vector<std::uint64_t> prints(header.count);
    std::atomic<Index> next = 0, failed = Index(header.count);
    std::mutex failing;
    std::exception_ptr failure;
    const auto work = [&] {
      std::vector<std::uint8_t> room(bytes_);
      for (Index i; (i = next++) < failed;) try {
          make(i, room.data());
          prints[std::size_t(i)] = print(room.data(), bytes_);
          write_at(file, room.data(), bytes_, page + std::uint64_t(i) * bytes_);
        } catch (...) {
          const std::lock_guard lock(failing);
          if (i < failed) failed = i, failure = std::current_exception();
        }
    };
    std::vector<std::thread> threads;
    const auto end = [&] { for (std::thread& t : threads) t.join(); };
    try {
      const Index asked = workers > 0 ? workers : Index(std::thread::hardware_concurrency());
      while (Index(threads.size()) + 1 < std::min(asked, Index(header.count))) threads.push_back(start_thread(work));
    } catch (...) {
      failed = 0;
      end();
      throw;
    }
    work();
    end();
    if (failure) std::rethrow_exception(failure);
    Fingerprint whole;
    for (const std::uint64_t p : prints) whole.add(p);
    header.pixels = whole.value();
    write_at(file, reinterpret_cast<const std::uint8_t*>(&header), sizeof header, 0);
    if (::fsync(file) != 0 || ::rename((path_ + ".partial").c_str(), path_.c_str()) != 0) fail(errno);
    if (!sync_folder(std::filesystem::path(path_).parent_path())) fail(errno);
  }

  void write_at(int file, const std::uint8_t* x, std::size_t n, std::uint64_t offset) const {
    while (n) {
      const ::ssize_t done = ::pwrite(file, x, n, ::off_t(offset));
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) fail(errno);
      x += done, n -= std::size_t(done), offset += std::uint64_t(done);
    }
  }
  [[noreturn, gnu::cold]] void fail(int error) const { throw Error("the file of pictures ", path_, " cannot be used or made: ", error_text(error), "; or train without it"); }

  std::string path_;
  std::size_t bytes_, mapped_ = 0;
  const std::uint8_t* pixels_ = nullptr;       // (count) of bytes_ each
};

/// Of all that decides what the bytes are: the names, sizes and times of the files, the size, how they are resized, and what decodes. A file that was changed and given its old
/// size and time is not noticed.
[[gnu::cold]] inline std::uint64_t cache_key(const Dataset& dataset, Size size, Interpolation interpolation, int channels, const DecodeOptions& decoding) {
  constexpr int version = 2;           // another one once decoding or resizing gives other bytes
  Fingerprint key;
  key.add(version, size.h, size.w, interpolation, channels, decoding.exif_orientation, decoding.at_least.h, decoding.at_least.w).add_bytes(jpeg_decoder, std::strlen(jpeg_decoder));
  for (const Sample& s : dataset.samples) {
    key.add_bytes(s.name.data(), s.name.size()).add(s.bytes);
    if (s.picture) key.add(s.picture->h, s.picture->w, s.picture->c).add_bytes(s.picture->pixels.data(), s.picture->pixels.size());
    else if (s.archive) key.add(s.archive->modified(), s.archive->bytes(), s.offset);
    else if (struct ::stat about = {}; ::stat(s.path.c_str(), &about) == 0) key.add(about.st_mtim.tv_sec, about.st_mtim.tv_nsec, about.st_size);
  }
  return key.value();
}

}  // namespace detail
}  // namespace lamina
