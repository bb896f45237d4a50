#include <lamina/cpu/pool.hpp>

#include <doctest/doctest.h>

#include "../support/integers.hpp"
#include "../support/pool_case.hpp"

using namespace lamina;
using lamina_test::each_seen, lamina_test::fractions, lamina_test::integers;

namespace {
using Case = lamina_test::PoolCase;
constexpr Case cases[] = {{{6, 8, 5}, {2, 2, 0}},    {{7, 5, 3}, {2, 2, 0}},    {{9, 7, 4}, {3, 2, 1}},      {{6, 5, 3}, {3, 1, 1}},     {{8, 7, 19}, {2, 3, 0}, 5},
                          {{7, 8, 3}, {3, 2, same}}, {{5, 7, 3}, {2, 2, same}}, {{2, 3, 4}, {5, 1, same}},   {{17, 16, 2}, {15, 4, 7}}, {{1, 1, 3}, {1, 1, 0}, 1},    {{6, 7, 70}, {3, 2, 1}}};

template <class T> struct Result {
  std::vector<T> y, dx;
  bool operator==(const Result&) const = default;
};

template <class T> Result<T> max_pool(Cpu dev, const Case& c, const std::vector<T>& x, const std::vector<T>& dy) {
  const Shape out = c.v.over(c.in, c.in.c);
  Result<T> r{std::vector<T>(dy.size(), T(NAN)), std::vector<T>(x.size(), T(NAN))}, inference = r;
  std::vector<std::uint8_t> codes(dy.size(), 255);
  max_pool_forward(dev, c.v, c.in, out, c.n, x.data(), r.y.data(), codes.data());
  max_pool_forward(dev, c.v, c.in, out, c.n, x.data(), inference.y.data(), nullptr);
  CHECK(inference.y == r.y);
  max_pool_backward(dev, c.v, c.in, out, c.n, codes.data(), dy.data(), r.dx.data());
  return r;
}
template <class T> Result<T> avg_pool(Cpu dev, const Case& c, bool count_padding, const std::vector<T>& x, const std::vector<T>& dy) {
  const Shape out = c.v.over(c.in, c.in.c);
  Result<T> r{std::vector<T>(dy.size(), T(NAN)), std::vector<T>(x.size(), T(NAN))};
  avg_pool_forward(dev, c.v, count_padding, c.in, out, c.n, x.data(), r.y.data());
  avg_pool_backward(dev, c.v, count_padding, c.in, out, c.n, dy.data(), r.dx.data());
  return r;
}
}  // namespace

TEST_CASE_TEMPLATE("max pooling of integers is a plain loop, bit for bit", T, float, double) {   // with many ties: the first of equals takes the gradient
  for (const Case& c : cases) {
    INFO("k " << c.v.k << " stride " << c.v.stride << " pad " << c.v.pad << " on " << text(c.in).s);
    const Shape out = c.v.over(c.in, c.in.c);
    const auto x = integers<T>(c.n * size(c.in), 1), dy = integers<T>(c.n * size(out), 2);
    Result<T> expected{std::vector<T>(dy.size(), T(-99)), std::vector<T>(x.size())};
    std::vector<std::size_t> winner(dy.size());
    each_seen(c, out, [&](std::size_t to, std::size_t from, int) { if (x[from] > expected.y[to]) expected.y[to] = x[from], winner[to] = from; });
    for (std::size_t i = 0; i < dy.size(); ++i) expected.dx[winner[i]] += dy[i];
    CHECK(max_pool(Cpu(2), c, x, dy) == expected);
  }
}

TEST_CASE_TEMPLATE("average pooling of integers is a plain loop, bit for bit", T, float, double) {
  for (const Case& c : cases)
    for (bool count_padding : {false, true}) {
      INFO("k " << c.v.k << " stride " << c.v.stride << " pad " << c.v.pad << " on " << text(c.in).s << " counts padding " << count_padding);
      const Shape out = c.v.over(c.in, c.in.c);
      const auto x = integers<T>(c.n * size(c.in), 1);
      std::vector<T> count(std::size_t(c.n * size(out))), dy = integers<T>(c.n * size(out), 2);
      Result<T> expected{std::vector<T>(dy.size()), std::vector<T>(x.size())};
      each_seen(c, out, [&](std::size_t to, std::size_t from, int) { expected.y[to] += x[from], ++count[to]; });
      for (std::size_t i = 0; i < dy.size(); ++i) {
        if (count_padding) count[i] = T(c.v.k * c.v.k);
        expected.y[i] /= count[i], dy[i] *= count[i];                  // so that the shares of dy are integers too
      }
      each_seen(c, out, [&](std::size_t to, std::size_t from, int) { expected.dx[from] += dy[to] / count[to]; });
      CHECK(avg_pool(Cpu(2), c, count_padding, x, dy) == expected);
    }
}

TEST_CASE("pooling: the same bits for any number of threads") {
  const Case c{{31, 20, 9}, {3, 2, 1}, 7};
  const auto x = fractions<float>(c.n * size(c.in), 1), dy = fractions<float>(c.n * size(c.v.over(c.in, 9)), 2);
  const auto max = max_pool(Cpu(1), c, x, dy), avg = avg_pool(Cpu(1), c, false, x, dy);
  for (int threads : {2, 3, 8}) {
    CHECK(max_pool(Cpu(threads), c, x, dy) == max);
    CHECK(avg_pool(Cpu(threads), c, false, x, dy) == avg);
  }
}
