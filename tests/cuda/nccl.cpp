// Ranks that talk through NCCL, with a stand-in for NCCL that moves memory between threads and writes down what NCCL forbids. NCCL itself does not run here.
#include "../support/nccl_stand_in.hpp"
#include "../support/emulator/emulated.hpp"

#include <lamina/cuda/verbs.hpp>
#include <lamina/parallel.hpp>
#include <lamina/parallel/nccl.hpp>
#include <lamina/train/fit.hpp>

#include "../support/check_communicator.hpp"
#include "../support/learned.hpp"
#include "../support/sanitized.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
/// An emulated GPU with a stream for NCCL. It has a second queue, so that nothing is done before somebody waits for it.
struct Card : Emulated {
  struct OfAll { std::function<void(double)> watch; decltype(std::declval<Emulated&>().mark()) last; };        // last: what NCCL launched, which does one thing after another on whatever streams
  struct Queue final : nccl::Stream {
    Emulated dev;
    std::shared_ptr<OfAll> of_all;
    Queue(const Emulated& of, std::shared_ptr<OfAll> all) : dev(of), of_all(std::move(all)) {}
    void launch(std::vector<Stretch> memory, std::function<void()> work) override {
      std::vector<Emulated::Stretch> stretches;
      for (const Stretch& s : memory) stretches.push_back({s.p, s.bytes, s.writes});
      if (of_all->last) dev.wait_for(of_all->last);
      dev.call(std::move(stretches), std::move(work));
      of_all->last = dev.mark();
    }
    void waits(double seconds) override { if (of_all->watch) of_all->watch(seconds); }
  };
  Card() : Card(Emulated(1), std::make_shared<OfAll>()) { spare_ = std::make_shared<Emulated>(Emulated::fork()); }
  Card fork() { return Card(Emulated::fork(), queue_->of_all); }
  template <class F> Graph record(const F& f) {
    queue_->of_all->last.reset();
    Graph graph = Emulated::record(f);
    queue_->of_all->last.reset();
    return graph;
  }
  void use() const {}
  cudaStream_t stream() const { return queue_.get(); }
  void while_waiting(std::function<void(double)> f) { queue_->of_all->watch = std::move(f); }

 private:
  Card(const Emulated& of, std::shared_ptr<OfAll> all) : Emulated(of), queue_(std::make_shared<Queue>(of, std::move(all))) {}
  std::shared_ptr<Queue> queue_;
  std::shared_ptr<Emulated> spare_;
};
using Rank = NcclRank<Card>;
static_assert(Communicator<Rank>);

/// A new test; at its end nothing is left, and nothing was wrong.
struct Clean {
  std::shared_ptr<nccl::Test> kept = nccl::test = std::make_shared<nccl::Test>();
  nccl::Test& test = *kept;
  ~Clean() {
    for (const std::string& f : test.faults) FAIL_CHECK(f);
    CHECK(test.alive == 0);
  }
  /// What a rank called, but for its beginning.
  std::string calls(int rank) const {
    std::string all;
    for (const std::string& c : test.calls[rank])
      if (c != "ncclCommInitRankConfig") all += (all.empty() ? "" : " ") + c;
    return all;
  }
};
/// f(rank, device) on so many ranks; returns what they threw.
template <class F> std::vector<std::string> thrown_by(int ranks, const F& f, double deadline = 20, double of_hosts = 20) {
  std::vector<std::string> thrown(static_cast<std::size_t>(ranks));
  LocalGroup hosts(ranks, {.deadline = of_hosts});
  try {
    hosts.run([&](auto& host) {
      try {
        Card dev;
        Rank rank(host, dev, {.deadline = deadline});
        f(rank, dev);
      } catch (const std::exception& e) {
        thrown[std::size_t(host.rank())] = e.what();
        throw;
      }
    });
  } catch (const std::exception&) {
  }
  return thrown;
}
template <class F> void on_ranks(int ranks, const F& f) {
  for (const std::string& t : thrown_by(ranks, f)) CHECK(t == "");
}
bool says(const std::string& thrown, const char* words) {
  INFO("says: " << thrown);
  CHECK(thrown.find(words) != std::string::npos);
  return thrown.find(words) != std::string::npos;
}

/// Numbers on a device.
template <class T> struct There {
  Card& dev;
  Buffer<Card, T> x;
  There(Card& d, const std::vector<T>& v) : dev(d), x(d, Index(v.size())) { dev.upload(x.data(), v.data(), x.bytes()); }
  std::vector<T> back() {
    std::vector<T> v(static_cast<std::size_t>(x.count()));
    dev.download(v.data(), x.data(), x.bytes());
    return v;
  }
};
template <class T> std::vector<T> summed(Rank& rank, Card& dev, Index n, bool exact) {
  There<T> there(dev, numbers<T>(rank.rank(), n));
  rank.queued()->all_reduce(there.x.data(), n, exact);
  return there.back();
}
}  // namespace

TEST_CASE("it keeps what every communicator has to keep, on the hosts") {
  const Clean clean;
  on_ranks(3, [](Rank& rank, Card&) { check_sums<float>(rank, 2000), check_sums<double>(rank, 2000), check_copies(rank), check_overlap(rank), check_many(rank); });
}
TEST_CASE_TEMPLATE("exact sums on the device have the bits of the tree", T, float, double) {
  for (const int ranks : {1, 2, 3, 4, 5, 7, 8}) {
    const Clean clean;
    on_ranks(ranks, [](Rank& rank, Card& dev) {
      for (const Index n : {Index(1), Index(15), Index(17), Index(131), Index(0), Index(1001), Index(30), Index(5003)}) {
        INFO("ranks " << rank.size() << " numbers " << n);
        CHECK(same_bits(summed<T>(rank, dev, n, true), sums<T>(rank.size(), n)));
      }
    });
  }
}
TEST_CASE_TEMPLATE("other sums are NCCL's, and near", T, float, double) {
  const Clean clean;
  on_ranks(3, [](Rank& rank, Card& dev) {
    const std::vector<T> found = summed<T>(rank, dev, 777, false), exact = sums<T>(3, 777);
    for (std::size_t i = 0; i < found.size(); ++i) CHECK(double(found[i]) == doctest::Approx(double(exact[i])).epsilon(1e-4));
  });
  for (int r = 0; r < 3; ++r) CHECK(clean.calls(r) == "ncclAllReduce ncclCommFinalize ncclCommDestroy");
}
TEST_CASE("an exact sum is two groups, of which each rank is sent its part and hands it out") {
  const Clean clean;
  on_ranks(3, [](Rank& rank, Card& dev) { summed<float>(rank, dev, 30, true); });         // parts of 16, 14 and none
  CHECK(clean.calls(0) == "ncclSend ncclRecv ncclRecv ncclSend ncclRecv ncclSend ncclCommFinalize ncclCommDestroy");
  CHECK(clean.calls(2) == "ncclSend ncclSend ncclRecv ncclRecv ncclCommFinalize ncclCommDestroy");
}
TEST_CASE("copies on the device") {
  for (const int ranks : {1, 2, 5}) {
    const Clean clean;
    on_ranks(ranks, [](Rank& rank, Card& dev) {
      for (const Index n : {0, 1, 333}) {
        There<double> x(dev, numbers<double>(rank.rank(), n));
        rank.queued()->broadcast(x.x.data(), x.x.bytes());
        CHECK(same_bits(x.back(), numbers<double>(0, n)));
        There<float> mine(dev, numbers<float>(rank.rank(), n)), all(dev, std::vector<float>(static_cast<std::size_t>(n * rank.size())));
        rank.queued()->all_gather(mine.x.data(), mine.x.bytes(), all.x.data());
        std::vector<float> expected;
        for (int r = 0; r < rank.size(); ++r)
          for (const float v : numbers<float>(r, n)) expected.push_back(v);
        CHECK(same_bits(all.back(), expected));
      }
    });
  }
}
TEST_CASE("a rank by itself calls nothing of NCCL") {
  const Clean clean;
  on_ranks(1, [](Rank& rank, Card& dev) { summed<float>(rank, dev, 50, false); });
  CHECK(clean.test.calls.empty());
}
TEST_CASE("what a graph records is done at each replay") {
  const Clean clean;
  on_ranks(3, [](Rank& rank, Card& dev) {
    There<float> a(dev, numbers<float>(rank.rank(), 100)), b(dev, numbers<float>(rank.rank(), 100)), room(dev, std::vector<float>(100));
    rank.queued()->all_reduce(room.x.data(), 100, true);                                    // a recording allocates nothing
    auto graph = dev.record([&] { rank.queued()->all_reduce(a.x.data(), 100, true), rank.queued()->all_reduce(b.x.data(), 100, false); });
    CHECK(same_bits(a.back(), numbers<float>(rank.rank(), 100)));
    dev.replay(graph);
    CHECK(same_bits(a.back(), sums<float>(3, 100)));
    dev.replay(graph);
    There<float> twice(dev, sums<float>(3, 100));
    rank.queued()->all_reduce(twice.x.data(), 100, true);
    CHECK(same_bits(a.back(), twice.back()));
  });
}

// --- what goes wrong

TEST_CASE("a call that fails is an error on all ranks, with NCCL's words and what to do") {
  for (const bool exact : {true, false})
    for (int at = 0; at < (exact ? 5 : 2); ++at) {
      INFO("exact " << exact << ", call " << at);
      const Clean clean;
      clean.test.fails_on = 1, clean.test.fails_at = at;
      const auto thrown = thrown_by(2, [&](Rank& rank, Card& dev) {
        try {
          summed<float>(rank, dev, 200, exact);
        } catch (const Error&) {
          CHECK_THROWS_WITH_AS(rank.barrier("after it"), doctest::Contains("the cable is loose"), Error);
          throw;
        }
      }, 0.5, 2);
      says(thrown[1], "rank 1 of 2: ");
      says(thrown[1], " failed, unhandled system error, the cable is loose; with NCCL_DEBUG=INFO in the environment NCCL says more");
      says(thrown[0], "the cable is loose");
      for (int r = 0; r < 2; ++r) CHECK(clean.test.calls[r].back() == "ncclCommAbort");
    }
}
TEST_CASE("a communicator that never is there is given up after the deadline") {
  const Clean clean;
  clean.test.hangs_at = 1;
  const auto thrown = thrown_by(3, [](Rank&, Card&) { CHECK(false); }, 0.2, 2);
  says(thrown[1], "rank 1 of 3: ncclCommInitRankConfig was not done within 0.2 s");
  for (const std::size_t r : {0u, 2u}) says(thrown[r], "NCCL has failed");
  for (int r = 0; r < 3; ++r) CHECK(clean.calls(r) == "ncclCommAbort");
}
TEST_CASE("an error that comes later is thrown by whoever waits, or by the next operation") {
  for (const bool again : {false, true}) {
    const Clean clean;
    clean.test.error_at = 0;
    const auto thrown = thrown_by(2, [&](Rank& rank, Card& dev) {
      There<float> x(dev, numbers<float>(rank.rank(), 100));
      for (int i = 0; i < 1 + again; ++i) rank.queued()->all_reduce(x.x.data(), 100, false);
      x.back();
    }, 0.5, 2);
    says(thrown[0], "failed, remote process exited or there was a network error");
    CHECK(thrown[1] != "");
    for (int r = 0; r < 2; ++r) CHECK(clean.test.calls[r].back() == "ncclCommAbort");
  }
}
TEST_CASE("a rank that does not come is found by the deadline, and the hosts say which it was") {
  const Clean clean;
  const auto thrown = thrown_by(3, [](Rank& rank, Card& dev) {
    if (rank.rank() == 2) throw Error("out of paper");
    summed<float>(rank, dev, 100, rank.rank() < 5);
  }, 0.3, 2);
  CHECK(thrown[2] == "out of paper");
  for (const std::size_t r : {0u, 1u}) {
    says(thrown[r], "an operation on the GPU was not done within 0.3 s; ");
    says(thrown[r], "rank 2 gave up");
    says(thrown[r], "out of paper");
  }
  for (int r = 0; r < 3; ++r) CHECK(clean.test.calls[r].back() == "ncclCommAbort");
}
TEST_CASE("an abort wakes the others where NCCL tells them of it, and the deadline need not pass") {
  const Clean clean;
  clean.test.tells_others = true;
  const auto begin = std::chrono::steady_clock::now();
  const auto thrown = thrown_by(3, [](Rank& rank, Card& dev) {
    if (rank.rank() == 1) return rank.abort("no more");
    summed<float>(rank, dev, 100, true);
  });
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
  for (const std::size_t r : {0u, 2u}) says(thrown[r], "no more");
}
TEST_CASE("after an abort everything throws and nothing of NCCL is called") {
  const Clean clean;
  const auto thrown = thrown_by(2, [](Rank& rank, Card& dev) {
    There<float> x(dev, numbers<float>(rank.rank(), 100));
    rank.barrier("both are here");
    rank.abort("no more");
    for (const bool exact : {true, false}) CHECK_THROWS_WITH_AS(rank.queued()->all_reduce(x.x.data(), 100, exact), doctest::Contains("cannot go on with NCCL: no more"), Error);
    CHECK_THROWS_AS(rank.queued()->broadcast(x.x.data(), 4), Error);
    CHECK_THROWS_AS(rank.barrier("again"), Error);
    rank.abort("once more"), rank.abandon();
  });
  for (int r = 0; r < 2; ++r) CHECK(clean.calls(r) == "ncclCommAbort");
}
TEST_CASE("whoever owns memory leaves it once nothing runs there: when all is done, or given up") {
  const Clean clean;
  on_ranks(2, [](Rank& rank, Card& dev) {
    There<float> x(dev, numbers<float>(rank.rank(), 100));
    rank.queued()->all_reduce(x.x.data(), 100, true);
    rank.abandon();
    CHECK(same_bits(x.back(), sums<float>(2, 100)));
  });
  for (int r = 0; r < 2; ++r) CHECK(clean.test.calls[r].back() == "ncclCommDestroy");
  const Clean given_up;
  thrown_by(2, [](Rank& rank, Card& dev) {
    There<float> x(dev, numbers<float>(rank.rank(), 100));
    if (rank.rank() == 0) rank.queued()->all_reduce(x.x.data(), 100, true);
    rank.abandon();
  }, 0.3, 2);
  CHECK(given_up.calls(0).ends_with("ncclCommAbort"));
}
TEST_CASE("a rank goes once its GPU has done what it was given, or the deadline has passed, or at once where an exception ends it") {
  const Clean all;
  LocalGroup(2).run([](auto& host) {
    Card card;
    There<float> x(card, numbers<float>(host.rank(), 100));
    Rank(host, card).queued()->all_reduce(x.x.data(), 100, true);
    CHECK(same_bits(x.back(), sums<float>(2, 100)));
  });
  for (int r = 0; r < 2; ++r) CHECK(all.test.calls[r].back() == "ncclCommDestroy");
  struct Owner {
    Rank& rank;
    There<float> there;
    ~Owner() { rank.abandon(); }
  };
  for (const bool throws : {false, true}) {
    const Clean one;
    const auto begin = std::chrono::steady_clock::now();
    const auto thrown = thrown_by(2, [&](Rank& rank, Card& card) {
      if (rank.rank() > 0) return;
      const Owner owner{rank, {card, numbers<float>(0, 100)}};
      rank.queued()->all_reduce(owner.there.x.data(), 100, true);
      if (throws) throw Error("no more");
    }, throws ? 20 : 0.3, 2);
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
    CHECK(one.test.calls[0].back() == "ncclCommAbort");
    CHECK((thrown[0] == "no more") == throws);
  }
}
TEST_CASE("options and devices that make no sense") {
  const Clean clean;
  Solo solo;
  Card dev, other;
  CHECK_THROWS_WITH_AS(Rank(solo, dev, {.deadline = 0}), doctest::Contains("a deadline of 0 seconds"), Error);
  Rank rank(solo, dev);
  AnyCommunicator any(rank);
  CHECK_THROWS_WITH_AS(detail::DeviceRanks<Card>(other, any), doctest::Contains("make both with the same device"), Error);
}

// --- replicas

namespace {
template <class R> std::vector<float> trained(R& rank, Card& dev, const ParallelOptions& options) {
  DataParallel<Model<LeafOfHalves, Card>> model({.batch = 16, .seed = 1, .loss = {.class_weights = {1, 3}}}, rank, options, dev);
  Halves train(56, 16, 1);
  fit(model, train, train, Adam{.rate = 3e-3}, Constant{}, {.epochs = 2});
  std::vector<float> w(static_cast<std::size_t>(model.program().parameters));
  dev.download(w.data(), model.parameters(), w.size() * sizeof(float));
  return w;
}
}  // namespace
TEST_CASE("replicas learn the same, bit for bit, through NCCL and through their hosts") {
  const Clean clean;
  LocalGroup(2).run([](auto& host) {
    Card card, own;
    Rank rank(host, card);
    CHECK(same_bits(trained(rank, card, {.bucket = 100}), trained(host, own, {.bucket = 100})));
    trained(rank, card, {.parallel = Parallel::fast});
  });
  CHECK(clean.calls(0).find("ncclSend") < clean.calls(0).find("ncclAllReduce"));
  CHECK(clean.calls(0).find("ncclAllReduce") < std::string::npos);
}

namespace {
template <class N, class Numbers = float> void check_graphs(std::initializer_list<int> numbers) {
  Model<N, Card, Numbers> one({.batch = 16, .seed = 1});
  const std::vector<float> expected = learned(one);
  for (const int ranks : numbers) {
    const Clean clean;
    on_ranks(ranks, [&](Rank& rank, Card& dev) {
      DataParallel<Model<N, Card, Numbers>> model({.batch = 16, .seed = 1}, rank, {.bucket = 1000}, dev);
      CHECK(same_bits(learned(model), expected));
      CHECK(dev.machine().counters.replays == replayed);
    });
  }
}
}  // namespace
TEST_CASE("a step of replicas is one graph, with their sums and the moments of their batch norms in it") {
#if !defined(LAMINA_TEST_SANITIZED)
  check_graphs<LeafOfHalves>({2, 4});
  check_graphs<NormsOfHalves, bf16>({4});
#endif
  check_graphs<NormsOfHalves>({2});
}
#if !defined(LAMINA_TEST_SANITIZED)
TEST_CASE("the sums of a step go on beside it") {
  const Clean clean;
  on_ranks(2, [&](Rank& rank, Card& dev) {
    DataParallel<Model<NormsOfHalves, Card>> model({.batch = 16, .seed = 1}, rank, {.bucket = 1000}, dev);
    learned(model);
    const auto& calls = clean.test.streams[rank.rank()];
    CHECK(calls.size() == 2);
    CHECK(calls.at(dev.stream()).contains("ncclAllGather"));
    CHECK_FALSE(calls.at(dev.stream()).contains("ncclSend"));
  });
}
TEST_CASE("a rank by itself goes through NCCL if it is told to") {
  const Clean clean;
  Solo solo;
  Card dev;
  Model<NormsOfHalves, Card> one({.batch = 16, .seed = 1});
  const std::vector<float> expected = learned(one);
  for (const Parallel parallel : {Parallel::exact, Parallel::fast}) {
    Rank rank(solo, dev, {.by_itself = true});
    DataParallel<Model<NormsOfHalves, Card>> model({.batch = 16, .seed = 1}, rank, {.parallel = parallel, .bucket = 1000}, dev);
    CHECK(same_bits(learned(model), expected));
  }
  CHECK(clean.calls(0).find("ncclAllReduce") != std::string::npos);
}
#endif
