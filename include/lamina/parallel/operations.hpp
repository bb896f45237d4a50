/// The operations of a communicator, over something that does one at a time.
#pragma once
#include <span>
#include <type_traits>
#include <utility>

#include "communicator.hpp"
#include "queue.hpp"

namespace lamina::detail {

/// A transport has rank(), size(), perform(work), which throws Error, and abort(reason), which ends a perform() that is waiting. It is called by one thread at a time, but for abort().
/// Operations happen in the order in which they are called: one that is not begun waits for those that are.
template <class Transport> class Operations {
 public:
  template <class... Args> explicit Operations(std::in_place_t, Args&&... args) : transport_(std::forward<Args>(args)...), queue_(perform_) {}
  Operations(const Operations&) = delete;
  Operations& operator=(const Operations&) = delete;
  ~Operations() { abandon(); }

  int rank() const { return transport_.rank(); }
  int size() const { return transport_.size(); }

  void all_reduce(std::span<float> x, std::string_view name) { run(sum_of(x, name)); }
  void all_reduce(std::span<double> x, std::string_view name) { run(sum_of(x, name)); }

  Index begin(std::span<float> x, std::string_view name) { return begin(sum_of(x, name)); }
  Index begin(std::span<double> x, std::string_view name) { return begin(sum_of(x, name)); }
  void finish(Index begun) { wait_for(std::uint64_t(begun)); }
  void finish() { wait_for(queue_.begun()); }

  /// x: a span, vector or array of anything that may be copied byte by byte. Throws Error at once, before anybody else is concerned, if there is no such rank.
  template <class R> void broadcast(R&& x, int root, std::string_view name) {
    const auto bytes = bytes_of(std::span(x));
    if (root < 0 || root >= size()) throw Error("broadcast \"", name, "\" was to come from rank ", root, ": there are ", size(), " ranks, counted from 0");
    run({{Action::broadcast, root, bytes.size(), name}, nullptr, bytes.data()});
  }
  /// mine may be its place in all. Throws Error at once if the sizes do not fit.
  template <class M, class R> void all_gather(const M& mine, R&& all, std::string_view name) {
    const std::span from(mine);
    const auto to = bytes_of(std::span(all));
    if (to.size() != from.size_bytes() * std::size_t(size()))
      throw Error("all_gather \"", name, "\" of ", size(), " ranks with ", from.size_bytes(), " bytes each was to go to ", to.size(), " bytes: give it room for all");
    run({{Action::all_gather, 0, from.size_bytes(), name}, std::as_bytes(from).data(), to.data()});
  }
  void barrier(std::string_view name) { run({{Action::barrier, 0, 0, name}, nullptr, nullptr}); }

  /// Throws Error on all ranks if the words are not the same on all; it names the first parts, between semicolons, that differ.
  [[gnu::cold]] void agree(std::string_view words) {
    const Card mine{fingerprint_of(words), words.size()};
    std::vector<Card> all(static_cast<std::size_t>(size()));
    all_gather(std::span(&mine, 1), all, "agreement");
    for (std::size_t r = 1; r < all.size(); ++r) {
      if (all[r].hash == all[0].hash) continue;
      std::size_t most = 0;
      for (const Card& c : all) most = std::max(most, std::size_t(c.length));
      std::string padded(words), of_all(most * all.size(), ' ');
      padded.resize(most);
      all_gather(std::span(padded), of_all, "what they do not agree on");
      const auto of = [&](std::size_t rank) { return std::string_view(of_all).substr(rank * most, std::size_t(all[rank].length)); };
      const auto [one, other] = difference(of(0), of(r));
      const std::string reason = sentence({"ranks 0 and ", r, " do not agree: one has '", one, "' and the other '", other, "'; start all ranks with the same"});
      abort(reason);
      throw Error(reason);
    }
  }

  void abort(std::string_view reason) noexcept {
    transport_.abort(reason);
    queue_.settle();
  }
  void abandon() noexcept {
    if (queue_.busy()) abort("it left operations that it had begun");
  }

 protected:
  Transport& transport() { return transport_; }
  void run(Request work) {
    finish();
    work.operation.number = ++count_;
    work.idle = true;
    transport_.perform(work);
  }

 private:
  struct Card {
    std::uint64_t hash, length;
  };
  struct Perform {
    Operations* of;
    void operator()(const Request& work) const { of->transport_.perform(work); }
  };

  template <class T, std::size_t N> static std::span<std::byte> bytes_of(std::span<T, N> x) {
    static_assert(std::is_trivially_copyable_v<T>, "what ranks send each other is copied byte by byte");
    return std::as_writable_bytes(x);
  }
  template <class T> static Request sum_of(std::span<T> x, std::string_view name) {
    return {{std::is_same_v<T, float> ? Action::all_reduce_floats : Action::all_reduce_doubles, 0, x.size_bytes(), name}, nullptr, bytes_of(x).data()};
  }
  /// The first parts between semicolons that are not the same.
  static std::pair<std::string_view, std::string_view> difference(std::string_view a, std::string_view b) {
    std::size_t begin = 0;
    for (std::size_t i = 0; i < a.size() && i < b.size() && a[i] == b[i]; ++i)
      if (a[i] == ';') begin = i + 1 + (a.substr(i + 1).starts_with(' ') && b.substr(i + 1).starts_with(' '));
    const auto part = [&](std::string_view s) { return s.substr(begin, s.find(';', begin) - begin); };
    return {part(a), part(b)};
  }

  /// Meanwhile, where that is possible, others are helped.
  void wait_for(std::uint64_t begun) {
    if constexpr (requires { transport_.help_until([] { return true; }); }) transport_.help_until([&] { return queue_.has_done(begun); });
    queue_.wait_for(begun);
  }
  Index begin(Request work) {
    work.operation.number = ++count_;
    if (size() == 1) transport_.perform(work);
    else queue_.begin(work);
    return Index(queue_.begun());
  }

  Transport transport_;
  std::uint64_t count_ = 0;              // operations
  Perform perform_{this};
  Queue queue_;                           // ends before what it uses
};

}  // namespace lamina::detail
