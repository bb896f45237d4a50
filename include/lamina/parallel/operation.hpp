/// What one rank wants of the others: an operation, in a form that ranks compare before they do it.
#pragma once
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "../core/error.hpp"
#include "../core/task.hpp"

namespace lamina::detail {

enum class Action : std::uint32_t { all_reduce_floats, all_reduce_doubles, broadcast, all_gather, barrier, work_together };

/// Plain bytes, of which none is undefined: it travels as it is.
struct Operation {
  static constexpr std::size_t longest_name = 80;      // with its end; what is longer is cut

  Action action;
  std::int32_t root = 0;
  std::uint64_t bytes = 0;                             // of one rank
  std::uint64_t number = 0;                            // counted by each rank from 1
  char name[longest_name] = {};

  Operation() : Operation(Action::barrier, 0, 0, "") {}
  Operation(Action a, int root_, std::size_t bytes_, std::string_view name_) : action(a), root(root_), bytes(bytes_) { name_.copy(name, longest_name - 1); }
  friend bool operator==(const Operation& a, const Operation& b) {
    return a.action == b.action && a.root == b.root && a.bytes == b.bytes && a.number == b.number && !std::strcmp(a.name, b.name);
  }
};

/// An operation and the memory it is about: all_reduce and broadcast change `out`, all_gather reads `in` too, and work_together does its part with the `in` of all.
struct Request {
  Operation operation;
  const std::byte* in = nullptr;
  std::byte* out = nullptr;
  const FunctionRef<const void* const*>* part = nullptr;
  bool idle = false;                     // whoever waits for it has nothing else to do
};

/// all_reduce "gradients of step 7" (operation 12, 4096 bytes)
[[gnu::cold]] inline std::string words(const Operation& o) {
  static constexpr const char* what[] = {"all_reduce", "all_reduce", "broadcast", "all_gather", "barrier", "work_together"};
  static constexpr const char* of[] = {" of floats", " of doubles", " each", " each", "", " each"};
  const auto a = std::size_t(o.action);
  std::string s = sentence({what[a], " \"", o.name, "\" (operation ", o.number});
  if (o.action == Action::broadcast) s += sentence({", from rank ", o.root});
  if (o.action != Action::barrier) s += sentence({", ", o.bytes, " bytes", of[a]});
  return s + ")";
}

/// ranks 0, 2 and 3
[[gnu::cold]] inline std::string words(const std::vector<int>& ranks) {
  std::string s = ranks.size() > 1 ? "ranks " : "rank ";
  for (std::size_t i = 0; i < ranks.size(); ++i) s += sentence({i == 0 ? "" : i + 1 < ranks.size() ? ", " : " and ", ranks[i]});
  return s;
}

/// What is wrong if two ranks that meet want these.
[[gnu::cold]] inline std::string disagreement(int rank, const Operation& one, int other_rank, const Operation& other) {
  return sentence({"rank ", rank, " comes to ", words(one), " and rank ", other_rank, " to ", words(other), ": all ranks must run the same program on the same data, with the same options"});
}

/// Fowler, Noll and Vo's FNV-1a of 64 bits.
constexpr std::uint64_t fingerprint_of(std::string_view text) {
  std::uint64_t sum = 0xcbf29ce484222325u;
  for (const char c : text) sum = (sum ^ std::uint8_t(c)) * 0x100000001b3u;
  return sum;
}

/// Where the part of a span of n numbers begins that one of several ranks adds up; it ends where the next begins. Parts begin at a multiple of 16: two ranks then seldom write the same cache line.
constexpr Index part_begin(Index n, int rank, int ranks) {
  if (rank >= ranks) return n;
  const Index at = (n / ranks * rank + n % ranks * rank / ranks + 15) / 16 * 16;
  return at < n ? at : n;
}

}  // namespace lamina::detail
