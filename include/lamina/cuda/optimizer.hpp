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

/// V neighbouring parameters with their slots, which are `apart`.
template <class T, int V> struct OptimizerPack {
  static constexpr int most_slots = 4;
  Pack<T, V> p, s[most_slots];
  LAMINA_DEVICE void fetch(const T* from, const T* state, Index apart, int slots) {
    p = load(packs<V>(from));
    LAMINA_UNROLL
    for (int k = 0; k < most_slots; ++k) s[k] = k < slots ? load(packs<V>(state + k * apart)) : Pack<T, V>{};
  }
  template <class Opt> LAMINA_DEVICE void update(const Opt& opt, const typename Opt::Clock& now, const Pack<T, V>& g) {
    LAMINA_UNROLL
    for (int e = 0; e < V; ++e) {
      T of_one[most_slots];
      LAMINA_UNROLL
      for (int k = 0; k < most_slots; ++k) of_one[k] = s[k].v[e];
      opt.update(now, p.v[e], g.v[e], of_one, 1);
      LAMINA_UNROLL
      for (int k = 0; k < most_slots; ++k) s[k].v[e] = of_one[k];
    }
  }
  LAMINA_DEVICE void put(T* to, T* state, Index apart, int slots) const {
    store(packs<V>(to), p);
    LAMINA_UNROLL
    for (int k = 0; k < most_slots; ++k)
      if (k < slots) store(packs<V>(state + k * apart), s[k]);
  }
};

/// A step of V parameters with their slots, which are `apart`. cleared is g or null, low is null where nobody wants it. grid: (count / (threads V), rounded up)
template <class Opt, class T, class Low, int V> struct OptimizerPass {
  static constexpr int threads = 256, shared_bytes = 0, blocks = 3;
  using Clock = typename Opt::Clock;

  LAMINA_DEVICE static void run(Opt opt, int slots, const Clock* clock, Index count,
                                T* p, const T* g, T* state, Index apart,        // (count), (count), (slots, apart)
                                T* cleared, Low* low) {                         // (count)
    const Index i = (Index(block_index().x) * threads + thread_index()) * V;
    if (i >= count) return;
    OptimizerPack<T, V> all;
    all.fetch(p + i, state + i, apart, slots);
    all.update(opt, load_whole(clock), load(packs<V>(g + i)));
    all.put(p + i, state + i, apart, slots);
    if (cleared) store(packs<V>(cleared + i), Pack<T, V>{});
    if (low) store(packs<V>(low + i), packed<Low>(all.p.v));
  }
};

}  // namespace kernels::inline LAMINA_SIMT

template <class Opt> concept UpdatesInVectors = Opt::vectors && sizeof(typename Opt::Clock) % 4 == 0;

/// One step of an optimizer that takes vectors, for `count` parameters: p and state follow from g; `cleared`, which is g or null, is zero afterwards, and `low`, if
/// it is not null, is p in another precision. The k-th slots are state + k * apart.
template <RunsKernels D, class Opt, class T, class Low> requires UpdatesInVectors<Opt>
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
