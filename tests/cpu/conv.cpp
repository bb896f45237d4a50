#include <lamina/cpu/conv.hpp>

#include <doctest/doctest.h>

#include "../support/conv_case.hpp"
#include "../support/integers.hpp"
#include "../support/replicas.hpp"

using namespace lamina;
using lamina_test::fractions, lamina_test::integers, lamina_test::largest_error;

namespace {
using Case = lamina_test::ConvCase;
constexpr Case cases[] = {
    {{7, 5, 3}, 8, 3, 1, 1},          {{9, 11, 1}, 4, 3, 1, 0},           {{8, 6, 4}, 16, 1, 1, 0, 1, false}, {{13, 9, 5}, 7, 5, 1, 2},          {{14, 15, 3}, 9, 7, 2, 3, 1, false},
    {{10, 7, 6}, 12, 3, 2, 1},        {{11, 11, 4}, 6, 3, 3, 0},          {{6, 9, 8}, 8, 3, 1, 1, 8},         {{7, 8, 8}, 12, 3, 1, 1, 4},       {{8, 7, 33}, 31, 3, 1, 1, 1, true, 11},
    {{1, 1, 5}, 4, 1, 1, 0},          {{7, 8, 3}, 4, 3, 2, same},         {{10, 11, 3}, 4, 2, 2, same},       {{2, 3, 3}, 4, 5, 1, same},        {{5, 4, 6}, 24, 3, 1, 1, 6, false},
    {{50, 41, 13}, 9, 3, 1, 1},       {{64, 30, 3}, 5, 7, 1, 3, 1, false}, {{6, 5, 2}, 3, 5, 2, 4},            {{9, 7, 2}, 3, 2, 3, 0},           {{3, 200, 70}, 2, 3, 1, 1, 1, true, 1},
    {{4, 3, 12}, 6, 1, 2, 0, 3, true, 9},
    // every channel by itself: four vectors, one and some numbers
    {{9, 10, 83}, 83, 3, 1, 1, 83},   {{12, 9, 83}, 83, 3, 2, 1, 83},     {{11, 14, 32}, 32, 3, 2, same, 32},  {{7, 9, 32}, 32, 3, 1, 2, 32},     {{8, 6, 16}, 16, 3, 1, 0, 16},
    {{9, 8, 16}, 16, 5, 1, same, 16}, {{13, 12, 16}, 16, 3, 3, 1, 16},    {{2, 2, 16}, 16, 3, 1, 1, 16}};

template <class T> using Result = lamina_test::ConvResult<T>;
template <class T> struct Data {
  Case c;
  ConvSpec spec = c.spec();
  Shape in = c.in, out = c.out();
  Index weights = c.weights();
  std::vector<T> x, w, b, dy, dw, db;
  Data(Case a, bool fractional) : c(a) {
    const auto draw = [&](Index count, std::uint32_t number) { return fractional ? fractions<T>(count, number) : integers<T>(count, number); };
    x = draw(c.n * size(in), 1), w = draw(weights, 2), b = draw(c.filters, 3), dy = draw(c.n * size(out), 4), dw = draw(weights, 5), db = draw(c.filters, 6);
  }
  /// The gradients, share by share, an image at a time.
  template <int N> void gather(Cpu& dev, Way<N> way, Result<T>& r) const {
    const Buffer<Cpu, T> turned(dev, conv_turned(dev, way, T(), spec, in, out));
    conv_turn(dev, way, spec, in, out, w.data(), turned.data());
    const Index numbers = conv_part(dev, way, T(), spec, in, out), bytes = Index(dev.arena_bytes()) / dev.threads();
    std::vector<T> parts(std::size_t(shares * numbers));
    dev.run(shares, [&](Index share, int worker) {
      Cpu alone = dev.alone(dev.arena() + worker * bytes);
      for (Index i = first_of_share(share, c.n); i < first_of_share(share + 1, c.n); ++i)
        conv_gather(alone, way, spec, in, out, 1, x.data() + i * size(in), turned.data(), dy.data() + i * size(out), r.dx.data() + i * size(in), parts.data() + share * numbers);
    });
    conv_finish(dev, way, spec, in, out, parts.data(), r.dw.data(), c.bias ? r.db.data() : nullptr);
  }
  template <int N = 0> Result<T> run(Cpu dev, Way<N> way = {}) const {
    dev.reserve(std::size_t(conv_arena(dev, way, T(), spec, in, out, c.n)));
    std::memset(dev.arena(), 0xff, dev.arena_bytes());                            // all NaN
    Result<T> r{std::vector<T>(dy.size(), T(NAN)), std::vector<T>(x.size(), T(NAN)), dw, db};
    const T* const bias = c.bias ? b.data() : nullptr;
    if constexpr (N >= 3) {
      const Buffer<Cpu, T> ready(dev, conv_prepared(dev, way, T(), spec, in, out));
      conv_prepare(dev, way, spec, in, out, w.data(), ready.data());
      conv_forward(dev, way, spec, in, out, c.n, x.data(), ready.data(), bias, r.y.data());
    } else {
      conv_forward(dev, way, spec, in, out, c.n, x.data(), w.data(), bias, r.y.data());
    }
    if constexpr (N == 4 || N == 5) gather(dev, way, r);
    else conv_backward(dev, way, spec, in, out, c.n, x.data(), w.data(), dy.data(), r.dx.data(), r.dw.data(), c.bias ? r.db.data() : nullptr);
    return r;
  }
  Result<T> plain() const { return lamina_test::plain_conv(c, x, w, b, dy, dw, db); }
};
}  // namespace

TEST_CASE_TEMPLATE("convolution of integers is a plain loop, bit for bit", T, float, double) {
  for (const Case& c : cases) {
    INFO("k " << c.k << " stride " << c.stride << " pad " << c.pad << " groups " << c.groups << " on " << text(c.in).s);
    const Data<T> data(c, false);
    const Result<T> found = data.run(Cpu(2)), expected = data.plain();
    CHECK(found.y == expected.y);
    CHECK(found.dx == expected.dx);
    CHECK(found.dw == expected.dw);
    CHECK(found.db == expected.db);
  }
}

TEST_CASE("convolution: the same bits for any number of threads") {
  for (Case c : {cases[0], cases[9], cases[8], cases[15], Case{{20, 31, 24}, 17, 3, 2, 1, 1, true, 13}}) {
    const Data<float> data(c, true);
    const Result<float> one = data.run(Cpu(1));
    for (int threads : {2, 3, 8}) CHECK(data.run(Cpu(threads)) == one);
  }
}

namespace {
constexpr Case winograd_cases[] = {{{8, 8, 32}, 32, 3, 1, 1},       {{7, 13, 64}, 32, 3, 1, 1, 1, false, 5}, {{32, 30, 32}, 64, 3, 1, 1, 1, true, 9}, {{5, 6, 32}, 96, 3, 1, 0},
                                   {{16, 16, 64}, 128, 3, 1, same}, {{2, 131, 32}, 160, 3, 1, 1, 1, true, 1}, {{6, 3, 96}, 32, 3, 1, 2},              {{8, 8, 256}, 256, 3, 1, 1, 1, false, 3},
                                   {{3, 5, 512}, 128, 3, 1, 1, 1, true, 2},  {{30, 42, 32}, 32, 3, 1, 1, 1, true, 9},
                                   {{4, 4, 512}, 512, 3, 1, 1, 1, false, 1}};
static_assert(Cpu::way<float>(ConvSpec{{3, 1, 1}}, {4, 4, 512}, {4, 4, 512}) == 3 && Cpu::way<float>(ConvSpec{{3, 1, 1}}, {4, 4, 1024}, {4, 4, 512}) == 4);   // of more numbers it is not as near
}  // namespace

namespace {
template <int N> void check_winograd(const Case& c) {
  INFO("way " << N << " pad " << c.pad << " on " << text(c.in).s << " to " << c.filters);
  const Data<float> data(c, true);
  const auto found = data.run(Cpu(2), Way<N>());
  const auto expected = Data<double>(c, true).run(Cpu(2));
  CHECK(largest_error(found.y, expected.y) < 5e-6);
  CHECK(largest_error(found.dx, expected.dx) < 5e-6);
  CHECK(largest_error(found.dw, expected.dw) < 5e-6);
  CHECK(largest_error(found.db, expected.db) < 5e-6);
  for (int threads : {1, 3, 8}) CHECK(data.run(Cpu(threads), Way<N>()) == found);
}
}  // namespace

TEST_CASE("convolution by Winograd is the same within 5e-6 of the largest value, for any number of threads") {
  for (const Case& c : winograd_cases) {
    check_winograd<3>(c);
    if (Cpu::way<float>(ConvSpec{{3, 1, c.pad}}, c.in, Shape{c.filters}) == 5) check_winograd<5>(c);
  }
}

namespace {
/// Many weights. All shares of a batch go into a block of 128 tiles, or some of them, or one does, or only some of them, or none; many are empty.
constexpr Case many_weights[] = {{{4, 3, 64}, 96, 3, 1, 1, 1, true, 19},  {{9, 6, 96}, 64, 3, 1, 1, 1, false, 40}, {{33, 25, 64}, 96, 3, 1, 1, 1, true, 19},
                                 {{46, 45, 32}, 192, 3, 1, 1, 1, true, 9}, {{48, 47, 64}, 96, 3, 1, same, 1, true, 3}, {{8, 8, 160}, 160, 3, 1, 1, 1, true, 1}};
void check_replicas(const Case& c, int replicas) {
  INFO(replicas << " replicas of " << c.n << " of " << text(c.in).s << " to " << c.filters);
  const Data<float> data(c, true);
  const ConvSpec spec = c.spec();
  const auto gradients = [&](Cpu dev, Index first, Index n) {
    dev.reserve(std::size_t(conv_arena(dev, Way<3>(), 0.0f, spec, c.in, c.out(), n)));
    std::memset(dev.arena(), 0xff, dev.arena_bytes());                            // all NaN
    std::vector<float> dw(data.w.size());
    const float *const x = data.x.data() + first * size(c.in), *const dy = data.dy.data() + first * size(c.out());
    conv_backward(dev, Way<3>(), spec, c.in, c.out(), n, x, data.w.data(), dy, nullptr, dw.data(), nullptr);
    return dw;
  };
  std::vector<std::vector<float>> apart{std::size_t(replicas)};
  lamina_test::on_replicas(replicas, c.n, shares, false, [&](int rank, const Replica& replica, Index first, Index count) {
    Cpu dev(1 + rank % 2 * 7);
    dev.replica = replica;
    apart[std::size_t(rank)] = gradients(dev, first, count);
  });
  CHECK(lamina_test::sum_of_ranks(apart) == gradients(Cpu(1), 0, c.n));
}
}  // namespace

TEST_CASE("convolution by Winograd: replicas have branches of the tree of one device with the whole batch") {
  for (const Case& c : many_weights)
    for (const int replicas : {1, 2, 4, 8}) check_replicas(c, replicas);
}

namespace {
template <int N> void check_vectors(const Case& c) {
  INFO("way " << N << " k " << c.k << " stride " << c.stride << " pad " << c.pad << " on " << text(c.in).s << " to " << c.filters);
  const Data<float> whole(c, false), data(c, true);
  CHECK(whole.run(Cpu(2), Way<N>()) == whole.plain());
  const Result<float> one = data.run(Cpu(1), Way<N>());
  for (int threads : {2, 3, 8}) CHECK(data.run(Cpu(threads), Way<N>()) == one);
}
template <int N> void check_way(const Case& c) {
  check_vectors<N>(c);
  CHECK(Data<double>(c, false).run(Cpu(2), Way<N>()) == Data<double>(c, false).plain());
}
}  // namespace

TEST_CASE("every channel by itself, and 1x1: a plain loop bit for bit, for any number of threads") {
  for (const Case& c : {Case{{6, 9, 8}, 8, 3, 1, 1, 8}, {{7, 8, 37}, 37, 3, 2, 1, 37, true, 11}, {{9, 5, 160}, 160, 5, 1, 2, 160, false}, {{5, 6, 33}, 33, 3, 1, same, 33}, {{3, 3, 4}, 4, 3, 1, 0, 4},
                        {{8, 2, 20}, 20, 3, 2, same, 20, true, 9}, {{4, 4, 5}, 5, 7, 1, 3, 5}})
    check_way<1>(c);
  for (const Case& c : {Case{{8, 6, 4}, 16, 1, 1, 0, 1, false}, {{1, 1, 5}, 4, 1, 1, 0}, {{20, 17, 33}, 70, 1, 1, 0, 1, true, 3}, {{3, 5, 130}, 17, 1, 1, same, 1, true, 9}}) check_way<2>(c);
}

TEST_CASE("3x3 of every channel by itself at every edge: a plain loop bit for bit") {
  for (int h = 1; h <= 4; ++h)
    for (int w = 1; w <= 10; ++w)
      for (int stride = 1; stride <= 3; ++stride)
        for (int pad : {0, 1, 2, same}) {
          const Case c{{h, w, 20}, 20, 3, stride, pad, 20, w % 2 == 0, 1};
          if (pad == 0 && (h < 3 || w < 3)) continue;
          INFO("stride " << stride << " pad " << pad << " on " << text(c.in).s);
          const Data<float> data(c, false);
          const std::vector<float> expected = data.plain().y;
          CHECK(data.run(Cpu(2), Way<1>()).y == expected);
        }
}

TEST_CASE("any kernel and stride in vectors: a plain loop bit for bit, for any number of threads") {
  for (const Case& c : {Case{{8, 9, 32}, 32, 3, 2, 1}, {{7, 6, 64}, 96, 1, 2, 0, 1, false, 3}, {{14, 15, 3}, 64, 7, 2, 3, 1, false, 9}, {{9, 40, 3}, 32, 3, 1, 1}, {{9, 5, 32}, 64, 5, 1, 2},
                        {{11, 8, 1}, 32, 5, 3, 0, 1, true, 3}, {{10, 11, 32}, 32, 3, 2, same}, {{5, 4, 32}, 32, 2, 3, 0, 1, true, 5}, {{2, 1, 64}, 32, 1, 3, 0}, {{1, 1, 32}, 32, 3, 2, 1},
                        {{40, 70, 64}, 32, 3, 2, 1, 1, true, 1}, {{6, 5, 2}, 32, 5, 2, 4}, {{12, 12, 4}, 32, 11, 4, 2}, {{3, 3, 128}, 256, 3, 2, 1, 1, true, 9},
                        {{9, 7, 16}, 48, 3, 1, 1}, {{8, 9, 48}, 16, 3, 2, 1, 1, false, 5}, {{6, 7, 80}, 112, 5, 1, 2, 1, true, 1}, {{10, 9, 3}, 16, 3, 1, 1, 1, true, 9}, {{7, 7, 16}, 16, 3, 2, 0}})
    check_vectors<4>(c);
}

TEST_CASE("1x1 in vectors: a plain loop bit for bit, for any number of threads") {
  for (const Case& c : {Case{{8, 6, 4}, 16, 1, 1, 0, 1, false}, {{1, 1, 5}, 4, 1, 1, 0}, {{20, 17, 33}, 70, 1, 1, 0, 1, true, 3}, {{3, 5, 130}, 17, 1, 1, same, 1, true, 9}, {{2, 3, 700}, 24, 1, 1, 0},
                        {{9, 9, 260}, 160, 1, 1, 0, 1, false, 2}})
    check_vectors<6>(c);
}
