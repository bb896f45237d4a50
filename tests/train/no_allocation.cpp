// A training step allocates nothing: every way to memory that the C library has is counted, operator new included, which ends in malloc.
#include <lamina/lamina.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>

#include "../support/nets.hpp"
#include "../support/sanitized.hpp"

#if defined(__GLIBC__) && !defined(LAMINA_TEST_SANITIZED) && !defined(__SANITIZE_THREAD__)
#define LAMINA_TEST_COUNTS_ALLOCATIONS

namespace { std::atomic<long> allocations{0}; }

extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t bytes) { return ++allocations, __libc_malloc(bytes); }
void* calloc(std::size_t n, std::size_t bytes) { return ++allocations, __libc_calloc(n, bytes); }
void* realloc(void* p, std::size_t bytes) { return ++allocations, __libc_realloc(p, bytes); }
void* memalign(std::size_t alignment, std::size_t bytes) { return ++allocations, __libc_memalign(alignment, bytes); }
void* aligned_alloc(std::size_t alignment, std::size_t bytes) { return ++allocations, __libc_memalign(alignment, bytes); }
int posix_memalign(void** p, std::size_t alignment, std::size_t bytes) {
  *p = (++allocations, __libc_memalign(alignment, bytes));
  return *p ? 0 : ENOMEM;
}
}
#endif

using namespace lamina;
using namespace lamina_test;

#ifdef LAMINA_TEST_COUNTS_ALLOCATIONS
namespace {
struct Everything : Network<Input<16, 12, 3>, Block<8>, ConvNorm<16, 3>, ReLU, Equal<16>, Down<24>, DepthwiseConv<3>, SiLU, AvgPool<2>, Conv<12, 1, 1, 0, true, 2>, Softmax, Flatten,
                            Dense<20>, Tanh, Dropout<20>, Dense<5>> {};

template <class Net, class T> void check(int threads) {
  INFO(name<Net>().s << " with " << threads << " threads");
  constexpr Index batch = 6;
  using M = Model<Net, Cpu, T>;
  M model({.batch = batch}, Cpu(threads));
  const std::vector<float> x(std::size_t(batch * size(Net::input)), 0.5f);
  const std::vector<std::int32_t> label(batch, 2);
  OptimizerState<Sgd, Cpu, T> sgd(model.device(), {.momentum = 0.9}, M::parameter_count);
  OptimizerState<AdamW, Cpu, T> adam_w(model.device(), {}, M::parameter_count);
  const auto steps = [&](int count) {
    for (int t = 0; t < count; ++t) {
      model.zero_gradients();
      model.set_clock(std::uint32_t(t));
      model.backpropagate({.n = batch - t % 3, .x = x.data(), .label = label.data()});
      clip(model.device(), Clip::global_norm(0.1), model.gradients(), M::parameter_count);
      sgd.step(model.parameters(), model.gradients(), 1e-3);
      adam_w.step(model.parameters(), model.gradients(), 1e-3);
      model.evaluate({.n = batch, .x = x.data(), .label = label.data()});
      model.forward(x.data(), 1);
    }
  };
  steps(20);                             // oneTBB starts its threads, and each makes room for its tasks
  const long before = allocations;
  steps(50);
  CHECK(allocations - before == 0);
}
}  // namespace

TEST_CASE("the counter counts") {
  long before = allocations;
  const auto counted = [&] { const bool more = allocations > before; before = allocations; return more; };
  for (int way = 0; way < 7; ++way) {
    void* p = nullptr;
    switch (way) {
      case 0: p = std::malloc(100); break;
      case 1: p = std::calloc(10, 10); break;
      case 2: p = std::realloc(nullptr, 100); break;
      case 3: p = std::aligned_alloc(64, 128); break;
      case 4: if (posix_memalign(&p, 64, 128)) p = nullptr; break;
      case 5: p = ::operator new(100); break;
      case 6: p = ::operator new(128, std::align_val_t(64)); break;
    }
    CHECK(p != nullptr);
    CHECK(counted());
    if (way == 5) ::operator delete(p);
    else if (way == 6) ::operator delete(p, std::align_val_t(64));
    else std::free(p);
  }
}

TEST_CASE("no allocation in a training step, an evaluation or a forward pass") {
  check<Everything, float>(1), check<Everything, float>(2), check<Everything, double>(2);
}
#else
TEST_CASE("no allocation in a training step") { MESSAGE("skipped: with this C library, or under a sanitizer, allocations cannot be counted"); }
#endif
