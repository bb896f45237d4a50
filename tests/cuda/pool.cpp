#include "../support/gpu.hpp"

#include <lamina/core/text.hpp>
#include <lamina/cuda/pool.hpp>

#include <doctest/doctest.h>

#include <limits>

#include "../support/device_data.hpp"
#include "../support/pool_case.hpp"

using namespace lamina;
using lamina_test::each_seen, lamina_test::Gpu, lamina_test::Tensor, lamina_test::integers, lamina_test::same_bits, lamina_test::stored;

namespace {
using Case = lamina_test::PoolCase;
constexpr Case cases[] = {{{6, 8, 5}, {2, 2, 0}},    {{7, 5, 8}, {2, 2, 0}},     {{9, 7, 4}, {3, 2, 1}},      {{6, 5, 16}, {3, 1, 1}},    {{8, 7, 19}, {2, 3, 0}, 5},
                          {{7, 8, 3}, {3, 2, same}}, {{5, 7, 24}, {2, 2, same}}, {{2, 3, 4}, {5, 1, same}},   {{17, 16, 2}, {15, 4, 7}},  {{1, 1, 3}, {1, 1, 0}, 1}};
}  // namespace

TEST_CASE_TEMPLATE("max pooling of integers is a plain loop, bit for bit", T, float, double, bf16) {   // with many ties: the first of equals takes the gradient
  using M = Master<T>;
  for (const Case& c : cases) {
    INFO("k " << c.v.k << " stride " << c.v.stride << " pad " << c.v.pad << " on " << text(c.in).s);
    const Shape out = c.v.over(c.in, c.in.c);
    const auto x = integers<M>(c.n * size(c.in), 1), dy = integers<M>(c.n * size(out), 2);
    std::vector<M> y(dy.size(), M(-99)), dx(x.size());
    std::vector<std::size_t> winner(dy.size());
    std::vector<std::uint8_t> codes(dy.size());
    each_seen(c, out, [&](std::size_t to, std::size_t from, int tap) { if (x[from] > y[to]) y[to] = x[from], winner[to] = from, codes[to] = std::uint8_t(tap); });
    for (std::size_t i = 0; i < dy.size(); ++i) dx[winner[i]] += dy[i];

    Gpu dev;
    const Tensor<Gpu, T> dev_x(dev, stored<T>(x)), dev_dy(dev, stored<T>(dy)), dev_y(dev, Index(y.size())), inferred(dev, Index(y.size())), dev_dx(dev, Index(x.size()));
    const Tensor<Gpu, std::uint8_t> dev_codes(dev, Index(y.size()));
    max_pool_forward(dev, c.v, c.in, out, c.n, dev_x.data(), dev_y.data(), dev_codes.data());
    max_pool_forward(dev, c.v, c.in, out, c.n, dev_x.data(), inferred.data(), static_cast<std::uint8_t*>(nullptr));
    max_pool_backward(dev, c.v, c.in, out, c.n, dev_codes.data(), dev_dy.data(), dev_dx.data());
    CHECK(same_bits(dev_y.get(), stored<T>(y)));
    CHECK(same_bits(inferred.get(), stored<T>(y)));
    CHECK(dev_codes.get() == codes);
    CHECK(same_bits(dev_dx.get(), stored<T>(dx)));
  }
}

TEST_CASE_TEMPLATE("average pooling of integers is a plain loop, bit for bit", T, float, double, bf16) {
  using M = Master<T>;
  for (const Case& c : cases)
    for (bool count_padding : {false, true}) {
      INFO("k " << c.v.k << " stride " << c.v.stride << " pad " << c.v.pad << " on " << text(c.in).s);
      const Shape out = c.v.over(c.in, c.in.c);
      const auto x = integers<M>(c.n * size(c.in), 1), dy = integers<M>(c.n * size(out), 2);
      std::vector<M> y(dy.size()), dx(x.size()), count(dy.size(), M(count_padding ? c.v.k * c.v.k : 0));
      each_seen(c, out, [&](std::size_t to, std::size_t from, int) { y[to] += x[from], count[to] += M(!count_padding); });
      for (std::size_t i = 0; i < dy.size(); ++i) y[i] /= count[i];
      each_seen(c, out, [&](std::size_t to, std::size_t from, int) { dx[from] += dy[to] / count[to]; });

      Gpu dev;
      const Tensor<Gpu, T> dev_x(dev, stored<T>(x)), dev_dy(dev, stored<T>(dy)), dev_y(dev, Index(y.size())), dev_dx(dev, Index(x.size()));
      avg_pool_forward(dev, c.v, count_padding, c.in, out, c.n, dev_x.data(), dev_y.data());
      avg_pool_backward(dev, c.v, count_padding, c.in, out, c.n, dev_dy.data(), dev_dx.data());
      CHECK(same_bits(dev_y.get(), stored<T>(y)));
      CHECK(same_bits(dev_dx.get(), stored<T>(dx)));
    }
}

TEST_CASE_TEMPLATE("max pooling: the first of equals wins, and a NaN is never lost", T, float, bf16) {
  Gpu dev;
  const auto pool = [&](std::vector<float> x) {
    const Tensor<Gpu, T> from(dev, std::vector<T>(x.begin(), x.end())), y(dev, 1);
    const Tensor<Gpu, std::uint8_t> code(dev, 1);
    max_pool_forward(dev, Window{2, 2, 0}, Shape{2, 2, 1}, Shape{1, 1, 1}, 1, from.data(), y.data(), code.data());
    return std::pair{float(y.get()[0]), int(code.get()[0])};
  };
  CHECK(pool({1, 3, 3, 3}) == std::pair{3.f, 1});
  CHECK(pool({-4, -4, -4, -4}) == std::pair{-4.f, 0});
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(std::isnan(pool({1, nan, 5, 2}).first));
  CHECK(pool({1, nan, 5, 2}).second == 1);
}
