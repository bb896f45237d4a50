/// A GPU's queues and graphs: what is recorded runs when it is replayed, and what is told to wait waits.
#include "../support/gpu.hpp"

#include <doctest/doctest.h>

#include <lamina/core/error.hpp>

#include <vector>

using namespace lamina;

namespace {
#if defined(__CUDACC__)
using Dev = Cuda;
#else
using Dev = lamina_test::Emulated;
#endif
constexpr int n = 1000;
}  // namespace

namespace lamina::queues_test::inline LAMINA_SIMT {
using namespace simt;
/// to[i] = 3 from[i] + plus; takes its time.
struct Triple {
  static constexpr int threads = 128, shared_bytes = 0;
  LAMINA_DEVICE static void run(const int* from, int* to, int count, int plus, int turns) {
    const int i = block_index().x * threads + thread_index();
    if (i >= count) return;
    int v = load(from + i);
    for (int turn = 0; turn < turns; ++turn) v = v * 3 % 1'000'003;
    store(to + i, v * 3 + plus);
  }
};
struct Add { const int* from; int* to; LAMINA_HD void operator()(Index i) const { to[i] += from[i]; } };
}  // namespace lamina::queues_test::inline LAMINA_SIMT

namespace {
using queues_test::Triple, queues_test::Add;

struct Numbers {
  Dev* dev;
  Buffer<Dev, int> buffer;
  explicit Numbers(Dev& d) : dev(&d), buffer(d, n) {}
  int* data() const { return buffer.data(); }
  void set(int first) {
    std::vector<int> v;
    for (int i = 0; i < n; ++i) v.push_back(first + i);
    dev->upload(data(), v.data(), buffer.bytes());
  }
  std::vector<int> get() const {
    std::vector<int> v(n);
    dev->download(v.data(), data(), buffer.bytes());
    return v;
  }
};
template <class F> std::vector<int> each(F f) {
  std::vector<int> v;
  for (int i = 0; i < n; ++i) v.push_back(f(i));
  return v;
}
void triple(Dev& dev, const Numbers& from, const Numbers& to, int plus, int turns = 0) { dev.template launch<Triple>({int(pieces(n, 128))}, static_cast<const int*>(from.data()), to.data(), n, plus, turns); }
}  // namespace

TEST_CASE("what is recorded runs when it is replayed, as often as that, on what the memory then holds") {
  Dev dev;
  Numbers x(dev), y(dev), sum(dev);
  x.set(1), y.set(7);
  const auto graph = dev.record([&] {
    triple(dev, x, y, 5);
    parallel_for(dev, n, Add{y.data(), sum.data()});
  });
  CHECK(y.get() == each([](int i) { return 7 + i; }));
  dev.replay(graph);
  CHECK(y.get() == each([](int i) { return 3 * (1 + i) + 5; }));
  x.set(100);
  dev.replay(graph), dev.replay(graph);
  CHECK(sum.get() == each([](int i) { return 3 * (1 + i) + 5 + 2 * (3 * (100 + i) + 5); }));
  auto moved = dev.record([&] { triple(dev, y, x, 0); });
  auto other = std::move(moved);
  dev.replay(other);
  CHECK(x.get() == each([](int i) { return 3 * (3 * (100 + i) + 5); }));
}

TEST_CASE("a device goes on after a recording that failed") {
  Dev dev;
  Numbers x(dev), y(dev);
  x.set(1);
  std::vector<int> v(n);
  CHECK_THROWS_WITH_AS(dev.record([&] { dev.upload(x.data(), v.data(), x.buffer.bytes()); }), "while a graph is recorded nothing can be uploaded", Error);
  CHECK_THROWS_WITH_AS(dev.record([&] { dev.download(v.data(), x.data(), x.buffer.bytes()); }), "while a graph is recorded nothing can be downloaded", Error);
  CHECK_THROWS_WITH_AS(dev.record([&] { Numbers z(dev); }), "while a graph is recorded memory cannot be allocated", Error);
  CHECK_THROWS_WITH_AS(dev.record([&] { dev.wait(); }), "while a graph is recorded nobody can wait", Error);
  CHECK_THROWS_AS(dev.record([&] { dev.record([] {}); }), Error);
  const auto graph = dev.record([&] { triple(dev, x, y, 5); });
  CHECK_THROWS_AS(dev.record([&] { dev.replay(graph); }), Error);
  CHECK_THROWS_AS(dev.record([&] { dev.fork(); }), Error);
  dev.replay(graph);
  CHECK(y.get() == each([](int i) { return 3 * (1 + i) + 5; }));
}

TEST_CASE("a second queue has the same memory and an arena of its own, and waits where it is told to") {
  for (int again = 0; again < 5; ++again) {
    Dev dev, beside = dev.fork();
    dev.reserve(10'000), beside.reserve(10'000);
    CHECK(dev.arena() != beside.arena());
    Numbers x(dev), y(dev), z(dev);
    x.set(1);
    triple(dev, x, y, 5, 2000);
    beside.wait_for(dev.mark());
    triple(beside, y, z, 1, 2000);                 // what comes before y is long enough to be overtaken
    triple(dev, x, x, 0);
    dev.wait_for(beside.mark());
    triple(dev, z, y, 2);
    int power = 1;
    for (int turn = 0; turn < 2000; ++turn) power = int(power * 3L % 1'000'003);
    CHECK(y.get() == each([&](int i) {
      const int first = int((1L + i) * power % 1'000'003) * 3 + 5;
      return (int(long(first) % 1'000'003 * power % 1'000'003) * 3 + 1) * 3 + 2;
    }));
    CHECK(x.get() == each([](int i) { return 3 * (1 + i); }));
  }
}

TEST_CASE("memory of the host that the device reads by itself, until somebody waited") {
  Dev dev, beside = dev.fork();
  Numbers x(dev), y(dev);
  const HostBuffer<Dev, int> host(dev, n);
  for (int turn = 0; turn < 4; ++turn) {
    for (int i = 0; i < n; ++i) host.data()[i] = turn + i;
    triple(beside, x, x, 0, 500);
    beside.upload_later(x.data(), host.data(), x.buffer.bytes());
    const auto there = beside.mark();
    triple(beside, x, y, turn);
    beside.wait_until(there);
  }
  for (int i = 0; i < n; ++i) host.data()[i] = -1;
  dev.wait_for(beside.mark());
  CHECK(y.get() == each([](int i) { return 3 * (3 + i) + 3; }));
  CHECK_THROWS_WITH_AS(dev.record([&] { dev.upload_later(x.data(), host.data(), x.buffer.bytes()); }), "while a graph is recorded nothing can be uploaded", Error);
  CHECK_THROWS_WITH_AS(dev.record([&] { dev.allocate_host(8); }), "while a graph is recorded memory cannot be allocated", Error);
  const HostBuffer<Dev, int> nothing(dev, 0);
  CHECK(nothing.data() == nullptr);
}

TEST_CASE("a graph holds what other queues do meanwhile") {
  Dev dev, beside = dev.fork();
  Numbers x(dev), y(dev), z(dev), sum(dev);
  x.set(1);
  const auto step = [&] {
    triple(dev, x, y, 1);
    beside.wait_for(dev.mark());
    triple(beside, y, z, 2);
    triple(dev, y, x, 3);
    dev.wait_for(beside.mark());
    parallel_for(dev, n, Add{z.data(), sum.data()});
  };
  const auto graph = dev.record(step);
  CHECK(sum.get() == std::vector<int>(n));
  dev.replay(graph), dev.replay(graph);
  step();
  CHECK(sum.get() == each([](int i) {
    int in = 1 + i, all = 0;
    for (int turn = 0; turn < 3; ++turn) all += 3 * (3 * in + 1) + 2, in = 3 * (3 * in + 1) + 3;
    return all;
  }));
  CHECK_THROWS_AS(dev.record([&] { beside.wait_for(dev.mark()), triple(beside, y, z, 2); }), Error);   // and nobody waits for it
  triple(beside, y, z, 2), triple(dev, y, x, 1);
  dev.wait(), beside.wait();
}

TEST_CASE("new memory is zero on every queue") {
  Dev dev, beside = dev.fork();
  const Numbers x(dev), y(beside), sum(beside);
  parallel_for(beside, n, Add{x.data(), sum.data()});
  parallel_for(beside, n, Add{y.data(), sum.data()});
  CHECK(sum.get() == std::vector<int>(n));
}
