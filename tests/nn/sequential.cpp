#include <lamina/nn/network.hpp>

#include <doctest/doctest.h>

using namespace lamina;

namespace {
struct A : ReLU {};
struct B : ReLU {};
struct C : ReLU {};
struct Inner : Network<Input<4, 4, 2>, A, Sequential<B>> {};
}  // namespace

TEST_CASE("composites are opened") {
  static_assert(std::is_same_v<Flat<A, Sequential<B, Sequential<C, A>>, Sequential<>>, List<A, B, C, A>>);
  static_assert(std::is_same_v<Flat<>, List<>>);
  static_assert(std::is_same_v<Flat<Repeat<3, A, B>>, List<A, B, A, B, A, B>> && std::is_same_v<Flat<Repeat<0, A>, B>, List<B>>);
  static_assert(Flat<Repeat<500, A, Repeat<2, B>>>::size == 1500);                 // more than a fold of clang may have
  static_assert(std::is_same_v<Flat<C, Inner>, List<C, A, B>>);                    // a network is a layer, without its input
}

TEST_CASE("flatten") { static_assert(Flatten::out({4, 5, 3}) == Shape{60} && Flatten::role == Role::view); }
