/// The emulator itself: every word does what CUDA says, and every rule broken is refused with a sentence of its own.
#include <doctest/doctest.h>

#include <string>

#include "../support/emulator/emulated.hpp"

using namespace lamina::simt;

namespace {
constexpr unsigned seeds = 8;

/// A machine with some memory: what is written there is NaN, and what may only be read is zero.
struct Bench {
  Machine machine;
  unsigned seed = 1;
  alignas(256) int in[64] = {}, no_buffer[64], out[64], constants[64] = {};
  alignas(256) std::uint16_t halves[512];
  Bench() {
    std::memset(out, 0xFF, sizeof out);
    machine.global.add(in, sizeof in, true, "in");
    machine.global.add(out, sizeof out, true, "out");
    machine.global.add(constants, sizeof constants, false, "constants");
    machine.global.add(halves, sizeof halves, true, "halves");
  }
  template <class Kernel> void run(int threads, Kernel kernel, int blocks = 1) { machine.launch({blocks, 1, 1}, threads, 4096, kernel, seed); }
  /// What the emulator says to it; nothing where it has nothing to say.
  template <class Kernel> std::string says(int threads, Kernel kernel, int blocks = 1) {
    try { run(threads, kernel, blocks); }
    catch (const Error& e) { return e.what(); }
    return "nothing";
  }
};
template <class T = int> T* shared(int i = 0) { return reinterpret_cast<T*>(shared_memory()) + i; }

/// f(bench) for some orders of lanes, warps and blocks.
template <class F> void under_every_order(F f) {
  for (unsigned seed = 1; seed <= seeds; ++seed) {
    CAPTURE(seed);
    Bench bench;
    bench.seed = seed;
    f(bench);
  }
}
template <class Kernel> void refused(const char* words, int threads, Kernel kernel, int blocks = 1) {
  under_every_order([&](Bench& bench) {
    const std::string said = bench.says(threads, [&] { kernel(bench); }, blocks);
    INFO("wanted \"" << std::string(words) << "\", said \"" << said << "\"");
    CHECK(said.find(words) != said.npos);
  });
}
template <class Kernel> void allowed(int threads, Kernel kernel, int blocks = 1) {
  under_every_order([&](Bench& bench) { CHECK(bench.says(threads, [&] { kernel(bench); }, blocks) == "nothing"); });
}
void write_all(int t) { store(shared(t), t), sync_block(); }
}  // namespace

TEST_CASE("lanes of a warp exchange words and votes") {
  under_every_order([](Bench& b) {
    b.run(64, [&] {
      const int t = thread_index(), lane = t % 32;
      int right = shuffle_xor(t, 5) == (t ^ 5);
      right += shuffle_down(t, 3) == (lane + 3 < 32 ? t + 3 : t);
      right += shuffle(t, 7) == t / 32 * 32 + 7;
      right += shuffle_xor(float(t) / 4, 1) == float(t ^ 1) / 4;
      right += ballot(lane % 3 == 0) == 0x49249249u;
      right += shuffle_up(t, 3) == (lane < 3 ? t : t - 3);
      right += shuffle_down(0x1p40 + t, 1) == 0x1p40 + (lane < 31 ? t + 1 : t);
      right += any(t == 40) == (t >= 32) && !any(t < 0);
      right += all(t != 40) == (t < 32) && all(t >= 0);
      store(&b.out[t], right);
    });
    for (int right : b.out) CHECK(right == 9);
  });
}

TEST_CASE("a block meets at its barrier, and blocks know where they are") {
  under_every_order([](Bench& b) {
    b.run(64, [&] {
      const int t = thread_index();
      store(shared(t), t);
      sync_block();
      store(&b.out[t], load(shared(63 - t)));
      atomic_add(&b.in[0], 1);
    });
    for (int t = 0; t < 64; ++t) CHECK(b.out[t] == 63 - t);
    CHECK(b.in[0] == 64);
    b.machine.launch({2, 3, 2}, 32, 0, [&] {
      const Place i = block_index(), of = grid_size();
      if (thread_index() == 0) store(&b.out[(i.z * of.y + i.y) * of.x + i.x], i.x + 10 * i.y + 100 * i.z);
    }, b.seed);
    for (int i = 0; i < 12; ++i) CHECK(b.out[i] == i % 2 + 10 * (i / 2 % 3) + 100 * (i / 6));
  });
}

TEST_CASE("copies arrive when they are waited for, as zeros where they are outside") {
  under_every_order([](Bench& b) {
    for (int i = 0; i < 64; ++i) b.in[i] = i;
    b.run(32, [&] {
      const int t = thread_index();
      copy_async(shared(4 * t), &b.in[4 * (t % 16)], t < 16);
      copy_commit();
      copy_async(shared(128 + 4 * t), &b.in[4 * (15 - t % 16)], true);
      copy_commit();
      copy_wait<1>();
      const int own = load(shared(4 * t + 1));
      copy_wait<0>();
      sync_block();
      store(&b.out[t], own), store(&b.out[32 + t], load(shared(128 + 4 * ((t + 1) % 32))));
    });
    for (int t = 0; t < 32; ++t) CHECK((b.out[t] == (t < 16 ? 4 * t + 1 : 0) && b.out[32 + t] == 4 * (15 - (t + 1) % 16)));
  });
}

TEST_CASE("matrices are loaded as they lie and across, and multiplied") {  // a(i, k) = i + k, b(k, j) = k - j, a row of either after the other
  under_every_order([](Bench& b) {
    for (int i = 0; i < 512; ++i) b.halves[i] = to_bf16(float(i < 256 ? i / 16 + i % 16 : (i - 256) / 16 - i % 16));
    int wrong = 0;
    b.run(32, [&] {
      const int lane = thread_index();
      for (int i = lane; i < 64; i += 32) copy_async(shared<std::uint16_t>(i * 8), &b.halves[i * 8], true);
      copy_commit();
      copy_wait<0>();
      sync_warp();
      unsigned rows[4], columns[4];
      load_matrices(rows, shared<std::uint16_t>(lane % 16 * 16 + lane / 16 * 8));
      load_matrices_transposed(columns, shared<std::uint16_t>(256 + lane % 16 * 16 + lane / 16 * 8));
      float d[4] = {1, 1, 1, 1};
      multiply_add(d, rows, columns[0], columns[1]);
      for (int r = 0; r < 4; ++r) {
        const int i = lane / 4 + 8 * (r / 2), j = lane % 4 * 2 + r % 2;
        float sum = 1;
        for (int k = 0; k < 16; ++k) sum += float((i + k) * (k - j));
        wrong += d[r] != sum;
      }
    });
    CHECK(wrong == 0);
    CHECK(b.machine.counters.tensor_multiplies == 1);
  });
}

TEST_CASE("one matrix and two are loaded like four") {
  under_every_order([](Bench& b) {
    for (int i = 0; i < 512; ++i) b.halves[i] = std::uint16_t(i);
    int wrong = 0;
    b.run(32, [&] {
      const int lane = thread_index();
      for (int i = 0; i < 4; ++i) store(shared<std::uint16_t>(lane + 32 * i), load(&b.halves[lane + 32 * i]));  // two matrices, a row after the other
      sync_warp();
      const int low = 8 * (lane / 4) + lane % 4 * 2, across = 16 * (lane % 4) + lane / 4;
      unsigned one[1], two[2], turned[2];
      load_matrices(one, shared<std::uint16_t>(lane < 8 ? 8 * lane : -1000));  // the other lanes' addresses are not looked at
      load_matrices(two, shared<std::uint16_t>(8 * (lane % 16)));
      load_matrices_transposed(turned, shared<std::uint16_t>(8 * (lane % 16)));
      wrong += one[0] != unsigned(low | (low + 1) << 16) || two[0] != one[0] || two[1] != unsigned((64 + low) | (65 + low) << 16);
      wrong += turned[0] != unsigned(across | (across + 8) << 16) || turned[1] != unsigned((64 + across) | (72 + across) << 16);
      load_matrices_transposed(one, shared<std::uint16_t>(8 * (lane % 8)));
      wrong += one[0] != turned[0];
    });
    CHECK(wrong == 0);
  });
}

TEST_CASE("floats of tf32 are multiplied") {  // a(i, k) = i - k, b(k, j) = 1 + k j; b lies a column after the other
  under_every_order([](Bench& b) {
    int wrong = 0;
    b.run(32, [&] {
      const int lane = thread_index();
      for (int i = lane; i < 128; i += 32) store(shared<unsigned>(i), to_tf32(float(i / 8 - i % 8)));
      for (int i = lane; i < 64; i += 32) store(shared<unsigned>(128 + i), to_tf32(float(1 + i % 8 * (i / 8))) | 0x1FFF);  // what the lower bits are does not matter
      sync_warp();
      unsigned rows[4], columns[2];
      load_matrices(rows, shared(lane % 16 * 8 + lane / 16 * 4));
      load_matrices(columns, shared(128 + lane % 8 * 8 + lane / 8 % 2 * 4));
      float d[4] = {1, 1, 1, 1};
      multiply_add_tf32(d, rows, columns[0], columns[1]);
      for (int r = 0; r < 4; ++r) {
        const int i = lane / 4 + 8 * (r / 2), j = lane % 4 * 2 + r % 2;
        int sum = 1;
        for (int k = 0; k < 8; ++k) sum += (i - k) * (1 + k * j);
        wrong += d[r] != float(sum);
      }
    });
    CHECK(wrong == 0);
    CHECK(b.machine.counters.tensor_multiplies == 1);
  });
}

TEST_CASE("tf32 is rounded to ten bits, ties away from zero") {
  CHECK(to_tf32(1.f) == 0x3F800000);
  CHECK(to_tf32(1.f + 0x1p-11f) == 0x3F802000);
  CHECK(to_tf32(-1.f - 0x1p-11f) == 0xBF802000);
  CHECK(to_tf32(1.f + 0x1p-12f) == 0x3F800000);
  CHECK(to_tf32(INFINITY) == 0x7F800000);
}

TEST_CASE("numbers of 1, 2, 4, 8 and 16 bytes lie side by side in shared memory") {
  const auto each = [](auto one) {
    using T = decltype(one);
    under_every_order([one](Bench& b) {
      int wrong = 0;
      b.run(64, [&] {
        const int t = thread_index();
        store(shared<T>(t), one);
        for (int again = 0; again < 2; ++again) {  // neighbours are read and written without a barrier between
          sync_block();
          const T before = load(shared<T>(63 - t));
          wrong += std::memcmp(&before, shared<T>(t), sizeof(T)) != 0;
          sync_block();
          store(shared<T>(t), before);
        }
        if (t < 32) sync_warp(), store(shared<T>(t), one), load(shared<T>(t));
        else store(shared<T>(t), one);
      });
      CHECK(wrong == 0);
    });
    refused("race", 64, [one](Bench&) { store(shared<T>(thread_index() ^ 1), one), store(shared<T>(thread_index()), one); });
  };
  each(char(1)), each(std::uint16_t(1)), each(1), each(1.), each(Vec4{1, 2, 3, 4});
  // A number may be written in parts and read whole, or the other way.
  allowed(64, [](Bench&) { store(shared<char>(thread_index()), 'a'), sync_block(), load(shared<Vec4>(thread_index() / 16)); });
  allowed(64, [](Bench&) { if (thread_index() < 4) store(shared<Vec4>(thread_index()), Vec4{}); sync_block(), load(shared<char>(thread_index())), store(shared<char>(thread_index()), 'a'); });
  refused("race", 64, [](Bench&) { store(shared<char>(thread_index()), 0), sync_block(), store(shared<char>(thread_index()), 1), load(shared<Vec4>(thread_index() / 16)); });
  refused("race", 32, [](Bench&) { if (thread_index() < 4) store(shared<Vec4>(thread_index()), Vec4{}); sync_warp(), load(shared<char>(2 * thread_index())), store(shared<char>(2 * (31 - thread_index())), 'a'); });
  refused("nobody wrote", 32, [](Bench&) { store(shared<char>(2 * thread_index()), 'a'), sync_warp(), load(shared<short>(thread_index())); });
}

TEST_CASE("lanes add to one number, in shared memory and in the device's") {
  under_every_order([](Bench& b) {
    alignas(256) std::int64_t sums[2] = {-5, 0};
    b.machine.global.add(sums, sizeof sums, true, "sums");
    b.run(64, [&] {
      const int t = thread_index();
      if (t == 0) store(shared<unsigned>(), 7u);
      sync_block();
      atomic_add(shared<unsigned>(), unsigned(t));
      sync_block();
      if (t == 0) store(&b.out[block_index().x], int(load(shared<unsigned>())));
      atomic_add(&sums[0], std::int64_t(-1) << 33);
      atomic_add(&b.in[2], -1);
    }, 2);
    b.machine.global.remove(sums);
    CHECK((b.out[0] == 7 + 63 * 32 && b.out[1] == b.out[0] && sums[0] == -5 - (std::int64_t(128) << 33) && sums[1] == 0 && b.in[2] == -128));
  });
  const auto begin = [] { if (thread_index() == 0) store(shared(), 0); sync_block(); };
  refused("race", 64, [&](Bench&) { begin(), atomic_add(shared(), 1), load(shared()); });
  refused("race", 64, [&](Bench&) { begin(), atomic_add(shared(), 1), sync_warp(), load(shared()); });
  refused("race", 64, [&](Bench&) { begin(), atomic_add(shared(), 1), store(shared(), 1); });
  refused("race", 32, [&](Bench&) { begin(); if (thread_index() == 9) store(shared(), 0); atomic_add(shared(), 1); });
  refused("race", 32, [&](Bench&) { begin(), load(shared()), atomic_add(shared(), 1); });
  refused("nobody wrote", 32, [&](Bench&) { atomic_add(shared(), 1); });
  allowed(32, [&](Bench&) { begin(), atomic_add(shared(), 1), sync_warp(), load(shared()), sync_warp(), store(shared(thread_index()), 1); });
  refused("race: two blocks", 32, [](Bench& b) { atomic_add(&b.in[0], 1), load(&b.in[0]); }, 2);
  refused("race: two blocks", 32, [](Bench& b) { if (block_index().x) store(&b.in[0], 1); else atomic_add(&b.in[0], 1); }, 2);
  allowed(32, [](Bench& b) { atomic_add(&b.in[0], 1), load(&b.in[1]), load(&b.in[2]), store(&b.in[4 + block_index().x], 1); }, 2);
}

TEST_CASE("a fused multiply-add is rounded once, and counted") {
  Bench b;
  float close = 0;
  b.run(32, [&] {
    const float near = fma(1 + 0x1p-12f, 1 + 0x1p-12f, -1.f);  // 2^-11 + 2^-24: a product that was rounded would have lost the second
    if (lamina::simt::fma(3., 2., 1.) == 7) close = near;
  });
  CHECK(close == 0x1p-11f + 0x1p-24f);
  CHECK(b.machine.counters.multiply_adds == 64);
}

TEST_CASE("bf16 is rounded to the nearest, ties to even, and every NaN is the same") {
  CHECK(to_bf16(1.f) == 0x3F80);
  CHECK(to_bf16(1.f + 1.f / 256) == 0x3F80);      // half way, and 0x3F80 is even
  CHECK(to_bf16(1.f + 3.f / 256) == 0x3F82);
  CHECK(to_bf16(1.f + 1.0001f / 256) == 0x3F81);
  CHECK(to_bf16(3.4e38f) == 0x7F80);              // the largest bf16 is 3.39e38
  CHECK(to_bf16(-NAN) == 0x7FFF);
  CHECK(from_bf16(0xC020) == -2.5f);
  CHECK(pack_bf16(1.f, -2.5f) == 0xC0203F80);
}

TEST_CASE("lanes that do not meet where they must are refused") {
  refused("divergence", 32, [](Bench&) { if (thread_index() < 16) ballot(true); else shuffle_xor(2, 1); });
  refused("divergence", 32, [](Bench&) { if (thread_index() < 16) sync_warp();
                                         else sync_warp(); });
  refused("divergence", 32, [](Bench&) { if (thread_index() != 9) sync_warp(); else sync_block(); });
  refused("lane 9 has left", 32, [](Bench&) { if (thread_index() != 9) sync_block(); });
  refused("has left", 32, [](Bench&) { if (thread_index() % 2) shuffle(1, 0); });
  refused("1 have left the kernel", 64, [](Bench&) { if (thread_index() < 32) sync_block(); });
  refused("different barriers", 64, [](Bench&) { if (thread_index() < 32) sync_block();
                                                 else sync_block(); });
}

TEST_CASE("shared memory has bounds, and nothing in it is read that nobody wrote") {
  refused("byte 4096 + 4 is outside the 4096", 32, [](Bench&) { store(shared(1024), 1); });
  refused("outside the 4096", 32, [](Bench&) { load(shared(-1)); });
  refused("not aligned for 4 bytes", 32, [](Bench&) { store(reinterpret_cast<int*>(shared<char>(2)), 1); });
  refused("not aligned for 16 bytes", 32, [](Bench&) { load(reinterpret_cast<Vec4*>(shared(2))); });
  refused("nobody wrote", 32, [](Bench&) { load(shared(0)); });
  refused("nobody wrote", 64, [](Bench&) { write_all(thread_index()), load(shared<Vec4>(16)); });
  refused("nobody wrote", 32, [](Bench&) { if (thread_index() == 0) store(shared(0), 1); sync_block(), load(shared<Vec2>(0)); });
  refused("nobody wrote", 32, [](Bench& b) { if (block_index().x == int(b.seed % 2)) write_all(thread_index()); else load(shared(thread_index())); }, 2);  // another block's is not ours
  refused("nobody wrote", 32, [](Bench&) { unsigned m[4]; load_matrices(m, shared<std::uint16_t>(8 * thread_index())); });
  refused("cannot be launched", 48, [](Bench&) {});
  refused("cannot be launched", 2048, [](Bench&) {});
}

TEST_CASE("lanes that touch a byte with no barrier between, one of them writing, are a race") {
  const auto t = [] { return thread_index(); };
  refused("race: lane", 32, [&](Bench&) { write_all(t()), store(shared(t()), 1), load(shared(t() ^ 1)); });
  refused("race: lane", 32, [&](Bench&) { write_all(t()), load(shared(t() ^ 1)), store(shared(t()), 1); });
  refused("race: lane", 64, [&](Bench&) { write_all(t()), store(shared(t()), 1), sync_warp(), load(shared(t() ^ 32)); });
  refused("race: lane", 64, [&](Bench&) { store(shared(t() % 32), 1); });
  refused("race: lane", 64, [&](Bench&) {
    if (t() == 0) store(shared(0), 1);
    sync_block();
    load(shared(0)), sync_warp();
    if (t() == 40) store(shared(0), 2);
  });
  refused("under an asynchronous copy", 32, [&](Bench& b) { write_all(t()), copy_async(shared(4 * (t() % 16)), b.in, true); });
  // With a barrier of the warp between, or of the block, all of it is right.
  allowed(64, [&](Bench&) { store(shared(t()), 1), sync_warp(), load(shared(t() ^ 1)), sync_warp(), store(shared(t() ^ 3), 1); });
  allowed(64, [&](Bench&) { write_all(t()), load(shared(63 - t())), sync_block(), store(shared(t() ^ 32), 1), load(shared(t() ^ 32)); });
  allowed(64, [&](Bench&) { write_all(t()), load(shared(0)), load(shared(t())); });
}

TEST_CASE("copies that nobody waits for are refused") {
  const auto begin = [](Bench& b) { copy_async(shared(4 * thread_index()), b.in, true); };
  refused("nobody waited for", 32, [&](Bench& b) { begin(b), copy_commit(), load(shared(4 * thread_index())); });
  refused("nobody waited for", 32, [&](Bench& b) { begin(b), copy_commit(), copy_wait<1>(), load(shared(4 * thread_index())); });
  refused("nobody waited for", 32, [&](Bench& b) { begin(b), copy_wait<0>(), load(shared(4 * thread_index())); });
  refused("never waited for", 32, [&](Bench& b) { begin(b), copy_commit(); });
  refused("never waited for", 32, [&](Bench& b) { begin(b); });
  refused("lane", 32, [&](Bench& b) { begin(b), copy_commit(), copy_wait<0>(), load(shared(4 * (thread_index() ^ 1))); });  // a race, or sooner
  refused("outside its 256", 32, [](Bench& b) { copy_async(shared(4 * thread_index()), &b.in[64], true); });
  allowed(32, [](Bench& b) { copy_async(shared(4 * thread_index()), &b.in[64], false), copy_commit(), copy_wait<0>(), load(shared(4 * thread_index())); });
}

TEST_CASE("device memory has bounds, and no block touches what another one writes") {
  refused("4 bytes at in + 256: outside its 256", 32, [](Bench& b) { load(b.in + 64); });
  refused("4 bytes at in + -4: outside its 256", 32, [](Bench& b) { const int* const p = b.in; load(p - 1); });
  refused("in no buffer", 32, [](Bench&) { int local = 0; load(&local); });
  refused("only read", 32, [](Bench& b) { store(&b.constants[0], 1); });
  refused("not aligned for 16 bytes", 32, [](Bench& b) { load(reinterpret_cast<Vec4*>(&b.in[1])); });
  refused("race: two blocks", 32, [](Bench& b) { store(&b.out[thread_index()], 1); }, 2);
  refused("race: two blocks", 32, [](Bench& b) { if (block_index().x == 0) store(&b.out[0], 1); else load(&b.out[0]); }, 2);
  refused("race: two blocks", 32, [](Bench& b) { load(&b.in[1]); if (block_index().x == 1) store(&b.in[1], 1); }, 3);
  refused("race: two blocks", 32, [](Bench& b) { load(&b.in[block_index().x]); if (block_index().x == 2) store(&b.in[1], 1); }, 3);
  allowed(32, [](Bench& b) { store(&b.out[32 * block_index().x + thread_index()], 1), load(&b.in[1 + thread_index()]), atomic_add(&b.in[0], 1); }, 2);
  Bench b;
  for (int launch = 0; launch < 3; ++launch) b.run(32, [&] { if (block_index().x == launch) store(&b.out[0], 1); }, 3);
}

TEST_CASE("an error leaves the machine as good as new") {
  under_every_order([](Bench& b) {
    for (int again = 0; again < 3; ++again) {
      CHECK(b.says(64, [] { sync_warp(), load(shared(thread_index())); }).find("nobody wrote") != std::string::npos);
      CHECK_THROWS_WITH_AS(b.run(64, [] { sync_block(); if (thread_index() == 50) throw std::runtime_error("of the kernel's own"); sync_block(); }), "of the kernel's own", std::runtime_error);
      b.run(64, [&] { write_all(thread_index()), store(&b.out[thread_index()], load(shared(63 - thread_index()))); });
      CHECK(b.out[9] == 54);
    }
  });
}

TEST_CASE("sectors, banks and instructions are counted") {
  under_every_order([](Bench& b) {
    const auto counted = [&](auto kernel) { return b.machine.counters = {}, b.run(32, kernel), b.machine.counters; };
    const auto t = [] { return thread_index(); };
    Counters c = counted([&] { load(&b.in[t()]); });
    CHECK((c.read_bytes == 128 && c.distinct_read_bytes == 128 && c.written_bytes == 0 && c.launches == 1 && c.blocks == 1));
    c = counted([&] { load(&b.in[2 * t()]), load(&b.in[2 * t()]); });
    CHECK((c.read_bytes == 512 && c.distinct_read_bytes == 256));
    c = counted([&] { if (t() < 9) store(&b.out[t()], 1); });
    CHECK((c.written_bytes == 64 && c.distinct_written_bytes == 64 && c.read_bytes == 0));
    c = counted([&] { store(shared(32 * t()), 1); });
    CHECK((c.bank_conflicts == 31 && c.shared_wavefronts == 32));
    c = counted([&] { store(shared<Vec4>(t()), Vec4{}), store(shared(128 + t()), 1); });
    CHECK((c.bank_conflicts == 0 && c.shared_wavefronts == 5));
    c = counted([&] { store(shared<Vec4>(t()), Vec4{}), sync_warp(), load(shared(7)); });
    CHECK((c.bank_conflicts == 0 && c.shared_wavefronts == 5));
  });
}
