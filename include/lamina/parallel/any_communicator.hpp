/// A communicator whose kind is decided when the program runs.
#pragma once
#include <memory>

#include "communicator.hpp"
#include "queued_ranks.hpp"
#include "shared_ranks.hpp"

namespace lamina {

/// Refers to a communicator of any kind, as its copies do: what is written for it is compiled once for all.
class AnyCommunicator {
 public:
  template <Communicator C> requires (!std::is_same_v<C, AnyCommunicator>) AnyCommunicator(C& c) : ranks_(std::make_shared<Of<C>>(c)) {}

  int rank() const { return ranks_->rank(); }
  int size() const { return ranks_->size(); }
  void all_reduce(std::span<float> x, std::string_view name) { ranks_->all_reduce(x, name); }
  void all_reduce(std::span<double> x, std::string_view name) { ranks_->all_reduce(x, name); }
  Index begin(std::span<float> x, std::string_view name) { return ranks_->begin(x, name); }
  Index begin(std::span<double> x, std::string_view name) { return ranks_->begin(x, name); }
  void finish(Index begun) { ranks_->finish(begun); }
  void finish() { ranks_->finish(); }
  template <class R> void broadcast(R&& x, int root, std::string_view name) { ranks_->broadcast(std::as_writable_bytes(std::span(x)), root, name); }
  template <class M, class R> void all_gather(const M& mine, R&& all, std::string_view name) { ranks_->all_gather(std::as_bytes(std::span(mine)), std::as_writable_bytes(std::span(all)), name); }
  void barrier(std::string_view name) { ranks_->barrier(name); }
  void agree(std::string_view words) { ranks_->agree(words); }
  void abort(std::string_view reason) noexcept { ranks_->abort(reason); }
  void abandon() noexcept { ranks_->abandon(); }
  /// How it works on the queue of a device; null of one that cannot.
  QueuedRanks* queued() { return ranks_->queued(); }
  /// How its ranks work in each other's memory; null of one that cannot.
  SharedRanks* shared() { return ranks_->shared(); }

 private:
  struct Ranks {
    virtual ~Ranks() = default;
    virtual int rank() const = 0;
    virtual int size() const = 0;
    virtual void all_reduce(std::span<float>, std::string_view) = 0;
    virtual void all_reduce(std::span<double>, std::string_view) = 0;
    virtual Index begin(std::span<float>, std::string_view) = 0;
    virtual Index begin(std::span<double>, std::string_view) = 0;
    virtual void finish(Index) = 0;
    virtual void finish() = 0;
    virtual void broadcast(std::span<std::byte>, int, std::string_view) = 0;
    virtual void all_gather(std::span<const std::byte>, std::span<std::byte>, std::string_view) = 0;
    virtual void barrier(std::string_view) = 0;
    virtual void agree(std::string_view) = 0;
    virtual void abort(std::string_view) noexcept = 0;
    virtual void abandon() noexcept = 0;
    virtual QueuedRanks* queued() = 0;
    virtual SharedRanks* shared() = 0;
  };
  template <class C> struct Of final : Ranks {
    C& c;
    explicit Of(C& of) : c(of) {}
    int rank() const override { return c.rank(); }
    int size() const override { return c.size(); }
    void all_reduce(std::span<float> x, std::string_view name) override { c.all_reduce(x, name); }
    void all_reduce(std::span<double> x, std::string_view name) override { c.all_reduce(x, name); }
    Index begin(std::span<float> x, std::string_view name) override { return c.begin(x, name); }
    Index begin(std::span<double> x, std::string_view name) override { return c.begin(x, name); }
    void finish(Index begun) override { c.finish(begun); }
    void finish() override { c.finish(); }
    void broadcast(std::span<std::byte> x, int root, std::string_view name) override { c.broadcast(x, root, name); }
    void all_gather(std::span<const std::byte> mine, std::span<std::byte> all, std::string_view name) override { c.all_gather(mine, all, name); }
    void barrier(std::string_view name) override { c.barrier(name); }
    void agree(std::string_view words) override { c.agree(words); }
    void abort(std::string_view reason) noexcept override { c.abort(reason); }
    void abandon() noexcept override { c.abandon(); }
    QueuedRanks* queued() override {
      if constexpr (requires { c.queued(); }) return c.queued();
      else return nullptr;
    }
    SharedRanks* shared() override {
      if constexpr (requires { c.shared(); }) return c.shared();
      else return nullptr;
    }
  };
  std::shared_ptr<Ranks> ranks_;
};
static_assert(Communicator<AnyCommunicator>);

}  // namespace lamina
