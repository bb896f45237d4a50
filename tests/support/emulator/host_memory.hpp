/// Host memory that an emulated GPU reads by itself: whoever writes to it must have waited for the copies that were to read it, and is told so otherwise, however early they came.
#pragma once
#include <cstring>
#include <memory>
#include <vector>

#include "queues.hpp"

namespace lamina_test {

class HostMemory {
 public:
  void add(const void* p, std::size_t bytes) { blocks_.push_back({static_cast<const std::byte*>(p), bytes}); }
  void remove(const void* p) {
    std::erase_if(copies_, [=, this](const Copy& c) { return block(c.from, 0).begin == p; });
    std::erase_if(blocks_, [=](const Block& b) { return b.begin == p; });
  }

  /// A copy of these bytes begins, some time before the event; returns what they are now.
  std::vector<std::byte> copy(const Queues& queues, const void* p, std::size_t bytes, std::shared_ptr<const lamina_test::Event> behind) {
    const auto* from = static_cast<const std::byte*>(p);
    block(from, bytes);
    std::erase_if(copies_, [&](const Copy& c) { return queues.knows(*c.behind); });
    for (const Copy& c : copies_)
      if (std::memcmp(c.from, c.as_it_was.data(), c.as_it_was.size())) lamina::simt::fail("host memory is written to, and nobody has waited for the copy that reads it");
    copies_.push_back({from, {from, from + bytes}, std::move(behind)});
    return copies_.back().as_it_was;
  }

 private:
  struct Block { const std::byte* begin; std::size_t bytes; };
  struct Copy { const std::byte* from; std::vector<std::byte> as_it_was; std::shared_ptr<const lamina_test::Event> behind; };

  const Block& block(const std::byte* p, std::size_t bytes) const {
    for (const Block& b : blocks_)
      if (p >= b.begin && p + bytes <= b.begin + b.bytes) return b;
    lamina::simt::fail("%zu bytes at %p, in no host memory that a GPU reads", bytes, static_cast<const void*>(p));
  }
  std::vector<Block> blocks_;
  std::vector<Copy> copies_;           // that the host has not waited for
};

}  // namespace lamina_test
