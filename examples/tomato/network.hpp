/// The network of the study, for each of the three picture sizes.
#pragma once
#include <lamina/lamina.hpp>

#ifndef LAMINA_TOMATO_CLASSES
#define LAMINA_TOMATO_CLASSES 10
#endif

namespace tomato {

inline constexpr int classes = LAMINA_TOMATO_CLASSES;

/// What to do where another number of classes is needed.
inline std::string how_to_build(std::size_t wanted) {
  const std::string n = std::to_string(wanted);
  return "build one with cmake --preset release -B build/" + n + " -DLAMINA_TOMATO_CLASSES=" + n + " && cmake --build build/" + n + " --target tomato";
}

template <int C> using Block = lamina::Sequential<lamina::Conv<C, 3>, lamina::ReLU, lamina::MaxPool<2>>;

template <int Size> using LeafNetwork = lamina::Network<lamina::Input<Size, Size, 3>, Block<32>, Block<64>, Block<128>, lamina::Flatten, lamina::Dense<128>, lamina::ReLU,
                                                        lamina::Dropout<20>, lamina::Dense<classes>>;
struct LeafNet64 : LeafNetwork<64> {};
struct LeafNet128 : LeafNetwork<128> {};
struct LeafNet256 : LeafNetwork<256> {};

static_assert(classes != 10 || LeafNet64::parameters == 1'143'242);

/// Pictures that are evaluated at once, and how they are read for that.
inline constexpr int evaluation_batch = 128;
inline lamina::EvaluationOptions evaluation(int side, int threads) { return {.size = {side, side}, .batch = evaluation_batch, .workers = threads}; }

/// f(LeafNet64{}), f(LeafNet128{}) or f(LeafNet256{}).
template <class F> auto for_size(int size, F f) {
  switch (size) {
    case 64: return f(LeafNet64{});
    case 128: return f(LeafNet128{});
    case 256: return f(LeafNet256{});
  }
  throw lamina::Error("there is no network for pictures of ", size, " pixels: 64, 128 and 256 are the sizes");
}

/// The network for pictures of that side, as a model on D with numbers T runs it.
template <class D, class T> const lamina::ProgramView<D, T>& program(int size) {
  return *for_size(size, []<class Net>(Net) { return &lamina::Program<Net, D, T>::view; });
}

}  // namespace tomato
