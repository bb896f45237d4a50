/// Device memory: nothing but known buffers may be touched, no block may touch what another block writes in the same launch, and no queue what another writes at the same time.
#pragma once
#include <cstdlib>
#include <memory>
#include <unordered_map>
#include <vector>

#include "counters.hpp"

namespace lamina::simt {

/// How many operations of each queue are known to be done.
struct Clock {
  static constexpr unsigned queues = 16;
  std::uint32_t done[queues] = {};
  void join(const Clock& other) { for (unsigned q = 0; q < queues; ++q) done[q] = std::max(done[q], other.done[q]); }
};

class DeviceMemory {
 public:
  enum class Use { read, write, add };

  void add(void* p, std::size_t bytes, bool writable, const char* name) {
    auto* begin = static_cast<unsigned char*>(p);
    const std::size_t first = address(p) / 32, sectors = (address(p) + bytes + 31) / 32 - first;
    Buffer b{begin, begin + bytes, writable, true, name, ++serial_, first, {static_cast<Sector*>(std::calloc(sectors + 1, sizeof(Sector))), &std::free}};
    buffers_.insert(after(begin), std::move(b));
  }
  /// Whoever touches it from now on is told that it was freed.
  void mark_freed(const void* p) { at(p).alive = false; }
  void remove(const void* p) {
    others_.clear();
    buffers_.erase(buffers_.begin() + (&at(p) - buffers_.data()));
  }
  /// The number of the buffer that p points into, 0 if there is none.
  unsigned serial(const void* p) const {
    const Buffer* b = holding(static_cast<const unsigned char*>(p), 1);
    return b && b->alive ? b->serial : 0;
  }
  bool alive(unsigned number) const {
    return std::any_of(buffers_.begin(), buffers_.end(), [=](const Buffer& b) { return b.serial == number && b.alive; });
  }

  /// The operation that touches memory from now on: the next of its queue, `known` being what it comes after.
  void begin_operation(unsigned queue, const Clock& known) {
    known_ = known;
    queue_ = queue;
    now_ = (known.done[queue] + 1) * Clock::queues + queue;
    block_ = 0;
    splits_.assign(1, {});
  }
  void begin_block() { ++block_; }

  /// A lane's access: aligned, of at most 16 bytes.
  void touch(const void* p, std::size_t bytes, Use use, Counters& counters) {
    const auto* q = static_cast<const unsigned char*>(p);
    Buffer& b = find(q, bytes);
    if (use != Use::read && !b.writable) fail("write into %s, which the launch may only read", b.name);
    if (address(p) % bytes) fail("%s + %td is not aligned for %zu bytes", b.name, q - b.begin, bytes);
    Sector& s = b.sectors[address(p) / 32 - b.first];
    if (s.written_at != now_ && s.read_at != now_) s.split = 0;
    if (use == Use::read ? s.read_at != now_ : s.written_at != now_) {
      begin(s, use, b);
      (use == Use::read ? counters.distinct_read_bytes : counters.distinct_written_bytes) += 32;
    }
    if (!note(s, address(p) % 32, bytes, use)) fail("race: two blocks touch %s + %td, which one of them writes", b.name, q - b.begin);
  }
  /// A whole range, by a copy from or to the host.
  void touch_all(const void* p, std::size_t bytes, Use use) {
    if (!bytes) return;
    Buffer& b = find(static_cast<const unsigned char*>(p), bytes);
    for (std::size_t i = address(p) / 32; i <= (address(p) + bytes - 1) / 32; ++i) begin(b.sectors[i - b.first], use, b);
  }

 private:
  // 32 bytes: the operations that wrote and read them last, and of those the blocks and the bytes (a bit each). Once two blocks own parts of it, `split` says where each byte's owners are.
  struct Sector {
    std::uint32_t written_at, writer, written;
    std::uint32_t read_at, reader, read, read_by_many;
    std::uint32_t split;
  };
  struct Split { std::uint32_t writer[32] = {}, reader[32] = {}; };  // 0: nobody
  static constexpr std::uint32_t many = ~0u, adds = 1u << 31;         // adds + block: that block, by atomic additions
  struct Buffer {
    unsigned char *begin, *end;
    bool writable, alive;
    const char* name;
    unsigned serial;
    std::size_t first;  // sector
    std::unique_ptr<Sector[], decltype(&std::free)> sectors;
  };

  static std::size_t address(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }
  bool ordered(std::uint32_t operation) const {
    const unsigned queue = operation % Clock::queues;
    return queue == queue_ || operation / Clock::queues <= known_.done[queue];
  }
  /// The first such access of this operation.
  void begin(Sector& s, Use use, const Buffer& b) {
    if (!ordered(s.written_at)) complain(use == Use::read ? "reads" : "writes", s.written_at, "writes", b);
    if (use == Use::read) {
      if (!ordered(s.read_at)) others_[&s].push_back(s.read_at);
      s.read_at = now_;
      s.read = s.read_by_many = 0;
      return;
    }
    if (!ordered(s.read_at)) complain("writes", s.read_at, "reads", b);
    if (!others_.empty()) {
      for (std::uint32_t reader : others_[&s])
        if (!ordered(reader)) complain("writes", reader, "reads", b);
      others_.erase(&s);
    }
    s.written_at = now_;
    s.written = 0;
  }
  [[noreturn]] void complain(const char* does, std::uint32_t other, const char* other_does, const Buffer& b) const {
    fail("queue %u %s what queue %u %s (%s), and nothing makes it wait", queue_, does, other % Clock::queues, other_does, b.name);
  }
  /// Whether no other block objects.
  bool note(Sector& s, std::size_t byte, std::size_t bytes, Use use) {
    const std::uint32_t mask = std::uint32_t((std::uint64_t(1) << bytes) - 1) << byte;
    const std::uint32_t written = s.written_at == now_ ? s.written : 0, read = s.read_at == now_ ? s.read : 0;
    if (!s.split) {
      if ((written & mask) && s.writer != block_ && use != Use::add) return false;
      if (use == Use::read) {
        if (!read || s.reader == block_) return s.reader = block_, s.read |= mask, true;
        if (!(mask & ~read)) return s.read_by_many |= mask, true;
      } else {
        if ((read & mask) && (s.reader != block_ || (s.read_by_many & mask))) return false;
        if (use == Use::write && (!written || s.writer == block_)) return s.writer = block_, s.written |= mask, true;
      }
      s.split = std::uint32_t(splits_.size());
      Split& parts = splits_.emplace_back();
      for (unsigned i = 0; i < 32; ++i) {
        if (written >> i & 1) parts.writer[i] = s.writer;
        if (read >> i & 1) parts.reader[i] = s.read_by_many >> i & 1 ? many : s.reader;
      }
    }
    Split& parts = splits_[s.split];
    for (std::size_t i = byte; i < byte + bytes; ++i) {
      std::uint32_t &writer = parts.writer[i], &reader = parts.reader[i];
      const bool others_wrote = writer && (writer & ~adds) != block_;
      if (others_wrote && (use != Use::add || !(writer & adds))) return false;
      if (use == Use::read) reader = !reader || reader == block_ ? block_ : many;
      else if (reader && reader != block_) return false;
      else writer = use == Use::write ? block_ : others_wrote ? many : adds | block_;
    }
    return true;
  }

  std::vector<Buffer>::iterator after(const unsigned char* p) {
    return std::upper_bound(buffers_.begin(), buffers_.end(), p, [](const unsigned char* q, const Buffer& b) { return q < b.begin; });
  }
  const Buffer* holding(const unsigned char* p, std::size_t bytes) const {
    const auto i = const_cast<DeviceMemory*>(this)->after(p);
    return i != buffers_.begin() && p + bytes <= i[-1].end ? &i[-1] : nullptr;
  }
  Buffer& at(const void* begin) {
    const auto i = after(static_cast<const unsigned char*>(begin));
    if (i == buffers_.begin() || i[-1].begin != begin) fail("%p is no buffer's beginning", begin);
    return i[-1];
  }
  [[noreturn]] static void outside(const Buffer& b, const unsigned char* p, std::size_t bytes) { fail("%zu bytes at %s + %td: outside its %td", bytes, b.name, p - b.begin, b.end - b.begin); }
  Buffer& find(const unsigned char* p, std::size_t bytes) {
    if (last_ < buffers_.size() && p >= buffers_[last_].begin && p + bytes <= buffers_[last_].end && buffers_[last_].alive) return buffers_[last_];
    if (const Buffer* b = holding(p, bytes)) {
      if (!b->alive) fail("%zu bytes at %s + %td, which was freed", bytes, b->name, p - b->begin);
      return buffers_[last_ = std::size_t(b - buffers_.data())];
    }
    const auto next = after(p);  // what is near p is what was meant
    if (next != buffers_.begin() && p < next[-1].end + 4096) outside(next[-1], p, bytes);
    if (next != buffers_.end() && p >= next->begin - 4096) outside(*next, p, bytes);
    fail("%zu bytes at %p, in no buffer", bytes, static_cast<const void*>(p));
  }

  std::vector<Buffer> buffers_;  // by their addresses
  std::vector<Split> splits_;
  std::unordered_map<const Sector*, std::vector<std::uint32_t>> others_;  // reads of several queues at the same time
  Clock known_;
  std::size_t last_ = 0;
  std::uint32_t now_ = 0, block_ = 0;
  unsigned queue_ = 0, serial_ = 0;
};

}  // namespace lamina::simt
