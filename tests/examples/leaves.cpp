/// The drawn leaves: the same bits every time, one leaf per stream at every size, and a task that needs more than colours or single pixels.
#include "../../examples/tomato/leaves.hpp"

#include <doctest/doctest.h>

#include <string_view>

namespace {

using Picture = std::vector<std::uint8_t>;
using tomato::diseases, tomato::draw_leaf;

lamina::Random stream(std::uint32_t leaf, std::uint32_t disease = 0) { return {5, lamina::Stream::test, disease, leaf}; }

/// The mean of |a - b|, 0..255.
double difference(const Picture& a, const Picture& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::abs(a[i] - b[i]);
  return sum / double(a.size());
}

/// (size, size, 3) -> (size / factor, size / factor, 3): every pixel the mean of a square.
Picture shrunk(const Picture& from, int size, int factor) {
  const int small = size / factor;
  Picture to(std::size_t(small) * small * 3);
  for (int y = 0; y < small; ++y)
    for (int x = 0; x < small; ++x)
      for (int c = 0; c < 3; ++c) {
        int sum = 0;
        for (int j = 0; j < factor; ++j)
          for (int i = 0; i < factor; ++i) sum += from[(std::size_t(y * factor + j) * size + x * factor + i) * 3 + c];
        to[(std::size_t(y) * small + x) * 3 + c] = std::uint8_t(sum / (factor * factor));
      }
  return to;
}

struct Samples {
  int features;
  std::vector<float> x;    // (N, features)
  std::vector<int> label;  // (N)
};

/// `per_class` pictures of every class, their pixels in about -1..1.
Samples pictures(int size, int per_class, std::uint32_t first) {
  Samples s{size * size * 3, {}, {}};
  for (int disease = 0; disease < 10; ++disease)
    for (int i = 0; i < per_class; ++i) {
      for (const std::uint8_t value : draw_leaf(disease, size, stream(first + std::uint32_t(i), std::uint32_t(disease))))
        s.x.push_back((float(value) - 100) / 50);
      s.label.push_back(disease);
    }
  return s;
}

/// The mean colour of every picture and nothing else.
Samples mean_colours(const Samples& from) {
  Samples s{3, std::vector<float>(from.label.size() * 3), from.label};
  for (std::size_t i = 0; i < from.x.size(); ++i) s.x[i / std::size_t(from.features) * 3 + i % 3] += from.x[i] * 3 / float(from.features);
  return s;
}

/// Softmax regression by stochastic gradient descent.
class Linear {
 public:
  Linear(const Samples& s, int epochs, float rate) : features_(s.features), w_(std::size_t(features_) * 10), b_(10) {
    const lamina::Random r(6, lamina::Stream::test);
    lamina::Index draw = 0;
    for (int epoch = 0; epoch < epochs; ++epoch)
      for (std::size_t i = 0; i < s.label.size(); ++i) {
        const std::size_t n = std::size_t(r.below(draw++, lamina::Index(s.label.size())));
        const float* x = &s.x[n * std::size_t(features_)];
        std::array<float, 10> p = scores(x);
        float sum = 0;
        const float largest = *std::max_element(p.begin(), p.end());
        for (float& value : p) sum += value = std::exp(value - largest);
        for (int k = 0; k < 10; ++k) {
          const float step = rate * (p[std::size_t(k)] / sum - float(k == s.label[n]));
          float* w = &w_[std::size_t(k) * std::size_t(features_)];
          for (int f = 0; f < features_; ++f) w[f] -= step * x[f];
          b_[std::size_t(k)] -= step;
        }
      }
  }

  double accuracy(const Samples& s) const {
    int right = 0;
    for (std::size_t n = 0; n < s.label.size(); ++n) {
      const std::array<float, 10> p = scores(&s.x[n * std::size_t(features_)]);
      right += int(std::max_element(p.begin(), p.end()) - p.begin()) == s.label[n];
    }
    return right / double(s.label.size());
  }

 private:
  std::array<float, 10> scores(const float* x) const {
    std::array<float, 10> p{};
    for (int k = 0; k < 10; ++k) {
      const float* w = &w_[std::size_t(k) * std::size_t(features_)];
      for (int f = 0; f < features_; ++f) p[std::size_t(k)] += w[f] * x[f];
      p[std::size_t(k)] += b_[std::size_t(k)];
    }
    return p;
  }

  int features_;
  std::vector<float> w_;  // (10, features)
  std::vector<float> b_;  // (10)
};

}  // namespace

TEST_CASE("the ten classes have their PlantVillage names, sorted, the healthy leaf last") {
  CHECK(std::is_sorted(diseases.begin(), diseases.end(), [](std::string_view a, std::string_view b) { return a < b; }));
  CHECK(diseases[tomato::spider_mites] == std::string_view("Tomato___Spider_mites Two-spotted_spider_mite"));
  CHECK(diseases[tomato::yellow_leaf_curl] == std::string_view("Tomato___Tomato_Yellow_Leaf_Curl_Virus"));
  CHECK(diseases[tomato::healthy] == std::string_view("Tomato___healthy"));
}

TEST_CASE("a stream draws the same bytes every time, another stream another picture") {
  for (int disease = 0; disease < 10; ++disease) {
    CAPTURE(diseases[std::size_t(disease)]);
    const Picture first = draw_leaf(disease, 64, stream(1));
    CHECK(first.size() == 64 * 64 * 3);
    CHECK(first == draw_leaf(disease, 64, stream(1)));
    CHECK(difference(first, draw_leaf(disease, 64, stream(2))) > 10);
  }
}

TEST_CASE("every disease marks the leaf that is healthy in the same stream, and leaves the table alone") {
  for (int disease = 0; disease < tomato::healthy; ++disease)
    for (std::uint32_t leaf = 0; leaf < 40; ++leaf) {
      CAPTURE(diseases[std::size_t(disease)]);
      CAPTURE(leaf);
      const Picture sick = draw_leaf(disease, 64, stream(leaf)), healthy = draw_leaf(tomato::healthy, 64, stream(leaf));
      int marked = 0;
      for (std::size_t i = 0; i < sick.size(); i += 3) {
        int most = 0;
        for (std::size_t c = 0; c < 3; ++c) most = std::max(most, std::abs(sick[i + c] - healthy[i + c]));
        marked += most > 20;
      }
      CHECK(marked >= 16);            // a square of 4 x 4 pixels: enough to see
      CHECK(marked < 64 * 64 * 0.6);
      CHECK(std::equal(sick.begin(), sick.begin() + 6, healthy.begin()));  // two pixels of a corner, where no leaf lies
    }
}

TEST_CASE("the sizes show the same leaf: larger pictures shrink to the smaller ones") {
  for (int disease = 0; disease < 10; ++disease) {
    CAPTURE(diseases[std::size_t(disease)]);
    double same = 0, other = 0;
    for (std::uint32_t leaf = 0; leaf < 5; ++leaf) {
      const Picture small = draw_leaf(disease, 64, stream(leaf));
      const Picture from_128 = shrunk(draw_leaf(disease, 128, stream(leaf)), 128, 2);
      const Picture from_256 = shrunk(draw_leaf(disease, 256, stream(leaf)), 256, 4);
      // What is left is the grain of the sensor (up to 0.05 * 255 = 13 a channel) and detail finer than a pixel.
      CHECK(difference(small, from_128) < 8);
      CHECK(difference(small, from_256) < 8);
      same += difference(small, from_128);
      other += difference(small, draw_leaf(disease, 64, stream(leaf + 100)));
    }
    CHECK(same < other / 5);
  }
}

TEST_CASE("neither the mean colour nor a linear classifier of the pixels tells the classes") {
  // Three convolutions and two dense layers (LeafNet) pass 0.9 within ten epochs of 2,000 such pictures at 64 x 64. 32 x 32 keeps this short.
  const Samples train = pictures(32, 60, 0), held_out = pictures(32, 40, 1000);
  const Linear pixels(train, 30, 2e-4f);
  CHECK(pixels.accuracy(train) > 0.6);  // it did learn, by heart
  CHECK(pixels.accuracy(held_out) < 0.45);
  const Linear colours(mean_colours(train), 30, 1e-2f);
  CHECK(colours.accuracy(mean_colours(held_out)) < 0.25);
  MESSAGE("linear: " << pixels.accuracy(train) << " of its training pictures, " << pixels.accuracy(held_out) << " of others; mean colour: "
                     << colours.accuracy(mean_colours(held_out)));
}

TEST_CASE("what cannot be drawn is refused") {
  CHECK_THROWS_WITH_AS(draw_leaf(10, 64, stream(0)), "disease 10 in draw_leaf: give an index into tomato::diseases, 0 to 9", lamina::Error);
  CHECK_THROWS_AS(draw_leaf(-1, 64, stream(0)), lamina::Error);
  CHECK_THROWS_WITH_AS(draw_leaf(0, 0, stream(0)), "a picture of edge 0 in draw_leaf: give at least 1 pixel, such as 64", lamina::Error);
}
