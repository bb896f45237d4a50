/// What ranks do in each other's memory, where that of all lies in one process.
#pragma once
#include <cstddef>
#include <string_view>

#include "../core/shared_tasks.hpp"

namespace lamina {

/// Ranks that divide work among them which is the same for all.
class SharedRanks {
 public:
  virtual ~SharedRanks() = default;
  /// Each rank comes with something, `mine`, and with the same name and number of bytes to work on. Once all have come each does part(all), where all[r] is what rank r came with; it returns when all have
  /// done theirs. If a part throws anything, it throws that on its rank, and Error on all others.
  virtual void work_together(const void* mine, std::size_t bytes, std::string_view name, detail::FunctionRef<const void* const*> part) = 0;
  /// Whose tasks a rank does while it waits for the others, its rank being its place; null if it does none.
  virtual detail::SharedTasks* tasks() { return nullptr; }
};

}  // namespace lamina
