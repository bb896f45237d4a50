#include <lamina/core/batch.hpp>
#include <lamina/core/device.hpp>
#include <lamina/core/layer.hpp>

#include <doctest/doctest.h>

using namespace lamina;

TEST_CASE("tensors and the room they take") {
  static_assert(Dims().count() == 0 && Dims(5).count() == 5 && Dims(2, 3).count() == 6 && Dims(3, 3, 4, 8).count() == 288 && Dims(3, 3, 4, 8).rank == 4);
  static_assert(room(0) == 0 && room(1) == 16 && room(16) == 16 && room(17) == 32);
  constexpr Tensors t{"weight", Dims(3, 3, 3, 5), "bias", Dims(5)};
  static_assert(t.count() == 140 && t.place() == 144 + 16);
  static_assert(Tensors{}.count() == 0 && Tensors{}.place() == 0);
}

TEST_CASE("what a layer keeps") {
  static_assert(keeps(Keep::both, Keep::input) && keeps(Keep::both, Keep::output) && keeps(Keep::input, Keep::input));
  static_assert(!keeps(Keep::input, Keep::output) && !keeps(Keep::nothing, Keep::input) && !keeps(Keep::output, Keep::input));
}

namespace {
struct Whole {
  static constexpr Shape out(Shape in) { return in; }
  static constexpr Needs needs(Shape) { return {}; }
};
struct NoNeeds { static constexpr Shape out(Shape in) { return in; } };
struct Source {
  Shape shape() const { return {}; }
  Index samples() const { return 0; }
  Index batches() const { return 0; }
  Index batch_size() const { return 0; }
  void start(Index, Index) {}
  bool next(Batch&) { return false; }
};
}  // namespace

TEST_CASE("the concepts tell what is one from what is not") {
  static_assert(Layer<Whole> && !Layer<NoNeeds> && !Layer<int>);
  static_assert(BatchSource<Source> && !BatchSource<Whole> && !Device<Whole>);
}
