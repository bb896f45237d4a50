/// The emulated device's own rules: queues that do not wait, graphs of memory that is gone, copies that go astray, and what it counts.
#include <doctest/doctest.h>

#include <lamina/core/error.hpp>

#include <string>
#include <vector>

#include "../support/emulator/emulated.hpp"

using lamina::Buffer, lamina::Index;
using lamina_test::Emulated;

namespace lamina::emulated_test::inline LAMINA_SIMT {
using namespace simt;
/// to[i] = from[i] + 1, or of `from` alone or `to` alone, where the other is null.
struct Next {
  static constexpr int threads = 32, shared_bytes = 0;
  LAMINA_DEVICE static void run(const int* from, int* to) {
    const int t = thread_index(), v = from ? load(from + t) : 0;
    if (to) store(to + t, v + 1);
  }
};
struct Halves {
  static constexpr int threads = 32, shared_bytes = 0;
  LAMINA_DEVICE static void run(int* to, int first) {
    if (thread_index() < 4) store(to + first + thread_index(), 1);
  }
};
struct Nothing {
  static constexpr int threads = 32, shared_bytes = 0;
  LAMINA_DEVICE static void run() {}
};
}  // namespace lamina::emulated_test::inline LAMINA_SIMT

namespace {
using namespace lamina::emulated_test;
struct Set { int* p; void operator()(Index i) const { p[i] = 1; } };

struct Memory {
  Buffer<Emulated, int> a, b, c;
  explicit Memory(Emulated& dev) : a(dev, 32), b(dev, 32), c(dev, 32) {}
};
void next(Emulated& dev, const Buffer<Emulated, int>* from, const Buffer<Emulated, int>* to) {
  dev.launch<Next>({}, static_cast<const int*>(from ? from->data() : nullptr), to ? to->data() : nullptr);
}
/// What is said to f(device, second queue, memory) on some machine; of some orders one shows it.
template <class F> std::string says(F f) {
  std::string said = "nothing";
  for (unsigned seed = 1; seed <= 20; ++seed) {
    Emulated dev(seed), beside = dev.fork();
    const Memory m(dev);
    try { f(dev, beside, m), dev.wait(), beside.wait(); }
    catch (const lamina::simt::Error& e) { said = e.what(); }
  }
  return said;
}
bool holds(const std::string& said, const char* words) {
  INFO(said);
  return said.find(words) != said.npos;
}
}  // namespace

TEST_CASE("queues that share memory and do not wait for each other are told so") {
  const auto writes_and_reads = says([](auto& dev, auto& beside, auto& m) { next(dev, nullptr, &m.a), next(beside, &m.a, &m.b); });
  CHECK(holds(writes_and_reads, ", and nothing makes it wait"));
  CHECK((holds(writes_and_reads, "queue 1 reads what queue 0 writes (") || holds(writes_and_reads, "queue 0 writes what queue 1 reads (")));
  CHECK(holds(says([](auto& dev, auto& beside, auto& m) { next(dev, nullptr, &m.a), next(beside, nullptr, &m.a); }), "writes what queue"));
  CHECK(holds(says([](auto& dev, auto& beside, auto& m) { next(dev, &m.a, nullptr), next(beside, nullptr, &m.a); }), "nothing makes it wait"));
  CHECK(holds(says([](auto& dev, auto& beside, auto& m) {  // both read it, and one of them is not waited for
    next(dev, &m.a, nullptr), next(beside, &m.a, nullptr);
    Emulated third = dev.fork();
    third.wait_for(dev.mark()), next(third, nullptr, &m.a), third.wait();
  }), "writes what queue 1 reads"));
  CHECK(holds(says([](auto& dev, auto& beside, auto& m) {  // waits, but for too little
    const auto early = dev.mark();
    next(dev, nullptr, &m.a), beside.wait_for(early), next(beside, &m.a, &m.b);
  }), "nothing makes it wait"));
  CHECK(holds(says([](auto& dev, auto& beside, auto& m) {
    const std::vector<int> v(32);
    next(beside, &m.a, &m.b), dev.upload(m.a.data(), v.data(), m.a.bytes());
  }), "nothing makes it wait"));
  CHECK(holds(says([](auto& dev, auto& beside, auto& m) {
    std::vector<int> v(32);
    next(beside, &m.a, &m.b), dev.download(v.data(), m.b.data(), m.b.bytes());
  }), "nothing makes it wait"));
}

TEST_CASE("queues that wait, or share nothing that is written, are told nothing") {
  CHECK(says([](auto& dev, auto& beside, auto& m) {
    next(dev, nullptr, &m.a), beside.wait_for(dev.mark()), next(beside, &m.a, &m.b), dev.wait_for(beside.mark()), next(dev, &m.b, &m.a);
  }) == "nothing");
  CHECK(says([](auto& dev, auto& beside, auto& m) { next(dev, &m.a, &m.b), next(beside, &m.a, &m.c); }) == "nothing");
  CHECK(says([](auto& dev, auto& beside, auto& m) { dev.template launch<Halves>({}, m.a.data(), 0), beside.template launch<Halves>({}, m.a.data(), 8); }) == "nothing");
  CHECK(says([](auto& dev, auto& beside, auto& m) { next(dev, nullptr, &m.a), dev.wait(), next(beside, &m.a, &m.b); }) == "nothing");
  CHECK(says([](auto& dev, auto& beside, auto& m) {  // by way of a third
    Emulated third = dev.fork();
    next(dev, nullptr, &m.a), third.wait_for(dev.mark()), beside.wait_for(third.mark()), next(beside, &m.a, &m.b);
  }) == "nothing");
}

TEST_CASE("one queue within a graph that does not wait for another is told so") {
  const auto in_a_graph = [](bool waits) {
    return says([=](auto& dev, auto& beside, auto& m) {
      const auto graph = dev.record([&] {
        beside.wait_for(dev.mark());
        next(dev, nullptr, &m.a);
        if (waits) beside.wait_for(dev.mark());
        next(beside, &m.a, &m.b);
        dev.wait_for(beside.mark());
      });
      dev.replay(graph), dev.replay(graph), next(dev, &m.b, &m.c);
    });
  };
  CHECK(holds(in_a_graph(false), "nothing makes it wait"));
  CHECK(in_a_graph(true) == "nothing");
  CHECK(holds(says([](auto& dev, auto& beside, auto& m) { dev.replay(dev.record([&] { next(dev, nullptr, &m.a); })), next(beside, &m.a, nullptr); }), "nothing makes it wait"));
}

TEST_CASE("host memory that a GPU reads by itself is written to by those who waited") {
  const auto with = [](auto f) {
    return says([=](auto& dev, auto& beside, auto& m) {
      const lamina::HostBuffer<Emulated, int> host(dev, 64);
      f(dev, beside, m, host.data());
    });
  };
  const auto again = [](auto wait) {
    return [=](auto& dev, auto& beside, auto& m, int* host) {
      beside.upload_later(m.a.data(), host, m.a.bytes());
      const auto there = beside.mark();
      dev.wait(), wait(beside, there);
      host[3] = 1;
      beside.upload_later(m.b.data(), host + 32, m.b.bytes());
    };
  };
  CHECK(holds(with(again([](auto&, auto&) {})), "nobody has waited for the copy that reads it"));
  CHECK(with(again([](auto& beside, auto& there) { beside.wait_until(there); })) == "nothing");
  CHECK(with(again([](auto& beside, auto&) { beside.wait(); })) == "nothing");
  CHECK(holds(with([](auto&, auto& beside, auto& m, int* host) { beside.upload_later(m.a.data(), host, m.a.bytes()), host[3] = 1; }), "host memory was written to before the queue had read it"));
  CHECK(holds(with([](auto&, auto& beside, auto& m, int* host) { beside.upload_later(m.a.data(), host + 33, m.a.bytes()); }), "in no host memory that a GPU reads"));
  CHECK(holds(with([](auto& dev, auto& beside, auto& m, int* host) { next(dev, &m.a, &m.b), beside.upload_later(m.a.data(), host, m.a.bytes()); }), "nothing makes it wait"));
}

TEST_CASE("recordings that could not be a graph are refused") {
  Emulated dev, beside = dev.fork();
  const Memory m(dev);
  const auto outside = dev.mark();
  CHECK_THROWS_WITH_AS(dev.record([&] { dev.wait_for(outside); }), "what is recorded cannot wait for an event of what is not", lamina::Error);
  CHECK_THROWS_WITH_AS(dev.record([&] { beside.wait_for(dev.mark()), next(beside, &m.a, &m.b); }),
                       "queue 1 is part of what queue 0 records, which must wait for all of it before the recording ends", lamina::Error);
  auto event = dev.mark();
  const auto graph = dev.record([&] { event = dev.mark(); });
  CHECK_THROWS_WITH_AS(beside.wait_for(event), "an event within a recording is for that recording only", lamina::Error);
}

TEST_CASE("a graph of memory that was freed is refused, and nobody gets its address") {
  Emulated dev;
  auto a = std::make_unique<Buffer<Emulated, int>>(dev, 32), b = std::make_unique<Buffer<Emulated, int>>(dev, 32);
  const int* const freed = a->data();
  {
    const auto of_kernel = dev.record([&] { next(dev, a.get(), b.get()); });
    const auto of_functor = dev.record([&] { parallel_for(dev, 32, Set{a->data()}); });
    const auto of_other = dev.record([&] { next(dev, nullptr, b.get()); });
    dev.replay(of_kernel), dev.replay(of_functor), dev.replay(of_other);
    a = nullptr;
    CHECK_THROWS_WITH_AS(dev.replay(of_kernel), "a graph is replayed that uses memory which was freed since it was recorded", lamina::Error);
    CHECK_THROWS_AS(dev.replay(of_functor), lamina::Error);
    dev.replay(of_other);
    for (int i = 0; i < 20; ++i) CHECK(Buffer<Emulated, int>(dev, 32).data() != freed);
  }
  const auto of_arena = (dev.reserve(4096), dev.record([&] { dev.launch<Next>({}, static_cast<const int*>(nullptr), reinterpret_cast<int*>(dev.arena())); }));
  dev.replay(of_arena);
  dev.reserve(8192);
  CHECK_THROWS_AS(dev.replay(of_arena), lamina::Error);
}

TEST_CASE("memory that was freed is not touched, and copies stay within theirs") {
  Emulated dev;
  const Memory m(dev);
  const auto graphs = dev.record([] {});  // as long as there is one, what was freed is remembered
  int* const gone = static_cast<int*>(dev.allocate(128));
  dev.deallocate(gone, 128);
  CHECK_THROWS_WITH_AS(dev.launch<Next>({}, static_cast<const int*>(nullptr), gone), doctest::Contains("which was freed"), lamina::simt::Error);
  std::vector<int> v(33);
  CHECK_THROWS_WITH_AS(dev.upload(m.a.data(), v.data(), 33 * sizeof(int)), doctest::Contains("132 bytes at device memory + 0: outside its 128"), lamina::simt::Error);
  CHECK_THROWS_WITH_AS(dev.download(v.data(), m.a.data() + 1, 32 * sizeof(int)), doctest::Contains("outside its 128"), lamina::simt::Error);
  dev.upload(m.a.data(), v.data(), 32 * sizeof(int));
}

TEST_CASE("what goes wrong late is said to whoever waits next, and then all is well") {
  Emulated dev, beside = dev.fork();
  {
    const Memory m(dev);
    dev.launch<Next>({}, static_cast<const int*>(nullptr), m.a.data() + 32);
  }
  CHECK_THROWS_WITH_AS(dev.wait(), doctest::Contains("outside its 128"), lamina::simt::Error);
  const Memory m(dev);
  next(dev, nullptr, &m.a), dev.wait();
  dev.launch<Next>({}, m.a.data() + 1, m.b.data());
  CHECK_THROWS_AS(dev.wait(), lamina::simt::Error);
  beside.wait();
  CHECK(m.a.data()[31] == 1);
}

TEST_CASE("launches and replays are counted, and memory that is moved") {
  Emulated dev;
  const Memory m(dev);
  const auto graph = dev.record([&] { next(dev, &m.a, &m.b), parallel_for(dev, 32, Set{m.c.data()}); });
  CHECK((dev.counters().launches == 0 && dev.counters().replays == 0));
  dev.replay(graph), dev.replay(graph), next(dev, &m.b, nullptr);
  parallel_for(dev, 0, Set{nullptr});
  CHECK((dev.counters().launches == 5 && dev.counters().replays == 2));
  CHECK((dev.counters().distinct_read_bytes == 3 * 128 && dev.counters().distinct_written_bytes == 2 * 128));
  dev.counters() = {};
  dev.launch<Nothing>({});
  CHECK((dev.counters().launches == 1 && dev.counters().blocks == 1 && dev.counters().distinct_read_bytes == 0));
}

TEST_CASE("a launch that no GPU would take is refused") {
  Emulated dev;
  CHECK_THROWS_WITH_AS(dev.launch<Nothing>({0, 1, 1}), "a grid of 0 x 1 x 1 blocks cannot be launched", lamina::simt::Error);
  CHECK_THROWS_AS(dev.launch<Nothing>({1, 1, 65536}), lamina::simt::Error);
  CHECK_THROWS_WITH_AS(Emulated().launch<Next>({}, static_cast<const int*>(nullptr), reinterpret_cast<int*>(32)), doctest::Contains("in no buffer"), lamina::simt::Error);
}
