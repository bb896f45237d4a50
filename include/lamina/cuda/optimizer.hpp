/// The optimizer's pass over the parameters on a GPU: a lane has as many neighbours as one load fetches.
#pragma once
#include <cstdint>
#include <cstring>

#include "places.hpp"

namespace lamina {

namespace kernels::inline LAMINA_SIMT {

/// What is too large for one load, four bytes at a time.
template <class C> LAMINA_DEVICE C load_whole(const C* p) {
  unsigned words[sizeof(C) / 4];
  LAMINA_UNROLL
  for (unsigned i = 0; i < sizeof(C) / 4; ++i) words[i] = load(reinterpret_cast<const unsigned*>(p) + i);
  C whole;
  std::memcpy(&whole, words, sizeof whole);
  return whole;
}

/// A step of V parameters with their slots, which are `apart`. cleared is g or null, low is null where nobody wants it. grid: (count / (threads V), rounded up)
template <class Opt, class T, class Low, int V> struct OptimizerPass {
  static constexpr int threads = 256, shared_bytes = 0, blocks = 3, most_slots = 4;
  using Clock = typename Opt::Clock;

  LAMINA_DEVICE static void run(Opt opt, int slots, const Clock* clock, Index count,
                                T* p, const T* g, T* state, Index apart,        // (count), (count), (slots, apart)
                                T* cleared, Low* low) {                         // (count)
    const Index i = (Index(block_index().x) * threads + thread_index()) * V;
    if (i >= count) return;
    Pack<T, V> of_p = load(packs<V>(p + i)), of_g = load(packs<V>(g + i)), of_s[most_slots] = {};
    LAMINA_UNROLL
    for (int k = 0; k < most_slots; ++k)
      if (k < slots) of_s[k] = load(packs<V>(state + k * apart + i));
    const Clock now = load_whole(clock);
    LAMINA_UNROLL
    for (int e = 0; e < V; ++e) {
      T s[most_slots];
      LAMINA_UNROLL
      for (int k = 0; k < most_slots; ++k) s[k] = of_s[k].v[e];
      opt.update(now, of_p.v[e], of_g.v[e], s, 1);
      LAMINA_UNROLL
      for (int k = 0; k < most_slots; ++k) of_s[k].v[e] = s[k];
    }
    store(packs<V>(p + i), of_p);
    LAMINA_UNROLL
    for (int k = 0; k < most_slots; ++k)
      if (k < slots) store(packs<V>(state + k * apart + i), of_s[k]);
    if (cleared) store(packs<V>(cleared + i), Pack<T, V>{});
    if (low) store(packs<V>(low + i), packed<Low>(of_p.v));
  }
};

}  // namespace kernels::inline LAMINA_SIMT

/// One step of an optimizer that takes vectors, for `count` parameters: p and state follow from g; `cleared`, which is g or null, is zero afterwards, and `low`, if
/// it is not null, is p in another precision. The k-th slots are state + k * apart.
template <RunsKernels D, class Opt, class T, class Low> requires (Opt::vectors && sizeof(typename Opt::Clock) % 4 == 0)
void optimizer_pass(D& dev, const Opt& opt, const typename Opt::Clock* clock, Index count, T* p, const T* g, T* state, Index apart, T* cleared, Low* low) {
  const int slots = int(opt.slots());
  const auto place = [](const T* at) { return Index(reinterpret_cast<std::uintptr_t>(at) / sizeof(T)); };
  const Index all = count | place(p) | place(g) | (slots ? apart | place(state) : 0);         // loads take several where every row begins at a multiple of them
  kernels::by_channels<T>(int(all % 4), [&]<int V>(std::integral_constant<int, V>) {
    using K = kernels::OptimizerPass<Opt, T, Low, V>;
    if (count) dev.template launch<K>(Grid{int(pieces(count, K::threads * V))}, opt, slots, clock, count, p, g, state, apart, cleared, low);
  });
}

}  // namespace lamina
